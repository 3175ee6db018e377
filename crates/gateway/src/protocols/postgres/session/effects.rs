//! What statements do to their own session: settings, prepared statements, savepoints.
//!
//! Applied only once the server has said that the statement is done. Every effect has its arm: a new one does not compile
//! until somebody has said what it means here.

use std::sync::Arc;

use countersign_core::action::PayloadDigest;
use countersign_core::action::sql::{SqlClass, SqlFacts, SqlStatement};
use countersign_core::record::Status;

use super::{Ended, Prepared, Session};
use crate::protocols::postgres::describe::{Description, Discard, Effect, Referents, Setting};
use crate::protocols::postgres::settings;
use crate::protocols::postgres::wire::TransactionStatus;

/// Stands among the settings once one of them was changed in a way that may have been undone.
const ONLY_HERE: &str = "valid in this session only";
/// Stands for a setting whose name the server computed.
const COMPUTED_NAME: &str = "‹a computed name›";
/// The most characters kept of a setting's history.
const HISTORY_CHARS_MAX: usize = 2_000;

/// Whether a statement changes which text stands under a name.
pub(super) fn changes_statements(effect: &Effect) -> bool {
    matches!(effect, Effect::Prepare { .. } | Effect::Deallocate { .. } | Effect::Discard(_) | Effect::Unknown)
}

/// Whether a statement opens or ends a transaction block.
pub(super) fn controls_transaction(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::Begin { .. }
            | Effect::Commit { .. }
            | Effect::Rollback { .. }
            | Effect::PrepareTransaction { .. }
            | Effect::Unknown
    )
}

/// Whether the server's words for what it did are those of this effect. What changes names or settings must be named by
/// its own word, and nothing else may be.
pub(super) fn agrees(effect: &Effect, tag: &str) -> bool {
    let word = tag.split(' ').next().unwrap_or_default();
    let expected = match effect {
        Effect::Prepare { .. } => return tag == "PREPARE",
        Effect::Deallocate { .. } => "DEALLOCATE",
        Effect::Discard(_) => "DISCARD",
        Effect::Set(_)
        | Effect::SetTransaction { .. }
        | Effect::SetCharacteristics { .. }
        | Effect::SetSnapshot { .. }
        | Effect::SetConstraints => "SET",
        Effect::Reset { .. } | Effect::ResetAll => return matches!(word, "SET" | "RESET"),
        _ => return tag != "PREPARE" && !matches!(word, "DEALLOCATE" | "DISCARD" | "SET" | "RESET"),
    };
    word == expected
}

impl Session {
    /// What a statement did to the session, now that the server has said so. False when that cannot be: a name was
    /// prepared that was taken.
    pub(super) fn apply(&mut self, effect: &Effect, (sql, at): (&Arc<str>, usize)) -> bool {
        match effect {
            Effect::Set(setting) => self.set(setting),
            Effect::Query { settings, .. } | Effect::DeclareCursor { settings, .. } => {
                self.alone = false; // it may have run for no row, or for several
                settings.iter().for_each(|setting| self.set(setting));
            }
            Effect::Reset { name, .. } => self.then(name, "default"),
            Effect::ResetAll => {
                let names: Vec<String> = self.settings.keys().cloned().collect();
                names.iter().for_each(|name| self.then(name, "default"));
            }
            Effect::Discard(Discard::All) => {
                self.settings.clone_from(&self.startup);
                self.prepared.clear();
            }
            Effect::Prepare { name, statement, referents } => {
                return self.prepare(name, (statement, referents), (sql, at));
            }
            Effect::Deallocate { name: Some(name) } => drop(self.prepared.remove(name)),
            Effect::Deallocate { name: None } => self.prepared.clear(),
            Effect::SetCharacteristics { modes } => {
                self.then("transaction characteristics", &format!("{modes:?}"));
            }
            Effect::Savepoint { name } => {
                self.join_transaction();
                self.savepoints.push((name.clone(), self.uncommitted.len()));
            }
            Effect::RollbackTo { name } => {
                self.join_transaction();
                self.rolled_back_to(name);
            }
            Effect::Release { name } => {
                if let Some(at) = self.savepoints.iter().rposition(|(savepoint, _)| savepoint == name) {
                    self.savepoints.truncate(at);
                }
            }
            Effect::None
            | Effect::InSteps
            | Effect::Unknown
            | Effect::Begin { .. }
            | Effect::Commit { .. }
            | Effect::Rollback { .. }
            | Effect::PrepareTransaction { .. }
            | Effect::FinishPrepared { .. }
            | Effect::SetTransaction { .. }
            | Effect::SetSnapshot { .. }
            | Effect::SetConstraints
            | Effect::Execute { .. }
            | Effect::Fetch { .. }
            | Effect::CloseCursor { .. }
            | Effect::Discard(Discard::Plans | Discard::Sequences | Discard::Temporary)
            | Effect::CopyIn(_)
            | Effect::CopyOut
            | Effect::Listen { .. }
            | Effect::Unlisten { .. } => {}
        }
        true
    }

    /// The last statement of a message is reported only once the message is committed. When that fails, a `DEALLOCATE` is
    /// done all the same, since prepared statements know no transactions.
    pub(super) fn forget_unreported(&mut self, description: &Description) {
        if self.completed + 1 == description.effects.len() && self.status == TransactionStatus::Idle {
            match description.effects.last() {
                Some(Effect::Deallocate { name: Some(name) }) => drop(self.prepared.remove(name)),
                Some(Effect::Deallocate { name: None }) => self.prepared.clear(),
                _ => {}
            }
        }
    }

    /// What a batch did so far belongs to the transaction that is open around it.
    fn join_transaction(&mut self) {
        let (done, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.finished)
            .done
            .into_iter()
            .partition(|(_, outcome)| outcome.status == Status::Succeeded);
        self.finished.done = rest;
        for (running, mut outcome) in done {
            outcome.status = Status::Uncommitted;
            self.note_in_transaction(running.digest);
            self.uncommitted.push((running.id.clone(), running.level));
            self.ended.push(Ended { id: running.id, level: running.level, outcome });
        }
    }

    /// What came after a savepoint is undone; the savepoint itself stays.
    fn rolled_back_to(&mut self, name: &str) {
        let Some(at) = self.savepoints.iter().rposition(|(savepoint, _)| savepoint == name) else { return };
        let before = self.savepoints[at].1;
        self.savepoints.truncate(at + 1);
        let undone = self.uncommitted.split_off(before.min(self.uncommitted.len()));
        self.end(undone, Status::RolledBack);
    }

    fn set(&mut self, setting: &Setting) {
        let name = setting.name.as_deref().unwrap_or(COMPUTED_NAME);
        if settings::harmless(name) {
            return;
        }
        let value = setting.value.as_deref().unwrap_or("‹computed or default›");
        let scope = if setting.local { " (local)" } else { "" };
        self.then(name, &format!("{value}{scope}"));
    }

    /// A setting's history, not its value: whether a change was undone by a rollback, or never ran, cannot be seen from
    /// here, so that whoever reviews sees every value it may have.
    fn then(&mut self, name: &str, value: &str) {
        let before = self.settings.get(name).map_or_else(|| "default".to_owned(), Clone::clone);
        let mut history = format!("{before} → {value}");
        if history.chars().count() > HISTORY_CHARS_MAX {
            history = format!("‹long history {}›", PayloadDigest::of(history.as_bytes()));
        }
        self.settings.insert(name.to_owned(), history);
        if !self.alone {
            // another session with the same history may have another value: what is approved here is good only here
            self.settings.insert(ONLY_HERE.to_owned(), self.own.clone());
        }
    }

    fn prepare(
        &mut self,
        name: &str,
        (statement, referents): (&SqlStatement, &Referents),
        (sql, at): (&Arc<str>, usize),
    ) -> bool {
        let facts = SqlFacts { class: statement.class, statements: vec![statement.clone()] };
        let description = Description {
            facts,
            effects: vec![Effect::None],
            fingerprint: None,
            reason: None,
            parse_error: None,
            questions: vec![referents.question(statement.apart >= SqlClass::Ddl)],
            referents: vec![referents.clone()],
        };
        let prepared = Prepared {
            sql: sql.clone(),
            part: format!("prepared as {name:?} by statement {} of the message", at + 1),
            declared: Vec::new(),
            types: Vec::new(),
            description: Arc::new(description),
        };
        self.prepared.insert(name.to_owned(), Arc::new(prepared)).is_none()
    }
}
