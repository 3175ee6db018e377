//! The record as a stranger reads it: the leaves in the tiles, without any code of ours.

use std::path::Path;

use serde_json::Value;
use xtask::process::wait_until;

use super::{SOON, World};

/// Leaves of a full entry tile.
const TILE_ENTRIES: u64 = 256;

/// Every leaf that the checkpoint in `ledger` covers, in order.
pub(crate) fn leaves(ledger: &Path) -> Vec<Value> {
    let Ok(checkpoint) = std::fs::read_to_string(ledger.join("checkpoint")) else { return Vec::new() };
    let size: u64 = checkpoint.lines().nth(1).unwrap().parse().unwrap();
    let mut leaves = Vec::new();
    for tile in 0..size.div_ceil(TILE_ENTRIES) {
        let width = (size - tile * TILE_ENTRIES).min(TILE_ENTRIES);
        let bytes = std::fs::read(ledger.join(tile_path(tile, width))).unwrap();
        leaves.extend(entries(&bytes).iter().map(|entry| serde_json::from_slice::<Value>(entry).unwrap()));
    }
    assert_eq!(leaves.len() as u64, size);
    leaves
}

/// The path of an entry tile; enough for the small logs of tests.
pub(crate) fn tile_path(tile: u64, width: u64) -> String {
    let partial = if width == TILE_ENTRIES { String::new() } else { format!(".p/{width}") };
    assert!(tile < 1_000);
    format!("tile/entries/{tile:03}{partial}")
}

/// The entries of a tile: each a length of two bytes, big-endian, and so many bytes.
pub(crate) fn entries(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    while let [high, low, rest @ ..] = bytes {
        let (entry, after) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        entries.push(entry.to_vec());
        bytes = after;
    }
    entries
}

impl World {
    /// The leaves so far.
    pub(crate) fn leaves(&self) -> Vec<Value> {
        leaves(&self.gateway.data_dir().join("ledger"))
    }

    /// Waits until the record has a leaf like this.
    #[track_caller]
    pub(crate) fn until_recorded(&self, what: &str, like: impl Fn(&Value) -> bool) -> Value {
        let found =
            wait_until(&format!("the record of {what}"), SOON, || self.leaves().into_iter().find(|leaf| like(leaf)));
        found.unwrap_or_else(|error| {
            let kinds: Vec<_> = self.leaves().iter().map(|leaf| format!("{leaf}")).collect();
            panic!("{error}; there are:\n{}", kinds.join("\n"))
        })
    }

    /// Waits until the record has a refused vote on this review with this code.
    #[track_caller]
    pub(crate) fn until_vote_refused(&self, review: &str, code: &str) -> Value {
        self.until_recorded(&format!("a vote refused as {code}"), |leaf| {
            leaf["kind"] == "review.refused" && leaf["review"] == review && leaf["code"] == code
        })
    }

    /// How many leaves are like this once a later action is in the record too.
    pub(crate) fn count_recorded(&self, like: impl Fn(&Value) -> bool) -> usize {
        self.leaves().iter().filter(|leaf| like(leaf)).count()
    }
}
