//! What a target's configuration adds to the rules, or takes from them.

use std::collections::BTreeSet;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::detect::{self, Found, Kind, Parts};

/// The most patterns of a target's own.
pub const PATTERNS_MAX: usize = 50;
/// The longest pattern, in bytes.
pub const PATTERN_BYTES_MAX: usize = 1_000;
/// The most columns that a target names, for each of the two lists.
pub const COLUMNS_MAX: usize = 1_000;
/// How large a compiled pattern may become: 256 KiB.
const COMPILED_BYTES_MAX: usize = 256 * 1024;
/// The longest name of a pattern, in characters.
const NAME_CHARS_MAX: usize = 30;

/// What stands in the place of a value of a column that only the configuration knows.
const LISTED: &str = "private value";

/// What a target hides beyond the rules that hold for every target, and what it shows all the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Redaction {
    /// Kinds that are shown.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub show_kinds: BTreeSet<String>,
    /// Columns whose values are shown, whatever they look like.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub show_columns: BTreeSet<String>,
    /// Columns whose values are hidden, whatever they look like.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub hide_columns: BTreeSet<String>,
    /// Further formats to hide.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hide: Vec<Pattern>,
}

/// A format of a target's own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// What its values are called in placeholders: lower-case letters and spaces.
    pub name: String,
    /// A regular expression; its first group, where it has one, is what is hidden.
    pub pattern: String,
}

/// Why a target's rules cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// There is no such kind.
    #[error("`{0}` is no kind of hidden value; they are {all}", all = names())]
    UnknownKind(String),
    /// The name could be mistaken for something else in a placeholder.
    #[error("`{0}` is no name for a pattern: use 1 to {NAME_CHARS_MAX} lower-case letters and spaces")]
    Name(String),
    /// The expression is not one, or too large.
    #[error("the pattern `{name}` cannot be used: {problem}")]
    Pattern {
        /// Whose.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// There are too many of something.
    #[error("there are more than {0} {1}")]
    TooMany(usize, &'static str),
}

/// Rules, ready to use. The default hides every kind, and knows no column or format besides.
#[derive(Debug, Default)]
pub struct Rules {
    show_kinds: BTreeSet<Kind>,
    show_columns: BTreeSet<String>,
    hide_columns: BTreeSet<String>,
    hide: Vec<(String, Regex)>,
}

impl Rules {
    /// What a target's configuration makes of the rules.
    ///
    /// # Errors
    /// [`RulesError`]; nothing of it may be used then.
    pub fn new(redaction: &Redaction) -> Result<Self, RulesError> {
        let columns = |columns: &BTreeSet<String>| match columns.len() > COLUMNS_MAX {
            true => Err(RulesError::TooMany(COLUMNS_MAX, "columns")),
            false => Ok(columns.iter().map(|column| column.to_lowercase()).collect()),
        };
        if redaction.hide.len() > PATTERNS_MAX {
            return Err(RulesError::TooMany(PATTERNS_MAX, "patterns"));
        }
        let kind = |name: &String| {
            let found = Kind::ALL.iter().find(|kind| kind.name() == name);
            found.copied().ok_or_else(|| RulesError::UnknownKind(name.clone()))
        };
        Ok(Self {
            show_kinds: redaction.show_kinds.iter().map(kind).collect::<Result<_, _>>()?,
            show_columns: columns(&redaction.show_columns)?,
            hide_columns: columns(&redaction.hide_columns)?,
            hide: redaction.hide.iter().map(compiled).collect::<Result<_, _>>()?,
        })
    }

    /// What every value of a column is; nothing where it depends on what the value looks like.
    pub(super) fn of_column(&self, column: &str) -> Option<&'static str> {
        if self.hide_columns.contains(&column.to_lowercase()) {
            return Some(LISTED);
        }
        // of a setting the part behind its prefix: `app.password`
        let own = column.rsplit_once('.').map_or(column, |(_, own)| own);
        detect::column_kind(own).filter(|kind| !self.show_kinds.contains(kind)).map(Kind::name)
    }

    /// Whether a column's values are shown, whatever they look like.
    pub(super) fn shows(&self, column: &str) -> bool {
        self.show_columns.contains(&column.to_lowercase())
    }

    /// The parts of a value that must not be shown, in order.
    pub(super) fn find(&self, value: &str) -> Vec<Found<'_>> {
        let mut found = Parts::default();
        for (name, pattern) in self.hide.iter().filter(|_| value.len() <= detect::VALUE_BYTES_MAX) {
            for groups in pattern.captures_iter(value) {
                if let Some(part) = groups.get(1).or_else(|| groups.get(0)) {
                    found.add(part.range(), name);
                }
            }
        }
        detect::find(value, &self.show_kinds, &mut found);
        found.in_order()
    }
}

fn compiled(pattern: &Pattern) -> Result<(String, Regex), RulesError> {
    let Pattern { name, pattern } = pattern;
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c == ' ');
    if name.trim().is_empty() || name.len() > NAME_CHARS_MAX || !plain {
        return Err(RulesError::Name(name.clone()));
    }
    let fail = |problem: String| RulesError::Pattern { name: name.clone(), problem };
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(fail(format!("it has more than {PATTERN_BYTES_MAX} bytes")));
    }
    let built = RegexBuilder::new(pattern).size_limit(COMPILED_BYTES_MAX).build();
    Ok((name.clone(), built.map_err(|error| fail(error.to_string()))?))
}

fn names() -> String {
    Kind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hide(name: &str, pattern: &str) -> Redaction {
        let pattern = Pattern { name: name.to_owned(), pattern: pattern.to_owned() };
        Redaction { hide: vec![pattern], ..Redaction::default() }
    }

    fn labels(redaction: &Redaction, value: &str) -> Vec<String> {
        let rules = Rules::new(redaction).expect("usable");
        rules.find(value).iter().map(|found| found.label.to_owned()).collect()
    }

    #[test]
    fn a_target_adds_formats_and_takes_kinds_away() {
        assert_eq!(
            labels(&hide("order key", "ORD-[0-9]{8}"), "see ORD-00000001, ada@example.org"),
            ["order key", "email"]
        );
        let shown = Redaction { show_kinds: ["email".to_owned()].into(), ..Redaction::default() };
        assert!(labels(&shown, "ada@example.org").is_empty());
        let columns = |columns: &[&str]| columns.iter().map(|column| (*column).to_owned()).collect();
        let rules =
            Redaction { hide_columns: columns(&["Salary"]), show_columns: columns(&["EMAIL"]), ..Redaction::default() };
        let rules = Rules::new(&rules).expect("usable");
        assert_eq!((rules.of_column("salary"), rules.of_column("surname")), (Some("private value"), Some("name")));
        assert!(rules.shows("email") && !rules.shows("salary"));
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        for (redaction, said) in [
            (hide("Order", "x"), "no name for a pattern"),
            (hide("order 1", "x"), "no name for a pattern"),
            (hide("order", "("), "cannot be used"),
            (hide("order", r"(\pL{1000}){1000}"), "cannot be used"),
            (Redaction { show_kinds: ["emails".to_owned()].into(), ..Redaction::default() }, "no kind of hidden value"),
        ] {
            let error = Rules::new(&redaction).expect_err("unusable").to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
