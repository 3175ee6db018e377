//! Duties that people give to others while they are away.

use std::collections::BTreeSet;

use async_trait::async_trait;
use countersign_core::action::{PersonId, Timestamp};
use countersign_core::record::Record;
use serde::{Deserialize, Serialize};

use super::StoreError;

/// A reviewer's duty, given to somebody else for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duty {
    /// Its handle.
    pub id: String,
    /// Whose it is.
    pub of: PersonId,
    /// Who does it.
    pub deputy: PersonId,
    /// For which of their groups; what they are not in any more counts for nothing.
    pub groups: BTreeSet<String>,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// When it was given.
    pub given_at: Timestamp,
}

/// Duties; those that ended are the record's alone.
#[async_trait]
pub trait Duties: Send + Sync {
    /// Keeps a duty.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when that person has given `max` of them already.
    async fn add_duty(&self, duty: Duty, max: u32, record: Record) -> Result<(), StoreError>;
    /// Those that are, or will be, in force.
    async fn duties(&self, now: Timestamp) -> Result<Vec<Duty>, StoreError>;
    /// Ends one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it has ended.
    async fn end_duty(&self, id: &str, record: Record) -> Result<(), StoreError>;
}
