//! The decision point as its callers see it.

mod approvals;
mod break_glass;
mod decisions;
mod loading;
mod memo;
mod packs;
mod properties;
mod stages;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::action::redact::Shown;
use crate::action::sql::{SqlClass, SqlFacts, SqlStatement, SqlTables};
use crate::action::{
    ActionId, AgentId, Described, Environment, Facts, PayloadDigest, PersonId, PersonRef, Requester, Sensitivity,
    SessionFacts, Target, Timestamp,
};

use super::*;

pub(in crate::policy) const STARTER: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/starter.cedar"));
const STARTER_TESTS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/tests/starter.tests.json"));

/// 2026-11-21T10:00:00Z, a Saturday.
pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_795_255_200);

pub(super) fn source(name: &str, text: &str) -> Source {
    Source { name: name.to_owned(), text: text.to_owned() }
}

pub(super) fn bundle(text: &str) -> Bundle {
    Bundle::load(vec![source("test.cedar", text)], Vocabulary::starter()).expect("the policies are valid")
}

/// The starter policies and some more.
pub(super) fn starter_and(text: &str) -> Bundle {
    let sources = vec![source("starter.cedar", STARTER), source("more.cedar", text)];
    Bundle::load(sources, Vocabulary::starter()).expect("the policies are valid")
}

pub(super) fn quorums(texts: &[&str]) -> BTreeSet<Quorum> {
    texts.iter().map(|text| Quorum::try_from((*text).to_owned()).expect("well formed")).collect()
}

pub(super) fn person(name: &str) -> PersonRef {
    PersonRef { id: PersonId::new(name), name: name.to_owned() }
}

/// alice owns the agent, dora and dan are DBAs, sam is an SRE, zoe is a suspended DBA.
pub(super) fn people() -> People {
    let facts = |name: &str, groups: &[&str], suspended| {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        (PersonId::new(name), PersonFacts { name: name.to_owned(), groups, suspended })
    };
    let persons = BTreeMap::from([
        facts("alice", &["dba"], false),
        facts("dora", &["dba", "not-in-the-vocabulary"], false),
        facts("dan", &["dba", "sre"], false),
        facts("sam", &["sre"], false),
        facts("zoe", &["dba"], true),
        facts("nobody", &[], false),
    ]);
    let agents = BTreeMap::from([(AgentId::new("a1"), AgentFacts { groups: ["sre".to_owned()].into() })]);
    People { persons, agents }
}

pub(super) fn statement(class: SqlClass, verb: &str) -> SqlStatement {
    let write = if class >= SqlClass::Write { ["orders".to_owned()].into() } else { BTreeSet::new() };
    let tables = SqlTables { read: ["orders".to_owned()].into(), write };
    SqlStatement {
        verb: verb.to_owned(),
        class,
        apart: class,
        code: BTreeSet::new(),
        tables,
        functions: BTreeSet::new(),
        has_where: true,
    }
}

pub(super) fn message(statements: Vec<SqlStatement>, environment: Environment) -> Described {
    let class = statements.iter().map(|s| s.class).max().unwrap_or(SqlClass::Read);
    Described {
        impact: crate::action::impact::Impact::default(),
        id: ActionId::new("act-1"),
        requester: Requester::Agent {
            id: AgentId::new("a1"),
            name: "coder".to_owned(),
            owner: person("alice"),
            job: None,
        }
        .into(),
        on_behalf_of: person("alice").into(),
        closure: Arc::new([PersonId::new("alice")].into()),
        target: Target {
            name: "orders".to_owned(),
            environment,
            sensitivity: Sensitivity::High,
            generation: "1".to_owned(),
        }
        .into(),
        facts: Facts::Sql(SqlFacts { class, statements }).into(),
        session: SessionFacts::default().into(),
        shown: Shown::default(),
        reason: None,
        payload: PayloadDigest::of(b"payload"),
        at: NOW,
    }
}

pub(super) fn one(class: SqlClass, verb: &str) -> Described {
    message(vec![statement(class, verb)], Environment::Production)
}

pub(super) fn decide(bundle: &Bundle, described: &Described, approvals: &[&str]) -> Decision {
    decide_with(bundle, described, &quorums(approvals))
}

pub(super) fn decide_with(bundle: &Bundle, described: &Described, approvals: &BTreeSet<Quorum>) -> Decision {
    let people = people();
    bundle.decide(described, &circumstances(approvals, &people))
}

pub(super) fn circumstances<'a>(approvals: &'a BTreeSet<Quorum>, people: &'a People) -> Circumstances<'a> {
    Circumstances { now: NOW, utc_offset_minutes: 60, approvals, break_glass: false, incident: false, people }
}

/// A decision in one line: `permit a, b`, `deny code: a, b`, `review a, b suffices dba:1 | sre:1+any:2`.
pub(super) fn line(decision: &Decision) -> String {
    let ids = |notes: &[PolicyNote]| notes.iter().map(|note| note.id.clone()).collect::<Vec<_>>().join(", ");
    match decision {
        Decision::Permit(permitted) => format!("permit {}", ids(permitted.policies())),
        Decision::Deny(denial) => format!("deny {}: {}", denial.code, ids(&denial.policies)),
        Decision::Review(terms) => {
            let set = |set: &BTreeSet<Quorum>| set.iter().map(Quorum::to_string).collect::<Vec<_>>().join("+");
            let sets: Vec<String> = terms.suffices.iter().map(set).collect();
            format!("review {} suffices {}", ids(&terms.policies), sets.join(" | "))
        }
    }
}
