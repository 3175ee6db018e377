//! The proof that a statement uses masked columns only as plain outputs.
//!
//! A resolver of names for the part of SQL that reads usually use, with the server's own scoping; it errs on the strict
//! side: a name that could be a masked column is one, a construct that is not known here is no proof. What a proof says is
//! which masked columns come out, each as itself; that the server agrees is checked against its `RowDescription`.
//!
//! Known: `SELECT` with `WITH` (not recursive), sub-selects, joins, functions in `FROM`, sub-queries in expressions,
//! `VALUES`, set operations of unmasked parts; `INSERT`, `UPDATE` and `DELETE` that use no masked value. Expressions are in
//! [`expression`], names in [`scope`].

mod expression;
mod from;
mod scope;

use pg_query::NodeEnum;
use pg_query::protobuf::{self as pb, Node};

use self::scope::{Ctes, Output, Outputs, Scope, Source, Taint};
use super::catalog::Catalog;
use crate::protocols::postgres::describe::names;

/// Deepest nesting that is looked through.
const DEPTH_MAX: usize = 100;

/// Why there is no proof, in words for the requester.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Why(pub(super) String);

type Proof<T> = Result<T, Why>;

fn why<T>(words: impl Into<String>) -> Proof<T> {
    Err(Why(words.into()))
}

/// The masked columns that come out of a statement, each as often as it does: table and number.
pub(super) fn outputs(statement: &NodeEnum, catalog: &Catalog) -> Proof<Vec<(u32, i16)>> {
    let mut prover = Prover { catalog, depth: 0 };
    let taints: Vec<Taint> = match statement {
        NodeEnum::SelectStmt(select) => {
            prover.select(select, Ctes::NONE, None)?.columns.into_iter().filter_map(|output| output.taint).collect()
        }
        NodeEnum::InsertStmt(insert) => prover.insert(insert).map(|()| Vec::new())?,
        NodeEnum::UpdateStmt(update) => prover.update(update).map(|()| Vec::new())?,
        NodeEnum::DeleteStmt(delete) => prover.delete(delete).map(|()| Vec::new())?,
        _ => return why("only a SELECT, or a change that uses no masked value, may touch a table with masked columns"),
    };
    let mut found: Vec<(u32, i16)> = taints.into_iter().map(|taint| (taint.table, taint.attribute)).collect();
    found.sort_unstable();
    Ok(found)
}

struct Prover<'c> {
    catalog: &'c Catalog,
    depth: usize,
}

impl Prover<'_> {
    fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> Proof<T>) -> Proof<T> {
        if self.depth >= DEPTH_MAX {
            return why("the statement is nested too deeply");
        }
        self.depth += 1;
        let done = work(self);
        self.depth -= 1;
        done
    }

    /// What a `SELECT` yields.
    fn select(&mut self, select: &pb::SelectStmt, ctes: Ctes<'_>, outer: Option<&Scope<'_>>) -> Proof<Outputs> {
        self.deeper(|prover| prover.select_with(select, ctes, outer))
    }

    fn select_with(&mut self, select: &pb::SelectStmt, ctes: Ctes<'_>, outer: Option<&Scope<'_>>) -> Proof<Outputs> {
        let own = self.with(select.with_clause.as_ref(), ctes, outer)?;
        let ctes = Ctes { own: &own, outer: Some(&ctes) };
        if select.into_clause.is_some() {
            return why("SELECT INTO would keep masked values");
        }
        match pb::SetOperation::try_from(select.op) {
            Ok(pb::SetOperation::SetopNone | pb::SetOperation::Undefined) => self.simple(select, ctes, outer),
            Ok(_) => self.set_operation(select, ctes, outer),
            Err(_) => why("an unknown set operation"),
        }
    }

    fn with(
        &mut self,
        clause: Option<&pb::WithClause>,
        ctes: Ctes<'_>,
        outer: Option<&Scope<'_>>,
    ) -> Proof<Vec<(String, Outputs)>> {
        let mut own: Vec<(String, Outputs)> = Vec::new();
        let Some(clause) = clause else { return Ok(own) };
        if clause.recursive {
            return why("WITH RECURSIVE cannot be followed");
        }
        for node in &clause.ctes {
            let Some(NodeEnum::CommonTableExpr(cte)) = &node.node else { return why("an unknown part of WITH") };
            if !cte.aliascolnames.is_empty() || cte.search_clause.is_some() || cte.cycle_clause.is_some() {
                return why("a list of column names after a name in WITH cannot be followed");
            }
            let Some(NodeEnum::SelectStmt(query)) = cte.ctequery.as_deref().and_then(|node| node.node.as_ref()) else {
                return why("a change of rows inside WITH cannot be followed");
            };
            let outputs = self.select(query, Ctes { own: &own, outer: Some(&ctes) }, outer)?;
            own.push((cte.ctename.clone(), outputs));
        }
        Ok(own)
    }

    fn set_operation(&mut self, select: &pb::SelectStmt, ctes: Ctes<'_>, outer: Option<&Scope<'_>>) -> Proof<Outputs> {
        let (Some(left), Some(right)) = (&select.larg, &select.rarg) else { return why("half a set operation") };
        let left = self.select(left, ctes, outer)?;
        let right = self.select(right, ctes, outer)?;
        if left.is_tainted() || right.is_tainted() {
            return why("UNION, INTERSECT and EXCEPT of masked columns cannot be masked");
        }
        let scope = Scope { sources: &[], outer };
        self.clean_key_list(&select.sort_clause, ctes, &scope, &left)?;
        for limit in [&select.limit_count, &select.limit_offset].into_iter().flatten() {
            self.clean(limit, ctes, &scope)?;
        }
        Ok(left)
    }

    fn simple(&mut self, select: &pb::SelectStmt, ctes: Ctes<'_>, outer: Option<&Scope<'_>>) -> Proof<Outputs> {
        let from = self.from(&select.from_clause, ctes, outer)?;
        let scope = Scope { sources: &from, outer };
        self.clean_all(&select.values_lists, ctes, &scope)?;
        let outputs = self.targets(&select.target_list, ctes, &scope)?;
        let alone = [&select.where_clause, &select.having_clause, &select.limit_count, &select.limit_offset];
        for expression in alone.into_iter().flatten() {
            self.clean(expression, ctes, &scope)?;
        }
        self.clean_all(&select.window_clause, ctes, &scope)?;
        self.clean_key_list(&select.group_clause, ctes, &scope, &outputs)?;
        self.clean_key_list(&select.sort_clause, ctes, &scope, &outputs)?;
        if !select.distinct_clause.is_empty() {
            if outputs.is_tainted() {
                return why("DISTINCT compares masked values");
            }
            let keys: Vec<Node> = select.distinct_clause.iter().filter(|key| key.node.is_some()).cloned().collect();
            self.clean_key_list(&keys, ctes, &scope, &outputs)?;
        }
        if !select.values_lists.is_empty() {
            return Ok(Outputs { open: true, ..Outputs::default() });
        }
        Ok(outputs)
    }

    /// A list of outputs: masked columns may stand there, as themselves.
    fn targets(&mut self, targets: &[Node], ctes: Ctes<'_>, scope: &Scope<'_>) -> Proof<Outputs> {
        let mut outputs = Outputs::default();
        for node in targets {
            let Some(NodeEnum::ResTarget(target)) = &node.node else { return why("an unknown output") };
            let value = target.val.as_deref();
            match value.and_then(|value| value.node.as_ref()) {
                Some(NodeEnum::ColumnRef(column)) => self.plain(column, &target.name, scope, &mut outputs)?,
                Some(_) => {
                    self.clean(value.unwrap_or(node), ctes, scope)?;
                    match target.name.is_empty() {
                        true => outputs.open = true, // the server finds a name
                        false => outputs.columns.push(Output { name: target.name.clone(), taint: None }),
                    }
                }
                None => return why("an output without a value"),
            }
        }
        Ok(outputs)
    }

    /// A column, `*` or `t.*` as an output.
    fn plain(&self, column: &pb::ColumnRef, alias: &str, scope: &Scope<'_>, outputs: &mut Outputs) -> Proof<()> {
        let (star, fields) = match column.fields.split_last() {
            Some((last, fields)) if matches!(last.node, Some(NodeEnum::AStar(_))) => (true, fields),
            _ => (false, column.fields.as_slice()),
        };
        let Some(fields) = names::strings(fields) else { return why("an unknown reference to a column") };
        match (star, fields.as_slice()) {
            (true, []) => {
                outputs.starred = true;
                scope.sources.iter().for_each(|source| outputs.extend(source));
            }
            (true, [table]) => {
                outputs.starred = true;
                let Some(source) = scope.nearest(table) else { return why(format!("`{table}.*` cannot be resolved")) };
                outputs.extend(source);
            }
            (false, fields) => {
                let name = if alias.is_empty() { fields.last().copied().unwrap_or_default() } else { alias };
                let taint = scope.output(fields)?;
                outputs.columns.push(Output { name: name.to_owned(), taint });
            }
            (true, _) => return why("a star with a schema cannot be resolved"),
        }
        Ok(())
    }

    /// Keys of `ORDER BY`, `GROUP BY` and `DISTINCT ON`: an output by its number or name, or an expression.
    fn clean_key_list(&mut self, keys: &[Node], ctes: Ctes<'_>, scope: &Scope<'_>, outputs: &Outputs) -> Proof<()> {
        for key in keys {
            self.clean_key(key, ctes, scope, outputs)?;
        }
        Ok(())
    }

    fn clean_key(&mut self, key: &Node, ctes: Ctes<'_>, scope: &Scope<'_>, outputs: &Outputs) -> Proof<()> {
        match key.node.as_ref() {
            Some(NodeEnum::SortBy(sort)) => match sort.node.as_deref() {
                Some(node) => self.deeper(|prover| prover.clean_key(node, ctes, scope, outputs)),
                None => why("an order without a key"),
            },
            Some(NodeEnum::GroupingSet(set)) => {
                self.deeper(|prover| prover.clean_key_list(&set.content, ctes, scope, outputs))
            }
            Some(NodeEnum::AConst(constant)) => outputs.clean_position(constant),
            Some(NodeEnum::ColumnRef(column)) => {
                let fields = names::strings(&column.fields);
                if let Some([name]) = fields.as_deref()
                    && outputs.clean_name(name)?
                    && !scope.may_be_masked(name)
                {
                    return Ok(());
                }
                self.clean(key, ctes, scope)
            }
            _ => self.clean(key, ctes, scope),
        }
    }

    fn insert(&mut self, insert: &pb::InsertStmt) -> Proof<()> {
        if insert.on_conflict_clause.is_some() {
            return why("ON CONFLICT tells whether a masked value is there");
        }
        let own = self.with(insert.with_clause.as_ref(), Ctes::NONE, None)?;
        let ctes = Ctes { own: &own, outer: None };
        match insert.select_stmt.as_deref().and_then(|node| node.node.as_ref()) {
            Some(NodeEnum::SelectStmt(select)) if self.select(select, ctes, None)?.is_tainted() => {
                return why("INSERT would keep masked values");
            }
            Some(NodeEnum::SelectStmt(_)) | None => {}
            Some(_) => return why("an unknown source of rows"),
        }
        let target = self.target(insert.relation.as_ref())?;
        self.returning(insert.returning_clause.as_ref(), ctes, &[target])
    }

    fn update(&mut self, update: &pb::UpdateStmt) -> Proof<()> {
        let own = self.with(update.with_clause.as_ref(), Ctes::NONE, None)?;
        let ctes = Ctes { own: &own, outer: None };
        let mut sources = vec![self.target(update.relation.as_ref())?];
        sources.extend(self.from(&update.from_clause, ctes, None)?);
        let scope = Scope { sources: &sources, outer: None };
        for node in &update.target_list {
            let Some(NodeEnum::ResTarget(target)) = &node.node else { return why("an unknown assignment") };
            self.clean_all(&target.indirection, ctes, &scope)?;
            self.clean_some(target.val.as_deref(), ctes, &scope)?;
        }
        self.clean_some(update.where_clause.as_deref(), ctes, &scope)?;
        self.returning(update.returning_clause.as_ref(), ctes, &sources)
    }

    fn delete(&mut self, delete: &pb::DeleteStmt) -> Proof<()> {
        let own = self.with(delete.with_clause.as_ref(), Ctes::NONE, None)?;
        let ctes = Ctes { own: &own, outer: None };
        let mut sources = vec![self.target(delete.relation.as_ref())?];
        sources.extend(self.from(&delete.using_clause, ctes, None)?);
        self.clean_some(delete.where_clause.as_deref(), ctes, &Scope { sources: &sources, outer: None })?;
        self.returning(delete.returning_clause.as_ref(), ctes, &sources)
    }

    /// The table that is changed: never a name of `WITH`.
    fn target(&self, relation: Option<&pb::RangeVar>) -> Proof<Source> {
        match relation {
            Some(relation) => self.relation(relation),
            None => why("a change of no table"),
        }
    }

    fn returning(&mut self, clause: Option<&pb::ReturningClause>, ctes: Ctes<'_>, sources: &[Source]) -> Proof<()> {
        let Some(clause) = clause else { return Ok(()) };
        let outputs = self.targets(&clause.exprs, ctes, &Scope { sources, outer: None })?;
        if outputs.is_tainted() { why("RETURNING of masked columns cannot be masked") } else { Ok(()) }
    }
}
