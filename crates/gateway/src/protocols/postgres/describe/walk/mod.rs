//! The walk over one statement's tree: collects class, tables, functions and what the session needs to know.
//!
//! [`Walk`] is the notebook; [`Visit`] is implemented once for every structure of the tree, and says what it writes into
//! it. Two tallies of danger are kept apart, because they end at different times: `effect` is what commands do, `calls` is
//! what expressions may run. `EXPLAIN` without `ANALYZE` plans, so it drops the first and keeps what planning may run;
//! a stored definition (a view's query, a default, a function's body) runs nothing now, so it drops both.

mod admin;
mod call;
mod define;
mod expression;
mod json;
mod node;
mod object;
mod query;
mod table;
mod utility;

use std::borrow::Cow;
use std::collections::BTreeSet;

use countersign_core::action::sql::{SqlClass, SqlStatement, SqlTables};
use pg_query::NodeEnum;
use pg_query::protobuf::{self as pb, Node};

pub(in super::super) use call::builtin_class;

use super::builtin::catalogs;
use super::effect::Setting;
use super::referents::{Events, Name, Referents};
use super::{Known, names};

/// Deepest nesting of nodes that is followed; beyond it a statement is opaque. Ordinary statements stay below 60.
pub(super) const DEPTH_MAX: usize = 5_000;

/// What a structure of the tree contributes.
pub(super) trait Visit {
    /// Writes this structure's contribution, and that of everything below it, into `walk`.
    fn visit(&self, walk: &mut Walk<'_>);
}

impl<T: Visit> Visit for Option<T> {
    fn visit(&self, walk: &mut Walk<'_>) {
        if let Some(inner) = self {
            inner.visit(walk);
        }
    }
}

impl<T: Visit> Visit for Box<T> {
    fn visit(&self, walk: &mut Walk<'_>) {
        self.as_ref().visit(walk);
    }
}

impl<T: Visit> Visit for Vec<T> {
    fn visit(&self, walk: &mut Walk<'_>) {
        for item in self {
            item.visit(walk);
        }
    }
}

/// Implements [`Visit`] for structures whose contribution is that of their parts: before the semicolon the parts that are
/// visited, after it those that hold no node. Together they must be all fields, or it does not compile.
macro_rules! parts {
    ($($kind:ident { $($visited:ident),* ; $($skipped:ident),* })*) => {
        $(impl Visit for pb::$kind {
            fn visit(&self, walk: &mut Walk<'_>) {
                let Self { $($visited,)* $($skipped: _,)* } = self;
                $($visited.visit(walk);)*
            }
        })*
    };
}
use parts;

/// Implements [`Visit`] for structures that hold no node: all their fields, or it does not compile.
macro_rules! leaves {
    ($($kind:ident { $($skipped:ident),* })*) => {
        $(impl Visit for pb::$kind {
            fn visit(&self, _walk: &mut Walk<'_>) {
                let Self { $($skipped: _),* } = self;
            }
        })*
    };
}
use leaves;

/// Implements [`Visit`] for commands that only define something: verb, class, the parts that are stored, and the fields
/// that hold no node. Together they must be all fields, or it does not compile.
macro_rules! commands {
    ($($verb:literal $class:ident $kind:ident { $($stored:ident),* ; $($skipped:ident),* })*) => {
        $(impl Visit for pb::$kind {
            fn visit(&self, walk: &mut Walk<'_>) {
                let Self { $($stored,)* $($skipped: _,)* } = self;
                walk.command($verb, SqlClass::$class);
                $(walk.stored($stored);)*
            }
        })*
    };
}
use commands;

/// The notebook of one statement.
pub(super) struct Walk<'a> {
    known: &'a Known<'a>,
    verb: Option<Cow<'static, str>>,
    effect: SqlClass,
    calls: SqlClass,
    unknown: bool,
    tables: SqlTables,
    functions: BTreeSet<String>,
    /// What may be code of the database's users, as written.
    code: BTreeSet<String>,
    /// Names for the catalog to resolve.
    pub(super) referents: Referents,
    /// Whether what is walked is only planned, so that no row changes.
    planning: bool,
    /// Names of common table expressions in scope, innermost last.
    scope: Vec<String>,
    /// Whether an `UPDATE`, `DELETE` or `MERGE` was seen, and whether each of them is bounded.
    changes_bounded: Option<bool>,
    depth: usize,
    /// Set while a condition is probed for columns.
    probe: Option<query::Probe>,
    /// The setting whose row of `pg_settings` the target list in hand is about, if it is about one.
    setting_row: Option<String>,
    /// Settings changed by `set_config`.
    pub(super) settings: Vec<Setting>,
    /// Whether a temporary object is made.
    pub(super) temporary: bool,
}

impl<'a> Walk<'a> {
    /// An empty notebook beside what the session knows.
    pub(super) fn new(known: &'a Known<'a>) -> Self {
        Walk {
            known,
            verb: None,
            effect: SqlClass::Read,
            calls: SqlClass::Read,
            unknown: false,
            tables: SqlTables::default(),
            functions: BTreeSet::new(),
            code: BTreeSet::new(),
            referents: Referents::default(),
            planning: false,
            scope: Vec::new(),
            changes_bounded: None,
            depth: 0,
            probe: None,
            setting_row: None,
            settings: Vec::new(),
            temporary: false,
        }
    }

    /// Walks a whole statement.
    pub(super) fn statement(&mut self, node: &NodeEnum) {
        node.visit(self);
        if self.verb.is_none() {
            self.unknown();
        }
    }

    /// The statement's facts.
    pub(super) fn finish(self) -> SqlStatement {
        SqlStatement {
            class: self.class(),
            apart: self.apart(),
            code: self.code,
            verb: self.verb.unwrap_or(Cow::Borrowed("UNKNOWN")).into_owned(),
            tables: self.tables,
            functions: self.functions,
            has_where: self.changes_bounded.unwrap_or(true),
        }
    }

    /// The statement's facts so far, as those of the statement that a `PREPARE` or `DECLARE` wraps.
    pub(super) fn facts(&self) -> SqlStatement {
        SqlStatement {
            verb: self.verb.clone().unwrap_or(Cow::Borrowed("UNKNOWN")).into_owned(),
            class: self.class(),
            apart: self.apart(),
            code: self.code.clone(),
            tables: self.tables.clone(),
            functions: self.functions.clone(),
            has_where: self.changes_bounded.unwrap_or(true),
        }
    }

    fn class(&self) -> SqlClass {
        if self.code.is_empty() { self.apart() } else { SqlClass::Opaque }
    }

    fn apart(&self) -> SqlClass {
        if self.unknown { SqlClass::Opaque } else { self.effect.max(self.calls) }
    }

    /// Something that may be code of the database's users: only the catalog tells what it is.
    fn code(&mut self, kind: &str, name: &str) {
        self.code.insert(format!("{kind} {name}"));
    }

    /// A command: the first one names the statement, each one raises its class.
    fn command(&mut self, verb: impl Into<Cow<'static, str>>, class: SqlClass) {
        self.verb.get_or_insert_with(|| verb.into());
        self.raise(class);
    }

    fn raise(&mut self, class: SqlClass) {
        self.effect = self.effect.max(class);
    }

    fn call(&mut self, class: SqlClass) {
        self.calls = self.calls.max(class);
    }

    /// Something this module does not know: the statement is opaque, whatever wraps it.
    fn unknown(&mut self) {
        self.unknown = true;
    }

    /// An `UPDATE`, `DELETE` or `MERGE`; one unbounded change makes the statement unbounded.
    fn change(&mut self, bounded: bool) {
        self.changes_bounded = Some(self.changes_bounded.unwrap_or(true) && bounded);
    }

    /// Walks something that is only stored: its tables and functions are named, nothing of it runs now.
    fn stored(&mut self, part: &dyn Visit) {
        let (effect, calls, settings) = (self.effect, self.calls, self.settings.len());
        let (code, referents) = (self.code.clone(), self.referents.clone());
        part.visit(self);
        self.code = code;
        self.referents = referents;
        self.effect = effect;
        self.calls = calls;
        self.settings.truncate(settings);
    }

    /// Walks something that is only planned: planning runs functions that call themselves immutable or stable, so a
    /// call whose effect is unknown stays unknown; built-ins with effects are volatile and do not run.
    fn planned(&mut self, part: &dyn Visit) {
        let (effect, calls, settings, temporary) = (self.effect, self.calls, self.settings.len(), self.temporary);
        let planning = std::mem::replace(&mut self.planning, true);
        self.calls = SqlClass::Read;
        part.visit(self);
        self.planning = planning;
        self.effect = effect;
        self.temporary = temporary;
        self.calls = if self.calls == SqlClass::Opaque { SqlClass::Opaque } else { calls };
        self.settings.truncate(settings);
    }

    /// Settings changed where the session machine will not see it (by `EXECUTE` of a name, or beside a stream) are not
    /// known to it afterwards.
    fn hides_settings(&mut self) {
        if !self.settings.is_empty() {
            self.unknown();
        }
    }

    /// A relation in `FROM`: a common table expression in scope, or a table that is read.
    fn read(&mut self, relation: &pb::RangeVar) {
        let unqualified = relation.schemaname.is_empty() && relation.catalogname.is_empty();
        if unqualified && self.scope.contains(&relation.relname) {
            return;
        }
        self.read_table(relation);
    }

    /// A table that is read; never a common table expression.
    fn read_table(&mut self, relation: &pb::RangeVar) {
        self.raise(catalogs::read_class(&relation.schemaname, &relation.relname));
        self.tables.read.insert(names::relation(relation));
        self.referents.relation(relation, Events::READ);
    }

    /// A table that is written or defined; writing to the system's own is administration.
    fn write(&mut self, relation: &pb::RangeVar) {
        self.raise(catalogs::write_class(&relation.schemaname, &relation.relname));
        self.touch(relation);
    }

    /// A table that is maintained or locked, which is ordinary for the system's own too.
    fn touch(&mut self, relation: &pb::RangeVar) {
        self.tables.write.insert(names::relation(relation));
        self.referents.relation(relation, Events::REWRITE);
    }

    /// What happens to the rows of a relation that is written; nothing does while it is only planned.
    fn fires(&mut self, relation: Option<&pb::RangeVar>, events: Events) {
        if let Some(relation) = relation.filter(|_| !self.planning) {
            self.referents.relation(relation, events);
        }
    }

    /// [`Walk::write`] for a relation that may be absent.
    fn write_opt(&mut self, relation: Option<&pb::RangeVar>) {
        if let Some(relation) = relation {
            self.write(relation);
        }
    }

    /// A table named as a list of identifiers, as `DROP` and `COMMENT` do.
    fn write_name(&mut self, parts: &[&str]) {
        let (schema, name) = match parts {
            [name] => ("", *name),
            [.., schema, name] => (*schema, *name),
            [] => return,
        };
        self.raise(catalogs::write_class(schema, name));
        self.tables.write.insert(names::join(parts));
        if let Some(name) = Name::of(parts) {
            self.referents.named_relation(name, Events::REWRITE);
        }
    }

    /// An object that is made temporary when its name says so.
    fn make(&mut self, relation: Option<&pb::RangeVar>) {
        if let Some(relation) = relation {
            self.write(relation);
            self.temporary |= relation.relpersistence == "t" || relation.schemaname == "pg_temp";
        }
    }
}

impl Visit for Node {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { node } = self;
        if walk.depth >= DEPTH_MAX {
            walk.unknown();
            return;
        }
        walk.depth += 1;
        node.visit(walk);
        walk.depth -= 1;
    }
}

impl Visit for pb::RangeVar {
    fn visit(&self, walk: &mut Walk<'_>) {
        walk.read(self);
    }
}
