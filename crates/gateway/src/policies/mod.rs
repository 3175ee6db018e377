//! The policy files on disk, and the bundle in force: loaded, validated and swapped in as one; the last good one stays on
//! any error.
//!
//! With `changes = "file"` valid files take the place of the bundle in force as they are. With `changes = "review"` the
//! bundle in force is the one that was last approved, kept in the store with its text, and files that differ from it are
//! only a wish: they come into force by themselves where they are proved to permit nothing more ([`effect`]), and otherwise
//! when people have approved them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use countersign_core::policy::prove::Invariant;
use countersign_core::policy::{Bundle, LoadError, Source, Vocabulary, VocabularyError};

use crate::config::Config;
use crate::ports::{KeptBundle, StoreError};

pub mod effect;
mod force;
pub mod hypothesis;

pub use force::{Activation, Examined, NotActivated, Policies};

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
    /// The bundle in force cannot be had from the store, or kept in it.
    #[error("the bundle in force: {0}")]
    Store(#[from] StoreError),
}

/// A bundle with the text it was loaded from.
#[derive(Debug)]
pub struct Loaded {
    /// The decision point.
    pub bundle: Bundle,
    /// Its text, as the store keeps it.
    pub kept: KeptBundle,
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
    Ok(loaded(config.groups.clone(), sources(folder)?)?.bundle)
}

/// The files that a configuration names, as a bundle with its text.
///
/// # Errors
/// [`Error`].
pub fn load_files(config: &Config) -> Result<Loaded, Error> {
    loaded(config.groups.clone(), sources(&config.policies)?)
}

/// A bundle of these texts, for these groups.
///
/// # Errors
/// [`Error`].
pub fn loaded(groups: BTreeSet<String>, sources: Vec<Source>) -> Result<Loaded, Error> {
    let vocabulary = Vocabulary::new(groups.clone(), QUORUM_MAX)?;
    let texts = sources.iter().cloned().map(Into::into).collect();
    let bundle = Bundle::load(sources, vocabulary).map_err(|error| Error::Invalid(Box::new(error)))?;
    let kept = KeptBundle { digest: bundle.digest(), groups, sources: texts };
    Ok(Loaded { bundle, kept })
}

/// A bundle as it was kept. Its digest is another than the kept one's when the gateway's own part has changed since.
///
/// # Errors
/// [`Error`].
pub fn restored(kept: KeptBundle) -> Result<Loaded, Error> {
    loaded(kept.groups, kept.sources.into_iter().map(Into::into).collect())
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
