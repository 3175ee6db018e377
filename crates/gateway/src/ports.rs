//! The traits through which the line reaches the outside world; adapters live in `store`, `ledger`, `vault`.
//!
//! `pipeline`, `resolve`, `api`, `console` and the channels know these and the core, never an adapter. Every failure of a
//! port is a refusal (invariant I4): none of the methods here may report success for something that did not happen.

use std::collections::BTreeSet;

use async_trait::async_trait;
use countersign_core::action::{
    ActionDigest, ActionId, AgentId, Described, GrantId, PersonId, PersonRef, ReviewId, Timestamp,
};
use countersign_core::grant::Grant;
use countersign_core::record::{Event, Record, Status};
use countersign_core::review::{Matter, Review};
use serde::{Deserialize, Serialize};

/// The time, never earlier than what was last recorded.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The append-only journal of effect-free reads and of outcomes.
///
/// A record is staged, then released. Between the two, what the record is about may run if it is effect-free, but nobody may
/// hear of it: **no byte of an answer leaves before the record behind it is released**. Staging many and releasing once is
/// one write for all of them. What was staged and never released reaches the disk within the time given below, unless the
/// process ends first; nobody has heard of it then.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Takes a record, in memory. Does not block.
    ///
    /// # Errors
    /// [`JournalError`]; the journal is closed for good unless the record itself is at fault.
    fn stage(&self, record: &Record) -> Result<Receipt, JournalError>;

    /// Returns once the operating system has the record and all before it (they survive a crash of this process); they are
    /// synced to disk within 10 ms. Does not wait for the disk, but says whether the answer has to
    /// (`[ledger] reads = "durable"`).
    ///
    /// # Errors
    /// [`JournalError`]; the journal is then closed for good. The answer must not leave.
    fn release(&self, receipt: Receipt) -> Result<Release, JournalError>;

    /// Waits until the record and all before it are on disk, without holding a thread. May be dropped.
    ///
    /// # Errors
    /// [`JournalError`], likewise.
    async fn synced(&self, receipt: Receipt) -> Result<(), JournalError>;

    /// Stages, releases, and waits for the disk where answers have to.
    ///
    /// # Errors
    /// [`JournalError`], likewise.
    async fn record(&self, record: &Record) -> Result<(), JournalError> {
        let receipt = self.stage(record)?;
        match self.release(receipt)? {
            Release::Now => Ok(()),
            Release::AfterSync => self.synced(receipt).await,
        }
    }
}

/// A place in the journal: everything staged up to there. A later one covers the earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[must_use = "an answer may leave only once its record is released"]
pub struct Receipt(u64);

impl Receipt {
    /// At so many bytes since the journal was opened.
    pub fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// How many bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

/// When an answer may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Release {
    /// Now: the operating system has its record.
    Now,
    /// Once the record is on disk: [`Journal::synced`].
    AfterSync,
}

/// The journal cannot take records.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// An earlier write or sync failed; nothing after it can be trusted, so nothing is accepted until a restart.
    #[error("the journal is closed after an earlier failure: {0}")]
    Closed(String),
    /// The record cannot be encoded.
    #[error("the record cannot be written: {0}")]
    Encode(String),
}

/// Why the store did not do what was asked. Nothing of it happened then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database failed; after a failed commit the store refuses until a restart.
    #[error("the store failed: {0}")]
    Unavailable(String),
    /// Something else got there first.
    #[error("somebody else changed it first")]
    Conflict,
    /// There is no such thing.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// The name is taken.
    #[error("the name `{0}` is taken")]
    NameTaken(String),
}

/// A person as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The random handle.
    pub id: PersonId,
    /// The name they are added, shown and asked for by; unique.
    pub name: String,
    /// Their address.
    pub email: Option<String>,
    /// The groups they belong to.
    pub groups: BTreeSet<String>,
    /// A suspended person neither signs in nor counts.
    pub suspended: bool,
    /// When they were added.
    pub created_at: Timestamp,
}

impl Person {
    /// As a request knows them.
    pub fn as_ref(&self) -> PersonRef {
        PersonRef { id: self.id.clone(), name: self.name.clone() }
    }
}

/// An agent as stored; its key is not among it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// The random handle.
    pub id: AgentId,
    /// What it logs in as; unique.
    pub name: String,
    /// The person who answers for it.
    pub owner: PersonId,
    /// The groups it belongs to.
    pub groups: BTreeSet<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

/// What PostgreSQL's SCRAM-SHA-256 needs to check a key without knowing it (RFC 5802 §3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScramVerifier {
    /// The random salt.
    pub salt: Vec<u8>,
    /// PBKDF2 rounds.
    pub iterations: u32,
    /// `H(ClientKey)`.
    pub stored_key: [u8; 32],
    /// The key the server proves itself with.
    pub server_key: [u8; 32],
}

/// What a person's token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    /// Read reviews, actions and the record.
    #[serde(rename = "review:read")]
    ReviewRead,
    /// The same, and vote.
    #[serde(rename = "review:vote")]
    ReviewVote,
}

/// A person's credential as stored: a token of the API, or a session of the console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Its handle.
    pub id: String,
    /// Whose it is.
    pub person: PersonId,
    /// What it may do.
    pub scope: Scope,
    /// Minted on the gateway's own host rather than proved to an identity provider.
    pub local: bool,
    /// When its holder last authenticated.
    pub authenticated_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// What kind of secret a hash belongs to. Each kind is looked up only as itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// A bearer token of the API.
    Token,
    /// A single-use link that starts a console session.
    LoginLink,
    /// A console session's cookie.
    Session,
}

/// The SHA-256 of a secret that was made with 256 random bits; the secret itself is never stored.
pub type SecretHash = [u8; 32];

/// Who is who.
#[async_trait]
pub trait Directory: Send + Sync {
    /// Adds a person.
    async fn add_person(&self, person: Person, record: Record) -> Result<(), StoreError>;
    /// Replaces a person's groups and suspension.
    async fn update_person(&self, person: Person, record: Record) -> Result<(), StoreError>;
    /// Everyone.
    async fn people(&self) -> Result<Vec<Person>, StoreError>;
    /// Adds an agent with the verifier and hash of its key.
    async fn add_agent(
        &self,
        agent: Agent,
        verifier: ScramVerifier,
        key: SecretHash,
        record: Record,
    ) -> Result<(), StoreError>;
    /// Revokes an agent by name.
    async fn revoke_agent(&self, name: &str, record: Record) -> Result<(), StoreError>;
    /// Every agent, revoked ones included.
    async fn agents(&self) -> Result<Vec<Agent>, StoreError>;
    /// An agent that may log in, with its verifier.
    async fn agent_login(&self, name: &str) -> Result<Option<(Agent, ScramVerifier)>, StoreError>;
    /// The agent whose key hashes to this.
    async fn agent_by_key(&self, key: &SecretHash) -> Result<Option<Agent>, StoreError>;
    /// Adds a person's credential.
    async fn add_credential(
        &self,
        kind: CredentialKind,
        hash: SecretHash,
        credential: Credential,
        record: Option<Record>,
    ) -> Result<(), StoreError>;
    /// The credential with this hash, if it has not ended.
    async fn credential(
        &self,
        kind: CredentialKind,
        hash: &SecretHash,
        now: Timestamp,
    ) -> Result<Option<Credential>, StoreError>;
    /// Ends a credential and returns it: of two callers with the same link, one gets it.
    async fn take_credential(
        &self,
        kind: CredentialKind,
        hash: &SecretHash,
        now: Timestamp,
        record: Option<Record>,
    ) -> Result<Option<Credential>, StoreError>;
}

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
pub trait Store: Send + Sync {
    /// Opens a review, joins the open one, or finds the unused grant, in one transaction.
    async fn ask(&self, ask: Ask) -> Result<Asked, StoreError>;
    /// One review.
    async fn review(&self, id: &ReviewId) -> Result<Option<Versioned>, StoreError>;
    /// Reviews, at most `limit` of them.
    async fn reviews(&self, filter: ReviewFilter, limit: u32) -> Result<Vec<Review>, StoreError>;
    /// Open reviews whose time has run out.
    async fn reviews_due(&self, now: Timestamp) -> Result<Vec<Versioned>, StoreError>;
    /// Replaces a review if it still has this version, issues its grant, appends the records.
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
    async fn revoke_grant(&self, grant: &GrantId, record: Record) -> Result<(), StoreError>;
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

/// The credential of an upstream; leaves the vault only where a permit is executed.
#[async_trait]
pub trait Vault: Send + Sync {
    /// The secret of a target.
    ///
    /// # Errors
    /// [`VaultError`]; the action is refused.
    async fn secret(&self, target: &str) -> Result<secrecy::SecretString, VaultError>;
}

/// The vault has no secret for a target, or cannot read it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the credential of target `{target}` cannot be read: {detail}")]
pub struct VaultError {
    /// The target.
    pub target: String,
    /// What went wrong, without the secret.
    pub detail: String,
}

/// Makes a record of an event, now, by this gateway.
#[derive(Clone)]
pub struct Scribe {
    clock: std::sync::Arc<dyn Clock>,
    node: String,
}

impl Scribe {
    /// For one gateway.
    pub fn new(clock: std::sync::Arc<dyn Clock>, node: String) -> Self {
        Self { clock, node }
    }

    /// The record.
    pub fn record(&self, event: Event) -> Record {
        Record { at: self.clock.now(), node: self.node.clone(), event }
    }

    /// The clock behind it.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// This gateway's name.
    pub fn node(&self) -> &str {
        &self.node
    }
}

/// One leaf of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its index.
    pub index: u64,
    /// The canonical JSON of its record.
    pub leaf: String,
}

/// A file of the log as C2SP lays it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// Its media type.
    pub content_type: &'static str,
    /// Whether it never changes once published.
    pub immutable: bool,
    /// Its bytes; at most a full entry tile, 16 MiB.
    pub bytes: Vec<u8>,
}

/// Why the log cannot answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// There is no such leaf or checkpoint yet.
    #[error("the log has no {0} yet")]
    Absent(String),
    /// It cannot be read, or has stopped.
    #[error("the log cannot be read: {0}")]
    Unavailable(String),
}

/// The published log, for those who read and verify it.
#[async_trait]
pub trait LogView: Send + Sync {
    /// The latest signed checkpoint.
    async fn checkpoint(&self) -> Result<String, LogError>;
    /// The verifier key that auditors are given.
    fn verifier_key(&self) -> String;
    /// A tile or the checkpoint by its C2SP path; `None` for any other path.
    async fn file(&self, path: &str) -> Result<Option<LogFile>, LogError>;
    /// Leaves by index, at most 1,000 of them.
    async fn entries(&self, range: std::ops::Range<u64>) -> Result<Vec<LogEntry>, LogError>;
    /// Leaves in the published log.
    async fn size(&self) -> Result<u64, LogError>;
    /// The inclusion proof of a leaf, as a `.tlog-proof`.
    async fn prove(&self, index: u64) -> Result<String, LogError>;
    /// Integrates and publishes everything recorded before the call.
    async fn flush(&self) -> Result<(), LogError>;
    /// Whether the journal and the sequencer still work.
    fn health(&self) -> Result<(), LogError>;
}
