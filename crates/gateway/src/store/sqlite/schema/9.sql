CREATE TABLE attention (
    review TEXT PRIMARY KEY REFERENCES review (id),
    next_at INTEGER,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX attention_due ON attention (next_at) WHERE next_at IS NOT NULL;
-- reviews that are open already are looked at by the timer's next run
INSERT INTO attention SELECT id, opened_at, '{"escalated":[]}' FROM review WHERE state = 'open';
