//! Checkpoints: a log's signed statement of its size and root.
//!
//! The text is `origin`, `size` and `base64(root)`, one a line. Extension lines of other logs are accepted (they are
//! under the signature) and not kept; this log writes none. A checkpoint carries no time: that is a witness's to say.
//! Source: <https://c2sp.org/tlog-checkpoint>.

use std::str::FromStr;

use serde::Serialize;

use crate::encoding::{parse_decimal, to_base64};
use crate::hash::{Hash, empty_root};
use crate::note::{self, Algorithm, Opened, Signer, VerifierKey};
use crate::proof::TreeHead;
use crate::tile::TREE_SIZE_MAX;

/// Why a checkpoint is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The note around it is malformed or not signed by the log's key.
    #[error(transparent)]
    Note(#[from] note::Error),
    /// Only other keys than the log's signed, such as a witness's.
    #[error("the checkpoint is not signed by the log's key")]
    LogSignature,
    /// The key given for the log is a witness's.
    #[error("the key `{0}` is a witness's, not a log's")]
    LogKey(String),
    /// Fewer than three lines, or an empty one.
    #[error("the checkpoint is malformed: it needs the lines origin, size and root")]
    Lines,
    /// The size is not a decimal number in range.
    #[error("the checkpoint's size `{0}` is not valid")]
    Size(String),
    /// The root is not a hash, or not that of an empty tree where the size is 0.
    #[error("the checkpoint's root `{0}` is not valid")]
    Root(String),
    /// Another log's checkpoint.
    #[error("the checkpoint is of the log `{found}`, not of `{expected}`")]
    Origin {
        /// The log expected.
        expected: String,
        /// The log named.
        found: String,
    },
}

/// What a log says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name; also the name of its key.
    pub origin: String,
    /// Leaves.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// A checkpoint whose signature by the log's key verified. Only [`Checkpoint::open`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Opened,
}

/// The line that a published checkpoint adds to the history file, with its newline.
///
/// Append it after the file `checkpoint` was replaced. After a crash, first cut off a last line without its newline.
pub fn history_line(note: &str) -> String {
    format!("{}\n", to_base64(note.as_bytes()))
}

/// A witness whose cosignature verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Witness {
    /// Its key's name.
    pub name: String,
    /// When it saw the checkpoint, in seconds since 1970.
    pub time_seconds: u64,
}

impl SignedCheckpoint {
    /// What was signed.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note it came in.
    pub fn note(&self) -> &Opened {
        &self.note
    }

    /// The witnesses whose cosignatures verified.
    pub fn witnesses(&self) -> Vec<Witness> {
        let cosigned = |s: &note::Verified| {
            s.time_seconds().map(|time_seconds| Witness { name: s.key().name().to_string(), time_seconds })
        };
        self.note.verified().iter().filter_map(cosigned).collect()
    }

    /// Refuses the checkpoint of another log.
    pub fn require_origin(&self, expected: &str) -> Result<(), Error> {
        let found = &self.checkpoint.origin;
        if found == expected {
            return Ok(());
        }
        Err(Error::Origin { expected: expected.to_owned(), found: found.clone() })
    }
}

impl Checkpoint {
    /// Size and root together.
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.size, root: self.root }
    }

    /// The text to be signed.
    pub fn encode(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root)
    }

    /// Signs it and returns the note, the content of the file `checkpoint`.
    pub fn sign(&self, signer: &Signer) -> Result<String, Error> {
        let text = self.encode();
        let parsed: Self = text.parse()?;
        if parsed != *self {
            return Err(Error::Lines);
        }
        Ok(signer.sign(&text)?)
    }

    /// Reads a checkpoint out of its note **without verifying** any signature: only for notes that we made ourselves.
    pub fn from_own_note(note: &str) -> Result<Self, Error> {
        note::unverified_text(note)?.parse()
    }

    /// Verifies a signed checkpoint against the log's key and any number of witnesses' keys.
    ///
    /// The log's own signature is required; a witness's is not, but refuses the checkpoint if it is wrong. The origin
    /// is the caller's to check: see [`SignedCheckpoint::require_origin`].
    pub fn open(note: &[u8], log: &VerifierKey, witnesses: &[VerifierKey]) -> Result<SignedCheckpoint, Error> {
        if log.algorithm() != Algorithm::Ed25519 {
            return Err(Error::LogKey(log.name().to_string()));
        }
        let keys: Vec<_> = std::iter::once(log).chain(witnesses).cloned().collect();
        let note = note::open(note, &keys)?;
        if note.verified().iter().all(|signature| signature.key() != log) {
            return Err(Error::LogSignature);
        }
        Ok(SignedCheckpoint { checkpoint: note.text().parse()?, note })
    }
}

impl FromStr for Checkpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let lines: Vec<_> = text.strip_suffix('\n').ok_or(Error::Lines)?.split('\n').collect();
        if lines.iter().any(|line| line.is_empty()) {
            return Err(Error::Lines);
        }
        let [origin, size, root, ..] = lines[..] else { return Err(Error::Lines) };
        let size =
            parse_decimal(size).filter(|size| *size <= TREE_SIZE_MAX).ok_or_else(|| Error::Size(size.to_owned()))?;
        let root_of = |text: &str| text.parse().ok().filter(|hash| size > 0 || *hash == empty_root());
        let root = root_of(root).ok_or_else(|| Error::Root(root.to_owned()))?;
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}
