//! The agent at its `psql`: nothing of ours is installed on its side, and it knows only its own key.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;

use xtask::sweeper::Sweeper;
use xtask::trouble::{Doing, Result};

use super::people::AGENT;
use super::sample::DATABASE;
use super::scene::{Call, Running};

/// An agent's connection settings.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) psql: PathBuf,
    pub(super) port: u16,
    pub(super) key: String,
}

impl Agent {
    /// How a person would type it.
    pub(super) fn typed(sql: &str) -> String {
        format!("psql {DATABASE} -c \"{sql}\"")
    }

    /// The connection, for somebody who wants to try.
    pub(super) fn url(&self) -> String {
        format!("postgres://{AGENT}:{}@127.0.0.1:{}/{DATABASE}?sslmode=require", self.key, self.port)
    }

    /// Sends a statement; its output is read line by line as it comes.
    pub(super) fn send(&self, sql: &str, sweeper: &Sweeper) -> Result<Call> {
        let mut command = Command::new(&self.psql);
        command.args(["-X", "-v", "VERBOSITY=verbose", "-c", sql]);
        let settings = [("PGHOST", "127.0.0.1"), ("PGUSER", AGENT), ("PGDATABASE", DATABASE), ("PGSSLMODE", "require")];
        command.envs(settings).env("PGPORT", self.port.to_string()).env("PGPASSWORD", &self.key).env("PAGER", "cat");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().doing("starting `psql`")?;
        sweeper.watch(child.id());
        let (sender, lines) = channel();
        let pipes: [Option<Box<dyn Read + Send>>; 2] =
            [child.stdout.take().map(|p| Box::new(p) as _), child.stderr.take().map(|p| Box::new(p) as _)];
        for pipe in pipes.into_iter().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                BufReader::new(pipe).lines().map_while(std::io::Result::ok).try_for_each(|line| sender.send(line))
            });
        }
        Ok(Call::new("psql", Running::Program(child), lines))
    }
}
