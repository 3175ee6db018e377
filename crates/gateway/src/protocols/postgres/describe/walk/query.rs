//! Queries and changes of rows: `SELECT`, `INSERT`, `UPDATE`, `DELETE`, `MERGE`, and the scope of `WITH`.

use countersign_core::action::sql::SqlClass;
use pg_query::NodeEnum;
use pg_query::protobuf as pb;

use super::super::bounded::{self, Mentions};
use super::super::{names, text};
use super::{Events, Visit, Walk, parts};

parts! {
    CteSearchClause { search_col_list; search_breadth_first, search_seq_column, location }
    CteCycleClause {
        cycle_col_list, cycle_mark_value, cycle_mark_default;
        cycle_mark_column, cycle_path_column, location, cycle_mark_type, cycle_mark_typmod, cycle_mark_collation,
        cycle_mark_neop
    }
    InferClause { index_elems, where_clause; conname, location }
    OnConflictClause { infer, target_list, where_clause; action, location }
    ReturningClause { options, exprs; }
    MergeWhenClause { condition, target_list, values; match_kind, command_type, r#override }
    ReturnStmt { returnval; }
}

impl Visit for pb::SelectStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        #[rustfmt::skip]
        let Self {
            distinct_clause, into_clause, target_list, from_clause, where_clause, group_clause, having_clause,
            window_clause, values_lists, sort_clause, limit_offset, limit_count, locking_clause, with_clause, larg, rarg,
            group_distinct: _, limit_option: _, op: _, all: _,
        } = self;
        let verb = match (into_clause, values_lists.is_empty()) {
            (Some(_), _) => "SELECT INTO",
            (None, false) => "VALUES",
            (None, true) => "SELECT",
        };
        walk.command(verb, SqlClass::Read);
        walk.with(with_clause.as_ref(), |walk| {
            into_clause.visit(walk);
            distinct_clause.visit(walk);
            let outer = std::mem::replace(&mut walk.setting_row, setting_row(from_clause, where_clause.as_deref()));
            target_list.visit(walk);
            walk.setting_row = outer;
            from_clause.visit(walk);
            where_clause.visit(walk);
            group_clause.visit(walk);
            having_clause.visit(walk);
            window_clause.visit(walk);
            values_lists.visit(walk);
            sort_clause.visit(walk);
            limit_offset.visit(walk);
            limit_count.visit(walk);
            locking_clause.visit(walk);
            walk.nested(larg.as_deref());
            walk.nested(rarg.as_deref());
        });
    }
}

/// `FROM pg_settings WHERE name = 'x'`, and nothing else: the setting `x`.
fn setting_row(from: &[pb::Node], condition: Option<&pb::Node>) -> Option<String> {
    let [pb::Node { node: Some(NodeEnum::RangeVar(table)) }] = from else { return None };
    let catalog = matches!(table.schemaname.as_str(), "" | "pg_catalog") && table.relname == "pg_settings";
    let Some(NodeEnum::AExpr(comparison)) = &condition?.node else { return None };
    let equals =
        comparison.kind == pb::AExprKind::AexprOp as i32 && names::strings(&comparison.name).as_deref() == Some(&["="]);
    let of_name = names::is_column(comparison.lexpr.as_deref()?, "name");
    (catalog && equals && of_name).then(|| text::constant(comparison.rexpr.as_deref()?)).flatten()
}

/// `INTO` of a `SELECT` or a `CREATE … AS`: it makes a table.
impl Visit for pb::IntoClause {
    fn visit(&self, walk: &mut Walk<'_>) {
        #[rustfmt::skip]
        let Self {
            rel, col_names, options, view_query,
            access_method: _, on_commit: _, table_space_name: _, skip_data: _,
        } = self;
        if view_query.is_some() {
            walk.unknown();
        }
        walk.raise(SqlClass::Ddl);
        walk.make(rel.as_ref());
        col_names.visit(walk);
        options.visit(walk);
    }
}

impl Visit for pb::InsertStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { relation, cols, select_stmt, on_conflict_clause, returning_clause, with_clause, r#override: _ } =
            self;
        walk.command("INSERT", SqlClass::Write);
        walk.write_opt(relation.as_ref());
        let conflict = if on_conflict_clause.is_some() { Events::UPDATE } else { Events::READ };
        walk.fires(relation.as_ref(), Events::INSERT.and(conflict));
        walk.with(with_clause.as_ref(), |walk| {
            cols.visit(walk);
            select_stmt.visit(walk);
            on_conflict_clause.visit(walk);
            returning_clause.visit(walk);
        });
    }
}

impl Visit for pb::UpdateStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { relation, target_list, where_clause, from_clause, returning_clause, with_clause } = self;
        walk.command("UPDATE", SqlClass::Write);
        walk.change_where(relation.as_ref(), where_clause.as_deref());
        walk.write_opt(relation.as_ref());
        walk.fires(relation.as_ref(), Events::UPDATE);
        walk.with(with_clause.as_ref(), |walk| {
            target_list.visit(walk);
            from_clause.visit(walk);
            where_clause.visit(walk);
            returning_clause.visit(walk);
        });
    }
}

impl Visit for pb::DeleteStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { relation, using_clause, where_clause, returning_clause, with_clause } = self;
        walk.command("DELETE", SqlClass::Write);
        walk.change_where(relation.as_ref(), where_clause.as_deref());
        walk.write_opt(relation.as_ref());
        walk.fires(relation.as_ref(), Events::DELETE);
        walk.with(with_clause.as_ref(), |walk| {
            using_clause.visit(walk);
            where_clause.visit(walk);
            returning_clause.visit(walk);
        });
    }
}

impl Visit for pb::MergeStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { relation, source_relation, join_condition, merge_when_clauses, returning_clause, with_clause } =
            self;
        walk.command("MERGE", SqlClass::Write);
        for when in merge_when_clauses {
            walk.change_when(relation.as_ref(), join_condition.as_deref(), when);
        }
        walk.write_opt(relation.as_ref());
        walk.fires(relation.as_ref(), Events::INSERT.and(Events::UPDATE).and(Events::DELETE));
        walk.with(with_clause.as_ref(), |walk| {
            source_relation.visit(walk);
            join_condition.visit(walk);
            merge_when_clauses.visit(walk);
            returning_clause.visit(walk);
        });
    }
}

/// A `WITH` that stands where its scope is not known; the statements open theirs through [`Walk::with`].
impl Visit for pb::WithClause {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { ctes: _, recursive: _, location: _ } = self;
        walk.unknown();
    }
}

impl Visit for pb::CommonTableExpr {
    fn visit(&self, walk: &mut Walk<'_>) {
        #[rustfmt::skip]
        let Self {
            aliascolnames, ctequery, search_clause, cycle_clause, ctecolnames, ctecoltypes, ctecoltypmods,
            ctecolcollations, ctename: _, ctematerialized: _, location: _, cterecursive: _, cterefcount: _,
        } = self;
        aliascolnames.visit(walk);
        ctequery.visit(walk);
        search_clause.visit(walk);
        cycle_clause.visit(walk);
        ctecolnames.visit(walk);
        ctecoltypes.visit(walk);
        ctecoltypmods.visit(walk);
        ctecolcollations.visit(walk);
    }
}

/// Looks for columns of the changed table in a condition; see `bounded.rs`.
pub(super) struct Probe {
    /// The alias or name under which the table's columns are qualified.
    target: String,
    /// Subqueries around the node that is walked.
    subqueries: usize,
    found: bool,
}

impl Probe {
    /// Enters a subquery.
    pub(super) fn enter(&mut self) {
        self.subqueries += 1;
    }

    /// Leaves a subquery.
    pub(super) fn leave(&mut self) {
        self.subqueries -= 1;
    }

    /// Meets a column.
    pub(super) fn column(&mut self, column: &pb::ColumnRef) {
        self.found |= self.subqueries == 0
            || match names::strings(&column.fields).as_deref() {
                Some([.., qualifier, _]) => *qualifier == self.target,
                Some([_]) => true,
                Some([]) | None => false,
            };
    }
}

/// The changed table of a walk, for `bounded.rs`.
struct Changed<'w, 'a> {
    walk: &'w Walk<'a>,
    target: &'w str,
}

impl Mentions for Changed<'_, '_> {
    fn mentions(&self, expression: &NodeEnum) -> bool {
        let mut walk = Walk::new(self.walk.known);
        walk.depth = self.walk.depth;
        walk.probe = Some(Probe { target: self.target.to_owned(), subqueries: 0, found: false });
        expression.visit(&mut walk);
        walk.probe.is_some_and(|probe| probe.found)
    }
}

impl Walk<'_> {
    /// A change of rows of `relation` under `condition`. A walk that probes a condition does not probe those inside it,
    /// which would double its work at every level.
    fn change_where(&mut self, relation: Option<&pb::RangeVar>, condition: Option<&pb::Node>) {
        if self.probe.is_none() {
            self.change(self.is_bounded(relation, condition));
        }
    }

    /// A `WHEN` of a `MERGE`. Rows that match are bounded by the join; rows no source row matches only by the `WHEN`'s own
    /// condition.
    fn change_when(&mut self, relation: Option<&pb::RangeVar>, join: Option<&pb::Node>, when: &pb::Node) {
        let Some(NodeEnum::MergeWhenClause(when)) = &when.node else { return self.unknown() };
        if self.probe.is_some() || !changes_rows(when) {
            return;
        }
        let own = self.is_bounded(relation, when.condition.as_deref());
        let matched = when.match_kind == pb::MergeMatchKind::MergeWhenMatched as i32;
        self.change(own || (matched && self.is_bounded(relation, join)));
    }

    fn is_bounded(&self, relation: Option<&pb::RangeVar>, condition: Option<&pb::Node>) -> bool {
        let target = relation.map_or("", |relation| match &relation.alias {
            Some(alias) => alias.aliasname.as_str(),
            None => relation.relname.as_str(),
        });
        bounded::condition(condition, &Changed { walk: self, target })
    }

    /// Walks a `WITH` and then `body` in its scope. Without `RECURSIVE` an expression sees those before it; with it, all.
    fn with(&mut self, clause: Option<&pb::WithClause>, body: impl FnOnce(&mut Self)) {
        let outside = self.scope.len();
        if let Some(pb::WithClause { ctes, recursive, location: _ }) = clause {
            if *recursive {
                self.scope.extend(ctes.iter().filter_map(cte_name));
            }
            for cte in ctes {
                cte.visit(self);
                if !*recursive {
                    self.scope.extend(cte_name(cte));
                }
            }
        }
        body(self);
        self.scope.truncate(outside);
    }

    /// One side of a set operation, which is nested without a node of its own.
    fn nested(&mut self, side: Option<&pb::SelectStmt>) {
        let Some(side) = side else { return };
        if self.depth >= super::DEPTH_MAX {
            return self.unknown();
        }
        self.depth += 1;
        side.visit(self);
        self.depth -= 1;
    }
}

fn cte_name(node: &pb::Node) -> Option<String> {
    match &node.node {
        Some(NodeEnum::CommonTableExpr(cte)) => Some(cte.ctename.clone()),
        _ => None,
    }
}

/// Whether a `WHEN` of a `MERGE` updates or deletes rows of the target.
fn changes_rows(when: &pb::MergeWhenClause) -> bool {
    use pb::CmdType as C;
    !matches!(C::try_from(when.command_type), Ok(C::CmdInsert | C::CmdNothing))
}
