//! Names: the sources of a query, those of the queries around it, and what a reference may mean there.

use std::collections::BTreeSet;

use pg_query::protobuf::{self as pb, a_const};

use super::{Proof, why};

/// Columns that every table has besides its own; none of them holds a value of another.
const SYSTEM_COLUMNS: &[&str] = &["ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"];

/// A masked column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taint {
    pub(super) table: u32,
    pub(super) attribute: i16,
}

/// One output of a query.
#[derive(Debug, Clone)]
pub(super) struct Output {
    pub(super) name: String,
    pub(super) taint: Option<Taint>,
}

/// What a query yields.
#[derive(Debug, Clone, Default)]
pub(super) struct Outputs {
    pub(super) columns: Vec<Output>,
    /// There are others, whose names are not known; none of them is masked.
    pub(super) open: bool,
    /// A star stands among them, so that their numbers are not known here.
    pub(super) starred: bool,
}

impl Outputs {
    pub(super) fn is_tainted(&self) -> bool {
        self.columns.iter().any(|output| output.taint.is_some())
    }

    pub(super) fn extend(&mut self, source: &Source) {
        self.columns.extend(source.columns.iter().cloned());
        self.open |= source.open;
    }

    /// Whether an output has this name.
    ///
    /// # Errors
    /// A masked one has.
    pub(super) fn clean_name(&self, name: &str) -> Proof<bool> {
        let mut named = self.columns.iter().filter(|output| output.name == name).peekable();
        let any = named.peek().is_some();
        if named.any(|output| output.taint.is_some()) {
            return why(format!("`{name}` is a masked output, and orders or groups rows"));
        }
        Ok(any)
    }

    /// A number stands for the output at its place.
    pub(super) fn clean_position(&self, constant: &pb::AConst) -> Proof<()> {
        if !self.is_tainted() || !matches!(constant.val, Some(a_const::Val::Ival(_))) {
            return Ok(());
        }
        let Some(a_const::Val::Ival(place)) = &constant.val else { return Ok(()) };
        let place = usize::try_from(place.ival).ok().and_then(|place| place.checked_sub(1));
        let known = !self.starred && !self.open;
        match place.and_then(|place| self.columns.get(place)) {
            Some(output) if known && output.taint.is_none() => Ok(()),
            _ => why("a number that orders or groups rows may stand for a masked output"),
        }
    }
}

/// Something in `FROM`.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// What qualifies its columns; empty when nothing does.
    pub(super) name: String,
    pub(super) columns: Vec<Output>,
    /// As [`Outputs::open`].
    pub(super) open: bool,
}

impl Source {
    pub(super) fn is_tainted(&self) -> bool {
        self.columns.iter().any(|output| output.taint.is_some())
    }

    fn named<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s Output> {
        self.columns.iter().filter(move |output| output.name == name)
    }
}

/// Names of `WITH`, the innermost first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ctes<'a> {
    pub(super) own: &'a [(String, Outputs)],
    pub(super) outer: Option<&'a Ctes<'a>>,
}

impl Ctes<'_> {
    pub(super) const NONE: Ctes<'static> = Ctes { own: &[], outer: None };

    pub(super) fn find(&self, name: &str) -> Option<&Outputs> {
        let own = self.own.iter().rev().find(|(own, _)| own == name).map(|(_, outputs)| outputs);
        own.or_else(|| self.outer.and_then(|outer| outer.find(name)))
    }
}

/// The sources of a query and of those around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) sources: &'a [Source],
    pub(super) outer: Option<&'a Scope<'a>>,
}

impl<'a> Scope<'a> {
    fn levels(&self) -> impl Iterator<Item = &Scope<'a>> {
        std::iter::successors(Some(self), |scope| scope.outer)
    }

    fn all(&self) -> impl Iterator<Item = &Source> {
        self.levels().flat_map(|level| level.sources)
    }

    /// The nearest source of this name.
    pub(super) fn nearest(&self, name: &str) -> Option<&Source> {
        self.all().find(|source| source.name == name)
    }

    /// Whether a name alone may be a masked column, here or around.
    pub(super) fn may_be_masked(&self, name: &str) -> bool {
        self.all().flat_map(|source| source.named(name)).any(|output| output.taint.is_some())
    }

    /// What a reference as a plain output yields: the nearest level that knows the name, as the server looks it up.
    pub(super) fn output(&self, fields: &[&str]) -> Proof<Option<Taint>> {
        match fields {
            [name] => {
                let found = self
                    .levels()
                    .map(|level| level.sources.iter().flat_map(|source| source.named(name)).collect::<Vec<_>>());
                match found.into_iter().find(|found| !found.is_empty()).as_deref() {
                    Some([one]) => Ok(one.taint),
                    // the columns that a JOIN … USING merges, or an ambiguity that the server refuses
                    Some(several) if several.iter().all(|output| output.taint.is_none()) => Ok(None),
                    Some(_) => why(format!("`{name}` is ambiguous; write the table before it")),
                    None => self.clean(fields).map(|()| None),
                }
            }
            [table, name] => {
                match self.nearest(table).map(|source| source.named(name).collect::<Vec<_>>()).as_deref() {
                    Some([one]) => Ok(one.taint),
                    _ => self.clean(fields).map(|()| None),
                }
            }
            _ => self.clean(fields).map(|()| None),
        }
    }

    /// A reference that is used for anything else than as an output: wherever it may point, nothing masked is there.
    pub(super) fn clean(&self, fields: &[&str]) -> Proof<()> {
        match fields {
            [name] => self.clean_alone(name),
            [table, name] => self.clean_qualified(table, name),
            _ => why("a reference with a schema cannot be resolved; give the table an alias"),
        }
    }

    fn clean_alone(&self, name: &str) -> Proof<()> {
        if self.may_be_masked(name) {
            return why(format!("the masked column `{name}` is used for more than a plain output"));
        }
        if self.all().flat_map(|source| source.named(name)).next().is_some() || SYSTEM_COLUMNS.contains(&name) {
            return Ok(());
        }
        match self.nearest(name) {
            Some(source) if source.is_tainted() => {
                why(format!("`{name}` is a whole row with masked columns, used for more than a plain output"))
            }
            Some(_) => Ok(()),
            None if self.all().any(|source| source.open) => Ok(()),
            None => why(format!("the name `{name}` cannot be resolved")),
        }
    }

    fn clean_qualified(&self, table: &str, name: &str) -> Proof<()> {
        let mut found = false;
        for source in self.all().filter(|source| source.name == table) {
            found = true;
            let mut columns = source.named(name).peekable();
            if columns.peek().is_none() && source.is_tainted() && !SYSTEM_COLUMNS.contains(&name) {
                // `t.f` is `f(t)` where `t` has no column `f`
                return why(format!("`{table}.{name}` may be a function of a whole row with masked columns"));
            }
            if columns.any(|column| column.taint.is_some()) {
                return why(format!("the masked column `{table}.{name}` is used for more than a plain output"));
            }
        }
        if found { Ok(()) } else { why(format!("`{table}.{name}` cannot be resolved")) }
    }

    /// The names of masked columns of its own level.
    pub(super) fn masked_names(sources: &[Source]) -> BTreeSet<&str> {
        let columns = sources.iter().flat_map(|source| &source.columns);
        columns.filter(|output| output.taint.is_some()).map(|output| output.name.as_str()).collect()
    }
}
