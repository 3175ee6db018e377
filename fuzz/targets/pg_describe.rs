//! Arbitrary SQL: describing never panics, and two statements are at least as dangerous as each of them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| countersign_fuzz::bodies::pg_describe::body(data));
