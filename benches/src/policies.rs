//! Policies in any number, the same in Cedar and in Rego, and the read that is asked about.
//!
//! Of a hundred policies, sixty name a principal and a resource, thirty a resource, nine a principal, and one names neither
//! and is asked about everything. Half permit, half forbid; all look at the tables of the statement. One database, group or
//! agent has the same number of them however many there are in all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::Result;
use countersign_core::action::redact::Shown;
use countersign_core::action::sql::{SqlClass, SqlFacts, SqlStatement, SqlTables};
use countersign_core::action::{
    ActionId, AgentId, Described, Environment, Facts, PersonId, PersonRef, Requester, SealedPayload, Sensitivity,
    SessionFacts, Target, Timestamp,
};
use countersign_core::policy::{AgentFacts, Bundle, People, PersonFacts, Source, Vocabulary};

/// Policies that concern one database, one agent and one group, whatever the number in all.
const POLICIES_PER_PLACE: usize = 20;

/// What one policy's scope names.
enum Names {
    Both,
    Resource,
    Principal,
    Neither,
}

fn names(at: usize) -> Names {
    match at * 37 % 100 {
        0 => Names::Neither,
        1..=9 => Names::Principal,
        10..=39 => Names::Resource,
        _ => Names::Both,
    }
}

/// How many databases, groups and agents there are among so many policies.
fn places(count: usize) -> usize {
    (count / POLICIES_PER_PLACE).clamp(1, 250)
}

/// The policies in Cedar.
pub fn cedar(count: usize) -> String {
    let mut text = "@id(\"reads\") permit (principal, action == Action::\"sql:read\", resource);\n".to_owned();
    for at in 1..count {
        let place = at % places(count);
        let principal = match at % 2 {
            0 => format!("principal == Agent::\"agent{place}\""),
            _ => format!("principal in Group::\"team{place}\""),
        };
        let resource = format!("resource == Database::\"db{place}\"");
        let (principal, resource) = match names(at) {
            Names::Both => (principal, resource),
            Names::Resource => ("principal".to_owned(), resource),
            Names::Principal => (principal, "resource".to_owned()),
            Names::Neither => ("principal".to_owned(), "resource".to_owned()),
        };
        let effect = if at % 2 == 0 { "permit" } else { "forbid" };
        let condition = format!("context.sql.tables.contains(\"table{at}\")");
        // writing to a `String` cannot fail
        let _ = writeln!(
            text,
            "@id(\"p{at}\") {effect} ({principal}, action == Action::\"sql:read\", {resource}) when {{ {condition} }};"
        );
    }
    text
}

/// The same policies in Rego.
pub fn rego(count: usize) -> String {
    let mut text = "package gate\n\nallow contains \"reads\" if input.action == \"sql:read\"\n".to_owned();
    for at in 1..count {
        let place = at % places(count);
        let principal = match at % 2 {
            0 => format!("input.principal.id == \"agent{place}\"; "),
            _ => format!("\"team{place}\" in input.principal.groups; "),
        };
        let resource = format!("input.resource == \"db{place}\"; ");
        let scope = match names(at) {
            Names::Both => principal + &resource,
            Names::Resource => resource,
            Names::Principal => principal,
            Names::Neither => String::new(),
        };
        let rule = if at % 2 == 0 { "allow" } else { "deny" };
        let _ = writeln!(
            text,
            "{rule} contains \"p{at}\" if {{ input.action == \"sql:read\"; {scope}\"table{at}\" in input.tables }}"
        );
    }
    text
}

/// The question in Rego's form.
pub const REGO_INPUT: &str = r#"{"action": "sql:read", "principal": {"id": "agent0", "groups": ["team0"]}, "resource": "db0",
    "tables": ["orders", "customers"]}"#;

/// The bundle of so many policies.
///
/// # Errors
/// The policies are not valid.
pub fn bundle(count: usize) -> Result<Bundle> {
    let groups: BTreeSet<String> = (0..places(count)).map(|place| format!("team{place}")).collect();
    let source = Source { name: "bench.cedar".to_owned(), text: cedar(count) };
    Ok(Bundle::load(vec![source], Vocabulary::new(groups, 2)?)?)
}

fn owner() -> PersonRef {
    PersonRef { id: PersonId::new("owner"), name: "owner".to_owned() }
}

/// Who there is.
pub fn people() -> People {
    let person = PersonFacts { name: "owner".to_owned(), groups: BTreeSet::new(), suspended: false };
    let agent = AgentFacts { groups: ["team0".to_owned()].into() };
    People {
        persons: BTreeMap::from([(PersonId::new("owner"), person)]),
        agents: BTreeMap::from([(AgentId::new("agent0"), agent)]),
    }
}

/// A read of two tables, and its bytes.
pub fn read() -> (Described, SealedPayload) {
    let payload = SealedPayload::seal(b"SELECT * FROM orders JOIN customers USING (id)".to_vec());
    let tables = SqlTables { read: ["orders".to_owned(), "customers".to_owned()].into(), write: BTreeSet::new() };
    let class = SqlClass::Read;
    let statement = SqlStatement {
        verb: "SELECT".to_owned(),
        class,
        apart: class,
        code: BTreeSet::new(),
        tables,
        functions: BTreeSet::new(),
        has_where: true,
    };
    let described = Described {
        id: ActionId::new("action"),
        requester: Requester::Agent { id: AgentId::new("agent0"), name: "agent0".to_owned(), owner: owner(), job: None }.into(),
        on_behalf_of: owner().into(),
        closure: BTreeSet::from([PersonId::new("owner")]).into(),
        target: Target {
            name: "db0".to_owned(),
            environment: Environment::Production,
            sensitivity: Sensitivity::High,
            generation: "1".to_owned(),
        }
        .into(),
        facts: Facts::Sql(SqlFacts { class, statements: vec![statement] }).into(),
        session: SessionFacts::default().into(),
        shown: Shown::default(),
        impact: Default::default(),
        reason: None,
        payload: payload.digest(),
        at: Timestamp::from_seconds(1_795_255_200),
    };
    (described, payload)
}
