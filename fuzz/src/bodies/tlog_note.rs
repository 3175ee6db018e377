//! Arbitrary notes, checkpoints, proofs, keys and tile paths, as an auditor would be handed them.

use countersign_tlog::note::{self, VerifierKey};
use countersign_tlog::proof::{verify_consistency, verify_inclusion};
use countersign_tlog::{Checkpoint, Hash, Signer, TilePath, TlogProof, TreeHead, leaf_hash};

/// Holds what is written above.
///
/// # Panics
/// It does not hold.
pub fn body(data: &[u8]) {
    let Ok(signer) = Signer::from_seed("example.org/log", &[7; 32]) else { return };
    let key = signer.verifier_key();
    assert!(note::open(data, std::slice::from_ref(key)).is_err(), "nothing verifies that this key never signed");
    assert!(Checkpoint::open(data, key, &[]).is_err(), "nor as a checkpoint");
    hashes(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = Checkpoint::from_own_note(text);
    checkpoint(text, &signer);
    if let Ok(proof) = text.parse::<TlogProof>() {
        let again: TlogProof = proof.to_string().parse().expect("a proof reads back");
        assert_eq!(again, proof);
        assert!(proof.verify(b"entry", key, &[], None).is_err(), "nor as a proof");
    }
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string(), text, "a key has one spelling");
    }
    if let Ok(path) = text.parse::<TilePath>() {
        assert_eq!(path.to_string(), text, "a tile has one path");
    }
}

fn checkpoint(text: &str, signer: &Signer) {
    let Ok(checkpoint) = text.parse::<Checkpoint>() else { return };
    if let Ok(note) = checkpoint.sign(signer) {
        let opened = Checkpoint::open(note.as_bytes(), signer.verifier_key(), &[]).expect("what we sign verifies");
        assert_eq!(opened.checkpoint(), &checkpoint);
    }
}

/// Proofs of arbitrary hashes: none holds, none panics.
fn hashes(data: &[u8]) {
    let Some((numbers, rest)) = data.split_first_chunk::<24>() else { return };
    let number = |at: usize| {
        let bytes: [u8; 8] = numbers[at..at + 8].try_into().unwrap_or_default();
        u64::from_le_bytes(bytes)
    };
    let proof: Vec<Hash> = rest.chunks(8).take(70).map(leaf_hash).collect();
    let (old, new) = (number(0), number(8));
    let head = |size| TreeHead { size, root: leaf_hash(b"no root of anything") };
    let inclusion = verify_inclusion(&head(new), number(16), &leaf_hash(data), &proof);
    assert!(inclusion.is_err(), "an arbitrary root proves nothing");
    let _ = verify_consistency(&head(old), &head(new), &proof);
}
