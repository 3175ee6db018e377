//! Settings of the session: which of them are harmless to change, and to what.
//!
//! A setting that is not listed is `admin`: it changes rights, how text is read, what the server loads or logs, or it
//! belongs to an extension and could do anything. All that a user may set in PostgreSQL 15 to 18 were gone through; the
//! last list names those that were left out on purpose, and why.

use countersign_core::action::sql::SqlClass;

/// Harmless while built-in names keep their meaning; see [`search_path_class`].
const SEARCH_PATH: &str = "search_path";

/// Harmless at any value: presentation, time limits, memory, planning, statistics, defaults of new objects. Sorted.
const HARMLESS: &[&str] = &[
    "application_name",
    "array_nulls",
    "backend_flush_after",
    "bytea_output",
    "check_function_bodies",
    "client_connection_check_interval",
    "client_min_messages",
    "commit_siblings",
    "constraint_exclusion",
    "cpu_index_tuple_cost",
    "cpu_operator_cost",
    "cpu_tuple_cost",
    "cursor_tuple_fraction",
    "datestyle",
    "debug_parallel_query",
    "debug_pretty_print",
    "default_statistics_target",
    "default_table_access_method",
    "default_tablespace",
    "default_text_search_config",
    "default_toast_compression",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "effective_cache_size",
    "effective_io_concurrency",
    "enable_async_append",
    "enable_bitmapscan",
    "enable_distinct_reordering",
    "enable_gathermerge",
    "enable_group_by_reordering",
    "enable_hashagg",
    "enable_hashjoin",
    "enable_incremental_sort",
    "enable_indexonlyscan",
    "enable_indexscan",
    "enable_material",
    "enable_memoize",
    "enable_mergejoin",
    "enable_nestloop",
    "enable_parallel_append",
    "enable_parallel_hash",
    "enable_partition_pruning",
    "enable_partitionwise_aggregate",
    "enable_partitionwise_join",
    "enable_presorted_aggregate",
    "enable_self_join_elimination",
    "enable_seqscan",
    "enable_sort",
    "enable_tidscan",
    "escape_string_warning",
    "exit_on_error",
    "extra_float_digits",
    "force_parallel_mode",
    "from_collapse_limit",
    "geqo",
    "geqo_effort",
    "geqo_generations",
    "geqo_pool_size",
    "geqo_seed",
    "geqo_selection_bias",
    "geqo_threshold",
    "gin_fuzzy_search_limit",
    "gin_pending_list_limit",
    "hash_mem_multiplier",
    "icu_validation_level",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "intervalstyle",
    "io_combine_limit",
    "jit",
    "jit_above_cost",
    "jit_expressions",
    "jit_inline_above_cost",
    "jit_optimize_above_cost",
    "jit_tuple_deforming",
    "join_collapse_limit",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "lock_timeout",
    "logical_decoding_work_mem",
    "maintenance_io_concurrency",
    "maintenance_work_mem",
    "max_parallel_maintenance_workers",
    "max_parallel_workers",
    "max_parallel_workers_per_gather",
    "min_parallel_index_scan_size",
    "min_parallel_table_scan_size",
    "parallel_leader_participation",
    "parallel_setup_cost",
    "parallel_tuple_cost",
    "plan_cache_mode",
    "quote_all_identifiers",
    "random_page_cost",
    "recursive_worktable_factor",
    "row_security", // off makes a query fail that a policy would have filtered; it never lifts a policy
    "seed",
    "seq_page_cost",
    "statement_timeout",
    "stats_fetch_consistency",
    "synchronize_seqscans",
    "synchronous_commit",
    "tcp_keepalives_count",
    "tcp_keepalives_idle",
    "tcp_keepalives_interval",
    "tcp_user_timeout",
    "temp_buffers",
    "temp_tablespaces",
    "timezone",
    "transaction_deferrable",
    "transaction_isolation",
    "transaction_timeout",
    "vacuum_buffer_usage_limit",
    "vacuum_cost_delay",
    "vacuum_cost_limit",
    "vacuum_cost_page_dirty",
    "vacuum_cost_page_hit",
    "vacuum_cost_page_miss",
    "vacuum_failsafe_age",
    "vacuum_freeze_min_age",
    "vacuum_freeze_table_age",
    "vacuum_multixact_failsafe_age",
    "vacuum_multixact_freeze_min_age",
    "vacuum_multixact_freeze_table_age",
    "wal_sender_timeout",
    "wal_skip_threshold",
    "work_mem",
    "xmlbinary",
    "xmloption",
];

/// Harmless at some values only, and why the others are not. Values are compared without regard to case; those of
/// switches also in their other spellings. Resetting one goes to a value that is not in the text, so it is not harmless.
/// Sorted.
const HARMLESS_AT: &[(&str, &[&str], &str)] = &[
    ("backslash_quote", &["off", "safe_encoding"], "`\\'` would end a string where the parser sees none"),
    ("client_encoding", &["utf8", "utf-8", "unicode", "sql_ascii"], "bytes would be read differently than parsed"),
    ("default_transaction_read_only", &["on"], "lifts a read-only session"),
    ("restrict_nonsystem_relation_kind", &["view, foreign-table"], "lifts a restriction"),
    ("standard_conforming_strings", &["on"], "backslashes would end strings elsewhere than parsed"),
    ("transaction_read_only", &["on"], "lifts a read-only transaction"),
    ("transform_null_equals", &["off"], "changes what a condition means"),
];

/// Settings a user may change that are `admin` on purpose, and why: the rest of the review. Sorted. What only a
/// superuser may set is not repeated here.
#[cfg(test)]
const LEFT_OUT: &[(&str, &str)] = &[
    ("createrole_self_grant", "grants rights as a side effect"),
    ("debug_print_parse", "writes statements to the server's log"),
    ("debug_print_plan", "writes statements to the server's log"),
    ("debug_print_rewritten", "writes statements to the server's log"),
    ("local_preload_libraries", "loads code"),
    ("log_parameter_max_length_on_error", "writes values to the server's log"),
    ("password_encryption", "how passwords are stored"),
    ("role", "whose rights hold"),
    ("scram_iterations", "how passwords are stored"),
    ("session_authorization", "whose rights hold"),
    ("timezone_abbreviations", "reads a file of the server, and changes how dates are read"),
    ("trace_notify", "writes to the server's log"),
    ("trace_sort", "writes to the server's log"),
];

/// The class of changing the setting `name`; `value` is `None` for a reset, or when it is computed.
pub(in super::super) fn class(name: &str, value: Option<&str>) -> SqlClass {
    let name = name.to_ascii_lowercase();
    if name == SEARCH_PATH {
        return value.map_or(SqlClass::Session, search_path_class);
    }
    if HARMLESS.binary_search(&name.as_str()).is_ok() {
        return SqlClass::Session;
    }
    let Ok(index) = HARMLESS_AT.binary_search_by_key(&name.as_str(), |(name, _, _)| name) else {
        return SqlClass::Admin;
    };
    let harmless = HARMLESS_AT.get(index).zip(value).is_some_and(|((_, values, _), value)| is_one_of(value, values));
    if harmless { SqlClass::Session } else { SqlClass::Admin }
}

/// The class of changing a setting to a value that is computed.
pub(in super::super) fn computed_class(name: &str) -> SqlClass {
    if name.eq_ignore_ascii_case(SEARCH_PATH) { SqlClass::Admin } else { class(name, None) }
}

/// `pg_catalog` is searched first unless the path names it later; then any schema before it can redefine built-in names.
fn search_path_class(path: &str) -> SqlClass {
    let mut later = path.split(',').skip(1).map(|schema| schema.trim().trim_matches('"'));
    if later.any(|schema| schema.eq_ignore_ascii_case("pg_catalog")) { SqlClass::Admin } else { SqlClass::Session }
}

/// A switch as the server reads it; prefixes that it also takes are not recognised, and so count as neither.
pub(in super::super::super) fn boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "on" | "true" | "t" | "yes" | "y" | "1" => Some(true),
        "off" | "false" | "f" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

fn is_one_of(value: &str, values: &[&str]) -> bool {
    values.iter().any(|allowed| {
        allowed.eq_ignore_ascii_case(value) || (boolean(allowed).is_some() && boolean(allowed) == boolean(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_and_disjoint() {
        assert!(HARMLESS.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(HARMLESS_AT.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(LEFT_OUT.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for name in HARMLESS_AT.iter().map(|(name, _, _)| name).chain(LEFT_OUT.iter().map(|(name, _)| name)) {
            assert!(HARMLESS.binary_search(name).is_err(), "`{name}` is in two lists");
        }
    }

    #[test]
    fn classes() {
        for (name, value, expected) in [
            ("statement_timeout", Some("0"), SqlClass::Session),
            ("DateStyle", Some("iso"), SqlClass::Session),
            ("statement_timeout", None, SqlClass::Session),
            ("role", Some("postgres"), SqlClass::Admin),
            ("ROLE", None, SqlClass::Admin),
            ("standard_conforming_strings", Some("ON"), SqlClass::Session),
            ("standard_conforming_strings", Some("true"), SqlClass::Session),
            ("standard_conforming_strings", Some("off"), SqlClass::Admin),
            ("standard_conforming_strings", None, SqlClass::Admin),
            ("client_encoding", Some("UTF8"), SqlClass::Session),
            ("client_encoding", Some("SJIS"), SqlClass::Admin),
            ("default_transaction_read_only", Some("off"), SqlClass::Admin),
            ("app.user_id", Some("7"), SqlClass::Admin),
            ("search_path", Some("app, public"), SqlClass::Session),
            ("search_path", Some("pg_catalog, app"), SqlClass::Session),
            ("search_path", Some("app, \"pg_catalog\""), SqlClass::Admin),
            ("search_path", None, SqlClass::Session),
        ] {
            assert_eq!(class(name, value), expected, "{name} = {value:?}");
        }
        for (name, _) in LEFT_OUT {
            assert_eq!(class(name, Some("on")), SqlClass::Admin, "{name}");
        }
    }
}
