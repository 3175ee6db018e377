//! Holding the server to what was decided: whatever has no permit to change anything runs where nothing can be changed.
//!
//! Sessions start with `default_transaction_read_only = on`. That is switched off for a statement that may have an effect,
//! and on again before the next one that may not. A client's own transaction is made read-write as it begins; a read in it
//! runs inside a savepoint that is read-only and cannot be switched back inside: releasing it restores read-write.
//!
//! This is a second line: the class decides. A read-only transaction still runs `COPY … TO PROGRAM`, `NOTIFY`, advisory
//! locks and functions that act outside of the database; and a read that shares a batch of the extended protocol with a
//! permitted write, outside of a transaction block, is not held.

use std::collections::BTreeMap;

use countersign_core::action::sql::SqlClass;

use super::{Connection, End};
use crate::codes::Code;
use crate::protocols::postgres::capture::Captured;
use crate::protocols::postgres::describe::{Description, Discard, Effect, Setting, boolean};
use crate::protocols::postgres::session::Expected;
use crate::protocols::postgres::wire::{TransactionStatus, WireError, frontend};
use crate::refusal::Refusal;

/// The setting that holds a session.
pub(super) const DEFAULT_READ_ONLY: &str = "default_transaction_read_only";
const LIFT: &str = "SET default_transaction_read_only = off";
const RESTORE: &str = "SET default_transaction_read_only = on";
const READ_WRITE: &str = "SET TRANSACTION READ WRITE";
/// By a query and not by `SET`: the transaction's first snapshot is then taken while it is read-write still. A serializable
/// transaction whose first snapshot is taken read-only takes no part in the detection of conflicts, not even once it writes.
const ENTER: [&str; 2] =
    ["SAVEPOINT countersign_read", "SELECT pg_catalog.set_config('transaction_read_only', 'on', true)"];
const LEAVE: &str = "RELEASE SAVEPOINT countersign_read";

/// How a session is held.
#[derive(Debug, Default)]
pub(super) struct Hold {
    /// Whether new transactions are read-write; nothing where something may have changed it, or undone its change.
    lifted: Option<bool>,
    /// Inside the savepoint that is read-only.
    pub(super) inside: bool,
    /// The transaction has a cursor whose rows may change something as they are fetched.
    cursor_changes: bool,
    /// The batch that is open began read-write.
    batch_lifted: bool,
    /// The server is a standby, which has no read-write transactions.
    pub(super) standby: bool,
    /// The client itself asked for read-only transactions, now and when it connected.
    wish: bool,
    wish_at_start: bool,
    /// What the client was last told of its own setting.
    told: bool,
}

impl Hold {
    /// The hold of a session that starts with these settings.
    pub(super) fn of_start(settings: &BTreeMap<String, String>) -> Self {
        let own = settings.iter().find(|(name, _)| name.eq_ignore_ascii_case(DEFAULT_READ_ONLY));
        let wish = own.is_some_and(|(_, value)| boolean(value) == Some(true));
        Self { lifted: Some(false), wish, wish_at_start: wish, told: wish, ..Self::default() }
    }

    /// The client's own wish, if it was not told of it yet.
    pub(super) fn news(&mut self) -> Option<&'static str> {
        (self.told != self.wish).then(|| {
            self.told = self.wish;
            if self.wish { "on" } else { "off" }
        })
    }

    /// The client ends its batch: what it sends next begins as the setting has it by then.
    pub(super) fn batch_ends(&mut self) {
        self.batch_lifted = self.lifted == Some(true);
    }

    /// Takes note of what a message will do to the setting itself.
    fn note(&mut self, description: &Description) {
        for effect in &description.effects {
            match effect {
                Effect::Set(setting) => self.set(setting),
                Effect::Query { settings, .. } => settings.iter().for_each(|setting| self.set(setting)),
                Effect::Reset { name, .. } if name == DEFAULT_READ_ONLY => self.reset(),
                Effect::ResetAll | Effect::Discard(Discard::All) => self.reset(),
                Effect::SetCharacteristics { modes } => {
                    self.wish = modes.read_only.unwrap_or(self.wish);
                    self.lifted = None;
                }
                Effect::DeclareCursor { .. } => self.cursor_changes |= description.facts.class > SqlClass::Read,
                _ => {}
            }
        }
        if description.facts.class >= SqlClass::Admin {
            self.lifted = None;
        }
    }

    fn reset(&mut self) {
        self.lifted = None;
        self.wish = self.wish_at_start;
    }

    fn set(&mut self, setting: &Setting) {
        if setting.name.as_deref().is_none_or(|name| name == DEFAULT_READ_ONLY) {
            self.lifted = None;
            self.wish = !setting.local && setting.value.as_deref().and_then(boolean) == Some(true);
        }
    }
}

/// What a session starts with: whatever the client gave, held.
pub(super) fn at_start(settings: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let others = settings.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(DEFAULT_READ_ONLY));
    let mut settings: BTreeMap<String, String> = others.map(|(name, value)| (name.clone(), value.clone())).collect();
    settings.insert(DEFAULT_READ_ONLY.to_owned(), "on".to_owned());
    settings
}

/// Whether a message begins a transaction block, and does nothing else that may fail.
pub(super) fn begins(description: &Description) -> Option<Option<bool>> {
    match description.effects.as_slice() {
        [Effect::Begin { modes }] | [Effect::Rollback { chain: false }, Effect::Begin { modes }] => {
            Some(modes.read_only)
        }
        _ => None,
    }
}

/// Whether a message ends the transaction block around it and goes on with what changes something; if so, whether the
/// first end of a block in it is one that settings outlive.
fn changes_beyond(description: &Description) -> Option<bool> {
    let out = |effect: &Effect| {
        matches!(
            effect,
            Effect::Commit { chain: false } | Effect::Rollback { chain: false } | Effect::PrepareTransaction { .. }
        )
    };
    let effects = &description.effects;
    let outside = effects.iter().position(out)? + 1;
    let mut beyond = effects.iter().zip(&description.facts.statements).skip(outside);
    let changes =
        beyond.any(|(effect, statement)| statement.class > SqlClass::Session || matches!(effect, Effect::Begin { .. }));
    let first = effects.iter().take(outside).find(|effect| out(effect) || is_chained(effect))?;
    changes.then_some(!matches!(first, Effect::Rollback { .. }))
}

fn is_chained(effect: &Effect) -> bool {
    matches!(effect, Effect::Commit { chain: true } | Effect::Rollback { chain: true })
}

fn has_begin(description: &Description) -> bool {
    description.effects.iter().any(|effect| matches!(effect, Effect::Begin { .. }))
}

/// Whether a message only tells of settings: it can change nothing, and what it tells must be what the client set. Drivers
/// tell a primary from a standby by `SHOW transaction_read_only`.
fn only_shows(description: &Description) -> bool {
    let statements = &description.facts.statements;
    description.facts.class == SqlClass::Read
        && !statements.is_empty()
        && statements.iter().all(|statement| statement.verb == "SHOW")
}

/// Whether a message only reads, so that it may run inside the savepoint. `SHOW` would show it.
fn only_reads(description: &Description) -> bool {
    description.facts.class == SqlClass::Read
        && description.effects.iter().zip(&description.facts.statements).all(|(effect, statement)| {
            let quiet = matches!(
                effect,
                Effect::None
                    | Effect::DeclareCursor { .. }
                    | Effect::Fetch { .. }
                    | Effect::CloseCursor { .. }
                    | Effect::CopyOut
            );
            quiet && statement.verb != "SHOW"
        })
}

/// Why a message is refused that would be stopped by the hold although it is permitted.
fn beyond_the_end() -> Refusal {
    let message = "a change cannot follow the end of a rolled back transaction in the same message";
    Refusal::new(Code::Unsupported, message).hint("send ROLLBACK alone, and then the rest")
}

impl Connection {
    /// Puts the session into the state that a permitted message runs in, before anything of it is sent.
    pub(super) async fn hold(&mut self, captured: &Captured) -> Result<Result<(), Refusal>, End> {
        if self.session.transaction_control_pending() {
            self.settle().await?;
        }
        let description = captured.description().clone();
        if self.session.status() == TransactionStatus::Failed {
            // nothing of ours would run in it, and nothing can be changed in it; nor could its names be asked about
            if self.needs_lift(captured.described()).is_some() {
                return Ok(Err(beyond_the_end()));
            }
        } else if self.session.in_block() {
            self.hold_inside(&description)?;
            match self.needs_lift(&description) {
                Some(true) => {
                    self.own(LIFT)?;
                    self.hold.lifted = None; // that depends on how the transaction ends
                }
                Some(false) => return Ok(Err(beyond_the_end())),
                None => {}
            }
        } else {
            self.hold.inside = false;
            let lifts = description.facts.class > SqlClass::Session || has_begin(&description);
            if lifts && let Err(refusal) = self.fresh().await? {
                return Ok(Err(refusal));
            }
            if begins(&description).is_none() || self.hold.lifted != Some(false) {
                self.hold_outside((lifts || only_shows(&description)) && begins(&description).is_none())?;
            }
        }
        self.hold.note(&description);
        Ok(Ok(()))
    }

    /// Inside a transaction block: reads in the savepoint, everything else out of it. A `FETCH` runs what its cursor was
    /// permitted for.
    fn hold_inside(&mut self, description: &Description) -> Result<(), WireError> {
        let fetches = || description.effects.iter().any(|effect| matches!(effect, Effect::Fetch { .. }));
        let reads = only_reads(description) && !(self.hold.cursor_changes && fetches());
        match (self.hold.inside, reads) {
            (false, true) => {
                self.hold.inside = true;
                ENTER.into_iter().try_for_each(|sql| self.own(sql))
            }
            (_, false) => self.leave(),
            (true, true) => Ok(()),
        }
    }

    /// Whether a message goes on after the transaction block that it is sent in, with what the session is held from; if so,
    /// whether what is set in that block now will hold then.
    fn needs_lift(&self, description: &Description) -> Option<bool> {
        let free = self.hold.lifted == Some(true) || self.hold.wish || self.hold.standby;
        if free || begins(description).is_some() { None } else { changes_beyond(description) }
    }

    /// Leaves the savepoint that is read-only, if inside it.
    pub(super) fn leave(&mut self) -> Result<(), WireError> {
        match std::mem::take(&mut self.hold.inside) {
            true => self.own(LEAVE),
            false => Ok(()),
        }
    }

    /// Outside of one: the next transaction is as read-only as the message.
    fn hold_outside(&mut self, lifts: bool) -> Result<(), WireError> {
        if self.session.batch_open {
            return Ok(()); // its transaction has begun; `fresh` saw to one that must be another
        }
        let lifts = lifts && !self.hold.wish && !self.hold.standby;
        if self.hold.lifted != Some(lifts) {
            self.own(if lifts { LIFT } else { RESTORE })?;
            self.hold.lifted = Some(lifts);
        }
        self.hold.batch_lifted = lifts;
        Ok(())
    }

    /// Sees to it that what follows can begin a transaction of its own: the batch that is open has one already, which is
    /// read-only. Ending it ends its portals, so none may be unfinished.
    async fn fresh(&mut self) -> Result<Result<(), Refusal>, End> {
        if !self.session.batch_open || self.hold.batch_lifted {
            return Ok(Ok(()));
        }
        self.settle().await?;
        if self.session.skipping || !self.session.batch_open {
            return Ok(Ok(()));
        }
        if self.portals.values().any(|portal| !portal.finished) {
            let message = "a write cannot follow an unfinished read in the same batch";
            return Ok(Err(Refusal::new(Code::Unsupported, message).hint("send Sync before it")));
        }
        if let Some(upstream) = &mut self.upstream {
            frontend::sync(&mut upstream.output);
            self.session.sent(Expected::OwnSync);
        }
        self.settle().await?;
        Ok(Ok(()))
    }

    /// A transaction block that the client began without saying how is read-write, as it would be without the hold.
    pub(super) fn open_block(&mut self, description: &Description) -> Result<(), WireError> {
        let anew = description.effects.len() > 1; // the block around the message is over by then
        match begins(description) {
            Some(None) if !self.hold.wish && !self.hold.standby && (anew || !self.session.in_block()) => {
                self.own(READ_WRITE)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The state of the hold once the server has said where the transaction stands.
    pub(super) fn held_after(&mut self, status: TransactionStatus) {
        if status != TransactionStatus::InTransaction {
            self.hold.inside = false;
        }
        if status == TransactionStatus::Idle {
            self.hold.cursor_changes = false;
        }
    }
}
