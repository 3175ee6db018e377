//! Names as they are written in facts: parts joined by dots, quoted only where PostgreSQL would need it.

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, RangeVar};

/// Keywords that cannot stand for a table's name without quotes: every category of `kwlist.h` but `UNRESERVED_KEYWORD`,
/// as `quote_ident` has it. Sorted; a test holds it against the parser's own scanner.
const KEYWORDS: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "dec",
    "decimal",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "float",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "inout",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "json",
    "json_array",
    "json_arrayagg",
    "json_exists",
    "json_object",
    "json_objectagg",
    "json_query",
    "json_scalar",
    "json_serialize",
    "json_table",
    "json_value",
    "lateral",
    "leading",
    "least",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "merge_action",
    "national",
    "natural",
    "nchar",
    "none",
    "normalize",
    "not",
    "notnull",
    "null",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "out",
    "outer",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "system_user",
    "table",
    "tablesample",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "treat",
    "trim",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "varchar",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

/// `name` as an identifier, quoted where needed.
pub(super) fn identifier(name: &str) -> String {
    if is_plain(name) { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// Parts of a qualified name, joined.
pub(in crate::protocols::postgres) fn join(parts: &[&str]) -> String {
    let quoted: Vec<String> = parts.iter().map(|part| identifier(part)).collect();
    quoted.join(".")
}

/// A name with its schema, if it has one.
pub(in super::super) fn quoted(schema: &str, name: &str) -> String {
    if schema.is_empty() { identifier(name) } else { join(&[schema, name]) }
}

/// A relation's name with the qualifiers it is written with.
pub(in crate::protocols::postgres) fn relation(relation: &RangeVar) -> String {
    let parts = [&relation.catalogname, &relation.schemaname, &relation.relname];
    let written: Vec<&str> = parts.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    join(&written)
}

/// The identifiers of a list of string nodes; `None` when it holds anything else.
pub(in crate::protocols::postgres) fn strings(nodes: &[Node]) -> Option<Vec<&str>> {
    nodes.iter().map(string).collect()
}

/// Whether this is a column of this name, whatever it is qualified with.
pub(super) fn is_column(node: &Node, name: &str) -> bool {
    let Some(NodeEnum::ColumnRef(column)) = &node.node else { return false };
    column.fields.last().and_then(string) == Some(name)
}

/// The identifier a string node holds.
pub(super) fn string(node: &Node) -> Option<&str> {
    match node.node.as_ref() {
        Some(NodeEnum::String(string)) => Some(&string.sval),
        _ => None,
    }
}

fn is_plain(name: &str) -> bool {
    let mut bytes = name.bytes();
    let starts = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_');
    starts
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && KEYWORDS.binary_search(&name).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_sorted() {
        assert!(KEYWORDS.is_sorted());
    }

    #[test]
    fn keywords_are_the_scanners() {
        for keyword in KEYWORDS {
            let kind = keyword_kind(keyword);
            assert!(kind > 1, "`{keyword}` needs no quotes (kind {kind})");
        }
        for plain in ["name", "value", "orders", "data", "type", "role", "view", "date", "year", "key", "zone"] {
            assert!(keyword_kind(plain) <= 1, "`{plain}` needs quotes");
        }
    }

    fn keyword_kind(word: &str) -> i32 {
        let tokens = super::super::parser::tokens(word).expect("a word scans");
        tokens.first().expect("a word has a token").keyword_kind
    }

    #[test]
    fn identifiers_are_quoted_where_needed() {
        for (name, written) in [
            ("orders", "orders"),
            ("Weird Name", "\"Weird Name\""),
            ("has\"quote", "\"has\"\"quote\""),
            ("order", "\"order\""),
            ("_x1", "_x1"),
            ("1x", "\"1x\""),
            ("größe", "\"größe\""),
        ] {
            assert_eq!(identifier(name), written);
        }
    }
}
