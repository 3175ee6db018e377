//! The routine that a `CREATE OR REPLACE` would put in the place of one that stands.

use pg_query::protobuf as pb;
use pg_query::{Node, NodeEnum};

use super::{names, parser, text};

/// A function or procedure with a body of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routine {
    /// Its name and the types of its arguments, as `to_regprocedure` reads them.
    pub signature: String,
    /// What it would do.
    pub body: String,
}

/// The routine that a message of one statement may replace. None where its body is no text (`BEGIN ATOMIC`, C), or an argument
/// has the type of another object's column.
pub fn replacement(sql: &str) -> Option<Routine> {
    let found = parser::with_tree(sql, |statements| match statements.as_slice() {
        [NodeEnum::CreateFunctionStmt(create)] if create.replace => routine(create),
        _ => None,
    });
    found.ok().flatten()
}

fn routine(create: &pb::CreateFunctionStmt) -> Option<Routine> {
    let arguments = create.parameters.iter().filter_map(|parameter| argument(parameter, create.is_procedure));
    let arguments = arguments.collect::<Option<Vec<String>>>()?;
    let body = create.options.iter().find_map(body)?;
    Some(Routine { signature: format!("{}({})", dotted(&create.funcname)?, arguments.join(", ")), body })
}

/// The type of a parameter that tells routines of one name apart: a function's results do not.
fn argument(parameter: &Node, is_procedure: bool) -> Option<Option<String>> {
    let Some(NodeEnum::FunctionParameter(parameter)) = &parameter.node else { return Some(None) };
    match pb::FunctionParameterMode::try_from(parameter.mode) {
        Ok(pb::FunctionParameterMode::FuncParamTable) => None,
        Ok(pb::FunctionParameterMode::FuncParamOut) if !is_procedure => None,
        Ok(_) => Some(parameter.arg_type.as_ref().and_then(type_name)),
        Err(_) => Some(None),
    }
}

fn type_name(name: &pb::TypeName) -> Option<String> {
    let array = if name.array_bounds.is_empty() { "" } else { "[]" };
    Some(format!("{}{array}", dotted(&name.names)?)).filter(|_| !name.pct_type && !name.setof)
}

/// Parts of a name, quoted where they have to be.
fn dotted(parts: &[Node]) -> Option<String> {
    let parts: Option<Vec<String>> = parts.iter().map(|part| Some(names::quoted("", names::string(part)?))).collect();
    parts.map(|parts| parts.join("."))
}

/// The text of an `AS` with one.
fn body(option: &Node) -> Option<String> {
    let Some(NodeEnum::DefElem(option)) = &option.node else { return None };
    match option.arg.as_deref()?.node.as_ref()? {
        NodeEnum::List(list) if option.defname == "as" => match list.items.as_slice() {
            [only] => text::constant(only),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sql: &str, expected: Option<(&str, &str)>) {
        let found = replacement(sql);
        let found = found.as_ref().map(|routine| (routine.signature.as_str(), routine.body.as_str()));
        assert_eq!(found, expected, "{sql}");
    }

    #[test]
    fn what_is_replaced_has_a_signature_and_a_body() {
        check(
            "CREATE OR REPLACE FUNCTION f(a int, OUT b text) LANGUAGE sql AS $$SELECT 'x'$$",
            Some(("f(pg_catalog.int4)", "SELECT 'x'")),
        );
        check(
            "CREATE OR REPLACE FUNCTION \"My\".f(VARIADIC a text[], b my.kind = 'k') RETURNS int LANGUAGE plpgsql AS 'x'",
            Some(("\"My\".f(text[], my.kind)", "x")),
        );
        check(
            "CREATE OR REPLACE PROCEDURE p(OUT a numeric(3,1)) LANGUAGE sql AS 'x'",
            Some(("p(pg_catalog.\"numeric\")", "x")),
        );
        for none in [
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "CREATE OR REPLACE FUNCTION f(a t.c%TYPE) RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1",
            "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE c AS 'lib', 'f'",
            "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT 1",
            "CREATE OR REPLACE VIEW v AS SELECT 1",
            "SELECT 'x",
        ] {
            check(none, None);
        }
    }
}
