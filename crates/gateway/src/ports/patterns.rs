//! Patterns that people approved: kept with how often they were used, and ended at once.

use async_trait::async_trait;
use countersign_core::action::{ActionDigest, Described, FrameDigest, PatternId, ReviewId, Timestamp};
use countersign_core::pattern::{Approved, Use};
use countersign_core::record::Record;
use countersign_core::review::Review;

use super::{Attempt, IntentError, StoreError};

/// A pattern as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPattern {
    /// What was approved.
    pub approved: Approved,
    /// How often it was used.
    pub used: u32,
    /// Whether it was ended before its time.
    pub revoked: bool,
}

impl KeptPattern {
    /// `active`, `revoked`, `used_up` or `expired`.
    pub fn state(&self, now: Timestamp) -> &'static str {
        match self {
            Self { revoked: true, .. } => "revoked",
            Self { approved, used, .. } if *used >= approved.choice.limits.uses => "used_up",
            Self { approved, .. } if now >= approved.expires_at => "expired",
            Self { .. } => "active",
        }
    }
}

/// Patterns. State and records commit in one transaction, synced before the method returns.
#[async_trait]
pub trait Patterns: Send + Sync {
    /// Those of a frame that are still good, the one that ends first first.
    async fn patterns_of(&self, frame: FrameDigest, now: Timestamp) -> Result<Vec<KeptPattern>, StoreError>;
    /// One pattern.
    async fn pattern(&self, id: &PatternId) -> Result<Option<KeptPattern>, StoreError>;
    /// What a review yielded, if that was a pattern.
    async fn pattern_from(&self, review: &ReviewId) -> Result<Option<KeptPattern>, StoreError>;
    /// The newest first, at most `limit`; only those that are still good at a moment, if one is given.
    async fn patterns(&self, good_at: Option<Timestamp>, limit: u32) -> Result<Vec<KeptPattern>, StoreError>;
    /// What ran under a pattern, the oldest first.
    async fn pattern_uses(&self, id: &PatternId, limit: u32) -> Result<Vec<Attempt>, StoreError>;
    /// Replaces a review if it still has this version, keeps the pattern it yields, appends the records.
    async fn issue_pattern(
        &self,
        version: u64,
        review: &Review,
        approved: Approved,
        records: Vec<Record>,
    ) -> Result<(), StoreError>;
    /// Takes one use and appends the intent, in one transaction; the records learn the number of the use in it.
    async fn begin_under(
        &self,
        described: &Described,
        digest: ActionDigest,
        taken: &Use,
        records: Vec<Record>,
    ) -> Result<(), IntentError>;
    /// Ends a pattern that is still good.
    async fn revoke_pattern(&self, id: &PatternId, records: Vec<Record>) -> Result<(), StoreError>;
}
