//! The log's signing key: made once, at the first start, and never beside a log that exists already.
//!
//! `log.key` reads `PRIVATE+KEY+name+id+base64(algorithm ‖ seed)`, as other C2SP tools write it; the name is the log's
//! origin, and is sealed. `log.vkey` is the public half. Source: <https://c2sp.org/signed-note>.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_tlog::note::KeyError;
use countersign_tlog::source::{CHECKPOINT_PATH, HISTORY_PATH};
use countersign_tlog::{Signer, VerifierKey};
use zeroize::Zeroizing;

use super::files::sync_dir;
use crate::ports::{Place, Seal, SealError, Sealed};

/// The signing key's file.
pub const KEY_FILE: &str = "log.key";
/// The verifier key's file.
pub const VERIFIER_KEY_FILE: &str = "log.vkey";

const KEY_PREFIX: &str = "PRIVATE+KEY+";
/// What the file begins with when the key in it is sealed.
const SEALED_PREFIX: &str = "COUNTERSIGN+SEALED+";
/// Where it is sealed.
pub(super) const PLACE: Place<'static> = Place { what: "ledger/log.key", id: "" };
const ED25519: u8 = 0x01;
/// Bytes of a key file, at most: a name of 255 bytes and less than 100 for the rest, sealed and encoded.
const KEY_FILE_BYTES_MAX: u64 = 1024;
/// What shows that a log, or a part of one, is in a folder.
const TRACES: [&str; 5] = [VERIFIER_KEY_FILE, CHECKPOINT_PATH, HISTORY_PATH, "tile", "journal"];

/// Why the log's key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("cannot use `{path}`")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The key is gone while its log is there.
    #[error(
        "`{path}` is missing, but the log it signed is there; restore the key: a new one would make the log another log"
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The key's file is no key.
    #[error("`{path}` is not a log key; restore it from a backup")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The key cannot be sealed or unsealed.
    #[error("`{path}` cannot be used: {cause}")]
    Sealed {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: SealError,
    },
    /// Others may read the key.
    #[error("`{path}` can be read by others (mode {mode:03o}); run `chmod 600` on it, and consider the key disclosed")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The published verifier key belongs to another key.
    #[error("`{path}` is not the public half of `{KEY_FILE}`; restore the pair from one backup")]
    Mismatch {
        /// The verifier key's file.
        path: PathBuf,
    },
    /// The configuration names another origin than the log has.
    #[error("the log's origin is `{found}`, the configuration says `{configured}`; the origin of a log cannot change")]
    Origin {
        /// The log's.
        found: String,
        /// The configuration's.
        configured: String,
    },
    /// The origin cannot be one.
    #[error("the origin cannot be used")]
    Name(#[source] KeyError),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random(#[source] getrandom::Error),
}

/// Opens the key in `dir`, or makes one where there is no trace of a log. `is_known` says that the store knows of a log.
///
/// # Errors
/// [`Error`]; the gateway must not start.
pub fn open(dir: &Path, origin: Option<&str>, is_known: bool, seal: &dyn Seal) -> Result<Signer, Error> {
    let path = dir.join(KEY_FILE);
    let signer = match read_private(&path)? {
        Some(text) => opened(dir, &text, seal)?,
        None if is_known || has_traces(dir)? => return Err(Error::Missing { path }),
        None => create(dir, origin, seal)?,
    };
    let found = signer.verifier_key().name().as_str();
    if let Some(configured) = origin.filter(|configured| *configured != found) {
        return Err(Error::Origin { found: found.to_owned(), configured: configured.to_owned() });
    }
    publish(dir, signer.verifier_key())?;
    Ok(signer)
}

/// The verifier key as published in `dir`.
///
/// # Errors
/// [`Error::File`] or [`Error::Malformed`].
pub fn verifier_key(dir: &Path) -> Result<VerifierKey, Error> {
    let path = dir.join(VERIFIER_KEY_FILE);
    let text = read_bounded(&path).map_err(|cause| Error::File { path: path.clone(), cause })?;
    text.trim_end_matches('\n').parse().map_err(|_| Error::Malformed { path })
}

fn read_bounded(path: &Path) -> io::Result<Zeroizing<String>> {
    if fs::metadata(path)?.len() > KEY_FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is too long for a key"));
    }
    fs::read_to_string(path).map(Zeroizing::new)
}

/// The text of the key file, if there is one that only its owner can read.
fn read_private(path: &Path) -> Result<Option<Zeroizing<String>>, Error> {
    let mode = match fs::metadata(path) {
        Ok(metadata) => metadata.permissions().mode() & 0o777,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(Error::File { path: path.to_owned(), cause }),
    };
    if mode & 0o077 != 0 {
        return Err(Error::Exposed { path: path.to_owned(), mode });
    }
    match read_bounded(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::InvalidData => Err(Error::Malformed { path: path.to_owned() }),
        Err(cause) => Err(Error::File { path: path.to_owned(), cause }),
    }
}

/// The key in a file's text. One that is not sealed, as other tools write it, or not with the key in force, is sealed now.
fn opened(dir: &Path, text: &str, seal: &dyn Seal) -> Result<Signer, Error> {
    let malformed = || Error::Malformed { path: dir.join(KEY_FILE) };
    let sealed = text.trim_end_matches('\n').strip_prefix(SEALED_PREFIX);
    let plain = match sealed {
        None => Zeroizing::new(text.to_owned()),
        Some(sealed) => {
            let bytes =
                seal.unseal(PLACE, sealed).map_err(|cause| Error::Sealed { path: dir.join(KEY_FILE), cause })?;
            Zeroizing::new(std::str::from_utf8(&bytes).map_err(|_| malformed())?.to_owned())
        }
    };
    let signer = parse(&plain).ok_or_else(malformed)?;
    if !sealed.is_some_and(|sealed| seal.is_current(sealed)) {
        write_sealed(dir, &plain, seal)?;
    }
    Ok(signer)
}

/// The key's file, as one of the places where something is sealed.
pub struct KeyFile {
    dir: PathBuf,
    seal: Arc<dyn Seal>,
}

impl KeyFile {
    /// The one of the log in `dir`.
    pub fn new(dir: PathBuf, seal: Arc<dyn Seal>) -> Self {
        Self { dir, seal }
    }
}

#[async_trait]
impl Sealed for KeyFile {
    async fn seal_anew(&self) -> Result<(), SealError> {
        let anew = || match read_private(&self.dir.join(KEY_FILE))? {
            Some(text) => opened(&self.dir, &text, &*self.seal).map(|_| ()),
            None => Ok(()),
        };
        anew().map_err(|error: Error| SealError::Unavailable(error.to_string()))
    }
}

fn write_sealed(dir: &Path, text: &str, seal: &dyn Seal) -> Result<(), Error> {
    let sealed = seal.seal(PLACE, text.as_bytes());
    let sealed = sealed.map_err(|cause| Error::Sealed { path: dir.join(KEY_FILE), cause })?;
    write_whole(dir, KEY_FILE, format!("{SEALED_PREFIX}{sealed}\n").as_bytes(), 0o600)
}

fn parse(text: &str) -> Option<Signer> {
    let mut parts = text.strip_suffix('\n').unwrap_or(text).strip_prefix(KEY_PREFIX)?.splitn(3, '+');
    let (name, id, key) = (parts.next()?, parts.next()?, parts.next()?);
    let key = Zeroizing::new(STANDARD.decode(key).ok()?);
    let (algorithm, seed) = key.split_first()?;
    let seed: Zeroizing<[u8; 32]> = Zeroizing::new(seed.try_into().ok()?);
    let signer = Signer::from_seed(name, &seed).ok()?;
    let is_whole = *algorithm == ED25519 && signer.verifier_key().id().to_string() == id;
    is_whole.then_some(signer)
}

fn has_traces(dir: &Path) -> Result<bool, Error> {
    for name in TRACES {
        let path = dir.join(name);
        if path.try_exists().map_err(|cause| Error::File { path, cause })? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn create(dir: &Path, origin: Option<&str>, seal: &dyn Seal) -> Result<Signer, Error> {
    let origin = origin.map_or_else(random_origin, |origin| Ok(origin.to_owned()))?;
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(Error::Random)?;
    let signer = Signer::from_seed(&origin, &seed).map_err(Error::Name)?;
    let mut key = Zeroizing::new(vec![ED25519]);
    key.extend_from_slice(&*seed);
    let encoded = Zeroizing::new(STANDARD.encode(&*key));
    let text = Zeroizing::new(format!("{KEY_PREFIX}{origin}+{}+{}\n", signer.verifier_key().id(), &*encoded));
    write_sealed(dir, &text, seal)?;
    Ok(signer)
}

fn random_origin() -> Result<String, Error> {
    let mut suffix = [0; 4];
    getrandom::fill(&mut suffix).map_err(Error::Random)?;
    Ok(format!("countersign.local/{}", hex::encode(suffix)))
}

/// Writes the verifier key, or checks the one that is there.
fn publish(dir: &Path, key: &VerifierKey) -> Result<(), Error> {
    let path = dir.join(VERIFIER_KEY_FILE);
    match verifier_key(dir) {
        Ok(found) if found == *key => Ok(()),
        Ok(_) | Err(Error::Malformed { .. }) => Err(Error::Mismatch { path }),
        Err(Error::File { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
            write_whole(dir, VERIFIER_KEY_FILE, format!("{key}\n").as_bytes(), 0o644)
        }
        Err(e) => Err(e),
    }
}

/// Writes a file aside and renames it into place.
fn write_whole(dir: &Path, name: &str, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let path = dir.join(name);
    let aside = dir.join(format!(".{name}.new"));
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&aside)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, &path)?;
        sync_dir(dir)
    };
    write().map_err(|cause| Error::File { path: path.clone(), cause })
}
