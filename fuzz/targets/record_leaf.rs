//! Arbitrary JSON as a record: what reads as one has exactly one leaf, and reads back from it.
#![no_main]

use countersign_core::record::{LEAF_BYTES_MAX, Record};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(record) = serde_json::from_slice::<Record>(data) else { return };
    let Ok(leaf) = record.leaf() else { return };
    assert!(leaf.len() <= LEAF_BYTES_MAX);
    let again: Record = serde_json::from_slice(&leaf).expect("a leaf reads back");
    assert_eq!(again, record);
    assert_eq!(again.leaf().expect("it has a leaf"), leaf, "a record has one leaf");
});
