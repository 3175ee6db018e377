//! The gateway's process, and its command line.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use xtask::loopback::get_status;
use xtask::process::{Finished, run, signal, wait, wait_until};
use xtask::sweeper::Sweeper;
use xtask::target_dir;
use xtask::trouble::{Doing, Result};

const START_BOUND: Duration = Duration::from_secs(30);
const STOP_BOUND: Duration = Duration::from_secs(10);
const COMMAND_BOUND: Duration = Duration::from_secs(30);
const LOG_LINES_SHOWN: usize = 20;

/// A directory with a configuration, and the gateway that serves it.
#[derive(Debug)]
pub(crate) struct Gateway {
    dir: PathBuf,
    http_port: u16,
    serving: Option<Child>,
}

impl Gateway {
    /// For the configuration `countersign.toml` in this directory; does not start yet.
    pub(crate) fn new(dir: &Path, http_port: u16) -> Self {
        Self { dir: dir.to_path_buf(), http_port, serving: None }
    }

    fn program() -> PathBuf {
        target_dir().join("debug/countersign")
    }

    fn config(&self) -> PathBuf {
        self.dir.join("countersign.toml")
    }

    /// Starts serving and waits until it is ready.
    pub(crate) fn serve(&mut self, upstream_password: &str, sweeper: &Sweeper) -> Result<()> {
        let log = File::create(self.dir.join("gateway.log")).doing("creating the gateway's log")?;
        let copy = log.try_clone().doing("creating the gateway's log")?;
        let mut command = Command::new(Self::program());
        command.arg("serve").arg("--config").arg(self.config()).env("ORDERS_PASSWORD", upstream_password);
        command.current_dir(&self.dir).stdin(Stdio::null()).stdout(log).stderr(copy);
        let mut child = command.spawn().doing("starting `countersign serve`")?;
        sweeper.watch(child.id());
        let answered = wait_until("the gateway to be ready", START_BOUND, || {
            let ended = child.try_wait().ok().flatten().is_some();
            (ended || matches!(get_status(self.http_port, "/readyz"), Ok(200))).then_some(!ended)
        });
        self.serving = Some(child);
        match answered {
            Ok(true) => Ok(()),
            Ok(false) => xtask::fail!("the gateway ended at once"),
            Err(trouble) => Err(trouble),
        }
    }

    /// Its process, while it serves.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.serving.as_ref().map(Child::id)
    }

    /// What the gateway logged last.
    pub(crate) fn log(&self) -> String {
        let log = std::fs::read_to_string(self.dir.join("gateway.log")).unwrap_or_default();
        let skip = log.lines().count().saturating_sub(LOG_LINES_SHOWN);
        log.lines().skip(skip).map(|line| format!("    gateway: {line}\n")).collect()
    }

    /// A command of its administrator, who may read its configuration.
    pub(crate) fn administer(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(Self::program());
        command.args(args).arg("--config").arg(self.config()).current_dir(&self.dir);
        let output = run(&mut command, COMMAND_BOUND)?;
        output.success(&format!("`countersign {}`", args.join(" "))).map(|said| said.trim().to_owned())
    }

    /// A command of a person, who only has a token.
    pub(crate) fn as_person(&self, token: &str, args: &[&str]) -> Result<Finished> {
        let mut command = Command::new(Self::program());
        command.args(args).env("COUNTERSIGN_URL", self.url()).env("COUNTERSIGN_TOKEN", token);
        command.env_remove("ORDERS_PASSWORD").current_dir("/");
        run(&mut command, COMMAND_BOUND)
    }

    /// Where people reach it.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http_port)
    }

    /// The ids of the reviews that are open.
    pub(crate) fn open_reviews(&self, token: &str) -> Result<Vec<String>> {
        let said = self.as_person(token, &["review", "list", "--json"])?.success("`countersign review list`")?;
        let value: Value = serde_json::from_str(&said).doing("reading the list of reviews")?;
        let list =
            value.as_array().or_else(|| value.get("reviews")?.as_array()).doing("the list of reviews has no list")?;
        let open = list.iter().filter(|review| review["state"] == "open");
        Ok(open.filter_map(|review| review["id"].as_str().map(str::to_owned)).collect())
    }

    /// Ends the process and waits for it.
    pub(crate) fn stop(&mut self, sweeper: &Sweeper) {
        let Some(mut child) = self.serving.take() else { return };
        signal(child.id(), "TERM");
        if wait(&mut child, STOP_BOUND).is_err() {
            let _ = child.kill();
            let _ = child.wait();
        }
        sweeper.forget(child.id());
    }
}
