//! Built-in types: reading a value of theirs, or casting to one, runs only built-in code.

use pg_query::protobuf::TypeName;

use super::super::names;

/// Types of `pg_catalog` that a value can have, PostgreSQL 15 to 18, by the names they have there. Sorted.
const TYPES: &[&str] = &[
    "aclitem",
    "bit",
    "bool",
    "box",
    "bpchar",
    "bytea",
    "char",
    "cid",
    "cidr",
    "circle",
    "cstring",
    "date",
    "datemultirange",
    "daterange",
    "float4",
    "float8",
    "gtsvector",
    "inet",
    "int2",
    "int2vector",
    "int4",
    "int4multirange",
    "int4range",
    "int8",
    "int8multirange",
    "int8range",
    "interval",
    "json",
    "jsonb",
    "jsonpath",
    "line",
    "lseg",
    "macaddr",
    "macaddr8",
    "money",
    "name",
    "numeric",
    "nummultirange",
    "numrange",
    "oid",
    "oidvector",
    "path",
    "pg_lsn",
    "pg_node_tree",
    "pg_snapshot",
    "point",
    "polygon",
    "record",
    "refcursor",
    "regclass",
    "regcollation",
    "regconfig",
    "regdatabase",
    "regdictionary",
    "regnamespace",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
    "text",
    "tid",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "tsmultirange",
    "tsquery",
    "tsrange",
    "tstzmultirange",
    "tstzrange",
    "tsvector",
    "txid_snapshot",
    "unknown",
    "uuid",
    "varbit",
    "varchar",
    "void",
    "xid",
    "xid8",
    "xml",
];

/// Domains of `information_schema`, whose checks are built in. Sorted.
const INFORMATION_SCHEMA_DOMAINS: &[&str] =
    &["cardinal_number", "character_data", "sql_identifier", "time_stamp", "yes_or_no"];

/// Types a constant keeps its text through when it is cast to them.
const TEXT_TYPES: &[&str] = &["bpchar", "name", "text", "unknown", "varchar"];

/// Whether a type of this name is built in; arrays are also known as `_name`.
pub(in super::super) fn is_builtin_name(name: &str) -> bool {
    let element = name.strip_prefix('_').unwrap_or(name);
    TYPES.binary_search(&element).is_ok()
}

/// Whether a type as written, qualified or not, is built in.
pub(in super::super) fn is_builtin(type_name: &TypeName) -> bool {
    if type_name.pct_type {
        return false;
    }
    match names::strings(&type_name.names).as_deref() {
        Some([name] | ["pg_catalog", name]) => is_builtin_name(name),
        Some(["information_schema", name]) => INFORMATION_SCHEMA_DOMAINS.binary_search(name).is_ok(),
        Some(_) | None => false,
    }
}

/// Whether a constant cast to this type keeps its text: an unbounded text type, no array.
pub(in super::super) fn is_text(type_name: &TypeName) -> bool {
    let plain = type_name.array_bounds.is_empty() && type_name.typmods.is_empty();
    match names::strings(&type_name.names).as_deref() {
        Some([name] | ["pg_catalog", name]) => plain && TEXT_TYPES.contains(name),
        Some(_) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_sorted() {
        assert!(TYPES.is_sorted());
        assert!(INFORMATION_SCHEMA_DOMAINS.is_sorted());
    }
}
