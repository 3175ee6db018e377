CREATE TABLE scim_user (
    person TEXT PRIMARY KEY REFERENCES person (id),
    body TEXT NOT NULL
) STRICT;
CREATE TABLE scim_group (
    id TEXT PRIMARY KEY,
    body TEXT NOT NULL
) STRICT;
