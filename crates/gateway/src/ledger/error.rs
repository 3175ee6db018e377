//! What can go wrong when the ledger is opened or moves on. Each variant but the refusals carries its cause.

use std::io;
use std::path::{Path, PathBuf};

use countersign_tlog::{append, checkpoint, proof, source};

use super::{journal, keys};
use crate::ports::{JournalError, StoreError};

/// Why the ledger does not open, or why it stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder of the log cannot be used.
    #[error("cannot use `{path}`")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Another process writes this log.
    #[error("`{path}` is locked: another gateway uses this data folder")]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// The log's key cannot be used.
    #[error("the log's key cannot be used")]
    Key(#[from] keys::Error),
    /// The store did not answer, or refused.
    #[error("the log's place in the store cannot be read or moved")]
    Store(#[from] StoreError),
    /// The journal's files cannot be used.
    #[error("the journal cannot be used")]
    JournalFiles(#[from] journal::Error),
    /// The journal stopped.
    #[error("the journal stopped")]
    Journal(#[from] JournalError),
    /// The tree cannot be resumed, or leaves not added to it.
    #[error("the log's tiles and the store's head do not fit")]
    Append(#[from] append::Error),
    /// A tile cannot be read.
    #[error("the log's tiles cannot be read")]
    Source(#[from] source::SourceError),
    /// A checkpoint cannot be signed, or one on disk is refused.
    #[error("a checkpoint is refused")]
    Checkpoint(#[from] checkpoint::Error),
    /// The store's head is not what its own checkpoint says.
    #[error("the store's head does not match the checkpoint stored with it")]
    HeadMismatch,
    /// The tiles have another root than the store's head.
    #[error("the tiles of the first {size} leaves have the root {found}, but the store's head says {expected}")]
    RootMismatch {
        /// The head's size.
        size: u64,
        /// The head's root.
        expected: String,
        /// The tiles' root.
        found: String,
    },
    /// A tile of the right edge is there only in a larger version, which was never signed.
    #[error(
        "`{path}` is missing, and the larger version beside it was never signed; restore it, or see `ledger recover`"
    )]
    EdgeTileMissing {
        /// The missing tile.
        path: String,
    },
    /// The store is older than what was published.
    #[error(
        "the store is behind its published checkpoint: the store has {store} leaves, the checkpoint {published}; it seems \
         to be a restored backup, see `countersign ledger recover`"
    )]
    StoreBehind {
        /// Leaves in the store's head.
        store: u64,
        /// Leaves in the published checkpoint.
        published: u64,
    },
    /// What was published is not a prefix of the store's log.
    #[error(
        "the published checkpoint of {published} leaves contradicts the store's log of {store} leaves; one of them comes \
         from elsewhere, see `countersign ledger recover`"
    )]
    Contradiction {
        /// Leaves in the store's head.
        store: u64,
        /// Leaves in the published checkpoint.
        published: u64,
        /// What does not hold.
        #[source]
        cause: proof::Error,
    },
    /// The last line of the checkpoint history is no checkpoint.
    #[error("the last line of `{path}` is not a checkpoint")]
    HistoryLine {
        /// The history.
        path: PathBuf,
    },
    /// The store's records are not in order.
    #[error("the store's records are not in order: {seq} came after {after}")]
    StoreOrder {
        /// The record out of order.
        seq: u64,
        /// What came before it.
        after: u64,
    },
    /// A journal entry is whole but is no record.
    #[error("a journal entry in file {file} before byte {offset} is not a record")]
    NotARecord {
        /// The journal file.
        file: u64,
        /// Where the entry ends.
        offset: u64,
        /// What it lacks.
        #[source]
        cause: serde_json::Error,
    },
    /// The checkpoint would not grow the log.
    #[error("refusing to sign {to} leaves after {from}: a log only grows")]
    NotGrowing {
        /// The size before.
        from: u64,
        /// The size that would be signed.
        to: u64,
    },
    /// A part of the work ended early; the log may be half written.
    #[error("the ledger's work was cut short")]
    Interrupted,
}

impl Error {
    pub(super) fn file(path: &Path, cause: io::Error) -> Self {
        Self::File { path: path.to_owned(), cause }
    }
}

/// An error with its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = inner.source();
    }
    text
}
