//! Changes of the gate in policy's words, and whether a bundle lets anybody make them.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::RestrictedExpression as Value;

use crate::action::gate::{GateFacts, GatePart, GateStep, GateSubject};
use crate::action::{
    ActionId, Described, Environment, Facts, PayloadDigest, PersonId, PersonRef, Requester, Sensitivity, SessionFacts,
    Target, Timestamp, redact,
};

use super::bundle::{Bundle, Meta};
use super::decision::{Decision, PolicyNote};
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
        ("step".to_owned(), Value::new_string(facts.step.name().to_owned())),
        ("added".to_owned(), ids(&facts.added)),
        ("changed".to_owned(), ids(&facts.changed)),
        ("removed".to_owned(), ids(&facts.removed)),
    ];
    let label = format!("CHANGE {}", facts.part.name());
    Ask { action: "gate:change", label, group: "gate", sees_incidents: false, facts: group }
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

    /// The policies that ask members of a group, or members of any group, to approve, as a reviewer reads them.
    pub fn asking(&self, group: &str) -> impl Iterator<Item = PolicyNote> {
        let asks = move |meta: &&Meta| meta.quorums.iter().any(|quorum| quorum.group == group);
        self.meta.values().filter(asks).map(|meta| meta.annotations.asking())
    }

    fn changeable_by(&self, groups: BTreeSet<String>, now: Timestamp) -> bool {
        let person = PersonRef { id: PersonId::new("somebody"), name: "somebody".to_owned() };
        let facts = PersonFacts { name: person.name.clone(), groups, suspended: false };
        let people = People { persons: BTreeMap::from([(person.id.clone(), facts)]), agents: BTreeMap::new() };
        let approvals = BTreeSet::new();
        let circumstances = Circumstances {
            now,
            utc_offset_minutes: 0,
            approvals: &approvals,
            break_glass: false,
            incident: false,
            people: &people,
        };
        !matches!(self.decide(&hypothetical(person, now), &circumstances), Decision::Deny(_))
    }
}

fn hypothetical(person: PersonRef, now: Timestamp) -> Described {
    let none = BTreeSet::new;
    let facts = GateFacts {
        part: GatePart::Policies,
        step: GateStep::default(),
        subject: GateSubject::default(),
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

#[cfg(test)]
mod tests {
    use super::super::tests::{NOW, STARTER, bundle, starter_and};
    use super::*;

    const EVERYTHING: &str = "@id(\"all\") permit (principal, action, resource);";

    fn decide(bundle: &Bundle, approvals: &BTreeSet<super::super::Quorum>, break_glass: bool) -> Decision {
        let person = PersonRef { id: PersonId::new("somebody"), name: "somebody".to_owned() };
        let persons = BTreeMap::from([(person.id.clone(), PersonFacts::default())]);
        let people = People { persons, agents: BTreeMap::new() };
        let circumstances =
            Circumstances { now: NOW, utc_offset_minutes: 0, approvals, break_glass, incident: false, people: &people };
        bundle.decide(&hypothetical(person, NOW), &circumstances)
    }

    #[test]
    fn no_policy_lets_a_change_pass_that_nobody_approved() {
        let none = BTreeSet::new();
        for text in [EVERYTHING, STARTER] {
            assert!(matches!(decide(&bundle(text), &none, false), Decision::Review(_)));
            assert!(matches!(decide(&bundle(text), &none, true), Decision::Review(_)), "nor does breaking the glass");
        }
        let one = super::super::tests::quorums(&["any:1"]);
        assert!(matches!(decide(&bundle(EVERYTHING), &one, false), Decision::Permit(_)));
        assert!(matches!(decide(&bundle(STARTER), &one, false), Decision::Review(_)));
    }

    #[test]
    fn policies_that_nobody_could_change_are_told() {
        let forbid = "@id(\"never\") forbid (principal, action == Action::\"gate:change\", resource);";
        assert!(bundle(STARTER).changeable(NOW) && bundle(EVERYTHING).changeable(NOW));
        assert!(!starter_and(forbid).changeable(NOW));
        assert!(!bundle("@id(\"sql\") permit (principal, action, resource is Database);").changeable(NOW));
        let one_group =
            "@id(\"by\") permit (principal in Group::\"sre\", action == Action::\"gate:change\", resource);";
        assert!(bundle(one_group).changeable(NOW));
    }
}
