//! Attempts at actions, and the grants they consume.

use countersign_core::action::{ActionDigest, ActionId, Described, GrantId, PatternId, Timestamp};
use countersign_core::grant::Grant;
use countersign_core::record::{Event, Record, Status};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{failed, from_json, records, to_json};
use crate::ports::{Attempt, StoreError};

pub(super) fn begin(
    c: &Connection,
    described: &Described,
    digest: ActionDigest,
    grant: Option<&Grant>,
    appended: &[Record],
) -> Result<(), StoreError> {
    let node = appended.first().map_or("", |record| record.node.as_str());
    if let Some(grant) = grant {
        let now = appended.first().map_or(described.at, |record| record.at);
        consume(c, grant, described, digest, now)?;
    }
    let new = New { status: "running", code: None, grant: grant.map(|g| &g.id), pattern: None, node };
    insert(c, described, digest, new)?;
    records::append(c, appended)
}

/// An attempt that took a use of a pattern; the caller has seen to that, and appends the records.
pub(super) fn begin_under(
    c: &Connection,
    described: &Described,
    digest: ActionDigest,
    pattern: &PatternId,
    appended: &[Record],
) -> Result<(), StoreError> {
    let node = appended.first().map_or("", |record| record.node.as_str());
    insert(c, described, digest, New { status: "running", code: None, grant: None, pattern: Some(pattern), node })
}

/// One use, by one attempt: of two that race, the second finds it used (invariant I7).
fn consume(
    c: &Connection,
    grant: &Grant,
    described: &Described,
    digest: ActionDigest,
    now: Timestamp,
) -> Result<(), StoreError> {
    let changed = c
        .prepare_cached(
            "UPDATE approval SET consumed_by = ?2
             WHERE id = ?1 AND requester = ?3 AND action = ?4 AND consumed_by IS NULL AND revoked = 0 AND expires_at > ?5",
        )
        .and_then(|mut s| {
            s.execute(params![
                grant.id.as_str(),
                described.id.as_str(),
                described.requester.handle(),
                digest.as_bytes(),
                now.micros()
            ])
        })
        .map_err(failed)?;
    if changed == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}

struct New<'a> {
    status: &'a str,
    code: Option<&'a str>,
    grant: Option<&'a GrantId>,
    pattern: Option<&'a PatternId>,
    node: &'a str,
}

fn insert(c: &Connection, described: &Described, digest: ActionDigest, new: New<'_>) -> Result<(), StoreError> {
    let body = to_json(described)?;
    c.prepare_cached(
        "INSERT INTO action (id, digest, status, code, approval, pattern, node, at, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )
    .and_then(|mut s| {
        s.execute(params![
            described.id.as_str(),
            digest.as_bytes(),
            new.status,
            new.code,
            new.grant.map(GrantId::as_str),
            new.pattern.map(PatternId::as_str),
            new.node,
            described.at.micros(),
            body
        ])
    })
    .map(|_| ())
    .map_err(failed)
}

pub(super) fn refuse(
    c: &Connection,
    described: &Described,
    digest: ActionDigest,
    code: &str,
    record: &Record,
) -> Result<(), StoreError> {
    let new = New { status: "refused", code: Some(code), grant: None, pattern: None, node: &record.node };
    insert(c, described, digest, new)?;
    records::append(c, std::slice::from_ref(record))
}

pub(super) fn revoke_grant(c: &Connection, grant: &GrantId, appended: &[Record]) -> Result<(), StoreError> {
    let changed = c
        .prepare_cached("UPDATE approval SET revoked = 1 WHERE id = ?1 AND consumed_by IS NULL AND revoked = 0")
        .and_then(|mut s| s.execute([grant.as_str()]))
        .map_err(failed)?;
    if changed != 1 {
        return Err(StoreError::Conflict);
    }
    records::append(c, appended)
}

pub(super) fn list(c: &Connection, limit: u32) -> Result<Vec<Attempt>, StoreError> {
    let mut statement = c
        .prepare_cached("SELECT id, status, code, approval, pattern, body FROM action ORDER BY at DESC LIMIT ?1")
        .map_err(failed)?;
    let rows = statement.query_map([limit], columns).map_err(failed)?;
    rows.map(|row| attempt(row.map_err(failed)?)).collect()
}

/// What ran under a pattern.
pub(super) fn under(c: &Connection, pattern: &PatternId, limit: u32) -> Result<Vec<Attempt>, StoreError> {
    let mut statement = c
        .prepare_cached(
            "SELECT id, status, code, approval, pattern, body FROM action WHERE pattern = ?1 ORDER BY at LIMIT ?2",
        )
        .map_err(failed)?;
    let rows = statement.query_map(params![pattern.as_str(), limit], columns).map_err(failed)?;
    rows.map(|row| attempt(row.map_err(failed)?)).collect()
}

pub(super) fn one(c: &Connection, id: &ActionId) -> Result<Option<Attempt>, StoreError> {
    let found = c
        .prepare_cached("SELECT id, status, code, approval, pattern, body FROM action WHERE id = ?1")
        .and_then(|mut s| s.query_row([id.as_str()], columns).optional())
        .map_err(failed)?;
    found.map(attempt).transpose()
}

type Columns = (String, String, Option<String>, Option<String>, Option<String>, String);

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
}

fn attempt((id, status, code, grant, pattern, body): Columns) -> Result<Attempt, StoreError> {
    let described: Described = from_json(&body)?;
    let digest = described.digest().map_err(|e| StoreError::Unavailable(e.to_string()))?;
    let at = described.at;
    let (grant, pattern) = (grant.map(GrantId::new), pattern.map(PatternId::new));
    Ok(Attempt { id: ActionId::new(id), digest, described, status, code, grant, pattern, at })
}

pub(super) fn close_unknown(c: &Connection, node: &str, now: Timestamp) -> Result<u64, StoreError> {
    let mut statement = c
        .prepare_cached("SELECT id FROM action WHERE node = ?1 AND status IN ('running', 'uncommitted')")
        .map_err(failed)?;
    let ids: Vec<String> = statement.query_map([node], |row| row.get(0)).and_then(Iterator::collect).map_err(failed)?;
    for id in &ids {
        c.prepare_cached("UPDATE action SET status = 'unknown' WHERE id = ?1")
            .and_then(|mut s| s.execute([id]))
            .map_err(failed)?;
        records::append(c, &[unknown(id, node, now)])?;
    }
    u64::try_from(ids.len()).map_err(|_| StoreError::Unavailable("too many".to_owned()))
}

fn unknown(id: &str, node: &str, at: Timestamp) -> Record {
    let event = Event::ActionOutcome {
        id: ActionId::new(id),
        status: Status::Unknown,
        rows: None,
        stream_bytes: None,
        stream_sha256: None,
        micros: 0,
        error: None,
    };
    Record { at, node: node.to_owned(), event }
}
