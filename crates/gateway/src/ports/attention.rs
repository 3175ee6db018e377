//! What was done to have open reviews looked at, kept beside them: it changes without changing what is voted on.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use countersign_core::action::{ReviewId, Timestamp};
use countersign_core::record::Record;
use countersign_core::review::Review;
use countersign_core::review::attention::Attention;

use super::{Destination, StoreError};

/// Escalations and reminders. Each review has its entry from when it opens; closing it ends what was to come.
#[async_trait]
pub trait Attentions: Send + Sync {
    /// Open reviews that are to be attended to by now, with what was done so far; a bounded number, the longest due first.
    async fn attentions_due(&self, now: Timestamp) -> Result<Vec<(Review, Attention)>, StoreError>;
    /// Replaces what was done, if it is still what it was and the review is open; adds places where it is told of; appends
    /// the records.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it closed, or somebody else did it first.
    async fn attend(
        &self,
        review: &Review,
        before: &Attention,
        after: &Attention,
        places: BTreeSet<Destination>,
        records: Vec<Record>,
    ) -> Result<(), StoreError>;
    /// What was done for these reviews; those for which nothing was are left out.
    async fn attentions(&self, reviews: Vec<ReviewId>) -> Result<BTreeMap<ReviewId, Attention>, StoreError>;
}
