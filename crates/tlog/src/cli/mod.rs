//! The command line: what is asked, what is checked, what is said.

mod args;
mod words;

use std::path::Path;
use std::process::ExitCode;

use countersign_tlog::note::{Algorithm, KeyError};
use countersign_tlog::source::CHECKPOINT_PATH;
use countersign_tlog::verify::{self, Options};
use countersign_tlog::{DirSource, TileSource, TlogProof, VerifierKey};

pub(crate) use args::Args;
use args::Task;
use words::{Paint, Verdict, describe};

/// Where a gateway's data folder has its log.
const LEDGER_FOLDER: &str = "ledger";
/// Bytes of a key file, at most.
const KEY_FILE_BYTES_MAX: u64 = 4096;
/// Bytes of a checkpoint, proof or entry file, at most.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Why the check could not even begin.
#[derive(Debug, thiserror::Error)]
enum UsageError {
    #[error("`{0}` is neither a verifier key (`name+id+key`) nor a file that holds one")]
    Key(String, #[source] KeyError),
    #[error("`{0}` is not a witness's key: a cosignature key has algorithm 04")]
    WitnessKey(String),
    #[error("`{0}` is a witness's key, not a log's")]
    LogKey(String),
    #[error("cannot read `{path}`")]
    File {
        path: String,
        #[source]
        cause: std::io::Error,
    },
    #[error("`{path}` is longer than {bytes_max} bytes")]
    TooLarge { path: String, bytes_max: u64 },
    #[error("`{0}` is not a folder")]
    NotAFolder(String),
    #[cfg(feature = "http")]
    #[error("cannot use `{address}`")]
    Address {
        address: String,
        #[source]
        cause: countersign_tlog::SourceError,
    },
    #[cfg(not(feature = "http"))]
    #[error("this build reads folders only; fetch `{0}` first")]
    NoHttp(String),
}

/// Runs the check and prints its verdict.
pub(crate) fn run(args: &Args) -> ExitCode {
    match check(args) {
        Ok(verdict) => {
            let text = if args.json { verdict.to_json() } else { verdict.to_text(Paint::for_stdout()) };
            words::print(&text);
            if verdict.is_verified() { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(error) => {
            words::print_error(&format!("error: {}", describe(&error)));
            ExitCode::from(2)
        }
    }
}

fn check(args: &Args) -> Result<Verdict, UsageError> {
    let key = parse_key(&args.key)?;
    if key.algorithm() != Algorithm::Ed25519 {
        return Err(UsageError::LogKey(args.key.clone()));
    }
    let witnesses = args.witness.iter().map(|key| witness_key(key)).collect::<Result<Vec<_>, _>>()?;
    match args.task() {
        Task::Log(place) => check_log(args, place, &key, witnesses),
        Task::Proof { proof, leaf } => check_proof(args, proof, leaf, &key, &witnesses),
    }
}

fn check_log(args: &Args, place: &str, key: &VerifierKey, witnesses: Vec<VerifierKey>) -> Result<Verdict, UsageError> {
    let since = args.since.as_deref().map(|path| read_file(path, FILE_BYTES_MAX)).transpose()?;
    let source = open_source(place)?;
    let options = Options { since, witnesses, witness_quorum: args.witness_quorum, origin: args.origin.clone() };
    Ok(Verdict::of_log(verify::log(source.as_ref(), key, &options)))
}

fn check_proof(
    args: &Args,
    proof: &Path,
    leaf: &Path,
    key: &VerifierKey,
    witnesses: &[VerifierKey],
) -> Result<Verdict, UsageError> {
    let proof = read_file(proof, FILE_BYTES_MAX)?;
    let leaf = read_file(leaf, FILE_BYTES_MAX)?;
    let parsed = String::from_utf8_lossy(&proof).parse::<TlogProof>();
    let proved = parsed.and_then(|proof| proof.verify(&leaf, key, witnesses, args.origin.as_deref()));
    Ok(Verdict::of_proof(proved, args.witness_quorum))
}

/// A key given in full, or the file that holds one.
fn parse_key(text: &str) -> Result<VerifierKey, UsageError> {
    let unusable = |cause| UsageError::Key(text.to_owned(), cause);
    match text.parse() {
        Ok(key) => Ok(key),
        Err(_) if Path::new(text).is_file() => {
            let content = read_file(Path::new(text), KEY_FILE_BYTES_MAX)?;
            String::from_utf8_lossy(&content).trim().parse().map_err(unusable)
        }
        Err(cause) => Err(unusable(cause)),
    }
}

fn witness_key(text: &str) -> Result<VerifierKey, UsageError> {
    let key = parse_key(text)?;
    let is_witness = key.algorithm() == Algorithm::Ed25519Cosignature;
    if is_witness { Ok(key) } else { Err(UsageError::WitnessKey(text.to_owned())) }
}

fn read_file(path: &Path, bytes_max: u64) -> Result<Vec<u8>, UsageError> {
    use std::io::Read as _;
    let name = || path.display().to_string();
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|cause| UsageError::File { path: name(), cause })?;
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|cause| UsageError::File { path: name(), cause })?;
    if bytes.len() as u64 > bytes_max { Err(UsageError::TooLarge { path: name(), bytes_max }) } else { Ok(bytes) }
}

fn open_source(place: &str) -> Result<Box<dyn TileSource>, UsageError> {
    if place.starts_with("http://") || place.starts_with("https://") {
        return open_address(place);
    }
    if !Path::new(place).is_dir() {
        return Err(UsageError::NotAFolder(place.to_owned()));
    }
    let ledger = Path::new(place).join(LEDGER_FOLDER);
    let is_log = |folder: &Path| folder.join(CHECKPOINT_PATH).is_file();
    let is_data_folder = !is_log(Path::new(place)) && is_log(&ledger);
    Ok(Box::new(DirSource::new(if is_data_folder { ledger } else { place.into() })))
}

#[cfg(feature = "http")]
fn open_address(address: &str) -> Result<Box<dyn TileSource>, UsageError> {
    let source = countersign_tlog::HttpSource::new(address);
    let source = source.map_err(|cause| UsageError::Address { address: address.to_owned(), cause })?;
    Ok(Box::new(source))
}

#[cfg(not(feature = "http"))]
fn open_address(address: &str) -> Result<Box<dyn TileSource>, UsageError> {
    Err(UsageError::NoHttp(address.to_owned()))
}
