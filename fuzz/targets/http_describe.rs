//! Arbitrary requests to APIs with a document: no panic, and plain rules agree.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| countersign_fuzz::bodies::http_describe::body(data));
