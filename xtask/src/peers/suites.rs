//! The suites: what each runs against a side, and how it tells test from test.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use xtask::process::{Finished, run};
use xtask::trouble::{Doing, Result};

use super::results::{Outcome, Results, Test, from_lines};
use super::stage::{DATABASE, Side, Stage};
use super::tools;
use super::{programs, regress};

/// How long one suite may take on one side.
const SUITE_BOUND: Duration = Duration::from_secs(60 * 60);
/// How long one test of a Python suite may take, in seconds.
const TEST_SECONDS_MAX: u32 = 60;

/// A suite on one side.
pub(super) struct Job<'a> {
    pub(super) stage: &'a Stage,
    pub(super) side: &'a Side,
    /// Whether only a few minutes may pass in all.
    pub(super) quick: bool,
    /// Where the suite may leave files.
    pub(super) dir: PathBuf,
}

/// A suite.
pub(super) struct Suite {
    pub(super) name: &'static str,
    /// What it is, for the list of suites.
    pub(super) about: &'static str,
    /// Whether it is part of the quick set.
    pub(super) quick: bool,
    pub(super) run: fn(&Job<'_>) -> Result<Results>,
}

/// All of them, cheapest first.
pub(super) const ALL: [Suite; 11] = [
    Suite {
        name: "drivers",
        about: "psql, psycopg, asyncpg, node-postgres, JDBC",
        quick: true,
        run: programs::drivers,
    },
    Suite {
        name: "pgbench",
        about: "TPC-B in the simple, extended and prepared modes",
        quick: true,
        run: programs::pgbench,
    },
    Suite { name: "pg_dump", about: "dump, restore and dump again", quick: false, run: programs::dump },
    Suite { name: "copy", about: r"\copy of 1 GB in and out", quick: true, run: programs::copy },
    Suite {
        name: "pipeline",
        about: "10,000 statements before the first answer is read",
        quick: true,
        run: programs::pipeline,
    },
    Suite { name: "pg8000", about: "pg8000's own suite", quick: false, run: pg8000 },
    Suite { name: "psycopg2", about: "psycopg2's own suite", quick: false, run: psycopg2 },
    Suite { name: "asyncpg", about: "asyncpg's own suite", quick: false, run: asyncpg },
    Suite {
        name: "sqlalchemy",
        about: "SQLAlchemy's own suite on psycopg: what it holds a dialect to",
        quick: false,
        run: sqlalchemy_dialect,
    },
    Suite {
        name: "sqlalchemy-rest",
        about: "the rest of it that needs a database",
        quick: false,
        run: sqlalchemy_rest,
    },
    Suite { name: "regress", about: "PostgreSQL's own regression tests", quick: false, run: regress::run },
];

impl Job<'_> {
    /// A program that is told where to connect.
    pub(super) fn command(&self, program: impl Into<PathBuf>) -> Command {
        let mut command = Command::new(program.into());
        self.side.tell(&mut command);
        command.current_dir(&self.dir);
        command
    }

    /// Runs SQL on the side's server, behind the gateway's back.
    pub(super) fn prepare(&self, database: &str, sql: &str) -> Result<()> {
        self.stage.prepare(self.side, database, sql)
    }

    /// Runs it to its end.
    pub(super) fn carry_out(&self, command: &mut Command) -> Result<Finished> {
        let finished = run(command, SUITE_BOUND)?;
        let said = format!("{}\n{}", finished.stdout, finished.stderr);
        fs::write(self.dir.join("output.txt"), said).doing("keeping what a suite said")?;
        Ok(finished)
    }

    /// Runs a Python package's tests, in its own source, with our reporter.
    fn pytest(&self, package: &str, args: &[&str], env: &[(&str, &str)]) -> Result<Results> {
        let report = self.dir.join("report.jsonl");
        let mut command = self.command(tools::pytest());
        command.args(["-p", "report", "-p", "no:cacheprovider", "-q", "--no-header", "--tb=no"]);
        command.args(["--timeout", &TEST_SECONDS_MAX.to_string()]);
        command.args(args).current_dir(tools::source(package)?);
        command.env("PYTHONPATH", tools::data()).env("COUNTERSIGN_REPORT", &report).env("PYTHONDONTWRITEBYTECODE", "1");
        command.envs(env.iter().copied());
        let finished = self.carry_out(&mut command)?;
        let lines = fs::read_to_string(&report).unwrap_or_default();
        if lines.is_empty() {
            xtask::fail!("the suite of {package} reported nothing: {}{}", finished.stdout, finished.stderr);
        }
        Ok(from_lines(&lines))
    }
}

/// One test made of one program: passed if it ended with 0.
pub(super) fn verdict(finished: &Finished) -> Test {
    let outcome = if finished.ok() { Outcome::Passed } else { Outcome::Failed };
    let said = finished.stderr.lines().rev().take(3).collect::<Vec<_>>();
    Test { outcome, said: said.into_iter().rev().collect::<Vec<_>>().join(" / "), answer: None }
}

fn pg8000(job: &Job<'_>) -> Result<Results> {
    job.prepare(DATABASE, "CREATE EXTENSION IF NOT EXISTS hstore")?;
    job.pytest("pg8000", &["test"], &[])
}

fn psycopg2(job: &Job<'_>) -> Result<Results> {
    job.prepare(DATABASE, "CREATE EXTENSION IF NOT EXISTS hstore")?;
    job.pytest("psycopg2", &["tests"], &[("PSYCOPG2_TESTDB", DATABASE)])
}

fn asyncpg(job: &Job<'_>) -> Result<Results> {
    job.pytest("asyncpg", &["tests", "--import-mode=append"], &[])
}

fn sqlalchemy_dialect(job: &Job<'_>) -> Result<Results> {
    sqlalchemy(job, &["test/dialect/test_suite.py", "test/dialect/postgresql"])
}

fn sqlalchemy_rest(job: &Job<'_>) -> Result<Results> {
    sqlalchemy(job, &["test", "--ignore=test/dialect"])
}

/// Its tests that need a database, of these files and directories.
fn sqlalchemy(job: &Job<'_>, wanted: &[&str]) -> Result<Results> {
    let url = format!("postgresql+psycopg://postgres:{}@127.0.0.1:{}/{}", job.side.key, job.side.port, DATABASE);
    job.prepare(
        DATABASE,
        "CREATE SCHEMA IF NOT EXISTS test_schema; CREATE SCHEMA IF NOT EXISTS test_schema_2;
         CREATE EXTENSION IF NOT EXISTS hstore; CREATE EXTENSION IF NOT EXISTS citext",
    )?;
    // as the project's own runner leaves out what measures memory and time
    let marks = "not memory_intensive and not timing_intensive and not gc_intensive and not mypy";
    let options = ["--dburi", &url, "--backend-only", "--maxfail=100000", "-p", "no:xdist", "-m", marks];
    job.pytest("sqlalchemy", &[&options, wanted].concat(), &[])
}
