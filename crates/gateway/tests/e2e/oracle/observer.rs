//! What a statement did, seen from another session of the same server.
//!
//! The server hands out a transaction number to whatever changes anything that a transaction keeps, and writes its log for
//! whatever changes anything at all; neither lies, and both are read without leaving a trace. What needs neither (locks,
//! settings, other sessions, statistics, the configuration) is read besides.

use crate::harness::raw::{Raw, Reply};

/// Marks of one moment, as one row for each. `%` is the process of the session that is watched.
const MARKS: &str = "
SELECT 'write: transaction numbers', pg_snapshot_xmax(pg_current_snapshot())::text
UNION ALL SELECT 'write: the log', pg_current_wal_insert_lsn()::text
UNION ALL SELECT 'write: advisory locks', count(*)::text FROM pg_locks WHERE locktype = 'advisory'
UNION ALL SELECT 'write: locks on relations', count(*)::text FROM pg_locks WHERE pid = % AND mode <> 'AccessShareLock'
  AND locktype <> 'virtualxid'
UNION ALL SELECT 'write: statistics', concat((SELECT max(stats_reset) FROM pg_stat_database),
  (SELECT stats_reset FROM pg_stat_bgwriter), (SELECT stats_reset FROM pg_stat_wal), (SELECT max(stats_reset) FROM pg_stat_slru))
UNION ALL SELECT 'admin: sessions', count(*)::text FROM pg_stat_activity WHERE application_name = 'bystander'
UNION ALL SELECT 'admin: configuration', pg_conf_load_time()::text
UNION ALL SELECT 'admin: replication', concat((SELECT count(*) FROM pg_replication_slots), pg_is_in_recovery())
UNION ALL SELECT 'admin: files', concat((SELECT string_agg(name, ',' ORDER BY name) FROM pg_ls_dir('.') AS name),
  (SELECT modification FROM pg_stat_file('postgresql.auto.conf')))";

/// Marks of the session itself.
const SESSION: &str = "
SELECT 'session: settings', md5(string_agg(concat(name, '=', setting), ',' ORDER BY name)) FROM pg_catalog.pg_settings
UNION ALL SELECT 'session: channels', count(*)::text FROM pg_catalog.pg_listening_channels()
UNION ALL SELECT 'session: user', concat(current_user, '/', session_user)";

/// The system's own tables that hold definitions and rights: changing rows leaves them alone.
const CATALOGS: &[&str] = &[
    "pg_aggregate",
    "pg_am",
    "pg_amop",
    "pg_amproc",
    "pg_attrdef",
    "pg_attribute",
    "pg_auth_members",
    "pg_authid",
    "pg_cast",
    "pg_class",
    "pg_collation",
    "pg_constraint",
    "pg_conversion",
    "pg_database",
    "pg_db_role_setting",
    "pg_default_acl",
    "pg_depend",
    "pg_description",
    "pg_enum",
    "pg_event_trigger",
    "pg_extension",
    "pg_foreign_data_wrapper",
    "pg_foreign_server",
    "pg_foreign_table",
    "pg_index",
    "pg_inherits",
    "pg_init_privs",
    "pg_language",
    "pg_namespace",
    "pg_opclass",
    "pg_operator",
    "pg_opfamily",
    "pg_parameter_acl",
    "pg_partitioned_table",
    "pg_policy",
    "pg_proc",
    "pg_publication",
    "pg_range",
    "pg_rewrite",
    "pg_seclabel",
    "pg_sequence",
    "pg_shdescription",
    "pg_statistic_ext",
    "pg_subscription",
    "pg_tablespace",
    "pg_transform",
    "pg_trigger",
    "pg_ts_config",
    "pg_ts_dict",
    "pg_ts_parser",
    "pg_ts_template",
    "pg_type",
    "pg_user_mapping",
];

/// What was read: for each thing, the lowest class that may change it, its name, and its value.
pub(super) type Marks = Vec<(String, String)>;

/// The observing session.
pub(super) struct Observer {
    raw: Raw,
    marks: String,
    catalogs: String,
}

impl Observer {
    /// Watches the session of this process.
    pub(super) fn new(raw: Raw, process: &str) -> Self {
        let rows = |table: &&str| {
            format!("SELECT 'ddl: {table}', concat(count(*), '/', max(xmin::text::bigint)) FROM pg_catalog.{table}")
        };
        let catalogs = CATALOGS.iter().map(rows).collect::<Vec<_>>().join(" UNION ALL ");
        Self { raw, marks: MARKS.replace('%', process), catalogs }
    }

    pub(super) fn marks(&mut self) -> Marks {
        pairs(&self.raw.simple(&self.marks))
    }

    pub(super) fn catalogs(&mut self) -> Marks {
        pairs(&self.raw.simple(&self.catalogs))
    }
}

/// Marks that only the session itself can tell.
pub(super) fn session(raw: &mut Raw) -> Marks {
    pairs(&raw.simple(SESSION))
}

fn pairs(replies: &[Reply]) -> Marks {
    rows(replies).into_iter().map(|mut row| (row.remove(0), row.remove(0))).collect()
}

/// The rows among replies; nulls are empty.
pub(super) fn rows(replies: &[Reply]) -> Vec<Vec<String>> {
    if let Some(error) = replies.iter().find(|reply| reply.0 == 'E') {
        panic!("{}", String::from_utf8_lossy(&error.1));
    }
    replies.iter().filter(|reply| reply.0 == 'D').map(|reply| row(&reply.1)).collect()
}

fn row(body: &[u8]) -> Vec<String> {
    let (count, mut rest) = body.split_first_chunk::<2>().unwrap();
    let mut values = Vec::new();
    for _ in 0..i16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>().unwrap();
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0); // -1 is null
        let (value, after) = after.split_at(length);
        values.push(String::from_utf8_lossy(value).into_owned());
        rest = after;
    }
    values
}

/// The names whose values differ.
pub(super) fn differences(before: &Marks, after: &Marks) -> Vec<String> {
    assert_eq!(before.len(), after.len());
    before.iter().zip(after).filter(|(before, after)| before != after).map(|(before, _)| before.0.clone()).collect()
}
