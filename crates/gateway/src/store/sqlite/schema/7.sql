CREATE TABLE pattern (
    id TEXT PRIMARY KEY,
    review TEXT NOT NULL UNIQUE,
    frame BLOB NOT NULL,
    issued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    uses_max INTEGER NOT NULL,
    used INTEGER NOT NULL DEFAULT 0,
    revoked INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX pattern_frame ON pattern (frame) WHERE revoked = 0;
CREATE INDEX pattern_issued ON pattern (issued_at);
ALTER TABLE action ADD COLUMN pattern TEXT;
CREATE INDEX action_pattern ON action (pattern) WHERE pattern IS NOT NULL;
