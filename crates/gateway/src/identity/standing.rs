//! What a person or an agent is, as a digest: what a proposed change of them was made for, and whether they still are that.
//!
//! Only what says for whom they speak or act is part of it. A sign-in, another address, or who elevated them changes nothing.

use std::collections::BTreeSet;

use countersign_core::action::digest::canonical;
use countersign_core::action::{AgentId, PayloadDigest, PersonId};
use countersign_core::policy::PersonFacts;
use serde::Serialize;

use crate::ports::Agent;

/// A standing.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Standing<'a> {
    /// There is nobody of this name.
    Nobody {
        /// The name.
        name: &'a str,
    },
    /// A person who is yet to be added.
    New {
        /// The name they would have.
        name: &'a str,
        /// Their address.
        email: Option<&'a str>,
        /// Their groups.
        groups: &'a BTreeSet<String>,
    },
    /// A person.
    Person {
        /// Who.
        id: &'a PersonId,
        /// Their groups.
        groups: &'a BTreeSet<String>,
        /// Whether they count for nothing.
        suspended: bool,
        /// The account that would be theirs besides those they have: whose ids these are, and the id.
        account: Option<(&'a str, &'a str)>,
    },
    /// An agent.
    Agent {
        /// Which.
        id: &'a AgentId,
        /// Who answers for it.
        owner: &'a PersonId,
        /// Its groups.
        groups: &'a BTreeSet<String>,
    },
}

impl<'a> Standing<'a> {
    /// Of a person as policy sees them.
    pub fn of_facts(id: &'a PersonId, facts: &'a PersonFacts) -> Self {
        Standing::Person { id, groups: &facts.groups, suspended: facts.suspended, account: None }
    }

    /// Of an agent.
    pub fn of_agent(agent: &'a Agent) -> Self {
        Standing::Agent { id: &agent.id, owner: &agent.owner, groups: &agent.groups }
    }

    /// As changes name it; none only where it has no canonical form, which no standing lacks.
    pub fn digest(&self) -> Option<String> {
        canonical(self).ok().map(|bytes| PayloadDigest::of(&bytes).to_string())
    }
}
