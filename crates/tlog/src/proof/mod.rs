//! Proofs: that a leaf is in a tree, and that one tree extends another.
//!
//! Made from tiles ([`inclusion`], [`consistency`]), checked with nothing but hashes ([`verify_inclusion`],
//! [`verify_consistency`]), and carried in a file together with the checkpoint they lead to ([`TlogProof`]).
//! Source: RFC 6962 §2.1 and RFC 9162 §2.1.

mod check;
mod prove;
mod text;

pub use check::{verify_consistency, verify_inclusion};
pub use prove::{consistency, inclusion};
pub use text::{ProvedEntry, TextError, TlogProof};

use serde::Serialize;

use crate::hash::Hash;
use crate::source::TileError;

/// Hashes in a proof, at most: one for each level of a tree of 2^63 leaves, and one more for consistency.
pub const PROOF_HASHES_MAX: usize = 64;

/// A tree: how many leaves, and the root over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TreeHead {
    /// Leaves.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// Why a proof cannot be made or does not hold.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The index lies beyond the tree.
    #[error("leaf {index} is not in a tree of {size} leaves")]
    Index {
        /// The leaf asked for.
        index: u64,
        /// The tree's size.
        size: u64,
    },
    /// The old tree is larger than the new one.
    #[error("a tree of {old} leaves cannot be part of one of {new} leaves")]
    Sizes {
        /// Leaves of the old tree.
        old: u64,
        /// Leaves of the new tree.
        new: u64,
    },
    /// The proof has too many or too few hashes for these sizes.
    #[error("the proof has the wrong number of hashes")]
    Length,
    /// The proof leads to another root.
    #[error("the proof does not lead to the root")]
    Root,
    /// A tile the proof needs cannot be read.
    #[error("a tile the proof needs cannot be read")]
    Tile(#[from] TileError),
}
