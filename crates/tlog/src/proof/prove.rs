//! Making proofs from tiles: at most two tiles for each level are read.

use std::collections::BTreeMap;

use super::Error;
use crate::hash::{Hash, empty_root, node_hash, perfect_root};
use crate::source::{TileError, TileSource, read_hashes};
use crate::tile::{TILE_HEIGHT, TILE_WIDTH, TREE_SIZE_MAX, TileKind, TilePath};

/// Proves that leaf `index` is in the tree of the first `size` leaves. The tiles are believed: check the proof.
pub fn inclusion(source: &dyn TileSource, size: u64, index: u64) -> Result<Vec<Hash>, Error> {
    if index >= size || size > TREE_SIZE_MAX {
        return Err(Error::Index { index, size });
    }
    let mut tree = Tree::new(source, size);
    let (mut low, mut high) = (0, size);
    let mut proof = Vec::new();
    while high - low > 1 {
        let middle = low + split(high - low);
        if index < middle {
            proof.push(tree.root(middle, high)?);
            high = middle;
        } else {
            proof.push(tree.root(low, middle)?);
            low = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// Proves that the tree of the first `new` leaves extends that of the first `old`. The tiles are believed: check the
/// proof.
///
/// The proof is empty if `old` is 0 or equals `new`.
pub fn consistency(source: &dyn TileSource, old: u64, new: u64) -> Result<Vec<Hash>, Error> {
    if old > new || new > TREE_SIZE_MAX {
        return Err(Error::Sizes { old, new });
    }
    if old == 0 {
        return Ok(Vec::new());
    }
    let mut tree = Tree::new(source, new);
    let (mut low, mut high) = (0, new);
    let mut proof = Vec::new();
    while old < high {
        let middle = low + split(high - low);
        if old <= middle {
            proof.push(tree.root(middle, high)?);
            high = middle;
        } else {
            proof.push(tree.root(low, middle)?);
            low = middle;
        }
    }
    if low > 0 {
        proof.push(tree.root(low, high)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The largest power of two below `count`, which must exceed 1.
fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// The hashes of a tree of a given size, read as needed. A proof touches at most two tiles a level, so all are kept.
struct Tree<'a> {
    source: &'a dyn TileSource,
    size: u64,
    tiles: BTreeMap<TilePath, Vec<Hash>>,
}

impl<'a> Tree<'a> {
    fn new(source: &'a dyn TileSource, size: u64) -> Self {
        Self { source, size, tiles: BTreeMap::new() }
    }

    /// The root over the leaves `low..high`, which must be a subtree in the sense of RFC 6962.
    fn root(&mut self, mut low: u64, high: u64) -> Result<Hash, TileError> {
        let mut subtrees = Vec::new();
        while low < high {
            let height = (high - low).ilog2();
            subtrees.push(self.subtree(height, low)?);
            low += 1 << height;
        }
        let joined = subtrees.into_iter().rev().reduce(|right, left| node_hash(&left, &right));
        Ok(joined.unwrap_or_else(empty_root))
    }

    /// The root of the perfect subtree of 2^`height` leaves from `low`: a run of hashes inside one tile.
    fn subtree(&mut self, height: u32, low: u64) -> Result<Hash, TileError> {
        let level = height / TILE_HEIGHT;
        let run = 1usize << (height % TILE_HEIGHT);
        let position = low >> (level * TILE_HEIGHT);
        let kind = TileKind::Hashes(level as u8);
        let tile = self.tile(kind, position / u64::from(TILE_WIDTH))?;
        let start = (position % u64::from(TILE_WIDTH)) as usize;
        Ok(perfect_root(&tile[start..start + run]))
    }

    fn tile(&mut self, kind: TileKind, index: u64) -> Result<&[Hash], TileError> {
        let path =
            TilePath::in_tree(kind, index, self.size).expect("a subtree inside the tree lies in one of its tiles");
        if !self.tiles.contains_key(&path) {
            self.tiles.insert(path, read_hashes(self.source, path)?);
        }
        Ok(&self.tiles[&path])
    }
}
