//! The keys that seal what is secret and stored, in `data_dir/keys.json`: each wrapped by the master key.
//!
//! Two layers, so that a new master key means to wrap one key anew and not to read all secrets; and so that the master key
//! may stay in a service that never gives it away. They are unwrapped once, when the gateway starts, and stay in memory:
//! that is why the gateway keeps its memory from being dumped (`countersign serve`).

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::master;
use crate::config::{MasterKeySource, Secrets};
use crate::ports::{Place, Seal, SealError};

/// The wrapped keys' file in a data directory.
const KEYS_FILE: &str = "keys.json";
/// The master key's file in a data directory, where none is configured.
pub const MASTER_FILE: &str = "master.key";
/// What every sealed text begins with.
const VERSION: &str = "v1";
/// The longest file of wrapped keys: 1 MiB.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// One key as stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapped {
    id: String,
    /// Which master key it is wrapped with.
    master: String,
    /// Base64.
    key: String,
}

/// One key, ready to use.
#[derive(Clone)]
struct Key {
    id: String,
    key: Zeroizing<[u8; 32]>,
}

/// Seals and opens with the keys of one data directory; the last is in force.
pub struct Sealer {
    file: PathBuf,
    source: MasterKeySource,
    keys: RwLock<Vec<Key>>,
    /// Held while keys change, which may take as long as a service takes to answer; sealing goes on.
    changing: Mutex<()>,
}

impl Sealer {
    /// Opens the keys of a data directory, or makes the first. Keys that an earlier master key wrapped (`previous`) are
    /// wrapped anew.
    ///
    /// # Errors
    /// [`SealError`]; the gateway must not start.
    pub fn open(data_dir: &Path, secrets: &Secrets) -> Result<Self, SealError> {
        let file = data_dir.join(KEYS_FILE);
        let own = data_dir.join(MASTER_FILE);
        let source = secrets.master_key.clone().unwrap_or_else(|| MasterKeySource::File(own.clone()));
        let wrapped = read(&file)?;
        if secrets.master_key.is_none() && wrapped.is_empty() {
            master::create(&own)?;
        }
        let mut older = false;
        let mut keys = Vec::with_capacity(wrapped.len());
        for one in &wrapped {
            let (key, by_older) = unwrapped(one, &source, &secrets.previous)?;
            older |= by_older;
            keys.push(Key { id: one.id.clone(), key });
        }
        let first = keys.is_empty();
        if first {
            keys.push(new_key()?);
        }
        let sealer = Self { file, source, keys: RwLock::default(), changing: Mutex::default() };
        if first || older {
            sealer.write(&keys)?;
        }
        *sealer.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(sealer)
    }

    /// Replaces the keys, once they are written.
    fn change(&self, to: impl FnOnce(Vec<Key>) -> Vec<Key>) -> Result<(), SealError> {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = to(self.keys.read().unwrap_or_else(PoisonError::into_inner).clone());
        self.write(&keys)?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// Writes the keys, wrapped by the master key as it is now, and replaces the file whole.
    fn write(&self, keys: &[Key]) -> Result<(), SealError> {
        let wrap = |key: &Key| {
            let (master, wrapped) = master::wrap(&self.source, &context_of(&key.id), key.key.as_ref())?;
            Ok(Wrapped { id: key.id.clone(), master, key: STANDARD.encode(wrapped) })
        };
        let wrapped = keys.iter().map(wrap).collect::<Result<Vec<_>, SealError>>()?;
        let text = serde_json::to_vec_pretty(&wrapped).map_err(|error| SealError::Unavailable(error.to_string()))?;
        replace(&self.file, &text).map_err(|error| named(&self.file, &error))
    }
}

impl Seal for Sealer {
    fn seal(&self, place: Place<'_>, secret: &[u8]) -> Result<String, SealError> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let Key { id, key } = keys.last().ok_or_else(|| SealError::UnknownKey("none".to_owned()))?;
        let sealed = master::encrypt(key, &context_at(place), secret)?;
        Ok(format!("{VERSION}.{id}.{}", STANDARD.encode(sealed)))
    }

    fn unseal(&self, place: Place<'_>, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (id, text) = parts(sealed).ok_or(SealError::Broken)?;
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let found = keys.iter().find(|key| key.id == id);
        let Key { key, .. } = found.ok_or_else(|| SealError::UnknownKey(id.to_owned()))?;
        let bytes = STANDARD.decode(text).map_err(|_| SealError::Broken)?;
        master::decrypt(key, &context_at(place), &bytes)
    }

    fn is_current(&self, sealed: &str) -> bool {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        parts(sealed).is_some_and(|(id, _)| keys.last().is_some_and(|key| key.id == id))
    }

    fn renew(&self) -> Result<String, SealError> {
        let new = new_key()?;
        let id = new.id.clone();
        self.change(|mut keys| {
            keys.push(new);
            keys
        })?;
        Ok(id)
    }

    fn forget_older(&self) -> Result<(), SealError> {
        self.change(|mut keys| keys.split_off(keys.len().saturating_sub(1)))
    }
}

/// Where a secret is: nothing in it can be mistaken for the end of it, as `what` is ours and has no null byte.
fn context_at(place: Place<'_>) -> String {
    format!("countersign/sealed/{VERSION}\0{}\0{}", place.what, place.id)
}

fn context_of(id: &str) -> String {
    format!("countersign/key/{VERSION}/{id}")
}

fn parts(sealed: &str) -> Option<(&str, &str)> {
    sealed.strip_prefix(VERSION)?.strip_prefix('.')?.split_once('.')
}

fn new_key() -> Result<Key, SealError> {
    let mut key = Zeroizing::new([0; 32]);
    getrandom::fill(key.as_mut()).map_err(|error| SealError::Unavailable(error.to_string()))?;
    Ok(Key { id: uuid::Uuid::now_v7().simple().to_string(), key })
}

/// The key, and whether an earlier master key had to be asked.
fn unwrapped(
    wrapped: &Wrapped,
    source: &MasterKeySource,
    previous: &[MasterKeySource],
) -> Result<(Zeroizing<[u8; 32]>, bool), SealError> {
    let bytes = STANDARD.decode(&wrapped.key).map_err(|_| SealError::Broken)?;
    let mut first = None;
    for (at, source) in std::iter::once(source).chain(previous).enumerate() {
        match master::unwrap(source, &context_of(&wrapped.id), &wrapped.master, &bytes) {
            Ok(key) => {
                let key = key.as_slice().try_into().map_err(|_| SealError::Broken)?;
                return Ok((Zeroizing::new(key), at > 0));
            }
            Err(error) => drop(first.get_or_insert(error)),
        }
    }
    Err(first.unwrap_or(SealError::Broken))
}

fn read(file: &Path) -> Result<Vec<Wrapped>, SealError> {
    match fs::metadata(file) {
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
            return Err(named(file, &io::Error::new(io::ErrorKind::InvalidData, "it is too long")));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(named(file, &error)),
    }
    let text = fs::read(file).map_err(|error| named(file, &error))?;
    serde_json::from_slice(&text).map_err(|error| named(file, &error.into()))
}

fn replace(file: &Path, text: &[u8]) -> io::Result<()> {
    let aside = file.with_extension("json.new");
    let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    out.write_all(text)?;
    out.sync_all()?;
    fs::rename(&aside, file)?;
    file.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

fn named(file: &Path, error: &io::Error) -> SealError {
    SealError::Unavailable(format!("`{}`: {error}", file.display()))
}
