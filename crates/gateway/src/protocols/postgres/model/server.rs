//! What PostgreSQL does with statements, portals, settings and transactions (`postgres.c`, `xact.c`), without its data.
//!
//! Rows are stood for by *writes*: each belongs to an action, and ends up committed or undone.

use std::collections::{BTreeMap, VecDeque};

use super::script::{Kind, Template, template};
use crate::protocols::postgres::wire::TransactionStatus;

/// One message of the server.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Done(u8),
    Parameters(u32),
    Columns,
    CopyIn,
    Command(String),
    Empty,
    Error(&'static str),
    Ready(TransactionStatus),
}

/// What became of an action's writes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fate {
    pub(super) committed: bool,
    pub(super) undone: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    /// No transaction, or one that ends with the message.
    None,
    /// One that several statements of one `Query` share.
    Implicit,
    Open,
    Failed,
}

/// A setting as it will be after the transaction, and as it is inside it.
type Settings = BTreeMap<String, (String, String)>;

#[derive(Debug, Clone)]
struct Savepoint {
    name: String,
    writes: usize,
    settings: Settings,
}

/// A text under a name: its number, and the whole message and place it came from.
pub(super) type Text = (usize, String);

pub(super) struct Server {
    pub(super) statements: BTreeMap<String, Text>,
    portals: BTreeMap<String, (usize, bool)>,
    settings: Settings,
    before: Settings,
    startup: BTreeMap<String, String>,
    block: Block,
    /// The commit will fail.
    poisoned: bool,
    /// Something ran in the batch, so that what must stand alone may not.
    pipelined: bool,
    savepoints: Vec<Savepoint>,
    writes: Vec<usize>,
    ignoring: bool,
    /// The COPY that waits for its stream: whose it is, and whether it is a `Query`.
    copying: Option<(Option<usize>, bool)>,
    pub(super) fates: BTreeMap<usize, Fate>,
    pub(super) answers: VecDeque<Answer>,
}

impl Server {
    pub(super) fn new(startup: BTreeMap<String, String>) -> Self {
        let settings: Settings = startup.iter().map(|(n, v)| (n.clone(), (v.clone(), v.clone()))).collect();
        Self {
            statements: BTreeMap::new(),
            portals: BTreeMap::new(),
            before: settings.clone(),
            settings,
            startup,
            block: Block::None,
            poisoned: false,
            pipelined: false,
            savepoints: Vec::new(),
            writes: Vec::new(),
            ignoring: false,
            copying: None,
            fates: BTreeMap::new(),
            answers: VecDeque::new(),
        }
    }

    pub(super) fn ignoring(&self) -> bool {
        self.ignoring
    }

    pub(super) fn status(&self) -> TransactionStatus {
        match self.block {
            Block::None | Block::Implicit => TransactionStatus::Idle,
            Block::Open => TransactionStatus::InTransaction,
            Block::Failed => TransactionStatus::Failed,
        }
    }

    pub(super) fn has_pending_writes(&self) -> bool {
        !self.writes.is_empty()
    }

    /// A setting's value, if it is not the server's own default.
    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(|(_, now)| now.as_str())
    }

    pub(super) fn disconnected(&mut self) {
        self.roll_back();
    }

    // Messages of the extended protocol.

    pub(super) fn parse(&mut self, name: &str, text: Text) {
        let taken = |server: &mut Self| {
            if name.is_empty() {
                server.statements.remove("");
            }
            let template = template(text.0);
            let (unparsable, exits) = (template.kind == Kind::Unparsable, template.exits());
            if unparsable || (server.block == Block::Failed && !exits) || server.statements.contains_key(name) {
                return Err("42601");
            }
            server.statements.insert(name.to_owned(), text.clone());
            Ok(vec![Answer::Done(b'1')])
        };
        self.step(taken);
    }

    pub(super) fn bind(&mut self, portal: &str, statement: &str, fails: bool) {
        self.step(|server| {
            let Some((text, _)) = server.statements.get(statement) else { return Err("26000") };
            let (text, failed) = (*text, server.block == Block::Failed);
            if fails || (failed && !template(text).exits()) {
                return Err("22P02");
            }
            if !portal.is_empty() && server.portals.contains_key(portal) {
                return Err("42P03");
            }
            server.portals.insert(portal.to_owned(), (text, false));
            Ok(vec![Answer::Done(b'2')])
        });
    }

    pub(super) fn execute(&mut self, portal: &str, action: Option<usize>) {
        self.step(|server| {
            let Some((text, done)) = server.portals.get(portal).copied() else { return Err("34000") };
            let template = template(text);
            if done && template.kind != Kind::Select {
                return Err("55000");
            }
            if server.block == Block::Failed && !template.exits() {
                return Err("25P02");
            }
            if let Some(entry) = server.portals.get_mut(portal) {
                entry.1 = true;
            }
            if template.kind == Kind::Empty {
                return Ok(vec![Answer::Empty]);
            }
            if template.kind == Kind::CopyIn {
                server.copying = Some((action, false));
                return Ok(vec![Answer::CopyIn]);
            }
            let alone = !server.pipelined && server.block == Block::None;
            let tag = server.run(template, action, (text, format!("0 {}", template.sql)), alone)?;
            if template.ends_command() {
                server.finish_command()?;
            }
            server.pipelined = !template.ends_command();
            Ok(vec![Answer::Command(tag)])
        });
    }

    pub(super) fn describe_statement(&mut self, name: &str) {
        self.step(|server| {
            let (text, _) = server.statements.get(name).ok_or("26000")?;
            Ok(vec![Answer::Parameters(super::parameter(*text)), Answer::Columns])
        });
    }

    pub(super) fn close(&mut self, statement: Option<&str>, portal: &str) {
        self.step(|server| {
            match statement {
                Some(name) => drop(server.statements.remove(name)),
                None => drop(server.portals.remove(portal)),
            }
            Ok(vec![Answer::Done(b'3')])
        });
    }

    pub(super) fn sync(&mut self) {
        if self.copying.is_some() {
            return;
        }
        self.ignoring = false;
        if let Err(error) = self.finish_command() {
            self.fail();
            self.answers.push_back(Answer::Error(error));
        }
        self.ready();
    }

    fn step(&mut self, step: impl FnOnce(&mut Self) -> Result<Vec<Answer>, &'static str>) {
        if self.ignoring {
            return;
        }
        match step(self) {
            Ok(answers) => self.answers.extend(answers),
            Err(error) => {
                self.fail();
                self.ignoring = true;
                self.answers.push_back(Answer::Error(error));
            }
        }
    }

    fn ready(&mut self) {
        self.pipelined = false;
        self.answers.push_back(Answer::Ready(self.status()));
    }

    // A simple query.

    pub(super) fn query(&mut self, texts: &[usize], sql: &str, action: Option<usize>) {
        if self.ignoring {
            return;
        }
        self.statements.remove("");
        if let [text] = texts
            && template(*text).kind == Kind::CopyIn
            && self.block != Block::Failed
        {
            self.copying = Some((action, true));
            return self.answers.push_back(Answer::CopyIn);
        }
        if let Err(error) = self.query_statements(texts, sql, action) {
            self.fail();
            self.answers.push_back(Answer::Error(error));
        }
        self.ready();
    }

    fn query_statements(&mut self, texts: &[usize], sql: &str, action: Option<usize>) -> Result<(), &'static str> {
        if texts.iter().any(|text| template(*text).kind == Kind::Unparsable) {
            return Err("42601");
        }
        let texts: Vec<usize> = texts.iter().copied().filter(|text| template(*text).kind != Kind::Empty).collect();
        if texts.is_empty() {
            self.finish_command()?;
            self.answers.push_back(Answer::Empty);
            return Ok(());
        }
        for (at, text) in texts.iter().enumerate() {
            let template = template(*text);
            if self.block == Block::Failed && !template.exits() {
                return Err("25P02");
            }
            if texts.len() > 1 && self.block == Block::None {
                self.block = Block::Implicit;
            }
            self.portals.remove("");
            let alone = texts.len() == 1 && !self.pipelined && self.block == Block::None;
            let tag = self.run(template, action, (*text, format!("{at} {sql}")), alone)?;
            if template.ends_command() || at + 1 == texts.len() {
                self.finish_command()?;
            }
            self.answers.push_back(Answer::Command(tag));
        }
        Ok(())
    }

    // A stream of the client.

    pub(super) fn copying(&self) -> bool {
        self.copying.is_some()
    }

    /// The stream ends, well or not.
    pub(super) fn copy_end(&mut self, fails: bool) {
        let Some((action, simple)) = self.copying.take() else { return };
        let ended = if fails { Err("57014") } else { Ok(()) }.and_then(|()| {
            self.write(action);
            self.pipelined = true;
            if simple { self.finish_command() } else { Ok(()) }
        });
        match ended {
            Ok(()) => self.answers.push_back(Answer::Command("COPY 1".to_owned())),
            Err(error) => {
                self.fail();
                self.ignoring = !simple;
                self.answers.push_back(Answer::Error(error));
            }
        }
        if simple {
            self.ready();
        }
    }

    // One statement.

    fn run(
        &mut self,
        template: &Template,
        action: Option<usize>,
        text: Text,
        alone: bool,
    ) -> Result<String, &'static str> {
        match template.kind {
            Kind::Select => return Ok("SELECT 1".to_owned()),
            Kind::Write => return Ok(self.write(action)),
            Kind::Poison => {
                self.poisoned = true;
                self.write(action);
                return Ok("INSERT 0 1".to_owned());
            }
            Kind::Fails => return Err("22012"),
            Kind::Alone | Kind::AloneThenFails if !alone => return Err("25001"),
            Kind::Alone => drop(self.write(action)),
            Kind::AloneThenFails => {
                self.write(action);
                self.commit()?;
                return Err("P0001");
            }
            Kind::CopyIn => return Err("0A000"), // inside another message it is not what this model is about
            Kind::SetConfig => {
                self.set("search_path", template.argument, false);
                return Ok("SELECT 1".to_owned());
            }
            Kind::Set { local } => {
                // outside a block it lasts for no other statement
                self.set("search_path", template.argument, local);
            }
            Kind::Reset => self.reset(&["search_path"]),
            Kind::ResetAll => {
                let names: Vec<String> = self.settings.keys().cloned().collect();
                self.reset(&names.iter().map(String::as_str).collect::<Vec<_>>());
            }
            Kind::DiscardAll if !alone => return Err("25001"),
            Kind::DiscardAll => self.discard_all(),
            Kind::Prepare(inner) => self.prepare(template.argument, (inner, text.1))?,
            Kind::Deallocate => drop(self.statements.remove(template.argument).ok_or("26000")?),
            Kind::DeallocateAll => self.statements.retain(|name, _| name.is_empty()), // `DropAllPreparedStatements`
            Kind::Execute => return self.run_prepared(template.argument, action),
            Kind::Begin => self.block = Block::Open,
            Kind::Commit { chain } => return self.commit_block(chain),
            Kind::Rollback { chain } => return self.roll_back_block(chain),
            Kind::Savepoint => self.savepoint(template.argument)?,
            Kind::RollbackTo => self.roll_back_to(template.argument)?,
            Kind::Release => self.release(template.argument)?,
            Kind::Empty | Kind::Unparsable => return Err("XX000"),
        }
        Ok(template.tag.to_owned())
    }

    fn write(&mut self, action: Option<usize>) -> String {
        self.writes.extend(action);
        "UPDATE 1".to_owned()
    }

    fn prepare(&mut self, name: &str, text: Text) -> Result<(), &'static str> {
        if self.statements.contains_key(name) {
            return Err("42P05");
        }
        self.statements.insert(name.to_owned(), text);
        Ok(())
    }

    fn run_prepared(&mut self, name: &str, action: Option<usize>) -> Result<String, &'static str> {
        let Some((text, _)) = self.statements.get(name).cloned() else { return Err("26000") };
        let inner = template(text);
        match inner.kind {
            Kind::Select | Kind::Write | Kind::Fails | Kind::Poison => {
                self.run(inner, action, (text, String::new()), false)
            }
            _ => Err("0A000"), // commands prepared through the protocol: not what this model is about
        }
    }

    fn discard_all(&mut self) {
        self.statements.retain(|name, _| name.is_empty());
        self.portals.clear();
        self.settings = self.startup.iter().map(|(n, v)| (n.clone(), (v.clone(), v.clone()))).collect();
    }

    fn set(&mut self, name: &str, value: &str, local: bool) {
        let entry = self.settings.entry(name.to_owned()).or_default();
        entry.1 = value.to_owned();
        if !local {
            entry.0 = value.to_owned();
        }
    }

    fn reset(&mut self, names: &[&str]) {
        for name in names {
            let value = self.startup.get(*name).cloned().unwrap_or_default();
            self.set(name, &value, false);
        }
    }

    // Transactions.

    fn commit_block(&mut self, chain: bool) -> Result<String, &'static str> {
        match self.block {
            Block::None | Block::Implicit if chain => Err("25P01"),
            Block::Failed => self.roll_back_block(chain).map(|_| "ROLLBACK".to_owned()),
            Block::None | Block::Implicit | Block::Open => {
                self.block = Block::None;
                self.commit()?;
                if chain {
                    self.block = Block::Open;
                }
                Ok("COMMIT".to_owned())
            }
        }
    }

    fn roll_back_block(&mut self, chain: bool) -> Result<String, &'static str> {
        if chain && matches!(self.block, Block::None | Block::Implicit) {
            return Err("25P01");
        }
        self.roll_back();
        self.block = if chain { Block::Open } else { Block::None };
        Ok("ROLLBACK".to_owned())
    }

    fn in_block(&self) -> Result<(), &'static str> {
        if self.block == Block::Open || self.block == Block::Failed { Ok(()) } else { Err("25P01") }
    }

    fn savepoint(&mut self, name: &str) -> Result<(), &'static str> {
        self.in_block()?;
        let (writes, settings) = (self.writes.len(), self.settings.clone());
        self.savepoints.push(Savepoint { name: name.to_owned(), writes, settings });
        Ok(())
    }

    fn find(&self, name: &str) -> Result<usize, &'static str> {
        self.in_block()?;
        self.savepoints.iter().rposition(|savepoint| savepoint.name == name).ok_or("3B001")
    }

    fn roll_back_to(&mut self, name: &str) -> Result<(), &'static str> {
        let at = self.find(name)?;
        self.savepoints.truncate(at + 1);
        let Savepoint { writes, settings, .. } = self.savepoints[at].clone();
        for undone in self.writes.split_off(writes) {
            self.fates.entry(undone).or_default().undone = true;
        }
        self.settings = settings;
        self.block = Block::Open;
        self.poisoned &= !self.writes.is_empty();
        Ok(())
    }

    fn release(&mut self, name: &str) -> Result<(), &'static str> {
        let at = self.find(name)?;
        self.savepoints.truncate(at);
        Ok(())
    }

    /// What stands outside a block is committed at the end of its command.
    fn finish_command(&mut self) -> Result<(), &'static str> {
        if matches!(self.block, Block::None | Block::Implicit) {
            self.block = Block::None;
            self.commit()?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), &'static str> {
        if std::mem::take(&mut self.poisoned) && !self.writes.is_empty() {
            return Err("23503"); // the caller rolls back
        }
        for committed in std::mem::take(&mut self.writes) {
            self.fates.entry(committed).or_default().committed = true;
        }
        for (next, now) in self.settings.values_mut() {
            now.clone_from(next); // what was local is over
        }
        self.end();
        Ok(())
    }

    fn roll_back(&mut self) {
        for undone in std::mem::take(&mut self.writes) {
            self.fates.entry(undone).or_default().undone = true;
        }
        self.settings = self.before.clone();
        self.end();
    }

    fn end(&mut self) {
        self.before = self.settings.clone();
        self.poisoned = false;
        self.savepoints.clear();
        self.portals.clear();
    }

    /// An error: the block fails, and without one everything since its beginning is undone.
    fn fail(&mut self) {
        match self.block {
            Block::Open | Block::Failed => {
                self.block = Block::Failed;
                self.portals.clear();
            }
            Block::None | Block::Implicit => {
                self.block = Block::None;
                self.roll_back();
            }
        }
    }
}
