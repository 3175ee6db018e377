//! What cards hide, as long as their reviews are open, and who has looked at it.

use std::collections::BTreeSet;

use async_trait::async_trait;
use countersign_core::action::redact::Values;
use countersign_core::action::{PersonId, ReviewId};
use countersign_core::record::Record;

use super::StoreError;

/// How often one person may compare one value of a review.
pub const COMPARISONS_MAX: u32 = 5;

/// What a person did about hidden values, by placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// They are about to be shown these.
    Reveal(BTreeSet<String>),
    /// They compared one with a value they expected.
    Compare {
        /// Which.
        mark: String,
        /// Whether it was the same.
        equal: bool,
    },
}

/// Hidden values and who knows them. The values are sealed, and gone once their review is closed.
#[async_trait]
pub trait Disclosures: Send + Sync {
    /// What the card of a review hides; nothing once it is closed.
    async fn hidden_values(&self, review: &ReviewId) -> Result<Values, StoreError>;
    /// The placeholders of a review whose values a person knows: they were shown them, or expected them.
    async fn disclosed(&self, review: &ReviewId, person: &PersonId) -> Result<BTreeSet<String>, StoreError>;
    /// Notes what a person did and appends its record, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the review is not open any more, [`StoreError::Conflict`] when the person has compared
    /// this value [`COMPARISONS_MAX`] times.
    async fn disclose(
        &self,
        review: &ReviewId,
        person: &PersonId,
        look: Look,
        record: Record,
    ) -> Result<(), StoreError>;
}
