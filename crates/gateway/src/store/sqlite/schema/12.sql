CREATE TABLE incident (
    id TEXT PRIMARY KEY,
    by_person TEXT NOT NULL REFERENCES person (id),
    declared_at INTEGER NOT NULL,
    until INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
