//! The journal: where records of effect-free reads and of outcomes go before the log takes them over.
//!
//! An append is one `write` under one lock: when it returns, the operating system has the record and a crash of this
//! process cannot lose it. A thread of its own syncs to disk at most [`SYNC_MILLIS_MAX`] later, many records at once, and
//! begins a new file when one is full. Any failed write or sync closes the journal for good: nothing is tried again.
//!
//! The lock is held over a sync only when a file is full (once in [`FILE_BYTES_MAX`]), so that no record of a file can
//! reach the disk before all of the file before it.

mod files;
mod frame;
mod sync;

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use countersign_core::record::Record;
use tokio::sync::watch;

pub use files::{Entry, Error, Position, ReadLimits};

use self::files::Recovered;
use super::health::{Health, Part};
use crate::ports::{Journal, JournalError};

/// How long a record may wait for the disk, unless somebody waits for it.
pub const SYNC_MILLIS_MAX: u64 = 10;
/// When a file is full: 64 MiB.
pub const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How a journal behaves.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// [`Journal::append`] waits for the disk.
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
    state: Mutex<State>,
    /// Something to do for the syncing thread.
    work: Condvar,
    /// Tells waiters how far the disk is.
    progress: watch::Sender<Progress>,
    /// The same for those that wait on a thread.
    progressed: Condvar,
    health: Health,
}

#[derive(Debug)]
struct State {
    file: Arc<File>,
    /// The end of what was written.
    written: Position,
    /// The end of what is on disk.
    synced: Position,
    /// Somebody waits for the disk.
    urgent: bool,
    closed: Option<String>,
    stopping: bool,
}

#[derive(Debug, Clone)]
enum Progress {
    Synced(Position),
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
        let state =
            State { file: Arc::new(file), written: end, synced: end, urgent: false, closed: None, stopping: false };
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            settings,
            state: Mutex::new(state),
            work: Condvar::new(),
            progress: watch::Sender::new(Progress::Synced(end)),
            progressed: Condvar::new(),
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

    /// Appends a leaf and returns the place after it; does not wait for the disk, whatever the settings.
    ///
    /// # Errors
    /// [`JournalError`], as [`Journal::append`].
    pub fn append_leaf(&self, leaf: &[u8]) -> Result<Position, JournalError> {
        let frame = frame::encode(leaf).ok_or_else(|| JournalError::Encode("its length is not valid".to_owned()))?;
        self.shared.append(&frame)
    }

    /// Appends a record and waits, without holding a thread, until it is on disk.
    ///
    /// Dropping the future after the first poll leaves the record in the journal.
    ///
    /// # Errors
    /// [`JournalError`]; the record may or may not be in the journal then, and what it is about must not happen.
    pub async fn append_durable(&self, record: &Record) -> Result<(), JournalError> {
        let after = self.append_leaf(&encode(record)?)?;
        self.wait(after).await.map(drop)
    }

    /// Waits until everything appended so far is on disk, and returns the end of it.
    ///
    /// # Errors
    /// [`JournalError::Closed`].
    pub async fn sync(&self) -> Result<Position, JournalError> {
        let written = self.shared.lock().written;
        self.wait(written).await
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

    async fn wait(&self, target: Position) -> Result<Position, JournalError> {
        let mut progress = self.shared.progress.subscribe();
        self.shared.hurry(target);
        let reached = |progress: &Progress| match progress {
            Progress::Synced(end) => *end >= target,
            Progress::Closed(_) => true,
        };
        match progress.wait_for(reached).await.as_deref() {
            Ok(Progress::Synced(end)) => Ok(*end),
            Ok(Progress::Closed(reason)) => Err(JournalError::Closed(reason.clone())),
            Err(_) => Err(JournalError::Closed("the gateway is stopping".to_owned())),
        }
    }
}

impl Journal for FileJournal {
    /// With [`Settings::durable`] this holds the calling thread until the disk has the record (a few milliseconds): call
    /// [`FileJournal::append_durable`] from tasks instead.
    fn append(&self, record: &Record) -> Result<(), JournalError> {
        let after = self.append_leaf(&encode(record)?)?;
        if self.shared.settings.durable { self.shared.wait_blocking(after) } else { Ok(()) }
    }
}

impl Drop for FileJournal {
    /// Syncs what is written and ends the thread.
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
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
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock, and the state is valid at every point.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, frame: &[u8]) -> Result<Position, JournalError> {
        let mut state = self.lock();
        if let Some(reason) = &state.closed {
            return Err(JournalError::Closed(reason.clone()));
        }
        let written = (&*state.file).write(frame);
        let short = || io::Error::new(io::ErrorKind::WriteZero, "only a part of the record was written");
        match written.and_then(|bytes| if bytes == frame.len() { Ok(()) } else { Err(short()) }) {
            Ok(()) => {}
            Err(cause) => return Err(self.close(&mut state, "a record could not be written", &cause)),
        }
        let was_clean = state.written == state.synced;
        state.written.offset += frame.len() as u64;
        if was_clean {
            self.work.notify_one();
        }
        Ok(state.written)
    }

    /// Ends the journal for good.
    fn close(&self, state: &mut State, what: &str, cause: &io::Error) -> JournalError {
        let reason = format!("{what}: {cause}");
        self.health.fail(Part::Journal, &reason);
        state.closed = Some(reason.clone());
        self.progress.send_replace(Progress::Closed(reason.clone()));
        self.progressed.notify_all();
        self.work.notify_all();
        JournalError::Closed(reason)
    }

    /// Has the disk brought up to `target` at once.
    fn hurry(&self, target: Position) {
        let mut state = self.lock();
        if state.synced < target {
            state.urgent = true;
            self.work.notify_one();
        }
    }

    fn wait_blocking(&self, target: Position) -> Result<(), JournalError> {
        self.hurry(target);
        let mut state = self.lock();
        while state.synced < target {
            if let Some(reason) = &state.closed {
                return Err(JournalError::Closed(reason.clone()));
            }
            state = self.progressed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }
}

/// How long the syncing thread lets records gather.
const GATHER: Duration = Duration::from_millis(SYNC_MILLIS_MAX);

#[cfg(test)]
mod tests;
