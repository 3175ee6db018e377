//! The store of one gateway, in SQLite: WAL, `synchronous=FULL`, one writer thread with group commit.
//!
//! Every method of [`Store`] and `Directory` that changes something is one transaction that carries its records with
//! it: state and record commit together, or neither does. Bodies are JSON of the domain types; what is searched, compared
//! or swapped has its own column.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::action::{ActionDigest, ActionId, Described, GrantId, ReviewId, Timestamp};
use countersign_core::grant::Grant;
use countersign_core::record::Record;
use countersign_core::review::Review;
use rusqlite::{Connection, Params};

use crate::ports::{
    Ask, Asked, Attempt, Ended, IntentError, LogHead, PendingRecord, RecordSource, ReviewFilter, Seal, Store,
    StoreError, Versioned,
};

mod agents;
mod attempts;
mod attention;
mod bundles;
mod callbacks;
mod conversations;
mod credentials;
mod db;
mod directory;
mod disclosures;
mod duties;
mod follow_ups;
mod incidents;
mod outbox;
mod passkeys;
mod patterns;
mod people;
mod provisioning;
mod records;
mod reviews;
mod tallies;
mod targets;
#[cfg(test)]
mod tests;

use db::{Db, failed};

/// The embedded store.
#[derive(Clone)]
pub struct SqliteStore {
    db: Db,
    seal: Arc<dyn Seal>,
}

impl SqliteStore {
    /// Opens or creates `countersign.db` in a data directory, and takes it for this process alone. What is secret in it is
    /// sealed with the key in force.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when another process holds it, it cannot be opened, or something in it cannot be
    /// unsealed.
    pub fn open(data_dir: &Path, seal: Arc<dyn Seal>) -> Result<Self, StoreError> {
        let prepare = |c: &Connection, version: u32| {
            agents::seal_all(c, &*seal, version < agents::SEALED_SINCE)?;
            disclosures::seal_all(c, &*seal)
        };
        let db = Db::open(&data_dir.join("countersign.db"), prepare)?;
        Ok(Self { db, seal })
    }
}

/// A body as stored.
fn to_json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Unavailable(format!("cannot encode: {e}")))
}

/// A body as read back; what cannot be read is a failure, never skipped.
fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|e| StoreError::Unavailable(format!("cannot decode what was stored: {e}")))
}

/// [`to_json`] for use inside rusqlite's closures.
fn to_body<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    to_json(value).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
}

fn bodies<T: serde::de::DeserializeOwned>(
    c: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<Vec<T>, StoreError> {
    let mut statement = c.prepare_cached(sql).map_err(failed)?;
    let rows = statement.query_map(params, |row| row.get::<_, String>(0)).map_err(failed)?;
    rows.map(|row| from_json(&row.map_err(failed)?)).collect()
}

fn taken(error: rusqlite::Error, name: &str) -> StoreError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => StoreError::NameTaken(name.to_owned()),
        _ => failed(error),
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn ask(&self, ask: Ask) -> Result<Asked, StoreError> {
        let seal = Arc::clone(&self.seal);
        self.db.write(move |c| reviews::ask(c, &*seal, ask)).await
    }

    async fn review(&self, id: &ReviewId) -> Result<Option<Versioned>, StoreError> {
        let id = id.clone();
        self.db.read(move |c| reviews::one(c, &id)).await
    }

    async fn reviews(&self, filter: ReviewFilter, limit: u32) -> Result<Vec<Review>, StoreError> {
        self.db.read(move |c| reviews::list(c, filter, limit)).await
    }

    async fn reviews_due(&self, now: Timestamp) -> Result<Vec<Versioned>, StoreError> {
        self.db.read(move |c| reviews::due(c, now)).await
    }

    async fn callback_used(&self, id: &str) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.db.read(move |c| callbacks::is_used(c, &id)).await
    }

    async fn save_review(
        &self,
        version: u64,
        review: &Review,
        grant: Option<Grant>,
        records: Vec<Record>,
    ) -> Result<(), StoreError> {
        let review = review.clone();
        self.db.write(move |c| reviews::save(c, version, &review, grant.as_ref(), &records)).await
    }

    async fn begin(
        &self,
        described: &Described,
        digest: ActionDigest,
        grant: Option<&Grant>,
        records: Vec<Record>,
    ) -> Result<(), IntentError> {
        let (described, grant) = (described.clone(), grant.cloned());
        let begun = self.db.write(move |c| attempts::begin(c, &described, digest, grant.as_ref(), &records)).await;
        begun.map_err(|error| match error {
            StoreError::Conflict => IntentError::GrantSpent,
            other => IntentError::Store(other),
        })
    }

    async fn refuse(
        &self,
        described: &Described,
        digest: ActionDigest,
        code: &str,
        record: Record,
    ) -> Result<(), StoreError> {
        let (described, code) = (described.clone(), code.to_owned());
        self.db.write(move |c| attempts::refuse(c, &described, digest, &code, &record)).await
    }

    async fn revoke_grant(&self, grant: &GrantId, records: Vec<Record>) -> Result<(), StoreError> {
        let grant = grant.clone();
        self.db.write(move |c| attempts::revoke_grant(c, &grant, &records)).await
    }

    async fn unused_grant(&self, review: &ReviewId) -> Result<Option<Grant>, StoreError> {
        let review = review.clone();
        self.db.read(move |c| reviews::unused_grant_of(c, &review)).await
    }

    async fn append(&self, records: Vec<Record>) -> Result<(), StoreError> {
        self.db.write(move |c| records::append(c, &records)).await
    }

    async fn attempts(&self, limit: u32) -> Result<Vec<Attempt>, StoreError> {
        self.db.read(move |c| attempts::list(c, limit)).await
    }

    async fn attempt(&self, id: &ActionId) -> Result<Option<Attempt>, StoreError> {
        let id = id.clone();
        self.db.read(move |c| attempts::one(c, &id)).await
    }

    async fn close_unknown(&self, node: &str, now: Timestamp) -> Result<u64, StoreError> {
        let node = node.to_owned();
        self.db.write(move |c| attempts::close_unknown(c, &node, now)).await
    }
}

#[async_trait]
impl RecordSource for SqliteStore {
    async fn records_after(&self, seq: u64, limit: u32) -> Result<Vec<PendingRecord>, StoreError> {
        self.db.read(move |c| records::after(c, seq, limit)).await
    }

    async fn log_head(&self) -> Result<Option<LogHead>, StoreError> {
        self.db.read(records::head).await
    }

    async fn advance_head(&self, from: Option<LogHead>, to: LogHead, ended: Vec<Ended>) -> Result<(), StoreError> {
        self.db.write(move |c| records::advance(c, from.as_ref(), &to, &ended)).await
    }
}
