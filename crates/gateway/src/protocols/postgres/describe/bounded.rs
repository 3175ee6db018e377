//! Whether a condition bounds an `UPDATE` or `DELETE`: does it say anything about the rows of its target?
//!
//! This guards against accidents, not against a determined author (`id IS NOT NULL` is true for every row). A condition
//! bounds when it mentions a column: `true`, `1 = 1` and an uncorrelated `EXISTS (…)` do not, nor does `id = id`, nor an
//! `OR` with a side that does not. `WHERE CURRENT OF` bounds.

use pg_query::NodeEnum;
use pg_query::protobuf::{self as pb, Node};

use super::names;

/// Deepest nesting of `AND`, `OR` and `NOT` that is looked through; what lies deeper does not bound.
const DEPTH_MAX: usize = 500;

/// Whether an expression mentions a column of the changed table.
pub(super) trait Mentions {
    /// Any column outside of subqueries counts; inside of one, a column that may be the changed table's.
    fn mentions(&self, expression: &NodeEnum) -> bool;
}

/// Whether `condition` bounds a change of the rows that `columns` knows; an absent one does not.
pub(super) fn condition(condition: Option<&Node>, columns: &dyn Mentions) -> bool {
    bounds(condition, columns, 0)
}

fn bounds(node: Option<&Node>, columns: &dyn Mentions, depth: usize) -> bool {
    let Some(node) = node.and_then(|node| node.node.as_ref()) else { return false };
    if depth >= DEPTH_MAX {
        return false;
    }
    match node {
        NodeEnum::CurrentOfExpr(_) => true,
        NodeEnum::BoolExpr(expression) => {
            let mut sides = expression.args.iter().map(|side| bounds(Some(side), columns, depth + 1));
            match pb::BoolExprType::try_from(expression.boolop) {
                Ok(pb::BoolExprType::OrExpr) => sides.all(|bounded| bounded),
                Ok(pb::BoolExprType::AndExpr | pb::BoolExprType::NotExpr) => sides.any(|bounded| bounded),
                Ok(pb::BoolExprType::Undefined) | Err(_) => false,
            }
        }
        NodeEnum::AExpr(expression) if same_column(expression) => false,
        other => columns.mentions(other),
    }
}

/// `id = id`: the same column on both sides.
fn same_column(expression: &pb::AExpr) -> bool {
    match (column(expression.lexpr.as_deref()), column(expression.rexpr.as_deref())) {
        (Some(left), Some(right)) => left == right,
        (_, None) | (None, _) => false,
    }
}

fn column(node: Option<&Node>) -> Option<Vec<&str>> {
    match node?.node.as_ref()? {
        NodeEnum::ColumnRef(column) => names::strings(&column.fields),
        _ => None,
    }
}
