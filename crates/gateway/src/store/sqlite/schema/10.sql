CREATE TABLE duty (
    id TEXT PRIMARY KEY,
    of_person TEXT NOT NULL REFERENCES person (id),
    until INTEGER NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX duty_given ON duty (until) WHERE ended = 0;
