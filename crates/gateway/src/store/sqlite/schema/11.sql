CREATE TABLE posting (
    review TEXT NOT NULL REFERENCES review (id),
    place TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER,
    failed INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL,
    PRIMARY KEY (review, place)
) STRICT;
CREATE INDEX posting_due ON posting (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX posting_failed ON posting (review) WHERE failed = 1;
