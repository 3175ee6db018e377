//! Changes of the gate in policy's words, and whether a bundle lets anybody make them.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::RestrictedExpression as Value;

use crate::action::gate::{GateFacts, GatePart};
use crate::action::{
    ActionId, Described, Environment, Facts, PayloadDigest, PersonId, PersonRef, Requester, Sensitivity, SessionFacts,
    Target, Timestamp, redact,
};

use super::bundle::Bundle;
use super::decision::Decision;
use super::protocol::Ask;
use super::world::{Circumstances, People, PersonFacts};

/// The part of the schema about them.
pub(super) const SCHEMA: &str = include_str!("schema/gate-change.cedarschema");

/// The type of their resources.
pub(super) const RESOURCE: &str = "Gate";

/// The one question that a change is.
pub(super) fn ask(facts: &GateFacts) -> Ask {
    let ids = |ids: &BTreeSet<String>| Value::new_set(ids.iter().map(|id| Value::new_string(id.clone())));
    let group = vec![
        ("added".to_owned(), ids(&facts.added)),
        ("changed".to_owned(), ids(&facts.changed)),
        ("removed".to_owned(), ids(&facts.removed)),
    ];
    Ask { action: "gate:change", label: format!("CHANGE {}", facts.part.name()), group: "gate", facts: group }
}

/// A part of the gate as the target of an action: losing it loses everything behind it.
pub fn target(part: GatePart) -> Target {
    Target {
        name: part.name().to_owned(),
        environment: Environment::Production,
        sensitivity: Sensitivity::High,
        generation: String::new(),
    }
}

impl Bundle {
    /// Whether a change of the policies could be approved under this bundle at all: asked for at this moment by somebody who
    /// is in every group, or in none. A bundle for which it is false can be replaced by hand alone.
    pub fn changeable(&self, now: Timestamp) -> bool {
        [self.vocabulary().groups().clone(), BTreeSet::new()].into_iter().any(|groups| self.changeable_by(groups, now))
    }

    fn changeable_by(&self, groups: BTreeSet<String>, now: Timestamp) -> bool {
        let person = PersonRef { id: PersonId::new("somebody"), name: "somebody".to_owned() };
        let facts = PersonFacts { name: person.name.clone(), groups, suspended: false };
        let people = People { persons: BTreeMap::from([(person.id.clone(), facts)]), agents: BTreeMap::new() };
        let approvals = BTreeSet::new();
        let circumstances =
            Circumstances { now, utc_offset_minutes: 0, approvals: &approvals, break_glass: false, people: &people };
        !matches!(self.decide(&hypothetical(person, now), &circumstances), Decision::Deny(_))
    }
}

fn hypothetical(person: PersonRef, now: Timestamp) -> Described {
    let none = BTreeSet::new;
    let facts = GateFacts {
        part: GatePart::Policies,
        from: String::new(),
        to: String::new(),
        added: none(),
        changed: none(),
        removed: none(),
    };
    Described {
        id: ActionId::new("somebody"),
        requester: Requester::Person { person: person.clone() }.into(),
        closure: BTreeSet::from([person.id.clone()]).into(),
        on_behalf_of: person.into(),
        target: target(GatePart::Policies).into(),
        facts: Facts::Gate(facts).into(),
        session: SessionFacts::default().into(),
        shown: redact::Shown::default(),
        impact: crate::action::impact::Impact::default(),
        reason: None,
        payload: PayloadDigest::of(b""),
        at: now,
    }
}
