//! The gateway's protocols, as far as they are fuzzed.

pub mod aws;
pub mod http;
pub mod kubernetes;
pub mod postgres;
