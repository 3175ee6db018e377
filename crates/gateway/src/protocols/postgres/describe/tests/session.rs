//! Effects on the session, prepared statements, reasons and literals.

use std::collections::BTreeMap;

use countersign_core::action::sql::{SqlClass, SqlStatement};

use super::super::{
    CopyFormat, CopyIn, Discard, Effect, LiteralKind, Name, Referents, SessionFacts, Setting, TransactionModes,
    describe, literals,
};
use super::described;

struct Prepared(BTreeMap<String, (SqlStatement, Referents)>);

impl SessionFacts for Prepared {
    fn prepared(&self, name: &str) -> Option<(&SqlStatement, &Referents)> {
        self.0.get(name).map(|(statement, referents)| (statement, referents))
    }
}

fn session_with(name: &str, sql: &str) -> Prepared {
    let mut described = described(sql);
    let prepared = (described.facts.statements.remove(0), described.referents.remove(0));
    Prepared(BTreeMap::from([(name.to_owned(), prepared)]))
}

#[test]
fn execute_is_what_it_runs() {
    let session = session_with("p", "DELETE FROM victim");
    let described = describe("EXECUTE p", &session);
    let statement = &described.facts.statements[0];
    assert_eq!(statement.class, SqlClass::Write);
    assert!(statement.tables.write.contains("victim"));
    assert!(!statement.has_where);
    assert_eq!(describe("EXECUTE q", &session).facts.class, SqlClass::Opaque);
    assert_eq!(describe("EXPLAIN EXECUTE p", &session).facts.class, SqlClass::Read);
    assert_eq!(describe("EXPLAIN ANALYZE EXECUTE p", &session).facts.class, SqlClass::Write);
    assert_eq!(describe("EXECUTE p(purge())", &session).facts.class, SqlClass::Opaque);
}

#[test]
fn a_message_changes_what_is_prepared() {
    let session = session_with("p", "SELECT 1");
    for (sql, class) in [
        ("EXECUTE p", SqlClass::Read),
        ("DEALLOCATE p; EXECUTE p", SqlClass::Opaque),
        ("DEALLOCATE ALL; EXECUTE p", SqlClass::Opaque),
        ("DISCARD ALL; EXECUTE p", SqlClass::Opaque),
        ("DEALLOCATE p; PREPARE p AS DELETE FROM t; EXECUTE p", SqlClass::Write),
        ("DISCARD PLANS; EXECUTE p", SqlClass::Session),
    ] {
        assert_eq!(describe(sql, &session).facts.class, class, "{sql}");
    }
}

#[test]
fn effects() {
    let read_only = TransactionModes { read_only: Some(true), ..TransactionModes::default() };
    for (sql, effect) in [
        ("SELECT 1", Effect::None),
        ("SELECT 1 FROM", Effect::Unknown),
        ("BEGIN", Effect::Begin { modes: TransactionModes::default() }),
        ("START TRANSACTION READ ONLY", Effect::Begin { modes: read_only.clone() }),
        ("SET TRANSACTION READ ONLY", Effect::SetTransaction { modes: read_only.clone() }),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", Effect::SetCharacteristics { modes: read_only }),
        ("COMMIT AND CHAIN", Effect::Commit { chain: true }),
        ("ABORT", Effect::Rollback { chain: false }),
        ("SAVEPOINT a", Effect::Savepoint { name: "a".into() }),
        ("ROLLBACK TO a", Effect::RollbackTo { name: "a".into() }),
        ("RELEASE a", Effect::Release { name: "a".into() }),
        ("PREPARE TRANSACTION 'g'", Effect::PrepareTransaction { gid: "g".into() }),
        ("ROLLBACK PREPARED 'g'", Effect::FinishPrepared { gid: "g".into(), commit: false }),
        ("SET LOCAL Work_Mem = '1MB'", Effect::Set(setting("work_mem", "1MB", true))),
        ("SET search_path = a, \"B\"", Effect::Set(setting("search_path", "a, B", false))),
        ("SET ROLE joe", Effect::Set(setting("role", "joe", false))),
        ("SET TIME ZONE DEFAULT", Effect::Reset { name: "timezone".into(), local: false }),
        ("RESET work_mem", Effect::Reset { name: "work_mem".into(), local: false }),
        ("RESET ALL", Effect::ResetAll),
        ("DEALLOCATE ALL", Effect::Deallocate { name: None }),
        ("EXPLAIN ANALYZE EXECUTE p", Effect::Execute { name: "p".into(), temporary: false }),
        ("CREATE TEMP TABLE t AS EXECUTE p", Effect::Execute { name: "p".into(), temporary: true }),
        ("FETCH ALL FROM c", Effect::Fetch { name: "c".into() }),
        ("CLOSE ALL", Effect::CloseCursor { name: None }),
        ("DISCARD TEMP", Effect::Discard(Discard::Temporary)),
        ("COPY t FROM STDIN", Effect::CopyIn(copy(CopyFormat::Text, &[], b'\t'))),
        ("COPY t (a, b) FROM STDIN BINARY", Effect::CopyIn(copy(CopyFormat::Binary, &["a", "b"], b'\t'))),
        ("COPY t FROM STDIN CSV DELIMITER ';'", Effect::CopyIn(copy(CopyFormat::Csv, &[], b';'))),
        ("COPY t TO STDOUT", Effect::CopyOut),
        ("COPY t TO '/tmp/x'", Effect::None),
        ("LISTEN c", Effect::Listen { channel: "c".into() }),
        ("UNLISTEN *", Effect::Unlisten { channel: None }),
        ("CREATE TEMP TABLE t (a int)", Effect::Query { settings: vec![], temporary: true }),
        ("CREATE TABLE pg_temp.t (a int)", Effect::Query { settings: vec![], temporary: true }),
        ("CREATE INDEX i ON t (x)", Effect::None),
        ("CREATE INDEX CONCURRENTLY i ON t (x)", Effect::InSteps),
        ("CREATE INDEX CONCURRENTLY i ON t (set_config('a.b', x, false))", Effect::Unknown),
        ("DROP INDEX i", Effect::None),
        ("DROP INDEX CONCURRENTLY i", Effect::InSteps),
        ("ALTER TABLE t DETACH PARTITION p", Effect::None),
        ("ALTER TABLE t DETACH PARTITION p CONCURRENTLY", Effect::InSteps),
        ("SELECT 1 INTO TEMP t", Effect::Query { settings: vec![], temporary: true }),
    ] {
        assert_eq!(described(sql).effects, [effect], "{sql}");
    }
}

fn copy(format: CopyFormat, columns: &[&str], delimiter: u8) -> CopyIn {
    let table = Some(Name { name: "t".to_owned(), ..Name::default() });
    let columns = columns.iter().map(|&name| name.to_owned()).collect();
    CopyIn { table, columns, format, delimiter, quote: b'"', escape: b'"', header: false, readable: true }
}

fn setting(name: &str, value: &str, local: bool) -> Setting {
    Setting { name: Some(name.to_owned()), value: Some(value.to_owned()), local }
}

#[test]
fn set_config_is_an_effect() {
    let effects = described("SELECT set_config('Role', 'joe', true), set_config(x, 'y', false) FROM t").effects;
    let computed = Setting { name: None, value: Some("y".to_owned()), local: false };
    assert_eq!(effects, [Effect::Query { settings: vec![setting("role", "joe", true), computed], temporary: false }]);
    assert_eq!(described("EXPLAIN SELECT set_config('role', 'joe', true)").effects, [Effect::None]);
}

#[test]
fn cursors_carry_their_query() {
    let Effect::DeclareCursor { name, hold, statement, .. } =
        described("DECLARE c CURSOR WITH HOLD FOR SELECT * FROM t FOR SHARE").effects.remove(0)
    else {
        panic!("a cursor is declared");
    };
    assert_eq!((name.as_str(), hold, statement.class), ("c", true, SqlClass::Write));
}

#[test]
fn reasons() {
    let long = "x".repeat(5_000);
    for (sql, reason) in [
        ("/* reason: fix order 7 */ SELECT 1", Some("fix order 7")),
        ("-- reason:  fix it \nSELECT 1", Some("fix it")),
        ("  /* Reason: a */ SELECT 1", Some("a")),
        ("/* trace=1 */ /* reason: b */ SELECT 1", Some("b")),
        ("SELECT 1 /* reason: late */", None),
        ("SELECT '/* reason: no */'", None),
        ("/* reason: */ SELECT 1", None),
        ("/* because */ SELECT 1", None),
        ("/* r\u{e9}ason: x */ SELECT 1", None),
    ] {
        assert_eq!(described(sql).reason.as_deref(), reason, "{sql}");
    }
    let reason = described(&format!("/* reason: {long} */ SELECT 1")).reason;
    assert_eq!(reason.map(|reason| reason.chars().count()), Some(super::super::REASON_CHARS_MAX));
}

#[test]
fn literals_are_found() {
    use LiteralKind::{Bits, Comment, DollarQuoted, Number, Parameter, String, Unreadable};
    let sql = "SELECT 'a''b', E'\\'', U&'\\0041', $$x$$, $t$y$t$, B'01', X'ff', 1, 2.5, $1, \"id\" -- c";
    let found: Vec<(&str, LiteralKind)> =
        literals(sql).into_iter().map(|span| (&sql[span.start..span.end], span.kind)).collect();
    assert_eq!(
        found,
        [
            ("'a''b'", String),
            ("E'\\''", String),
            ("U&'\\0041'", String),
            ("$$x$$", DollarQuoted),
            ("$t$y$t$", DollarQuoted),
            ("B'01'", Bits),
            ("X'ff'", Bits),
            ("1", Number),
            ("2.5", Number),
            ("$1", Parameter),
            ("-- c", Comment),
        ]
    );
    let broken = "SELECT 'open";
    assert_eq!(
        literals(broken).iter().map(|span| (span.start, span.end, span.kind)).collect::<Vec<_>>(),
        [(0, broken.len(), Unreadable)]
    );
    let wide = "SELECT 'é', 'ß'";
    assert!(
        literals(wide).iter().all(|span| wide.get(span.start..span.end).is_some_and(|text| text.starts_with('\'')))
    );
}
