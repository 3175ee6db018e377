CREATE TABLE follow_up (
    review TEXT PRIMARY KEY REFERENCES review (id),
    broken_at INTEGER NOT NULL,
    done_at INTEGER,
    body TEXT
) STRICT;
CREATE INDEX follow_up_open ON follow_up (broken_at) WHERE done_at IS NULL;
CREATE INDEX approval_broken ON approval (json_extract(body, '$.review'))
    WHERE json_extract(body, '$.broken_by') IS NOT NULL;
