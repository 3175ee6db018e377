//! PostgreSQL in policy's words: which action a statement is, and its facts.
//!
//! One module per protocol: its part of the schema, its action names, and the facts of each statement. Adding a
//! protocol is a module like this one and a line in [`super::protocol`].

use std::collections::BTreeSet;

use cedar_policy::RestrictedExpression as Value;

use crate::action::sql::{SqlClass, SqlFacts, SqlStatement};

use super::protocol::Ask;

/// The protocol's part of the schema.
pub(super) const SCHEMA: &str = include_str!("schema/sql.cedarschema");

/// The type of its resources.
pub(super) const RESOURCE: &str = "Database";

/// One question per statement; a message without statements is one read.
///
/// Where the message as a whole is more dangerous than any of its statements, or its statements are missing, it is asked
/// about as unparsed text of the message's own class besides.
pub(super) fn asks(facts: &SqlFacts) -> Vec<Ask> {
    let mut statements: Vec<&SqlStatement> = facts.statements.iter().collect();
    statements.dedup();
    let mut asks: Vec<Ask> = statements.iter().map(|statement| ask(statement)).collect();
    let highest = facts.statements.iter().map(|statement| statement.class).max();
    if highest.unwrap_or(SqlClass::Read) < facts.class {
        asks.push(unparsed(facts.class));
    }
    if asks.is_empty() {
        asks.push(ask(&empty()));
    }
    asks
}

fn action(class: SqlClass) -> &'static str {
    match class {
        SqlClass::Read => "sql:read",
        SqlClass::Session => "sql:session",
        SqlClass::Write => "sql:write",
        SqlClass::Ddl => "sql:ddl",
        SqlClass::Admin => "sql:admin",
        SqlClass::Opaque => "sql:opaque",
    }
}

fn ask(statement: &SqlStatement) -> Ask {
    let SqlStatement { verb, class, apart, code, tables, functions, has_where } = statement;
    let all = tables.read.union(&tables.write).map(String::as_str);
    let facts = vec![
        ("verb".to_owned(), Value::new_string(verb.clone())),
        ("tables".to_owned(), strings(all)),
        ("readTables".to_owned(), strings(tables.read.iter().map(String::as_str))),
        ("writeTables".to_owned(), strings(tables.write.iter().map(String::as_str))),
        ("functions".to_owned(), strings(functions.iter().map(String::as_str))),
        ("code".to_owned(), strings(code.iter().map(String::as_str))),
        ("apart".to_owned(), Value::new_string(apart.name().to_owned())),
        ("hasWhere".to_owned(), Value::new_bool(*has_where)),
        ("export".to_owned(), Value::new_bool(export(statement))),
        ("parsed".to_owned(), Value::new_bool(parsed(statement))),
    ];
    Ask { action: action(*class), label: verb.clone(), group: "sql", sees_incidents: true, facts }
}

/// The verb a describer gives to what it could not parse.
const UNPARSED: &str = "UNPARSED";

/// A statement without a verb was not understood either.
fn parsed(statement: &SqlStatement) -> bool {
    !statement.verb.is_empty() && statement.verb != UNPARSED
}

/// Rows leave by `COPY … TO`: to the client, a file or a program.
fn export(statement: &SqlStatement) -> bool {
    statement.verb == "COPY TO" || (statement.verb == "COPY" && statement.class == SqlClass::Read)
}

fn unparsed(class: SqlClass) -> Ask {
    ask(&SqlStatement { verb: UNPARSED.to_owned(), class, apart: class, has_where: false, ..empty() })
}

fn empty() -> SqlStatement {
    SqlStatement {
        verb: "EMPTY".to_owned(),
        class: SqlClass::Read,
        apart: SqlClass::Read,
        code: BTreeSet::new(),
        tables: Default::default(),
        functions: BTreeSet::new(),
        has_where: true,
    }
}

fn strings<'a>(items: impl Iterator<Item = &'a str>) -> Value {
    Value::new_set(items.map(|item| Value::new_string(item.to_owned())))
}
