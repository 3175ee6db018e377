//! Arbitrary requests to AWS: no panic, and the protocols' own words agree.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| countersign_fuzz::bodies::aws_describe::body(data));
