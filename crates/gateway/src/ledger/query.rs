//! Reading the log: entries, proofs, and the files that are served at `/log/`.
//!
//! Everything is read from the folder, under the published checkpoint: what is not signed and published yet is not shown,
//! since a crash may still give it another place. Blocking, but for [`LogFile::into_stream`].

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use countersign_tlog::proof::{self, TextError, consistency, inclusion};
use countersign_tlog::source::{CHECKPOINT_PATH, HISTORY_PATH, TileError, entry};
use countersign_tlog::tile::TILE_WIDTH;
use countersign_tlog::{
    Checkpoint, DirSource, SignedCheckpoint, SourceError, TileKind, TilePath, TileSource as _, TlogProof, VerifierKey,
    checkpoint,
};
use futures::{Stream, stream};
use tokio::io::{AsyncReadExt as _, Take};

use super::keys::VERIFIER_KEY_FILE;

/// Entries in one answer, at most.
pub const ENTRIES_MAX: u64 = 1_000;
/// Bytes of entries in one answer, at most, unless the first entry alone is longer.
const ENTRIES_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes handed on at once.
const CHUNK_BYTES: usize = 64 * 1024;

const TEXT: &str = "text/plain; charset=utf-8";
const BINARY: &str = "application/octet-stream";
/// A tile never changes.
const FOREVER: &str = "public, max-age=31536000, immutable"; // 365 × 24 × 3,600
const NEVER: &str = "no-cache";

/// Why the log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// There is no such leaf, or it is not published yet.
    #[error("leaf {index} is not in the log: its checkpoint covers {size}")]
    NotFound {
        /// The leaf asked for.
        index: u64,
        /// Leaves published.
        size: u64,
    },
    /// Nothing was published yet.
    #[error("the log has no checkpoint")]
    NoCheckpoint,
    /// The checkpoint on disk is refused.
    #[error("the log's checkpoint is refused")]
    Checkpoint(#[from] checkpoint::Error),
    /// The folder cannot be read.
    #[error("the log cannot be read")]
    Source(#[from] SourceError),
    /// A file cannot be read.
    #[error("cannot read `{path}`")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A tile is missing or damaged.
    #[error("the log's tiles cannot be read")]
    Tile(#[from] TileError),
    /// An entry tile does not hold the entries it should.
    #[error("`{0}` is damaged")]
    Damaged(TilePath),
    /// A proof cannot be made.
    #[error("the proof cannot be made")]
    Proof(#[from] proof::Error),
    /// The proof that was made does not hold: the entry or a hash was changed.
    #[error("the entry does not match the signed log")]
    Unproved(#[source] TextError),
}

/// A leaf and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its index.
    pub index: u64,
    /// Its bytes: a record's canonical JSON.
    pub leaf: Vec<u8>,
}

/// Reads one log's folder.
#[derive(Debug, Clone)]
pub struct Query {
    root: PathBuf,
    key: VerifierKey,
}

impl Query {
    /// The log in `root`, under its key; nothing is read yet.
    pub fn new(root: &Path, key: VerifierKey) -> Self {
        Self { root: root.to_owned(), key }
    }

    /// The published checkpoint: a signed note.
    pub fn checkpoint_text(&self) -> Result<String, QueryError> {
        let note = self.source().fetch(CHECKPOINT_PATH)?.ok_or(QueryError::NoCheckpoint)?;
        String::from_utf8(note).map_err(|_| checkpoint::Error::Lines.into())
    }

    /// The published checkpoint, its signature verified.
    pub fn checkpoint(&self) -> Result<SignedCheckpoint, QueryError> {
        let signed = Checkpoint::open(self.checkpoint_text()?.as_bytes(), &self.key, &[])?;
        signed.require_origin(self.key.name().as_str())?;
        Ok(signed)
    }

    /// Published leaves.
    pub fn size(&self) -> Result<u64, QueryError> {
        Ok(self.checkpoint()?.checkpoint().size)
    }

    /// One leaf, without proof.
    pub fn entry(&self, index: u64) -> Result<Entry, QueryError> {
        let size = self.size()?;
        if index >= size {
            return Err(QueryError::NotFound { index, size });
        }
        Ok(Entry { index, leaf: entry(&self.source(), size, index)? })
    }

    /// The leaves of `range` that are published, in order, without proof: at most [`ENTRIES_MAX`], from the first on.
    pub fn entries(&self, range: Range<u64>) -> Result<Vec<Entry>, QueryError> {
        let size = self.size()?;
        let end = range.end.min(size).min(range.start.saturating_add(ENTRIES_MAX));
        let width = u64::from(TILE_WIDTH);
        let mut entries = Vec::new();
        let mut bytes = 0;
        let mut index = range.start;
        while index < end {
            let tile = self.entry_tile(index / width, size)?;
            for leaf in tile.into_iter().skip((index % width) as usize).take((end - index) as usize) {
                bytes += leaf.len();
                if bytes > ENTRIES_BYTES_MAX && !entries.is_empty() {
                    return Ok(entries);
                }
                entries.push(Entry { index, leaf });
                index += 1;
            }
        }
        Ok(entries)
    }

    /// The newest published leaves, oldest first: at most `count`, and at most [`ENTRIES_MAX`].
    pub fn latest(&self, count: u64) -> Result<Vec<Entry>, QueryError> {
        let size = self.size()?;
        self.entries(size.saturating_sub(count.min(ENTRIES_MAX))..size)
    }

    /// The proof that leaf `index` is in the published log, as the text of a `.tlog-proof` file. It was checked.
    pub fn prove(&self, index: u64) -> Result<String, QueryError> {
        let checkpoint = self.checkpoint_text()?;
        let size = Checkpoint::open(checkpoint.as_bytes(), &self.key, &[])?.checkpoint().size;
        if index >= size {
            return Err(QueryError::NotFound { index, size });
        }
        let source = self.source();
        let leaf = entry(&source, size, index)?;
        let hashes = inclusion(&source, size, index)?;
        let proof = TlogProof { extra: None, index, hashes, checkpoint };
        proof.verify(&leaf, &self.key, &[], None).map_err(QueryError::Unproved)?;
        Ok(proof.to_string())
    }

    /// The proof that the published log only grew since it had `old` leaves, and its checkpoint, as the body of
    /// `add-checkpoint` (<https://c2sp.org/tlog-witness>). Whoever has the root of then checks it.
    pub fn growth(&self, old: u64) -> Result<String, QueryError> {
        let checkpoint = self.checkpoint_text()?;
        let size = Checkpoint::open(checkpoint.as_bytes(), &self.key, &[])?.checkpoint().size;
        if old > size {
            return Err(QueryError::NotFound { index: old, size });
        }
        let hashes = consistency(&self.source(), old, size)?;
        let hashes: String = hashes.iter().map(|hash| format!("{hash}\n")).collect();
        Ok(format!("old {old}\n{hashes}\n{checkpoint}"))
    }

    /// The file that `/log/<path>` names, if it is one of a log's and published. No other path opens anything.
    pub fn open_file(&self, path: &str) -> Result<Option<LogFile>, QueryError> {
        let (content_type, cache_control) = match path {
            CHECKPOINT_PATH | HISTORY_PATH | VERIFIER_KEY_FILE => (TEXT, NEVER),
            _ => match path.parse::<TilePath>() {
                Ok(tile) if self.is_published(tile)? => (BINARY, FOREVER),
                _ => return Ok(None),
            },
        };
        let path = self.root.join(path);
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        match opened {
            Ok((length, file)) => Ok(Some(LogFile { content_type, cache_control, length, file })),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(cause) => Err(QueryError::File { path, cause }),
        }
    }

    fn is_published(&self, tile: TilePath) -> Result<bool, QueryError> {
        let published = TilePath::in_tree(tile.kind(), tile.index(), self.size()?);
        Ok(published.is_some_and(|published| tile.width() <= published.width()))
    }

    fn source(&self) -> DirSource {
        DirSource::new(&self.root)
    }

    /// The published entries of one tile. A partial tile may have been superseded since its checkpoint was read.
    fn entry_tile(&self, index: u64, size: u64) -> Result<Vec<Vec<u8>>, QueryError> {
        let full = TilePath::new(TileKind::Entries, index, TILE_WIDTH);
        let path = TilePath::in_tree(TileKind::Entries, index, size);
        let (Ok(full), Some(path)) = (full, path) else {
            return Err(QueryError::NotFound { index: index.saturating_mul(u64::from(TILE_WIDTH)), size });
        };
        let source = self.source();
        let bytes = match source.fetch(&path.to_string())? {
            Some(bytes) => bytes,
            None => source.fetch(&full.to_string())?.ok_or(QueryError::Damaged(path))?,
        };
        split(&bytes, usize::from(path.width())).ok_or(QueryError::Damaged(path))
    }
}

/// Takes `count` entries off an entry tile: each is `uint16be length ‖ entry`.
fn split(tile: &[u8], count: usize) -> Option<Vec<Vec<u8>>> {
    let mut entries = Vec::with_capacity(count);
    let mut rest = tile;
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (entry, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry.to_vec());
        rest = after;
    }
    Some(entries)
}

/// A file of the log, open for being served.
#[derive(Debug)]
pub struct LogFile {
    /// Its media type, as tlog-tiles asks for.
    pub content_type: &'static str,
    /// How long it may be kept.
    pub cache_control: &'static str,
    /// Bytes.
    pub length: u64,
    file: File,
}

impl LogFile {
    /// The whole content, for files of a bounded kind (all but `checkpoints`).
    pub fn read(self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.take(self.length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The content piece by piece: exactly [`LogFile::length`] bytes, unless reading fails.
    pub fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send {
        let file = tokio::fs::File::from_std(self.file).take(self.length);
        stream::try_unfold(file, next_chunk)
    }
}

async fn next_chunk(mut file: Take<tokio::fs::File>) -> io::Result<Option<(Bytes, Take<tokio::fs::File>)>> {
    let mut chunk = Vec::with_capacity(CHUNK_BYTES);
    (&mut file).take(CHUNK_BYTES as u64).read_to_end(&mut chunk).await?;
    match chunk.is_empty() {
        true => Ok(None),
        false => Ok(Some((chunk.into(), file))),
    }
}

/// Opens the log in a ledger's folder for reading, under the verifier key published there.
pub(super) fn open(root: &Path) -> Result<Query, super::KeyError> {
    Ok(Query::new(root, super::keys::verifier_key(root)?))
}

/// Whether there is a log at all.
pub(super) fn exists(root: &Path) -> bool {
    fs::exists(root.join(CHECKPOINT_PATH)).unwrap_or(true)
}
