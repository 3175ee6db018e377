//! Entries after the signed ones: a writer stopped, or is still, between writing tiles and signing them.
//!
//! They are counted, never believed and not compared: after a crash, a larger version of the last tile may hold entries
//! that were never signed and whose places others have taken since.

use super::error::VerifyError;
use crate::source::{TileSource, load_entries};
use crate::tile::{TILE_WIDTH, TileKind, TilePath};

/// Unsigned leaves counted, at most.
const UNSIGNED_LEAVES_MAX: u64 = 1 << 20;

/// Counts the entries beyond the first `signed`.
pub(super) fn unsigned_leaves(source: &dyn TileSource, signed: u64) -> Result<u64, VerifyError> {
    let width = u64::from(TILE_WIDTH);
    let mut index = signed / width;
    let mut length = entries_in(source, index)?;
    let mut count = length.saturating_sub(signed % width);
    while length == width && count < UNSIGNED_LEAVES_MAX {
        index += 1;
        length = entries_in(source, index)?;
        count += length;
    }
    Ok(count.min(UNSIGNED_LEAVES_MAX))
}

/// Entries in the largest stored version of a tile.
fn entries_in(source: &dyn TileSource, index: u64) -> Result<u64, VerifyError> {
    let full = TilePath::new(TileKind::Entries, index, TILE_WIDTH).expect("256 is a valid width");
    Ok(load_entries(source, full)?.len() as u64)
}
