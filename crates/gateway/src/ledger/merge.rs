//! Merging: what waits in the store and in the journal becomes one row of leaves, by the time each says it happened.
//!
//! Pure. Each side keeps its own order, and on a tie the store comes first, so the same input always gives the same leaves.
//! Where a side was read only in part, merging stops when that part is used up: what follows may be earlier than the rest
//! of the other side.

use bytes::Bytes;
use countersign_core::action::{ActionId, Timestamp};
use countersign_core::record::Status;
use memchr::memmem;
use serde::Deserialize;

use super::error::Error;
use super::journal::{Entry, Position};
use crate::ports::{Ended, LogHead, PendingRecord};

/// What was read of one side.
#[derive(Debug)]
pub(super) struct Lot<T> {
    pub(super) items: Vec<T>,
    /// Nothing of this side waits beyond these.
    pub(super) is_all: bool,
}

/// Leaves in the order of the log, and where each side then stands.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) leaves: Vec<Bytes>,
    /// Outcomes among the journal's leaves.
    pub(super) ended: Vec<Ended>,
    pub(super) store_seq: u64,
    pub(super) journal: Position,
    /// Nothing is left on either side.
    pub(super) is_last: bool,
}

/// Where the head stands in the journal.
pub(super) fn journal_position(head: &LogHead) -> Position {
    Position { file: head.journal_file, offset: head.journal_offset }
}

/// What an outcome's leaf has, as canonical JSON writes it. No text can look like it; a part of another record could.
const OF_OUTCOMES: &[u8] = br#""kind":"action.outcome""#;

/// A leaf as far as it matters here; other fields belong to the record alone.
#[derive(Deserialize)]
struct Timed {
    at: Timestamp,
}

#[derive(Deserialize)]
struct Kinded {
    kind: String,
}

#[derive(Deserialize)]
struct Outcome {
    id: ActionId,
    status: Status,
    #[serde(default)]
    error: Option<String>,
}

/// Merges two lots that begin at `head`.
pub(super) fn merge(head: &LogHead, records: Lot<PendingRecord>, entries: Lot<Entry>) -> Result<Batch, Error> {
    refuse_disorder(head.store_seq, &records.items)?;
    let capacity = records.items.len() + entries.items.len();
    let mut batch = Batch {
        leaves: Vec::with_capacity(capacity),
        ended: Vec::new(),
        store_seq: head.store_seq,
        journal: journal_position(head),
        is_last: false,
    };
    let mut records_left = records.items.into_iter().peekable();
    let mut entries_left = entries.items.into_iter().peekable();
    loop {
        let is_store_next = match (records_left.peek(), entries_left.peek()) {
            (Some(record), Some(entry)) => record.at <= time_of(entry)?,
            (Some(_), None) if entries.is_all => true,
            (None, Some(_)) if records.is_all => false,
            _ => break,
        };
        if is_store_next {
            batch.take_record(records_left.next());
        } else {
            batch.take_entry(entries_left.next())?;
        }
    }
    let is_used_up = records_left.peek().is_none() && entries_left.peek().is_none();
    batch.is_last = is_used_up && records.is_all && entries.is_all;
    Ok(batch)
}

impl Batch {
    fn take_record(&mut self, record: Option<PendingRecord>) {
        let Some(record) = record else { return };
        self.store_seq = record.seq;
        self.leaves.push(record.leaf.into());
    }

    fn take_entry(&mut self, entry: Option<Entry>) -> Result<(), Error> {
        let Some(entry) = entry else { return Ok(()) };
        self.ended.extend(ended(&entry)?);
        self.journal = entry.after;
        self.leaves.push(entry.leaf);
        Ok(())
    }
}

fn refuse_disorder(after: u64, records: &[PendingRecord]) -> Result<(), Error> {
    let mut after = after;
    for record in records {
        if record.seq <= after {
            return Err(Error::StoreOrder { seq: record.seq, after });
        }
        after = record.seq;
    }
    Ok(())
}

/// When an entry happened. Asked only where the store has something too: each side keeps its own order.
fn time_of(entry: &Entry) -> Result<Timestamp, Error> {
    let timed: Timed = serde_json::from_slice(&entry.leaf).map_err(|cause| not_a_record(entry, cause))?;
    Ok(timed.at)
}

/// What ended, where an entry is an outcome.
fn ended(entry: &Entry) -> Result<Option<Ended>, Error> {
    if memmem::find(&entry.leaf, OF_OUTCOMES).is_none() {
        return Ok(None);
    }
    let kinded: Kinded = serde_json::from_slice(&entry.leaf).map_err(|cause| not_a_record(entry, cause))?;
    if kinded.kind != "action.outcome" {
        return Ok(None);
    }
    let outcome: Outcome = serde_json::from_slice(&entry.leaf).map_err(|cause| not_a_record(entry, cause))?;
    Ok(Some(Ended { id: outcome.id, status: outcome.status, error: outcome.error }))
}

fn not_a_record(entry: &Entry, cause: serde_json::Error) -> Error {
    Error::NotARecord { file: entry.after.file, offset: entry.after.offset, cause }
}
