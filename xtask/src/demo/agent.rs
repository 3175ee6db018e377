//! The agent at its `psql`: nothing of ours is installed on its side, and it knows only its own key.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use xtask::sweeper::Sweeper;
use xtask::trouble::{Doing, Result};

use super::people::AGENT;
use super::sample::DATABASE;

/// An agent's connection settings.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) psql: PathBuf,
    pub(super) port: u16,
    pub(super) key: String,
}

/// A statement that was sent and has not been answered.
#[derive(Debug)]
pub(super) struct Call {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

/// How a call ended.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) ok: bool,
    pub(super) text: String,
}

impl Agent {
    /// How a person would type it.
    pub(super) fn typed(&self, sql: &str) -> String {
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
        Ok(Call { child, lines, seen: Vec::new() })
    }

    /// Sends a statement and waits for its answer.
    pub(super) fn ask(&self, sql: &str, bound: Duration, sweeper: &Sweeper) -> Result<Answer> {
        self.send(sql, sweeper)?.answer(bound, sweeper)
    }
}

impl Call {
    /// Waits for a line with these words. Returns every line seen until then.
    pub(super) fn until(&mut self, words: &str, bound: Duration) -> Result<String> {
        let end = Instant::now() + bound;
        while !self.seen.iter().any(|line| line.contains(words)) {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Timeout) => xtask::fail!("psql did not say `{words}`: {}", self.seen.join(" / ")),
                Err(RecvTimeoutError::Disconnected) => xtask::fail!("psql ended: {}", self.seen.join(" / ")),
            }
        }
        // The rest of the notice (detail, hint) follows at once.
        while let Ok(line) = self.lines.recv_timeout(Duration::from_millis(200)) {
            self.seen.push(line);
        }
        Ok(self.seen.join("\n"))
    }

    /// Whether it has been answered.
    pub(super) fn answered(&mut self) -> bool {
        self.child.try_wait().ok().flatten().is_some()
    }

    /// Waits for the answer: the lines not yet returned by [`Call::until`].
    pub(super) fn answer(mut self, bound: Duration, sweeper: &Sweeper) -> Result<Answer> {
        let end = Instant::now() + bound;
        let before = self.seen.len();
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let _ = self.child.kill();
                    let _ = self.child.wait();
                    xtask::fail!("psql did not end within {} s: {}", bound.as_secs(), self.seen.join(" / "));
                }
            }
        }
        let status = self.child.wait().doing("waiting for psql")?;
        sweeper.forget(self.child.id());
        Ok(Answer { ok: status.success(), text: self.seen.split_off(before).join("\n") })
    }
}
