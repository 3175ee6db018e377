//! The bundles of policies that were in force, the one that is, and changes that wait for people.

use std::collections::BTreeSet;

use async_trait::async_trait;
use countersign_core::action::{ActionDigest, BundleDigest, Timestamp};
use countersign_core::grant::Grant;
use countersign_core::policy::Source;
use countersign_core::record::Record;
use serde::{Deserialize, Serialize};

use super::StoreError;

/// A bundle as kept: enough to load it again, whatever has become of the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptBundle {
    /// Its digest when it was kept.
    pub digest: BundleDigest,
    /// The groups that its policies may name.
    pub groups: BTreeSet<String>,
    /// Its files, in the order of their names.
    pub sources: Vec<KeptSource>,
}

/// A policy file as kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSource {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
}

impl From<Source> for KeptSource {
    fn from(Source { name, text }: Source) -> Self {
        Self { name, text }
    }
}

impl From<KeptSource> for Source {
    fn from(KeptSource { name, text }: KeptSource) -> Self {
        Self { name, text }
    }
}

/// Bundles, and changes of the gate that wait. State and records commit in one transaction.
#[async_trait]
pub trait Bundles: Send + Sync {
    /// The bundle in force; none before the first start.
    async fn bundle_in_force(&self) -> Result<Option<KeptBundle>, StoreError>;
    /// A bundle that is, or was, in force.
    async fn bundle(&self, digest: BundleDigest) -> Result<Option<KeptBundle>, StoreError>;
    /// Puts a bundle in force in the place of `from`, and appends the records.
    ///
    /// [`StoreError::Conflict`] when another than `from` is in force.
    async fn activate_bundle(
        &self,
        from: Option<BundleDigest>,
        to: KeptBundle,
        at: Timestamp,
        records: Vec<Record>,
    ) -> Result<(), StoreError>;
    /// Keeps the bytes of a change that people will be asked about, by the digest of its action.
    async fn keep_change(&self, action: ActionDigest, payload: String, at: Timestamp) -> Result<(), StoreError>;
    /// The bytes of a change.
    async fn change(&self, action: ActionDigest) -> Result<Option<String>, StoreError>;
    /// The unused grants of changes.
    async fn granted_changes(&self, now: Timestamp) -> Result<Vec<Grant>, StoreError>;
}
