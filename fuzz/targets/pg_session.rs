//! Arbitrary scripts of a client, for the session machine and a model of the server.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| countersign_fuzz::protocols::postgres::model::run(data));
