//! How many records a second the journal takes from 64 writers, each of which waits for its own.
//!
//!     cargo run --release -p countersign --example records -- [folder, default the system's for temporary files]
//!
//! `durable`: each waits until its record is on disk (`[ledger] reads = "durable"`, and the durable part of every intent).
//! `released`: each waits until the operating system has it (the default for reads).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use countersign::ledger::Health;
use countersign::ledger::journal::{FileJournal, Position, Settings};
use countersign::ports::{Journal as _, Receipt, Release};
use countersign_core::action::{ActionDigest, ActionId, BundleDigest, PersonId, Timestamp};
use countersign_core::record::{ActionSummary, Event, Record};

const WRITERS: usize = 64;
const MEASURE: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> Result<()> {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    println!("| level | records a second, {WRITERS} writers |\n|---|---|");
    for durable in [true, false] {
        let rate = measure(&folder, durable).await?;
        println!("| {} | {rate:.0} |", if durable { "durable" } else { "released" });
    }
    Ok(())
}

async fn measure(folder: &Path, durable: bool) -> Result<f64> {
    let dir = tempfile::tempdir_in(folder)?;
    let settings = Settings { durable, ..Settings::default() };
    let journal = Arc::new(FileJournal::open(dir.path(), Position::default(), settings, Health::default())?);
    let (count, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let begun = Instant::now();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (journal, count, over) = (journal.clone(), count.clone(), over.clone());
        writers.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let receipt: Receipt = journal.stage(&record(writer))?;
                if journal.release(receipt)? == Release::AfterSync {
                    journal.synced(receipt).await?;
                }
                count.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
            anyhow::Ok(())
        });
    }
    tokio::time::sleep(MEASURE).await;
    over.store(true, Ordering::Relaxed);
    while let Some(writer) = writers.join_next().await {
        writer??;
    }
    Ok(count.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64())
}

/// A read's record, as long as real ones are.
fn record(writer: usize) -> Record {
    let action = ActionSummary {
        id: ActionId::new(format!("0193f0c4-0000-7000-8000-{writer:012}")),
        digest: ActionDigest::of(&writer.to_be_bytes()),
        requester_kind: "agent".to_owned(),
        requester: "0193f0c4-1111-7000-8000-000000000000".to_owned(),
        on_behalf_of: PersonId::new("0193f0c4-2222-7000-8000-000000000000"),
        target: "orders".to_owned(),
        environment: "production".to_owned(),
        action: "sql:read".to_owned(),
    };
    let event = Event::ActionRead { action, bundle: BundleDigest::of(b"bundle"), masks: Vec::new() };
    Record { at: Timestamp::from_seconds(1_795_255_200), node: "gateway-1".to_owned(), event }
}
