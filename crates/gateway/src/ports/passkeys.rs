//! People's passkeys: enrolled, used by compare-and-swap, removed.

use async_trait::async_trait;
use countersign_core::action::{PersonId, Timestamp};
use countersign_core::record::{EnrolledPasskey, Record};
use countersign_core::review::PasskeyUse;
use serde::{Deserialize, Serialize};

use super::StoreError;

/// A passkey as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passkey {
    /// Its handle.
    pub id: String,
    /// Whose.
    pub person: PersonId,
    /// What its holder calls it.
    pub label: String,
    /// The credential's id, base64url.
    pub credential: String,
    /// What its assertions are verified with, in the form of whoever verifies them.
    pub verifier: serde_json::Value,
    /// The last signature counter it showed; stays 0 for one that does not count.
    pub counter: u32,
    /// What the record of its enrolment says.
    pub enrolled: EnrolledPasskey,
    /// Whether copies of it existed when it was last used.
    pub synced: bool,
    /// Enrolled by somebody who had signed in with what the gateway's own host minted.
    pub local: bool,
    /// When it was enrolled.
    pub added_at: Timestamp,
    /// When it last signed a vote.
    pub used_at: Option<Timestamp>,
}

impl Passkey {
    /// As a vote names it. One whose copies may exist counts as synced, whether or not they do by now.
    pub fn as_used(&self) -> PasskeyUse {
        PasskeyUse { id: self.id.clone(), synced: self.synced || self.enrolled.backup_eligible, local: self.local }
    }
}

/// Who can sign with what.
#[async_trait]
pub trait Passkeys: Send + Sync {
    /// Adds a passkey to a person who has fewer than `max`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when they have as many; [`StoreError::NameTaken`] when the credential is known.
    async fn add_passkey(&self, passkey: Passkey, max: u32, record: Record) -> Result<(), StoreError>;
    /// The passkeys of a person that were not removed, oldest first.
    async fn passkeys(&self, person: &PersonId) -> Result<Vec<Passkey>, StoreError>;
    /// Notes a use. False when it was removed, or its counter did not advance: somebody holds a copy of it then.
    async fn use_passkey(&self, id: &str, counter: u32, synced: bool, now: Timestamp) -> Result<bool, StoreError>;
    /// Gives a person's passkey another name.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn rename_passkey(&self, person: &PersonId, id: &str, label: String) -> Result<(), StoreError>;
    /// Removes a person's passkey; no vote by it is accepted from now on.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn remove_passkey(&self, person: &PersonId, id: &str, record: Record) -> Result<(), StoreError>;
}
