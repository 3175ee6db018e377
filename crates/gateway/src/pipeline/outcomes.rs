//! What came of a permit, as a protocol tells the line.

use countersign_core::record::Status;

/// What came of a permit.
#[derive(Debug, Clone)]
pub struct Outcomes {
    /// How it ended.
    pub status: Status,
    /// Rows, as the upstream counted them.
    pub rows: Option<u64>,
    /// Bytes that the client streamed in, and their SHA-256.
    pub stream: Option<(u64, String)>,
    /// From sending to the end, in microseconds.
    pub micros: u64,
    /// The upstream's error class.
    pub error: Option<String>,
}
