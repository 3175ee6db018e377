//! A change of the gate itself, as facts: which part, from what to what, and which policies it adds, changes and removes.
//!
//! Both digests are part of the action's meaning, so an approval is good for one step between two states and no other.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A part of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GatePart {
    /// The bundle of policies.
    Policies,
}

impl GatePart {
    /// The name used in policies, records and cards.
    pub fn name(self) -> &'static str {
        match self {
            GatePart::Policies => "policies",
        }
    }
}

/// What would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateFacts {
    /// Which part.
    pub part: GatePart,
    /// The digest of what is in force.
    pub from: String,
    /// The digest of what would be.
    pub to: String,
    /// Ids of policies that would be new.
    pub added: BTreeSet<String>,
    /// Ids of policies whose text would be another.
    pub changed: BTreeSet<String>,
    /// Ids of policies that would be gone.
    pub removed: BTreeSet<String>,
}
