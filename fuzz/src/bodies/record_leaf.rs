//! Arbitrary JSON as a record: what reads as one has exactly one leaf, and reads back from it.
//!
//! Not held for integers beyond 2⁵³ − 1: RFC 8785 writes numbers as IEEE 754 doubles, which round them.

use countersign_core::record::{LEAF_BYTES_MAX, Record};
use serde_json::Value;

/// The largest integer that a double holds exactly, with all below it (RFC 7493 §2.2).
const EXACT_MAX: u64 = (1 << 53) - 1;

/// Holds what is written above.
///
/// # Panics
/// It does not hold.
pub fn body(data: &[u8]) {
    let Ok(record) = serde_json::from_slice::<Record>(data) else { return };
    let Ok(leaf) = record.leaf() else { return };
    assert!(leaf.len() <= LEAF_BYTES_MAX);
    if !serde_json::to_value(&record).is_ok_and(|value| exact(&value)) {
        return;
    }
    let again: Record = serde_json::from_slice(&leaf).expect("a leaf reads back");
    assert_eq!(again, record);
    assert_eq!(again.leaf().expect("it has a leaf"), leaf, "a record has one leaf");
}

fn exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_u64().is_none_or(|number| number <= EXACT_MAX),
        Value::Array(items) => items.iter().all(exact),
        Value::Object(fields) => fields.values().all(exact),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}
