//! Files that what a request *means* hangs on, with what they held when the configuration was read.
//!
//! A document that says which operations there are, and a file that says how dangerous each is, decide as policies do. So
//! what they hold is a part of the target: with `changes = "review"` another text waits for people, and a file that changed
//! since then is not used. Absent: files whose use is to be exchanged in place, as certificates and secrets are.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The longest file: 64 MiB.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// The most files of a folder, its own folders' included.
const FILES_MAX: usize = 20_000;
/// How many folders deep.
const DEPTH_MAX: usize = 4;

/// A file or a folder, and the digest of what it held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Pinned {
    path: PathBuf,
    /// SHA-256 in hexadecimal digits; none before the configuration was checked.
    sha256: Option<String>,
}

/// In a configuration a path, or a path with the digest it has to have.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Path(PathBuf),
    Digest(Held),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Held {
    path: PathBuf,
    #[serde(default)]
    sha256: Option<String>,
}

impl From<Written> for Pinned {
    fn from(written: Written) -> Self {
        match written {
            Written::Path(path) => Self { path, sha256: None },
            Written::Digest(Held { path, sha256 }) => Self { path, sha256 },
        }
    }
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum NotPinned {
    /// It cannot be read.
    #[error("`{0}`: {1}")]
    Read(PathBuf, std::io::Error),
    /// It is too long, or a folder of too many files.
    #[error("`{0}` is longer than {FILE_BYTES_MAX} bytes, or a folder of more than {FILES_MAX} files")]
    TooLarge(PathBuf),
    /// It holds something else than it did.
    #[error(
        "`{path}` is not what it was (its SHA-256 is {is}, expected {expected}): restart to take it as it is, and have it approved where changes are reviewed"
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its digest now.
        is: String,
        /// The digest that belongs to the target.
        expected: String,
    },
}

impl Pinned {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path with the digest, as people are shown it.
    pub fn words(&self) -> String {
        match &self.sha256 {
            Some(digest) => format!("{} (SHA-256 {digest})", self.path.display()),
            None => self.path.display().to_string(),
        }
    }

    /// What is there now, found from `path`.
    ///
    /// # Errors
    /// [`NotPinned`]: also when it was written with the digest of something else.
    pub(super) fn taken(self, path: PathBuf) -> Result<Self, NotPinned> {
        let is = digest(&path)?;
        let taken = Self { path, sha256: self.sha256.or_else(|| Some(is.clone())) };
        taken.expect(is).map(|()| taken)
    }

    /// The text of the file.
    ///
    /// # Errors
    /// [`NotPinned`].
    pub fn read(&self) -> Result<Vec<u8>, NotPinned> {
        let bytes = bytes(&self.path)?;
        self.expect(hex::encode(Sha256::digest(&bytes)))?;
        Ok(bytes)
    }

    /// Looks whether a folder holds what it did.
    ///
    /// # Errors
    /// [`NotPinned`].
    pub fn check(&self) -> Result<(), NotPinned> {
        self.expect(digest(&self.path)?)
    }

    fn expect(&self, is: String) -> Result<(), NotPinned> {
        match &self.sha256 {
            Some(expected) if expected.eq_ignore_ascii_case(&is) => Ok(()),
            // without a digest nobody has looked at it
            expected => {
                let expected = expected.clone().unwrap_or_else(|| "none".to_owned());
                Err(NotPinned::Changed { path: self.path.clone(), is, expected })
            }
        }
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, NotPinned> {
    let fail = |error| NotPinned::Read(path.to_owned(), error);
    if std::fs::metadata(path).map_err(fail)?.len() > FILE_BYTES_MAX {
        return Err(NotPinned::TooLarge(path.to_owned()));
    }
    std::fs::read(path).map_err(fail)
}

/// Of a file its SHA-256; of a folder that of its files' names and digests, in order.
fn digest(path: &Path) -> Result<String, NotPinned> {
    if !path.is_dir() {
        return Ok(hex::encode(Sha256::digest(bytes(path)?)));
    }
    let mut files = Vec::new();
    below(path, 0, &mut files)?;
    files.sort_unstable();
    let mut all = Sha256::new();
    for file in &files {
        let name = file.strip_prefix(path).unwrap_or(file);
        all.update(name.as_os_str().as_encoded_bytes());
        all.update([0]);
        all.update(Sha256::digest(bytes(file)?));
    }
    Ok(hex::encode(all.finalize()))
}

fn below(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), NotPinned> {
    let fail = |error| NotPinned::Read(folder.to_owned(), error);
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if files.len() == FILES_MAX || depth == DEPTH_MAX {
            return Err(NotPinned::TooLarge(path));
        }
        if path.is_dir() { below(&path, depth + 1, files)? } else { files.push(path) }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(path: &Path) -> Pinned {
        Pinned { path: path.to_owned(), sha256: None }
    }

    #[test]
    fn what_changed_is_not_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("classes.toml");
        std::fs::write(&file, "a").expect("written");
        assert!(written(&file).read().is_err(), "nobody has looked at it");
        let pinned = written(&file).taken(file.clone()).expect("it is there");
        assert_eq!(pinned.read().expect("as it was"), b"a");
        assert!(pinned.words().contains("SHA-256 ca978112ca1bbdca"), "{}", pinned.words());
        std::fs::write(&file, "b").expect("written");
        let error = pinned.read().expect_err("another text").to_string();
        assert!(error.contains("is not what it was"), "{error}");
        assert!(pinned.clone().taken(file.clone()).is_err(), "written with the digest of the former text");
        assert_ne!(written(&file).taken(file).expect("it is there"), pinned);
    }

    #[test]
    fn a_folder_is_its_names_and_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let (inner, other) = (folder.path().join("s3/2006"), folder.path().join("s3/2007"));
        std::fs::create_dir_all(&inner).expect("a folder");
        std::fs::write(inner.join("service-2.json"), "{}").expect("written");
        let pinned = written(folder.path()).taken(folder.path().to_owned()).expect("it is there");
        pinned.check().expect("as it was");
        std::fs::rename(&inner, &other).expect("renamed");
        assert!(matches!(pinned.check(), Err(NotPinned::Changed { .. })));
    }

    #[test]
    fn it_is_kept_with_its_digest() {
        let kept = Pinned { path: "a.json".into(), sha256: Some("00".to_owned()) };
        let text = serde_json::to_string(&kept).expect("it is written");
        assert_eq!(serde_json::from_str::<Pinned>(&text).expect("it is read"), kept);
        assert_eq!(serde_json::from_str::<Pinned>(r#""a.json""#).expect("a path"), written(Path::new("a.json")));
    }
}
