//! What requests to Vault mean, by a document in the shape that a server writes and the classes that come with the gateway.

use super::super::openapi::Document;
use super::super::{Api, packs};
use super::{facts, said};

const VAULT: &str = include_str!("../../../../tests/data/openapi/vault.json");

fn check(line: &str, expected: &str) {
    let document = Document::from_json(VAULT, &packs::classes("vault").expect("classes")).expect("a document");
    let api = Api::Document { name: "vault".to_owned(), document: Box::new(document) };
    let body = if line.starts_with("P") { "{}" } else { "" };
    let told = said(&facts(&api, line, &[("content-type", "application/json")], body));
    let told: Vec<&str> = told.split(' ').take(2).collect();
    assert_eq!(told.join(" "), expected, "{line}");
}

#[test]
fn secrets_are_revealed_written_and_destroyed() {
    check("GET /v1/secret/data/app/db", "reveal vault:kv-v2-read");
    check("GET /v1/secret/data/app/db?version=2", "reveal vault:kv-v2-read");
    check("POST /v1/secret/data/app/db", "write vault:kv-v2-write");
    check("PUT /v1/secret/data/app/db", "write vault:kv-v2-write");
    check("GET /v1/secret/metadata/app/db", "read vault:kv-v2-read-metadata");
    check("LIST /v1/secret/metadata/app", "read vault:kv-v2-read-metadata");
    check("GET /v1/secret/subkeys/app/db", "read vault:kv-v2-read-subkeys");
    check("POST /v1/secret/delete/app/db", "write vault:kv-v2-delete-versions");
    check("PUT /v1/secret/destroy/app/db", "write vault:kv-v2-destroy-versions");
    check("DELETE /v1/secret/metadata/app/db", "write vault:kv-v2-delete-metadata-and-all-versions");
    check("POST /v1/secret/config", "admin vault:kv-v2-configure");
    check("GET /v1/cubbyhole/a", "reveal vault:cubbyhole-read");
}

#[test]
fn credentials_are_handed_out() {
    check("GET /v1/database/creds/app", "reveal vault:database-generate-credentials");
    check("POST /v1/pki/issue/web", "reveal vault:pki-issue-with-role");
    check("POST /v1/auth/token/create", "reveal vault:token-create");
    check("POST /v1/auth/token/create/ops", "reveal vault:token-create-against-role");
    check("GET /v1/auth/token/lookup-self", "reveal vault:token-look-up-self");
    check("POST /v1/auth/approle/login", "reveal vault:app-role-login");
    check("POST /v1/auth/approle/role/ci/secret-id", "reveal vault:app-role-write-secret-id");
    check("POST /v1/sys/wrapping/unwrap", "reveal vault:unwrap");
    check("POST /v1/sys/generate-root/attempt", "reveal vault:root-token-generation-initialize");
    check("GET /v1/sys/raw/core/keyring", "reveal vault:raw-read-path");
}

#[test]
fn keys_are_used_and_changed() {
    check("POST /v1/transit/encrypt/app", "write vault:transit-encrypt");
    check("POST /v1/transit/decrypt/app", "reveal vault:transit-decrypt");
    check("POST /v1/transit/sign/app", "reveal vault:transit-sign");
    check("GET /v1/transit/export/encryption-key/app", "reveal vault:transit-export-key");
    check("GET /v1/transit/keys/app", "read vault:transit-read-key");
    check("POST /v1/transit/keys/app", "admin vault:transit-create-key");
    check("POST /v1/transit/keys/app/rotate", "admin vault:transit-rotate-key");
    check("POST /v1/transit/keys/app/config", "admin vault:transit-configure-key");
    check("DELETE /v1/transit/keys/app", "admin vault:transit-delete-key");
    check("POST /v1/sys/rotate", "admin vault:encryption-key-rotate");
    check("POST /v1/database/rotate-root/app", "admin vault:database-rotate-root-credentials");
}

#[test]
fn the_server_is_administered() {
    check("PUT /v1/sys/policies/acl/ops", "admin vault:policies-write-acl-policy");
    check("DELETE /v1/sys/policies/acl/ops", "admin vault:policies-delete-acl-policy");
    check("POST /v1/sys/mounts/team/kv", "admin vault:mounts-enable-secrets-engine");
    check("POST /v1/sys/auth/github", "admin vault:auth-enable-method");
    check("DELETE /v1/sys/audit/file", "admin vault:auditing-disable-device");
    check("POST /v1/auth/approle/role/ci", "admin vault:app-role-write-role");
    check("POST /v1/auth/userpass/users/bob", "admin vault:userpass-write-user");
    check("POST /v1/identity/entity", "admin vault:entity-create");
    check("POST /v1/database/config/app", "admin vault:database-configure-connection");
    check("POST /v1/pki/intermediate/generate/exported", "admin vault:pki-generate-intermediate");
    check("POST /v1/sys/seal", "admin vault:seal");
    check("PUT /v1/sys/leases/revoke", "write vault:leases-revoke-lease");
    check("POST /v1/sys/leases/revoke-prefix/database/creds", "admin vault:leases-revoke-lease-with-prefix");
    check("POST /v1/sys/capabilities-self", "write vault:query-token-self-capabilities");
    check("POST /v1/auth/token/revoke-accessor", "admin vault:token-revoke-accessor");
    check("POST /v1/auth/token/renew-self", "write vault:token-renew-self");
    check("GET /v1/sys/health", "read vault:read-health-status");
    for line in ["GET /v1/plugin/anything", "DELETE /v1/sys/seal", "GET /secret/data/a", "PURGE /v1/sys/seal"] {
        check(line, "opaque ");
    }
}
