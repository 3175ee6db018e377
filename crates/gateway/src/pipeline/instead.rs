//! What policy would take in the place of what it refused, so that a requester can adapt: the same statements with a
//! `WHERE`, and a read of the same tables. Asked of the policy in force about descriptions that nobody sent; it says what
//! would be decided now, and lets nothing through.

use std::collections::BTreeSet;
use std::sync::Arc;

use countersign_core::action::sql::{SqlClass, SqlFacts, SqlStatement, SqlTables};
use countersign_core::action::{Described, Facts};
use countersign_core::policy::{Decision, Quorum, Terms};

use crate::gate::Gate;

/// In words; nothing where policy would take none of it.
pub(super) fn words(gate: &Gate, refused: &Described) -> Option<String> {
    let Facts::Sql(facts) = &*refused.facts else { return None };
    let asked =
        [("with a WHERE that says which rows, the same", bounded(facts)), ("reading the same tables", read(facts))];
    let said: Vec<String> = asked
        .into_iter()
        .filter_map(|(what, facts)| Some(format!("{what} {}", fate(gate, refused, facts?)?)))
        .collect();
    (!said.is_empty()).then(|| format!("as policy stands, {}", said.join("; ")))
}

/// What policy would do with other facts, where that is not to refuse them.
fn fate(gate: &Gate, refused: &Described, facts: SqlFacts) -> Option<String> {
    let other = Described { facts: Arc::new(Facts::Sql(facts)), ..refused.clone() };
    let moment = gate.moment();
    match moment.bundle.decide(&other, &moment.with(&other, &BTreeSet::new())) {
        Decision::Permit(_) => Some("is permitted".to_owned()),
        Decision::Review(terms) => Some(format!("can be asked for (needs {})", needs(&terms))),
        Decision::Deny(_) => None,
    }
}

fn needs(terms: &Terms) -> String {
    let set = |set: &BTreeSet<Quorum>| set.iter().map(Quorum::to_string).collect::<Vec<_>>().join(" and ");
    terms.suffices.iter().map(set).collect::<Vec<_>>().join(", or ")
}

/// The same with a `WHERE` everywhere, if there is none somewhere.
fn bounded(facts: &SqlFacts) -> Option<SqlFacts> {
    let unbounded = facts.statements.iter().any(|statement| !statement.has_where);
    let with = |statement: &SqlStatement| SqlStatement { has_where: true, ..statement.clone() };
    unbounded.then(|| SqlFacts { class: facts.class, statements: facts.statements.iter().map(with).collect() })
}

/// A plain `SELECT` from all of its tables, if it names any and does more.
fn read(facts: &SqlFacts) -> Option<SqlFacts> {
    let tables = facts.statements.iter().flat_map(|one| one.tables.read.iter().chain(&one.tables.write));
    let tables: BTreeSet<String> = tables.cloned().collect();
    if tables.is_empty() || facts.class <= SqlClass::Read {
        return None;
    }
    let statement = SqlStatement {
        verb: "SELECT".to_owned(),
        class: SqlClass::Read,
        apart: SqlClass::Read,
        code: BTreeSet::new(),
        tables: SqlTables { read: tables, write: BTreeSet::new() },
        functions: BTreeSet::new(),
        has_where: true,
    };
    Some(SqlFacts { class: SqlClass::Read, statements: vec![statement] })
}
