CREATE TABLE person (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    suspended INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE TABLE agent (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    key_hash BLOB NOT NULL UNIQUE,
    verifier TEXT NOT NULL,
    revoked INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL
) STRICT;
CREATE TABLE credential (
    kind TEXT NOT NULL,
    hash BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, hash)
) STRICT;
CREATE TABLE review (
    id TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    state TEXT NOT NULL,
    requester TEXT NOT NULL,
    owner TEXT NOT NULL,
    action BLOB NOT NULL,
    fingerprint TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    closed_at INTEGER,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX review_open ON review (requester, action) WHERE state = 'open';
CREATE INDEX review_due ON review (expires_at) WHERE state = 'open';
CREATE INDEX review_shape ON review (requester, fingerprint) WHERE state = 'rejected';
CREATE INDEX review_closed ON review (closed_at) WHERE state <> 'open';
CREATE TABLE approval (
    id TEXT PRIMARY KEY,
    requester TEXT NOT NULL,
    action BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    consumed_by TEXT,
    revoked INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX approval_unused ON approval (requester, action) WHERE consumed_by IS NULL AND revoked = 0;
CREATE TABLE action (
    id TEXT PRIMARY KEY,
    digest BLOB NOT NULL,
    status TEXT NOT NULL,
    code TEXT,
    approval TEXT,
    node TEXT NOT NULL,
    at INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX action_at ON action (at);
CREATE INDEX action_running ON action (node) WHERE status IN ('running', 'uncommitted');
CREATE TABLE record (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    leaf BLOB NOT NULL
) STRICT;
CREATE TABLE log_head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    body TEXT NOT NULL
) STRICT;
