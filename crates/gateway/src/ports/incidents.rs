//! Incidents that people declared.

use async_trait::async_trait;
use countersign_core::action::{PersonId, Timestamp};
use countersign_core::record::Record;
use serde::{Deserialize, Serialize};

use super::StoreError;

/// Somebody said that there is an incident, for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its handle.
    pub id: String,
    /// Who declared it.
    pub by: PersonId,
    /// Their name then.
    pub name: String,
    /// What is going on, in their words.
    pub reason: String,
    /// When.
    pub declared_at: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
}

/// Incidents; those that ended are the record's alone.
#[async_trait]
pub trait Incidents: Send + Sync {
    /// Keeps one.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when its person has declared one that goes on, or `max` go on already.
    async fn declare_incident(&self, incident: Incident, max: u32, records: Vec<Record>) -> Result<(), StoreError>;

    /// Those that nobody has ended, also where their time is over; the one declared first first.
    async fn incidents(&self) -> Result<Vec<Incident>, StoreError>;

    /// Ends one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it has ended.
    async fn end_incident(&self, id: &str, records: Vec<Record>) -> Result<(), StoreError>;
}
