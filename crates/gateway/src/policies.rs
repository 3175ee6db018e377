//! The policy files on disk: loaded, validated and swapped in as one bundle; the last good one stays on any error.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use countersign_core::action::BundleDigest;
use countersign_core::policy::prove::Invariant;
use countersign_core::policy::{Bundle, LoadError, Source, Vocabulary, VocabularyError};
use countersign_core::record::Event;

use crate::config::Config;
use crate::ports::{Scribe, Store};

/// How often the folder is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The most files in a bundle.
const FILES_MAX: usize = 500;
/// The folder in it with what must never be allowed.
const INVARIANTS: &str = "invariants";
/// How many people of one group a policy may ask for.
const QUORUM_MAX: u8 = 5;

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder or a file in it cannot be read.
    #[error("cannot read the policies in `{path}`: {source}")]
    Read {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no policy file: nothing would be permitted, which is not what anyone means.
    #[error("there is no `.cedar` file in `{0}`; copy the starter policies there")]
    Empty(PathBuf),
    /// More files than are taken.
    #[error("there are more than {FILES_MAX} policy files in `{0}`")]
    TooMany(PathBuf),
    /// The configured groups are no vocabulary.
    #[error("`policy.groups`: {0}")]
    Groups(#[from] VocabularyError),
    /// The policies are not valid.
    #[error("{0}")]
    Invalid(#[from] Box<LoadError>),
}

/// Reads and validates the bundle that a configuration names.
///
/// # Errors
/// [`Error`], with every problem in the files at once.
pub fn load(config: &Config) -> Result<Bundle, Error> {
    load_from(config, &config.policies)
}

/// The same of another folder, with the groups of the configuration.
///
/// # Errors
/// [`Error`].
pub fn load_from(config: &Config, folder: &Path) -> Result<Bundle, Error> {
    let sources = sources(folder)?;
    let vocabulary = Vocabulary::new(config.groups.clone(), QUORUM_MAX)?;
    Bundle::load(sources, vocabulary).map_err(|error| Error::Invalid(Box::new(error)))
}

/// The `.cedar` files of a folder, in the order of their names.
///
/// # Errors
/// [`Error`].
pub fn sources(folder: &Path) -> Result<Vec<Source>, Error> {
    let fail = |source| Error::Read { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.extension().is_some_and(|extension| extension == "cedar") {
            files.push(path);
        }
        if files.len() > FILES_MAX {
            return Err(Error::TooMany(folder.to_owned()));
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Error::Empty(folder.to_owned()));
    }
    files.iter().map(|path| read(path)).collect()
}

/// The invariants compiled in, and those in the folder's `invariants/`, if there is one.
///
/// # Errors
/// [`Error`].
pub fn invariants(config: &Config, bundle: &Bundle) -> Result<Vec<Invariant>, Error> {
    let folder = config.policies.join(INVARIANTS);
    let sources = match folder.try_exists() {
        Ok(false) => Vec::new(),
        Ok(true) => sources(&folder)?,
        Err(source) => return Err(Error::Read { path: folder, source }),
    };
    bundle.invariants(&sources).map_err(|error| Error::Invalid(Box::new(error)))
}

fn read(path: &Path) -> Result<Source, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    Ok(Source { name, text })
}

/// The bundle in force, swapped atomically.
pub struct Policies {
    config: Arc<Config>,
    current: ArcSwap<Bundle>,
    problem: ArcSwap<Option<String>>,
}

impl Policies {
    /// Loads the first bundle; without one the gateway does not start.
    ///
    /// # Errors
    /// [`Error`].
    pub fn open(config: Arc<Config>) -> Result<Self, Error> {
        let bundle = load(&config)?;
        Ok(Self { config, current: ArcSwap::from_pointee(bundle), problem: ArcSwap::from_pointee(None) })
    }

    /// The bundle in force.
    pub fn current(&self) -> Arc<Bundle> {
        self.current.load_full()
    }

    /// Why the files on disk are not in force, if they are not.
    pub fn problem(&self) -> Option<String> {
        self.problem.load().as_ref().clone()
    }

    /// Watches the folder until the future is dropped. A change that does not load is reported and left alone; one that
    /// loads is recorded first and then put in force.
    pub async fn watch(&self, store: &dyn Store, scribe: &Scribe) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.look(store, scribe).await;
        }
    }

    async fn look(&self, store: &dyn Store, scribe: &Scribe) {
        let bundle = match load(&self.config) {
            Ok(bundle) => bundle,
            Err(error) => return self.keep(error.to_string(), store, scribe).await,
        };
        self.problem.store(Arc::new(None));
        if bundle.digest() == self.current().digest() {
            return;
        }
        match store.append(vec![scribe.record(activated(bundle.digest()))]).await {
            Ok(()) => {
                tracing::info!(bundle = %bundle.digest(), "policy bundle in force");
                self.current.store(Arc::new(bundle));
            }
            Err(error) => {
                self.keep(format!("the activation could not be recorded: {error}"), store, scribe).await;
            }
        }
    }

    /// Keeps the last good bundle; a new problem is told once, in the log and in the record.
    async fn keep(&self, problem: String, store: &dyn Store, scribe: &Scribe) {
        if self.problem().as_deref() == Some(problem.as_str()) {
            return;
        }
        tracing::error!(%problem, "the policies on disk are not valid; the last good bundle stays in force");
        let detail = "the policy files on disk are not valid; the last good bundle stays in force".to_owned();
        let alarm = Event::SystemAlarm { code: "policies_invalid".to_owned(), detail };
        if let Err(error) = store.append(vec![scribe.record(alarm)]).await {
            tracing::error!(%error, "the alarm could not be recorded");
        }
        self.problem.store(Arc::new(Some(problem)));
    }
}

/// The record of a bundle that came into force.
pub fn activated(bundle: BundleDigest) -> Event {
    Event::PolicyActivated { bundle, changes: "file".to_owned() }
}
