//! The published log, for those who read and verify it.

use async_trait::async_trait;

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
    /// The proof that the published log only grew since it had `old` leaves, and its checkpoint, as witnesses are asked with.
    async fn growth(&self, old: u64) -> Result<String, LogError>;
    /// Integrates and publishes everything recorded before the call.
    async fn flush(&self) -> Result<(), LogError>;
    /// Whether the journal and the sequencer still work.
    fn health(&self) -> Result<(), LogError>;
}
