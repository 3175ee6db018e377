CREATE TABLE passkey (
    id TEXT PRIMARY KEY,
    person TEXT NOT NULL REFERENCES person (id),
    credential TEXT NOT NULL UNIQUE,
    counter INTEGER NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX passkey_person ON passkey (person) WHERE ended = 0;
