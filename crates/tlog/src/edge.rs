//! The right edge of a growing tree: per level, the hashes of the tile that is not full yet.
//!
//! From it follow the root and every tile to come, so neither the appender nor the verifier holds the tree. At most 255
//! hashes on each of 8 levels: 64 KiB at any size.

use crate::hash::{Hash, empty_root, fold_right, perfect_root};
use crate::tile::{TILE_WIDTH, TileKind, TilePath, hashes_at};

#[derive(Debug, Clone, Default)]
pub(crate) struct Edge {
    size: u64,
    /// `rows[L]` holds the last `floor(size / 256^L) mod 256` hashes of level L.
    rows: Vec<Vec<Hash>>,
}

/// A hash tile that a push has just filled.
pub(crate) struct FullTile {
    pub(crate) path: TilePath,
    pub(crate) hashes: Vec<Hash>,
}

impl Edge {
    /// Takes rows read from elsewhere, whose widths the caller has checked against `size`.
    pub(crate) fn from_rows(size: u64, rows: Vec<Vec<Hash>>) -> Self {
        Self { size, rows }
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The row of `level`; empty when the last tile there is full or none exists.
    pub(crate) fn row(&self, level: u8) -> &[Hash] {
        self.rows.get(usize::from(level)).map_or(&[], Vec::as_slice)
    }

    /// Levels that hold at least one complete hash.
    pub(crate) fn levels(&self) -> u8 {
        levels(self.size)
    }

    /// The path of `level`'s partial tile, if there is one.
    pub(crate) fn partial(&self, level: u8) -> Option<TilePath> {
        partial_tile(level, self.size)
    }

    /// Adds a leaf and hands over each tile it fills, the lowest level first.
    pub(crate) fn push(&mut self, leaf: Hash, mut filled: impl FnMut(FullTile)) {
        self.size += 1;
        let mut carry = leaf;
        for level in 0.. {
            if self.rows.len() <= usize::from(level) {
                self.rows.push(Vec::with_capacity(usize::from(TILE_WIDTH)));
            }
            let row = &mut self.rows[usize::from(level)];
            row.push(carry);
            if row.len() < usize::from(TILE_WIDTH) {
                return;
            }
            let hashes = std::mem::take(row);
            carry = perfect_root(&hashes);
            let index = hashes_at(level + 1, self.size) - 1;
            let path = TilePath::new(TileKind::Hashes(level), index, TILE_WIDTH).expect("a level below 8 is valid");
            filled(FullTile { path, hashes });
        }
    }

    pub(crate) fn root(&self) -> Hash {
        self.rows.iter().fold(None, |right, row| fold_right(row, right)).unwrap_or_else(empty_root)
    }
}

/// Levels of a tree of `size` leaves that hold at least one complete hash: 0 for the empty tree, at most 8.
pub(crate) fn levels(size: u64) -> u8 {
    (0..8).take_while(|level| hashes_at(*level, size) > 0).count() as u8
}

/// The tile of `level` that is not full in a tree of `size` leaves, if there is one.
pub(crate) fn partial_tile(level: u8, size: u64) -> Option<TilePath> {
    let count = hashes_at(level, size);
    let width = u64::from(TILE_WIDTH);
    let path = TilePath::in_tree(TileKind::Hashes(level), count / width, size);
    path.filter(|_| !count.is_multiple_of(width))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;

    #[test]
    fn fills_tiles_at_the_right_sizes() {
        let mut edge = Edge::default();
        let mut paths = Vec::new();
        for leaf in 0..65_537u32 {
            edge.push(leaf_hash(&leaf.to_be_bytes()), |tile| paths.push(tile.path.to_string()));
        }
        assert_eq!(paths.len(), 257);
        assert_eq!(paths[0], "tile/0/000");
        assert_eq!(paths[255..], ["tile/0/255", "tile/1/000"]);
        assert_eq!((edge.row(0).len(), edge.row(1).len(), edge.row(2).len(), edge.levels()), (1, 0, 1, 3));
        assert_eq!(edge.partial(2).map(|path| path.to_string()).as_deref(), Some("tile/2/000.p/1"));
        assert_eq!(edge.partial(1), None);
    }
}
