//! Where a stream of bytes waits: an unlinked file under `data_dir`, so that neither memory nor a crash keeps the data.
//!
//! One stream has a bound, and all of them together have one. What is read back is hashed again, against the digest that
//! was approved, before any of it is sent.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

/// How many times the bound of one stream all of them may hold together.
const STREAMS_TOGETHER: u64 = 16;
/// How much is read back at once.
const CHUNK_BYTES: usize = 32 * 1024;

/// Why a stream cannot be kept, or given back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is longer than one stream may be.
    #[error("the data is longer than {0} bytes")]
    TooLong(u64),
    /// Other streams that wait fill what all of them may hold.
    #[error("the data that waits for reviews fills its {0} bytes; try again when some are decided")]
    Full(u64),
    /// The file.
    #[error("the data cannot be kept: {0}")]
    File(#[from] io::Error),
    /// What is read back is not what was taken in.
    #[error("the data that was kept is not what was approved")]
    Changed,
}

/// A stream by its length and SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest {
    /// How many bytes it has.
    pub bytes: u64,
    /// Its hash.
    pub sha256: [u8; 32],
}

/// The room that all streams of a kind share.
#[derive(Debug)]
pub struct Spools {
    folder: PathBuf,
    bytes_max: u64,
    in_use: AtomicU64,
}

impl Spools {
    /// In this folder, each of at most so many bytes.
    pub fn new(folder: PathBuf, bytes_max: u64) -> Self {
        Self { folder, bytes_max, in_use: AtomicU64::new(0) }
    }

    fn take(&self, bytes: u64) -> Result<(), Error> {
        let max = self.bytes_max.saturating_mul(STREAMS_TOGETHER);
        let add = |used: u64| used.checked_add(bytes).filter(|used| *used <= max);
        let taken = self.in_use.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        taken.map(drop).map_err(|_| Error::Full(max))
    }
}

/// One stream.
#[derive(Debug)]
pub struct Spool {
    spools: Arc<Spools>,
    file: File,
    bytes: u64,
    hash: Sha256,
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.spools.in_use.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Spool {
    /// An empty one.
    ///
    /// # Errors
    /// [`Error::File`].
    pub async fn open(spools: &Arc<Spools>) -> Result<Self, Error> {
        let folder = spools.folder.clone();
        let made = tokio::task::spawn_blocking(move || tempfile::tempfile_in(folder)).await;
        let file = File::from_std(made.map_err(io::Error::other)??);
        Ok(Self { spools: spools.clone(), file, bytes: 0, hash: Sha256::new() })
    }

    /// Takes in a chunk.
    ///
    /// # Errors
    /// [`Error`]; the stream is then of no use any more.
    pub async fn push(&mut self, chunk: &[u8]) -> Result<(), Error> {
        let bytes = chunk.len() as u64;
        if self.bytes + bytes > self.spools.bytes_max {
            return Err(Error::TooLong(self.spools.bytes_max));
        }
        self.spools.take(bytes)?;
        self.bytes += bytes;
        self.hash.update(chunk);
        Ok(self.file.write_all(chunk).await?)
    }

    /// What it holds so far.
    pub fn digest(&self) -> Digest {
        Digest { bytes: self.bytes, sha256: self.hash.clone().finalize().into() }
    }

    /// Reads it through once, to see that it is what was approved, and goes back to its beginning.
    ///
    /// # Errors
    /// [`Error::Changed`], [`Error::File`].
    pub async fn check(&mut self, approved: Digest) -> Result<(), Error> {
        self.file.flush().await?;
        self.file.rewind().await?;
        let (mut hash, mut bytes) = (Sha256::new(), 0);
        let mut chunk = BytesMut::new();
        while self.next(&mut chunk).await? {
            hash.update(&chunk);
            bytes += chunk.len() as u64;
        }
        self.file.rewind().await?;
        let found = Digest { bytes, sha256: hash.finalize().into() };
        (found == approved).then_some(()).ok_or(Error::Changed)
    }

    /// Reads the next chunk; false at the end.
    ///
    /// # Errors
    /// [`Error::File`].
    pub async fn next(&mut self, chunk: &mut BytesMut) -> Result<bool, Error> {
        chunk.clear();
        chunk.reserve(CHUNK_BYTES);
        Ok(self.file.read_buf(chunk).await? > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_goes_in_comes_out() {
        let dir = tempfile::tempdir().expect("a folder");
        let spools = Arc::new(Spools::new(dir.path().to_owned(), 100_000));
        let mut spool = Spool::open(&spools).await.expect("a file");
        for chunk in [vec![b'a'; 40_000], vec![b'\n'; 1], vec![b'b'; 40_000]] {
            spool.push(&chunk).await.expect("room");
        }
        let digest = spool.digest();
        assert_eq!(digest.bytes, 80_001);
        spool.check(digest).await.expect("the same");
        let other = Digest { sha256: [0; 32], ..digest };
        assert!(matches!(spool.check(other).await, Err(Error::Changed)));
        let (mut chunk, mut all) = (BytesMut::new(), Vec::new());
        while spool.next(&mut chunk).await.expect("readable") {
            all.extend_from_slice(&chunk);
        }
        assert_eq!(all.len(), 80_001);
        assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 0, "the file has no name");
    }

    #[tokio::test]
    async fn one_and_all_are_bounded() {
        let dir = tempfile::tempdir().expect("a folder");
        let spools = Arc::new(Spools::new(dir.path().to_owned(), 10));
        let mut first = Spool::open(&spools).await.expect("a file");
        assert!(matches!(first.push(&[0; 11]).await, Err(Error::TooLong(10))));
        let mut held = Vec::new();
        for _ in 0..STREAMS_TOGETHER {
            let mut full = Spool::open(&spools).await.expect("a file");
            full.push(&[0; 10]).await.expect("room");
            held.push(full);
        }
        assert!(matches!(first.push(&[0; 1]).await, Err(Error::Full(160))));
        held.pop();
        first.push(&[0; 1]).await.expect("room again");
    }
}
