//! Arbitrary bytes from an upstream: framing, decoding, and encoding again.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| countersign_fuzz::bodies::pg_wire_backend::body(data));
