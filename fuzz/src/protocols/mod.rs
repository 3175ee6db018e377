//! The gateway's protocols, as far as they are fuzzed.

pub mod postgres;
