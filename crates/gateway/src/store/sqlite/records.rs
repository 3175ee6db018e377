//! Records on their way to the log, and the log's head.

use countersign_core::action::Timestamp;
use countersign_core::record::Record;
use rusqlite::{Connection, OptionalExtension, params};

use super::{failed, from_json, to_json};
use crate::ports::{Ended, LogHead, PendingRecord, StoreError};

pub(super) fn append(c: &Connection, records: &[Record]) -> Result<(), StoreError> {
    for record in records {
        let leaf = record.leaf().map_err(|e| StoreError::Unavailable(e.to_string()))?;
        c.prepare_cached("INSERT INTO record (at, leaf) VALUES (?1, ?2)")
            .and_then(|mut s| s.execute(params![record.at.micros(), leaf]))
            .map_err(failed)?;
    }
    Ok(())
}

pub(super) fn after(c: &Connection, seq: u64, limit: u32) -> Result<Vec<PendingRecord>, StoreError> {
    let mut statement =
        c.prepare_cached("SELECT seq, at, leaf FROM record WHERE seq > ?1 ORDER BY seq LIMIT ?2").map_err(failed)?;
    let rows = statement
        .query_map(params![as_i64(seq)?, limit], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, Vec<u8>>(2)?))
        })
        .map_err(failed)?;
    rows.map(|row| {
        let (seq, at, leaf) = row.map_err(failed)?;
        Ok(PendingRecord { seq: as_u64(seq)?, at: Timestamp::from_micros(at), leaf })
    })
    .collect()
}

pub(super) fn head(c: &Connection) -> Result<Option<LogHead>, StoreError> {
    let body: Option<String> = c
        .prepare_cached("SELECT body FROM log_head")
        .and_then(|mut s| s.query_row([], |row| row.get(0)).optional())
        .map_err(failed)?;
    body.map(|body| from_json(&body)).transpose()
}

pub(super) fn advance(c: &Connection, from: Option<&LogHead>, to: &LogHead, ended: &[Ended]) -> Result<(), StoreError> {
    if head(c)?.as_ref() != from {
        return Err(StoreError::Conflict);
    }
    c.prepare_cached("INSERT INTO log_head (one, body) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET body = ?1")
        .and_then(|mut s| s.execute([body_of(to)?]))
        .map_err(failed)?;
    for outcome in ended {
        let status = serde_json::to_value(outcome.status).ok();
        let status = status.as_ref().and_then(serde_json::Value::as_str).unwrap_or("unknown");
        // `unknown` is terminal: what a former run left open stays so, whatever turns up later
        c.prepare_cached(
            "UPDATE action SET status = ?2, code = ?3 WHERE id = ?1 AND status IN ('running', 'uncommitted')",
        )
        .and_then(|mut s| s.execute(params![outcome.id.as_str(), status, outcome.error]))
        .map_err(failed)?;
    }
    // what is in the log needs no second copy
    c.prepare_cached("DELETE FROM record WHERE seq <= ?1")
        .and_then(|mut s| s.execute([as_i64(to.store_seq).unwrap_or(0)]))
        .map_err(failed)?;
    Ok(())
}

fn body_of(head: &LogHead) -> rusqlite::Result<String> {
    to_json(head).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
}

fn as_i64(seq: u64) -> Result<i64, StoreError> {
    i64::try_from(seq).map_err(|_| StoreError::Unavailable("a sequence number is out of range".to_owned()))
}

fn as_u64(seq: i64) -> Result<u64, StoreError> {
    u64::try_from(seq).map_err(|_| StoreError::Unavailable("a sequence number is negative".to_owned()))
}
