//! Arbitrary SQL: describing never panics, and two statements are at least as dangerous as each of them.
//!
//! The input's first NUL separates two texts. Where both parse, `a; b` must not have a lower class than `a` or `b`. One
//! exception is meant: `EXECUTE` of something unknown is opaque, and known once `a` prepared it.
//!
//! A second opinion: libpg_query's own binding walks the tree too, for other purposes. Whatever it finds written or called,
//! the description must say as well.

use std::collections::BTreeSet;

use countersign_core::action::sql::{SqlClass, SqlFacts};

use crate::describe::{Description, NoSession, describe, literals};

/// Longest text that is put to the second opinion, whose walk has no bound of its own.
const COMPARED_BYTES_MAX: usize = 4_096;

/// Holds what is written above.
///
/// # Panics
/// It does not hold.
pub fn body(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (a, b) = text.split_once('\0').unwrap_or((text, "DROP TABLE t"));
    let (first, second) = (one(a), one(b));
    let both = one(&format!("{a}\n;\n{b}"));
    let parsed = first.parse_error.is_none() && second.parse_error.is_none();
    let prepares = first.facts.statements.iter().any(|statement| statement.verb.starts_with("PREPARE"));
    if !parsed || prepares {
        return;
    }
    assert!(both.facts.class >= first.facts.class, "{:?} < {:?}", both.facts, first.facts);
    assert!(both.facts.class >= second.facts.class, "{:?} < {:?}", both.facts, second.facts);
    if both.parse_error.is_none() {
        let written = |facts: &SqlFacts| -> Vec<String> {
            facts.statements.iter().flat_map(|statement| statement.tables.write.iter().cloned()).collect()
        };
        let all = written(&both.facts);
        assert!(written(&first.facts).iter().chain(&written(&second.facts)).all(|table| all.contains(table)));
    }
}

/// Describes, and holds what is true of every description.
fn one(sql: &str) -> Description {
    let description = describe(sql, &NoSession);
    let highest = description.facts.statements.iter().map(|statement| statement.class).max();
    assert!(highest.is_none_or(|highest| highest <= description.facts.class));
    assert_eq!(description.effects.len(), description.facts.statements.len());
    let _ = literals(sql);
    if description.parse_error.is_none() && sql.len() <= COMPARED_BYTES_MAX {
        compare(sql, &description);
    }
    description
}

fn compare(sql: &str, description: &Description) {
    let Ok(other) = pg_query::parse(sql, 0) else { panic!("`{sql}` parses here only") };
    let facts = &description.facts;
    let written: BTreeSet<String> = facts
        .statements
        .iter()
        .flat_map(|statement| &statement.tables.write)
        .map(|name| name.replace('"', ""))
        .collect();
    let called: BTreeSet<String> = facts
        .statements
        .iter()
        .flat_map(|statement| &statement.functions)
        .map(|name| name.replace('"', "")) // words of the grammar are quoted here and not there
        .collect();
    // `COPY … TO` is among the other's changes, and reads
    let copies = facts.statements.iter().any(|statement| statement.verb.starts_with("COPY"));
    for table in other.dml_tables().iter().filter(|table| is_plain(table) && !copies) {
        // the other drops the name of the database
        let known = written.iter().any(|name| name == table || name.ends_with(&format!(".{table}")));
        assert!(known, "`{table}` is written by {sql:?}, not in {written:?}");
        assert!(facts.class > SqlClass::Read || explains(facts), "{sql:?} writes");
    }
    for function in other.call_functions().iter().filter(|function| is_plain(function)) {
        let known = called.iter().any(|name| *name == *function || name.ends_with(&format!(".{function}")));
        assert!(known, "`{function}` is called by {sql:?}, not in {called:?}");
    }
}

/// `EXPLAIN` of a change runs nothing.
fn explains(facts: &SqlFacts) -> bool {
    facts.statements.iter().any(|statement| statement.verb.starts_with("EXPLAIN"))
}

/// Names that both sides write the same.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte == b'.')
}
