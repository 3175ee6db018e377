//! What a PostgreSQL message means: text in, [`SqlFacts`] out, by PostgreSQL's own grammar.
//!
//! This is the *describe* step of the PostgreSQL protocol. [`describe`] is a pure function: it parses the whole message
//! with libpg_query (the server's grammar, version 18), walks every node of every statement and says how dangerous each
//! one is, which tables it reads and writes, which functions it calls and what it does to the session. It is total: what
//! cannot be parsed, is too long, too deep, or holds a node this module does not know is [`SqlClass::Opaque`].
//!
//! How the walk is kept complete: every node kind of the tree has its own arm in `walk/node.rs` (no `_`), and every
//! structure is taken apart without `..`, so a node kind or a field that a newer grammar adds does not compile until
//! somebody has said what it contributes.
//!
//! # What a statement's text cannot tell
//!
//! Facts here are about *names as written*. The following need the catalog of the executing session and are resolved
//! beside this module, never here:
//!
//! - which relation, function, operator or type a name resolves to: `search_path`, temporary objects, and overloads that
//!   match better than the built-in of the same name;
//! - what a relation brings along: views, rules, triggers, row security, defaults, domains, foreign tables;
//! - `a.f`, which the server takes for the function call `f(a)` when `a` has no column `f`. A name in that position that
//!   is a dangerous built-in is classed as its call; all others are listed in [`Referents::attributes`], so that the
//!   catalog look-up can ask whether a function of that name exists;
//! - user casts and output functions that run for values of the user's own types;
//! - special forms that only newer servers know: `JSON_EXISTS(a, b)` calls a user's function on a server before 17, so
//!   their names are listed among the functions.
//!
//! `FETCH`, `MOVE` and `CLOSE` are reads, although a cursor runs its query lazily: the class of the query was decided when
//! the cursor was declared (or its portal bound), and that decision covers its rows. The session machine, which knows the
//! cursors, refuses a `FETCH` from one that was not decided.
//!
//! A prepared statement or a `COPY` whose query calls `set_config` is opaque, since the session machine could not see which
//! settings it changes.
//!
//! Deliberately absent: any regular expression, any splitting of text, any reading of catalogs, any policy.

mod bounded;
mod builtin;
mod cache;
mod copy;
mod effect;
pub(super) mod names;
mod parser;
mod place;
mod referents;
mod routine;
mod show;
mod size;
#[cfg(test)]
mod tests;
mod text;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use countersign_core::action::Facts;
use countersign_core::action::sql::{SqlClass, SqlFacts, SqlStatement, SqlTables};
use pg_query::NodeEnum;

use crate::ports::Describer;

pub(super) use builtin::catalogs;
pub(super) use builtin::settings::boolean;
pub use cache::Descriptions;
pub use copy::{CopyFormat, CopyIn};
pub use effect::{Discard, Effect, Setting, TransactionModes};
pub(super) use names::quoted;
pub use parser::STACK_BYTES;
pub(super) use parser::with_tree;
pub use place::{Places, TableColumn, TableColumns, places};
pub use referents::{Events, Name, Referents};
pub use routine::{Routine, replacement};
pub(super) use show::redactable;
pub use show::show;
pub(super) use size::SHORT_BYTES_MAX;
pub use text::{Literal, LiteralKind, fingerprint, literals};
pub(super) use walk::builtin_class;

/// Longest message that is parsed, in bytes: 1 MiB. A longer one is opaque, as is one of too many tokens (`size.rs`).
pub const SQL_BYTES_MAX: usize = 1024 * 1024;

/// Longest reason taken from a comment, in characters.
pub const REASON_CHARS_MAX: usize = 1_000;

/// Prepared statements the session knows, so that `EXECUTE` can be described. `Sync`, since a thread of its own may ask.
pub trait SessionFacts: Sync {
    /// Facts and names of the statement prepared under `name`, or `None` when the session has not seen it.
    fn prepared(&self, name: &str) -> Option<(&SqlStatement, &Referents)>;
}

/// A session that can be taken along to another thread.
pub(super) trait Sketched: SessionFacts {
    /// What it has prepared at this moment.
    fn sketch(&self) -> Box<dyn SessionFacts + Send>;
}

/// A session that has prepared nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSession;

impl SessionFacts for NoSession {
    fn prepared(&self, _name: &str) -> Option<(&SqlStatement, &Referents)> {
        None
    }
}

/// Describes by the text alone, in a session that has prepared nothing and whose names nobody resolves.
#[derive(Debug, Clone, Copy, Default)]
pub struct ByText;

impl Describer for ByText {
    fn describe(&self, text: &str) -> Facts {
        Facts::Sql(describe(text, &NoSession).facts)
    }
}

/// Everything the text of one message says.
#[derive(Debug, Clone)]
pub struct Description {
    /// Class, tables and functions, for policy.
    pub facts: SqlFacts,
    /// What each statement does to its session, in order; as long as `facts.statements`.
    pub effects: Vec<Effect>,
    /// libpg_query's fingerprint (constants do not count), 16 hexadecimal digits; present from class `session` upwards,
    /// since computing it parses the text once more. [`fingerprint`] gives it for any text.
    pub fingerprint: Option<String>,
    /// The text after `reason:` in a comment that opens the message, trimmed, at most [`REASON_CHARS_MAX`] characters.
    pub reason: Option<String>,
    /// The parser's message when the text was not understood.
    pub parse_error: Option<String>,
    /// The names of each statement, for the catalog to resolve; as long as `facts.statements`.
    pub referents: Vec<Referents>,
    /// What the catalog is asked about each; nothing where there is nothing to ask.
    pub questions: Vec<Option<Arc<str>>>,
}

/// Describes a message. Never fails, never panics: what is not understood is one opaque statement, `UNPARSED`.
///
/// It blocks for as long as parsing takes, tens of microseconds for ordinary statements. Threads that call it should have
/// [`STACK_BYTES`] of stack; on others it works on a thread of its own. One parse at a time: libpg_query redirects the
/// process's standard error while it parses (see `parser.rs`).
pub fn describe(sql: &str, session: &dyn SessionFacts) -> Description {
    let mut description = parser::with_tree(sql, |statements| describe_statements(&statements, session))
        .unwrap_or_else(|error| unparsed(error.to_string()));
    description.reason = text::reason(sql);
    if description.parse_error.is_none() && description.facts.class > SqlClass::Read {
        description.fingerprint = fingerprint(sql);
    }
    description
}

fn describe_statements(statements: &[NodeEnum], session: &dyn SessionFacts) -> Description {
    let mut known = Known { session, own: BTreeMap::new(), forgotten: false };
    let mut facts = SqlFacts { class: SqlClass::Read, statements: Vec::with_capacity(statements.len()) };
    let mut effects = Vec::with_capacity(statements.len());
    let mut referents = Vec::with_capacity(statements.len());
    let mut questions = Vec::with_capacity(statements.len());
    for node in statements {
        let mut walk = walk::Walk::new(&known);
        walk.statement(node);
        let effect = effect::of(node, &walk);
        referents.push(std::mem::take(&mut walk.referents));
        let statement = walk.finish();
        questions.push(referents.last().and_then(|names: &Referents| names.question(statement.apart >= SqlClass::Ddl)));
        known.note(&effect);
        facts.class = facts.class.max(statement.class);
        facts.statements.push(statement);
        effects.push(effect);
    }
    Description { facts, effects, fingerprint: None, reason: None, parse_error: None, referents, questions }
}

/// What is said of a text that nobody could examine: it is opaque.
pub(super) fn unexamined() -> Description {
    unparsed(parser::Error::Stopped.to_string())
}

fn unparsed(error: String) -> Description {
    let statement = SqlStatement {
        verb: "UNPARSED".to_owned(),
        class: SqlClass::Opaque,
        apart: SqlClass::Opaque,
        code: BTreeSet::new(),
        tables: SqlTables::default(),
        functions: BTreeSet::new(),
        has_where: false,
    };
    Description {
        facts: SqlFacts { class: SqlClass::Opaque, statements: vec![statement] },
        effects: vec![Effect::Unknown],
        fingerprint: None,
        reason: None,
        parse_error: Some(error),
        referents: vec![Referents::default()],
        questions: vec![None],
    }
}

/// The session's prepared statements as the message itself changes them on its way.
struct Known<'a> {
    session: &'a dyn SessionFacts,
    own: BTreeMap<String, Option<(SqlStatement, Referents)>>,
    forgotten: bool,
}

impl Known<'_> {
    fn prepared(&self, name: &str) -> Option<(&SqlStatement, &Referents)> {
        match self.own.get(name) {
            Some(own) => own.as_ref().map(|(statement, referents)| (statement, referents)),
            None if self.forgotten => None,
            None => self.session.prepared(name),
        }
    }

    fn note(&mut self, effect: &Effect) {
        match effect {
            Effect::Prepare { name, statement, referents } => {
                self.own.insert(name.clone(), Some(((**statement).clone(), (**referents).clone())));
            }
            Effect::Deallocate { name: Some(name) } => {
                self.own.insert(name.clone(), None);
            }
            Effect::Deallocate { name: None } | Effect::Discard(Discard::All) => {
                self.own.clear();
                self.forgotten = true;
            }
            Effect::None
            | Effect::InSteps
            | Effect::Unknown
            | Effect::Query { .. }
            | Effect::Begin { .. }
            | Effect::Commit { .. }
            | Effect::Rollback { .. }
            | Effect::Savepoint { .. }
            | Effect::RollbackTo { .. }
            | Effect::Release { .. }
            | Effect::PrepareTransaction { .. }
            | Effect::FinishPrepared { .. }
            | Effect::SetTransaction { .. }
            | Effect::SetCharacteristics { .. }
            | Effect::SetSnapshot { .. }
            | Effect::Set(_)
            | Effect::Reset { .. }
            | Effect::ResetAll
            | Effect::SetConstraints
            | Effect::Execute { .. }
            | Effect::DeclareCursor { .. }
            | Effect::Fetch { .. }
            | Effect::CloseCursor { .. }
            | Effect::Discard(Discard::Plans | Discard::Sequences | Discard::Temporary)
            | Effect::CopyIn(_)
            | Effect::CopyOut
            | Effect::Listen { .. }
            | Effect::Unlisten { .. } => {}
        }
    }
}
