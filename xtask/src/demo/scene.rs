//! What the demo is played on: a PostgreSQL, or a small service over HTTP. The tour is the same.
//!
//! A [`Scene`] holds what runs behind the gateway and the agent in front of it; its [`Script`] holds what is asked and said.

use std::fmt::Debug;
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use xtask::sweeper::Sweeper;
use xtask::trouble::{Doing, Result};

use crate::voice::Voice;

/// What runs behind the gateway, and the agent in front of it.
pub(super) trait Scene: Debug {
    /// What is asked and said.
    fn script(&self) -> &'static Script;

    /// Shows what the agent is about to ask.
    fn show(&self, asked: &str, voice: Voice);

    /// Asks; the answer is read as it comes.
    fn send(&self, asked: &str, sweeper: &Sweeper) -> Result<Call>;

    /// What the change would change, as it really is: read behind the gateway's back.
    fn credit_limit(&self) -> Result<String>;

    /// How many customers and orders there really are.
    fn counts(&self) -> Result<String>;

    /// How much has reached what is behind the gateway, where that can be counted.
    fn reached(&self) -> Option<u64>;

    /// A line by which somebody may try it.
    fn invitation(&self) -> String;

    /// Ends what runs.
    fn stop(&mut self);

    /// Asks and waits for the answer.
    fn ask(&self, asked: &str, bound: Duration, sweeper: &Sweeper) -> Result<Answer> {
        self.send(asked, sweeper)?.answer(bound, sweeper)
    }
}

/// What is asked, what has to come of it, and the words around it.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) target: &'static str,
    pub(super) introduction: &'static str,
    pub(super) read: &'static str,
    pub(super) read_shows: &'static str,
    pub(super) refused: [&'static str; 2],
    pub(super) refused_shows: &'static str,
    pub(super) refused_words: &'static str,
    /// Changes the credit limit of customer 3 from [`BEFORE`] to [`AFTER`].
    pub(super) write: &'static str,
    /// What the client is told while it waits, if its protocol has words for that.
    pub(super) notice: Option<&'static str>,
    pub(super) hangs: &'static str,
    pub(super) caller: &'static str,
    pub(super) write_shows: &'static str,
    pub(super) secret: &'static str,
    /// Is rejected: removes an order.
    pub(super) rejected: &'static str,
}

/// The credit limit of customer 3.
pub(super) const BEFORE: &str = "200";
/// The same after the change.
pub(super) const AFTER: &str = "900";
/// What [`Scene::counts`] says as long as nothing was removed.
pub(super) const ALL: &str = "4 customers, 5 orders";

/// Something that was asked and has not been answered.
#[derive(Debug)]
pub(super) struct Call {
    name: &'static str,
    running: Running,
    lines: Receiver<String>,
    seen: Vec<String>,
}

/// Who waits for the answer.
#[derive(Debug)]
pub(super) enum Running {
    Program(Child),
    /// A thread that says whether it went well.
    Thread(JoinHandle<bool>),
}

/// How a call ended.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) ok: bool,
    pub(super) text: String,
}

impl Call {
    /// `lines` ends when the call does.
    pub(super) fn new(name: &'static str, running: Running, lines: Receiver<String>) -> Self {
        Self { name, running, lines, seen: Vec::new() }
    }

    /// Waits for a line with these words. Returns every line seen until then.
    pub(super) fn until(&mut self, words: &str, bound: Duration) -> Result<String> {
        let (name, end) = (self.name, Instant::now() + bound);
        while !self.seen.iter().any(|line| line.contains(words)) {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Timeout) => xtask::fail!("{name} did not say `{words}`: {}", self.so_far()),
                Err(RecvTimeoutError::Disconnected) => xtask::fail!("{name} ended: {}", self.so_far()),
            }
        }
        // The rest of the notice (detail, hint) follows at once.
        while let Ok(line) = self.lines.recv_timeout(Duration::from_millis(200)) {
            self.seen.push(line);
        }
        Ok(self.seen.join("\n"))
    }

    fn so_far(&self) -> String {
        self.seen.join(" / ")
    }

    /// Whether it has been answered.
    pub(super) fn answered(&mut self) -> bool {
        match &mut self.running {
            Running::Program(child) => child.try_wait().ok().flatten().is_some(),
            Running::Thread(thread) => thread.is_finished(),
        }
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
                    if let Running::Program(child) = &mut self.running {
                        let _ = child.kill();
                        let _ = child.wait();
                    }
                    xtask::fail!("{} did not end within {} s: {}", self.name, bound.as_secs(), self.so_far());
                }
            }
        }
        let ok = match self.running {
            Running::Program(mut child) => {
                let status = child.wait().doing(format!("waiting for {}", self.name))?;
                sweeper.forget(child.id());
                status.success()
            }
            Running::Thread(thread) => thread.join().unwrap_or(false),
        };
        Ok(Answer { ok, text: self.seen.split_off(before).join("\n") })
    }
}
