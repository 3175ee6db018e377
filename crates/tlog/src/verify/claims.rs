//! Claims: what the log's key signed about earlier sizes, in order of size.
//!
//! They come from the history file, streamed line by line, and from a checkpoint the caller saved. Each signature is
//! verified here; whether the tree agrees is the scan's to say. A last line without its newline is a write in progress
//! and ends the history.

use std::fmt;
use std::io::{BufRead, BufReader, Read};

use super::error::{Problem, VerifyError};
use crate::checkpoint::{self, Checkpoint};
use crate::encoding::from_base64;
use crate::note::{NOTE_BYTES_MAX, VerifierKey};
use crate::proof::TreeHead;
use crate::source::{HISTORY_PATH, SourceError, TileSource};

/// Bytes of a history line, at most: a note in base64, and the newline.
const LINE_BYTES_MAX: usize = NOTE_BYTES_MAX.div_ceil(3) * 4 + 1;

/// Where a claim was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimedBy {
    /// The checkpoint the caller saved earlier.
    Since,
    /// This line of the history, from 1.
    History(u64),
}

impl fmt::Display for ClaimedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Since => f.write_str("the saved checkpoint"),
            Self::History(line) => write!(f, "line {line} of the checkpoint history"),
        }
    }
}

/// A signed size and root.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    pub(super) head: TreeHead,
    pub(super) claimed_by: ClaimedBy,
}

/// The log's key and name: what a checkpoint must carry to be this log's.
#[derive(Debug, Clone)]
pub(super) struct LogIdentity {
    pub(super) key: VerifierKey,
    pub(super) origin: String,
}

impl LogIdentity {
    pub(super) fn new(key: &VerifierKey, origin: Option<&str>) -> Self {
        Self { key: key.clone(), origin: origin.unwrap_or(key.name().as_str()).to_owned() }
    }

    fn open(&self, note: &[u8]) -> Result<TreeHead, checkpoint::Error> {
        let signed = Checkpoint::open(note, &self.key, &[])?;
        signed.require_origin(&self.origin)?;
        Ok(signed.checkpoint().head())
    }
}

struct History<'a> {
    lines: BufReader<Box<dyn Read + 'a>>,
    identity: LogIdentity,
    count: u64,
    last: Option<TreeHead>,
}

impl History<'_> {
    fn next(&mut self) -> Result<Option<Claim>, VerifyError> {
        let mut text = Vec::new();
        let read = (&mut self.lines).take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut text);
        read.map_err(|e| SourceError::read(HISTORY_PATH, e))?;
        let line = self.count + 1;
        let Some(text) = text.strip_suffix(b"\n") else {
            return if text.len() < LINE_BYTES_MAX { Ok(None) } else { Err(Problem::HistoryLine { line }.into()) };
        };
        let note = std::str::from_utf8(text).ok().and_then(from_base64).ok_or(Problem::HistoryLine { line })?;
        let head = self.identity.open(&note).map_err(|cause| Problem::HistoryCheckpoint { line, cause })?;
        self.refuse_contradiction(line, head)?;
        self.count = line;
        self.last = Some(head);
        Ok(Some(Claim { head, claimed_by: ClaimedBy::History(line) }))
    }

    fn refuse_contradiction(&self, line: u64, head: TreeHead) -> Result<(), Problem> {
        match self.last {
            Some(last) if head.size < last.size => {
                Err(Problem::HistoryOrder { line, before: last.size, size: head.size })
            }
            Some(last) if head.size == last.size && head.root != last.root => {
                Err(Problem::Fork { size: head.size, claimed_by: ClaimedBy::History(line) })
            }
            _ => Ok(()),
        }
    }
}

/// All claims, merged in order of size; one of the history is held at a time.
pub(super) struct Claims<'a> {
    since: Option<Claim>,
    history: Option<History<'a>>,
    history_next: Option<Claim>,
}

impl<'a> Claims<'a> {
    pub(super) fn open(
        source: &'a dyn TileSource,
        identity: LogIdentity,
        since: Option<&[u8]>,
    ) -> Result<Self, VerifyError> {
        let since = since.map(|note| identity.open(note)).transpose().map_err(Problem::Since)?;
        let lines = source.open(HISTORY_PATH)?.map(BufReader::new);
        let mut history = lines.map(|lines| History { lines, identity, count: 0, last: None });
        let history_next = history.as_mut().map_or(Ok(None), History::next)?;
        let since = since.map(|head| Claim { head, claimed_by: ClaimedBy::Since });
        Ok(Self { since, history, history_next })
    }

    pub(super) fn since_size(&self) -> Option<u64> {
        self.since.map(|claim| claim.head.size)
    }

    /// Lines of the history read so far.
    pub(super) fn history_count(&self) -> u64 {
        self.history.as_ref().map_or(0, |history| history.count)
    }

    /// The size of the next claim.
    pub(super) fn next_size(&self) -> Option<u64> {
        let sizes = self.since.iter().chain(&self.history_next).map(|claim| claim.head.size);
        sizes.min()
    }

    pub(super) fn next(&mut self) -> Result<Option<Claim>, VerifyError> {
        let since_first = match (&self.since, &self.history_next) {
            (Some(since), Some(history)) => since.head.size <= history.head.size,
            (since, _) => since.is_some(),
        };
        if since_first {
            return Ok(self.since.take());
        }
        let next = self.history.as_mut().map_or(Ok(None), History::next)?;
        Ok(std::mem::replace(&mut self.history_next, next))
    }
}
