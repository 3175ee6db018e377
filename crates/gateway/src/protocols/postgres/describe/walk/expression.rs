//! Expressions and relations in `FROM`: parts are visited, nothing is skipped because it is usually harmless.

use pg_query::NodeEnum;
use pg_query::protobuf as pb;

use super::super::builtin::types;
use super::super::names;
use super::{Visit, Walk, parts};
use countersign_core::action::sql::SqlClass;

parts! {
    List { items; }
    RangeSubselect { subquery; lateral, alias }
    RangeTableFunc { docexpr, rowexpr, namespaces, columns; lateral, alias, location }
    RangeTableFuncCol { type_name, colexpr, coldefexpr; colname, for_ordinality, is_not_null, location }
    BoolExpr { xpr, args; boolop, location }
    CaseWhen { xpr, expr, result; location }
    CoalesceExpr { xpr, args; coalescetype, coalescecollid, location }
    MinMaxExpr { xpr, args; minmaxtype, minmaxcollid, inputcollid, op, location }
    NullTest { xpr, arg; nulltesttype, argisrow, location }
    BooleanTest { xpr, arg; booltesttype, location }
    RowExpr { xpr, args, colnames; row_typeid, row_format, location }
    GroupingFunc { xpr, args, refs; agglevelsup, location }
    NamedArgExpr { xpr, arg; name, argnumber, location }
    TypeCast { arg, type_name; location }
    CollateClause { arg, collname; location }
    AIndices { lidx, uidx; is_slice }
    AArrayExpr { elements; list_start, list_end, location }
    ResTarget { indirection, val; name, location }
    MultiAssignRef { source; colno, ncolumns }
    WindowDef {
        partition_clause, order_clause, start_offset, end_offset;
        name, refname, frame_options, location
    }
    GroupingSet { content; kind, location }
    DefElem { arg; defnamespace, defname, defaction, location, arg_location }
}

impl Visit for pb::AExpr {
    fn visit(&self, walk: &mut Walk<'_>) {
        use pb::AExprKind as K;
        let Self { kind, name, lexpr, rexpr, rexpr_list_start: _, rexpr_list_end: _, location: _ } = self;
        match K::try_from(*kind) {
            Ok(K::AexprOp | K::AexprOpAny | K::AexprOpAll | K::AexprIn | K::AexprLike | K::AexprIlike) => {
                walk.operator(name)
            }
            Ok(K::AexprDistinct | K::AexprNotDistinct | K::AexprNullif | K::AexprSimilar) => walk.operator(name),
            // their names are words; they stand for `>=` and `<=`
            Ok(K::AexprBetween | K::AexprNotBetween | K::AexprBetweenSym | K::AexprNotBetweenSym) => {
                walk.implies(&[">=", "<=", "<", ">"]);
            }
            Ok(K::Undefined) | Err(_) => walk.unknown(),
        }
        lexpr.visit(walk);
        rexpr.visit(walk);
    }
}

impl Visit for pb::SubLink {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { xpr, sub_link_type: _, sub_link_id: _, testexpr, oper_name, subselect, location: _ } = self;
        if oper_name.is_empty() {
            walk.implies(&["=", "<>"]); // `IN` and `NOT IN`
        } else {
            walk.operator(oper_name);
        }
        xpr.visit(walk);
        testexpr.visit(walk);
        walk.probe.iter_mut().for_each(|probe| probe.enter());
        subselect.visit(walk);
        walk.probe.iter_mut().for_each(|probe| probe.leave());
    }
}

/// `CASE x WHEN y` compares.
impl Visit for pb::CaseExpr {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { xpr, arg, args, defresult, casetype: _, casecollid: _, location: _ } = self;
        if arg.is_some() {
            walk.implies(&["="]);
        }
        xpr.visit(walk);
        arg.visit(walk);
        args.visit(walk);
        defresult.visit(walk);
    }
}

/// `USING` and `NATURAL` compare.
impl Visit for pb::JoinExpr {
    fn visit(&self, walk: &mut Walk<'_>) {
        #[rustfmt::skip]
        let Self {
            larg, rarg, using_clause, quals, is_natural, jointype: _, join_using_alias: _, alias: _, rtindex: _,
        } = self;
        if *is_natural || !using_clause.is_empty() {
            walk.implies(&["="]);
        }
        larg.visit(walk);
        rarg.visit(walk);
        using_clause.visit(walk);
        quals.visit(walk);
    }
}

impl Visit for pb::SortBy {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { node, sortby_dir: _, sortby_nulls: _, use_op, location: _ } = self;
        if !use_op.is_empty() {
            walk.operator(use_op);
        }
        node.visit(walk);
    }
}

impl Walk<'_> {
    /// A type: its input, its checks and its casts run what its maker wrote.
    fn type_name(&mut self, whole: &pb::TypeName, parts: &[&str]) {
        self.referents.type_name(parts);
        match parts {
            _ if types::is_builtin(whole) => {}
            ["pg_catalog" | "information_schema", _] => self.unknown(),
            _ => self.code("type", &names::join(parts)),
        }
    }
}

/// A type in an expression: only a built-in type's input and casts are known to be effect-free.
impl Visit for pb::TypeName {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { names, type_oid: _, setof: _, pct_type, typmods, typemod: _, array_bounds, location: _ } = self;
        match names::strings(names) {
            Some(parts) if !*pct_type => walk.type_name(self, &parts),
            Some(_) | None => walk.unknown(), // `table.column%TYPE`
        }
        typmods.visit(walk);
        array_bounds.visit(walk);
    }
}

/// `a.f` is a column, or a call of the function `f`; the last name decides.
impl Visit for pb::ColumnRef {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { fields, location: _ } = self;
        if let Some(probe) = &mut walk.probe {
            probe.column(self);
        }
        if let [_, .., last] = fields.as_slice()
            && let Some(name) = names::string(last)
        {
            walk.attribute(name);
        }
    }
}

/// `(e).f` is a field of a composite value, or a call of the function `f`, whatever the type of `e`.
impl Visit for pb::AIndirection {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { arg, indirection } = self;
        let mut inner = arg.as_deref().and_then(|node| node.node.as_ref());
        for step in indirection {
            if let Some(name) = names::string(step) {
                walk.field(inner, name);
            }
            inner = None;
        }
        arg.visit(walk);
        indirection.visit(walk);
    }
}

impl Visit for pb::RangeFunction {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { lateral: _, ordinality: _, is_rowsfrom: _, functions, alias: _, coldeflist } = self;
        functions.visit(walk);
        coldeflist.visit(walk);
        // a column definition list makes values of its types, as a cast does
        for column in coldeflist {
            match &column.node {
                Some(NodeEnum::ColumnDef(column)) => column.type_name.visit(walk),
                Some(_) | None => walk.unknown(),
            }
        }
    }
}

impl Visit for pb::RangeTableSample {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { relation, method, args, repeatable, location: _ } = self;
        walk.sample_method(method);
        relation.visit(walk);
        args.visit(walk);
        repeatable.visit(walk);
    }
}

/// A row lock. Its relations are aliases of the same `FROM`, so they name no further table.
impl Visit for pb::LockingClause {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { locked_rels: _, strength: _, wait_policy: _ } = self;
        walk.raise(SqlClass::Write);
    }
}
