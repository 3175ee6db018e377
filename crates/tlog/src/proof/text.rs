//! The `.tlog-proof` file: one entry's place, the way to the root, and the signed checkpoint with that root.
//!
//! It is checked offline with the log's key and the entry's bytes. Source: <https://c2sp.org/tlog-proof>.

use std::fmt;
use std::str::FromStr;

use super::{Error as ProofError, PROOF_HASHES_MAX, inclusion, verify_inclusion};
use crate::checkpoint::{self, Checkpoint, SignedCheckpoint, Witness};
use crate::encoding::{from_base64, parse_decimal, to_base64};
use crate::hash::{Hash, leaf_hash};
use crate::note::{NOTE_BYTES_MAX, VerifierKey};
use crate::source::{TileSource, entry};

const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// Bytes of a proof file's extra data, at most.
const EXTRA_BYTES_MAX: usize = 65_536;

/// Why a proof file is refused.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// The file does not begin with the format's name.
    #[error("not a proof: the first line is not `{HEADER}`")]
    Header,
    /// The extra data is not base64, or too long.
    #[error("the proof's extra data is malformed")]
    Extra,
    /// No index, or not a plain decimal.
    #[error("the proof's index is missing or malformed")]
    Index,
    /// A line that is not a hash, or too many of them.
    #[error("line {0} of the proof is not a hash, or one too many")]
    Hash(usize),
    /// No blank line before the checkpoint, or nothing after it.
    #[error("the proof has no checkpoint")]
    NoCheckpoint,
    /// The checkpoint is refused.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// The entry is not where the proof says.
    #[error("the entry is not in the log at index {index}")]
    Inclusion {
        /// The index claimed.
        index: u64,
        /// What does not hold.
        #[source]
        cause: ProofError,
    },
}

/// A parsed, unverified proof file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// Opaque data that nothing authenticates.
    pub extra: Option<Vec<u8>>,
    /// The entry's index.
    pub index: u64,
    /// From the leaf's sibling to the root's child.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint, verbatim.
    pub checkpoint: String,
}

/// An entry proved to be in a log. Only [`TlogProof::verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvedEntry {
    index: u64,
    leaf: Hash,
    checkpoint: SignedCheckpoint,
}

impl ProvedEntry {
    /// Where the entry is.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The entry's hash.
    pub fn leaf(&self) -> Hash {
        self.leaf
    }

    /// The witnesses that cosigned the checkpoint.
    pub fn witnesses(&self) -> Vec<Witness> {
        self.checkpoint.witnesses()
    }

    /// The checkpoint that commits to it.
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }
}

impl TlogProof {
    /// Reads entry `index` and proves it under a checkpoint of this log, given as its note; checks the proof before
    /// handing it out.
    pub fn prove(source: &dyn TileSource, note: &str, index: u64) -> Result<(Vec<u8>, Self), TextError> {
        let head = Checkpoint::from_own_note(note)?.head();
        let refused = |cause| TextError::Inclusion { index, cause };
        let hashes = inclusion(source, head.size, index).map_err(refused)?;
        let entry = entry(source, head.size, index).map_err(|cause| refused(cause.into()))?;
        verify_inclusion(&head, index, &leaf_hash(&entry), &hashes).map_err(refused)?;
        Ok((entry, Self { extra: None, index, hashes, checkpoint: note.to_owned() }))
    }

    /// Proves that `entry` is in the log whose key is given.
    ///
    /// The checkpoint's origin must be the key's name, or `origin` if one is given.
    pub fn verify(
        &self,
        entry: &[u8],
        log: &VerifierKey,
        witnesses: &[VerifierKey],
        origin: Option<&str>,
    ) -> Result<ProvedEntry, TextError> {
        let checkpoint = Checkpoint::open(self.checkpoint.as_bytes(), log, witnesses)?;
        checkpoint.require_origin(origin.unwrap_or(log.name().as_str()))?;
        let leaf = leaf_hash(entry);
        let held = verify_inclusion(&checkpoint.checkpoint().head(), self.index, &leaf, &self.hashes);
        held.map_err(|cause| TextError::Inclusion { index: self.index, cause })?;
        Ok(ProvedEntry { index: self.index, leaf, checkpoint })
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", to_base64(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{hash}")?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for TlogProof {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let (head, checkpoint) = text.split_once("\n\n").ok_or(TextError::NoCheckpoint)?;
        if checkpoint.is_empty() || checkpoint.len() > NOTE_BYTES_MAX {
            return Err(TextError::NoCheckpoint);
        }
        let mut lines = head.split('\n').zip(1..).peekable();
        lines.next().filter(|(line, _)| *line == HEADER).ok_or(TextError::Header)?;
        let extra = lines.next_if(|(line, _)| line.starts_with("extra "));
        let extra = extra.map(|(line, _)| parse_extra(line).ok_or(TextError::Extra)).transpose()?;
        let index = lines.next().and_then(|(line, _)| parse_decimal(line.strip_prefix("index ")?));
        let index = index.ok_or(TextError::Index)?;
        let mut hashes = Vec::new();
        for (line, number) in lines {
            let hash = line.parse().ok().filter(|_| hashes.len() < PROOF_HASHES_MAX);
            hashes.push(hash.ok_or(TextError::Hash(number))?);
        }
        Ok(Self { extra, index, hashes, checkpoint: checkpoint.to_owned() })
    }
}

fn parse_extra(line: &str) -> Option<Vec<u8>> {
    from_base64(line.strip_prefix("extra ")?).filter(|extra| extra.len() <= EXTRA_BYTES_MAX)
}
