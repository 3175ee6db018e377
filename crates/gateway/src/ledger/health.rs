//! The ledger's alarm: set once by the part that failed, read by the gateway before anything with effect.
//!
//! There is no way back but a restart: after a failed write nothing that follows can be trusted (a failed sync may report
//! success when it is retried while the block on disk is bad).

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::Serialize;

/// The part that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The journal of reads and outcomes.
    Journal,
    /// What integrates records into the log and signs it.
    Sequencer,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Journal => "journal",
            Self::Sequencer => "sequencer",
        })
    }
}

/// Why the ledger takes no more records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("the ledger's {part} stopped: {reason}")]
pub struct Failure {
    /// The part that failed first.
    pub part: Part,
    /// Why, in words.
    pub reason: String,
}

/// Shared between the parts that may fail and those that must know.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<OnceLock<Failure>>);

impl Health {
    /// Whether records can be taken.
    ///
    /// # Errors
    /// The first [`Failure`]; everything with effect is refused from then on.
    pub fn check(&self) -> Result<(), Failure> {
        self.0.get().map_or(Ok(()), |failure| Err(failure.clone()))
    }

    /// Raises the alarm; the first failure is kept.
    pub(super) fn fail(&self, part: Part, reason: &str) {
        tracing::error!(%part, reason, "the ledger stopped; everything with effect is refused until a restart");
        // A second failure follows from the first, or adds nothing to a gateway that refuses already.
        let _ = self.0.set(Failure { part, reason: reason.to_owned() });
    }
}
