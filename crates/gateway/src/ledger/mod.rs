//! The ledger: where every record ends up, in order, under a signature.
//!
//! The store keeps the records of everything with effect, the [`journal`] those of reads and outcomes; the sequencer
//! merges both into a tamper-evident log in C2SP formats ([`countersign_tlog`]) below `data_dir/ledger`:
//!
//! | file | content |
//! |---|---|
//! | `log.key`, `log.vkey` | the signing key (only its owner may read it) and its public half ([`keys`]) |
//! | `journal/NNNNNNNN.log` | records that the log has not taken over yet |
//! | `tile/…`, `checkpoint`, `checkpoints` | the log, its newest signed checkpoint, and all earlier ones |
//! | `lock` | held by the one process that writes here |
//!
//! [`Ledger`] opens, holds and ends all of it; [`Query`] reads it for API, console and `/log/`; [`verify`] checks it.
//!
//! Deliberately absent: the records' vocabulary (`core::record`), the store (behind [`RecordSource`]), and any way to change
//! or remove a leaf.

mod error;
mod files;
mod health;
pub mod journal;
pub mod keys;
mod merge;
pub mod query;
mod sequencer;
pub mod verify;
mod view;
mod writer;

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use countersign_tlog::VerifierKey;
use tokio::sync::watch;

pub use error::Error;
pub use health::{Failure, Health, Part};
pub use journal::FileJournal;
pub use keys::Error as KeyError;
pub use query::{Query, QueryError};

use crate::ports::{RecordSource, Seal};

/// The ledger's folder inside `data_dir`.
pub const LEDGER_FOLDER: &str = "ledger";
/// How often the sequencer looks for waiting records.
const SEQUENCE_EVERY: Duration = Duration::from_secs(1);

/// How the ledger is opened.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The log's name; the default is made at the first start. It cannot change afterwards.
    pub origin: Option<String>,
    /// How the journal behaves.
    pub journal: journal::Settings,
}

/// The open ledger of a gateway.
#[derive(Debug)]
pub struct Ledger {
    root: PathBuf,
    key: VerifierKey,
    journal: Arc<FileJournal>,
    sequencer: sequencer::Handle,
    stop: Mutex<Option<sequencer::Stop>>,
    health: Health,
}

impl Ledger {
    /// Opens the ledger in `data_dir`, or begins it where there is no trace of one, and starts the sequencer.
    ///
    /// When this returns, everything that an earlier run recorded is in the log and its outcomes are applied to the store:
    /// only then may the store close open intents as unknown.
    ///
    /// # Errors
    /// [`Error`]: something is lost, damaged, or not this log's; the gateway must not start.
    pub async fn open(
        data_dir: &Path,
        settings: Settings,
        source: Arc<dyn RecordSource>,
        seal: &dyn Seal,
    ) -> Result<Self, Error> {
        let root = folder(data_dir);
        create_private(&root)?;
        let lock = lock(&root)?;
        let head = source.log_head().await?;
        let signer = keys::open(&root, settings.origin.as_deref(), head.is_some(), seal)?;
        let key = signer.verifier_key().clone();
        let health = Health::default();
        let (journal, health_too) = (settings.journal, health.clone());
        let opening = sequencer::Opening { root: &root, signer, head, source, journal, health: health_too };
        let mut engine = sequencer::Engine::open(opening).await?;
        engine.drain().await?;
        let journal = engine.journal();
        let (sequencer, stop) = sequencer::start(engine, SEQUENCE_EVERY, health.clone(), lock);
        Ok(Self { root, key, journal, sequencer, stop: Mutex::new(Some(stop)), health })
    }

    /// The journal, for the line.
    pub fn journal(&self) -> Arc<FileJournal> {
        Arc::clone(&self.journal)
    }

    /// The alarm: checked before anything with effect, and by readiness.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// The log's public key.
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.key
    }

    /// Reads the log.
    pub fn query(&self) -> Query {
        Query::new(&self.root, self.key.clone())
    }

    /// Waits until everything appended before the call is in a published checkpoint; returns its size. May be dropped.
    ///
    /// # Errors
    /// [`Failure`] when the ledger has stopped.
    pub async fn flush(&self) -> Result<u64, Failure> {
        self.sequencer.flush().await
    }

    /// The published size, as it grows.
    pub fn published(&self) -> watch::Receiver<u64> {
        self.sequencer.published()
    }

    /// Integrates what is there and ends the sequencer. The journal still takes records; the next start integrates them.
    ///
    /// # Errors
    /// [`Failure`] when the ledger has stopped before, or while it was ending.
    pub async fn shutdown(&self) -> Result<(), Failure> {
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(stop) = stop {
            stop.stop().await;
        }
        self.health.check()
    }
}

/// The ledger's folder in a data folder.
pub fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join(LEDGER_FOLDER)
}

/// Creates the ledger's folder for its owner alone.
fn create_private(root: &Path) -> Result<(), Error> {
    if let Some(parent) = root.parent() {
        files::create_folder(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(root) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(Error::file(root, e)),
        Ok(()) => files::sync_dir(root.parent().unwrap_or(root)).map_err(|e| Error::file(root, e)),
    }
}

/// Makes sure that no other process writes here; the lock ends with the process.
fn lock(root: &Path) -> Result<File, Error> {
    let path = root.join("lock");
    let file =
        File::options().write(true).create(true).truncate(false).open(&path).map_err(|e| Error::file(&path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::Locked { path }),
        Err(fs::TryLockError::Error(cause)) => Err(Error::file(&path, cause)),
    }
}

#[cfg(test)]
mod tests;
