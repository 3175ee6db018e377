//! What can be wrong with a log, and where: the words a stranger reads.

use std::fmt;
use std::ops::Range;

use super::claims::ClaimedBy;
use super::votes::VoteError;
use crate::checkpoint;
use crate::source::SourceError;
use crate::tile::TilePath;

/// What is wrong with a log.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Source(#[from] SourceError),
    /// There is no checkpoint.
    #[error("there is no file `checkpoint`: nothing says what the log should contain")]
    CheckpointMissing,
    /// The checkpoint is not signed by the log's key, malformed, or another log's.
    #[error("the checkpoint is refused")]
    Checkpoint(#[source] checkpoint::Error),
    /// The saved checkpoint to compare with is refused.
    #[error("the saved checkpoint is refused")]
    Since(#[source] checkpoint::Error),
    /// A line of the history is not a signed checkpoint of this log.
    #[error("line {line} of the checkpoint history is refused")]
    HistoryCheckpoint {
        /// The line, from 1.
        line: u64,
        /// Why.
        #[source]
        cause: checkpoint::Error,
    },
    /// A line of the history is not base64, or too long.
    #[error("line {line} of the checkpoint history is malformed")]
    HistoryLine {
        /// The line, from 1.
        line: u64,
    },
    /// The history's sizes decrease.
    #[error("the checkpoint history goes back from {before} to {size} leaves in line {line}")]
    HistoryOrder {
        /// The line, from 1.
        line: u64,
        /// The size before.
        before: u64,
        /// The smaller size.
        size: u64,
    },
    /// Two signed statements contradict each other: the key's holder told two stories.
    #[error("{claimed_by} for {size} leaves is signed but contradicts the log: two versions of it were signed")]
    Fork {
        /// The size at which they differ.
        size: u64,
        /// Who claims otherwise.
        claimed_by: ClaimedBy,
    },
    /// The log is shorter than a signed checkpoint says it once was.
    #[error("the log was cut back: its checkpoint covers {size} leaves, but {claimed_by} covers {seen}")]
    Rollback {
        /// The checkpoint's size.
        size: u64,
        /// The larger size.
        seen: u64,
        /// Who says so.
        claimed_by: ClaimedBy,
    },
    /// An entry is not the one that was logged.
    #[error("an entry was changed")]
    Changed,
    /// An entry is gone.
    #[error("an entry is missing from `{path}`")]
    Missing {
        /// Where it should be.
        path: TilePath,
    },
    /// An entry is in another one's place.
    #[error("entries were reordered: this one and the one at index {other} are not in their places")]
    Reordered {
        /// Where the entry found here belongs, or where the one that belongs here is.
        other: u64,
    },
    /// There is an entry that was never logged.
    #[error("`{path}` holds an entry that was never logged")]
    Extra {
        /// Where it is.
        path: TilePath,
    },
    /// The tree over all entries does not have the signed root.
    #[error("the entries do not add up to the signed root")]
    RootMismatch,
    /// The entries are as signed, but a file of hashes over them is not.
    #[error("`{path}` is damaged or missing: the entries are as signed, the hashes stored for them are not")]
    HashTile {
        /// The file.
        path: TilePath,
    },
    /// A vote says that a passkey signed it, and it did not.
    #[error("a vote that is recorded as signed by a passkey is not believed")]
    Vote(#[source] VoteError),
    /// Too few of the given witnesses cosigned.
    #[error("{found} of the given witnesses cosigned; {required} are required")]
    Unwitnessed {
        /// Cosignatures that verified.
        found: usize,
        /// How many must.
        required: usize,
    },
}

impl Problem {
    /// A stable word for it, as `--json` prints it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Source(_) => "unreadable",
            Self::CheckpointMissing => "checkpoint_missing",
            Self::Checkpoint(cause) => checkpoint_code(cause),
            Self::Since(_) => "since_refused",
            Self::HistoryCheckpoint { .. } | Self::HistoryLine { .. } => "history_refused",
            Self::HistoryOrder { .. } => "history_order",
            Self::Fork { .. } => "fork",
            Self::Rollback { .. } => "rollback",
            Self::Changed => "changed",
            Self::Missing { .. } => "missing",
            Self::Reordered { .. } => "reordered",
            Self::Extra { .. } => "extra",
            Self::RootMismatch => "root_mismatch",
            Self::HashTile { .. } => "hash_tile",
            Self::Vote(_) => "vote",
            Self::Unwitnessed { .. } => "unwitnessed",
        }
    }
}

fn checkpoint_code(cause: &checkpoint::Error) -> &'static str {
    use crate::note::Error as Note;
    use checkpoint::Error;
    match cause {
        Error::Note(Note::BadSignature(_) | Note::Unsigned) | Error::LogSignature => "checkpoint_signature",
        Error::Note(_) | Error::Lines | Error::Size(_) | Error::Root(_) => "checkpoint_malformed",
        Error::Origin { .. } => "checkpoint_origin",
        Error::LogKey(_) => "key",
    }
}

/// A log that did not verify.
#[derive(Debug)]
pub struct VerifyError {
    problem: Box<Problem>,
    leaves: Option<Range<u64>>,
}

impl VerifyError {
    pub(super) fn within(problem: Problem, leaves: Range<u64>) -> Self {
        Self { problem: Box::new(problem), leaves: Some(leaves).filter(|leaves| !leaves.is_empty()) }
    }

    /// What is wrong.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The first leaf that cannot be believed, where one can be named: exact, or the start of [`VerifyError::range`].
    pub fn first_bad_leaf(&self) -> Option<u64> {
        self.leaves.as_ref().map(|leaves| leaves.start)
    }

    /// The leaves among which the first bad one is, where it cannot be named exactly.
    pub fn range(&self) -> Option<Range<u64>> {
        self.leaves.clone().filter(|leaves| leaves.end - leaves.start > 1)
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.problem)?;
        match (&self.range(), self.first_bad_leaf()) {
            (Some(range), _) => write!(f, " (first bad leaf: one of {} to {})", range.start, range.end - 1),
            (None, Some(leaf)) => write!(f, " (first bad leaf: {leaf})"),
            (None, None) => Ok(()),
        }
    }
}

impl std::error::Error for VerifyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(self.problem.as_ref())
    }
}

impl<P: Into<Problem>> From<P> for VerifyError {
    fn from(problem: P) -> Self {
        Self { problem: Box::new(problem.into()), leaves: None }
    }
}
