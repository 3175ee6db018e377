//! Tree hashes: the only place that calls SHA-256 on leaves and nodes.
//!
//! Leaves and nodes are told apart by a prefix byte (RFC 6962 §2.1), so no entry can pass for an inner node. Keys and
//! notes hash elsewhere.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::encoding::{from_base64, to_base64};

/// Bytes of one hash.
pub const HASH_BYTES: usize = 32;

/// A SHA-256 value in the tree: a leaf's, a node's or a root's. Written as standard base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; HASH_BYTES]);

/// A text that is not the base64 of 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the base64 of a 32-byte hash")]
pub struct ParseHashError;

impl Hash {
    /// Reads a hash from exactly 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_base64(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl FromStr for Hash {
    type Err = ParseHashError;

    fn from_str(text: &str) -> Result<Self, ParseHashError> {
        from_base64(text).and_then(|bytes| Self::from_slice(&bytes)).ok_or(ParseHashError)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The hash of an entry: `SHA-256(0x00 ‖ entry)`.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update([0]).chain_update(entry).finalize().into())
}

/// The hash of an inner node: `SHA-256(0x01 ‖ left ‖ right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut input = [1; 1 + 2 * HASH_BYTES];
    input[1..=HASH_BYTES].copy_from_slice(&left.0);
    input[1 + HASH_BYTES..].copy_from_slice(&right.0);
    Hash(Sha256::digest(input).into())
}

/// The root of the tree without leaves: `SHA-256("")`.
pub fn empty_root() -> Hash {
    Hash(Sha256::digest([]).into())
}

/// The root of a perfect subtree over `hashes`, whose count must be a power of two.
pub(crate) fn perfect_root(hashes: &[Hash]) -> Hash {
    debug_assert!(hashes.len().is_power_of_two());
    match hashes {
        [] => empty_root(),
        [only] => *only,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            node_hash(&perfect_root(left), &perfect_root(right))
        }
    }
}

/// Joins a row of equal-height subtrees, then `right` (what lies to their right), as RFC 6962 §2.1 splits a tree.
pub(crate) fn fold_right(row: &[Hash], right: Option<Hash>) -> Option<Hash> {
    let mut joined = right;
    let mut end = row.len();
    while end > 0 {
        let width = 1 << end.trailing_zeros();
        let subtree = perfect_root(&row[end - width..end]);
        joined = Some(joined.map_or(subtree, |right| node_hash(&subtree, &right)));
        end -= width;
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::to_hex;

    /// The published RFC 6962 test values.
    #[test]
    fn known_values() {
        let check = |hash: Hash, hex: &str| assert_eq!(to_hex(hash.as_bytes()), hex);
        check(empty_root(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        check(leaf_hash(b""), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        let two = node_hash(&leaf_hash(b""), &leaf_hash(&[0]));
        check(two, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
    }

    #[test]
    fn text_round_trip() {
        let hash = leaf_hash(b"x");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_eq!("AA==".parse::<Hash>(), Err(ParseHashError));
    }
}
