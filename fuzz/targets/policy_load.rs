//! Arbitrary policy text: loading answers with a bundle or with problems, and never panics.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| countersign_fuzz::bodies::policy_load::body(data));
