//! Conversations that a bot was brought into: a service tells of them once, and they are written to ever after.

use async_trait::async_trait;
use countersign_core::action::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Destination, StoreError};

/// One conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// What policies and the configuration call it.
    pub place: Destination,
    /// What the service calls it.
    pub id: String,
    /// Where the service is written to about it.
    pub service_url: String,
    /// When it was heard of last.
    pub learned_at: Timestamp,
}

/// The conversations that are known.
#[async_trait]
pub trait Conversations: Send + Sync {
    /// Remembers a conversation, or where it has moved.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when too many are known.
    async fn learn(&self, conversation: &Conversation) -> Result<(), StoreError>;
    /// Forgets it, if it is known.
    async fn forget(&self, place: &Destination) -> Result<(), StoreError>;
    /// The conversation at a place.
    async fn conversation(&self, place: &Destination) -> Result<Option<Conversation>, StoreError>;
}
