//! What stands behind placeholders: where each value stands, and the values themselves for whoever seals them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Where a value stands in what would run, the most decisive last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// In a comment or in the stated reason: it is not executed.
    Remark,
    /// It is only given back.
    Output,
    /// It decides which rows are touched.
    Predicate,
    /// It is the value of a setting that the session had before: what it does is up to whoever reads the setting.
    Setting,
    /// It is written, or nobody can say where it stands.
    #[default]
    Written,
}

impl Position {
    /// The name used in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Position::Remark => "remark",
            Position::Output => "output",
            Position::Predicate => "predicate",
            Position::Setting => "setting",
            Position::Written => "written",
        }
    }
}

/// Where a value stands, and the column it belongs to where that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Where.
    pub position: Position,
    /// The column's own name, as the statement writes it; a setting's name for [`Position::Setting`].
    pub column: Option<String>,
}

impl Place {
    /// Somewhere without a column.
    pub fn of(position: Position) -> Self {
        Self { position, column: None }
    }
}

/// One hidden value, as a card tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hidden {
    /// What stands between the placeholder's marks, such as `email 1`.
    pub mark: String,
    /// The most decisive place where it stands.
    pub position: Position,
    /// The column it is written to or compared with there, where that is known; the setting whose value it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
}

impl Hidden {
    /// Whether nobody may approve without having looked at it: it is written, or decides what is touched.
    pub fn is_decisive(&self) -> bool {
        match self.position {
            Position::Written | Position::Setting | Position::Predicate => true,
            Position::Output | Position::Remark => false,
        }
    }

    /// Where it stands, in words.
    pub fn words(&self) -> String {
        let column = self.column.as_deref();
        match (self.position, column) {
            (Position::Written, Some(column)) => format!("written to {column}"),
            (Position::Written, None) => "written, or used in a way that cannot be told".to_owned(),
            (Position::Setting, Some(name)) => format!("the session's setting {name}"),
            (Position::Setting, None) => "a setting of the session".to_owned(),
            (Position::Predicate, Some(column)) => format!("compared with {column}"),
            (Position::Predicate, None) => "decides what is touched".to_owned(),
            (Position::Output, _) => "only given back".to_owned(),
            (Position::Remark, _) => "in a remark".to_owned(),
        }
    }
}

/// What stands behind the placeholders of one card, by mark. It shows itself to nobody.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Values(BTreeMap<String, Zeroizing<String>>);

impl Values {
    /// Whether nothing is hidden.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One of them.
    pub fn value(&self, mark: &str) -> Option<&str> {
        self.0.get(mark).map(|value| value.as_str())
    }

    /// All of them, by mark.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(mark, value)| (mark.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, Zeroizing<String>)> for Values {
    fn from_iter<I: IntoIterator<Item = (String, Zeroizing<String>)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Values({})", self.0.len())
    }
}
