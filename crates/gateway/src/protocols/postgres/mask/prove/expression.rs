//! Expressions: nothing masked is in them.
//!
//! A list of what is known; anything else is no proof. Types and operators are not looked at: an expression whose inputs
//! are not masked cannot yield a masked value, whatever it does with them (functions that read tables by themselves are
//! opaque to the describer, and refused under masks).

use pg_query::NodeEnum;
use pg_query::protobuf::{self as pb, Node};

use super::scope::{Ctes, Scope};
use super::{Proof, Prover, why};
use crate::protocols::postgres::describe::names;

impl Prover<'_> {
    pub(super) fn clean_all(&mut self, nodes: &[Node], ctes: Ctes<'_>, scope: &Scope<'_>) -> Proof<()> {
        nodes.iter().try_for_each(|node| self.clean(node, ctes, scope))
    }

    pub(super) fn clean_some(&mut self, node: Option<&Node>, ctes: Ctes<'_>, scope: &Scope<'_>) -> Proof<()> {
        node.map_or(Ok(()), |node| self.clean(node, ctes, scope))
    }

    /// Nothing masked is in this expression.
    pub(super) fn clean(&mut self, node: &Node, ctes: Ctes<'_>, scope: &Scope<'_>) -> Proof<()> {
        let Some(node) = &node.node else { return Ok(()) };
        self.deeper(|prover| prover.clean_node(node, ctes, scope))
    }

    fn clean_node(&mut self, node: &NodeEnum, ctes: Ctes<'_>, scope: &Scope<'_>) -> Proof<()> {
        match node {
            NodeEnum::ColumnRef(column) => reference(column, scope),
            NodeEnum::SubLink(link) => self.sublink(link, ctes, scope),
            NodeEnum::FuncCall(call) => self.call(call, ctes, scope),
            NodeEnum::AConst(_)
            | NodeEnum::ParamRef(_)
            | NodeEnum::SqlvalueFunction(_)
            | NodeEnum::SetToDefault(_)
            | NodeEnum::String(_) => Ok(()),
            NodeEnum::AExpr(e) => {
                self.clean_some(e.lexpr.as_deref(), ctes, scope)?;
                self.clean_some(e.rexpr.as_deref(), ctes, scope)
            }
            NodeEnum::BoolExpr(e) => self.clean_all(&e.args, ctes, scope),
            NodeEnum::NullTest(e) => self.clean_some(e.arg.as_deref(), ctes, scope),
            NodeEnum::BooleanTest(e) => self.clean_some(e.arg.as_deref(), ctes, scope),
            NodeEnum::TypeCast(e) => self.clean_some(e.arg.as_deref(), ctes, scope),
            NodeEnum::CollateClause(e) => self.clean_some(e.arg.as_deref(), ctes, scope),
            NodeEnum::NamedArgExpr(e) => self.clean_some(e.arg.as_deref(), ctes, scope),
            NodeEnum::CoalesceExpr(e) => self.clean_all(&e.args, ctes, scope),
            NodeEnum::MinMaxExpr(e) => self.clean_all(&e.args, ctes, scope),
            NodeEnum::RowExpr(e) => self.clean_all(&e.args, ctes, scope),
            NodeEnum::AArrayExpr(e) => self.clean_all(&e.elements, ctes, scope),
            NodeEnum::GroupingFunc(e) => self.clean_all(&e.args, ctes, scope),
            NodeEnum::List(e) => self.clean_all(&e.items, ctes, scope),
            NodeEnum::SortBy(e) => self.clean_some(e.node.as_deref(), ctes, scope),
            NodeEnum::WindowDef(window) => self.window(window, ctes, scope),
            NodeEnum::AIndices(e) => {
                self.clean_some(e.lidx.as_deref(), ctes, scope)?;
                self.clean_some(e.uidx.as_deref(), ctes, scope)
            }
            NodeEnum::AIndirection(e) => {
                self.clean_some(e.arg.as_deref(), ctes, scope)?;
                let stars = |node: &&Node| !matches!(node.node, Some(NodeEnum::AStar(_)));
                e.indirection.iter().filter(stars).try_for_each(|node| self.clean(node, ctes, scope))
            }
            NodeEnum::CaseExpr(e) => {
                self.clean_some(e.arg.as_deref(), ctes, scope)?;
                self.clean_some(e.defresult.as_deref(), ctes, scope)?;
                self.clean_all(&e.args, ctes, scope)
            }
            NodeEnum::CaseWhen(e) => {
                self.clean_some(e.expr.as_deref(), ctes, scope)?;
                self.clean_some(e.result.as_deref(), ctes, scope)
            }
            _ => why("this kind of expression cannot be followed beside a table with masked columns"),
        }
    }

    fn call(&mut self, call: &pb::FuncCall, ctes: Ctes<'_>, scope: &Scope<'_>) -> Proof<()> {
        self.clean_all(&call.args, ctes, scope)?;
        self.clean_all(&call.agg_order, ctes, scope)?;
        self.clean_some(call.agg_filter.as_deref(), ctes, scope)?;
        match call.over.as_deref() {
            Some(window) => self.window(window, ctes, scope),
            None => Ok(()),
        }
    }

    fn window(&mut self, window: &pb::WindowDef, ctes: Ctes<'_>, scope: &Scope<'_>) -> Proof<()> {
        self.clean_all(&window.partition_clause, ctes, scope)?;
        self.clean_all(&window.order_clause, ctes, scope)?;
        self.clean_some(window.start_offset.as_deref(), ctes, scope)?;
        self.clean_some(window.end_offset.as_deref(), ctes, scope)
    }

    /// What a sub-query in an expression yields is a part of the expression; of `EXISTS` only whether there is a row.
    fn sublink(&mut self, link: &pb::SubLink, ctes: Ctes<'_>, scope: &Scope<'_>) -> Proof<()> {
        self.clean_some(link.testexpr.as_deref(), ctes, scope)?;
        let Some(NodeEnum::SelectStmt(query)) = link.subselect.as_deref().and_then(|node| node.node.as_ref()) else {
            return why("an unknown sub-query");
        };
        let outputs = self.select(query, ctes, Some(scope))?;
        let exists = pb::SubLinkType::try_from(link.sub_link_type) == Ok(pb::SubLinkType::ExistsSublink);
        if outputs.is_tainted() && !exists {
            return why("a sub-query inside an expression yields a masked column");
        }
        Ok(())
    }
}

/// A column or a whole row; a star inside an expression is a whole row too.
fn reference(column: &pb::ColumnRef, scope: &Scope<'_>) -> Proof<()> {
    let starred = column.fields.last().is_some_and(|last| matches!(last.node, Some(NodeEnum::AStar(_))));
    if !starred {
        let Some(fields) = names::strings(&column.fields) else { return why("an unknown reference to a column") };
        return scope.clean(&fields);
    }
    let Some(fields) = names::strings(&column.fields[..column.fields.len() - 1]) else {
        return why("an unknown reference to a column");
    };
    let source = match fields.as_slice() {
        [table] => scope.nearest(table),
        _ => None,
    };
    match source {
        Some(source) if !source.is_tainted() => Ok(()),
        _ => why("a star inside an expression may be a whole row with masked columns"),
    }
}
