//! Arbitrary JSON and CBOR: read as others read it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| countersign_fuzz::bodies::json_values::body(data));
