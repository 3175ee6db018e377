//! What came of the actions: in their batch, in their transaction, on a connection that was lost.

use countersign_core::action::{ActionDigest, ActionId};
use countersign_core::grant::RecordLevel;
use countersign_core::record::Status;
use sha2::Digest as _;

use super::{Ended, Expected, Running, Session, StreamIn};
use crate::pipeline::Outcomes;
use crate::protocols::postgres::describe::Effect;
use crate::protocols::postgres::wire::TransactionStatus;

impl Session {
    /// What a batch did before it ended its transaction itself is settled there.
    pub(super) fn ended_inside(&mut self, tag: &str, effect: &Effect) {
        let status = match (tag, effect) {
            ("COMMIT", _) => Status::Succeeded,
            ("ROLLBACK", Effect::RollbackTo { .. }) => return,
            ("ROLLBACK", _) => Status::RolledBack,
            _ => return,
        };
        for (running, mut outcome) in std::mem::take(&mut self.finished) {
            if outcome.status == Status::Succeeded {
                outcome.status = status;
            }
            self.ended.push(Ended { id: running.id, level: running.level, outcome });
        }
    }

    /// The first end of a transaction in a message decides about what the transaction did before.
    pub(super) fn note_end(&mut self, tag: &str) {
        let end = match tag {
            "COMMIT" => Status::Succeeded,
            "ROLLBACK" => Status::RolledBack,
            "PREPARE TRANSACTION" => Status::Unknown, // another session will decide
            _ => return,
        };
        if !self.uncommitted.is_empty() && !matches!(self.savepoint_in_front(), Some(Effect::RollbackTo { .. })) {
            self.transaction_end.get_or_insert(end);
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
        let undone = failed && !self.committed_inside;
        for (running, mut outcome) in std::mem::take(&mut self.finished) {
            if outcome.status == Status::Succeeded {
                outcome.status = match status {
                    TransactionStatus::InTransaction => Status::Uncommitted,
                    TransactionStatus::Failed => Status::RolledBack,
                    TransactionStatus::Idle if undone => Status::RolledBack,
                    TransactionStatus::Idle => Status::Succeeded,
                };
            } else if outcome.status == Status::Failed && self.committed_inside {
                outcome.status = Status::Succeeded; // in part: an earlier statement of the message was committed
            }
            if outcome.status == Status::Uncommitted {
                self.note_in_transaction(running.digest);
                self.uncommitted.push((running.id.clone(), running.level));
            }
            self.ended.push(Ended { id: running.id, level: running.level, outcome });
        }
        self.committed_inside = false;
    }

    /// What the open transaction, explicit or a batch's own, did before: one digest over all of it, in order.
    pub(in crate::protocols::postgres) fn transaction(&self) -> Vec<ActionDigest> {
        let batch = self.finished.iter().filter(|(_, outcome)| outcome.status == Status::Succeeded);
        batch.fold(self.transaction, |before, (running, _)| Some(chained(before, running.digest))).into_iter().collect()
    }

    pub(super) fn note_in_transaction(&mut self, digest: ActionDigest) {
        self.transaction = Some(chained(self.transaction, digest));
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
        self.ended.extend(finished.into_iter().map(|(running, _)| unknown(running)));
        self.end_transaction(if undecided { Status::Unknown } else { Status::RolledBack });
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
