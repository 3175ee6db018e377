//! Merging: what waits in the store and in the journal becomes one row of leaves, by the time each says it happened.
//!
//! Pure. Each side keeps its own order, and on a tie the store comes first, so the same input always gives the same leaves.
//! Where a side was read only in part, merging stops when that part is used up: what follows may be earlier than the rest
//! of the other side.

use countersign_core::action::{ActionId, Timestamp};
use countersign_core::record::Status;
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
    pub(super) leaves: Vec<Vec<u8>>,
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

/// A journal entry as far as it matters here; other fields belong to the record alone.
struct Timed {
    at: Timestamp,
    ended: Option<Ended>,
    entry: Entry,
}

#[derive(Deserialize)]
struct Kinded {
    at: Timestamp,
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
    let timed = entries.items.into_iter().map(timed).collect::<Result<Vec<_>, _>>()?;
    let capacity = records.items.len() + timed.len();
    let mut batch = Batch {
        leaves: Vec::with_capacity(capacity),
        ended: Vec::new(),
        store_seq: head.store_seq,
        journal: journal_position(head),
        is_last: false,
    };
    let mut records_left = records.items.into_iter().peekable();
    let mut timed_left = timed.into_iter().peekable();
    loop {
        let is_store_next = match (records_left.peek(), timed_left.peek()) {
            (Some(record), Some(timed)) => record.at <= timed.at,
            (Some(_), None) if entries.is_all => true,
            (None, Some(_)) if records.is_all => false,
            _ => break,
        };
        if is_store_next {
            batch.take_record(records_left.next());
        } else {
            batch.take_entry(timed_left.next());
        }
    }
    let is_used_up = records_left.peek().is_none() && timed_left.peek().is_none();
    batch.is_last = is_used_up && records.is_all && entries.is_all;
    Ok(batch)
}

impl Batch {
    fn take_record(&mut self, record: Option<PendingRecord>) {
        let Some(record) = record else { return };
        self.store_seq = record.seq;
        self.leaves.push(record.leaf);
    }

    fn take_entry(&mut self, timed: Option<Timed>) {
        let Some(timed) = timed else { return };
        self.journal = timed.entry.after;
        self.leaves.push(timed.entry.leaf);
        self.ended.extend(timed.ended);
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

fn timed(entry: Entry) -> Result<Timed, Error> {
    let after = entry.after;
    let refuse = |cause| Error::NotARecord { file: after.file, offset: after.offset, cause };
    let kinded: Kinded = serde_json::from_slice(&entry.leaf).map_err(refuse)?;
    let ended = match kinded.kind.as_str() {
        "action.outcome" => Some(ended(&entry.leaf).map_err(refuse)?),
        _ => None,
    };
    Ok(Timed { at: kinded.at, ended, entry })
}

fn ended(leaf: &[u8]) -> Result<Ended, serde_json::Error> {
    let outcome: Outcome = serde_json::from_slice(leaf)?;
    Ok(Ended { id: outcome.id, status: outcome.status, error: outcome.error })
}
