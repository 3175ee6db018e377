CREATE TABLE conversation (
    place TEXT PRIMARY KEY,
    body TEXT NOT NULL
) STRICT;
