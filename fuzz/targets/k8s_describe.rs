//! Arbitrary requests to an API server: no panic, and the server's own rules read them alike.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| countersign_fuzz::bodies::k8s_describe::body(data));
