//! What came of the actions: in their batch, in their transaction, on a connection that was lost.

use countersign_core::action::{ActionDigest, ActionId};
use countersign_core::grant::RecordLevel;
use countersign_core::record::Status;
use sha2::Digest as _;

use super::{Ended, Expected, Running, Session, StreamIn};
use crate::pipeline::Outcomes;
use crate::protocols::postgres::describe::{Description, Effect};
use crate::protocols::postgres::wire::TransactionStatus;

/// Commands that commit by themselves what an error after it does not undo: they run in transactions of their own, or may
/// leave something behind when they fail. So does what has [`Effect::InSteps`].
const ESCAPING: &[&str] = &[
    "ALTER DATABASE",
    "ALTER SUBSCRIPTION",
    "ALTER SYSTEM",
    "CALL",
    "CLUSTER",
    "COMMIT PREPARED",
    "CREATE DATABASE",
    "CREATE SUBSCRIPTION",
    "CREATE TABLESPACE",
    "DO",
    "DROP DATABASE",
    "DROP SUBSCRIPTION",
    "DROP TABLESPACE",
    "REINDEX",
    "ROLLBACK PREPARED",
    "VACUUM",
];

/// The parts of one `Query`, between the ends of transactions that it has.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Whether something ran since the last end.
    worked: bool,
    /// What became of everything before it.
    before: Option<Status>,
    /// Whether a transaction was committed, whatever failed after it.
    committed: bool,
}

impl Parts {
    fn end(&mut self, status: Status) {
        if std::mem::take(&mut self.worked) {
            self.before = Some(both(self.before, status));
        }
    }
}

/// One status for two parts of an action: where they differ, no status says what became of it.
fn both(before: Option<Status>, after: Status) -> Status {
    if before.is_none_or(|before| before == after) { after } else { Status::Unknown }
}

impl Session {
    /// What a batch did before it ended its transaction itself is settled there.
    pub(super) fn ended_inside(&mut self, tag: &str, effect: &Effect) {
        let status = match (tag, effect) {
            ("COMMIT", _) => Status::Succeeded,
            ("PREPARE TRANSACTION", _) => Status::Unknown,
            ("ROLLBACK", Effect::RollbackTo { .. }) => return,
            ("ROLLBACK", _) if self.escaped => Status::Unknown,
            ("ROLLBACK", _) => Status::RolledBack,
            _ => return,
        };
        for (running, mut outcome) in std::mem::take(&mut self.finished).done {
            if outcome.status == Status::Succeeded {
                outcome.status = status;
            }
            self.ended.push(Ended { id: running.id, level: running.level, outcome });
        }
    }

    /// A statement of the `Query` in front is done.
    pub(super) fn part_done(&mut self, tag: &str, effect: &Effect) {
        self.ended_inside(tag, effect);
        match (tag, effect) {
            // undone as far as to its savepoint; and what came before one may survive what comes after it
            (_, Effect::RollbackTo { .. } | Effect::Savepoint { .. }) => self.parts.end(Status::Unknown),
            ("COMMIT", _) => {
                self.parts.committed = true;
                self.parts.end(Status::Succeeded);
            }
            ("ROLLBACK", _) => self.parts.end(Status::RolledBack),
            ("PREPARE TRANSACTION", _) => self.parts.end(Status::Unknown),
            (_, Effect::Begin { .. } | Effect::Release { .. }) => {}
            _ => self.parts.worked = true,
        }
    }

    /// The `Query` in front has ended. What it decided about itself is told at once; the rest waits for its transaction.
    pub(super) fn query_ended(&mut self, running: Running, error: Option<String>, status: TransactionStatus) {
        let Parts { worked, before, committed } = std::mem::take(&mut self.parts);
        let failed = error.is_some();
        let mut outcome = outcome(&running, self.rows.take(), self.stream_done.take(), error);
        let Some(before) = before else {
            if failed && committed {
                outcome.status = Status::Unknown; // not nothing of it: a transaction was committed
            }
            return self.finish(running, outcome);
        };
        let rest = match status {
            _ if failed => Status::RolledBack,
            _ if !worked => before,
            TransactionStatus::Idle => Status::Succeeded,
            TransactionStatus::InTransaction | TransactionStatus::Failed => Status::Unknown,
        };
        outcome.status = if failed && self.escaped { Status::Unknown } else { both(Some(before), rest) };
        if status == TransactionStatus::InTransaction {
            self.note_in_transaction(running.digest);
        }
        self.ended.push(Ended { id: running.id, level: running.level, outcome });
    }

    /// Takes note of a statement that may have committed something for good. Inside a transaction block it cannot.
    pub(super) fn note_escape(&mut self, description: Option<&Description>, at: usize) {
        let Some(description) = description else { return };
        let statement = description.facts.statements.get(at);
        let escapes = statement.is_some_and(|statement| ESCAPING.contains(&statement.verb.as_str()))
            || description.effects.get(at) == Some(&Effect::InSteps);
        self.escaped |= escapes && self.status == TransactionStatus::Idle;
    }

    /// The end of a transaction decides about what it did in earlier messages.
    pub(super) fn note_end(&mut self, tag: &str) {
        let end = match tag {
            "COMMIT" => Status::Succeeded,
            "ROLLBACK" => Status::RolledBack,
            "PREPARE TRANSACTION" => Status::Unknown, // another session will decide
            _ => return,
        };
        if !matches!(self.savepoint_in_front(), Some(Effect::RollbackTo { .. })) {
            self.end_transaction(end);
            self.savepoints.clear();
        }
    }

    /// Whether a transaction block is open from here on.
    pub(super) fn note_block(&mut self, tag: &str) {
        let chain = matches!(
            self.savepoint_in_front(),
            Some(Effect::RollbackTo { .. } | Effect::Commit { chain: true } | Effect::Rollback { chain: true })
        );
        match tag {
            "BEGIN" | "START TRANSACTION" => self.block = Some(true),
            "COMMIT" | "ROLLBACK" | "PREPARE TRANSACTION" if !chain => self.block = Some(false),
            _ => {}
        }
    }

    /// `ROLLBACK TO` has the tag of a `ROLLBACK`.
    pub(super) fn savepoint_in_front(&self) -> Option<&Effect> {
        match self.expected.front()? {
            Expected::Query { description, .. } => description.effects.get(self.completed),
            Expected::Execute { prepared, .. } => prepared.as_ref()?.description.effects.first(),
            _ => None,
        }
    }

    pub(super) fn end_transaction(&mut self, status: Status) {
        let open = std::mem::take(&mut self.uncommitted);
        self.end(open, status);
    }

    pub(super) fn end(&mut self, actions: Vec<(ActionId, RecordLevel)>, status: Status) {
        for (id, level) in actions {
            let outcome = Outcomes { status, rows: None, stream: None, micros: 0, error: None };
            self.ended.push(Ended { id, level, outcome });
        }
    }

    /// What ended before this `ReadyForQuery` took effect, waits for its transaction, or was undone.
    pub(super) fn settle_finished(&mut self, status: TransactionStatus, failed: bool) {
        let escaped = std::mem::take(&mut self.escaped);
        for (running, mut outcome) in std::mem::take(&mut self.finished).done {
            let in_doubt = escaped && (failed || status != TransactionStatus::Idle);
            outcome.status = match (outcome.status, status) {
                (Status::Succeeded | Status::Failed, _) if in_doubt => Status::Unknown,
                (Status::Succeeded, TransactionStatus::InTransaction) => Status::Uncommitted,
                (Status::Succeeded, TransactionStatus::Failed) => Status::RolledBack,
                (Status::Succeeded, TransactionStatus::Idle) if failed => Status::RolledBack,
                (settled, _) => settled,
            };
            if status == TransactionStatus::InTransaction && outcome.status != Status::Failed {
                self.note_in_transaction(running.digest);
            }
            if outcome.status == Status::Uncommitted {
                self.uncommitted.push((running.id.clone(), running.level));
            }
            self.ended.push(Ended { id: running.id, level: running.level, outcome });
        }
    }

    /// What the open transaction, explicit or a batch's own, did before: one digest over all of it, in order.
    pub(in crate::protocols::postgres) fn transaction(&self) -> Vec<ActionDigest> {
        self.finished.digest.or(self.transaction).into_iter().collect()
    }

    /// A message of the batch is done; its `Sync` is still to come.
    pub(super) fn finish(&mut self, running: Running, outcome: Outcomes) {
        if outcome.status == Status::Succeeded {
            self.finished.digest = Some(chained(self.finished.digest.or(self.transaction), running.digest));
        }
        self.finished.done.push((running, outcome));
    }

    pub(super) fn note_in_transaction(&mut self, digest: ActionDigest) {
        self.transaction = Some(chained(self.transaction, digest));
        self.finished.digest = self.finished.digest.and_then(|_| self.finished.after(self.transaction));
    }

    /// The connection is gone: what was sent and not answered can no longer be known.
    pub(in crate::protocols::postgres) fn lost(&mut self) {
        let expected = std::mem::take(&mut self.expected);
        let undecided = expected.iter().any(|expected| {
            // one of these may have ended the transaction
            matches!(expected, Expected::Execute { .. } | Expected::Query { .. } | Expected::Sync)
        });
        let running = expected.into_iter().filter_map(|expected| match expected {
            Expected::Execute { running, .. } | Expected::Query { running, .. } => running,
            _ => None,
        });
        let unknown = |running: Running| {
            let outcome = Outcomes { status: Status::Unknown, ..outcome(&running, None, None, None) };
            Ended { id: running.id, level: running.level, outcome }
        };
        self.ended.extend(running.map(unknown));
        let finished = std::mem::take(&mut self.finished);
        self.ended.extend(finished.done.into_iter().map(|(running, _)| unknown(running)));
        self.end_transaction(if undecided { Status::Unknown } else { Status::RolledBack });
    }
}

/// What is done of a batch. Thousands of messages may be, so that the digest over them grows with each.
#[derive(Debug, Default)]
pub(super) struct Finished {
    pub(super) done: Vec<(Running, Outcomes)>,
    /// Over what the transaction did before and what succeeded since; none when nothing did.
    digest: Option<ActionDigest>,
}

impl Finished {
    fn after(&self, before: Option<ActionDigest>) -> Option<ActionDigest> {
        let succeeded = self.done.iter().filter(|(_, outcome)| outcome.status == Status::Succeeded);
        succeeded.fold(before, |before, (running, _)| Some(chained(before, running.digest)))
    }
}

fn chained(before: Option<ActionDigest>, next: ActionDigest) -> ActionDigest {
    match before {
        None => next,
        Some(before) => ActionDigest::of(&[before.as_bytes().as_slice(), next.as_bytes()].concat()),
    }
}

pub(super) fn outcome(
    running: &Running,
    rows: Option<u64>,
    stream: Option<StreamIn>,
    error: Option<String>,
) -> Outcomes {
    let micros = u64::try_from(running.started.elapsed().as_micros()).unwrap_or(u64::MAX);
    let status = if error.is_some() { Status::Failed } else { Status::Succeeded };
    let stream = stream.map(|stream| (stream.bytes, hex::encode(stream.hash.finalize())));
    Outcomes { status, rows, stream, micros, error }
}
