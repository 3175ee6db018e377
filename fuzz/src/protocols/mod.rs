//! The gateway's protocols, as far as they are fuzzed.

pub mod kubernetes;
pub mod postgres;
