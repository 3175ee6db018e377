//! The server's answer, read: what `survey.sql` told of one statement's names.

use std::collections::{BTreeMap, BTreeSet};

use countersign_core::action::PayloadDigest;
use countersign_core::action::sql::SqlClass;
use serde::Deserialize;

use super::super::describe::{self, Name, NoSession, TableColumn, TableColumns, catalogs, quoted};

/// Bits of [`describe::Events`] by which rows change.
const ROWS: i32 = 60;

/// A relation that a statement reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reached {
    /// With its schema.
    pub(super) name: String,
    /// Whether its rows change, by the statement or by a cascade.
    pub(super) written: bool,
}

/// What the names of one statement refer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolution {
    /// The relations that are named, by the name as written.
    pub(super) relations: BTreeMap<Name, String>,
    /// Those behind them: under views, partitions, children, at the end of cascades.
    pub(super) behind: Vec<Reached>,
    /// Code of the database's users that may run.
    pub(super) code: BTreeSet<String>,
    /// What the expressions behind the names do, apart from that code.
    pub(super) raised: SqlClass,
    /// The columns of those that rows are inserted into.
    pub(super) columns: TableColumns,
    /// Identities, by name: what is bound by an approval.
    pub(super) identities: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Told {
    path: Vec<String>,
    roots: Option<Vec<Root>>,
    reached: Option<Vec<Found>>,
    types: Option<bool>,
    called: Option<Vec<Written>>,
    operators: Option<Vec<Written>>,
    code: Option<Vec<(String, Option<String>)>>,
    texts: Option<Vec<Option<String>>>,
}

#[derive(Deserialize)]
struct Root {
    s: String,
    n: String,
    oid: Option<String>,
    schema: Option<String>,
    name: Option<String>,
    kind: Option<String>,
    columns: Option<Vec<(String, bool)>>,
}

#[derive(Deserialize)]
struct Found {
    oid: String,
    schema: String,
    name: String,
    e: i32,
    version: String,
}

#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Written {
    s: String,
    n: String,
}

/// The names that were asked about; the rest of a question is for the server.
#[derive(Deserialize)]
struct Asked {
    functions: Vec<Written>,
    operators: Vec<Written>,
    relations: Vec<Events>,
}

#[derive(Deserialize)]
struct Events {
    e: i32,
    s: String,
    n: String,
}

/// A question with the schemas to look in.
pub(super) fn with_path(question: &str, path: &[String]) -> Result<String, serde_json::Error> {
    let mut question: serde_json::Map<String, serde_json::Value> = serde_json::from_str(question)?;
    question.insert("path".to_owned(), path.into());
    serde_json::to_string(&question)
}

/// Reads an answer to a question.
///
/// # Errors
/// It is not the answer of `survey.sql`.
pub(crate) fn resolution(question: &str, told: &str) -> Result<Resolution, serde_json::Error> {
    let asked: Asked = serde_json::from_str(question)?;
    let told: Told = serde_json::from_str(told)?;
    let (raised, behind) = (raised(&told, &asked), behind(&told));
    Ok(Resolution {
        relations: relations(&told),
        columns: columns(&told),
        behind,
        code: code(&told, &asked),
        raised,
        identities: identities(&told),
    })
}

fn name(s: &str, n: &str) -> Name {
    Name { schema: s.to_owned(), name: n.to_owned() }
}

fn relations(told: &Told) -> BTreeMap<Name, String> {
    let roots = told.roots.iter().flatten();
    roots
        .filter_map(|root| Some((name(&root.s, &root.n), quoted(root.schema.as_ref()?, root.name.as_ref()?))))
        .collect()
}

fn columns(told: &Told) -> TableColumns {
    let column = |(name, generated): &(String, bool)| TableColumn { name: name.clone(), generated: *generated };
    let roots = told.roots.iter().flatten();
    roots
        .filter_map(|root| Some((name(&root.s, &root.n), root.columns.as_ref()?.iter().map(column).collect())))
        .collect()
}

fn behind(told: &Told) -> Vec<Reached> {
    let named: BTreeSet<&String> = told.roots.iter().flatten().filter_map(|root| root.oid.as_ref()).collect();
    let others = told.reached.iter().flatten().filter(|found| !named.contains(&found.oid));
    others.map(|found| Reached { name: quoted(&found.schema, &found.name), written: found.e & ROWS != 0 }).collect()
}

/// What is named and may be somebody's code: what the server found, and what it did not find, which may be there by the
/// time the statement runs.
fn code(told: &Told, asked: &Asked) -> BTreeSet<String> {
    let mut code: BTreeSet<String> = told.code.iter().flatten().map(|(identity, _)| identity.clone()).collect();
    let found = |list: &Option<Vec<Written>>, written: &Written| list.iter().flatten().any(|found| found == written);
    for function in asked.functions.iter().filter(|function| !name(&function.s, &function.n).is_builtin_function()) {
        if !found(&told.called, function) {
            code.insert(format!("function {}, which does not exist", quoted(&function.s, &function.n)));
        }
    }
    for operator in asked.operators.iter().filter(|operator| !name(&operator.s, &operator.n).is_builtin_operator()) {
        if !found(&told.operators, operator) {
            code.insert(format!("operator {}, which does not exist", operator.n));
        }
    }
    if told.types == Some(false) {
        code.insert("a type that does not exist".to_owned());
    }
    // temporary objects come first without being asked for, but functions and operators are not looked for among them
    let first = told.path.iter().find(|schema| !schema.starts_with("pg_temp_"));
    if first.is_none_or(|schema| schema != "pg_catalog") {
        code.insert("a search path that does not begin with pg_catalog".to_owned());
    }
    code
}

/// The class of the expressions behind views, policies, defaults, checks and indexes; and of the system's own relations,
/// which may be reached under another name than the one they are guarded by.
fn raised(told: &Told, asked: &Asked) -> SqlClass {
    let texts = told.texts.iter().flatten().map(|text| match text {
        Some(text) => {
            let described = describe::describe(text, &NoSession);
            described.facts.statements.iter().map(|statement| statement.apart).max().unwrap_or(SqlClass::Opaque)
        }
        None => SqlClass::Opaque,
    });
    let events = |root: &Root| asked.relations.iter().any(|r| r.s == root.s && r.n == root.n && r.e & ROWS != 0);
    let system = told.roots.iter().flatten().filter_map(|root| {
        let (schema, name) = (root.schema.as_ref()?, root.name.as_ref()?);
        let written = if events(root) { catalogs::write_class(schema, name) } else { SqlClass::Read };
        Some(catalogs::read_class(schema, name).max(written))
    });
    texts.chain(system).max().unwrap_or(SqlClass::Read)
}

/// What stands under each name, by object and version of its definition.
fn identities(told: &Told) -> BTreeMap<String, String> {
    let mut identities = BTreeMap::new();
    for root in told.roots.iter().flatten() {
        let written = quoted(&root.s, &root.n);
        let identity = match (&root.schema, &root.name, &root.oid, &root.kind) {
            (Some(schema), Some(name), Some(oid), Some(kind)) => {
                format!("{} {} ({oid})", kind_word(kind), quoted(schema, name))
            }
            _ => "nothing".to_owned(),
        };
        identities.insert(written, identity);
    }
    for (identity, version) in told.code.iter().flatten() {
        identities.insert(identity.clone(), version.clone().unwrap_or_default());
    }
    let mut definitions = String::new();
    for found in told.reached.iter().flatten() {
        definitions.push_str(&format!("{} {}.{} {}\n", found.oid, found.schema, found.name, found.version));
    }
    told.texts.iter().flatten().for_each(|text| definitions.push_str(text.as_deref().unwrap_or("?")));
    if !definitions.is_empty() {
        identities.insert("their definitions".to_owned(), PayloadDigest::of(definitions.as_bytes()).to_string());
    }
    identities
}

/// `relkind` in words.
fn kind_word(kind: &str) -> &'static str {
    match kind {
        "r" | "p" => "table",
        "v" => "view",
        "m" => "materialized view",
        "S" => "sequence",
        "f" => "foreign table",
        "i" | "I" => "index",
        "c" => "type",
        _ => "relation",
    }
}
