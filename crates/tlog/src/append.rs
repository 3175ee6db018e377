//! Appending: leaves in, tile files out.
//!
//! Sans-IO: the caller writes what [`Appender::append`] returns, then signs [`Appender::head`], in that order. A crash
//! in between leaves unsigned leaves, which the verifier reports and a log resumed at the signed size overwrites as it
//! grows. Only the right edge is kept (at most 64 KiB of hashes and one entry tile), so an append reads nothing.

use crate::edge::{Edge, levels, partial_tile};
use crate::hash::{Hash, leaf_hash};
use crate::proof::TreeHead;
use crate::source::{TileError, TileSource, read_entries, read_hashes};
use crate::tile::{
    ENTRY_TILE_BYTES_MAX, LEAF_BYTES_MAX, TILE_WIDTH, TREE_SIZE_MAX, TileKind, TilePath, encode_hashes, push_entry,
};

/// Why leaves cannot be appended, or a log not resumed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An entry does not fit its `uint16` length. Nothing was appended. The caller's fault.
    #[error("entry {position} of the batch has {bytes} bytes; at most {LEAF_BYTES_MAX} fit")]
    LeafTooLarge {
        /// Its position in the batch.
        position: usize,
        /// Its length.
        bytes: usize,
    },
    /// The tree would exceed [`TREE_SIZE_MAX`] leaves.
    #[error("the tree would exceed {TREE_SIZE_MAX} leaves")]
    TreeTooLarge,
    /// A tile of the right edge cannot be read.
    #[error("cannot resume: a tile of the right edge cannot be read")]
    Edge(#[source] TileError),
    /// An entry of the last tile does not have the hash the tree has for it.
    #[error("cannot resume: entry {index} does not match its hash tile")]
    EntryMismatch {
        /// The entry's index.
        index: u64,
    },
}

/// One file to write: replace what is there, if anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileWrite {
    /// The file's path inside the log.
    pub path: TilePath,
    /// Its whole content.
    pub bytes: Vec<u8>,
}

/// Room that is made at once for the entries of a tile: what those of ordinary records take.
const ROOM_BYTES_MAX: usize = 256 * 1024;

/// The writing end of a log.
#[derive(Debug, Clone, Default)]
pub struct Appender {
    edge: Edge,
    /// The entries of the last, partial entry tile, encoded.
    entries: Vec<u8>,
}

impl Appender {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Rebuilds the right edge of a log of `size` leaves from its tiles, checking their widths and the last entries.
    ///
    /// Compare [`Appender::root`] with the checkpoint of that size: a match proves every hash that was read.
    pub fn resume(size: u64, fetch: &dyn TileSource) -> Result<Self, Error> {
        if size > TREE_SIZE_MAX {
            return Err(Error::TreeTooLarge);
        }
        let mut rows = Vec::new();
        for level in 0..levels(size) {
            let row = partial_tile(level, size).map(|path| read_hashes(fetch, path)).transpose();
            rows.push(row.map_err(Error::Edge)?.unwrap_or_default());
        }
        let edge = Edge::from_rows(size, rows);
        let entries = resume_entries(&edge, fetch)?;
        Ok(Self { edge, entries })
    }

    /// Leaves so far.
    pub fn size(&self) -> u64 {
        self.edge.size()
    }

    /// The root over all leaves so far.
    pub fn root(&self) -> Hash {
        self.edge.root()
    }

    /// Size and root together.
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.size(), root: self.root() }
    }

    /// Adds `leaves` and returns every file that changes: full tiles, then the partial ones of the new size.
    ///
    /// All or nothing: on an error the appender is as before.
    pub fn append<L: AsRef<[u8]>>(&mut self, leaves: &[L]) -> Result<Vec<TileWrite>, Error> {
        self.admit(leaves)?;
        if leaves.is_empty() {
            return Ok(Vec::new());
        }
        let before = self.size();
        let mut writes = Vec::new();
        for leaf in leaves {
            self.push(leaf.as_ref(), &mut writes);
        }
        self.write_partials(before, &mut writes);
        Ok(writes)
    }

    fn admit(&self, leaves: &[impl AsRef<[u8]>]) -> Result<(), Error> {
        if leaves.len() as u64 > TREE_SIZE_MAX - self.size() {
            return Err(Error::TreeTooLarge);
        }
        let mut lengths = leaves.iter().map(|leaf| leaf.as_ref().len()).enumerate();
        match lengths.find(|(_, bytes)| *bytes > LEAF_BYTES_MAX) {
            Some((position, bytes)) => Err(Error::LeafTooLarge { position, bytes }),
            None => Ok(()),
        }
    }

    fn push(&mut self, leaf: &[u8], writes: &mut Vec<TileWrite>) {
        push_entry(&mut self.entries, leaf).expect("the batch was admitted: every leaf fits");
        let entries = &mut self.entries;
        self.edge.push(leaf_hash(leaf), |tile| {
            if tile.path.kind() == TileKind::Hashes(0) {
                let path = entries_beside(tile.path);
                let room = Vec::with_capacity(entries.len().min(ROOM_BYTES_MAX)); // the next takes as much, mostly
                writes.push(TileWrite { path, bytes: std::mem::replace(entries, room) });
            }
            writes.push(TileWrite { path: tile.path, bytes: encode_hashes(&tile.hashes) });
        });
    }

    /// The partial tiles whose width differs from what it was at size `before`.
    fn write_partials(&self, before: u64, writes: &mut Vec<TileWrite>) {
        for level in 0..self.edge.levels() {
            let Some(path) = self.edge.partial(level).filter(|path| partial_tile(level, before) != Some(*path)) else {
                continue;
            };
            if level == 0 {
                writes.push(TileWrite { path: entries_beside(path), bytes: self.entries.clone() });
            }
            writes.push(TileWrite { path, bytes: encode_hashes(self.edge.row(level)) });
        }
    }
}

/// The entry tile below a level-0 hash tile.
fn entries_beside(path: TilePath) -> TilePath {
    TilePath::new(TileKind::Entries, path.index(), path.width()).expect("the width comes from a valid path")
}

fn resume_entries(edge: &Edge, fetch: &dyn TileSource) -> Result<Vec<u8>, Error> {
    let Some(hashes) = edge.partial(0) else { return Ok(Vec::new()) };
    let tile = read_entries(fetch, entries_beside(hashes)).map_err(Error::Edge)?;
    let differs = tile.entries().zip(edge.row(0)).position(|(entry, hash)| leaf_hash(entry) != *hash);
    if let Some(within) = differs {
        let index = hashes.index() * u64::from(TILE_WIDTH) + within as u64;
        return Err(Error::EntryMismatch { index });
    }
    debug_assert!(tile.len() < usize::from(TILE_WIDTH));
    let bytes = tile.into_bytes();
    debug_assert!(bytes.len() <= ENTRY_TILE_BYTES_MAX);
    Ok(bytes)
}
