//! Arbitrary SQL: describing never panics, and two statements are at least as dangerous as each of them.
#![no_main]

use countersign_fuzz::bodies::pg_describe::body;
use countersign_fuzz::describe::STACK_BYTES;

// On a stack like the gateway's workers': the crate's own tree walk, which the second opinion calls, would overflow the
// main thread's, without a word.
libfuzzer_sys::fuzz_target!(|data: &[u8]| stacker::grow(STACK_BYTES, || body(data)));
