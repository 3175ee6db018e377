//! What a session knows of its server: a machine without I/O.
//!
//! The gateway forwards a client's messages in order and keeps, for each, what it expects back. From the answers it learns
//! what the server did: which prepared statements there are, whether a transaction is open, what came of an action. The
//! one rule that matters: **this machine never believes in a statement text that the server does not hold**, or an old
//! text could be decided on while a new one runs. So a `Parse` that fails or is skipped puts back what was there before.
//!
//! A refused message becomes a *decoy* (a `Bind` of a statement that does not exist, or a `Query` that does not parse) in
//! the same place of the stream. The server then goes through exactly the failure that the client is told of: it aborts
//! the transaction, skips to `Sync`, drops what a failed message drops. Only the error's text is ours.
//!
//! Specification: <https://www.postgresql.org/docs/current/protocol-flow.html>.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use countersign_core::action::sql::SqlClass;
use countersign_core::action::{ActionDigest, ActionId};
use countersign_core::grant::RecordLevel;
use countersign_core::record::Status;
use sha2::{Digest, Sha256};

pub(super) use self::expected::{Ended, Expected, Kept, OwnStep, Prepared, Reaction, Running};
use self::outcomes::{Finished, Parts, outcome};
use super::catalog::{self, Disturbance};
use super::describe::Effect;
use super::mask::Columns;
use super::wire::TransactionStatus;
use super::wire::notice::{Notice, SqlState};
use crate::pipeline::Outcomes;

mod effects;
mod expected;
mod facts;
mod outcomes;
mod own;
#[cfg(test)]
mod tests;

/// The text of a decoy `Query`: it fails to parse, and the server's log says why.
pub(super) const DECOY_QUERY: &str = "COUNTERSIGN REFUSED THIS STATEMENT";
/// Names may refer to anything.
const DISTURBED: Disturbance = Disturbance { scope: true, definitions: true };
/// Prepared statements of one session; one more is refused.
pub(super) const PREPARED_MAX: usize = 2_000;
/// A statement above this size counts against [`LARGE_BYTES_MAX`].
pub(super) const LARGE_BYTES: usize = 64 * 1024;
/// What one session's large prepared statements may hold together.
pub(super) const LARGE_BYTES_MAX: usize = 64 << 20;

/// A stream that the client sends.
#[derive(Debug, Default)]
struct StreamIn {
    bytes: u64,
    hash: Sha256,
    /// The client has sent its end, and goes on.
    closed: bool,
}

/// Where the stream of the message in front comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The client.
    Client,
    /// The gateway, which took it in before; the server has not asked for it yet.
    Spool,
    /// The same, and it has asked.
    SpoolAsked,
}

/// The machine.
#[derive(Debug)]
pub(super) struct Session {
    prepared: BTreeMap<String, Arc<Prepared>>,
    expected: VecDeque<Expected>,
    status: TransactionStatus,
    /// Tracked settings that differ from the target's defaults.
    settings: BTreeMap<String, String>,
    /// This session's own name, told to nobody else: part of the meaning of what only this session can be sure of.
    own: String,
    /// Whether the command in front stands alone in a transaction of its own, so that what it did cannot be undone.
    alone: bool,
    /// What they are after `RESET`: the client gave these when it connected.
    startup: BTreeMap<String, String>,
    /// Effects of the open transaction: one digest over theirs.
    transaction: Option<ActionDigest>,
    /// Actions that ended well inside a transaction that is still open.
    uncommitted: Vec<(ActionId, RecordLevel)>,
    /// Ended since the last `ReadyForQuery`; the transaction's state tells how.
    finished: Finished,
    /// Statements that the `Query` in front has completed.
    completed: usize,
    /// The error of the message in front, by class.
    error: Option<String>,
    rows: Option<u64>,
    /// What the `Query` in front did before it ended a transaction itself.
    parts: Parts,
    /// Whether something ran since the last `ReadyForQuery` that may have committed what an error does not undo.
    escaped: bool,
    /// Savepoints, with how many uncommitted actions came before each.
    savepoints: Vec<(String, usize)>,
    /// What names refer to may have changed since the transaction began.
    disturbed: Disturbance,
    /// Whether a transaction block is open, as far as the answers since the last `ReadyForQuery` tell.
    block: Option<bool>,
    /// The same, by transactions that have ended; taken note of by whoever keeps what they refer to.
    pub(super) moved: Disturbance,
    /// Set while a statement with a bound on its rows runs: its end is kept back until its rows are compared.
    kept: Option<Kept>,
    /// Whether the transaction that is open is the gateway's own, around one statement.
    around: bool,
    /// The last row that answers our own commands.
    own_row: Option<Bytes>,
    stream: Option<StreamIn>,
    source: Source,
    stream_done: Option<StreamIn>,
    /// Whether extended messages were forwarded since the last `Sync`.
    pub(super) batch_open: bool,
    /// Whether a portal was among them.
    batch_bound: bool,
    /// Whether the client's messages are dropped until its `Sync`, as the server does after an error.
    pub(super) skipping: bool,
    /// What ended, for the record.
    pub(super) ended: Vec<Ended>,
}

impl Session {
    pub(super) fn new(settings: BTreeMap<String, String>) -> Self {
        Self {
            prepared: BTreeMap::new(),
            expected: VecDeque::new(),
            status: TransactionStatus::Idle,
            own: String::new(),
            alone: false,
            startup: settings.clone(),
            settings,
            transaction: None,
            uncommitted: Vec::new(),
            finished: Finished::default(),
            completed: 0,
            error: None,
            rows: None,
            parts: Parts::default(),
            escaped: false,
            savepoints: Vec::new(),
            disturbed: Disturbance::default(),
            block: None,
            moved: Disturbance::default(),
            kept: None,
            around: false,
            own_row: None,
            stream: None,
            source: Source::Client,
            stream_done: None,
            batch_open: false,
            batch_bound: false,
            skipping: false,
            ended: Vec::new(),
        }
    }

    /// The same, under a name of its own.
    pub(super) fn named(mut self, own: String) -> Self {
        self.own = own;
        self
    }

    pub(super) fn status(&self) -> TransactionStatus {
        self.status
    }

    /// Whether the batch has only prepared and described: a `Sync` then changes nothing but that locks are let go.
    pub(super) fn batch_only_prepares(&self) -> bool {
        self.batch_open && !self.batch_bound && self.status == TransactionStatus::Idle
    }

    /// Whether everything forwarded was answered.
    pub(super) fn settled(&self) -> bool {
        self.expected.is_empty()
    }

    /// Whether the server waits for the client's stream.
    pub(super) fn streaming_in(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| !stream.closed)
    }

    pub(super) fn settings(&self) -> &BTreeMap<String, String> {
        &self.settings
    }

    /// Whether something is open that holds locks while people read.
    pub(super) fn in_transaction(&self) -> bool {
        self.status != TransactionStatus::Idle || self.batch_open
    }

    pub(super) fn statement(&self, name: &str) -> Option<Arc<Prepared>> {
        self.prepared.get(name).cloned()
    }

    pub(super) fn prepared_count(&self) -> usize {
        self.prepared.len()
    }

    /// Whether a transaction block is open.
    pub(super) fn in_block(&self) -> bool {
        self.block.unwrap_or(self.status != TransactionStatus::Idle)
    }

    /// Whether something on its way may open or end a transaction block.
    pub(super) fn transaction_control_pending(&self) -> bool {
        self.expected.iter().any(|expected| match expected {
            Expected::Execute { prepared, .. } => prepared
                .as_ref()
                .is_none_or(|prepared| prepared.description.effects.iter().any(effects::controls_transaction)),
            Expected::Query { .. } | Expected::Decoy { .. } => true,
            _ => false,
        })
    }

    /// Whether names may refer to something that only this session sees, until its transaction ends.
    pub(super) fn disturbed(&self) -> bool {
        self.disturbed.any()
    }

    fn disturb(&mut self, by: Disturbance) {
        self.disturbed.scope |= by.scope;
        self.disturbed.definitions |= by.definitions;
    }

    /// Bytes of the large prepared statements.
    pub(super) fn large_bytes(&self) -> usize {
        self.prepared.values().map(|prepared| prepared.sql.len()).filter(|bytes| *bytes > LARGE_BYTES).sum()
    }

    /// A `Parse` goes out.
    pub(super) fn parse_sent(&mut self, name: &str, prepared: Arc<Prepared>) {
        let previous = self.prepared.get(name).cloned();
        let kept = previous.is_some() && !name.is_empty(); // the server will refuse the name
        if !kept {
            self.prepared.insert(name.to_owned(), prepared);
        }
        self.batch_open = true;
        self.expected.push_back(Expected::Parse { name: name.to_owned(), previous, kept });
    }

    /// Any other message goes out.
    pub(super) fn sent(&mut self, expected: Expected) {
        match &expected {
            Expected::Sync | Expected::OwnSync => {
                self.batch_open = false;
                self.batch_bound = false;
            }
            Expected::Query { .. } => {
                self.prepared.remove(""); // a simple query drops the unnamed statement
                self.completed = 0;
                self.parts = Parts::default();
            }
            Expected::Own(_) => {}
            Expected::Decoy { simple: true, .. } => drop(self.prepared.remove("")),
            Expected::Decoy { simple: false, .. } => self.batch_open = true,
            Expected::Bind { .. } | Expected::Execute { .. } => {
                self.batch_open = true;
                self.batch_bound = true;
            }
            Expected::Parse { .. }
            | Expected::DescribeStatement { .. }
            | Expected::DescribePortal
            | Expected::Close { .. } => self.batch_open = true,
        }
        self.expected.push_back(expected);
    }

    /// A decoy goes out in place of a `Parse` of the unnamed statement, which it drops as that would have.
    pub(super) fn unnamed_decoy_sent(&mut self, notice: Notice) {
        self.prepared.remove("");
        self.sent(Expected::Decoy { notice: Some(Box::new(notice)), simple: false });
    }

    /// A `Close` of a statement, or of a portal, goes out.
    pub(super) fn close_sent(&mut self, statement: Option<&str>) {
        let previous = statement.and_then(|name| self.prepared.remove(name));
        self.sent(Expected::Close { name: statement.map(str::to_owned), previous });
    }

    /// The client streams a chunk.
    pub(super) fn streamed(&mut self, chunk: &[u8]) {
        if let Some(stream) = &mut self.stream {
            stream.bytes += chunk.len() as u64;
            stream.hash.update(chunk);
        }
    }

    /// The client's stream ends: what it sends next is for the server to answer.
    pub(super) fn stream_closed(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.closed = true;
        }
    }

    /// The server asks for the client's stream. While it reads that, it ignores `Sync`: those on their way are not
    /// answered, and the client sends another one at the end.
    pub(super) fn copy_in(&mut self) -> Reaction {
        let before = self.expected.len();
        self.expected.retain(|expected| !matches!(expected, Expected::Sync));
        self.batch_open |= self.expected.len() < before;
        self.source = match self.source {
            Source::Client => Source::Client,
            Source::Spool => Source::SpoolAsked,
            // the client would answer, with data that nobody has seen
            Source::SpoolAsked => return desynchronised("a second stream asked for"),
        };
        self.stream = Some(StreamIn::default());
        match self.source {
            Source::Client => Reaction::Forward,
            Source::Spool | Source::SpoolAsked => Reaction::Swallow,
        }
    }

    /// The `Query` that just went out has its stream from the gateway: the client was asked for it already.
    pub(super) fn feeds(&mut self) {
        self.source = Source::Spool;
    }

    /// `ParseComplete`, `BindComplete`, `CloseComplete`: each answers its own message and no other.
    pub(super) fn step_done(&mut self, kind: u8) -> Reaction {
        match (kind, self.expected.pop_front()) {
            (b'1', Some(Expected::Parse { kept: false, .. })) // a name that is believed to be taken cannot be prepared
            | (b'2', Some(Expected::Bind { .. }))
            | (b'3', Some(Expected::Close { .. })) => Reaction::Forward,
            (b'1', Some(Expected::Own(OwnStep::Parse)))
            | (b'2', Some(Expected::Own(OwnStep::Bind)))
            | (b'3', Some(Expected::Own(OwnStep::Close))) => Reaction::Swallow,
            (_, front) => desynchronised(&format!("`{}` in answer to {front:?}", kind.escape_ascii())),
        }
    }

    /// The columns of a result, or none: they end a `Describe`, and inside anything else they only announce rows.
    pub(super) fn columns(&mut self) -> Reaction {
        match self.expected.front() {
            Some(Expected::DescribeStatement { .. } | Expected::DescribePortal) => drop(self.expected.pop_front()),
            Some(Expected::Own(OwnStep::Describe)) => {
                self.expected.pop_front();
                return Reaction::Swallow;
            }
            _ => {}
        }
        Reaction::Forward
    }

    /// Whether what the server sends now answers a simple query.
    pub(super) fn query_in_front(&self) -> bool {
        matches!(self.expected.front(), Some(Expected::Query { .. }))
    }

    /// How the rows that come now are shown, if not as they are.
    pub(super) fn front_mask(&self) -> Option<Arc<Columns>> {
        match self.expected.front() {
            Some(Expected::Execute { mask, .. }) => mask.clone(),
            _ => None,
        }
    }

    /// `ParameterDescription`: the server tells the types of a statement's parameters.
    pub(super) fn parameters(&mut self, types: Vec<u32>) -> Reaction {
        if let Some(Expected::DescribeStatement { name }) = self.expected.front()
            && !self.renames(name)
            && let Some(known) = self.prepared.get_mut(name)
        {
            let (sql, part, declared) = (known.sql.clone(), known.part.clone(), known.declared.clone());
            let description = known.description.clone();
            *known = Arc::new(Prepared { sql, part, declared, types, description });
        }
        Reaction::Forward
    }

    /// `CommandComplete`, `EmptyQueryResponse`, `PortalSuspended`.
    pub(super) fn command_done(&mut self, tag: &str, rows: Option<u64>) -> Reaction {
        self.note_end(tag);
        self.note_block(tag);
        let stream = self.stream.take();
        match self.expected.pop_front() {
            Some(Expected::Own(OwnStep::End)) => {
                self.around = false;
                if tag == "ROLLBACK" {
                    self.error = Some(String::new()); // what it did is undone
                }
                Reaction::Swallow
            }
            Some(Expected::Own(OwnStep::Execute)) => Reaction::Swallow,
            Some(Expected::Execute { running, prepared, disturbance, mask: _ }) => {
                self.disturb(disturbance);
                if let Some(running) = running {
                    let outcome = outcome(&running, rows, stream, None);
                    self.finish(running, outcome);
                }
                self.note_escape(prepared.as_ref().map(|prepared| &*prepared.description), 0);
                let effect = prepared.as_ref().and_then(|prepared| prepared.description.effects.first());
                let effect = effect.cloned().unwrap_or(Effect::None);
                let sql = prepared.map_or_else(|| "".into(), |prepared| prepared.sql.clone());
                self.alone = false; // a later message of its batch may still undo it
                self.ended_inside(tag, &effect);
                let reaction = self.take_effect(&effect, tag, (&sql, 0));
                self.keep(tag, rows, reaction)
            }
            Some(Expected::Query { running, description, sql }) => {
                let at = self.completed;
                let effect = description.effects.get(at).cloned().unwrap_or(Effect::Unknown);
                self.completed += 1;
                let statement = description.facts.statements.get(at);
                self.disturb(statement.map_or(DISTURBED, |of| catalog::disturbance(of, Some(&effect))));
                self.note_escape(Some(&description), at);
                self.part_done(tag, &effect);
                self.rows = rows.or(self.rows);
                self.stream_done = stream.or(self.stream_done.take());
                self.alone = description.effects.len() == 1 && self.status == TransactionStatus::Idle;
                let reaction = self.take_effect(&effect, tag, (&sql, at));
                self.expected.push_front(Expected::Query { running, description, sql });
                self.keep(tag, rows, reaction)
            }
            Some(other) => {
                let told = desynchronised(&format!("`{tag}` in answer to {other:?}"));
                self.expected.push_front(other);
                told
            }
            None => desynchronised("a completion nobody asked for"),
        }
    }

    /// An effect on the session counts only if the server says that this very command was done.
    fn take_effect(&mut self, effect: &Effect, tag: &str, from: (&Arc<str>, usize)) -> Reaction {
        if tag.is_empty() {
            return Reaction::Forward; // empty, or suspended
        }
        match effects::agrees(effect, tag) && self.apply(effect, from) {
            true => Reaction::Forward,
            false => desynchronised(&format!("`{tag}` where {effect:?} was expected")),
        }
    }

    /// `ErrorResponse`.
    pub(super) fn failed(&mut self, class: &str) -> Reaction {
        self.stream = None;
        match self.expected.pop_front() {
            Some(Expected::Own(OwnStep::End)) => {
                self.around = false;
                self.error = Some(class.to_owned());
                self.skip_rest(); // a constraint that was put off failed: the client is told as by its own COMMIT
                Reaction::Forward
            }
            Some(Expected::Own(step)) => desynchronised(&format!("error {class} in answer to our own {step:?}")),
            Some(Expected::Query { running, description, sql }) => {
                self.note_escape(Some(&description), self.completed);
                self.forget_unreported(&description);
                self.error = Some(class.to_owned());
                if description.facts.class >= SqlClass::Admin {
                    self.disturb(DISTURBED); // part of it may have been committed before it failed
                }
                self.expected.push_front(Expected::Query { running, description, sql });
                Reaction::Forward
            }
            Some(Expected::Sync) => {
                self.error = Some(class.to_owned()); // the implicit transaction failed to commit
                self.expected.push_front(Expected::Sync);
                Reaction::Forward
            }
            Some(Expected::Decoy { notice, simple }) => {
                self.error = Some(class.to_owned()); // what the batch did before it is undone
                if simple {
                    self.expected.push_front(Expected::Sync); // its `ReadyForQuery`
                } else {
                    self.skip_rest();
                }
                match notice {
                    Some(notice) => Reaction::Replace(notice),
                    None => {
                        self.error = Some(class.to_owned()); // what was done before it is undone with it
                        Reaction::Swallow
                    }
                }
            }
            Some(front) => {
                self.skip_rest(); // undone newest first, the failed step last
                self.step_failed(front, class);
                Reaction::Forward
            }
            None => Reaction::Forward, // unasked for: the server is about to end the session
        }
    }

    fn step_failed(&mut self, front: Expected, class: &str) {
        match front {
            Expected::Parse { name, kept: false, .. } => self.undo(&name, None),
            Expected::Execute { running, prepared, disturbance, mask: _ } => {
                self.disturb(disturbance);
                self.note_escape(prepared.as_ref().map(|prepared| &*prepared.description), 0);
                if let Some(running) = running {
                    let outcome = outcome(&running, None, None, Some(class.to_owned()));
                    self.finish(running, outcome);
                }
            }
            _ => {}
        }
        self.error = Some(class.to_owned());
    }

    /// A change of a name did not happen. What is on its way for the same name was built on it: that now follows `back`;
    /// else `back` is what stands.
    fn undo(&mut self, name: &str, back: Option<Arc<Prepared>>) {
        let next = self.expected.iter_mut().find_map(|expected| match expected {
            Expected::Parse { name: of, previous, kept: false } if of == name => Some(previous),
            Expected::Close { name: Some(of), previous } if of == name => Some(previous),
            _ => None,
        });
        match (next, back) {
            (Some(previous), back) => *previous = back,
            (None, Some(back)) => drop(self.prepared.insert(name.to_owned(), back)),
            (None, None) => drop(self.prepared.remove(name)),
        }
    }

    /// The server skips to `Sync`: what stands before it will not be done.
    fn skip_rest(&mut self) {
        let rest = self.expected.iter().position(|expected| matches!(expected, Expected::Sync | Expected::OwnSync));
        if rest.is_none() {
            self.skipping = true; // the client's `Sync` is still to come
        }
        let mut unfinished = Vec::new();
        let skipped: Vec<Expected> = self.expected.drain(..rest.unwrap_or(self.expected.len())).collect();
        for expected in skipped.into_iter().rev() {
            match expected {
                Expected::Parse { name, previous, kept: false } => self.undo(&name, previous),
                Expected::Close { name: Some(name), previous } => self.undo(&name, previous),
                Expected::Execute { running: Some(running), .. } | Expected::Query { running: Some(running), .. } => {
                    let outcome = Outcomes { status: Status::NotExecuted, ..outcome(&running, None, None, None) };
                    unfinished.push((running, outcome));
                }
                _ => {}
            }
        }
        self.finished.done.extend(unfinished.into_iter().rev()); // none of it succeeded
    }

    /// `ReadyForQuery`: the transaction's state is known, and with it what came of everything before.
    pub(super) fn ready(&mut self, status: TransactionStatus) -> Reaction {
        let front = self.expected.pop_front();
        if !matches!(front, Some(Expected::Sync | Expected::OwnSync | Expected::Query { .. })) {
            return desynchronised(&format!("`Z` in answer to {front:?}"));
        }
        let kept = self.kept.is_some() && matches!(front, Some(Expected::Query { .. } | Expected::Sync));
        let failed = self.error.take();
        let own = matches!(front, Some(Expected::OwnSync));
        if matches!(front, Some(Expected::Query { .. })) {
            self.source = Source::Client; // another end says nothing about a query that is on its way
        }
        if let Some(Expected::Query { running: Some(running), .. }) = front {
            self.query_ended(running, failed.clone(), status);
        }
        self.rows = None;
        self.stream_done = None;
        if status == TransactionStatus::Idle {
            self.end_transaction(Status::RolledBack); // no end was told: it failed
        }
        if !(self.around && status != TransactionStatus::Idle) {
            self.settle_finished(status, failed.is_some());
        }
        self.status = status;
        self.block = None;
        if status == TransactionStatus::Idle {
            let Disturbance { scope, definitions } = std::mem::take(&mut self.disturbed);
            self.moved.scope |= scope || definitions;
            self.moved.definitions |= definitions;
            self.transaction = None;
            self.savepoints.clear();
        }
        if own || kept { Reaction::Swallow } else { Reaction::Forward }
    }
}

/// The server did something else than the machine believes: nothing it would believe from here on can be relied on.
fn desynchronised(what: &str) -> Reaction {
    tracing::error!(what, "the session's belief and the server differ; the session ends");
    let message = "countersign: the session cannot be followed any more and ends";
    Reaction::Fatal(Box::new(Notice::fatal(SqlState::PROTOCOL_VIOLATION, message)))
}

/// The words of a transaction that failed, as the server would say them.
pub(super) fn aborted() -> Notice {
    let state = SqlState::new("25P02").unwrap_or(SqlState::INTERNAL_ERROR);
    Notice::error(state, "current transaction is aborted, commands ignored until end of transaction block")
}
