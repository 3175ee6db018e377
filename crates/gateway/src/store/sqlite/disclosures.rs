//! What cards hide, sealed, and who has looked at it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::action::redact::Values;
use countersign_core::action::{PersonId, ReviewId};
use countersign_core::record::Record;
use countersign_core::review::Review;
use rusqlite::{Connection, OptionalExtension, params};
use zeroize::Zeroizing;

use super::{SqliteStore, failed, records};
use crate::ports::{COMPARISONS_MAX, Disclosures, Look, Place, Seal, SealError, StoreError};

#[async_trait]
impl Disclosures for SqliteStore {
    async fn hidden_values(&self, review: &ReviewId) -> Result<Values, StoreError> {
        let (review, seal) = (review.clone(), Arc::clone(&self.seal));
        self.db.read(move |c| values(c, &*seal, &review)).await
    }

    async fn disclosed(&self, review: &ReviewId, person: &PersonId) -> Result<BTreeSet<String>, StoreError> {
        let (review, person) = (review.clone(), person.clone());
        self.db
            .read(move |c| {
                let sql = "SELECT mark FROM disclosure WHERE review = ?1 AND person = ?2 AND known = 1";
                let mut statement = c.prepare_cached(sql).map_err(failed)?;
                let rows = statement.query_map([review.as_str(), person.as_str()], |row| row.get(0)).map_err(failed)?;
                rows.collect::<rusqlite::Result<_>>().map_err(failed)
            })
            .await
    }

    async fn disclose(
        &self,
        review: &ReviewId,
        person: &PersonId,
        look: Look,
        record: Record,
    ) -> Result<(), StoreError> {
        let (review, person) = (review.clone(), person.clone());
        self.db
            .write(move |c| {
                still_open(c, &review)?;
                match &look {
                    Look::Reveal(marks) => reveal(c, &review, &person, marks)?,
                    Look::Compare { mark, equal } => compare(c, &review, &person, (mark, *equal))?,
                }
                records::append(c, std::slice::from_ref(&record))
            })
            .await
    }
}

/// Seals what the card of a review that opens hides.
pub(super) fn begin(c: &Connection, seal: &dyn Seal, review: &ReviewId, values: &Values) -> Result<(), StoreError> {
    if values.is_empty() {
        return Ok(());
    }
    let all: BTreeMap<&str, &str> = values.iter().collect();
    let text = serde_json::to_vec(&all).map(Zeroizing::new);
    let text = text.map_err(|error| StoreError::Unavailable(format!("cannot encode: {error}")))?;
    let sealed = seal.seal(place(review.as_str()), &text).map_err(|error| unsealed(&error))?;
    c.prepare_cached("INSERT INTO hidden_values (review, sealed) VALUES (?1, ?2)")
        .and_then(|mut s| s.execute(params![review.as_str(), sealed]))
        .map(|_| ())
        .map_err(failed)
}

/// Nothing is kept of what a review hid once it is closed; who had looked stays.
pub(super) fn end(c: &Connection, review: &Review) -> Result<(), StoreError> {
    let Review::Closed(_) = review else { return Ok(()) };
    c.prepare_cached("DELETE FROM hidden_values WHERE review = ?1")
        .and_then(|mut s| s.execute([review.matter().id.as_str()]))
        .map(|_| ())
        .map_err(failed)
}

/// Seals with the key in force what is not.
pub(super) fn seal_all(c: &Connection, seal: &dyn Seal) -> Result<(), StoreError> {
    let rows: Vec<(String, String)> = {
        let mut all = c.prepare("SELECT review, sealed FROM hidden_values").map_err(failed)?;
        let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed)?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed)?
    };
    for (review, sealed) in rows.iter().filter(|(_, sealed)| !seal.is_current(sealed)) {
        let text = seal.unseal(place(review), sealed).map_err(|error| unsealed(&error))?;
        let sealed = seal.seal(place(review), &text).map_err(|error| unsealed(&error))?;
        c.prepare_cached("UPDATE hidden_values SET sealed = ?2 WHERE review = ?1")
            .and_then(|mut s| s.execute(params![review, sealed]))
            .map_err(failed)?;
    }
    Ok(())
}

fn values(c: &Connection, seal: &dyn Seal, review: &ReviewId) -> Result<Values, StoreError> {
    let sealed: Option<String> = c
        .prepare_cached("SELECT sealed FROM hidden_values WHERE review = ?1")
        .and_then(|mut s| s.query_row([review.as_str()], |row| row.get(0)).optional())
        .map_err(failed)?;
    let Some(sealed) = sealed else { return Ok(Values::default()) };
    let text = seal.unseal(place(review.as_str()), &sealed).map_err(|error| unsealed(&error))?;
    let all: BTreeMap<String, String> = serde_json::from_slice(&text).map_err(|_| unsealed(&SealError::Broken))?;
    Ok(all.into_iter().map(|(mark, value)| (mark, Zeroizing::new(value))).collect())
}

fn still_open(c: &Connection, review: &ReviewId) -> Result<(), StoreError> {
    let open: Option<i64> = c
        .prepare_cached("SELECT 1 FROM review WHERE id = ?1 AND state = 'open'")
        .and_then(|mut s| s.query_row([review.as_str()], |row| row.get(0)).optional())
        .map_err(failed)?;
    open.map(drop).ok_or(StoreError::NotFound("open review"))
}

fn reveal(c: &Connection, review: &ReviewId, person: &PersonId, marks: &BTreeSet<String>) -> Result<(), StoreError> {
    let mut statement = c
        .prepare_cached(
            "INSERT INTO disclosure (review, person, mark, known, comparisons) VALUES (?1, ?2, ?3, 1, 0)
             ON CONFLICT DO UPDATE SET known = 1",
        )
        .map_err(failed)?;
    for mark in marks {
        statement.execute(params![review.as_str(), person.as_str(), mark]).map_err(failed)?;
    }
    Ok(())
}

fn compare(
    c: &Connection,
    review: &ReviewId,
    person: &PersonId,
    (mark, equal): (&str, bool),
) -> Result<(), StoreError> {
    let changed = c
        .prepare_cached(
            "INSERT INTO disclosure (review, person, mark, known, comparisons) VALUES (?1, ?2, ?3, ?4, 1)
             ON CONFLICT DO UPDATE SET known = max(known, ?4), comparisons = comparisons + 1
             WHERE comparisons < ?5",
        )
        .and_then(|mut s| s.execute(params![review.as_str(), person.as_str(), mark, equal, COMPARISONS_MAX]))
        .map_err(failed)?;
    if changed == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}

fn place(review: &str) -> Place<'_> {
    Place { what: "hidden_values.sealed", id: review }
}

fn unsealed(error: &SealError) -> StoreError {
    StoreError::Unavailable(format!("what a card hides: {error}"))
}
