//! PostgreSQL's own programs and the drivers of the end-to-end tests.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use xtask::needs::JDBC_JAR;
use xtask::process::{Finished, find_in_path};
use xtask::trouble::{Doing, Result};
use xtask::{repository, test_tools_dir};

use super::results::{Outcome, Results, Test, from_lines};
use super::stage::DATABASE;
use super::suites::{Job, verdict};
use super::{memory, tools};

/// Rows of 1,000 bytes that `\copy` moves: 1 GB, or 64 MB in a quick run.
const COPY_ROWS: (u32, u32) = (1_000_000, 64_000);
/// What the gateway's memory may grow by while they pass.
const COPY_GROWTH_BYTES_MAX: u64 = 64 << 20;
/// Transactions of each client of `pgbench`.
const TRANSACTIONS: (u32, u32) = (250, 25);
/// Statements that each driver of the end-to-end tests sends; what it makes of the answer must be the same.
const STATEMENTS: [(&str, &str); 6] = [
    ("rows", "SELECT n, n::text, n * 1.5 AS half FROM generate_series(1, 3) AS n"),
    ("no rows", "SELECT 1 WHERE false"),
    ("schema", "CREATE TABLE IF NOT EXISTS peers_driver (id int PRIMARY KEY, note text)"),
    ("write", "INSERT INTO peers_driver VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET note = 'y'"),
    ("error in execution", "SELECT 1 / 0"),
    ("error in parsing", "SELEC 1"),
];

/// Statements that are sent before the first answer is read.
const PIPELINED: (usize, usize) = (10_000, 1_000);
/// Those with an effect: the gateway records each on its own, durably, which takes its time.
const PIPELINED_WRITES: (u32, u32) = (10_000, 500);

/// Each driver with each statement.
pub(super) fn drivers(job: &Job<'_>) -> Result<Results> {
    let mut results = Results::new();
    for (driver, program, args) in driver_programs() {
        for (name, sql) in STATEMENTS {
            let mut command = job.command(program.clone());
            command.args(&args).args(["read", sql]).current_dir(repository().join("crates/gateway/tests/clients"));
            command.env("COUNTERSIGN_NODE_MODULES", test_tools_dir().join("node"));
            command.env("PGSSLMODE", "require").env("PYTHONDONTWRITEBYTECODE", "1");
            let finished = job.carry_out(&mut command)?;
            results.insert(format!("{driver}: {name}"), answered(&finished));
        }
    }
    Ok(results)
}

fn driver_programs() -> Vec<(&'static str, PathBuf, Vec<&'static str>)> {
    let mut programs = vec![
        ("psql", "bash".into(), vec!["psql.sh"]),
        ("psycopg", tools::python(), vec!["py_psycopg.py"]),
        ("asyncpg", tools::python(), vec!["py_asyncpg.py"]),
    ];
    if test_tools_dir().join("node/node_modules/pg").exists() {
        programs.push(("node-postgres", "node".into(), vec!["node_pg.mjs"]));
    }
    if PathBuf::from(JDBC_JAR).exists() && find_in_path("java").is_some() {
        let args = vec!["-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", JDBC_JAR, "Jdbc.java"];
        programs.push(("JDBC", "java".into(), args));
    }
    programs
}

/// The driver's last line is what it made of the answer.
fn answered(finished: &Finished) -> Test {
    let line = finished.stdout.lines().rev().find(|line| line.starts_with('{'));
    match (finished.ok(), line) {
        (true, Some(line)) => Test { outcome: Outcome::Passed, said: line.to_owned(), answer: Some(line.to_owned()) },
        _ => verdict(finished),
    }
}

/// TPC-B in each of the three modes.
pub(super) fn pgbench(job: &Job<'_>) -> Result<Results> {
    let program = || job.command(job.stage.binaries().server("pgbench"));
    let mut results = Results::new();
    let filled = job.carry_out(program().args(["--initialize", "--scale", "1", "--quiet"]))?;
    results.insert("initialize".into(), verdict(&filled));
    let transactions = if job.quick { TRANSACTIONS.1 } else { TRANSACTIONS.0 }.to_string();
    for mode in ["simple", "extended", "prepared"] {
        let mut command = program();
        command.args(["--client", "4", "--no-vacuum", "--protocol", mode, "--transactions", &transactions]);
        let finished = job.carry_out(&mut command)?;
        let mut test = verdict(&finished);
        if !finished.stdout.contains("number of failed transactions: 0 ") {
            test.outcome = Outcome::Failed;
        }
        results.insert(mode.into(), test);
    }
    Ok(results)
}

/// A dump restored and dumped again is the same text.
pub(super) fn dump(job: &Job<'_>) -> Result<Results> {
    job.prepare(DATABASE, include_str!("../../peers/dump.sql"))?;
    let program = |name| job.command(job.stage.binaries().server(name));
    let (archive, first, second) = (job.dir.join("dump"), job.dir.join("first.sql"), job.dir.join("second.sql"));
    let dump = |format, file: &PathBuf, database| {
        let mut command = program("pg_dump");
        command.args([format, "--file"]).arg(file).arg(database);
        job.carry_out(&mut command)
    };
    let mut results = Results::new();
    results.insert("pg_dump, custom".into(), verdict(&dump("--format=custom", &archive, DATABASE)?));
    let restored = job.carry_out(program("pg_restore").args(["--exit-on-error", "--dbname=restored"]).arg(&archive))?;
    results.insert("pg_restore".into(), verdict(&restored));
    results.insert("pg_dump, plain".into(), verdict(&dump("--format=plain", &first, DATABASE)?));
    results.insert("pg_dump, restored".into(), verdict(&dump("--format=plain", &second, "restored")?));
    let text = |file| fs::read_to_string(file).map(|text| without_keys(&text)).unwrap_or_default();
    let same = !text(&first).is_empty() && text(&first) == text(&second);
    let outcome = if same { Outcome::Passed } else { Outcome::Failed };
    results.insert("the round trip".into(), Test { outcome, said: String::new(), answer: Some(text(&second)) });
    Ok(results)
}

/// A plain dump begins and ends with a random key of its own (`\restrict`).
fn without_keys(text: &str) -> String {
    text.lines()
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// `\copy` in and out; the gateway holds none of it.
pub(super) fn copy(job: &Job<'_>) -> Result<Results> {
    let rows = if job.quick { COPY_ROWS.1 } else { COPY_ROWS.0 };
    job.prepare(DATABASE, "DROP TABLE IF EXISTS peers_copy; CREATE UNLOGGED TABLE peers_copy (line text)")?;
    let generate = format!("yes {} | head -n {rows}", "x".repeat(999));
    let count = "SELECT 'rows: ' || count(*) || ' bytes: ' || sum(length(line)) FROM peers_copy".to_owned();
    let lines = [
        ("in", format!("\\copy peers_copy FROM PROGRAM '{generate}'")),
        ("arrived", count),
        ("out", "\\copy peers_copy TO PROGRAM 'md5sum'".to_owned()),
    ];
    let mut results = Results::new();
    for (name, line) in lines {
        let watch = memory::Watch::begin(job);
        let mut command = job.command(job.stage.binaries().psql());
        command.args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", &line]);
        let finished = job.carry_out(&mut command)?;
        let mut test = verdict(&finished);
        test.answer = Some(finished.stdout.clone());
        if let Some(grown) = watch.grown().filter(|grown| *grown > COPY_GROWTH_BYTES_MAX) {
            test = Test { outcome: Outcome::Failed, said: format!("memory grew by {} MiB", grown >> 20), answer: None };
        }
        results.insert(name.into(), test);
    }
    Ok(results)
}

/// Thousands of statements before the first answer is read.
pub(super) fn pipeline(job: &Job<'_>) -> Result<Results> {
    let report = job.dir.join("report.jsonl");
    let mut command = job.command(tools::python());
    let (count, writes) = if job.quick { (PIPELINED.1, PIPELINED_WRITES.1) } else { (PIPELINED.0, PIPELINED_WRITES.0) };
    command.arg(tools::data().join("pipeline.py")).env("COUNTERSIGN_REPORT", &report);
    command.env("COUNTERSIGN_STATEMENTS", count.to_string()).env("COUNTERSIGN_WRITES", writes.to_string());
    let finished = job.carry_out(&mut command)?;
    let lines = fs::read_to_string(&report).doing(format!("the pipelines reported nothing: {}", finished.stderr))?;
    let mut results = from_lines(&lines);
    let script = job.dir.join("pipeline.sql");
    fs::write(&script, format!("\\startpipeline\n{}\\endpipeline\n", "SELECT 1;\n".repeat(count)))
        .doing("writing the script of a pipeline")?;
    let mut command: Command = job.command(job.stage.binaries().server("pgbench"));
    command.args(["--no-vacuum", "--protocol", "extended", "--transactions", "1", "--file"]).arg(&script);
    results.insert("pgbench: selects".into(), verdict(&job.carry_out(&mut command)?));
    Ok(results)
}
