//! The system's own relations: some hold credentials or server files, none is written directly.

use countersign_core::action::sql::SqlClass;

/// Relations of `pg_catalog` that show password hashes, connection strings with passwords, or files of the server, and
/// why. Sorted.
const GUARDED: &[(&str, &str)] = &[
    ("pg_authid", "password hashes"),
    ("pg_file_settings", "the server's configuration files"),
    ("pg_hba_file_rules", "the server's authentication file"),
    ("pg_ident_file_mappings", "the server's user name maps"),
    ("pg_shadow", "password hashes"),
    ("pg_subscription", "connection strings"),
    ("pg_user_mapping", "passwords of foreign servers"),
    ("pg_user_mappings", "passwords of foreign servers"),
];

/// Relations of `information_schema` that show passwords of foreign servers. Sorted.
const GUARDED_INFORMATION: &[&str] = &["_pg_user_mappings", "user_mapping_options"];

/// What reading this relation costs. `pg_catalog` comes first on every search path that does not name it, so an
/// unqualified name is taken for the system's.
pub(in super::super::super) fn read_class(schema: &str, name: &str) -> SqlClass {
    let guarded = match schema {
        "" | "pg_catalog" => GUARDED.binary_search_by_key(&name, |(name, _)| name).is_ok(),
        "information_schema" => GUARDED_INFORMATION.binary_search(&name).is_ok(),
        _ => false,
    };
    if guarded { SqlClass::Admin } else { SqlClass::Read }
}

/// What writing or redefining this relation costs beyond the command itself: the system's own are not to be written.
pub(in super::super::super) fn write_class(schema: &str, name: &str) -> SqlClass {
    let system = match schema {
        "pg_catalog" | "information_schema" | "pg_toast" => true,
        "" => name.starts_with("pg_"),
        _ => false,
    };
    if system { SqlClass::Admin } else { SqlClass::Read }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        assert!(GUARDED.is_sorted());
        assert!(GUARDED_INFORMATION.is_sorted());
    }
}
