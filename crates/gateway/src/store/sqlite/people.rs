//! People, agents and their credentials.

use countersign_core::action::Timestamp;
use countersign_core::record::Record;
use rusqlite::{Connection, OptionalExtension, params};

use super::{failed, from_json, records, to_json};
use crate::ports::{Agent, Credential, CredentialKind, Person, ScramVerifier, SecretHash, StoreError};

pub(super) fn add(c: &Connection, person: &Person, record: &Record) -> Result<(), StoreError> {
    c.prepare_cached("INSERT INTO person (id, name, suspended, body) VALUES (?1, ?2, ?3, ?4)")
        .and_then(|mut s| s.execute(params![person.id.as_str(), person.name, person.suspended, to_body(person)?]))
        .map_err(|e| taken(e, &person.name))?;
    records::append(c, std::slice::from_ref(record))
}

pub(super) fn update(c: &Connection, person: &Person, record: &Record) -> Result<(), StoreError> {
    let changed = c
        .prepare_cached("UPDATE person SET suspended = ?2, body = ?3 WHERE id = ?1")
        .and_then(|mut s| s.execute(params![person.id.as_str(), person.suspended, to_body(person)?]))
        .map_err(failed)?;
    if changed == 0 {
        return Err(StoreError::NotFound("person"));
    }
    records::append(c, std::slice::from_ref(record))
}

pub(super) fn all(c: &Connection) -> Result<Vec<Person>, StoreError> {
    bodies(c, "SELECT body FROM person ORDER BY name")
}

pub(super) fn add_agent(
    c: &Connection,
    agent: &Agent,
    verifier: &ScramVerifier,
    key: &SecretHash,
    record: &Record,
) -> Result<(), StoreError> {
    let verifier = to_body(verifier).map_err(failed)?;
    c.prepare_cached("INSERT INTO agent (id, name, key_hash, verifier, body) VALUES (?1, ?2, ?3, ?4, ?5)")
        .and_then(|mut s| s.execute(params![agent.id.as_str(), agent.name, key, verifier, to_body(agent)?]))
        .map_err(|e| taken(e, &agent.name))?;
    records::append(c, std::slice::from_ref(record))
}

pub(super) fn revoke_agent(c: &Connection, name: &str, record: &Record) -> Result<(), StoreError> {
    let body: Option<String> = c
        .prepare_cached("SELECT body FROM agent WHERE name = ?1 AND revoked = 0")
        .and_then(|mut s| s.query_row([name], |row| row.get(0)).optional())
        .map_err(failed)?;
    let mut agent: Agent = from_json(&body.ok_or(StoreError::NotFound("agent"))?)?;
    agent.revoked_at = Some(record.at);
    c.prepare_cached("UPDATE agent SET revoked = 1, body = ?2 WHERE name = ?1")
        .and_then(|mut s| s.execute(params![name, to_body(&agent)?]))
        .map_err(failed)?;
    records::append(c, std::slice::from_ref(record))
}

pub(super) fn agents(c: &Connection) -> Result<Vec<Agent>, StoreError> {
    bodies(c, "SELECT body FROM agent ORDER BY name")
}

pub(super) fn agent_login(c: &Connection, name: &str) -> Result<Option<(Agent, ScramVerifier)>, StoreError> {
    let found: Option<(String, String)> = c
        .prepare_cached("SELECT body, verifier FROM agent WHERE name = ?1 AND revoked = 0")
        .and_then(|mut s| s.query_row([name], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .map_err(failed)?;
    found.map(|(body, verifier)| Ok((from_json(&body)?, from_json(&verifier)?))).transpose()
}

pub(super) fn agent_by_key(c: &Connection, key: &SecretHash) -> Result<Option<Agent>, StoreError> {
    let body: Option<String> = c
        .prepare_cached("SELECT body FROM agent WHERE key_hash = ?1 AND revoked = 0")
        .and_then(|mut s| s.query_row([key], |row| row.get(0)).optional())
        .map_err(failed)?;
    body.map(|body| from_json(&body)).transpose()
}

pub(super) fn add_credential(
    c: &Connection,
    kind: CredentialKind,
    hash: &SecretHash,
    credential: &Credential,
    record: Option<&Record>,
) -> Result<(), StoreError> {
    c.prepare_cached("INSERT INTO credential (kind, hash, expires_at, body) VALUES (?1, ?2, ?3, ?4)")
        .and_then(|mut s| {
            s.execute(params![kind_name(kind), hash, credential.expires_at.micros(), to_body(credential)?])
        })
        .map_err(failed)?;
    records::append(c, record.map(std::slice::from_ref).unwrap_or_default())
}

pub(super) fn credential(
    c: &Connection,
    kind: CredentialKind,
    hash: &SecretHash,
    now: Timestamp,
) -> Result<Option<Credential>, StoreError> {
    let body: Option<String> = c
        .prepare_cached("SELECT body FROM credential WHERE kind = ?1 AND hash = ?2 AND ended = 0 AND expires_at > ?3")
        .and_then(|mut s| s.query_row(params![kind_name(kind), hash, now.micros()], |row| row.get(0)).optional())
        .map_err(failed)?;
    body.map(|body| from_json(&body)).transpose()
}

pub(super) fn take_credential(
    c: &Connection,
    kind: CredentialKind,
    hash: &SecretHash,
    now: Timestamp,
    record: Option<&Record>,
) -> Result<Option<Credential>, StoreError> {
    let body: Option<String> = c
        .prepare_cached(
            "UPDATE credential SET ended = 1
             WHERE kind = ?1 AND hash = ?2 AND ended = 0 AND expires_at > ?3 RETURNING body",
        )
        .and_then(|mut s| s.query_row(params![kind_name(kind), hash, now.micros()], |row| row.get(0)).optional())
        .map_err(failed)?;
    let Some(body) = body else { return Ok(None) };
    records::append(c, record.map(std::slice::from_ref).unwrap_or_default())?;
    from_json(&body).map(Some)
}

fn kind_name(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::Token => "token",
        CredentialKind::LoginLink => "login_link",
        CredentialKind::Session => "session",
    }
}

/// [`to_json`] for use inside rusqlite's closures.
fn to_body<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    to_json(value).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
}

fn bodies<T: serde::de::DeserializeOwned>(c: &Connection, sql: &str) -> Result<Vec<T>, StoreError> {
    let mut statement = c.prepare_cached(sql).map_err(failed)?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).map_err(failed)?;
    rows.map(|row| from_json(&row.map_err(failed)?)).collect()
}

fn taken(error: rusqlite::Error, name: &str) -> StoreError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => StoreError::NameTaken(name.to_owned()),
        _ => failed(error),
    }
}
