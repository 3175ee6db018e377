//! Escalations and reminders, beside the reviews they are about. What is due is found by an index on when.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use countersign_core::action::{ReviewId, Timestamp};
use countersign_core::record::Record;
use countersign_core::review::Review;
use countersign_core::review::attention::Attention;
use rusqlite::{Connection, OptionalExtension, params};

use super::{SqliteStore, failed, from_json, outbox, records, to_json};
use crate::ports::{Attentions, Destination, StoreError};

/// The most reviews that one timer run attends to; the rest follow in the next.
const DUE_MAX: u32 = 500;

#[async_trait]
impl Attentions for SqliteStore {
    async fn attentions_due(&self, now: Timestamp) -> Result<Vec<(Review, Attention)>, StoreError> {
        self.db.read(move |c| due(c, now)).await
    }

    async fn attend(
        &self,
        review: &Review,
        before: &Attention,
        after: &Attention,
        places: BTreeSet<Destination>,
        records: Vec<Record>,
    ) -> Result<(), StoreError> {
        let (matter, before, after) = (review.matter().clone(), before.clone(), after.clone());
        self.db
            .write(move |c| {
                let next = after.next_at(&matter).map(Timestamp::micros);
                let changed = c
                    .prepare_cached(
                        "UPDATE attention SET next_at = ?3, body = ?4 WHERE review = ?1 AND body = ?2
                         AND EXISTS (SELECT 1 FROM review WHERE id = ?1 AND state = 'open')",
                    )
                    .and_then(|mut s| s.execute(params![matter.id.as_str(), json(&before)?, next, json(&after)?]))
                    .map_err(failed)?;
                if changed != 1 {
                    return Err(StoreError::Conflict);
                }
                outbox::begin(c, &matter.id, &places)?;
                outbox::touch(c, &matter.id)?;
                records::append(c, &records)
            })
            .await
    }

    async fn attentions(&self, reviews: Vec<ReviewId>) -> Result<BTreeMap<ReviewId, Attention>, StoreError> {
        self.db
            .read(move |c| {
                let mut statement = c.prepare_cached("SELECT body FROM attention WHERE review = ?1").map_err(failed)?;
                let mut found = BTreeMap::new();
                for review in reviews {
                    let body: Option<String> =
                        statement.query_row([review.as_str()], |row| row.get(0)).optional().map_err(failed)?;
                    let Some(body) = body else { continue };
                    found.insert(review, from_json(&body)?);
                }
                Ok(found)
            })
            .await
    }
}

/// An entry for a review that opens.
pub(super) fn begin(c: &Connection, review: &Review) -> Result<(), StoreError> {
    let (matter, none) = (review.matter(), Attention::default());
    let next = none.next_at(matter).map(Timestamp::micros);
    let body = to_json(&none)?;
    c.prepare_cached("INSERT INTO attention (review, next_at, body) VALUES (?1, ?2, ?3)")
        .and_then(|mut s| s.execute(params![matter.id.as_str(), next, body]))
        .map(|_| ())
        .map_err(failed)
}

/// Nothing more is to come for a review that closed.
pub(super) fn end(c: &Connection, review: &Review) -> Result<(), StoreError> {
    let Review::Closed(_) = review else { return Ok(()) };
    c.prepare_cached("UPDATE attention SET next_at = NULL WHERE review = ?1")
        .and_then(|mut s| s.execute([review.matter().id.as_str()]))
        .map(|_| ())
        .map_err(failed)
}

fn due(c: &Connection, now: Timestamp) -> Result<Vec<(Review, Attention)>, StoreError> {
    let mut statement = c
        .prepare_cached(
            "SELECT review.body, attention.body FROM attention JOIN review ON review.id = attention.review
             WHERE next_at <= ?1 AND review.state = 'open' ORDER BY next_at LIMIT ?2",
        )
        .map_err(failed)?;
    let columns = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
    let rows = statement.query_map(params![now.micros(), DUE_MAX], columns).map_err(failed)?;
    rows.map(|row| {
        let (review, attention) = row.map_err(failed)?;
        Ok((from_json(&review)?, from_json(&attention)?))
    })
    .collect()
}

/// A body inside rusqlite's closures.
fn json(attention: &Attention) -> rusqlite::Result<String> {
    super::to_body(attention)
}
