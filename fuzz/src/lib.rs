//! What the fuzz targets run: [`bodies`], and the gateway's parsers, compiled from their own files without the gateway.
//!
//! The modules are the gateway's, by path and not by copy, at the paths that they have there. They need little of the rest
//! of it, so a fuzz build takes minutes less and instruments only what is fuzzed.
#![allow(
    dead_code,
    unused_imports,
    unfulfilled_lint_expectations,
    reason = "the gateway uses more of its modules than is fuzzed, and otherwise"
)]

pub mod bodies;
#[path = "../../crates/gateway/src/codes.rs"]
pub mod codes;
#[path = "../../crates/gateway/src/ports/describer.rs"]
mod describer;
#[path = "../../crates/gateway/src/pipeline/outcomes.rs"]
mod outcomes;
#[path = "../../crates/gateway/src/config/pinned.rs"]
mod pinned;
pub mod protocols;
#[path = "../../crates/gateway/src/refusal.rs"]
pub mod refusal;
pub mod relay;

pub use protocols::postgres::{describe, wire};
pub use protocols::{aws, http as apis, kubernetes};

/// As much of the configuration as documents name.
pub mod config {
    pub use crate::pinned::{NotPinned, Pinned};
}

/// As much of the ports as the describers name.
pub mod ports {
    pub use crate::describer::Describer;
}

/// As much of the pipeline as the session machine names.
pub mod pipeline {
    pub use crate::outcomes::Outcomes;
}
