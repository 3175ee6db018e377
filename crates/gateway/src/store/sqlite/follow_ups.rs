//! Broken glass, until somebody has looked at it.

use async_trait::async_trait;
use countersign_core::action::{ActionId, ReviewId, Timestamp};
use countersign_core::record::Record;
use countersign_core::review::{Review, SignOff};
use rusqlite::{Connection, Params, Row, params};

use super::{SqliteStore, failed, from_json, records, to_json};
use crate::ports::{FollowUp, FollowUps, StoreError, Use};

/// Of a follow-up: its review, its sign-off, and the approval it yielded.
const COLUMNS: &str = "SELECT review.body, follow_up.body, approval.consumed_by, approval.revoked, approval.expires_at
    FROM follow_up JOIN review ON review.id = follow_up.review
    LEFT JOIN approval ON json_extract(approval.body, '$.review') = follow_up.review
        AND json_extract(approval.body, '$.broken_by') IS NOT NULL";

#[async_trait]
impl FollowUps for SqliteStore {
    async fn follow_ups(&self, all: bool, now: Timestamp, limit: u32) -> Result<Vec<FollowUp>, StoreError> {
        let rest = match all {
            true => "ORDER BY broken_at DESC LIMIT ?1",
            false => "WHERE done_at IS NULL ORDER BY broken_at LIMIT ?1",
        };
        self.db.read(move |c| found(c, &format!("{COLUMNS} {rest}"), [limit], now)).await
    }

    async fn follow_up(&self, review: &ReviewId, now: Timestamp) -> Result<Option<FollowUp>, StoreError> {
        let id = review.to_string();
        let sql = format!("{COLUMNS} WHERE follow_up.review = ?1");
        Ok(self.db.read(move |c| found(c, &sql, [id], now)).await?.pop())
    }

    async fn sign_off(&self, review: &ReviewId, sign_off: SignOff, records: Vec<Record>) -> Result<(), StoreError> {
        let review = review.clone();
        self.db.write(move |c| done(c, &review, &sign_off, &records)).await
    }
}

/// Lists a review whose glass was broken; does nothing for any other.
pub(super) fn begin(c: &Connection, review: &Review) -> Result<(), StoreError> {
    let Some(breaking) = review.breaking() else { return Ok(()) };
    c.prepare_cached("INSERT INTO follow_up (review, broken_at) VALUES (?1, ?2)")
        .and_then(|mut s| s.execute(params![review.matter().id.as_str(), breaking.at.micros()]))
        .map(|_| ())
        .map_err(failed)
}

fn done(c: &Connection, review: &ReviewId, sign_off: &SignOff, appended: &[Record]) -> Result<(), StoreError> {
    let body = to_json(sign_off)?;
    let changed = c
        .prepare_cached("UPDATE follow_up SET done_at = ?2, body = ?3 WHERE review = ?1 AND done_at IS NULL")
        .and_then(|mut s| s.execute(params![review.as_str(), sign_off.at.micros(), body]))
        .map_err(failed)?;
    if changed != 1 {
        return Err(StoreError::Conflict);
    }
    records::append(c, appended)
}

fn found(c: &Connection, sql: &str, params: impl Params, now: Timestamp) -> Result<Vec<FollowUp>, StoreError> {
    let mut statement = c.prepare_cached(sql).map_err(failed)?;
    let rows = statement.query_map(params, columns).map_err(failed)?;
    rows.map(|row| follow_up(row.map_err(failed)?, now)).collect()
}

type Columns = (String, Option<String>, Option<String>, Option<bool>, Option<i64>);

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
}

fn follow_up((review, done, used, revoked, expires_at): Columns, now: Timestamp) -> Result<FollowUp, StoreError> {
    let ended = expires_at.is_none_or(|at| at <= now.micros());
    let used = match (used, revoked) {
        (Some(action), _) => Use::Used(ActionId::new(action)),
        (None, Some(true)) => Use::Voided,
        (None, _) if ended => Use::Ended,
        (None, _) => Use::Unused,
    };
    let done = done.map(|done| from_json(&done)).transpose()?;
    Ok(FollowUp { review: from_json(&review)?, used, done })
}
