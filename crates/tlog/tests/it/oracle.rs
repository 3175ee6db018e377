//! Roots and proofs against an independent implementation of RFC 6962 trees.

use countersign_tlog::proof::{consistency, inclusion, verify_consistency, verify_inclusion};
use countersign_tlog::{Appender, Hash, TreeHead, leaf_hash};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;

use crate::support::{MemorySource, leaf, leaves};

type Oracle = MemoryBackedTree<Sha256, Vec<u8>>;

fn oracle(size: u64) -> Oracle {
    let mut tree = Oracle::new();
    leaves(0..size).into_iter().for_each(|leaf| tree.push(leaf));
    tree
}

fn root_of(tree: &Oracle) -> Hash {
    Hash::from_slice(tree.root().as_bytes()).unwrap()
}

fn hashes(bytes: &[u8]) -> Vec<Hash> {
    bytes.chunks(32).map(|hash| Hash::from_slice(hash).unwrap()).collect()
}

#[test]
fn roots_of_all_small_sizes() {
    let (mut log, mut tree) = (Appender::new(), Oracle::new());
    for index in 0..600 {
        log.append(&[leaf(index)]).unwrap();
        tree.push(leaf(index));
        assert_eq!(log.root(), root_of(&tree), "size {}", index + 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn batches_do_not_matter(batches in prop::collection::vec(0u64..400, 1..6)) {
        let (mut log, mut source, mut size) = (Appender::new(), MemorySource::default(), 0);
        for batch in batches {
            source.write(log.append(&leaves(size..size + batch)).unwrap());
            size += batch;
            log = Appender::resume(size, &source).unwrap();
        }
        let (whole, at_once) = MemorySource::with_leaves(size);
        prop_assert_eq!(log.head(), at_once.head());
        for (path, bytes) in &whole.0 {
            prop_assert_eq!(source.0.get(path), Some(bytes), "{}", path);
        }
    }

    #[test]
    fn inclusion_is_the_oracles(size in 1u64..1200, at in any::<prop::sample::Index>()) {
        let index = at.index(size as usize) as u64;
        let (source, log) = MemorySource::with_leaves(size);
        let proof = inclusion(&source, size, index).unwrap();
        let tree = oracle(size);
        prop_assert_eq!(&proof, &hashes(tree.prove_inclusion(index as usize).as_bytes()));
        let (head, hash) = (log.head(), leaf_hash(&leaf(index)));
        prop_assert!(verify_inclusion(&head, index, &hash, &proof).is_ok());
        prop_assert!(verify_inclusion(&head, index, &leaf_hash(b"other"), &proof).is_err());
        for other in [index.wrapping_sub(1), index + 1, index ^ 128, size] {
            prop_assert!(verify_inclusion(&head, other, &hash, &proof).is_err(), "{} for {}", other, index);
        }
        refuses_changes(&proof, |proof| verify_inclusion(&head, index, &hash, proof).is_ok())?;
    }

    #[test]
    fn consistency_is_the_oracles(new in 1u64..1200, at in any::<prop::sample::Index>()) {
        let old = at.index(new as usize) as u64 + 1;
        let (source, log) = MemorySource::with_leaves(new);
        let proof = consistency(&source, old, new).unwrap();
        let (old_tree, new_tree) = (oracle(old), oracle(new));
        prop_assert_eq!(&proof, &hashes(new_tree.prove_consistency((new - old) as usize).as_bytes()));
        let before = TreeHead { size: old, root: root_of(&old_tree) };
        prop_assert!(verify_consistency(&before, &log.head(), &proof).is_ok());
        let forged = TreeHead { size: old, root: leaf_hash(b"other") };
        prop_assert!(verify_consistency(&forged, &log.head(), &proof).is_err());
        prop_assert!(verify_consistency(&log.head(), &before, &proof).is_err() || old == new);
        refuses_changes(&proof, |proof| verify_consistency(&before, &log.head(), proof).is_ok())?;
    }
}

/// Every changed, dropped or added hash must refuse the proof.
fn refuses_changes(proof: &[Hash], accepts: impl Fn(&[Hash]) -> bool) -> Result<(), TestCaseError> {
    for at in 0..proof.len() {
        let mut changed = proof.to_vec();
        changed[at].0[at % 32] ^= 1;
        prop_assert!(!accepts(&changed));
        let mut dropped = proof.to_vec();
        dropped.remove(at);
        prop_assert!(!accepts(&dropped));
    }
    let longer = [proof, &[leaf_hash(b"extra")]].concat();
    prop_assert!(!accepts(&longer));
    Ok(())
}

#[test]
fn proofs_of_impossible_things_are_refused() {
    let (source, log) = MemorySource::with_leaves(10);
    assert!(inclusion(&source, 10, 10).is_err());
    assert!(inclusion(&source, u64::MAX, 3).is_err());
    assert!(inclusion(&source, 300, 3).is_err(), "the tiles of a larger tree do not exist");
    assert!(consistency(&source, 11, 10).is_err());
    assert!(consistency(&source, 1, u64::MAX).is_err());
    assert_eq!(consistency(&source, 0, 10).unwrap(), []);
    let empty = TreeHead { size: 0, root: countersign_tlog::empty_root() };
    assert!(verify_consistency(&empty, &log.head(), &[]).is_ok());
    assert!(verify_consistency(&TreeHead { size: 0, root: log.root() }, &log.head(), &[]).is_err());
    let huge = TreeHead { size: u64::MAX, root: log.root() };
    assert!(verify_inclusion(&huge, u64::MAX - 1, &log.root(), &[log.root(); 64]).is_err());
    assert!(verify_consistency(&log.head(), &huge, &[log.root(); 70]).is_err());
}
