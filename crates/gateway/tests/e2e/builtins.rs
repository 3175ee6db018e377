//! The list of what built-in functions do, held against a server's own catalog.

use std::collections::{BTreeMap, BTreeSet};

use countersign::protocols::postgres::describe::{NoSession, describe};
use countersign_core::action::sql::SqlClass;

use crate::harness::{Plan, World};

const LIST: &str = include_str!("../../src/protocols/postgres/describe/builtin/functions.txt");

/// Functions that the server calls volatile and the list calls a read, and why they have no effect.
const VOLATILE_READS: &[(&str, &[&str])] = &[
    (
        "their value differs from call to call, and nothing else",
        &[
            "clock_timestamp",
            "timeofday",
            "random",
            "gen_random_uuid",
            "current_query",
            "random_normal",
            "uuidv4",
            "uuidv7",
            "array_sample",
            "array_shuffle",
        ],
    ),
    (
        "they read the own session's state",
        &[
            "currval",
            "lastval",
            "currtid2",
            "lo_get",
            "pg_replication_origin_session_is_setup",
            "txid_status",
            "pg_xact_status",
            "pg_xact_commit_timestamp",
            "pg_xact_commit_timestamp_origin",
            "pg_last_committed_xact",
            "pg_get_multixact_members",
            "pg_get_backend_memory_contexts",
            "pg_sequence_last_value",
        ],
    ),
    (
        "they read the server's state",
        &[
            "pg_blocking_pids",
            "pg_safe_snapshot_blocking_pids",
            "pg_isolation_test_session_is_blocked",
            "pg_lock_status",
            "pg_control_checkpoint",
            "pg_control_init",
            "pg_control_recovery",
            "pg_control_system",
            "pg_current_wal_flush_lsn",
            "pg_current_wal_insert_lsn",
            "pg_current_wal_lsn",
            "pg_last_wal_receive_lsn",
            "pg_last_wal_replay_lsn",
            "pg_last_xact_replay_timestamp",
            "pg_is_in_recovery",
            "pg_is_wal_replay_paused",
            "pg_get_wal_replay_pause_state",
            "pg_get_wal_resource_managers",
            "pg_get_shmem_allocations",
            "pg_notification_queue_usage",
            "pg_prepared_xact",
            "pg_jit_available",
            "pg_show_replication_origin_status",
            "pg_collation_actual_version",
            "pg_database_collation_actual_version",
            "pg_get_wal_summarizer_state",
            "pg_available_wal_summaries",
            "pg_wal_summary_contents",
            "pg_get_loaded_modules",
            "pg_get_aios",
            "pg_get_wait_events",
            "pg_get_sequence_data",
            "pg_numa_available",
            "pg_show_all_settings",
        ],
    ),
    (
        "they read sizes and shapes of relations",
        &[
            "pg_database_size",
            "pg_indexes_size",
            "pg_relation_size",
            "pg_table_size",
            "pg_tablespace_size",
            "pg_total_relation_size",
            "pg_partition_ancestors",
            "pg_partition_tree",
        ],
    ),
    (
        "they read statistics",
        &[
            "pg_stat_get_recovery_prefetch",
            "pg_stat_have_stats",
            "pg_stat_get_xact_blocks_fetched",
            "pg_stat_get_xact_blocks_hit",
            "pg_stat_get_xact_function_calls",
            "pg_stat_get_xact_function_self_time",
            "pg_stat_get_xact_function_total_time",
            "pg_stat_get_xact_numscans",
            "pg_stat_get_xact_tuples_deleted",
            "pg_stat_get_xact_tuples_fetched",
            "pg_stat_get_xact_tuples_hot_updated",
            "pg_stat_get_xact_tuples_inserted",
            "pg_stat_get_xact_tuples_newpage_updated",
            "pg_stat_get_xact_tuples_returned",
            "pg_stat_get_xact_tuples_updated",
            "pg_stat_get_io",
            "pg_stat_get_backend_io",
            "pg_stat_get_backend_wal",
        ],
    ),
];

/// Names of functions that came after PostgreSQL 15, by the release they came with.
const NEWER: &[(u32, &[&str])] = &[
    (
        16,
        &[
            "any_value",
            "array_sample",
            "array_shuffle",
            "date_add",
            "date_subtract",
            "erf",
            "erfc",
            "pg_get_wait_events",
            "pg_input_error_info",
            "pg_input_is_valid",
            "pg_split_walfile_name",
            "pg_stat_get_backend_subxact",
            "pg_stat_get_io",
            "pg_stat_get_lastscan",
            "pg_stat_get_tuples_newpage_updated",
            "pg_stat_get_xact_tuples_newpage_updated",
            "random_normal",
            "system_user",
            "json_agg_strict",
            "json_object_agg_strict",
            "json_object_agg_unique",
            "json_object_agg_unique_strict",
            "jsonb_agg_strict",
            "jsonb_object_agg_strict",
            "jsonb_object_agg_unique",
            "jsonb_object_agg_unique_strict",
        ],
    ),
    (
        17,
        &[
            "icu_unicode_version",
            "pg_available_wal_summaries",
            "pg_basetype",
            "pg_column_toast_chunk_id",
            "pg_get_wal_summarizer_state",
            "pg_stat_get_checkpointer_buffers_written",
            "pg_stat_get_checkpointer_num_requested",
            "pg_stat_get_checkpointer_num_timed",
            "pg_stat_get_checkpointer_restartpoints_performed",
            "pg_stat_get_checkpointer_restartpoints_requested",
            "pg_stat_get_checkpointer_restartpoints_timed",
            "pg_stat_get_checkpointer_stat_reset_time",
            "pg_stat_get_checkpointer_sync_time",
            "pg_stat_get_checkpointer_write_time",
            "pg_wal_summary_contents",
            "to_bin",
            "to_oct",
            "to_regtypemod",
            "unicode_assigned",
            "unicode_version",
            "uuid_extract_timestamp",
            "uuid_extract_version",
            "xmltext",
        ],
    ),
    (
        18,
        &[
            "array_reverse",
            "array_sort",
            "casefold",
            "crc32",
            "crc32c",
            "gamma",
            "lgamma",
            "has_largeobject_privilege",
            "pg_get_acl",
            "pg_get_aios",
            "pg_get_loaded_modules",
            "pg_get_sequence_data",
            "pg_numa_available",
            "pg_stat_get_backend_io",
            "pg_stat_get_backend_wal",
            "pg_stat_get_total_analyze_time",
            "pg_stat_get_total_autoanalyze_time",
            "pg_stat_get_total_autovacuum_time",
            "pg_stat_get_total_vacuum_time",
            "uuidv4",
            "uuidv7",
        ],
    ),
];

/// Functions that run SQL or reach relations, files, programs or sessions named by their arguments, as patterns of SQL;
/// and those among them that only read large objects.
const FAR_REACHING: &str = "query\\_to\\_xml% table\\_to\\_xml% schema\\_to\\_xml% database\\_to\\_xml% cursor\\_to\\_xml% \
    nextval setval set\\_config lo\\_% loread lowrite pg\\_read\\_% pg\\_ls\\_% pg\\_stat\\_file pg\\_file\\_% \
    pg\\_current\\_logfile pg\\_hba\\_% pg\\_ident\\_% ts\\_stat ts\\_rewrite dblink% pg\\_logical\\_% \
    pg\\_replication\\_origin\\_create pg\\_replication\\_origin\\_drop pg\\_replication\\_origin\\_advance \
    pg\\_create\\_% pg\\_drop\\_% pg\\_copy\\_% pg\\_notify pg\\_cancel\\_% pg\\_terminate\\_% pg\\_reload\\_% pg\\_rotate\\_% \
    pg\\_promote pg\\_switch\\_wal pg\\_wal\\_replay\\_% pg\\_backup\\_% pg\\_start\\_backup pg\\_stop\\_backup \
    pg\\_advisory\\_% pg\\_try\\_advisory\\_% pg\\_stat\\_reset% pg\\_export\\_snapshot pg\\_log\\_% pg\\_import\\_% \
    pg\\_extension\\_config% pg\\_current\\_xact\\_id txid\\_current binary\\_upgrade\\_% brin\\_summarize% brin\\_desummarize% \
    gin\\_clean% pg\\_nextoid %\\_call\\_handler %\\_inline\\_handler %\\_validator";
const READS_AMONG_THEM: &[&str] = &["lo_get"];

/// The names in a section of the list.
fn listed(section: &str) -> BTreeSet<&'static str> {
    let heading = format!("[{section}]");
    let lines = LIST.lines().skip_while(|line| *line != heading).skip(1);
    lines.take_while(|line| !line.starts_with('[')).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// The class that the gateway gives a call.
fn class_of_call(name: &str) -> SqlClass {
    describe(&format!("SELECT pg_catalog.\"{name}\"()"), &NoSession).facts.class
}

fn release(world: &World) -> u32 {
    world.truth("SELECT current_setting('server_version_num')::int / 10000").parse().unwrap()
}

#[test]
fn listed_functions_exist_and_have_no_effect_in_any_form() {
    let world = Plan::default().prepare();
    let sql = "SELECT proname || ' ' || string_agg(DISTINCT provolatile::text, '') FROM pg_proc \
               WHERE pronamespace = 'pg_catalog'::regnamespace GROUP BY proname";
    let told = world.truth(sql);
    let server: BTreeMap<&str, &str> = told.lines().filter_map(|line| line.split_once(' ')).collect();
    let release = release(&world);
    let newer: BTreeSet<&str> =
        NEWER.iter().filter(|(since, _)| *since > release).flat_map(|(_, names)| *names).copied().collect();
    let justified: BTreeSet<&str> = VOLATILE_READS.iter().flat_map(|(_, names)| *names).copied().collect();
    let reads = listed("read");
    let missing: Vec<_> = reads.iter().filter(|name| !server.contains_key(*name) && !newer.contains(*name)).collect();
    assert!(missing.is_empty(), "listed, but not on a server of release {release}: {missing:?}");
    let volatile: Vec<_> = reads
        .iter()
        .filter(|name| server.get(*name).is_some_and(|kinds| kinds.contains('v')) && !justified.contains(*name))
        .collect();
    assert!(volatile.is_empty(), "listed, volatile in one of their forms, and not justified: {volatile:?}");
    let idle: Vec<_> = justified.iter().filter(|name| !reads.contains(*name)).collect();
    assert!(idle.is_empty(), "justified, but not listed: {idle:?}");
    for name in server.keys() {
        assert_eq!(class_of_call(name) == SqlClass::Read, reads.contains(name), "{name}");
    }
    assert!(reads.len() > 1_500 && server.len() > 2_000);
}

/// Functions that are SQL themselves are what their SQL is.
#[test]
fn listed_functions_in_sql_only_read() {
    let world = Plan::default().prepare();
    let bodies = "SELECT json_agg(json_build_array(proname, pg_get_function_sqlbody(oid), prosrc)) FROM pg_proc \
                  WHERE pronamespace = 'pg_catalog'::regnamespace AND prolang = 14";
    let bodies: Vec<(String, Option<String>, String)> = serde_json::from_str(&world.truth(bodies)).unwrap();
    let reads = listed("read");
    let mut examined = 0;
    for (name, body, source) in bodies.iter().filter(|(name, ..)| reads.contains(name.as_str())) {
        let body = body.as_deref().unwrap_or(source).trim();
        let sql = match body.strip_prefix("RETURN ") {
            Some(expression) => format!("SELECT {expression}"),
            None => body.trim_start_matches("BEGIN ATOMIC").trim_end_matches("END").to_owned(),
        };
        let described = describe(&sql, &NoSession);
        assert!(described.parse_error.is_none(), "{name}: {sql}: {:?}", described.parse_error);
        assert_eq!(described.facts.class, SqlClass::Read, "{name}: {sql}");
        examined += 1;
    }
    assert!(examined > 30, "{examined}");
}

#[test]
fn functions_that_reach_far_are_not_listed() {
    let world = Plan::default().prepare();
    let mut found = 0;
    for pattern in FAR_REACHING.split_whitespace() {
        let sql = format!(
            "SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname LIKE '{pattern}'"
        );
        for name in world.truth(&sql).lines() {
            let free = class_of_call(name) == SqlClass::Read;
            assert_eq!(free, READS_AMONG_THEM.contains(&name), "{name}");
            found += 1;
        }
    }
    assert!(found > 120, "{found}");
    for name in ["dblink", "dblink_exec", "pg_file_write", "no_such_function"] {
        assert_ne!(class_of_call(name), SqlClass::Read, "{name}");
    }
}
