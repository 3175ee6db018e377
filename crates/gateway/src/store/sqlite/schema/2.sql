CREATE TABLE account (
    provider TEXT NOT NULL,
    subject TEXT NOT NULL,
    person TEXT NOT NULL REFERENCES person (id),
    body TEXT NOT NULL,
    PRIMARY KEY (provider, subject)
) STRICT;
CREATE INDEX account_person ON account (person);

ALTER TABLE agent RENAME TO agent_1;
CREATE TABLE agent (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    revoked INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL
) STRICT;
CREATE TABLE agent_key (
    id TEXT PRIMARY KEY,
    agent TEXT NOT NULL REFERENCES agent (id),
    login TEXT NOT NULL UNIQUE,
    hash BLOB NOT NULL UNIQUE,
    verifier TEXT NOT NULL,
    expires_at INTEGER,
    ended INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX agent_key_agent ON agent_key (agent) WHERE ended = 0;
-- agents of before were made on the host and in force from the start
INSERT INTO agent SELECT id, name, revoked, json_set(body, '$.accepted_at', json_extract(body, '$.created_at'))
    FROM agent_1;
INSERT INTO agent_key SELECT 'k_' || id, id, name, key_hash, verifier, NULL, revoked,
    json_object('id', 'k_' || id, 'agent', id, 'login', name, 'created_at', json_extract(body, '$.created_at'),
        'expires_at', NULL)
    FROM agent_1;
DROP TABLE agent_1;

ALTER TABLE credential ADD COLUMN id TEXT;
ALTER TABLE credential ADD COLUMN person TEXT;
UPDATE credential SET id = json_extract(body, '$.id'), person = json_extract(body, '$.person');
CREATE UNIQUE INDEX credential_id ON credential (id);
CREATE INDEX credential_person ON credential (person) WHERE ended = 0;

CREATE TABLE once (
    kind TEXT NOT NULL,
    key BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT;
