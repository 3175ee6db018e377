//! The ledger as a whole, on real folders. The store is a double of its port: it keeps records and head in memory and can
//! be told to fail before or after it took a change.

mod crash;
mod keys;
mod log;
mod query;

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use countersign_core::action::{ActionId, Timestamp};
use countersign_core::record::{Event, Record, Status};

use super::*;
use crate::ports::{Ended, LogHead, PendingRecord, StoreError};

/// Where the store fails next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Fault {
    #[default]
    None,
    /// The head does not move.
    BeforeAdvance,
    /// The head moves, but the caller is told that it did not.
    AfterAdvance,
    /// Records cannot be read.
    Read,
}

#[derive(Debug, Default)]
struct Memory {
    records: Vec<PendingRecord>,
    head: Option<LogHead>,
    ended: Vec<Ended>,
    fault: Fault,
}

/// A store in memory.
#[derive(Debug, Default)]
struct MemorySource(Mutex<Memory>);

impl MemorySource {
    fn with<R>(&self, change: impl FnOnce(&mut Memory) -> R) -> R {
        change(&mut self.0.lock().unwrap())
    }

    fn append(&self, record: &Record) {
        let leaf = record.leaf().unwrap();
        self.with(|memory| {
            let seq = memory.records.len() as u64 + 1;
            memory.records.push(PendingRecord { seq, at: record.at, leaf });
        });
    }

    fn head(&self) -> LogHead {
        self.with(|memory| memory.head.clone()).unwrap()
    }
}

#[async_trait]
impl RecordSource for MemorySource {
    async fn records_after(&self, seq: u64, limit: u32) -> Result<Vec<PendingRecord>, StoreError> {
        self.with(|memory| {
            if memory.fault == Fault::Read {
                return Err(StoreError::Unavailable("injected".to_owned()));
            }
            Ok(memory.records.iter().filter(|record| record.seq > seq).take(limit as usize).cloned().collect())
        })
    }

    async fn log_head(&self) -> Result<Option<LogHead>, StoreError> {
        Ok(self.with(|memory| memory.head.clone()))
    }

    async fn advance_head(&self, from: Option<LogHead>, to: LogHead, ended: Vec<Ended>) -> Result<(), StoreError> {
        self.with(|memory| {
            if memory.fault == Fault::BeforeAdvance {
                return Err(StoreError::Unavailable("injected".to_owned()));
            }
            if memory.head != from {
                return Err(StoreError::Conflict);
            }
            memory.head = Some(to);
            memory.ended.extend(ended);
            match memory.fault {
                Fault::AfterAdvance => Err(StoreError::Unavailable("injected".to_owned())),
                _ => Ok(()),
            }
        })
    }
}

/// A record that the store would hold.
fn alarm(number: u64, at: i64) -> Record {
    let event = Event::SystemAlarm { code: format!("c{number}"), detail: "x".repeat((number % 300) as usize) };
    Record { at: Timestamp::from_micros(at), node: "n1".to_owned(), event }
}

/// A record that the journal would hold.
fn outcome(number: u64, at: i64) -> Record {
    let event = Event::ActionOutcome {
        id: ActionId::new(format!("a{number}")),
        status: Status::Failed,
        rows: None,
        stream_bytes: None,
        stream_sha256: None,
        micros: 7,
        error: Some("42P01".to_owned()),
    };
    Record { at: Timestamp::from_micros(at), node: "n1".to_owned(), event }
}

async fn open(dir: &Path, source: &Arc<MemorySource>) -> Result<Ledger, Error> {
    let settings = Settings { origin: Some("example.com/log".to_owned()), ..Settings::default() };
    let source: Arc<dyn RecordSource> = Arc::clone(source) as Arc<dyn RecordSource>;
    Ledger::open(dir, settings, source, &*crate::vault::testing::sealer(dir)).await
}

/// The words of a refusal to open, with all causes.
async fn refused(dir: &Path, source: &Arc<MemorySource>) -> String {
    match open(dir, source).await {
        Ok(_) => panic!("the ledger opened"),
        Err(error) => error::chain(&error),
    }
}

/// All leaves of the log, after it verified.
fn verified(dir: &Path) -> Vec<Vec<u8>> {
    let report = verify::verify_dir(dir, verify::Against::default()).unwrap();
    assert_eq!(report.verified.unsigned_leaves, 0, "tiles beyond the checkpoint are left");
    let query = super::query::open(&folder(dir)).unwrap();
    let mut leaves = Vec::new();
    while (leaves.len() as u64) < report.verified.size {
        let from = leaves.len() as u64;
        let entries = query.entries(from..u64::MAX).unwrap();
        assert_eq!(entries[0].index, from);
        leaves.extend(entries.into_iter().map(|entry| entry.leaf));
    }
    leaves
}

/// Asserts that `found` holds each of these records exactly once, in any order.
fn assert_same(found: &[Vec<u8>], expected: &[Record]) {
    let count = |leaves: Vec<&[u8]>| {
        let mut counts = BTreeMap::<String, usize>::new();
        for leaf in leaves {
            *counts.entry(String::from_utf8(leaf.to_vec()).unwrap()).or_default() += 1;
        }
        counts
    };
    let expected: Vec<_> = expected.iter().map(|record| record.leaf().unwrap()).collect();
    assert_eq!(count(found.iter().map(Vec::as_slice).collect()), count(expected.iter().map(Vec::as_slice).collect()));
}
