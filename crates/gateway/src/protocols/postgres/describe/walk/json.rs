//! SQL/JSON and XML constructs.
//!
//! Servers before 16 and 17 do not know the newer ones as special forms and take them for calls of a user's function of
//! that name, so each is also named among the functions.

use pg_query::protobuf as pb;

use super::{Visit, Walk, leaves, parts};

parts! {
    XmlExpr { xpr, named_args, arg_names, args; op, name, xmloption, indent, r#type, typmod, location }
    XmlSerialize { expr, type_name; xmloption, indent, location }
    JsonReturning { format; typid, typmod }
    JsonValueExpr { raw_expr, formatted_expr, format; }
    JsonIsPredicate { expr, format; item_type, unique_keys, location }
    JsonBehavior { expr; btype, coerce, location }
    JsonOutput { type_name, returning; }
    JsonArgument { val; name }
    JsonKeyValue { key, value; }
    JsonAggConstructor { output, agg_filter, agg_order, over; location }
    JsonTableColumn {
        type_name, pathspec, format, columns, on_empty, on_error;
        coltype, name, wrapper, quotes, location
    }
    JsonTablePathSpec { string; name, name_location, location }
}

leaves! {
    JsonFormat { format_type, encoding, location }
}

/// As `parts!`, for a form that older servers take for a call of the function named first.
macro_rules! forms {
    ($($function:literal $kind:ident { $($visited:ident),* ; $($skipped:ident),* })*) => {
        $(impl Visit for pb::$kind {
            fn visit(&self, walk: &mut Walk<'_>) {
                let Self { $($visited,)* $($skipped: _,)* } = self;
                walk.form($function);
                $($visited.visit(walk);)*
            }
        })*
    };
}

forms! {
    "json" JsonParseExpr { expr, output; unique_keys, location }
    "json_scalar" JsonScalarExpr { expr, output; location }
    "json_serialize" JsonSerializeExpr { expr, output; location }
    "json_object" JsonObjectConstructor { exprs, output; absent_on_null, unique, location }
    "json_array" JsonArrayConstructor { exprs, output; absent_on_null, location }
    "json_array" JsonArrayQueryConstructor { query, output, format; absent_on_null, location }
    "json_objectagg" JsonObjectAgg { constructor, arg; absent_on_null, unique }
    "json_arrayagg" JsonArrayAgg { constructor, arg; absent_on_null }
    "json_table" JsonTable { context_item, pathspec, passing, columns, on_error; alias, lateral, location }
}

impl Visit for pb::JsonFuncExpr {
    fn visit(&self, walk: &mut Walk<'_>) {
        use pb::JsonExprOp as Op;
        #[rustfmt::skip]
        let Self {
            op, context_item, pathspec, passing, output, on_empty, on_error,
            column_name: _, wrapper: _, quotes: _, location: _,
        } = self;
        match Op::try_from(*op) {
            Ok(Op::JsonExistsOp) => walk.form("json_exists"),
            Ok(Op::JsonQueryOp) => walk.form("json_query"),
            Ok(Op::JsonValueOp) => walk.form("json_value"),
            Ok(Op::JsonTableOp) => walk.form("json_table"),
            Ok(Op::Undefined) | Err(_) => walk.unknown(),
        }
        context_item.visit(walk);
        pathspec.visit(walk);
        passing.visit(walk);
        output.visit(walk);
        on_empty.visit(walk);
        on_error.visit(walk);
    }
}
