//! Where each constant of a message stands: written, deciding what is touched, or only given back; and its column.
//!
//! Whoever redacts asks: what is hidden in a decisive place must be looked at before anybody approves. So nothing here is
//! guessed: a constant is only *given back* where it alone is an item of the list that the message's own `SELECT` or
//! `RETURNING` yields, it *decides* in a `WHERE`, a join or another clause that chooses rows, and everything else is
//! written, every argument of a function included. Columns are names as the statement writes them: the one that is set, or
//! the one on the other side of a comparison. What this walk does not know it leaves out, and what is left out is written.

use std::collections::BTreeMap;

use countersign_core::action::redact::{Place, Position};
use pg_query::protobuf as pb;
use pg_query::{Node, NodeEnum};

use super::{Literal, Name, names, parser};

/// How deep it looks: what is nested deeper counts as written.
const DEPTH_MAX: usize = 1_000;

/// Places of a message's constants and parameters.
#[derive(Debug, Clone, Default)]
pub struct Places {
    literals: BTreeMap<usize, Place>,
    parameters: BTreeMap<i32, Place>,
}

/// A table's column, in the order in which rows are inserted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableColumn {
    /// Its name.
    pub name: String,
    /// Whether the server computes it, so that a `COPY` without a list of columns leaves it out.
    pub generated: bool,
}

/// The columns of tables that rows are inserted into, by the name that a statement writes.
pub type TableColumns = BTreeMap<Name, Vec<TableColumn>>;

/// Where the constants of a message stand. What cannot be parsed yields nothing: everything in it is written then.
pub fn places(sql: &str, columns: &TableColumns) -> Places {
    let found = parser::with_tree(sql, |statements| {
        let mut finder = Finder { columns, places: Places::default(), depth: 0 };
        statements.iter().for_each(|statement| finder.statement(statement, Position::Output));
        finder.places
    });
    found.unwrap_or_default()
}

impl Places {
    /// That of a literal.
    pub fn literal(&self, sql: &str, literal: &Literal) -> Place {
        // the tree puts a negative number where its sign is
        let sign = sql.get(..literal.start).and_then(|before| before.trim_end().strip_suffix('-')).map(str::len);
        let found = self.literals.get(&literal.start).or_else(|| self.literals.get(&sign?));
        found.cloned().unwrap_or_default()
    }

    /// That of a bind parameter, counted from 1.
    pub fn parameter(&self, number: usize) -> Place {
        i32::try_from(number).ok().and_then(|number| self.parameters.get(&number)).cloned().unwrap_or_default()
    }
}

struct Finder<'c> {
    columns: &'c TableColumns,
    places: Places,
    depth: usize,
}

impl<'c> Finder<'c> {
    /// A statement whose own list of items stands at `yields`.
    fn statement(&mut self, node: &NodeEnum, yields: Position) {
        if self.depth >= DEPTH_MAX {
            return;
        }
        self.depth += 1;
        match node {
            NodeEnum::SelectStmt(select) if select.into_clause.is_none() => self.select(select, yields, &[]),
            NodeEnum::InsertStmt(insert) => self.insert(insert, yields),
            NodeEnum::UpdateStmt(update) => {
                self.with(update.with_clause.as_ref());
                self.set(&update.target_list);
                self.relations(&update.from_clause);
                self.condition(update.where_clause.as_deref());
                self.returning(update.returning_clause.as_ref(), yields);
            }
            NodeEnum::DeleteStmt(delete) => {
                self.with(delete.with_clause.as_ref());
                self.relations(&delete.using_clause);
                self.condition(delete.where_clause.as_deref());
                self.returning(delete.returning_clause.as_ref(), yields);
            }
            NodeEnum::MergeStmt(merge) => self.merge(merge, yields),
            NodeEnum::ExplainStmt(explain) => self.inner(explain.query.as_deref(), yields),
            NodeEnum::PrepareStmt(prepare) => self.inner(prepare.query.as_deref(), yields),
            NodeEnum::DeclareCursorStmt(cursor) => self.inner(cursor.query.as_deref(), yields),
            _ => {} // every other statement's constants count as written
        }
        self.depth -= 1;
    }

    fn inner(&mut self, node: Option<&Node>, yields: Position) {
        if let Some(node) = node.and_then(|node| node.node.as_ref()) {
            self.statement(node, yields);
        }
    }

    /// A query whose items stand at `yields`, and go to these columns where they are known.
    fn select(&mut self, select: &pb::SelectStmt, yields: Position, columns: &[&str]) {
        if self.depth >= DEPTH_MAX {
            return;
        }
        self.depth += 1;
        self.with(select.with_clause.as_ref());
        for side in [&select.larg, &select.rarg].into_iter().flatten() {
            self.select(side, yields, columns);
        }
        for row in &select.values_lists {
            if let Some(NodeEnum::List(row)) = &row.node {
                self.items(row.items.iter(), yields, columns);
            }
        }
        let items = select.target_list.iter().filter_map(target).filter_map(|target| target.val.as_deref());
        self.items(items, yields, columns);
        self.relations(&select.from_clause);
        self.condition(select.where_clause.as_deref());
        self.condition(select.having_clause.as_deref());
        self.condition(select.limit_count.as_deref());
        self.condition(select.limit_offset.as_deref());
        self.depth -= 1;
    }

    fn items<'a>(&mut self, items: impl Iterator<Item = &'a Node>, at: Position, columns: &[&str]) {
        for (index, item) in items.enumerate() {
            let column = columns.get(index).copied();
            // an item alone is given back; whatever is computed of one may be anything
            let alone = matches!(item.node, Some(NodeEnum::AConst(_) | NodeEnum::ParamRef(_)));
            let at = if at == Position::Output && !alone { Position::Written } else { at };
            self.expression(item, at, column);
        }
    }

    fn insert(&mut self, insert: &pb::InsertStmt, yields: Position) {
        self.with(insert.with_clause.as_ref());
        let columns = self.filled(&insert.cols, insert.relation.as_ref());
        if let Some(NodeEnum::SelectStmt(select)) = insert.select_stmt.as_deref().and_then(|node| node.node.as_ref()) {
            self.select(select, Position::Written, &columns);
        }
        if let Some(conflict) = &insert.on_conflict_clause {
            self.set(&conflict.target_list);
            self.condition(conflict.where_clause.as_deref());
        }
        self.returning(insert.returning_clause.as_ref(), yields);
    }

    fn merge(&mut self, merge: &pb::MergeStmt, yields: Position) {
        self.with(merge.with_clause.as_ref());
        self.relation(merge.source_relation.as_deref());
        self.condition(merge.join_condition.as_deref());
        for when in &merge.merge_when_clauses {
            let Some(NodeEnum::MergeWhenClause(when)) = &when.node else { continue };
            self.condition(when.condition.as_deref());
            let columns = self.filled(&when.target_list, merge.relation.as_ref());
            self.items(when.values.iter(), Position::Written, &columns);
            self.set(&when.target_list);
        }
        self.returning(merge.returning_clause.as_ref(), yields);
    }

    /// The columns that the values of a row go to: those that are listed, or else all of the table's.
    fn filled<'s>(&self, listed: &'s [Node], table: Option<&pb::RangeVar>) -> Vec<&'s str>
    where
        'c: 's,
    {
        if !listed.is_empty() {
            return listed.iter().map(|col| target(col).map_or("", |col| col.name.as_str())).collect();
        }
        let known = table.and_then(|table| self.columns.get(&Name::relation(table)));
        known.into_iter().flatten().map(|column| column.name.as_str()).collect()
    }

    /// `column = value`, and `(a, b) = (1, 2)`.
    fn set(&mut self, targets: &[Node]) {
        for target in targets.iter().filter_map(target) {
            let Some(value) = target.val.as_deref() else { continue };
            let part = match &value.node {
                Some(NodeEnum::MultiAssignRef(part)) => part_of(part),
                _ => Some(value),
            };
            if let Some(part) = part {
                self.expression(part, Position::Written, Some(&target.name));
            }
        }
    }

    fn returning(&mut self, clause: Option<&pb::ReturningClause>, yields: Position) {
        let exprs = clause.into_iter().flat_map(|clause| clause.exprs.iter());
        self.items(exprs.filter_map(target).filter_map(|target| target.val.as_deref()), yields, &[]);
    }

    /// What a `WITH` yields goes on into the statement: it is at least decisive.
    fn with(&mut self, clause: Option<&pb::WithClause>) {
        for cte in clause.into_iter().flat_map(|clause| &clause.ctes) {
            if let Some(NodeEnum::CommonTableExpr(cte)) = &cte.node {
                self.inner(cte.ctequery.as_deref(), Position::Written);
            }
        }
    }

    fn relations(&mut self, relations: &[Node]) {
        relations.iter().for_each(|relation| self.relation(Some(relation)));
    }

    fn relation(&mut self, relation: Option<&Node>) {
        match relation.and_then(|relation| relation.node.as_ref()) {
            Some(NodeEnum::JoinExpr(join)) => {
                self.relation(join.larg.as_deref());
                self.relation(join.rarg.as_deref());
                self.condition(join.quals.as_deref());
            }
            Some(NodeEnum::RangeSubselect(sub)) => self.inner(sub.subquery.as_deref(), Position::Written),
            _ => {}
        }
    }

    fn condition(&mut self, node: Option<&Node>) {
        if let Some(node) = node {
            self.expression(node, Position::Predicate, None);
        }
    }

    fn expression(&mut self, node: &Node, at: Position, column: Option<&str>) {
        let Some(node) = node.node.as_ref().filter(|_| self.depth < DEPTH_MAX) else { return };
        self.depth += 1;
        let all = |finder: &mut Self, nodes: &[Node]| {
            nodes.iter().for_each(|node| finder.expression(node, at, column));
        };
        match node {
            NodeEnum::AConst(constant) => self.note(constant.location, at, column),
            NodeEnum::ParamRef(parameter) => {
                let known = self.places.parameters.entry(parameter.number).or_insert_with(|| place(at, column));
                more_decisive(known, at, column);
            }
            NodeEnum::AExpr(operation) => {
                let sides = [&operation.lexpr, &operation.rexpr].into_iter().flatten();
                let compared = sides.clone().find_map(|side| column_of(side)).filter(|_| compares(operation));
                sides.for_each(|side| self.expression(side, at, compared.or(column)));
            }
            NodeEnum::BoolExpr(all_of) => all(self, &all_of.args),
            NodeEnum::List(list) => all(self, &list.items),
            NodeEnum::RowExpr(row) => all(self, &row.args),
            NodeEnum::AArrayExpr(array) => all(self, &array.elements),
            NodeEnum::CoalesceExpr(coalesce) => all(self, &coalesce.args),
            NodeEnum::MinMaxExpr(extreme) => all(self, &extreme.args),
            // whatever is done with a function's arguments, they keep their place where they only decide
            NodeEnum::FuncCall(call) => all(self, &call.args),
            NodeEnum::TypeCast(cast) => all(self, cast.arg.as_deref().map_or(&[], std::slice::from_ref)),
            NodeEnum::CollateClause(collate) => all(self, collate.arg.as_deref().map_or(&[], std::slice::from_ref)),
            NodeEnum::CaseExpr(case) => {
                let compared = case.arg.as_deref().and_then(column_of);
                for when in &case.args {
                    let Some(NodeEnum::CaseWhen(when)) = &when.node else { continue };
                    when.expr.iter().for_each(|expr| self.expression(expr, at, compared.or(column)));
                    when.result.iter().for_each(|result| self.expression(result, at, column));
                }
                case.defresult.iter().for_each(|result| self.expression(result, at, column));
            }
            NodeEnum::SubLink(sub) => {
                let compared = sub.testexpr.as_deref().and_then(column_of);
                sub.testexpr.iter().for_each(|test| self.expression(test, at, column));
                if let Some(NodeEnum::SelectStmt(select)) = sub.subselect.as_deref().and_then(|node| node.node.as_ref())
                {
                    self.select(select, at, compared.or(column).as_slice());
                }
            }
            _ => {}
        }
        self.depth -= 1;
    }

    fn note(&mut self, location: i32, at: Position, column: Option<&str>) {
        if let Ok(start) = usize::try_from(location) {
            let known = self.places.literals.entry(start).or_insert_with(|| place(at, column));
            more_decisive(known, at, column);
        }
    }
}

fn place(position: Position, column: Option<&str>) -> Place {
    Place { position, column: column.filter(|column| !column.is_empty()).map(str::to_owned) }
}

fn more_decisive(known: &mut Place, at: Position, column: Option<&str>) {
    if at > known.position {
        *known = place(at, column);
    }
}

fn target(node: &Node) -> Option<&pb::ResTarget> {
    match node.node.as_ref()? {
        NodeEnum::ResTarget(target) => Some(target),
        _ => None,
    }
}

/// Of `(a, b) = (1, 2)` the part that goes to one column; nothing where it is computed as a whole.
fn part_of(part: &pb::MultiAssignRef) -> Option<&Node> {
    let NodeEnum::RowExpr(row) = part.source.as_deref()?.node.as_ref()? else { return None };
    row.args.get(usize::try_from(part.colno).ok()?.checked_sub(1)?)
}

/// The column that an expression is, whatever it is cast to, or the only one that a function is given.
fn column_of(node: &Node) -> Option<&str> {
    match node.node.as_ref()? {
        NodeEnum::ColumnRef(column) => column.fields.last().and_then(names::string),
        NodeEnum::TypeCast(cast) => column_of(cast.arg.as_deref()?),
        NodeEnum::CollateClause(collate) => column_of(collate.arg.as_deref()?),
        NodeEnum::FuncCall(call) => {
            let mut columns = call.args.iter().filter_map(column_of);
            columns.next().filter(|_| columns.next().is_none())
        }
        _ => None,
    }
}

/// Whether an operation compares its sides: what stands on one side is then a value of the column on the other.
fn compares(operation: &pb::AExpr) -> bool {
    const OPERATORS: &[&str] =
        &["=", "<>", "!=", "<", ">", "<=", ">=", "~", "~*", "!~", "!~*", "~~", "!~~", "@>", "<@"];
    match pb::AExprKind::try_from(operation.kind) {
        Ok(pb::AExprKind::AexprOp | pb::AExprKind::AexprOpAny | pb::AExprKind::AexprOpAll) => {
            operation.name.last().and_then(names::string).is_some_and(|name| OPERATORS.contains(&name))
        }
        Ok(_) => true,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::literals;
    use super::*;

    /// The literals of a statement and its parameters `$1`, `$2`: position and column of each.
    fn check(sql: &str, expected: &[(&str, &str)]) {
        let found = places(sql, &TableColumns::default());
        let literals = literals(sql);
        let stands = literals.iter().filter(|literal| literal.kind != super::super::LiteralKind::Parameter);
        let mut all: Vec<Place> = stands.map(|literal| found.literal(sql, literal)).collect();
        all.extend(found.parameters.values().cloned());
        let told: Vec<(&str, &str)> =
            all.iter().map(|place| (place.position.name(), place.column.as_deref().unwrap_or("-"))).collect();
        assert_eq!(told, expected, "{sql}");
    }

    #[test]
    fn what_is_written_knows_its_column() {
        check(
            "UPDATE t SET email = 'a', n = -5 WHERE id = 3",
            &[("written", "email"), ("written", "n"), ("predicate", "id")],
        );
        check(
            "INSERT INTO t (id, email) VALUES (1, 'a'), (2, lower('b'))",
            &[("written", "id"), ("written", "email"), ("written", "id"), ("written", "email")],
        );
        check("INSERT INTO t VALUES ('a')", &[("written", "-")]);
        check("INSERT INTO t (mail) SELECT 'a' FROM u WHERE v = 'b'", &[("written", "mail"), ("predicate", "v")]);
        check("UPDATE t SET (a, b) = ($2, 'x')", &[("written", "b"), ("written", "a")]);
        check(
            "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 'x' WHERE t.c = 'y'",
            &[("written", "a"), ("written", "b"), ("predicate", "c")],
        );
    }

    #[test]
    fn what_decides_is_told_from_what_is_given_back() {
        check("SELECT 'a' FROM t WHERE lower(t.mail) = lower('b')", &[("output", "-"), ("predicate", "mail")]);
        check(
            "SELECT 1 FROM t WHERE mail IN ('a', 'b') AND x BETWEEN 1 AND 2",
            &[("output", "-"), ("predicate", "mail"), ("predicate", "mail"), ("predicate", "x"), ("predicate", "x")],
        );
        check("DELETE FROM t USING u WHERE u.m = $1 RETURNING 'x'", &[("output", "-"), ("predicate", "m")]);
        check("SELECT * FROM t JOIN u ON t.m = 'a' LIMIT 5", &[("predicate", "m"), ("predicate", "-")]);
        check(
            "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.iban = 'a')",
            &[("predicate", "-"), ("predicate", "iban")],
        );
    }

    #[test]
    fn what_nobody_knows_is_written() {
        check("SELECT send('a')", &[("written", "-")]);
        check("SELECT 'a' || 'b'", &[("written", "-"), ("written", "-")]);
        check("SELECT 'a' INTO t", &[("written", "-")]);
        check("WITH x AS (SELECT 'a' AS m) INSERT INTO t SELECT m FROM x", &[("written", "-")]);
        check("CREATE ROLE r PASSWORD 'a'", &[("written", "-")]);
        check("SELECT 'a", &[("written", "-")]);
        check("SELECT $1 FROM t WHERE m = $1", &[("predicate", "m")]);
    }
}
