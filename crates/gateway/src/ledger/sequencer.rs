//! The sequencer: one task that moves waiting records of store and journal into the log, about once a second.
//!
//! ```text
//! gather ─▶ merge ─▶ tiles ─▶ sign ─▶ advance_head ─▶ checkpoint ─▶ history ─▶ sweep
//! ```
//!
//! Each arrow is a place where a crash may fall. Before `advance_head`, nothing happened: a start removes the tiles and
//! sequences the same records again. After it, the store has the signed checkpoint, and a start publishes it. Any failure
//! ends the task for good and raises the alarm; nothing is tried again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign_tlog::Signer;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;

use super::error::{Error, chain};
use super::health::{Failure, Health, Part};
use super::journal::{self, FileJournal, Position, ReadLimits};
use super::merge::{Batch, Lot, journal_position, merge};
use super::writer::{Signed, Writer};
use crate::ports::{LogHead, RecordSource};

/// Store records in one checkpoint, at most; of 64 KiB each at the very worst.
const STORE_RECORDS_MAX: u32 = 1024;
/// Journal records in one checkpoint, at most.
const JOURNAL_RECORDS_MAX: usize = 16_384;
/// Bytes of journal read at once, at most.
const JOURNAL_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Leaves in one checkpoint, at most; a crash leaves no more than these beyond the head.
pub(super) const LEAVES_MAX: u64 = STORE_RECORDS_MAX as u64 + JOURNAL_RECORDS_MAX as u64; // 17,408
/// Callers that may wait for a flush before others wait to ask.
const REQUESTS_MAX: usize = 256;

/// Asks for a flush, and is told the published size, or that the sequencer failed.
type Request = oneshot::Sender<Result<u64, Failure>>;

/// Moves records from store and journal into the log.
#[derive(Debug)]
pub(super) struct Engine {
    source: SourceHandle,
    journal: Arc<FileJournal>,
    writer: Option<Writer>,
    head: LogHead,
}

/// The port, for [`Debug`].
#[derive(Clone)]
struct SourceHandle(Arc<dyn RecordSource>);

impl std::fmt::Debug for SourceHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordSource")
    }
}

/// What an engine is opened with.
pub(super) struct Opening<'a> {
    pub(super) root: &'a Path,
    pub(super) signer: Signer,
    pub(super) head: Option<LogHead>,
    pub(super) source: Arc<dyn RecordSource>,
    pub(super) journal: journal::Settings,
    pub(super) health: Health,
}

impl Engine {
    /// Resumes the log at the store's head, or begins it.
    ///
    /// The store is held against what was published before the journal is looked at, since a restored store explains a
    /// journal that does not fit.
    pub(super) async fn open(opening: Opening<'_>) -> Result<Self, Error> {
        let Opening { root, signer, head, source, journal, health } = opening;
        let folder = root.to_owned();
        let at = head.clone();
        let resume = move || Writer::resume(&folder, signer, at.as_ref(), LEAVES_MAX);
        let mut writer = blocking(resume).await?;
        let head = match head {
            Some(head) => head,
            None => begin(&mut writer, source.as_ref()).await?,
        };
        let folder = root.join(JOURNAL_FOLDER);
        super::files::create_folder(&folder)?;
        let position = journal_position(&head);
        let journal = blocking(move || Ok(FileJournal::open(&folder, position, journal, health)?)).await?;
        Ok(Self { source: SourceHandle(source), journal: Arc::new(journal), writer: Some(writer), head })
    }

    pub(super) fn journal(&self) -> Arc<FileJournal> {
        Arc::clone(&self.journal)
    }

    pub(super) fn size(&self) -> u64 {
        self.head.size
    }

    /// Integrates everything that was appended before the call; returns the published size.
    pub(super) async fn drain(&mut self) -> Result<u64, Error> {
        let goal = self.journal.sync().await?;
        while !self.round(goal).await? {}
        Ok(self.head.size)
    }

    /// One checkpoint, if anything waits; true when nothing more does.
    async fn round(&mut self, goal: Position) -> Result<bool, Error> {
        let mut batch = self.gather(goal).await?;
        let is_last = batch.is_last;
        if !batch.leaves.is_empty() {
            let signed = self.seal(&mut batch).await?;
            let before = self.head.size;
            self.advance(batch, signed).await?;
            self.publish().await?;
            self.sweep(before).await?;
        }
        Ok(is_last)
    }

    /// Reads what waits, within bounds.
    pub(super) async fn gather(&self, goal: Position) -> Result<Batch, Error> {
        let records = self.source.0.records_after(self.head.store_seq, STORE_RECORDS_MAX).await?;
        let records = Lot { is_all: records.len() < STORE_RECORDS_MAX as usize, items: records };
        let from = journal_position(&self.head);
        let limits = ReadLimits { records_max: JOURNAL_RECORDS_MAX, bytes_max: JOURNAL_BYTES_MAX };
        let journal = Arc::clone(&self.journal);
        let head = self.head.clone();
        blocking(move || {
            let entries = journal.read(from, goal, limits)?;
            let is_all = entries.last().is_none_or(|last| last.after >= goal);
            merge(&head, records, Lot { items: entries, is_all })
        })
        .await
    }

    /// Writes the tiles and signs.
    pub(super) async fn seal(&mut self, batch: &mut Batch) -> Result<Signed, Error> {
        let leaves = std::mem::take(&mut batch.leaves);
        self.write(move |writer| writer.seal(&leaves)).await
    }

    /// Moves the store's head.
    pub(super) async fn advance(&mut self, batch: Batch, signed: Signed) -> Result<(), Error> {
        let to = LogHead {
            size: signed.size,
            root: signed.root,
            store_seq: batch.store_seq,
            journal_file: batch.journal.file,
            journal_offset: batch.journal.offset,
            checkpoint: signed.note,
        };
        self.source.0.advance_head(Some(self.head.clone()), to.clone(), batch.ended).await?;
        self.head = to;
        Ok(())
    }

    /// Publishes the head's checkpoint.
    pub(super) async fn publish(&mut self) -> Result<(), Error> {
        let note = self.head.checkpoint.clone();
        self.write(move |writer| writer.publish(&note)).await
    }

    /// Removes what nobody needs any more.
    pub(super) async fn sweep(&mut self, before: u64) -> Result<(), Error> {
        let journal = Arc::clone(&self.journal);
        let position = journal_position(&self.head);
        self.write(move |writer| {
            writer.sweep(before);
            Ok(journal.remove_before(position)?)
        })
        .await
    }

    async fn write<R: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Writer) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        let mut writer = self.writer.take().ok_or(Error::Interrupted)?;
        let (writer, result) = blocking(move || {
            let result = work(&mut writer);
            Ok((writer, result))
        })
        .await?;
        self.writer = Some(writer);
        result
    }
}

/// The journal's folder inside the ledger's.
pub(super) const JOURNAL_FOLDER: &str = "journal";

/// Signs and publishes the log without leaves.
async fn begin(writer: &mut Writer, source: &dyn RecordSource) -> Result<LogHead, Error> {
    let signed = writer.seal_empty()?;
    let head = LogHead { root: signed.root, checkpoint: signed.note, ..LogHead::default() };
    source.advance_head(None, head.clone(), Vec::new()).await?;
    writer.publish(&head.checkpoint)?;
    Ok(head)
}

async fn blocking<R: Send + 'static>(work: impl FnOnce() -> Result<R, Error> + Send + 'static) -> Result<R, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Interrupted)?
}

/// Talks to the sequencer's task.
#[derive(Debug, Clone)]
pub(super) struct Handle {
    requests: mpsc::Sender<Request>,
    published: watch::Receiver<u64>,
    health: Health,
}

impl Handle {
    /// Waits until everything appended before the call is published; returns the size.
    pub(super) async fn flush(&self) -> Result<u64, Failure> {
        self.health.check()?;
        let (answer, answered) = oneshot::channel();
        if self.requests.send(answer).await.is_err() {
            return Err(self.ended());
        }
        answered.await.unwrap_or_else(|_| Err(self.ended()))
    }

    pub(super) fn published(&self) -> watch::Receiver<u64> {
        self.published.clone()
    }

    fn ended(&self) -> Failure {
        let stopped = Failure { part: Part::Sequencer, reason: "the gateway is stopping".to_owned() };
        self.health.check().err().unwrap_or(stopped)
    }
}

/// Ends the task. Dropping it does so too, without waiting.
#[derive(Debug)]
pub(super) struct Stop {
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Stop {
    /// Integrates what is there and ends the task.
    pub(super) async fn stop(self) {
        // The task is gone already if this fails, which its health tells.
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

/// Starts the task.
pub(super) fn start(engine: Engine, every: Duration, health: Health, guard: impl Send + 'static) -> (Handle, Stop) {
    let (requests, inbox) = mpsc::channel(REQUESTS_MAX);
    let (stop, stopped) = oneshot::channel();
    let (publish, published) = watch::channel(engine.size());
    let sequencer = Sequencer { engine, inbox, publish, health: health.clone() };
    let task = tokio::spawn(async move {
        sequencer.run(every, stopped).await;
        drop(guard);
    });
    (Handle { requests, published, health }, Stop { stop, task })
}

struct Sequencer {
    engine: Engine,
    inbox: mpsc::Receiver<Request>,
    publish: watch::Sender<u64>,
    health: Health,
}

enum Event {
    Tick,
    Flush(Request),
    Stop,
}

impl Sequencer {
    async fn run(mut self, every: Duration, mut stopped: oneshot::Receiver<()>) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let event = tokio::select! {
                request = self.inbox.recv() => request.map_or(Event::Stop, Event::Flush),
                _ = ticks.tick() => Event::Tick,
                _ = &mut stopped => Event::Stop,
            };
            let is_stop = matches!(event, Event::Stop);
            let waiting = self.waiting(event);
            let done = self.integrate().await;
            let is_failed = done.is_err();
            for request in waiting {
                // Whoever asked may have left.
                let _ = request.send(done.clone());
            }
            if is_stop || is_failed {
                return;
            }
        }
    }

    /// Everybody who waits by now: one round serves them all.
    fn waiting(&mut self, event: Event) -> Vec<Request> {
        let mut waiting = Vec::new();
        if let Event::Flush(request) = event {
            waiting.push(request);
        }
        while waiting.len() < REQUESTS_MAX {
            let Ok(request) = self.inbox.try_recv() else { break };
            waiting.push(request);
        }
        waiting
    }

    async fn integrate(&mut self) -> Result<u64, Failure> {
        match self.engine.drain().await {
            Ok(size) => {
                self.publish.send_if_modified(|published| std::mem::replace(published, size) != size);
                Ok(size)
            }
            Err(error) => {
                let reason = chain(&error);
                self.health.fail(Part::Sequencer, &reason);
                Err(Failure { part: Part::Sequencer, reason })
            }
        }
    }
}
