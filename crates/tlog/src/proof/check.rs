//! Checking proofs: hashes only, in the number of steps the sizes dictate.

use super::{Error, TreeHead};
use crate::hash::{Hash, empty_root, node_hash};

/// Checks that a leaf with this hash is at `index` of `tree` (RFC 9162 §2.1.3.2).
pub fn verify_inclusion(tree: &TreeHead, index: u64, leaf: &Hash, proof: &[Hash]) -> Result<(), Error> {
    if index >= tree.size {
        return Err(Error::Index { index, size: tree.size });
    }
    let (mut node, mut last) = (index, tree.size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(Error::Length);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            skip_missing_levels(&mut node, &mut last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    match last {
        0 if hash == tree.root => Ok(()),
        0 => Err(Error::Root),
        _ => Err(Error::Length),
    }
}

/// Checks that `new` extends `old` without changing a leaf (RFC 9162 §2.1.4.2). Every tree extends the empty one.
pub fn verify_consistency(old: &TreeHead, new: &TreeHead, proof: &[Hash]) -> Result<(), Error> {
    if old.size > new.size {
        return Err(Error::Sizes { old: old.size, new: new.size });
    }
    if old.size == new.size || old.size == 0 {
        return same_or_empty(old, new, proof);
    }
    let whole = old.size.is_power_of_two().then_some(old.root);
    let mut path = whole.iter().chain(proof);
    let first = *path.next().ok_or(Error::Length)?;
    let (mut node, mut last) = (old.size - 1, new.size - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (old_root, new_root) = climb(node, last, first, path)?;
    if old_root == old.root && new_root == new.root { Ok(()) } else { Err(Error::Root) }
}

/// The roots of the old and the new tree, from the node where they part.
fn climb<'a>(
    mut node: u64,
    mut last: u64,
    first: Hash,
    path: impl Iterator<Item = &'a Hash>,
) -> Result<(Hash, Hash), Error> {
    let (mut old_root, mut new_root) = (first, first);
    for sibling in path {
        if last == 0 {
            return Err(Error::Length);
        }
        if node & 1 == 1 || node == last {
            old_root = node_hash(sibling, &old_root);
            new_root = node_hash(sibling, &new_root);
            skip_missing_levels(&mut node, &mut last);
        } else {
            new_root = node_hash(&new_root, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last == 0 { Ok((old_root, new_root)) } else { Err(Error::Length) }
}

fn same_or_empty(old: &TreeHead, new: &TreeHead, proof: &[Hash]) -> Result<(), Error> {
    let holds = if old.size == new.size { old.root == new.root } else { old.root == empty_root() };
    match (proof, holds) {
        ([], true) => Ok(()),
        ([], false) => Err(Error::Root),
        _ => Err(Error::Length),
    }
}

/// At the right edge a node without a sibling moves up until it is a right child.
fn skip_missing_levels(node: &mut u64, last: &mut u64) {
    while *node & 1 == 0 && *node != 0 {
        *node >>= 1;
        *last >>= 1;
    }
}
