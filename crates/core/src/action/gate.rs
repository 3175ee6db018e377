//! A change of the gate itself, as facts: which part, about what, and from which state to which.
//!
//! Both digests are part of the action's meaning, so an approval is good for one step between two states and no other.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{AgentId, PersonId};

/// A part of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GatePart {
    /// The bundle of policies.
    Policies,
    /// People and agents, with their groups and accounts.
    People,
    /// What agents reach: each target's address, credential and labels.
    Targets,
}

impl GatePart {
    /// The name used in policies, records and cards.
    pub fn name(self) -> &'static str {
        match self {
            GatePart::Policies => "policies",
            GatePart::People => "people",
            GatePart::Targets => "targets",
        }
    }
}

/// In what way a change permits more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateStep {
    /// Other policies would be in force.
    #[default]
    Policies,
    /// There would be a new person.
    PersonAdded,
    /// A person would belong to more groups.
    GroupsGiven,
    /// A suspended person would count again.
    PersonRestored,
    /// Whoever holds an account somewhere else would speak as a person.
    AccountLinked,
    /// An agent would belong to more groups.
    AgentGroupsGiven,
    /// There would be a new target.
    TargetAdded,
    /// A target would have another address, credential or label.
    TargetChanged,
}

impl GateStep {
    /// The name used in policies and records.
    pub fn name(self) -> &'static str {
        match self {
            GateStep::Policies => "policies",
            GateStep::PersonAdded => "person_added",
            GateStep::GroupsGiven => "groups_given",
            GateStep::PersonRestored => "person_restored",
            GateStep::AccountLinked => "account_linked",
            GateStep::AgentGroupsGiven => "agent_groups_given",
            GateStep::TargetAdded => "target_added",
            GateStep::TargetChanged => "target_changed",
        }
    }
}

/// What a change is about. A person or agent who would gain by it stands on its author's side.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "id")]
pub enum GateSubject {
    /// The bundle of policies.
    #[default]
    Bundle,
    /// A person.
    Person(PersonId),
    /// A person who is yet to be added, by the name they would have.
    NewPerson(String),
    /// An agent.
    Agent(AgentId),
    /// A target, by its name.
    Target(String),
}

/// What would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateFacts {
    /// Which part.
    pub part: GatePart,
    /// In what way.
    #[serde(default, skip_serializing_if = "is_default")]
    pub step: GateStep,
    /// About what.
    #[serde(default, skip_serializing_if = "is_default")]
    pub subject: GateSubject,
    /// The digest of what is in force.
    pub from: String,
    /// The digest of what would be.
    pub to: String,
    /// Ids of policies, or names of targets, that would be new; groups that somebody would come to speak or act for.
    pub added: BTreeSet<String>,
    /// Ids of policies, or names of targets, that would be others; the name of the person or agent who would gain.
    pub changed: BTreeSet<String>,
    /// Ids of policies that would be gone.
    pub removed: BTreeSet<String>,
}

/// Facts of changes of policies are written as they were before there were others: their digests stay the same.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_policies_has_the_meaning_it_always_had() {
        let none = BTreeSet::new;
        let facts = GateFacts {
            part: GatePart::Policies,
            step: GateStep::default(),
            subject: GateSubject::default(),
            from: "a".to_owned(),
            to: "b".to_owned(),
            added: none(),
            changed: none(),
            removed: none(),
        };
        let text = r#"{"part":"policies","from":"a","to":"b","added":[],"changed":[],"removed":[]}"#;
        assert_eq!(serde_json::to_string(&facts).unwrap(), text);
        assert_eq!(serde_json::from_str::<GateFacts>(text).unwrap(), facts);
    }

    #[test]
    fn steps_are_called_the_same_everywhere() {
        for step in [GateStep::PersonAdded, GateStep::AccountLinked, GateStep::TargetAdded] {
            assert_eq!(serde_json::to_string(&step).unwrap(), format!("\"{}\"", step.name()));
        }
    }
}
