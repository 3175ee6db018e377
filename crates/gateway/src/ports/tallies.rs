//! Counts over what happened, for pages that show how much and how fast.

use async_trait::async_trait;
use countersign_core::action::Timestamp;

use super::StoreError;

/// How many attempts of one stretch of time have one status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Which stretch, from 0.
    pub stretch: u64,
    /// `running`, `refused`, or a status of an outcome.
    pub status: String,
    /// How many.
    pub count: u64,
}

/// A review that was opened and is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// How it ended.
    pub outcome: String,
    /// After how many seconds.
    pub seconds: i64,
}

/// Counts. They are made of columns, never of bodies, so that a long span costs little.
#[async_trait]
pub trait Tallies: Send + Sync {
    /// Attempts since a time, by stretches of so many seconds from it, at least one second each.
    async fn tallies(&self, since: Timestamp, stretch_seconds: u32) -> Result<Vec<Tally>, StoreError>;
    /// Reviews that closed since a time, the newest first, at most `limit`.
    async fn waits(&self, since: Timestamp, limit: u32) -> Result<Vec<Wait>, StoreError>;
}
