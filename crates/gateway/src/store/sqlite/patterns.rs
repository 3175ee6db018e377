//! Patterns: rows whose count of uses only grows, never past their bound.

use async_trait::async_trait;
use countersign_core::action::{ActionDigest, Described, FrameDigest, PatternId, ReviewId, Timestamp};
use countersign_core::pattern::{Approved, Use};
use countersign_core::record::{Event, Record};
use countersign_core::review::Review;
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::{SqliteStore, attempts, failed, from_json, records, reviews, to_json};
use crate::ports::{Attempt, IntentError, KeptPattern, Patterns, StoreError};

/// Patterns of one frame that are looked at; each needed people.
const SAME_FRAME_MAX: u32 = 32;

const COLUMNS: &str = "used, revoked, body FROM pattern";
const GOOD: &str = "revoked = 0 AND used < uses_max AND expires_at >";

#[async_trait]
impl Patterns for SqliteStore {
    async fn patterns_of(&self, frame: FrameDigest, now: Timestamp) -> Result<Vec<KeptPattern>, StoreError> {
        let sql = format!("SELECT {COLUMNS} WHERE frame = ?1 AND {GOOD} ?2 ORDER BY expires_at LIMIT {SAME_FRAME_MAX}");
        self.db.read(move |c| kept(c, &sql, params![frame.as_bytes(), now.micros()])).await
    }

    async fn pattern(&self, id: &PatternId) -> Result<Option<KeptPattern>, StoreError> {
        let id = id.clone();
        let sql = format!("SELECT {COLUMNS} WHERE id = ?1");
        self.db.read(move |c| Ok(kept(c, &sql, [id.as_str()])?.pop())).await
    }

    async fn pattern_from(&self, review: &ReviewId) -> Result<Option<KeptPattern>, StoreError> {
        let review = review.clone();
        let sql = format!("SELECT {COLUMNS} WHERE review = ?1");
        self.db.read(move |c| Ok(kept(c, &sql, [review.as_str()])?.pop())).await
    }

    async fn patterns(&self, good_at: Option<Timestamp>, limit: u32) -> Result<Vec<KeptPattern>, StoreError> {
        let newest = "ORDER BY issued_at DESC, id DESC LIMIT";
        let good = format!("SELECT {COLUMNS} WHERE {GOOD} ?2 {newest} ?1");
        let all = format!("SELECT {COLUMNS} {newest} ?1");
        self.db
            .read(move |c| match good_at {
                Some(now) => kept(c, &good, params![limit, now.micros()]),
                None => kept(c, &all, [limit]),
            })
            .await
    }

    async fn pattern_uses(&self, id: &PatternId, limit: u32) -> Result<Vec<Attempt>, StoreError> {
        let id = id.clone();
        self.db.read(move |c| attempts::under(c, &id, limit)).await
    }

    async fn issue_pattern(
        &self,
        version: u64,
        review: &Review,
        approved: Approved,
        records: Vec<Record>,
    ) -> Result<(), StoreError> {
        let review = review.clone();
        self.db
            .write(move |c| {
                insert(c, &approved)?;
                reviews::save(c, version, &review, None, &records)
            })
            .await
    }

    async fn begin_under(
        &self,
        described: &Described,
        digest: ActionDigest,
        taken: &Use,
        records: Vec<Record>,
    ) -> Result<(), IntentError> {
        let (described, taken) = (described.clone(), taken.clone());
        let begun = self.db.write(move |c| begin(c, &described, digest, &taken, records)).await;
        begun.map_err(|error| match error {
            StoreError::Conflict => IntentError::GrantSpent,
            other => IntentError::Store(other),
        })
    }

    async fn revoke_pattern(&self, id: &PatternId, records: Vec<Record>) -> Result<(), StoreError> {
        let id = id.clone();
        self.db.write(move |c| revoke(c, &id, &records)).await
    }
}

fn kept(c: &Connection, sql: &str, params: impl Params) -> Result<Vec<KeptPattern>, StoreError> {
    let mut statement = c.prepare_cached(sql).map_err(failed)?;
    let columns = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?));
    let rows = statement.query_map(params, columns).map_err(failed)?;
    rows.map(|row| {
        let (used, revoked, body) = row.map_err(failed)?;
        Ok(KeptPattern { approved: from_json(&body)?, used, revoked })
    })
    .collect()
}

fn insert(c: &Connection, approved: &Approved) -> Result<(), StoreError> {
    let body = to_json(approved)?;
    c.prepare_cached(
        "INSERT INTO pattern (id, review, frame, issued_at, expires_at, uses_max, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )
    .and_then(|mut s| {
        s.execute(params![
            approved.id.as_str(),
            approved.review.as_str(),
            approved.shape.frame.as_bytes(),
            approved.issued_at.micros(),
            approved.expires_at.micros(),
            approved.choice.limits.uses,
            body
        ])
    })
    .map(drop)
    .map_err(failed)
}

fn begin(
    c: &Connection,
    described: &Described,
    digest: ActionDigest,
    taken: &Use,
    mut appended: Vec<Record>,
) -> Result<(), StoreError> {
    let now = appended.first().map_or(described.at, |record| record.at);
    let number = take(c, taken, digest, now)?;
    for record in &mut appended {
        if let Event::PatternUsed { number: of_use, .. } = &mut record.event {
            *of_use = number;
        }
    }
    attempts::begin_under(c, described, digest, taken.pattern(), &appended)?;
    records::append(c, &appended)
}

/// One use by one attempt: of two that race for the last, the second finds none left (invariant I7).
fn take(c: &Connection, taken: &Use, digest: ActionDigest, now: Timestamp) -> Result<u32, StoreError> {
    if taken.action() != digest {
        return Err(StoreError::Conflict);
    }
    let number = c
        .prepare_cached(
            "UPDATE pattern SET used = used + 1
             WHERE id = ?1 AND used < uses_max AND used < ?2 AND revoked = 0 AND expires_at > ?3 RETURNING used",
        )
        .and_then(|mut s| {
            let params = params![taken.pattern().as_str(), taken.uses_max(), now.micros()];
            s.query_row(params, |row| row.get(0)).optional()
        })
        .map_err(failed)?;
    number.ok_or(StoreError::Conflict)
}

fn revoke(c: &Connection, id: &PatternId, appended: &[Record]) -> Result<(), StoreError> {
    let now = appended.first().map_or(0, |record| record.at.micros());
    let changed = c
        .prepare_cached(&format!("UPDATE pattern SET revoked = 1 WHERE id = ?1 AND {GOOD} ?2"))
        .and_then(|mut s| s.execute(params![id.as_str(), now]))
        .map_err(failed)?;
    if changed != 1 {
        return Err(StoreError::Conflict);
    }
    records::append(c, appended)
}
