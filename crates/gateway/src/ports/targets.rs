//! The targets in force, as they were last approved or taken.

use async_trait::async_trait;
use countersign_core::record::Record;

use super::StoreError;
use crate::config::Target;

/// What agents reach. State and records commit in one transaction.
#[async_trait]
pub trait TargetStore: Send + Sync {
    /// The targets in force, without their secrets; none before the first start.
    async fn targets_in_force(&self) -> Result<Option<Vec<Target>>, StoreError>;
    /// Puts targets in force in the place of those before.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when others are in force.
    async fn set_targets(
        &self,
        before: Option<Vec<Target>>,
        after: Vec<Target>,
        records: Vec<Record>,
    ) -> Result<(), StoreError>;
}
