//! Arbitrary bytes at the beginning of a connection.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| countersign_fuzz::bodies::pg_startup::body(data));
