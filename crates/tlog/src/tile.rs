//! Tiles: how a tree is cut into files, what these are called, and how entries are packed.
//!
//! A hash tile holds up to 256 consecutive hashes of one level; level *L* holds the roots of the full tiles of *L* − 1.
//! An entry tile holds the entries below one level-0 hash tile. Only names and bytes here: reading is
//! [`crate::source`], writing is [`crate::append`]. Source: <https://c2sp.org/tlog-tiles>.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::encoding::parse_decimal;
use crate::hash::{HASH_BYTES, Hash};

/// Hashes, or entries, in a full tile.
pub const TILE_WIDTH: u16 = 256;
/// Levels of the tree inside one tile: log2 of [`TILE_WIDTH`].
pub const TILE_HEIGHT: u32 = 8;
/// The highest level a path may name (tlog-tiles: 0 to 63).
pub const LEVEL_MAX: u8 = 63;
/// Bytes of one entry, at most: its length is a `uint16`.
pub const LEAF_BYTES_MAX: usize = 65_535;
/// Bytes of a hash tile, at most.
pub const HASH_TILE_BYTES_MAX: usize = TILE_WIDTH as usize * HASH_BYTES; // 256 × 32 = 8,192
/// Bytes of an entry tile, at most.
pub const ENTRY_TILE_BYTES_MAX: usize = TILE_WIDTH as usize * (2 + LEAF_BYTES_MAX); // 256 × 65,537 = 16,777,472
/// Leaves of a tree, at most: what a signed 64-bit integer holds, since other implementations use one.
pub const TREE_SIZE_MAX: u64 = i64::MAX as u64; // 2^63 − 1

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// Hashes of this level, 0 being the leaves'.
    Hashes(u8),
    /// Entries.
    Entries,
}

/// The name of one tile file, such as `tile/0/x001/x234/067` or `tile/entries/273.p/112`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TilePath {
    kind: TileKind,
    index: u64,
    width: u16,
}

/// A text or a set of numbers that names no tile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a tile path")]
pub struct ParseTilePathError(String);

impl TilePath {
    /// Names a tile of `kind`; `width` is 1 to 256, 256 being a full tile.
    pub fn new(kind: TileKind, index: u64, width: u16) -> Result<Self, ParseTilePathError> {
        let path = Self { kind, index, width };
        let level_ok = matches!(kind, TileKind::Entries | TileKind::Hashes(0..=LEVEL_MAX));
        if level_ok && (1..=TILE_WIDTH).contains(&width) { Ok(path) } else { Err(ParseTilePathError(path.to_string())) }
    }

    /// The tile `index` of `kind` as it is in a tree of `tree_size` leaves; `None` where that tree has no such tile.
    pub fn in_tree(kind: TileKind, index: u64, tree_size: u64) -> Option<Self> {
        let level = match kind {
            TileKind::Hashes(level) => level,
            TileKind::Entries => 0,
        };
        let first = index.checked_mul(u64::from(TILE_WIDTH))?;
        let left = hashes_at(level, tree_size).checked_sub(first)?;
        let width = u16::try_from(left.min(u64::from(TILE_WIDTH))).ok()?;
        Self::new(kind, index, width).ok()
    }

    /// What the tile holds.
    pub fn kind(&self) -> TileKind {
        self.kind
    }

    /// The tile's number within its level.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Hashes or entries in it: 1 to 256.
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Whether it is not full yet.
    pub fn is_partial(&self) -> bool {
        self.width < TILE_WIDTH
    }

    /// The same tile at another width.
    pub fn with_width(self, width: u16) -> Option<Self> {
        Self::new(self.kind, self.index, width).ok()
    }

    /// The folder that holds this tile's partial versions, such as `tile/0/273.p`.
    pub fn partials_folder(&self) -> String {
        let full = Self { width: TILE_WIDTH, ..*self };
        format!("{full}.p")
    }

    /// The leaves below this tile, as indices; saturates at the end of the address space.
    pub fn leaves(&self) -> Range<u64> {
        let level = match self.kind {
            TileKind::Hashes(level) => level,
            TileKind::Entries => 0,
        };
        let first = self.index.saturating_mul(u64::from(TILE_WIDTH));
        let end = first.saturating_add(u64::from(self.width));
        leaves_below(level, first).start..leaves_below(level, end.saturating_sub(1)).end
    }
}

/// Complete hashes at `level` of a tree of `tree_size` leaves: `floor(tree_size / 256^level)`.
pub(crate) fn hashes_at(level: u8, tree_size: u64) -> u64 {
    tree_size.checked_shr(u32::from(level) * TILE_HEIGHT).unwrap_or(0)
}

/// The leaves below hash number `position` of `level`.
pub(crate) fn leaves_below(level: u8, position: u64) -> Range<u64> {
    let span = 1u64.checked_shl(u32::from(level) * TILE_HEIGHT).unwrap_or(u64::MAX);
    let start = position.saturating_mul(span);
    start..start.saturating_add(span)
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(f, "tile/{level}/")?,
            TileKind::Entries => f.write_str("tile/entries/")?,
        }
        write_index(f, self.index)?;
        if self.is_partial() { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

/// Groups of three digits; all but the last begin with `x`.
fn write_index(f: &mut fmt::Formatter<'_>, index: u64) -> fmt::Result {
    let mut groups = vec![index % 1000];
    let mut rest = index / 1000;
    while rest > 0 {
        groups.push(rest % 1000);
        rest /= 1000;
    }
    for group in groups[1..].iter().rev() {
        write!(f, "x{group:03}/")?;
    }
    write!(f, "{:03}", groups[0])
}

impl FromStr for TilePath {
    type Err = ParseTilePathError;

    /// Accepts only the one spelling that [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, ParseTilePathError> {
        let path = parse_path(text).filter(|path| path.to_string() == text);
        path.ok_or_else(|| ParseTilePathError(text.to_owned()))
    }
}

fn parse_path(text: &str) -> Option<TilePath> {
    let (kind, rest) = text.strip_prefix("tile/")?.split_once('/')?;
    let kind = match kind {
        "entries" => TileKind::Entries,
        level => TileKind::Hashes(u8::try_from(parse_decimal(level)?).ok()?),
    };
    let (number, width) = match rest.split_once(".p/") {
        Some((number, width)) => (number, u16::try_from(parse_decimal(width)?).ok()?),
        None => (rest, TILE_WIDTH),
    };
    let mut index: u64 = 0;
    for group in number.split('/') {
        let digits = group.strip_prefix('x').unwrap_or(group);
        let value: u64 = digits.parse().ok().filter(|_| digits.len() == 3)?;
        index = index.checked_mul(1000)?.checked_add(value)?;
    }
    TilePath::new(kind, index, width).ok()
}

/// Appends one entry to an entry tile's bytes: `uint16be length ‖ entry`. `None` if it exceeds [`LEAF_BYTES_MAX`].
pub(crate) fn push_entry(tile: &mut Vec<u8>, entry: &[u8]) -> Option<()> {
    let length = u16::try_from(entry.len()).ok()?;
    tile.extend_from_slice(&length.to_be_bytes());
    tile.extend_from_slice(entry);
    Some(())
}

/// Takes the first entry off an entry tile's bytes: where it lies, after `from`. `None` if the bytes end before it
/// does.
pub(crate) fn next_entry(tile: &[u8], from: usize) -> Option<Range<usize>> {
    let length = tile.get(from..from + 2)?;
    let start = from + 2;
    let end = start + usize::from(u16::from_be_bytes([length[0], length[1]]));
    (end <= tile.len()).then_some(start..end)
}

/// A hash tile's bytes.
pub(crate) fn encode_hashes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: TileKind, index: u64, width: u16, text: &str) {
        let path = TilePath::new(kind, index, width).unwrap();
        assert_eq!(path.to_string(), text);
        assert_eq!(text.parse(), Ok(path));
    }

    #[test]
    fn paths_as_the_specification_writes_them() {
        check(TileKind::Hashes(0), 1_234_067, 256, "tile/0/x001/x234/067");
        check(TileKind::Hashes(0), 1_234_067, 12, "tile/0/x001/x234/067.p/12");
        check(TileKind::Entries, 273, 112, "tile/entries/273.p/112");
        check(TileKind::Entries, 0, 256, "tile/entries/000");
        check(TileKind::Hashes(63), 1000, 255, "tile/63/x001/000.p/255");
        check(TileKind::Hashes(0), u64::MAX, 1, "tile/0/x018/x446/x744/x073/x709/x551/615.p/1");
    }

    #[test]
    fn other_spellings_are_refused() {
        for bad in [
            "",
            "tile",
            "tile/0",
            "tile/0/",
            "tile/00/000",
            "tile/64/000",
            "tile/0/0",
            "tile/0/0000",
            "tile/0/x000/001",
            "tile/0/001/002",
            "tile/0/x001",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/",
            "tile/0/000.p",
            "/tile/0/000",
            "tile/0/../000",
            "tile/data/000",
            "tile/-1/000",
            "tile/0/+01",
            "tile/0/x018/x446/x744/x073/x709/x551/616",
        ] {
            assert!(bad.parse::<TilePath>().is_err(), "`{bad}`");
        }
    }

    #[test]
    fn widths_in_a_tree_of_70_000() {
        let check = |kind, index, expected: Option<&str>| {
            assert_eq!(TilePath::in_tree(kind, index, 70_000).map(|path| path.to_string()).as_deref(), expected);
        };
        check(TileKind::Hashes(0), 273, Some("tile/0/273.p/112"));
        check(TileKind::Hashes(1), 0, Some("tile/1/000"));
        check(TileKind::Hashes(1), 1, Some("tile/1/001.p/17"));
        check(TileKind::Hashes(2), 0, Some("tile/2/000.p/1"));
        check(TileKind::Hashes(3), 0, None);
        check(TileKind::Hashes(0), 274, None);
        check(TileKind::Hashes(9), 0, None);
        check(TileKind::Entries, u64::MAX, None);
        let last = TilePath::in_tree(TileKind::Hashes(1), 1, 70_000).unwrap();
        assert_eq!(last.leaves(), 65_536..65_536 + 17 * 256);
    }

    #[test]
    fn entries_round_trip() {
        let mut tile = Vec::new();
        for entry in [&b"one"[..], b"", &[7; LEAF_BYTES_MAX]] {
            push_entry(&mut tile, entry).unwrap();
        }
        assert_eq!(push_entry(&mut tile, &[0; LEAF_BYTES_MAX + 1]), None);
        let first = next_entry(&tile, 0).unwrap();
        assert_eq!(&tile[first.clone()], b"one");
        let second = next_entry(&tile, first.end).unwrap();
        assert!(second.is_empty());
        let third = next_entry(&tile, second.end).unwrap();
        assert_eq!((third.len(), third.end), (LEAF_BYTES_MAX, tile.len()));
        assert_eq!(next_entry(&tile, third.end), None);
        assert_eq!(next_entry(&tile[..4], 0), None);
    }
}
