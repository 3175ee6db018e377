//! Whether a statement may run under masks, and with what it has to be shown.

use std::collections::BTreeSet;

use countersign_core::action::sql::SqlClass;
use pg_query::NodeEnum;
use serde_json::Value;

use super::apply::Plan;
use super::catalog::Catalog;
use super::prove::{self, Why};
use crate::codes::Code;
use crate::protocols::postgres::describe::{self, Description, Effect};
use crate::refusal::Refusal;

/// What there is to do about a statement.
#[derive(Debug)]
pub(in crate::protocols::postgres) enum Judged {
    /// It reaches nothing that is masked.
    Untouched,
    /// It shows masked columns, and nothing else of them.
    Masked(Plan),
}

/// Every name that may be a relation's, as the catalog is to be asked about them; names of `WITH` among them. `class` is
/// the statement's once its names are resolved.
///
/// # Errors
/// What the statement does cannot be told from its text.
pub(in crate::protocols::postgres) fn names(
    sql: &str,
    description: &Description,
    class: SqlClass,
) -> Result<BTreeSet<String>, Refusal> {
    if class >= SqlClass::Opaque {
        return Err(refusal(Why("what it does cannot be known from its text".to_owned())));
    }
    let statements = &description.facts.statements;
    let described = statements.iter().flat_map(|one| one.tables.read.iter().chain(&one.tables.write)).cloned();
    let mut names: BTreeSet<String> = described.collect();
    let written = describe::with_tree(sql, |tree| {
        let mut names = BTreeSet::new();
        for statement in &tree {
            relations(&serde_json::to_value(statement)?, &mut names);
        }
        Ok::<_, serde_json::Error>(names)
    });
    let Ok(Ok(written)) = written else { return Err(refusal(Why("it cannot be examined".to_owned()))) };
    names.extend(written);
    Ok(names)
}

/// The `RangeVar`s of a tree, wherever they are: nothing that a later grammar adds can hide one.
fn relations(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            if let (Some(Value::String(name)), true) = (object.get("relname"), object.contains_key("relpersistence")) {
                let part = |key: &str| object.get(key).and_then(Value::as_str).filter(|part| !part.is_empty());
                let parts: Vec<&str> =
                    [part("catalogname"), part("schemaname"), Some(name.as_str())].into_iter().flatten().collect();
                names.insert(describe::names::join(&parts));
            }
            object.values().for_each(|value| relations(value, names));
        }
        Value::Array(values) => values.iter().for_each(|value| relations(value, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Judges a statement by what the catalog says of its names.
///
/// # Errors
/// [`Code::MaskImpossible`]: it reaches masked columns in a way that cannot be masked.
pub(in crate::protocols::postgres) fn judge(
    sql: &str,
    description: &Description,
    catalog: &Catalog,
) -> Result<Judged, Refusal> {
    for (name, relation) in catalog.relations() {
        if let Some(obscure) = &relation.obscure {
            return Err(refusal(Why(format!("`{name}` cannot be masked: {obscure}"))));
        }
    }
    let statements = &description.facts.statements;
    let read = statements.iter().flat_map(|one| &one.tables.read);
    if let Some(absent) = read.clone().find(|name| catalog.relation(name).is_none()) {
        return Err(refusal(Why(format!("the relation `{absent}` is not there"))));
    }
    let names_stay = description.effects.iter().all(keeps_names) && description.facts.class < SqlClass::Ddl;
    if statements.len() > 1 && read.clone().next().is_some() && !names_stay {
        return Err(refusal(Why("an earlier statement of the message may change what its names mean".to_owned())));
    }
    if !catalog.relations().any(|(_, relation)| relation.is_masked()) {
        return Ok(Judged::Untouched);
    }
    prove(sql, description, catalog)
}

fn prove(sql: &str, description: &Description, catalog: &Catalog) -> Result<Judged, Refusal> {
    let outputs = describe::with_tree(sql, |tree| match tree.as_slice() {
        [statement] if description.effects.len() == 1 => prove::outputs(alone(statement)?, catalog),
        _ => Err(Why("it stands in a message with other statements; send it alone".to_owned())),
    });
    match outputs {
        Ok(Ok(outputs)) => Ok(Judged::Masked(Plan::new(catalog, outputs))),
        Ok(Err(why)) => Err(refusal(why)),
        Err(_) => Err(refusal(Why("it cannot be examined".to_owned()))),
    }
}

/// A statement as it came; one that was prepared in SQL, or wraps another, is refused by its kind.
fn alone(statement: &NodeEnum) -> Result<&NodeEnum, Why> {
    match statement {
        NodeEnum::CopyStmt(_) => Err(Why("COPY of masked columns cannot be masked; use SELECT".to_owned())),
        NodeEnum::ExplainStmt(_) => Err(Why("a plan may show values of masked columns".to_owned())),
        NodeEnum::DeclareCursorStmt(_) => Err(Why("rows of an SQL cursor cannot be masked".to_owned())),
        NodeEnum::PrepareStmt(_) | NodeEnum::ExecuteStmt(_) => {
            Err(Why("a statement prepared in SQL cannot be masked; prepare it in the protocol".to_owned()))
        }
        other => Ok(other),
    }
}

/// Whether the statements that follow find the same relations under the same names.
fn keeps_names(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::None
            | Effect::InSteps
            | Effect::Begin { .. }
            | Effect::Commit { .. }
            | Effect::Savepoint { .. }
            | Effect::Release { .. }
            | Effect::SetConstraints
            | Effect::CloseCursor { .. }
            | Effect::CopyIn(_)
            | Effect::CopyOut
    )
}

pub(super) fn refusal(Why(why): Why) -> Refusal {
    Refusal::new(Code::MaskImpossible, format!("masked columns cannot be masked here: {why}"))
        .hint("select the masked columns as they are, or leave them out; see docs/errors/mask_impossible.md")
}
