//! The drivers of `tests/clients`, each in a process of its own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use xtask::needs::JDBC_JAR;
use xtask::process::wait_until;
use xtask::sweeper::Sweeper;
use xtask::test_tools_dir;

use super::{SOON, TARGET, World};

/// A program that people really use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    Psql,
    Psycopg,
    Asyncpg,
    NodePg,
    Jdbc,
}

impl Client {
    fn command(self) -> Command {
        let drivers = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients"));
        let (program, args): (PathBuf, &[&str]) = match self {
            Client::Psql => ("bash".into(), &["psql.sh"]),
            Client::Psycopg => (test_tools_dir().join("python/bin/python"), &["py_psycopg.py"]),
            Client::Asyncpg => (test_tools_dir().join("python/bin/python"), &["py_asyncpg.py"]),
            Client::NodePg => ("node".into(), &["node_pg.mjs"]),
            Client::Jdbc => ("java".into(), &["-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", JDBC_JAR, "Jdbc.java"]),
        };
        let mut command = Command::new(program);
        command.args(args).current_dir(drivers).env("COUNTERSIGN_NODE_MODULES", test_tools_dir().join("node"));
        command
    }
}

/// A statement on its way.
pub(crate) struct Call {
    child: Option<Child>,
    sweeper: Arc<Sweeper>,
    output: PathBuf,
    notices: PathBuf,
}

/// What the client made of the answer.
#[derive(Debug, Clone)]
pub(crate) struct Outcome(Value);

pub(super) fn send(world: &World, client: Client, scenario: &str, sql: Option<&str>) -> Call {
    send_as(world, (&world.login, &world.key), client, scenario, sql)
}

pub(super) fn send_as(
    world: &World,
    (login, key): (&str, &str),
    client: Client,
    scenario: &str,
    sql: Option<&str>,
) -> Call {
    let name = xtask::loopback::random_secret().unwrap();
    let (output, notices) = (world.dir.join(format!("{name}.out")), world.dir.join(format!("{name}.notices")));
    let out = std::fs::File::create(&output).unwrap();
    let mut command = client.command();
    command.arg(scenario).args(sql).env("COUNTERSIGN_NOTICE_FILE", &notices);
    let settings = [("PGHOST", "127.0.0.1"), ("PGUSER", login), ("PGDATABASE", TARGET), ("PGSSLMODE", "require")];
    command.envs(settings).env("PGPORT", world.gateway.postgres_port().to_string()).env("PGPASSWORD", key);
    command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
    // A group of its own, so that the whole client can be ended, its helpers too.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let child = command.spawn().expect("the client; `cargo xtask tools` installs it");
    world.sweeper.watch(child.id());
    Call { child: Some(child), sweeper: world.sweeper.clone(), output, notices }
}

impl Call {
    /// Waits until the client has shown a notice with these words, while its statement still hangs.
    pub(crate) fn until_notice(&self, words: &str) -> String {
        let what = format!("a notice with `{words}`");
        let told = || std::fs::read_to_string(&self.notices).ok().filter(|text| text.contains(words));
        wait_until(&what, SOON, told).unwrap()
    }

    /// Whether the client has its answer.
    pub(crate) fn answered(&mut self) -> bool {
        self.child.as_mut().unwrap().try_wait().unwrap().is_some()
    }

    /// Waits for the answer.
    pub(crate) fn outcome(self) -> Outcome {
        self.outcome_within(SOON)
    }

    pub(crate) fn outcome_within(mut self, bound: Duration) -> Outcome {
        let child = self.child.as_mut().unwrap();
        let ended = wait_until("the client to end", bound, || child.try_wait().unwrap());
        let said = std::fs::read_to_string(&self.output).unwrap();
        ended.unwrap_or_else(|error| panic!("{error}: {said}"));
        self.gone();
        let line = said.lines().rev().find(|line| line.starts_with('{'));
        let line = line.unwrap_or_else(|| panic!("the client printed no result: {said}"));
        Outcome(serde_json::from_str(line).unwrap())
    }

    /// Waits until the client has ended, however. Returns what it said.
    pub(crate) fn ended(mut self) -> String {
        let child = self.child.as_mut().unwrap();
        wait_until("the client to end", SOON, || child.try_wait().unwrap()).unwrap();
        self.gone();
        std::fs::read_to_string(&self.output).unwrap()
    }

    /// Ends the client at once: it leaves while its statement hangs.
    pub(crate) fn leave(mut self) {
        self.end();
    }

    /// It has been waited for.
    fn gone(&mut self) {
        if let Some(child) = self.child.take() {
            self.sweeper.forget(child.id());
        }
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            let group = format!("-{}", child.id());
            let _ = Command::new("sh").args(["-c", "kill -s KILL -- \"$0\"", &group]).stderr(Stdio::null()).status();
            let _ = child.kill();
            let _ = child.wait();
            self.sweeper.forget(child.id());
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end();
    }
}

impl Outcome {
    /// Asserts success and returns the rows.
    #[track_caller]
    pub(crate) fn rows(&self) -> &Value {
        assert_eq!(self.0["ok"], true, "{}", self.0);
        &self.0["rows"]
    }

    /// Asserts an error with this SQLSTATE on a connection that is still usable. Returns the message.
    #[track_caller]
    pub(crate) fn refused(&self, sqlstate: &str) -> &str {
        assert_eq!((&self.0["ok"], self.0["sqlstate"].as_str()), (&Value::Bool(false), Some(sqlstate)), "{}", self.0);
        assert_eq!(self.0["usable_after"], true, "{}", self.0);
        self.0["message"].as_str().unwrap()
    }

    /// Asserts an error with this SQLSTATE, whatever became of the connection. Returns the message.
    #[track_caller]
    pub(crate) fn failed(&self, sqlstate: &str) -> &str {
        assert_eq!((&self.0["ok"], self.0["sqlstate"].as_str()), (&Value::Bool(false), Some(sqlstate)), "{}", self.0);
        self.0["message"].as_str().unwrap()
    }
}
