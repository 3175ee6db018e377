//! What a paused change would do, measured: the planner's estimate, the tables' size, what fires along with it.
//!
//! `EXPLAIN` runs nothing but planning, and planning runs functions that call themselves immutable or stable: so a plan is
//! asked for only where nothing but built-in code is named (triggers are not run by planning). It is asked on a connection
//! of the gateway's own, read-only and with a time limit, which sees no temporary tables and nothing that an open
//! transaction changed: there the effect stays unknown.

use std::collections::BTreeSet;

use bytes::Bytes;
use countersign_core::action::impact::{Impact, TableSize};
use countersign_core::action::sql::{SqlClass, SqlStatement};
use serde_json::Value;

use super::aside::{self, Aside, AsideError, Question};
use super::target::Upstream;
use super::wire::frontend::{self, Bind, BindValues};
use crate::ports::Vault;

/// Verbs whose plan tells how many rows they change.
const PLANNED: &[&str] = &["INSERT", "UPDATE", "DELETE", "MERGE"];
/// Makes the connection look where the session does.
const LOOK: &str = "SELECT pg_catalog.set_config('search_path', $1, false)";
/// Size and rows of the tables named in `$1`, a JSON array of names with their schemas.
const SIZES: &str = "SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object('name', t.name, \
    'rows', GREATEST(c.reltuples, 0), 'bytes', pg_catalog.pg_total_relation_size(c.oid))), '[]')::pg_catalog.text \
    FROM pg_catalog.json_array_elements_text($1::pg_catalog.json) AS t(name) \
    JOIN pg_catalog.pg_class AS c ON c.oid = pg_catalog.to_regclass(t.name)";

/// The text of the routine whose name and arguments are `$1`.
const BODY: &str = "SELECT p.prosrc FROM pg_catalog.pg_proc AS p WHERE p.oid = pg_catalog.to_regprocedure($1)";

/// What is to be measured.
pub(super) struct Change<'a> {
    /// The message's text.
    pub(super) sql: &'a str,
    /// Its only statement, resolved.
    pub(super) statement: &'a SqlStatement,
    /// Parameters and their declared types.
    pub(super) bind: Option<(&'a Bind, &'a [u32])>,
    /// The schemas the session looks in.
    pub(super) path: &'a [String],
}

/// Measures; what cannot be measured is unknown, and says why.
pub(super) async fn measure(aside: &mut Aside, target: &Upstream, vault: &dyn Vault, change: &Change<'_>) -> Impact {
    let statement = change.statement;
    if !PLANNED.contains(&statement.verb.as_str()) || statement.apart > SqlClass::Write {
        return Impact::unknown(format!("{} has no estimate", statement.verb));
    }
    let triggers: BTreeSet<String> = statement.code.iter().filter(|code| fires(code)).cloned().collect();
    if triggers.len() < statement.code.len() {
        return Impact::unknown("planning it could run code of the database's users");
    }
    match plan(aside, target, vault, change).await {
        Ok(impact) => Impact { triggers, ..impact },
        Err(AsideError::Failed(notice)) => {
            Impact::unknown(format!("the server does not plan it: {}", notice.code.as_str()))
        }
        Err(error) => Impact::unknown(error.to_string()),
    }
}

/// Triggers and rules run when rows change, not when a change is planned; a rule takes part in planning.
fn fires(code: &str) -> bool {
    code.starts_with("trigger ")
}

async fn plan(
    aside: &mut Aside,
    target: &Upstream,
    vault: &dyn Vault,
    change: &Change<'_>,
) -> Result<Impact, AsideError> {
    look(aside, target, vault, change.path).await?;
    let sql = format!("EXPLAIN (FORMAT JSON) {}", change.sql);
    let (types, values) = match change.bind {
        Some((bind, types)) => (types, values(bind)?),
        None => (&[][..], aside::values(&[])?),
    };
    let rows = aside.ask(target, vault, Question { name: "", sql: &sql, types, values }).await?;
    let plan: Value = aside::text(&rows).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let tables: Vec<&String> = change.statement.tables.write.iter().collect();
    let names = serde_json::to_string(&tables).unwrap_or_default();
    let sizes = Question { name: "sizes", sql: SIZES, types: &[], values: aside::values(&[&names])? };
    let sizes = aside.ask(target, vault, sizes).await?;
    Ok(impact(&plan, aside::text(&sizes)))
}

/// Makes the connection look where the session does.
async fn look(aside: &mut Aside, target: &Upstream, vault: &dyn Vault, path: &[String]) -> Result<(), AsideError> {
    let path = path.iter().filter(|schema| *schema != "pg_catalog");
    let path: Vec<String> = path.map(|schema| super::describe::quoted("", schema)).collect();
    let look = Question { name: "look", sql: LOOK, types: &[], values: aside::values(&[&path.join(", ")])? };
    aside.ask(target, vault, look).await.map(drop)
}

/// The body of the routine that stands under a signature now; none where the server knows none, or cannot be asked.
pub(super) async fn standing(
    aside: &mut Aside,
    target: &Upstream,
    vault: &dyn Vault,
    (path, signature): (&[String], &str),
) -> Option<String> {
    look(aside, target, vault, path).await.ok()?;
    let body = Question { name: "body", sql: BODY, types: &[], values: aside::values(&[signature]).ok()? };
    let rows = aside.ask(target, vault, body).await.ok()?;
    aside::text(&rows).map(str::to_owned)
}

/// The values of a `Bind`, for a statement with another result.
fn values(bind: &Bind) -> Result<Bytes, super::wire::WireError> {
    let values: Vec<Option<&[u8]>> = bind.values.iter().map(Option::as_deref).collect();
    frontend::bind_tail(BindValues { formats: &bind.formats, values: &values, result_formats: &[] })
}

/// Reads a plan and the tables' sizes.
fn impact(plan: &Value, sizes: Option<&str>) -> Impact {
    let root = &plan[0]["Plan"];
    let Some(cost) = root["Total Cost"].as_f64() else { return Impact::unknown("its plan cannot be read") };
    let changed: f64 = match root["Node Type"].as_str() {
        Some("ModifyTable") => children(root).filter_map(|child| child["Plan Rows"].as_f64()).sum(),
        _ => root["Plan Rows"].as_f64().unwrap_or(0.0),
    };
    let rows = Impact::count(changed);
    let tables: Vec<TableSize> =
        sizes.and_then(|text| serde_json::from_str::<Vec<Size>>(text).ok()).map_or_else(Vec::new, |sizes| {
            sizes
                .into_iter()
                .map(|size| TableSize { name: size.name, rows: Impact::count(size.rows), bytes: size.bytes })
                .collect()
        });
    Impact {
        known: true,
        rows: Some(rows),
        rows_max: Some(Impact::bound(rows)),
        cost: Some(Impact::count(cost)),
        index: index(root),
        tables,
        ..Impact::default()
    }
}

#[derive(serde::Deserialize)]
struct Size {
    name: String,
    rows: f64,
    bytes: u64,
}

fn children(node: &Value) -> impl Iterator<Item = &Value> {
    node["Plans"].as_array().into_iter().flatten()
}

/// Whether the rows of the changed table are found by an index; nothing where none are looked for.
fn index(root: &Value) -> Option<bool> {
    let table = root["Relation Name"].as_str()?;
    let mut found = None;
    let mut nodes: Vec<&Value> = children(root).collect();
    while let Some(node) = nodes.pop() {
        if node["Relation Name"].as_str() == Some(table) {
            let scan = node["Node Type"].as_str().unwrap_or_default();
            let by_index = scan.contains("Index") || scan.contains("Bitmap") || scan.contains("Tid");
            found = Some(found.unwrap_or(true) && by_index);
        }
        nodes.extend(children(node));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As PostgreSQL 15 tells it for `UPDATE t SET b = 1 WHERE a = 5` with and without an index.
    #[test]
    fn plans_are_read() {
        let scan = |scan: &str| {
            serde_json::json!([{"Plan": {"Node Type": "ModifyTable", "Operation": "Update", "Relation Name": "t",
                "Plan Rows": 0, "Total Cost": 8.3,
                "Plans": [{"Node Type": scan, "Relation Name": "t", "Plan Rows": 12, "Total Cost": 8.3}]}}])
        };
        let by_index = impact(&scan("Index Scan"), Some(r#"[{"name": "public.t", "rows": 1000, "bytes": 8192}]"#));
        assert_eq!((by_index.rows, by_index.rows_max, by_index.index), (Some(12), Some(120), Some(true)));
        assert_eq!(by_index.tables[0].rows, 1000);
        assert_eq!(impact(&scan("Seq Scan"), None).index, Some(false));
        assert!(!impact(&Value::Null, None).known);
    }
}
