//! Arbitrary notes, checkpoints, proofs, keys and tile paths, as an auditor would be handed them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| countersign_fuzz::bodies::tlog_note::body(data));
