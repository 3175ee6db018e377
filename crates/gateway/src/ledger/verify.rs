//! Checking a log from the command line: the same verification as the independent `countersign-verify`.
//!
//! Unlike that tool it takes the verifier key from the log's own place when none is given; the report says so, because
//! whoever can replace a whole log can replace its key too. Blocking, offline but for [`verify_url`]: call it on a thread
//! for blocking work.

use std::ops::Range;
use std::path::{Path, PathBuf};

use countersign_tlog::verify::{Options, Problem, VerifyError};
use countersign_tlog::{DirSource, HttpSource, SourceError, TileSource, VerifierKey};
use serde::Serialize;

use super::error::chain;
use super::keys::{self, VERIFIER_KEY_FILE};
use super::{KeyError, QueryError, folder, query};

/// Where a gateway serves its log.
const SERVED_AT: &str = "log";

/// What to hold the log against besides itself.
#[derive(Debug, Clone, Default)]
pub struct Against {
    /// The log's key, from a place that is trusted; by default the one published beside the log.
    pub key: Option<VerifierKey>,
    /// A signed checkpoint saved earlier.
    pub since: Option<Vec<u8>>,
}

/// A verified log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The folder or address.
    pub log: String,
    /// The verifier key it was checked with.
    pub verifier_key: String,
    /// The key was given, rather than found beside the log.
    pub key_given: bool,
    /// What was found.
    #[serde(flatten)]
    pub verified: countersign_tlog::Report,
}

/// A log that did not verify, or could not be checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// A stable word for what is wrong.
    pub code: &'static str,
    /// What is wrong, and with which leaf.
    pub message: String,
    /// The first leaf that cannot be believed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_bad_leaf: Option<u64>,
    /// The leaves among which it is, where it cannot be named exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<Range<u64>>,
}

impl Refusal {
    fn new(code: &'static str, error: &dyn std::error::Error) -> Self {
        Self { code, message: chain(error), first_bad_leaf: None, range: None }
    }
}

impl From<VerifyError> for Refusal {
    fn from(error: VerifyError) -> Self {
        let (first_bad_leaf, range) = (error.first_bad_leaf(), error.range());
        Self { first_bad_leaf, range, ..Self::new(error.problem().code(), &error) }
    }
}

impl From<SourceError> for Refusal {
    fn from(error: SourceError) -> Self {
        VerifyError::from(Problem::Source(error)).into()
    }
}

impl From<KeyError> for Refusal {
    fn from(error: KeyError) -> Self {
        Self::new("key", &error)
    }
}

/// Verifies the log in a data folder: every entry, hash and checkpoint. The gateway may be running.
///
/// # Errors
/// [`Refusal`]: what is wrong, and the first bad leaf where one can be named.
pub fn verify_dir(data_dir: &Path, against: Against) -> Result<Report, Refusal> {
    let root = folder(data_dir);
    if !query::exists(&root) {
        return Err(Problem::CheckpointMissing).map_err(|problem| refuse_absent(problem, &root));
    }
    let key_given = against.key.is_some();
    let key = against.key.map_or_else(|| keys::verifier_key(&root), Ok)?;
    let source = DirSource::new(&root);
    verify(&source, root.display().to_string(), &key, key_given, against.since)
}

fn refuse_absent(problem: Problem, root: &Path) -> Refusal {
    let refusal = Refusal::from(VerifyError::from(problem));
    Refusal { message: format!("{}: {}", root.display(), refusal.message), ..refusal }
}

/// Verifies the log behind an address: a gateway's, or that of the log itself (such as `https://gateway/log`).
///
/// # Errors
/// [`Refusal`], as [`verify_dir`].
pub fn verify_url(url: &str, against: Against) -> Result<Report, Refusal> {
    let base = log_address(url);
    let source = HttpSource::new(&base)?;
    let key_given = against.key.is_some();
    let key = against.key.map_or_else(|| fetch_key(&source), Ok)?;
    verify(&source, base, &key, key_given, against.since)
}

/// Makes the `.tlog-proof` of one leaf of the log in a data folder.
///
/// # Errors
/// [`Refusal`] where the leaf does not exist or does not match the signed log.
pub fn prove(data_dir: &Path, index: u64) -> Result<String, Refusal> {
    let query = query::open(&folder(data_dir))?;
    query.prove(index).map_err(|error| match error {
        QueryError::NotFound { .. } => Refusal::new("not_found", &error),
        QueryError::Unproved(_) => Refusal { first_bad_leaf: Some(index), ..Refusal::new("changed", &error) },
        _ => Refusal::new("unreadable", &error),
    })
}

fn verify(
    source: &dyn TileSource,
    log: String,
    key: &VerifierKey,
    key_given: bool,
    since: Option<Vec<u8>>,
) -> Result<Report, Refusal> {
    let options = Options { since, ..Options::default() };
    let verified = countersign_tlog::verify::log(source, key, &options)?;
    Ok(Report { log, verifier_key: key.to_string(), key_given, verified })
}

/// A gateway's address names its log too.
fn log_address(url: &str) -> String {
    let url = url.trim_end_matches('/');
    let is_bare = url.split_once("://").is_some_and(|(_, rest)| !rest.contains('/'));
    if is_bare { format!("{url}/{SERVED_AT}") } else { url.to_owned() }
}

fn fetch_key(source: &HttpSource) -> Result<VerifierKey, Refusal> {
    let path = || PathBuf::from(VERIFIER_KEY_FILE);
    let malformed = || Refusal::from(KeyError::Malformed { path: path() });
    let bytes = source.fetch(VERIFIER_KEY_FILE)?.ok_or_else(|| Refusal::from(KeyError::Missing { path: path() }))?;
    let text = String::from_utf8(bytes).map_err(|_| malformed())?;
    text.trim_end_matches('\n').parse().map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateways_address_names_its_log() {
        assert_eq!(log_address("http://127.0.0.1:8470"), "http://127.0.0.1:8470/log");
        assert_eq!(log_address("http://127.0.0.1:8470/"), "http://127.0.0.1:8470/log");
        assert_eq!(log_address("https://logs.example/a/log/"), "https://logs.example/a/log");
    }
}
