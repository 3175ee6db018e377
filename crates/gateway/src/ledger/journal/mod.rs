//! The journal: where records of effect-free reads and of outcomes go before the log takes them over.
//!
//! A record is *staged* first: encoded, and put behind the others in memory. It is *released* when the operating system has
//! it, from when on a crash of this process cannot lose it: whoever first wants to let an answer out writes, in one `write`,
//! everything that everybody staged. A thread of its own syncs to disk at most [`SYNC_MILLIS_MAX`] later, many records at
//! once, and begins a new file when one is full. Any failed write or sync closes the journal for good: nothing is tried
//! again.
//!
//! Two locks, always taken in this order: the *pen*, held over a write, and the *desk*, held only to put a record on it or to
//! take all of them. The desk is held over a sync only when a file is full (once in [`FILE_BYTES_MAX`]), so that no record
//! of a file can reach the disk before all of the file before it.

mod files;
mod frame;
mod sync;

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use countersign_core::record::Record;
use tokio::sync::watch;

pub use files::{Entry, Error, Position, ReadLimits};

use self::files::Recovered;
use super::health::{Health, Part};
use crate::ports::{Journal, JournalError, Receipt, Release};

/// How long a record may wait for the disk, unless somebody waits for it.
pub const SYNC_MILLIS_MAX: u64 = 10;
/// When a file is full: 64 MiB.
pub const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How much may be staged before whoever stages writes it: 256 KiB.
const STAGED_BYTES_MAX: usize = 256 * 1024;

/// How a journal behaves.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Answers wait for the disk.
    pub durable: bool,
    /// When a file is full, in bytes. It may exceed this by what is written while the next one is made.
    pub file_bytes_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { durable: false, file_bytes_max: FILE_BYTES_MAX }
    }
}

/// The journal in a folder of its own.
#[derive(Debug)]
pub struct FileJournal {
    shared: Arc<Shared>,
    syncer: Option<JoinHandle<()>>,
    torn_bytes: u64,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    settings: Settings,
    pen: Mutex<Pen>,
    desk: Mutex<Desk>,
    /// How many bytes the operating system has got since the start.
    released: AtomicU64,
    /// Something to do for the syncing thread; goes with the desk.
    work: Condvar,
    /// Tells waiters how far the disk is.
    progress: watch::Sender<Progress>,
    health: Health,
}

/// What writes.
#[derive(Debug)]
struct Pen {
    file: Arc<File>,
    /// What was on the desk, while it is written; empty otherwise.
    frames: Vec<u8>,
    /// The end of what was written.
    end: Mark,
}

/// What is staged, and how things stand.
#[derive(Debug)]
struct Desk {
    frames: Vec<u8>,
    /// The end of what was staged.
    end: Mark,
    /// The end of what is on disk.
    synced: Mark,
    /// The syncing thread sleeps until there is something to sync.
    resting: bool,
    /// Somebody waits for the disk.
    urgent: bool,
    closed: Option<String>,
    stopping: bool,
}

/// A place in the journal, also counted in bytes since the start, across files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    position: Position,
    bytes: u64,
}

#[derive(Debug, Clone)]
enum Progress {
    Synced(Mark),
    Closed(String),
}

impl FileJournal {
    /// Opens the journal in `dir`, which must exist, and makes sure that everything after `head` is whole.
    ///
    /// # Errors
    /// [`Error`] where records after the head are damaged or missing; the gateway must not start.
    pub fn open(dir: &Path, head: Position, settings: Settings, health: Health) -> Result<Self, Error> {
        let recovered = files::recover(dir, head)?;
        Self::start(dir, recovered, settings, health)
    }

    fn start(dir: &Path, recovered: Recovered, settings: Settings, health: Health) -> Result<Self, Error> {
        let Recovered { file, end, torn_bytes } = recovered;
        let end = Mark { position: end, bytes: 0 };
        let desk =
            Desk { frames: Vec::new(), end, synced: end, resting: false, urgent: false, closed: None, stopping: false };
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            settings,
            pen: Mutex::new(Pen { file: Arc::new(file), frames: Vec::new(), end }),
            desk: Mutex::new(desk),
            released: AtomicU64::new(0),
            work: Condvar::new(),
            progress: watch::Sender::new(Progress::Synced(end)),
            health,
        });
        let thread = std::thread::Builder::new().name("journal-sync".to_owned());
        let theirs = Arc::clone(&shared);
        let syncer = thread.spawn(move || sync::run(&theirs)).map_err(|e| Error::file(dir, e))?;
        Ok(Self { shared, syncer: Some(syncer), torn_bytes })
    }

    /// Bytes of an unfinished record that opening cut off; worth an alarm in the record.
    pub fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    /// Appends a record: the operating system has it when this returns. Does not wait for the disk, whatever the settings.
    ///
    /// # Errors
    /// [`JournalError`]; the journal is then closed for good, unless the record itself is at fault.
    pub fn append(&self, record: &Record) -> Result<(), JournalError> {
        self.append_leaf(&encode(record)?).map(drop)
    }

    /// Appends a leaf and returns the place after it, once the operating system has it.
    ///
    /// # Errors
    /// [`JournalError`], as [`FileJournal::append`].
    pub fn append_leaf(&self, leaf: &[u8]) -> Result<Position, JournalError> {
        let staged = self.shared.stage(leaf)?;
        self.shared.release(staged.bytes)?;
        Ok(staged.position)
    }

    /// Appends a record and waits, without holding a thread, until it is on disk.
    ///
    /// Dropping the future after the first poll leaves the record in the journal.
    ///
    /// # Errors
    /// [`JournalError`]; the record may or may not be in the journal then, and what it is about must not happen.
    pub async fn append_durable(&self, record: &Record) -> Result<(), JournalError> {
        let receipt = self.stage(record)?;
        self.synced(receipt).await
    }

    /// Waits until everything appended so far is on disk, and returns the end of it.
    ///
    /// # Errors
    /// [`JournalError::Closed`].
    pub async fn sync(&self) -> Result<Position, JournalError> {
        let staged = self.shared.desk().end;
        Ok(self.wait(staged.bytes).await?.position)
    }

    /// Reads records back, from `from` up to `end` (a place that [`FileJournal::sync`] returned).
    ///
    /// # Errors
    /// [`Error`] where a record is damaged.
    pub fn read(&self, from: Position, end: Position, limits: ReadLimits) -> Result<Vec<Entry>, Error> {
        files::read(&self.shared.dir, from, end, limits)
    }

    /// Deletes the files before `head`'s.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn remove_before(&self, head: Position) -> Result<(), Error> {
        files::remove_before(&self.shared.dir, head.file)
    }

    async fn wait(&self, bytes: u64) -> Result<Mark, JournalError> {
        let mut progress = self.shared.progress.subscribe();
        self.shared.hurry(bytes);
        let reached = |progress: &Progress| match progress {
            Progress::Synced(end) => end.bytes >= bytes,
            Progress::Closed(_) => true,
        };
        match progress.wait_for(reached).await.as_deref() {
            Ok(Progress::Synced(end)) => Ok(*end),
            Ok(Progress::Closed(reason)) => Err(JournalError::Closed(reason.clone())),
            Err(_) => Err(JournalError::Closed("the gateway is stopping".to_owned())),
        }
    }
}

#[async_trait]
impl Journal for FileJournal {
    fn stage(&self, record: &Record) -> Result<Receipt, JournalError> {
        Ok(Receipt::new(self.shared.stage(&encode(record)?)?.bytes))
    }

    fn release(&self, receipt: Receipt) -> Result<Release, JournalError> {
        self.shared.release(receipt.bytes())?;
        Ok(if self.shared.settings.durable { Release::AfterSync } else { Release::Now })
    }

    async fn synced(&self, receipt: Receipt) -> Result<(), JournalError> {
        self.wait(receipt.bytes()).await.map(drop)
    }
}

impl Drop for FileJournal {
    /// Syncs what is written and ends the thread.
    fn drop(&mut self) {
        self.shared.desk().stopping = true;
        self.shared.work.notify_all();
        if let Some(syncer) = self.syncer.take() {
            // It never panics; if it did, the records are with the operating system all the same.
            let _ = syncer.join();
        }
    }
}

fn encode(record: &Record) -> Result<Vec<u8>, JournalError> {
    record.leaf().map_err(|e| JournalError::Encode(super::error::chain(&e)))
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        // No code panics while it holds the lock, and the state is valid at every point.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pen(&self) -> MutexGuard<'_, Pen> {
        self.pen.lock().unwrap_or_else(PoisonError::into_inner) // likewise
    }

    /// Puts a leaf behind the others; returns the place after it.
    fn stage(&self, leaf: &[u8]) -> Result<Mark, JournalError> {
        let header = frame::header(leaf).ok_or_else(|| JournalError::Encode("its length is not valid".to_owned()))?;
        let mut desk = self.desk();
        if let Some(reason) = &desk.closed {
            return Err(JournalError::Closed(reason.clone()));
        }
        desk.frames.extend_from_slice(&header);
        desk.frames.extend_from_slice(leaf);
        let bytes = (header.len() + leaf.len()) as u64;
        desk.end.position.offset += bytes;
        desk.end.bytes += bytes;
        let (end, is_full) = (desk.end, desk.frames.len() >= STAGED_BYTES_MAX);
        if desk.resting {
            desk.resting = false;
            self.work.notify_one();
        }
        drop(desk);
        if is_full {
            self.release(end.bytes)?;
        }
        Ok(end)
    }

    /// Makes sure that the operating system has everything up to here.
    fn release(&self, bytes: u64) -> Result<(), JournalError> {
        if self.released.load(Ordering::Acquire) >= bytes {
            return Ok(());
        }
        let mut pen = self.pen();
        if self.released.load(Ordering::Acquire) >= bytes {
            return Ok(()); // somebody else's write had it
        }
        let mut desk = self.desk();
        self.take(&mut pen, &mut desk)?;
        drop(desk);
        self.write(&mut pen)
    }

    /// Takes everything from the desk to be written.
    fn take(&self, pen: &mut Pen, desk: &mut Desk) -> Result<(), JournalError> {
        if let Some(reason) = &desk.closed {
            return Err(JournalError::Closed(reason.clone()));
        }
        std::mem::swap(&mut pen.frames, &mut desk.frames);
        pen.end = desk.end;
        Ok(())
    }

    /// Writes what was taken. The desk must not be held.
    fn write(&self, pen: &mut Pen) -> Result<(), JournalError> {
        match write_once(&pen.file, &pen.frames) {
            Ok(()) => {}
            Err(cause) => return Err(self.close("a record could not be written", &cause)),
        }
        pen.frames.clear();
        pen.frames.shrink_to(STAGED_BYTES_MAX);
        self.released.store(pen.end.bytes, Ordering::Release);
        Ok(())
    }

    /// Ends the journal for good. The desk must not be held.
    fn close(&self, what: &str, cause: &io::Error) -> JournalError {
        let reason = format!("{what}: {cause}");
        self.health.fail(Part::Journal, &reason);
        self.desk().closed = Some(reason.clone());
        self.progress.send_replace(Progress::Closed(reason.clone()));
        self.work.notify_all();
        JournalError::Closed(reason)
    }

    /// Has the disk brought up to here at once.
    fn hurry(&self, bytes: u64) {
        let mut desk = self.desk();
        if desk.synced.bytes < bytes && !desk.urgent {
            desk.urgent = true;
            self.work.notify_one();
        }
    }
}

/// One `write`; anything less than all of it is a failure.
fn write_once(mut file: &File, frames: &[u8]) -> io::Result<()> {
    if frames.is_empty() {
        return Ok(());
    }
    match file.write(frames)? {
        written if written == frames.len() => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::WriteZero, "only a part of the records was written")),
    }
}

/// How long the syncing thread lets records gather.
const GATHER: Duration = Duration::from_millis(SYNC_MILLIS_MAX);

#[cfg(test)]
mod tests;
