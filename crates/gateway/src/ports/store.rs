//! Reviews, grants and attempts, and what the sequencer needs of the store.

use std::collections::BTreeSet;

use async_trait::async_trait;
use countersign_core::action::redact::Values;
use countersign_core::action::{ActionDigest, ActionId, Described, GrantId, PatternId, ReviewId, Timestamp};
use countersign_core::grant::Grant;
use countersign_core::record::{Record, Status};
use countersign_core::review::{Matter, Review};
use serde::{Deserialize, Serialize};

use super::{
    Attentions, Conversations, Destination, Disclosures, FollowUps, JournalError, Outbox, Patterns, StoreError, Tallies,
};

/// Bounds that keep reviewers from being flooded (threat 16).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReviewLimits {
    /// Open reviews one owner's agents may have at once.
    pub open_per_owner_max: u32,
    /// Open reviews in all.
    pub open_max: u32,
    /// How long the same fingerprint waits after a rejection, in seconds.
    pub rejected_wait_seconds: u32,
}

/// What became of the wish to have an action reviewed.
#[derive(Debug, Clone)]
pub enum Asked {
    /// A review was opened.
    Opened(Review),
    /// The same requester's review of the same action is open already.
    Joined(Review),
    /// It was approved already, and the grant is unused.
    Granted(Grant),
    /// The same was rejected a short while ago.
    RejectedRecently {
        /// The review that was rejected.
        review: ReviewId,
        /// When it may be asked again.
        until: Timestamp,
    },
    /// Too many reviews are open.
    TooMany {
        /// The bound that was reached.
        limit: u32,
    },
}

/// A review to be opened, unless the same one is there.
#[derive(Debug, Clone)]
pub struct Ask {
    /// What it would be.
    pub matter: Matter,
    /// The statement's shape, for the wait after a rejection.
    pub fingerprint: String,
    /// The bounds.
    pub limits: ReviewLimits,
    /// Where it is told of.
    pub places: BTreeSet<Destination>,
    /// What its card hides: sealed, and kept as long as the review is open.
    pub hidden: Values,
    /// The record of its opening.
    pub record: Record,
}

/// A review with the version that a change must name.
#[derive(Debug, Clone)]
pub struct Versioned {
    /// The review.
    pub review: Review,
    /// Its version in the store.
    pub version: u64,
}

/// Which reviews to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReviewFilter {
    /// Open ones, oldest first.
    #[default]
    Open,
    /// Closed ones, newest first.
    Closed,
    /// All, newest first.
    All,
}

/// An attempt as listed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attempt {
    /// Its handle.
    pub id: ActionId,
    /// Its digest.
    pub digest: ActionDigest,
    /// What it is.
    pub described: Described,
    /// `running`, `refused`, or a [`Status`].
    pub status: String,
    /// The stable code of a refusal, or the upstream's error class.
    pub code: Option<String>,
    /// The grant it used.
    pub grant: Option<GrantId>,
    /// The pattern that it took a use of.
    #[serde(default)]
    pub pattern: Option<PatternId>,
    /// When it was captured.
    pub at: Timestamp,
}

/// An outcome that the journal holds, for the store to apply.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The attempt.
    pub id: ActionId,
    /// How it ended.
    pub status: Status,
    /// The upstream's error class.
    pub error: Option<String>,
}

/// Why an intent was not recorded.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IntentError {
    /// The grant was used by another attempt, revoked, or has ended.
    #[error("the approval was used already, revoked, or has ended")]
    GrantSpent,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Reviews, grants and attempts. State and records commit in one transaction, synced before the method returns.
#[async_trait]
pub trait Store: FollowUps + Attentions + Conversations + Disclosures + Outbox + Patterns + Tallies {
    /// Opens a review, joins the open one, or finds the unused grant, in one transaction.
    async fn ask(&self, ask: Ask) -> Result<Asked, StoreError>;
    /// One review.
    async fn review(&self, id: &ReviewId) -> Result<Option<Versioned>, StoreError>;
    /// Reviews, at most `limit` of them.
    async fn reviews(&self, filter: ReviewFilter, limit: u32) -> Result<Vec<Review>, StoreError>;
    /// Open reviews whose time has run out.
    async fn reviews_due(&self, now: Timestamp) -> Result<Vec<Versioned>, StoreError>;
    /// Whether a vote that counts named this callback.
    async fn callback_used(&self, id: &str) -> Result<bool, StoreError>;
    /// Replaces a review if it still has this version, issues its grant, appends the records. A vote that names a callback which
    /// another has named conflicts.
    async fn save_review(
        &self,
        version: u64,
        review: &Review,
        grant: Option<Grant>,
        records: Vec<Record>,
    ) -> Result<(), StoreError>;
    /// Consumes a grant and appends the intent, in one transaction; synced when this returns.
    async fn begin(
        &self,
        described: &Described,
        digest: ActionDigest,
        grant: Option<&Grant>,
        records: Vec<Record>,
    ) -> Result<(), IntentError>;
    /// Keeps a refused attempt and its record.
    async fn refuse(
        &self,
        described: &Described,
        digest: ActionDigest,
        code: &str,
        record: Record,
    ) -> Result<(), StoreError>;
    /// Voids a grant that was not used.
    async fn revoke_grant(&self, grant: &GrantId, records: Vec<Record>) -> Result<(), StoreError>;
    /// The grant that a review yielded, if it was neither used nor voided.
    async fn unused_grant(&self, review: &ReviewId) -> Result<Option<Grant>, StoreError>;
    /// Appends records that change no state.
    async fn append(&self, records: Vec<Record>) -> Result<(), StoreError>;
    /// The latest attempts, newest first.
    async fn attempts(&self, limit: u32) -> Result<Vec<Attempt>, StoreError>;
    /// One attempt.
    async fn attempt(&self, id: &ActionId) -> Result<Option<Attempt>, StoreError>;
    /// Closes every attempt that a former run of this node left running, as unknown. Returns how many.
    async fn close_unknown(&self, node: &str, now: Timestamp) -> Result<u64, StoreError>;
}

/// Where the log stands: what is integrated, and from where it goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogHead {
    /// Leaves integrated.
    pub size: u64,
    /// The tree's root, in hexadecimal.
    pub root: String,
    /// The last store record integrated.
    pub store_seq: u64,
    /// The journal file being read.
    pub journal_file: u64,
    /// The position in it.
    pub journal_offset: u64,
    /// The signed checkpoint.
    pub checkpoint: String,
}

/// A store record that waits for the sequencer.
#[derive(Debug, Clone)]
pub struct PendingRecord {
    /// Its place in the store.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// The leaf.
    pub leaf: Vec<u8>,
}

/// What the sequencer needs of the store.
#[async_trait]
pub trait RecordSource: Send + Sync {
    /// Records after `seq`, in order, at most `limit`.
    async fn records_after(&self, seq: u64, limit: u32) -> Result<Vec<PendingRecord>, StoreError>;
    /// Where the log stands; `None` before the first checkpoint.
    async fn log_head(&self) -> Result<Option<LogHead>, StoreError>;
    /// Moves the head from exactly `from` to `to` and applies outcomes, in one synced transaction.
    async fn advance_head(&self, from: Option<LogHead>, to: LogHead, ended: Vec<Ended>) -> Result<(), StoreError>;
}
