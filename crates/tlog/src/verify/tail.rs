//! Entries after the signed ones: a writer stopped, or is still, between writing tiles and signing them.
//!
//! They are counted, never believed. A larger version of the last tile must begin with the signed entries.

use super::error::{Problem, VerifyError};
use crate::edge::Edge;
use crate::hash::leaf_hash;
use crate::source::{EntryTile, TileSource, load_entries};
use crate::tile::{TILE_WIDTH, TileKind, TilePath};

/// Unsigned leaves counted, at most.
const UNSIGNED_LEAVES_MAX: u64 = 1 << 20;

/// Counts the entries beyond the tree that `edge` ends.
pub(super) fn unsigned_leaves(source: &dyn TileSource, edge: &Edge) -> Result<u64, VerifyError> {
    let width = u64::from(TILE_WIDTH);
    let signed = edge.size() % width;
    let mut index = edge.size() / width;
    let Some(tile) = largest(source, index)? else { return Ok(0) };
    let differs = edge.row(0).iter().zip(tile.entries()).position(|(hash, entry)| leaf_hash(entry) != *hash);
    if let Some(at) = differs {
        let leaf = index * width + at as u64;
        return Err(VerifyError::within(Problem::Changed, leaf..leaf + 1));
    }
    let mut count = (tile.len() as u64).saturating_sub(signed);
    let mut is_full = tile.len() as u64 == width;
    while is_full && count < UNSIGNED_LEAVES_MAX {
        index += 1;
        let length = largest(source, index)?.map_or(0, |tile| tile.len() as u64);
        count += length;
        is_full = length == width;
    }
    Ok(count.min(UNSIGNED_LEAVES_MAX))
}

/// The largest stored version of an entry tile.
fn largest(source: &dyn TileSource, index: u64) -> Result<Option<EntryTile>, VerifyError> {
    let Ok(full) = TilePath::new(TileKind::Entries, index, TILE_WIDTH) else { return Ok(None) };
    let tile = load_entries(source, full)?;
    Ok(Some(tile).filter(|tile| tile.len() > 0))
}
