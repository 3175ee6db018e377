//! Arbitrary JSON as a record: what reads as one has exactly one leaf, and reads back from it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| countersign_fuzz::bodies::record_leaf::body(data));
