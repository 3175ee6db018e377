//! Where a log's files come from: a folder, a web address, or anything else that can fetch a named file.
//!
//! A source hands out bytes and judges nothing. A partial tile may have been superseded after the checkpoint naming it
//! was signed, so the loaders fall back to the full tile and to larger partial tiles (tlog-tiles, "Partial Tiles");
//! they say how a tile ended rather than fail, so that the verifier can name what is missing.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use crate::hash::{HASH_BYTES, Hash};
use crate::tile::{ENTRY_TILE_BYTES_MAX, TILE_WIDTH, TileKind, TilePath, next_entry};

/// The file with the latest signed checkpoint.
pub const CHECKPOINT_PATH: &str = "checkpoint";
/// The file with every published checkpoint: one line each, the standard base64 of the signed note.
pub const HISTORY_PATH: &str = "checkpoints";
/// The file with the log's verifier key, for convenience: who checks the log must know the key from elsewhere.
pub const KEY_PATH: &str = "log.vkey";
/// Bytes of one fetched file, at most: the largest legal file is a full entry tile.
pub const FILE_BYTES_MAX: usize = ENTRY_TILE_BYTES_MAX;

/// A source that did not answer, or whose answer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The path leaves the log's folder.
    #[error("`{0}` is not a path inside a log")]
    Path(String),
    /// The file is longer than any file of a log.
    #[error("`{path}` is longer than {FILE_BYTES_MAX} bytes")]
    TooLarge {
        /// The file.
        path: String,
    },
    /// Reading failed.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: String,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl SourceError {
    pub(crate) fn read(path: &str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Read { path: path.to_owned(), cause: cause.into() }
    }
}

/// Fetches files of a log by their path relative to it.
pub trait TileSource {
    /// The file's bytes, or `None` where it does not exist. At most [`FILE_BYTES_MAX`] bytes.
    fn fetch(&self, path: &str) -> Result<Option<Vec<u8>>, SourceError>;

    /// Opens a file of any length for reading from its start. The default fetches it.
    fn open(&self, path: &str) -> Result<Option<Box<dyn Read + '_>>, SourceError> {
        let bytes = self.fetch(path)?;
        Ok(bytes.map(|bytes| Box::new(Cursor::new(bytes)) as Box<dyn Read>))
    }

    /// The widths of the partial versions of a tile that exist, where the source can list them. The default lists none.
    fn partial_widths(&self, _tile: &TilePath) -> Result<Vec<u16>, SourceError> {
        Ok(Vec::new())
    }
}

/// A log in a local folder.
#[derive(Debug, Clone)]
pub struct DirSource {
    root: PathBuf,
}

impl DirSource {
    /// A log in `root`; nothing is read yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn file(&self, path: &str) -> Result<Option<File>, SourceError> {
        let relative = Path::new(path);
        let inside = !path.is_empty() && relative.components().all(|part| matches!(part, Component::Normal(_)));
        if !inside {
            return Err(SourceError::Path(path.to_owned()));
        }
        present(path, File::open(self.root.join(relative)))
    }
}

/// An absent file is an answer; any other failure is an error.
fn present<T>(path: &str, result: io::Result<T>) -> Result<Option<T>, SourceError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(SourceError::read(path, e)),
    }
}

/// Reads to the end, refusing more than [`FILE_BYTES_MAX`] bytes.
pub(crate) fn read_bounded(path: &str, reader: impl Read) -> Result<Vec<u8>, SourceError> {
    let mut bytes = Vec::new();
    let read = reader.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
    let length = read.map_err(|e| SourceError::read(path, e))?;
    if length > FILE_BYTES_MAX { Err(SourceError::TooLarge { path: path.to_owned() }) } else { Ok(bytes) }
}

impl TileSource for DirSource {
    fn fetch(&self, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
        self.file(path)?.map(|file| read_bounded(path, file)).transpose()
    }

    fn open(&self, path: &str) -> Result<Option<Box<dyn Read + '_>>, SourceError> {
        Ok(self.file(path)?.map(|file| Box::new(file) as Box<dyn Read>))
    }

    fn partial_widths(&self, tile: &TilePath) -> Result<Vec<u16>, SourceError> {
        let folder = tile.partials_folder();
        let Some(listing) = present(&folder, std::fs::read_dir(self.root.join(&folder)))? else {
            return Ok(Vec::new());
        };
        let mut widths = Vec::new();
        for item in listing {
            let name = item.map_err(|e| SourceError::read(&folder, e))?.file_name();
            let path = name.to_str().and_then(|name| format!("{folder}/{name}").parse::<TilePath>().ok());
            widths.extend(path.map(|path| path.width()));
        }
        Ok(widths)
    }
}

/// How a loaded tile compares with the width asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TileEnd {
    /// Exactly as many hashes or entries as asked for.
    Complete,
    /// No file holds that many; what a smaller partial tile holds was loaded.
    Missing,
    /// The file ends early or inside an entry.
    CutShort,
    /// The file holds more than its name says.
    TooLong,
}

/// A tile that could not be read in full.
#[derive(Debug, thiserror::Error)]
pub enum TileError {
    /// The source failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// No file holds the tile.
    #[error("`{0}` is missing")]
    Missing(TilePath),
    /// The file's length does not fit its name.
    #[error("`{0}` is malformed")]
    Malformed(TilePath),
}

fn complete(path: TilePath, end: TileEnd) -> Result<(), TileError> {
    match end {
        TileEnd::Complete => Ok(()),
        TileEnd::Missing => Err(TileError::Missing(path)),
        TileEnd::CutShort | TileEnd::TooLong => Err(TileError::Malformed(path)),
    }
}

/// The file found for a tile: its bytes, and the width its own name gives.
struct Found {
    bytes: Vec<u8>,
    width: u16,
}

/// The exact file, else the full tile, else the smallest larger partial, else the largest smaller one.
fn find(source: &dyn TileSource, path: TilePath) -> Result<Option<Found>, SourceError> {
    let usual = [path.width(), TILE_WIDTH];
    let usual = if path.is_partial() { &usual[..] } else { &usual[1..] };
    if let Some(found) = first_of(source, path, usual)? {
        return Ok(Some(found));
    }
    let (mut larger, mut smaller): (Vec<_>, Vec<_>) =
        source.partial_widths(&path)?.into_iter().partition(|width| *width > path.width());
    larger.sort_unstable();
    smaller.sort_unstable_by(|a, b| b.cmp(a));
    first_of(source, path, &[larger, smaller].concat())
}

fn first_of(source: &dyn TileSource, path: TilePath, widths: &[u16]) -> Result<Option<Found>, SourceError> {
    for candidate in widths.iter().filter_map(|width| path.with_width(*width)) {
        if let Some(bytes) = source.fetch(&candidate.to_string())? {
            return Ok(Some(Found { bytes, width: candidate.width() }));
        }
    }
    Ok(None)
}

/// What could be read of a hash tile.
pub(crate) struct HashTile {
    pub(crate) hashes: Vec<Hash>,
    pub(crate) end: TileEnd,
}

/// Loads as many of a hash tile's hashes as there are, at most its width.
pub(crate) fn load_hashes(source: &dyn TileSource, path: TilePath) -> Result<HashTile, SourceError> {
    debug_assert!(matches!(path.kind(), TileKind::Hashes(_)));
    let Some(found) = find(source, path)? else { return Ok(HashTile { hashes: Vec::new(), end: TileEnd::Missing }) };
    let named = usize::from(found.width) * HASH_BYTES;
    let wanted = usize::from(path.width());
    let hashes = found.bytes.chunks_exact(HASH_BYTES).take(wanted).filter_map(Hash::from_slice).collect();
    let end = match found.bytes.len() {
        length if length < named => TileEnd::CutShort,
        length if length > named => TileEnd::TooLong,
        _ if found.width < path.width() => TileEnd::Missing,
        _ => TileEnd::Complete,
    };
    Ok(HashTile { hashes, end })
}

/// Reads a hash tile in full.
pub(crate) fn read_hashes(source: &dyn TileSource, path: TilePath) -> Result<Vec<Hash>, TileError> {
    let tile = load_hashes(source, path)?;
    complete(path, tile.end).map(|()| tile.hashes)
}

/// What could be read of an entry tile.
pub(crate) struct EntryTile {
    bytes: Vec<u8>,
    entries: Vec<Range<usize>>,
    pub(crate) end: TileEnd,
}

impl EntryTile {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the last bytes of the file are not a whole entry.
    pub(crate) fn is_torn(&self) -> bool {
        self.end == TileEnd::CutShort && self.entries.last().map_or(0, |range| range.end) < self.bytes.len()
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.iter().map(|range| &self.bytes[range.clone()])
    }

    pub(crate) fn entry(&self, within: usize) -> Option<&[u8]> {
        self.entries.get(within).map(|range| &self.bytes[range.clone()])
    }

    /// The tile's bytes up to the last entry wanted.
    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.truncate(self.entries.last().map_or(0, |range| range.end));
        self.bytes
    }
}

/// Loads as many of an entry tile's entries as there are, at most its width.
pub(crate) fn load_entries(source: &dyn TileSource, path: TilePath) -> Result<EntryTile, SourceError> {
    debug_assert_eq!(path.kind(), TileKind::Entries);
    let Some(found) = find(source, path)? else {
        return Ok(EntryTile { bytes: Vec::new(), entries: Vec::new(), end: TileEnd::Missing });
    };
    let mut entries = Vec::with_capacity(usize::from(path.width()));
    let mut at = 0;
    while entries.len() < usize::from(path.width()) {
        let Some(entry) = next_entry(&found.bytes, at) else { break };
        at = entry.end;
        entries.push(entry);
    }
    let read_all = at == found.bytes.len();
    let end = if entries.len() == usize::from(path.width()) {
        let superseded = found.width > path.width();
        if read_all || superseded { TileEnd::Complete } else { TileEnd::TooLong }
    } else if read_all && entries.len() == usize::from(found.width) {
        TileEnd::Missing
    } else {
        TileEnd::CutShort
    };
    Ok(EntryTile { bytes: found.bytes, entries, end })
}

/// Reads an entry tile in full.
pub(crate) fn read_entries(source: &dyn TileSource, path: TilePath) -> Result<EntryTile, TileError> {
    let tile = load_entries(source, path)?;
    complete(path, tile.end).map(|()| tile)
}

/// Reads one entry of a log of `size` leaves, without checking it against the tree.
///
/// Fails with [`TileError::Missing`] where the index is beyond the tree or its tile is gone.
pub fn entry(source: &dyn TileSource, size: u64, index: u64) -> Result<Vec<u8>, TileError> {
    let tile_index = index / u64::from(TILE_WIDTH);
    let within = (index % u64::from(TILE_WIDTH)) as usize;
    let full = TilePath::new(TileKind::Entries, tile_index, TILE_WIDTH).expect("256 is a valid width");
    let path = TilePath::in_tree(TileKind::Entries, tile_index, size).ok_or(TileError::Missing(full))?;
    let tile = read_entries(source, path)?;
    tile.entry(within).map(<[u8]>::to_vec).ok_or(TileError::Missing(path))
}
