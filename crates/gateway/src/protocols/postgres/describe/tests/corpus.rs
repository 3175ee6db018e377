//! Every line of the corpora in `tests/data/sql`: the class is the one stated, and every listed table appears. The sample is
//! held as its users hold it: at least the stated class, and at most one step above it.

use std::collections::BTreeSet;

use countersign_core::action::sql::SqlClass;
use serde::Deserialize;

use super::{as_worker, described};

struct Corpus {
    name: &'static str,
    content: &'static str,
    exact: bool,
}

macro_rules! corpus {
    ($name:literal, $exact:literal) => {
        Corpus {
            name: $name,
            content: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sql/", $name)),
            exact: $exact,
        }
    };
}

const CORPORA: &[Corpus] = &[
    corpus!("sample.jsonl", false),
    corpus!("commands.jsonl", true),
    corpus!("queries.jsonl", true),
    corpus!("hostile.jsonl", true),
    corpus!("drivers.jsonl", true),
];

#[derive(Deserialize)]
pub(in super::super) struct Line {
    id: String,
    pub(in super::super) sql: String,
    at_least: SqlClass,
    tables: Vec<String>,
}

/// All lines of all corpora.
pub(in super::super) fn lines() -> Vec<Line> {
    CORPORA.iter().flat_map(read).collect()
}

fn read(corpus: &Corpus) -> impl Iterator<Item = Line> {
    corpus.content.lines().map(|line| serde_json::from_str(line).expect("a corpus line is JSON"))
}

#[test]
fn corpora_hold() {
    as_worker(hold_corpora);
}

fn hold_corpora() {
    let mut failures = Vec::new();
    for corpus in CORPORA {
        for line in read(corpus) {
            if let Err(failure) = holds(&line, corpus.exact) {
                failures.push(format!("{} {}: {failure}: {}", corpus.name, line.id, line.sql));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn corpora_are_wide() {
    assert!(lines().len() >= 600);
}

fn holds(line: &Line, exact: bool) -> Result<(), String> {
    let facts = described(&line.sql).facts;
    let steps = if exact { 0 } else { 1 };
    if facts.class < line.at_least || step(facts.class) > step(line.at_least) + steps {
        return Err(format!("{} instead of {}", facts.class.name(), line.at_least.name()));
    }
    let mut named = BTreeSet::new();
    for statement in &facts.statements {
        named.extend(statement.tables.read.iter().chain(&statement.tables.write));
    }
    if let Some(table) = line.tables.iter().find(|table| !named.contains(table)) {
        return Err(format!("`{table}` is missing in {named:?}"));
    }
    match named.iter().find(|table| !line.tables.contains(table)) {
        Some(table) if exact => Err(format!("`{table}` is no table of it")),
        Some(_) | None => Ok(()),
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
