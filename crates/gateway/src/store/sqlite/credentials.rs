//! People's credentials, and what may happen once.

use countersign_core::action::{PersonId, Timestamp};
use countersign_core::record::Record;
use rusqlite::{Connection, OptionalExtension, params};

use super::{failed, from_json, records, taken, to_body};
use crate::ports::{Credential, CredentialKind, Once, SecretHash, StoreError};

/// Things of one kind that may be under way at once.
const ONCE_MAX: i64 = 10_000;

pub(super) fn add(
    c: &Connection,
    kind: CredentialKind,
    hash: &SecretHash,
    credential: &Credential,
    record: Option<&Record>,
) -> Result<(), StoreError> {
    let Credential { id, person, expires_at, .. } = credential;
    c.prepare_cached(
        "INSERT INTO credential (kind, hash, expires_at, id, person, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .and_then(|mut s| {
        s.execute(params![kind.name(), hash, expires_at.micros(), id, person.as_str(), to_body(credential)?])
    })
    .map_err(failed)?;
    records::append(c, record.map(std::slice::from_ref).unwrap_or_default())
}

pub(super) fn one(
    c: &Connection,
    kind: CredentialKind,
    hash: &SecretHash,
    now: Timestamp,
) -> Result<Option<Credential>, StoreError> {
    let body: Option<String> = c
        .prepare_cached("SELECT body FROM credential WHERE kind = ?1 AND hash = ?2 AND ended = 0 AND expires_at > ?3")
        .and_then(|mut s| s.query_row(params![kind.name(), hash, now.micros()], |row| row.get(0)).optional())
        .map_err(failed)?;
    body.map(|body| from_json(&body)).transpose()
}

pub(super) fn take(
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
        .and_then(|mut s| s.query_row(params![kind.name(), hash, now.micros()], |row| row.get(0)).optional())
        .map_err(failed)?;
    let Some(body) = body else { return Ok(None) };
    records::append(c, record.map(std::slice::from_ref).unwrap_or_default())?;
    from_json(&body).map(Some)
}

pub(super) fn list(
    c: &Connection,
    person: Option<&PersonId>,
    now: Timestamp,
) -> Result<Vec<(CredentialKind, Credential)>, StoreError> {
    let mut statement = c
        .prepare_cached(
            "SELECT kind, body FROM credential WHERE ended = 0 AND expires_at > ?1 AND (?2 IS NULL OR person = ?2)
             ORDER BY expires_at DESC",
        )
        .map_err(failed)?;
    let person = person.map(PersonId::as_str);
    let rows = statement
        .query_map(params![now.micros(), person], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
    let rows = rows.map_err(failed)?;
    rows.map(|row| {
        let (kind, body) = row.map_err(failed)?;
        Ok((kind_of(&kind)?, from_json(&body)?))
    })
    .collect()
}

fn kind_of(name: &str) -> Result<CredentialKind, StoreError> {
    let kinds = [CredentialKind::Token, CredentialKind::LoginLink, CredentialKind::Session];
    let found = kinds.into_iter().find(|kind| kind.name() == name);
    found.ok_or_else(|| StoreError::Unavailable(format!("a credential of kind `{name}`")))
}

pub(super) fn end(c: &Connection, ids: &[String], appended: &[Record]) -> Result<u64, StoreError> {
    let mut statement =
        c.prepare_cached("UPDATE credential SET ended = 1 WHERE id = ?1 AND ended = 0").map_err(failed)?;
    let mut ended = 0;
    for id in ids {
        ended += statement.execute([id]).map_err(failed)? as u64;
    }
    records::append(c, appended)?;
    Ok(ended)
}

pub(super) fn end_all_of(c: &Connection, person: &PersonId) -> Result<(), StoreError> {
    c.prepare_cached("UPDATE credential SET ended = 1 WHERE person = ?1 AND ended = 0")
        .and_then(|mut s| s.execute([person.as_str()]))
        .map(|_| ())
        .map_err(failed)
}

pub(super) fn put_once(c: &Connection, once: &Once, now: Timestamp) -> Result<(), StoreError> {
    let Once { kind, key, body, expires_at } = once;
    c.prepare_cached("DELETE FROM once WHERE expires_at <= ?1")
        .and_then(|mut s| s.execute([now.micros()]))
        .map_err(failed)?;
    let added = c
        .prepare_cached(
            "INSERT INTO once (kind, key, expires_at, body) SELECT ?1, ?2, ?3, ?4
             WHERE (SELECT count(*) FROM once WHERE kind = ?1) < ?5",
        )
        .and_then(|mut s| s.execute(params![kind, key, expires_at.micros(), body, ONCE_MAX]))
        .map_err(|e| taken(e, kind))?;
    if added == 0 { Err(StoreError::Conflict) } else { Ok(()) }
}

pub(super) fn take_once(
    c: &Connection,
    kind: &str,
    key: &SecretHash,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    c.prepare_cached("DELETE FROM once WHERE kind = ?1 AND key = ?2 AND expires_at > ?3 RETURNING body")
        .and_then(|mut s| s.query_row(params![kind, key, now.micros()], |row| row.get(0)).optional())
        .map_err(failed)
}
