//! Tables read and written apart, verbs, functions, and what counts as a condition.

use countersign_core::action::sql::SqlClass::{Admin, Ddl, Opaque, Read, Session, Write};

use super::{check, described};

#[test]
fn tables_keep_their_sides() {
    check("SELECT * FROM a, b JOIN c USING (id)", Read, "a b c", "");
    check("UPDATE t SET x = (SELECT max(x) FROM t) WHERE id = 1", Write, "t", "t");
    check(
        "INSERT INTO t SELECT * FROM victim ON CONFLICT (id) DO UPDATE SET x = (SELECT 1 FROM hidden)",
        Write,
        "hidden victim",
        "t",
    );
    check("MERGE INTO stock s USING victim v ON s.id = v.id WHEN MATCHED THEN DELETE", Write, "victim", "stock");
    check(
        "WITH gone AS (DELETE FROM victim RETURNING *) INSERT INTO t SELECT * FROM gone, other",
        Write,
        "other",
        "t victim",
    );
    check("COPY a TO STDOUT; COPY b FROM STDIN", Write, "a", "b");
    check("COPY (DELETE FROM victim RETURNING *) TO STDOUT", Write, "", "victim");
    check("SELECT * INTO copy_of FROM customers", Ddl, "customers", "copy_of");
    check("CREATE VIEW v AS SELECT * FROM a WHERE EXISTS (SELECT 1 FROM b)", Ddl, "a b", "v");
    check("CREATE TABLE t (id int REFERENCES other, LIKE src)", Ddl, "other src", "t");
    check("LOCK TABLE victim", Write, "", "victim");
    check("LOCK TABLE victim IN ACCESS SHARE MODE", Read, "victim", "");
    check("GRANT ALL ON public.a, b TO PUBLIC", Admin, "", "b public.a");
    check("EXPLAIN UPDATE a SET x = 1 FROM b", Read, "b", "a");
    check("SELECT * FROM t FOR UPDATE", Write, "t", "");
}

#[test]
fn names_are_as_written() {
    check("SELECT * FROM \"Weird Name\", public.\"Order\"", Read, "\"Weird Name\", public.\"Order\"", "");
    check("SELECT * FROM \"plain\", UPPER.Lower", Read, "plain upper.lower", "");
    check("DROP TABLE a.\"b c\", \"select\"", Ddl, "", "a.\"b c\", \"select\"");
}

#[test]
fn with_names_shadow_in_their_scope_only() {
    check("WITH t AS (SELECT 1) SELECT * FROM t", Read, "", "");
    check("WITH t AS (SELECT * FROM t) SELECT * FROM t", Read, "t", "");
    check("WITH RECURSIVE t AS (SELECT * FROM t) SELECT * FROM t", Read, "", "");
    check("SELECT * FROM (WITH t AS (SELECT 1) SELECT * FROM t) s JOIN t ON true", Read, "t", "");
    check("WITH t AS (SELECT 1) SELECT * FROM public.t", Read, "public.t", "");
    check("WITH t AS (SELECT 1) DELETE FROM t WHERE id = 1", Write, "", "t");
    check("WITH t AS (SELECT 1) SELECT 1; SELECT * FROM t", Read, "t", "");
}

#[test]
fn a_message_is_as_dangerous_as_its_worst_statement() {
    check("SELECT 1; SET work_mem = '1MB'", Session, "", "");
    check("SELECT 1; DROP TABLE a; SELECT purge()", Opaque, "", "a");
    check("", Read, "", "");
}

#[test]
fn verbs() {
    for (sql, verb) in [
        ("SELECT 1", "SELECT"),
        ("VALUES (1)", "VALUES"),
        ("TABLE t", "SELECT"),
        ("WITH d AS (DELETE FROM t) SELECT 1", "SELECT"),
        ("SELECT 1 INTO x", "SELECT INTO"),
        ("COPY t FROM STDIN", "COPY FROM"),
        ("COPY (DELETE FROM t) TO STDOUT", "COPY TO"),
        ("EXPLAIN ANALYZE DELETE FROM t", "EXPLAIN"),
        ("PREPARE p AS DELETE FROM t", "PREPARE"),
        ("DECLARE c CURSOR FOR SELECT 1", "DECLARE CURSOR"),
        ("CREATE TABLE t AS SELECT 1", "CREATE TABLE AS"),
        ("CREATE MATERIALIZED VIEW v AS SELECT 1", "CREATE MATERIALIZED VIEW"),
        ("DROP MATERIALIZED VIEW v", "DROP MATERIALIZED VIEW"),
        ("ALTER TABLE t RENAME COLUMN a TO b", "ALTER TABLE"),
        ("ALTER VIEW v RENAME TO w", "ALTER VIEW"),
        ("ALTER INDEX i RENAME TO j", "ALTER INDEX"),
        ("ALTER SEQUENCE s OWNER TO joe", "ALTER SEQUENCE"),
        ("ALTER FUNCTION f(int) OWNER TO joe", "ALTER FUNCTION"),
        ("CREATE TYPE t AS ENUM ('a')", "CREATE TYPE"),
        ("CREATE SCHEMA s CREATE TABLE t (a int)", "CREATE SCHEMA"),
        ("START TRANSACTION", "START TRANSACTION"),
        ("MOVE NEXT IN c", "MOVE"),
        ("RESET ALL", "RESET"),
        ("ANALYZE t", "ANALYZE"),
        ("REVOKE admins FROM joe", "REVOKE ROLE"),
        ("SELECT 1 FROM", "UNPARSED"),
    ] {
        let facts = described(sql).facts;
        assert_eq!(facts.statements[0].verb, verb, "{sql}");
    }
}

#[test]
fn every_change_needs_a_condition() {
    for (sql, has_where) in [
        ("DELETE FROM t", false),
        ("DELETE FROM t WHERE id = 1", true),
        ("DELETE FROM t WHERE true", false),
        ("DELETE FROM t WHERE 1 = 1", false),
        ("DELETE FROM t WHERE now() > '2020-01-01'", false),
        ("DELETE FROM t WHERE id = id", false),
        ("DELETE FROM t WHERE true OR id = 1", false),
        ("DELETE FROM t WHERE true AND id = 1", true),
        ("DELETE FROM t WHERE NOT (id = 1)", true),
        ("DELETE FROM t WHERE $1", false),
        ("DELETE FROM t WHERE id = $1", true),
        ("DELETE FROM t WHERE EXISTS (SELECT 1 FROM o)", false),
        ("DELETE FROM t WHERE EXISTS (SELECT 1 FROM o WHERE o.x = 1)", false),
        ("DELETE FROM t WHERE EXISTS (SELECT 1 FROM o WHERE o.id = t.id)", true),
        ("DELETE FROM t AS x WHERE EXISTS (SELECT 1 FROM o WHERE o.id = x.id)", true),
        ("DELETE FROM t WHERE id IN (SELECT id FROM o)", true),
        ("DELETE FROM t WHERE CURRENT OF c", true),
        ("UPDATE t SET a = 1", false),
        ("UPDATE t SET a = 1 FROM o", false),
        ("UPDATE t SET a = 1 FROM o WHERE o.id = t.id", true),
        ("WITH d AS (DELETE FROM t) SELECT 1 WHERE a = 2", false),
        ("WITH d AS (DELETE FROM t WHERE id = 1), e AS (UPDATE t SET a = 1) SELECT 1", false),
        ("WITH d AS (DELETE FROM t WHERE id = 1) UPDATE t SET a = 1 WHERE id = 3", true),
        ("EXPLAIN ANALYZE DELETE FROM t", false),
        ("PREPARE p AS DELETE FROM t", false),
        ("COPY (DELETE FROM t RETURNING *) TO STDOUT", false),
        ("MERGE INTO t USING o ON t.id = o.id WHEN MATCHED THEN DELETE", true),
        ("MERGE INTO t USING o ON true WHEN MATCHED THEN DELETE", false),
        ("MERGE INTO t USING o ON t.id = o.id WHEN NOT MATCHED BY SOURCE THEN DELETE", false),
        ("MERGE INTO t USING o ON t.id = o.id WHEN NOT MATCHED BY SOURCE AND t.old THEN DELETE", true),
        ("SELECT 1 FROM t", true),
        ("INSERT INTO t SELECT 1 FROM o", true),
        ("INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET a = 1", true),
        ("DELETE FROM t; SELECT 1", false),
        ("SELECT 1 FROM", false),
    ] {
        let facts = described(sql).facts;
        assert_eq!(facts.statements[0].has_where, has_where, "{sql}");
    }
}

#[test]
fn functions_are_named_as_written() {
    let facts = described("SELECT lower(a), pg_catalog.upper(b), app.\"F x\"(c), x.pg_read_file FROM x").facts;
    let functions: Vec<&String> = facts.statements[0].functions.iter().collect();
    assert_eq!(functions, ["app.\"F x\"", "lower", "pg_catalog.upper", "pg_read_file"]);
    let facts = described("SELECT JSON_SCALAR(1), JSON_EXISTS('{}', '$')").facts;
    assert_eq!(facts.statements[0].functions.len(), 2);
}

#[test]
fn attributes_that_may_be_calls_are_listed() {
    let attributes = described("SELECT c.purge_customer, c.upper, (c.address).street, d FROM c WHERE c.id = 1")
        .referents
        .remove(0)
        .attributes;
    assert_eq!(attributes.into_iter().collect::<Vec<_>>(), ["address", "id", "purge_customer", "street", "upper"]);
}
