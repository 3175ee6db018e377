//! Broken glass, until somebody who had been asked has looked at it.

use async_trait::async_trait;
use countersign_core::action::{ActionId, ReviewId, Timestamp};
use countersign_core::record::Record;
use countersign_core::review::{Review, SignOff};

use super::StoreError;

/// What became of the approval that a broken glass yielded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    /// Not used, and it still may be.
    Unused,
    /// This attempt used it.
    Used(ActionId),
    /// It was voided before anybody used it.
    Voided,
    /// Its time ran out before anybody used it.
    Ended,
}

impl Use {
    /// The name used in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Use::Unused => "unused",
            Use::Used(_) => "used",
            Use::Voided => "voided",
            Use::Ended => "ended",
        }
    }
}

/// A broken glass and what was said of it since.
#[derive(Debug, Clone)]
pub struct FollowUp {
    /// The review whose glass was broken.
    pub review: Review,
    /// What became of its approval.
    pub used: Use,
    /// Who signed it off; absent while it is to be done.
    pub done: Option<SignOff>,
}

/// The follow-ups. One comes to be in the transaction that closes a review by broken glass, and never goes away.
#[async_trait]
pub trait FollowUps: Send + Sync {
    /// Those to be done, oldest first, or with `all` every one, newest first; at most `limit`.
    async fn follow_ups(&self, all: bool, now: Timestamp, limit: u32) -> Result<Vec<FollowUp>, StoreError>;
    /// One of them.
    async fn follow_up(&self, review: &ReviewId, now: Timestamp) -> Result<Option<FollowUp>, StoreError>;
    /// Signs one off.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it is signed off already, or there is none.
    async fn sign_off(&self, review: &ReviewId, sign_off: SignOff, records: Vec<Record>) -> Result<(), StoreError>;
}
