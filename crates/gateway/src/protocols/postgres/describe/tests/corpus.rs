//! Every line of the corpora in `tests/data/sql`: the class is at least the one stated and at most one step above it, and
//! every listed table appears.

use std::collections::BTreeSet;

use countersign_core::action::sql::SqlClass;
use serde::Deserialize;

use super::described;

const FILES: &[(&str, &str)] = &[
    ("sample.jsonl", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sql/sample.jsonl"))),
];

#[derive(Deserialize)]
struct Line {
    id: String,
    sql: String,
    at_least: SqlClass,
    tables: Vec<String>,
}

#[test]
fn corpora_hold() {
    let mut failures = Vec::new();
    for (file, content) in FILES {
        for line in content.lines() {
            let line: Line = serde_json::from_str(line).expect("a corpus line is JSON");
            if let Err(failure) = holds(&line) {
                failures.push(format!("{file} {}: {failure}: {}", line.id, line.sql));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn holds(line: &Line) -> Result<(), String> {
    let facts = described(&line.sql).facts;
    if facts.class < line.at_least || step(facts.class) > step(line.at_least) + 1 {
        return Err(format!("{} instead of {}", facts.class.name(), line.at_least.name()));
    }
    let mut named = BTreeSet::new();
    for statement in &facts.statements {
        named.extend(statement.tables.read.iter().chain(&statement.tables.write));
    }
    match line.tables.iter().find(|table| !named.contains(table)) {
        Some(table) => Err(format!("`{table}` is missing in {named:?}")),
        None => Ok(()),
    }
}

fn step(class: SqlClass) -> u8 {
    match class {
        SqlClass::Read => 0,
        SqlClass::Session => 1,
        SqlClass::Write => 2,
        SqlClass::Ddl => 3,
        SqlClass::Admin => 4,
        SqlClass::Opaque => 5,
    }
}
