//! A model of the server, and of the connection that drives the [session machine](super::session) against it.
//!
//! Whatever a client sends, in whatever order, and whenever the answers arrive, four things hold:
//!
//! - the machine believes in no statement text that the server does not hold;
//! - what it records of an action is what became of it: nothing committed is told as undone, nothing undone as done, and
//!   each action ends once;
//! - a setting that it vouches for beyond its own session has the value that it says;
//! - it never loses track of a server that does what PostgreSQL does.
//!
//! The unit tests run it over random scripts, and the fuzz target `pg_session` over what coverage finds. The order of
//! [`Run`] is that of the connection (`connection/client.rs`), which needs sockets; a change there belongs here too.

mod script;
mod server;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use countersign_core::action::sql::SqlClass;
use countersign_core::action::{ActionDigest, ActionId, PayloadDigest};
use countersign_core::grant::RecordLevel;
use countersign_core::record::Status;

use self::script::{Kind, Script, Step, described, template};
use self::server::{Answer, Server};
use super::catalog::Disturbance;
use super::describe::{Effect, SessionFacts, describe};
use super::session::{Ended, Expected, Prepared, Reaction, Running, Session, aborted};
use super::wire::TransactionStatus;

/// Runs the script that `bytes` are.
///
/// # Panics
/// One of the properties does not hold.
#[expect(unreachable_pub, reason = "the fuzz target calls it from outside")]
pub fn run(bytes: &[u8]) {
    let mut run = Run::new();
    let mut script = Script::new(bytes);
    while let Some((step, heard)) = script.next() {
        run.take(step);
        (0..heard).for_each(|_| run.hear());
        run.check();
    }
    let cut = bytes.last().is_some_and(|last| last % 2 == 0);
    if !cut {
        run.take(Step::Sync);
        run.hear_all();
        run.check();
    }
    run.lose();
}

struct Portal {
    action: Option<usize>,
    prepared: Arc<Prepared>,
}

struct Run {
    session: Session,
    server: Server,
    portals: BTreeMap<String, Portal>,
    deferred: Vec<(&'static str, usize, Arc<Prepared>)>,
    connected: bool,
    actions: usize,
    /// What was recorded of each action, in order.
    records: BTreeMap<usize, Vec<Status>>,
}

impl Run {
    fn new() -> Self {
        let startup = BTreeMap::from([("search_path".to_owned(), "start".to_owned())]);
        Self {
            session: Session::new(startup.clone()).named(OWN.to_owned()),
            server: Server::new(startup),
            portals: BTreeMap::new(),
            deferred: Vec::new(),
            connected: false,
            actions: 0,
            records: BTreeMap::new(),
        }
    }

    fn take(&mut self, step: Step) {
        if self.server.copying() && !matches!(step, Step::Sync | Step::Flush | Step::CopyEnd { .. }) {
            self.hear_all(); // who sends something else breaks the protocol, and the session ends
        }
        if self.session.skipping && !matches!(step, Step::Sync) {
            return;
        }
        match step {
            Step::Parse { name, text } => self.parse(name, text),
            Step::Bind { portal, statement, fails, refused } => self.bind((portal, statement), fails, refused),
            Step::Execute { portal } => self.execute(portal),
            Step::Describe { statement } => {
                self.reach();
                self.session.sent(Expected::DescribeStatement { name: statement.to_owned() });
                self.server.describe_statement(statement);
            }
            Step::Close { statement } => self.close(Some(statement), ""),
            Step::ClosePortal { portal } => self.close(None, portal),
            Step::Query { texts, refused, recorded } => self.query(&texts, refused, recorded),
            Step::Flush => self.reach_deferred(),
            Step::CopyEnd { fails } => self.copy_end(fails),
            Step::Sync => self.sync(),
        }
    }

    // The connection.

    fn reach(&mut self) {
        self.connected = true;
        for (name, text, prepared) in std::mem::take(&mut self.deferred) {
            self.session.parse_sent(name, prepared);
            self.server.parse(name, (text, String::new()));
        }
    }

    fn reach_deferred(&mut self) {
        if !self.deferred.is_empty() {
            self.reach();
        }
    }

    fn parse(&mut self, name: &'static str, text: usize) {
        let known = self.session.uncertain() || self.session.statement(name).is_some();
        if !name.is_empty() && known {
            self.hear_all();
            if self.session.skipping {
                return;
            }
        }
        self.deferred.push((name, text, prepared(text)));
    }

    fn bind(&mut self, (portal, statement): (&'static str, &'static str), fails: bool, refused: bool) {
        let deferred = |run: &Self| run.deferred.iter().rev().find(|d| d.0 == statement).map(|d| d.2.clone());
        if self.session.uncertain() && deferred(self).is_none() {
            self.hear_all();
            if self.session.skipping {
                return;
            }
        }
        let Some(prepared) = deferred(self).or_else(|| self.session.statement(statement)) else {
            return self.refuse_extended();
        };
        let executes = prepared.description.effects.iter().any(|effect| matches!(effect, Effect::Execute { .. }));
        if executes || refused {
            return self.refuse_extended();
        }
        if prepared.description.facts.class > SqlClass::Session {
            self.hear_all();
            if self.session.skipping {
                return;
            }
            self.let_go();
        }
        if self.session.status() == TransactionStatus::Failed && !ends_failed(&prepared.description.effects) {
            return self.refuse_extended();
        }
        self.reach();
        let action = (prepared.description.facts.class > SqlClass::Session).then(|| self.new_action());
        self.session.sent(Expected::Bind { portal: portal.to_owned() });
        self.server.bind(portal, statement, fails);
        if let Some(replaced) = self.portals.insert(portal.to_owned(), Portal { action, prepared }) {
            self.never_ran(&replaced);
        }
    }

    fn let_go(&mut self) {
        if self.session.batch_only_prepares() && self.connected {
            self.session.sent(Expected::OwnSync);
            self.server.sync();
            self.hear_all();
        }
    }

    fn execute(&mut self, portal: &str) {
        self.reach();
        let known = self.portals.get_mut(portal);
        let (action, prepared) = match known {
            Some(portal) => (portal.action.take(), Some(portal.prepared.clone())),
            None => (None, None),
        };
        let (running, disturbance) = (action.map(running), Disturbance::default());
        self.session.sent(Expected::Execute { running, prepared, disturbance, mask: None });
        self.server.execute(portal, action);
    }

    fn close(&mut self, statement: Option<&'static str>, portal: &str) {
        if self.session.uncertain_by_sql() {
            self.hear_all();
            if self.session.skipping {
                return;
            }
        }
        self.reach_deferred();
        if !self.connected {
            return;
        }
        self.session.close_sent(statement);
        self.server.close(statement, portal);
        if statement.is_none()
            && let Some(portal) = self.portals.remove(portal)
        {
            self.never_ran(&portal);
        }
    }

    fn sync(&mut self) {
        if self.session.skipping {
            self.deferred.clear();
        }
        self.reach_deferred();
        self.session.skipping = false;
        if self.connected {
            if !self.session.streaming_in() {
                self.session.sent(Expected::Sync);
            }
            self.server.sync();
        }
    }

    /// The client ends its stream, once it was asked for one.
    fn copy_end(&mut self, fails: bool) {
        self.hear_answers();
        if self.session.streaming_in() {
            self.session.streamed(b"1\n");
            self.session.stream_closed();
            self.server.copy_end(fails);
        }
    }

    fn query(&mut self, texts: &[usize], refused: bool, recorded: bool) {
        self.reach_deferred();
        self.hear_all();
        if self.session.skipping {
            return;
        }
        let sql = texts.iter().map(|text| template(*text).sql).collect::<Vec<_>>().join("; ");
        let description = match texts {
            [text] if template(*text).kind != Kind::Execute => described(*text),
            _ => Arc::new(describe(&sql, &self.session)),
        };
        if self.session.status() == TransactionStatus::Failed && !ends_failed(&description.effects) {
            return;
        }
        if refused {
            return self.refuse_simple();
        }
        self.reach();
        let action = (recorded || description.facts.class > SqlClass::Session).then(|| self.new_action());
        self.session.sent(Expected::Query { running: action.map(running), description, sql: sql.as_str().into() });
        self.server.query(texts, &sql, action);
        if self.server.copying() && recorded {
            self.session.feeds();
            self.copy_end(self.actions.is_multiple_of(3));
            self.hear_all();
        }
    }

    fn refuse_simple(&mut self) {
        let inside = self.session.batch_open || self.session.status() == TransactionStatus::InTransaction;
        if self.connected && inside {
            self.session.sent(Expected::Decoy { notice: Some(Box::new(aborted())), simple: true });
            self.server.query(&[DECOY_TEXT], "", None);
        }
    }

    fn refuse_extended(&mut self) {
        let unnamed = self.deferred.iter().any(|(name, ..)| name.is_empty());
        self.deferred.clear();
        self.hear_all();
        if self.session.skipping {
            return;
        }
        let inside = self.session.batch_open || self.session.status() == TransactionStatus::InTransaction;
        if !(self.connected && (inside || unnamed)) {
            self.session.skipping = true;
            return;
        }
        if unnamed {
            self.session.unnamed_decoy_sent(aborted());
            self.server.parse("", (DECOY_TEXT, String::new()));
        } else {
            self.session.sent(Expected::Decoy { notice: Some(Box::new(aborted())), simple: false });
            self.server.bind("", "refused by countersign", true);
        }
        self.hear_all();
    }

    // The server's answers.

    fn hear_answers(&mut self) {
        while !self.server.answers.is_empty() {
            self.hear();
        }
    }

    fn hear_all(&mut self) {
        self.hear_answers();
        if self.server.copying() {
            self.copy_end(false);
            self.hear_answers();
        }
        assert!(self.session.settled() || !self.connected, "everything was answered, and something is expected");
    }

    fn hear(&mut self) {
        let Some(answer) = self.server.answers.pop_front() else { return };
        let reaction = match &answer {
            Answer::Done(kind) => self.session.step_done(*kind),
            Answer::Parameters(of) => self.session.parameters(vec![*of]),
            Answer::Columns => self.session.columns(),
            Answer::CopyIn => self.session.copy_in(),
            Answer::Command(tag) => self.session.command_done(tag, Some(1)),
            Answer::Empty => self.session.command_done("", None),
            Answer::Error(class) => self.session.failed(class),
            Answer::Ready(status) => {
                let reaction = self.session.ready(*status);
                if *status == TransactionStatus::Idle {
                    self.end_portals();
                }
                self.record();
                reaction
            }
        };
        assert!(!matches!(reaction, Reaction::Fatal(_)), "{answer:?}: the machine lost track of the server");
    }

    fn end_portals(&mut self) {
        let (kept, ended) =
            std::mem::take(&mut self.portals).into_iter().partition(|(name, _)| self.session.binding(name));
        self.portals = kept;
        let ended: BTreeMap<String, Portal> = ended;
        ended.values().for_each(|portal| self.never_ran(portal));
    }

    fn drop_portals(&mut self) {
        for (_, portal) in std::mem::take(&mut self.portals) {
            self.never_ran(&portal);
        }
    }

    fn never_ran(&mut self, portal: &Portal) {
        if let Some(action) = portal.action {
            self.records.entry(action).or_default().push(Status::NotExecuted);
        }
    }

    fn record(&mut self) {
        for Ended { id, outcome, .. } in std::mem::take(&mut self.session.ended) {
            let action = id.as_str().parse().expect("actions are numbered");
            self.records.entry(action).or_default().push(outcome.status);
        }
    }

    fn new_action(&mut self) -> usize {
        self.actions += 1;
        self.records.insert(self.actions, Vec::new());
        self.actions
    }

    // What must hold.

    fn check(&self) {
        if !self.session.settled() {
            return;
        }
        if !self.session.batch_open && !self.session.skipping {
            assert_eq!(self.session.status(), self.server.status()); // told at the end of each batch
        }
        assert!(!self.server.ignoring() || self.session.skipping, "the server skips, and the machine does not");
        self.check_statements();
        self.check_settings();
        if self.session.status() == TransactionStatus::InTransaction && self.server.has_pending_writes() {
            assert!(!self.session.transaction().is_empty(), "the open transaction wrote");
        }
    }

    fn check_statements(&self) {
        for name in ["", "s1", "s2"] {
            let Some(believed) = self.session.statement(name) else { continue };
            let held = self.server.statements.get(name);
            let (text, source) = held.unwrap_or_else(|| panic!("the server holds no statement `{name}`"));
            let (sql, at) = match source.split_once(' ') {
                Some((at, sql)) => (sql, at.parse::<usize>().ok()),
                None => (template(*text).sql, None),
            };
            assert_eq!(&*believed.sql, sql, "statement `{name}`");
            assert!(believed.types.is_empty() || believed.types == [parameter(*text)], "`{name}` has other parameters");
            let part = at.map(|at| format!("prepared as {name:?} by statement {} of the message", at + 1));
            assert_eq!(believed.part, part.unwrap_or_default());
            let facts = &described(*text).facts;
            assert!(self.session.prepared(name).is_none_or(|(known, _)| known.class >= facts.class), "`{name}`");
        }
    }

    /// What is vouched for beyond this session is the setting's value.
    fn check_settings(&self) {
        if self.session.settings().values().any(|value| value == OWN) {
            return;
        }
        let believed = self.session.settings().get("search_path").map_or("default", String::as_str);
        let last = believed.rsplit(" → ").next().unwrap_or(believed);
        let expected = if last == "default" { "start" } else { last };
        let local = last.ends_with("(local)");
        assert!(local || self.server.setting("search_path") == Some(expected), "{believed}");
    }

    /// The connection ends, and every action has come to exactly one end, which is true.
    fn lose(&mut self) {
        self.session.lost();
        self.drop_portals();
        self.record();
        self.server.disconnected();
        for (action, statuses) in &self.records {
            let last = statuses.last().copied().unwrap_or(Status::Uncommitted);
            let before = &statuses[..statuses.len().saturating_sub(1)];
            assert!(before.iter().all(|status| *status == Status::Uncommitted) && before.len() < 2, "{statuses:?}");
            let fate = self.server.fates.get(action).copied().unwrap_or_default();
            match last {
                Status::Uncommitted => panic!("action {action} never ended: {statuses:?}"),
                Status::Succeeded => assert!(fate.committed || !fate.undone, "{action} was undone: {statuses:?}"),
                Status::Failed | Status::RolledBack | Status::NotExecuted => {
                    assert!(!fate.committed, "{action} was committed: {statuses:?}");
                }
                Status::Unknown => {}
            }
        }
    }
}

/// The session's own name.
const OWN: &str = "this session";
/// The text of a decoy, among the texts of the model: one that does not parse.
const DECOY_TEXT: usize = script::TEXTS - 1;

/// The type of the parameter that a text has: each text its own.
fn parameter(text: usize) -> u32 {
    u32::try_from(text).unwrap_or(u32::MAX)
}

fn ends_failed(effects: &[Effect]) -> bool {
    matches!(effects.first(), Some(Effect::Commit { .. } | Effect::Rollback { .. } | Effect::RollbackTo { .. }))
}

fn prepared(text: usize) -> Arc<Prepared> {
    let (sql, description) = (template(text).sql.into(), described(text));
    Arc::new(Prepared { sql, part: String::new(), declared: vec![], types: vec![], description })
}

fn running(action: usize) -> Running {
    let id = action.to_string();
    Running {
        digest: ActionDigest::of(PayloadDigest::of(id.as_bytes()).as_bytes()),
        id: ActionId::new(id),
        level: RecordLevel::Durable,
        started: Instant::now(),
    }
}
