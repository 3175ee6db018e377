//! The key of hashes: made once per installation, kept in `data_dir`, shown to nobody.
//!
//! Equal values of any column and target have equal hashes, so that results can be joined; without the key a value cannot
//! be found by trying. Whoever has the key can try.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::identity::keys;

const FILE: &str = "mask.key";
const KEY_BYTES: usize = 32;

/// The key cannot be read or made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file.
    #[error("the key for masks `{path}`: {source}")]
    File {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not a key.
    #[error("the key for masks `{0}` does not have {KEY_BYTES} bytes; remove it to have a new one made")]
    Length(PathBuf),
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] keys::NoRandomness),
}

/// The key.
pub(in crate::protocols::postgres) struct Key(Zeroizing<[u8; KEY_BYTES]>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    /// Reads the key of this folder, or makes it.
    ///
    /// # Errors
    /// [`KeyError`].
    pub(in crate::protocols::postgres) fn load_or_create(folder: &Path) -> Result<Self, KeyError> {
        let path = folder.join(FILE);
        let fail = |source| KeyError::File { path: path.clone(), source };
        match std::fs::read(&path).map(Zeroizing::new) {
            Ok(bytes) => {
                let key = <[u8; KEY_BYTES]>::try_from(bytes.as_slice());
                key.map(|key| Self(Zeroizing::new(key))).map_err(|_| KeyError::Length(path))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key: Zeroizing<[u8; KEY_BYTES]> = Zeroizing::new(keys::random()?);
                write(&path, &key[..]).map_err(fail)?;
                Ok(Self(key))
            }
            Err(error) => Err(fail(error)),
        }
    }

    /// The hash of a value.
    pub(super) fn hash(&self, value: &[u8]) -> [u8; 32] {
        let mac = Hmac::<Sha256>::new_from_slice(&self.0[..]);
        mac.map(|mac| mac.chain_update(value).finalize().into_bytes().into()).unwrap_or([0; 32]) // any length is a key
    }
}

/// A crash leaves the whole file or none: a half-written key would be another key.
fn write(path: &Path, key: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("key.new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(key)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stays_and_depends_on_the_installation() {
        let (one, two) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let hash = |folder: &Path| Key::load_or_create(folder).expect("a key").hash(b"ada@example.org");
        assert_eq!(hash(one.path()), hash(one.path()));
        assert_ne!(hash(one.path()), hash(two.path()));
        std::fs::write(one.path().join(FILE), b"short").expect("written");
        assert!(matches!(Key::load_or_create(one.path()), Err(KeyError::Length(_))));
    }
}
