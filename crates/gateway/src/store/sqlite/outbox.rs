//! Postings, beside the reviews they tell of. What is due is found by an index on when.

use std::collections::BTreeSet;

use async_trait::async_trait;
use countersign_core::action::{ReviewId, Timestamp};
use countersign_core::record::Record;
use countersign_core::review::attention::Attention;
use rusqlite::{Connection, Row, params};

use super::{SqliteStore, bodies, failed, from_json, records, to_json};
use crate::ports::{Destination, Due, Outbox, Posting, StoreError};

#[async_trait]
impl Outbox for SqliteStore {
    async fn postings_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Due>, StoreError> {
        self.db.read(move |c| due(c, now, limit)).await
    }

    async fn attempted(
        &self,
        posting: &Posting,
        version: u64,
        next: Option<Timestamp>,
        records: Vec<Record>,
    ) -> Result<(), StoreError> {
        let posting = posting.clone();
        self.db.write(move |c| attempted(c, &posting, version, next, &records)).await
    }

    async fn postings(&self, reviews: Vec<ReviewId>) -> Result<Vec<Posting>, StoreError> {
        let sql = "SELECT body FROM posting WHERE review = ?1 ORDER BY place";
        self.db
            .read(move |c| {
                let each = reviews.iter().map(|review| bodies::<Posting>(c, sql, [review.as_str()]));
                Ok(each.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
            })
            .await
    }

    async fn undelivered(&self, limit: u32) -> Result<Vec<Posting>, StoreError> {
        let sql = "SELECT posting.body FROM posting JOIN review ON review.id = posting.review WHERE failed = 1
                   ORDER BY review.opened_at DESC, place LIMIT ?1";
        self.db.read(move |c| bodies(c, sql, [limit])).await
    }

    async fn tell_at(&self, review: &ReviewId, places: BTreeSet<Destination>) -> Result<(), StoreError> {
        let review = review.clone();
        self.db.write(move |c| begin(c, &review, &places)).await
    }

    async fn retry(&self, review: &ReviewId, place: &Destination) -> Result<(), StoreError> {
        let (review, place) = (review.clone(), place.clone());
        self.db.write(move |c| retry(c, &review, &place)).await
    }
}

/// New places for a review; at those where it stands already it stays.
pub(super) fn begin(c: &Connection, review: &ReviewId, places: &BTreeSet<Destination>) -> Result<(), StoreError> {
    for place in places {
        let body = to_json(&Posting::new(review.clone(), place.clone()))?;
        c.prepare_cached("INSERT OR IGNORE INTO posting (review, place, due_at, body) VALUES (?1, ?2, 0, ?3)")
            .and_then(|mut s| s.execute(params![review.as_str(), place.to_string(), body]))
            .map_err(failed)?;
    }
    Ok(())
}

/// A review changed: what stands of it anywhere is out of date.
pub(super) fn touch(c: &Connection, review: &ReviewId) -> Result<(), StoreError> {
    c.prepare_cached(
        "UPDATE posting SET version = version + 1, due_at = 0
         WHERE review = ?1 AND NOT coalesce(json_extract(body, '$.dead'), 0)",
    )
    .and_then(|mut s| s.execute([review.as_str()]))
    .map(|_| ())
    .map_err(failed)
}

fn due(c: &Connection, now: Timestamp, limit: u32) -> Result<Vec<Due>, StoreError> {
    let mut statement = c
        .prepare_cached(
            "SELECT posting.body, posting.version, review.body, attention.body FROM posting
             JOIN review ON review.id = posting.review LEFT JOIN attention ON attention.review = posting.review
             WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2",
        )
        .map_err(failed)?;
    let columns = |row: &Row<'_>| -> rusqlite::Result<(String, i64, String, Option<String>)> {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    };
    let rows = statement.query_map(params![now.micros(), limit], columns).map_err(failed)?;
    rows.map(|row| {
        let (posting, version, review, attention) = row.map_err(failed)?;
        let attention = attention.map(|body| from_json(&body)).transpose()?;
        Ok(Due {
            posting: from_json(&posting)?,
            version: u64::try_from(version).map_err(|_| StoreError::Unavailable("a negative version".to_owned()))?,
            review: from_json(&review)?,
            attention: attention.unwrap_or_else(Attention::default),
        })
    })
    .collect()
}

fn attempted(
    c: &Connection,
    posting: &Posting,
    version: u64,
    next: Option<Timestamp>,
    appended: &[Record],
) -> Result<(), StoreError> {
    let version = i64::try_from(version).map_err(|_| StoreError::Conflict)?;
    let (body, next) = (to_json(posting)?, next.map(Timestamp::micros));
    let in_trouble = posting.dead || posting.failed > 0;
    let kept = c
        .prepare_cached(
            // a review that changed in between is told of at once, unless the place fails
            "UPDATE posting SET body = ?4, failed = ?6,
             due_at = CASE WHEN version = ?3 OR ?6 THEN ?5 ELSE due_at END WHERE review = ?1 AND place = ?2",
        )
        .and_then(|mut s| {
            s.execute(params![posting.review.as_str(), posting.place.to_string(), version, body, next, in_trouble])
        })
        .map_err(failed)?;
    if kept != 1 {
        return Err(StoreError::NotFound("posting"));
    }
    records::append(c, appended)
}

fn retry(c: &Connection, review: &ReviewId, place: &Destination) -> Result<(), StoreError> {
    let found: Vec<Posting> = bodies(
        c,
        "SELECT body FROM posting WHERE review = ?1 AND place = ?2",
        params![review.as_str(), place.to_string()],
    )?;
    let [posting] = found.as_slice() else { return Err(StoreError::NotFound("posting")) };
    let body = to_json(&Posting { dead: false, failed: 0, error: None, ..posting.clone() })?;
    c.prepare_cached("UPDATE posting SET body = ?3, due_at = 0, failed = 0 WHERE review = ?1 AND place = ?2")
        .and_then(|mut s| s.execute(params![review.as_str(), place.to_string(), body]))
        .map(|_| ())
        .map_err(failed)
}
