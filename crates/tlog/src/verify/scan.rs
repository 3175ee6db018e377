//! The one pass over all entries: computes the tree and notes where stored hashes or signed claims differ from it.
//!
//! It notes only the earliest difference. What that means (a changed entry, or a damaged hash file) is decided once the
//! root is known.

use std::ops::Range;

use super::census::{Census, Kind};
use super::claims::{Claim, Claims};
use super::error::{Problem, VerifyError};
use super::votes::Votes;
use crate::edge::Edge;
use crate::hash::{Hash, leaf_hash};
use crate::proof::TreeHead;
use crate::source::{EntryTile, TileEnd, TileSource, load_entries, load_hashes};
use crate::tile::{TILE_WIDTH, TileKind, TilePath, leaves_below};

/// Entries and stored hashes that do not agree.
pub(super) struct Evidence {
    /// The leaves concerned.
    pub(super) leaves: Range<u64>,
    /// The file at fault, if the root turns out to be right.
    path: TilePath,
    is_extra: bool,
}

impl Evidence {
    /// What it means where all signed entries are as signed.
    pub(super) fn problem(&self) -> Problem {
        if self.is_extra { Problem::Extra { path: self.path } } else { Problem::HashTile { path: self.path } }
    }
}

pub(super) struct Findings<'a> {
    /// The signed tree.
    pub(super) head: TreeHead,
    /// The tree as computed; smaller than the signed one if entries could not be read.
    pub(super) edge: Edge,
    pub(super) claims: Claims<'a>,
    pub(super) census: Census,
    pub(super) votes: Votes,
    /// The earliest disagreement between entries and stored hashes.
    pub(super) evidence: Option<Evidence>,
    /// The last claim before the first bad one: the tree agrees with it.
    pub(super) good_claim: Option<Claim>,
    /// The first claim that the tree contradicts.
    pub(super) bad_claim: Option<Claim>,
}

impl Findings<'_> {
    /// Leaves that a signed claim vouches for, and the tree agrees.
    pub(super) fn good_size(&self) -> u64 {
        self.good_claim.map_or(0, |claim| claim.head.size)
    }

    pub(super) fn root_matches(&self) -> bool {
        self.edge.size() == self.head.size && self.edge.root() == self.head.root
    }
}

/// Reads the whole log. Fails only where the source or the claims themselves do.
pub(super) fn run<'a>(
    source: &'a dyn TileSource,
    head: TreeHead,
    claims: Claims<'a>,
) -> Result<Findings<'a>, VerifyError> {
    let (edge, census) = (Edge::default(), Census::default());
    let votes = Votes::default();
    let findings = Findings { head, edge, claims, census, votes, evidence: None, good_claim: None, bad_claim: None };
    let mut scan = Scan { source, findings };
    scan.check_claims()?;
    for index in 0..head.size.div_ceil(u64::from(TILE_WIDTH)) {
        if !scan.tile(index)? {
            return Ok(scan.findings);
        }
    }
    scan.check_partial_tiles()?;
    Ok(scan.findings)
}

struct Scan<'a> {
    source: &'a dyn TileSource,
    findings: Findings<'a>,
}

impl Scan<'_> {
    /// Reads one entry tile and the hash tile over it; false where entries are missing.
    fn tile(&mut self, index: u64) -> Result<bool, VerifyError> {
        let size = self.findings.head.size;
        let path = |kind| TilePath::in_tree(kind, index, size).expect("the index is below the tree's tile count");
        let (entry_path, hash_path) = (path(TileKind::Entries), path(TileKind::Hashes(0)));
        let entries = load_entries(self.source, entry_path)?;
        let stored = load_hashes(self.source, hash_path)?;
        self.entries(&entries, hash_path, &stored.hashes)?;
        let first = index * u64::from(TILE_WIDTH);
        if stored.end != TileEnd::Complete {
            let present = if stored.end == TileEnd::TooLong { 0 } else { stored.hashes.len() as u64 };
            self.note(first + present..hash_path.leaves().end, hash_path, false);
        }
        let missing = first + entries.len() as u64;
        if entries.end == TileEnd::TooLong {
            self.note(missing..missing + 1, entry_path, true);
        }
        if entries.len() < usize::from(entry_path.width()) {
            self.note(missing..missing + 1, entry_path, false);
            return Ok(false);
        }
        Ok(true)
    }

    fn entries(&mut self, entries: &EntryTile, path: TilePath, stored: &[Hash]) -> Result<(), VerifyError> {
        let mut filled = Vec::new();
        for (within, entry) in entries.entries().enumerate() {
            let hash = leaf_hash(entry);
            let index = self.findings.edge.size();
            if stored.get(within).is_some_and(|stored| *stored != hash) {
                self.note(index..index + 1, path, false);
            }
            match self.findings.census.count(entry) {
                Kind::Enrolment => self.findings.votes.enrolment(entry),
                Kind::Vote => self.findings.votes.vote(index, entry),
                Kind::BrokenGlass => self.findings.votes.broken_glass(index, entry),
                Kind::Other => {}
            }
            self.findings.edge.push(hash, |tile| filled.push(tile));
            self.check_claims()?;
        }
        for tile in filled.iter().skip(1) {
            self.compare(tile.path, &tile.hashes)?;
        }
        Ok(())
    }

    /// Compares a computed tile above level 0 with the stored one.
    fn compare(&mut self, path: TilePath, computed: &[Hash]) -> Result<(), VerifyError> {
        let TileKind::Hashes(level) = path.kind() else { return Ok(()) };
        let stored = load_hashes(self.source, path)?;
        let differs = computed.iter().enumerate().position(|(at, hash)| stored.hashes.get(at) != Some(hash));
        let whole = (stored.end != TileEnd::Complete).then_some(0);
        if let Some(at) = differs.or(whole) {
            let position = path.index() * u64::from(TILE_WIDTH) + at as u64;
            self.note(leaves_below(level, position), path, false);
        }
        Ok(())
    }

    fn check_partial_tiles(&mut self) -> Result<(), VerifyError> {
        for level in 1..self.findings.edge.levels() {
            if let Some(path) = self.findings.edge.partial(level) {
                let computed = self.findings.edge.row(level).to_vec();
                self.compare(path, &computed)?;
            }
        }
        Ok(())
    }

    /// Compares the tree so far with the claims about this size.
    fn check_claims(&mut self) -> Result<(), VerifyError> {
        let size = self.findings.edge.size();
        while self.findings.claims.next_size() == Some(size) {
            let Some(claim) = self.findings.claims.next()? else { break };
            if self.findings.bad_claim.is_some() {
                continue;
            }
            if self.findings.edge.root() == claim.head.root {
                self.findings.good_claim = Some(claim);
            } else {
                self.findings.bad_claim = Some(claim);
            }
        }
        Ok(())
    }

    /// Keeps the earliest evidence; of two that begin together, the narrower.
    fn note(&mut self, leaves: Range<u64>, path: TilePath, is_extra: bool) {
        let key = |leaves: &Range<u64>| (leaves.start, leaves.end);
        if self.findings.evidence.as_ref().is_none_or(|earlier| key(&leaves) < key(&earlier.leaves)) {
            self.findings.evidence = Some(Evidence { leaves, path, is_extra });
        }
    }
}
