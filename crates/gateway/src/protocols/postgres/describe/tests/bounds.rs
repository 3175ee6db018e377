//! Hostile texts: long, deep, broken. The describer answers, in bounded time, and never panics.

use std::time::{Duration, Instant};

use countersign_core::action::sql::SqlClass;
use proptest::prelude::*;

use super::super::{SQL_BYTES_MAX, literals};
use super::{corpus, described};

#[test]
fn ordinary_depth_is_understood() {
    for sql in [
        format!("SELECT {}1", "1 + ".repeat(300)),
        format!("SELECT {}'x'", "'a' || ".repeat(300)),
        format!("SELECT 1 FROM t WHERE {}true", "a = 1 AND ".repeat(3_000)),
        format!("SELECT 1 FROM t WHERE {}true", "a = 1 OR ".repeat(3_000)),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(500)),
        format!("SELECT {}1{}", "CASE WHEN a THEN 1 ELSE ".repeat(100), " END".repeat(100)),
        format!("{}SELECT 1{}", "SELECT * FROM (".repeat(60), ") x".repeat(60)),
        format!("SELECT {}1{}", "(".repeat(2_000), ")".repeat(2_000)),
        format!("SELECT * FROM a{}", " JOIN b USING (id)".repeat(200)),
        format!("SELECT 1 WHERE a IN ({}1)", "123456,".repeat(20_000)),
    ] {
        assert_eq!(described(&sql).facts.class, SqlClass::Read, "{}", sql.chars().take(60).collect::<String>());
    }
}

#[test]
fn the_deepest_statement_still_counts() {
    let deep = format!("SELECT {}pg_read_file('x')", "1 + ".repeat(600));
    assert!(described(&deep).facts.class >= SqlClass::Admin);
    let union = format!("SELECT 1{} UNION ALL SELECT x FROM victim", " UNION ALL SELECT 1".repeat(500));
    assert!(described(&union).facts.statements[0].tables.read.contains("victim"));
}

#[test]
fn hostile_depth_is_opaque() {
    for (open, close) in [
        ("(", ")"),
        ("(SELECT ", ")"),
        ("abs(", ")"),
        ("NOT ", ""),
        ("1 + ", ""),
        ("a[", "]"),
        ("CASE WHEN a THEN ", " END"),
        ("ARRAY[", "]"),
        ("ROW(", ")"),
    ] {
        for count in [500, 1_000, 3_000, 20_000, 100_000] {
            let sql = format!("SELECT {}1{}", open.repeat(count), close.repeat(count));
            let class = described(&sql).facts.class;
            assert!(
                class == SqlClass::Opaque || count < 10_000 || open == "1 + ",
                "{open} × {count}: {}",
                class.name()
            );
        }
    }
}

#[test]
fn chains_of_every_length_are_survived() {
    for count in (600..1_600).step_by(100) {
        for part in ["::int", " COLLATE \"C\"", "::text::bytea"] {
            described(&format!("SELECT 1{}", part.repeat(count)));
        }
        described(&format!("SELECT 1{}", " EXCEPT SELECT 1".repeat(count)));
        described(&format!(
            "SELECT 1 WHERE {}true{}",
            "EXISTS (SELECT 1 WHERE a IS NULL OR ".repeat(count),
            ")".repeat(count)
        ));
        described(&format!("{}SELECT 1{}", "WITH a AS (".repeat(count), ") SELECT 1".repeat(count)));
        let deletes = "WITH a AS (DELETE FROM t WHERE EXISTS (".repeat(count / 10);
        described(&format!("{deletes}SELECT 1{}", ")) SELECT 1".repeat(count / 10)));
    }
}

#[test]
fn a_long_message_is_opaque_at_once() {
    let sql = format!("SELECT '{}'", "x".repeat(SQL_BYTES_MAX));
    let start = Instant::now();
    let described = described(&sql);
    assert_eq!(described.facts.class, SqlClass::Opaque);
    assert!(described.parse_error.is_some_and(|error| error.contains("at most")));
    assert!(start.elapsed() < Duration::from_millis(500));
}

#[test]
fn a_message_of_a_million_bytes_is_understood() {
    let sql = format!("SELECT '{}'", "x".repeat(SQL_BYTES_MAX - 100));
    assert_eq!(described(&sql).facts.class, SqlClass::Read);
}

#[test]
fn unparsed_is_one_opaque_statement() {
    let described = described("SELECT 1; SELEC 2");
    assert_eq!(described.facts.statements.len(), 1);
    assert_eq!(described.facts.statements[0].verb, "UNPARSED");
    assert_eq!(described.effects.len(), 1);
    assert!(described.parse_error.is_some());
}

#[test]
fn threads_describe_at_once() {
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for line in corpus::lines().iter().take(100) {
                    let described = described(&line.sql);
                    assert_eq!(described.effects.len(), described.facts.statements.len());
                }
            });
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_is_described(sql in "\\PC{0,200}") {
        let described = described(&sql);
        prop_assert_eq!(described.effects.len(), described.facts.statements.len());
        literals(&sql);
    }

    #[test]
    fn words_of_sql_are_described(words in prop::collection::vec(prop::sample::select(WORDS), 0..40)) {
        described(&words.join(" "));
    }

    #[test]
    fn mutated_statements_are_described(line in 0_usize..600, at in 0_usize..400, cut in 0_usize..20, insert in "\\PC{0,8}") {
        let lines = corpus::lines();
        let mut chars: Vec<char> = lines[line % lines.len()].sql.chars().collect();
        let at = at.min(chars.len());
        let end = (at + cut).min(chars.len());
        chars.splice(at..end, insert.chars());
        let sql: String = chars.into_iter().collect();
        let described = described(&sql);
        prop_assert!(described.parse_error.is_none() || described.facts.class == SqlClass::Opaque);
        for span in literals(&sql) {
            prop_assert!(sql.get(span.start..span.end).is_some());
        }
    }

    #[test]
    fn a_second_statement_never_lowers_the_class(first in 0_usize..600, second in 0_usize..600) {
        let lines = corpus::lines();
        let (first, second) = (&lines[first % lines.len()].sql, &lines[second % lines.len()].sql);
        let both = described(&format!("{first}\n;{second}")).facts.class;
        prop_assert!(both >= described(first).facts.class);
    }
}

const WORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "t",
    "a.b",
    "(",
    ")",
    ",",
    "DELETE",
    "UPDATE",
    "SET",
    "=",
    "1",
    "'x'",
    "WITH",
    "AS",
    ";",
    "INSERT INTO",
    "VALUES",
    "RETURNING",
    "*",
    "ON CONFLICT",
    "DO",
    "NOTHING",
    "MERGE INTO",
    "USING",
    "EXPLAIN",
    "ANALYZE",
    "COPY",
    "TO",
    "STDOUT",
    "PREPARE",
    "EXECUTE",
    "$1",
    "::",
    "int",
    "ARRAY",
    "[",
    "]",
    "JOIN",
    "ON",
    "UNION",
    "ORDER BY",
    "CASE",
    "WHEN",
    "THEN",
    "END",
    "OVER",
    "CREATE",
    "TABLE",
    "VIEW",
    "DROP",
    "ALTER",
    "GRANT",
    "JSON_TABLE",
    "XMLTABLE",
    "LATERAL",
    "FOR UPDATE",
    "BEGIN",
    "COMMIT",
    "--",
    "/*",
    "*/",
    "$$",
    "'",
    "\"",
];
