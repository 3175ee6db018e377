//! What statements do to their own session: settings, prepared statements, savepoints.
//!
//! Applied only once the server has said that the statement is done. Every effect has its arm: a new one does not compile
//! until somebody has said what it means here.

use std::collections::BTreeSet;
use std::sync::Arc;

use countersign_core::action::sql::{SqlFacts, SqlStatement};
use countersign_core::record::Status;

use super::{Prepared, Session};
use crate::protocols::postgres::describe::{Description, Discard, Effect, Setting};
use crate::protocols::postgres::settings;

impl Session {
    /// What a statement did to the session, now that the server has said so.
    pub(super) fn apply(&mut self, effect: &Effect, sql: &str) {
        match effect {
            Effect::Set(setting) => self.set(setting),
            Effect::Query { settings, .. } | Effect::DeclareCursor { settings, .. } => {
                settings.iter().for_each(|setting| self.set(setting));
            }
            Effect::Reset { name, .. } => self.reset(name),
            Effect::ResetAll => self.settings.clone_from(&self.startup),
            Effect::Discard(Discard::All) => {
                self.settings.clone_from(&self.startup);
                self.prepared.clear();
            }
            Effect::Prepare { name, statement } => self.prepare(name, statement, sql),
            Effect::Deallocate { name: Some(name) } => drop(self.prepared.remove(name)),
            Effect::Deallocate { name: None } => self.prepared.clear(),
            Effect::SetCharacteristics { modes } => {
                self.settings.insert("transaction characteristics".to_owned(), format!("{modes:?}"));
            }
            Effect::Savepoint { name } => self.savepoints.push((name.clone(), self.uncommitted.len())),
            Effect::RollbackTo { name } => self.rolled_back_to(name),
            Effect::None
            | Effect::Unknown
            | Effect::Begin { .. }
            | Effect::Commit { .. }
            | Effect::Rollback { .. }
            | Effect::Release { .. }
            | Effect::PrepareTransaction { .. }
            | Effect::FinishPrepared { .. }
            | Effect::SetTransaction { .. }
            | Effect::SetSnapshot { .. }
            | Effect::SetConstraints
            | Effect::Execute { .. }
            | Effect::Fetch { .. }
            | Effect::CloseCursor { .. }
            | Effect::Discard(Discard::Plans | Discard::Sequences | Discard::Temporary)
            | Effect::CopyIn
            | Effect::CopyOut
            | Effect::Listen { .. }
            | Effect::Unlisten { .. } => {}
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
        let Some(name) = &setting.name else { return };
        if settings::harmless(name) {
            return;
        }
        match &setting.value {
            Some(value) => self.settings.insert(name.clone(), value.clone()),
            None => self.settings.insert(name.clone(), "‹computed or default›".to_owned()),
        };
    }

    fn reset(&mut self, name: &str) {
        match self.startup.get(name) {
            Some(value) => self.settings.insert(name.to_owned(), value.clone()),
            None => self.settings.remove(name),
        };
    }

    fn prepare(&mut self, name: &str, statement: &SqlStatement, sql: &str) {
        let facts = SqlFacts { class: statement.class, statements: vec![statement.clone()] };
        let description = Description {
            facts,
            effects: vec![Effect::None],
            fingerprint: None,
            reason: None,
            parse_error: None,
            attributes: BTreeSet::new(),
        };
        let prepared = Prepared { sql: sql.to_owned(), types: Vec::new(), description: Arc::new(description) };
        self.prepared.insert(name.to_owned(), Arc::new(prepared));
    }
}
