//! The journal: records of effect-free reads and of outcomes, staged and then released.

use async_trait::async_trait;
use countersign_core::record::Record;

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
