//! The integration tests of the log: formats against published values and other implementations, proofs against an
//! oracle, and every way of tampering with a log against the leaf that must be named.
#![expect(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

#[path = "it/cli.rs"]
mod cli;
#[path = "it/golden.rs"]
mod golden;
#[cfg(feature = "http")]
#[path = "it/http.rs"]
mod http;
#[path = "it/interop.rs"]
mod interop;
#[path = "it/malformed.rs"]
mod malformed;
#[path = "it/oracle.rs"]
mod oracle;
#[path = "it/sizes.rs"]
mod sizes;
#[path = "it/support.rs"]
mod support;
#[path = "it/tamper.rs"]
mod tamper;
#[path = "it/trust.rs"]
mod trust;
#[path = "it/votes.rs"]
mod votes;
