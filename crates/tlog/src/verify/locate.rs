//! Naming the first bad leaf of a log whose entries do not add up to the signed root.
//!
//! Three things narrow it down, the surest first. Signed claims: the tree agrees with one size and not with the next.
//! Hash tiles that the signed root vouches for: from the root down, each level whose stored hashes still lead to the
//! signed root shows which of them the entries contradict. Failing these, the earliest place where entries and stored
//! hashes disagree. Parts of the log are read again; only failures pay for it.

use std::ops::Range;

use super::error::{Problem, VerifyError};
use super::scan::Findings;
use crate::edge::{Edge, levels, partial_tile};
use crate::hash::{Hash, leaf_hash, perfect_root};
use crate::proof::TreeHead;
use crate::source::{EntryTile, SourceError, TileEnd, TileSource, load_entries, load_hashes};
use crate::tile::{TILE_WIDTH, TileKind, TilePath, hashes_at, leaves_below};

/// Where the first bad leaf is, and its true hash if that is known.
struct Suspect {
    leaves: Range<u64>,
    hash: Option<Hash>,
}

/// The error that names the first bad leaf as closely as the log allows.
pub(super) fn first_bad_leaf(source: &dyn TileSource, findings: &Findings<'_>) -> Result<VerifyError, SourceError> {
    let head = findings.head;
    let end = findings.bad_claim.map_or(head.size, |claim| claim.head.size.min(head.size));
    if findings.good_size() >= end {
        return Ok(contradiction(findings));
    }
    let mut locator = Locator { source, size: head.size, good_size: findings.good_size(), tile: None };
    let mut suspect = Suspect { leaves: findings.good_size()..end, hash: None };
    let trees = findings.bad_claim.map(|claim| claim.head).into_iter().chain([head]);
    let mut vouched = suspect.leaves != (0..head.size);
    for tree in trees {
        if let Some(found) = locator.descend(tree)? {
            vouched = true;
            narrow(&mut suspect, found);
        }
    }
    let evidence = findings.evidence.as_ref().map(|evidence| evidence.leaves.clone());
    if let Some(leaves) = evidence.filter(|leaves| suspect.leaves.end - suspect.leaves.start > 1 && is_one(leaves)) {
        narrow(&mut suspect, Suspect { hash: locator.stored_hash(leaves.start)?, leaves });
    }
    let problem = match (is_one(&suspect.leaves), vouched) {
        (true, _) => locator.classify(suspect.leaves.start, suspect.hash)?,
        (false, true) => Problem::Changed,
        (false, false) => Problem::RootMismatch,
    };
    Ok(VerifyError::within(problem, suspect.leaves))
}

/// The tree has the root of a claim of the full size, but not the checkpoint's: both are signed.
fn contradiction(findings: &Findings<'_>) -> VerifyError {
    match findings.good_claim {
        Some(claim) => Problem::Fork { size: claim.head.size, claimed_by: claim.claimed_by }.into(),
        None => Problem::RootMismatch.into(),
    }
}

fn is_one(leaves: &Range<u64>) -> bool {
    leaves.end - leaves.start == 1
}

/// Intersects two suspicions, unless they contradict each other: then the first, surer one stands.
fn narrow(suspect: &mut Suspect, found: Suspect) {
    let both = suspect.leaves.start.max(found.leaves.start)..suspect.leaves.end.min(found.leaves.end);
    if !both.is_empty() {
        let hash = found.hash.or(suspect.hash);
        *suspect = Suspect { leaves: both, hash };
    }
}

struct Locator<'a> {
    source: &'a dyn TileSource,
    /// The signed size.
    size: u64,
    /// Leaves before this are known to be good.
    good_size: u64,
    /// The entry tile read last.
    tile: Option<(u64, EntryTile)>,
}

impl Locator<'_> {
    /// Finds the first hash, as far down as the tree's root vouches for stored hashes, that the entries contradict.
    fn descend(&mut self, tree: TreeHead) -> Result<Option<Suspect>, SourceError> {
        let Some(edge) = self.vouched_edge(tree)? else { return Ok(None) };
        for level in (0..edge.levels()).rev() {
            let first = hashes_at(level, tree.size) - edge.row(level).len() as u64;
            if let Some((position, hash)) = self.contradicted(level, first, edge.row(level))? {
                return self.descend_below(level, position, hash).map(Some);
            }
        }
        Ok(None)
    }

    /// The stored right edge of `tree`, if it leads to its root.
    fn vouched_edge(&self, tree: TreeHead) -> Result<Option<Edge>, SourceError> {
        let mut rows = Vec::new();
        for level in 0..levels(tree.size) {
            let tile = partial_tile(level, tree.size).map(|path| load_hashes(self.source, path)).transpose()?;
            if tile.as_ref().is_some_and(|tile| tile.end != TileEnd::Complete) {
                return Ok(None);
            }
            rows.push(tile.map_or_else(Vec::new, |tile| tile.hashes));
        }
        let edge = Edge::from_rows(tree.size, rows);
        Ok((edge.root() == tree.root).then_some(edge))
    }

    /// Goes down while the stored tile below `hash` leads to it.
    fn descend_below(&mut self, level: u8, position: u64, hash: Hash) -> Result<Suspect, SourceError> {
        let (mut level, mut position, mut hash) = (level, position, hash);
        while level > 0 {
            let below = TilePath::new(TileKind::Hashes(level - 1), position, TILE_WIDTH).expect("the level is below 8");
            let tile = load_hashes(self.source, below)?;
            if tile.hashes.len() < usize::from(TILE_WIDTH) || perfect_root(&tile.hashes) != hash {
                break;
            }
            let first = position * u64::from(TILE_WIDTH);
            let Some(found) = self.contradicted(level - 1, first, &tile.hashes)? else { break };
            (level, position, hash) = (level - 1, found.0, found.1);
        }
        Ok(Suspect { leaves: leaves_below(level, position), hash: (level == 0).then_some(hash) })
    }

    /// The first of these true hashes that the entries do not have.
    fn contradicted(&mut self, level: u8, first: u64, hashes: &[Hash]) -> Result<Option<(u64, Hash)>, SourceError> {
        for (position, hash) in (first..).zip(hashes) {
            let leaves = leaves_below(level, position);
            if leaves.end > self.good_size && self.computed(leaves)? != Some(*hash) {
                return Ok(Some((position, *hash)));
            }
        }
        Ok(None)
    }

    /// The root over these leaves' entries; `None` where one cannot be read.
    fn computed(&mut self, leaves: Range<u64>) -> Result<Option<Hash>, SourceError> {
        let mut edge = Edge::default();
        for index in leaves {
            let Some(hash) = self.entry_hash(index)? else { return Ok(None) };
            edge.push(hash, |_| ());
        }
        Ok(Some(edge.root()))
    }

    fn entry_hash(&mut self, index: u64) -> Result<Option<Hash>, SourceError> {
        let tile = self.entry_tile(index / u64::from(TILE_WIDTH))?;
        let within = (index % u64::from(TILE_WIDTH)) as usize;
        Ok(tile.and_then(|tile| tile.entry(within).map(leaf_hash)))
    }

    fn entry_tile(&mut self, index: u64) -> Result<Option<&EntryTile>, SourceError> {
        if self.tile.as_ref().is_none_or(|(held, _)| *held != index) {
            let Some(path) = TilePath::in_tree(TileKind::Entries, index, self.size) else { return Ok(None) };
            self.tile = Some((index, load_entries(self.source, path)?));
        }
        Ok(self.tile.as_ref().map(|(_, tile)| tile))
    }

    fn stored_hash(&self, index: u64) -> Result<Option<Hash>, SourceError> {
        let Some(path) = TilePath::in_tree(TileKind::Hashes(0), index / u64::from(TILE_WIDTH), self.size) else {
            return Ok(None);
        };
        let tile = load_hashes(self.source, path)?;
        Ok(tile.hashes.get((index % u64::from(TILE_WIDTH)) as usize).copied())
    }

    /// Says what happened to leaf `index`, whose true hash is `truth`.
    fn classify(&mut self, index: u64, truth: Option<Hash>) -> Result<Problem, SourceError> {
        let tile_index = index / u64::from(TILE_WIDTH);
        let path = TilePath::in_tree(TileKind::Entries, tile_index, self.size).expect("the leaf is in the tree");
        let Some(found) = self.entry_hash(index)? else {
            let is_torn = self.entry_tile(tile_index)?.is_some_and(EntryTile::is_torn);
            return Ok(if is_torn { Problem::Changed } else { Problem::Missing { path } });
        };
        let next_is_truth = truth.is_some() && self.entry_hash(index + 1)? == truth;
        let all_moved_down = next_is_truth && self.entry_hash(index + 2)? == self.stored_hash(index + 1)?;
        Ok(match self.home_of(found, index)? {
            Some(home) if home == index + 1 && !next_is_truth => Problem::Missing { path },
            Some(home) => Problem::Reordered { other: home },
            None if all_moved_down => Problem::Extra { path },
            None if next_is_truth => Problem::Reordered { other: index + 1 },
            None => Problem::Changed,
        })
    }

    /// Where after `index` the stored hashes have this entry.
    fn home_of(&self, entry: Hash, index: u64) -> Result<Option<u64>, SourceError> {
        let width = u64::from(TILE_WIDTH);
        for tile_index in index / width..self.size.div_ceil(width) {
            let Some(path) = TilePath::in_tree(TileKind::Hashes(0), tile_index, self.size) else { break };
            let hashes = load_hashes(self.source, path)?.hashes;
            if hashes.is_empty() {
                break;
            }
            let mut positions = (tile_index * width..).zip(hashes);
            if let Some((home, _)) = positions.find(|(position, hash)| *position > index && *hash == entry) {
                return Ok(Some(home));
            }
        }
        Ok(None)
    }
}
