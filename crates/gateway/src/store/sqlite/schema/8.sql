CREATE TABLE bundle (
    digest BLOB PRIMARY KEY,
    in_force INTEGER NOT NULL DEFAULT 0,
    activated_at INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX bundle_in_force ON bundle (in_force) WHERE in_force = 1;
CREATE TABLE gate_change (
    action BLOB PRIMARY KEY,
    kept_at INTEGER NOT NULL,
    payload TEXT NOT NULL
) STRICT;
