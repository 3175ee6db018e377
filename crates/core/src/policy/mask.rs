//! `@mask("customers.email: hash, customers.ssn: drop")`: columns of which a read may show only something else.
//!
//! An obligation: the masks of every policy that determined an answer hold together, and the stricter kind wins. How a
//! column is masked, and when that is not possible, is the protocol's business; what cannot be masked is refused there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// The most columns that one annotation names.
pub const MASKS_MAX: usize = 200;
/// The longest name of a schema, table or column, in bytes: PostgreSQL's own.
const NAME_BYTES_MAX: usize = 63;

/// What is shown in the place of a value, the least strict first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mask {
    /// The last characters of a text.
    Partial,
    /// A keyed hash: equal values look equal, and cannot be guessed without the key.
    Hash,
    /// Nothing: NULL.
    Drop,
}

impl Mask {
    /// The name used in annotations.
    pub fn name(self) -> &'static str {
        match self {
            Mask::Partial => "partial",
            Mask::Hash => "hash",
            Mask::Drop => "drop",
        }
    }
}

/// A column as a policy names it: without a schema, of every table of that name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MaskedColumn {
    /// The schema; `None` for any.
    pub schema: Option<String>,
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
}

/// The masks that hold for an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Masks {
    columns: BTreeMap<MaskedColumn, Mask>,
    policies: BTreeSet<String>,
}

impl Masks {
    /// Whether nothing is masked.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The columns, each with the strictest mask that holds for it by this name.
    pub fn columns(&self) -> &BTreeMap<MaskedColumn, Mask> {
        &self.columns
    }

    /// The ids of the policies that ask for them.
    pub fn policies(&self) -> &BTreeSet<String> {
        &self.policies
    }

    pub(super) fn add(&mut self, policy: &str, columns: &BTreeMap<MaskedColumn, Mask>) {
        if !columns.is_empty() {
            self.policies.insert(policy.to_owned());
            stricter(&mut self.columns, columns);
        }
    }
}

/// Both hold: the stricter of each.
pub(super) fn stricter(sum: &mut BTreeMap<MaskedColumn, Mask>, other: &BTreeMap<MaskedColumn, Mask>) {
    for (column, mask) in other {
        let held = sum.entry(column.clone()).or_insert(*mask);
        *held = (*held).max(*mask);
    }
}

/// Reads an annotation's value.
///
/// # Errors
/// What is wrong with it, for its author.
pub(super) fn read(value: &str) -> Result<BTreeMap<MaskedColumn, Mask>, String> {
    let mut masks = BTreeMap::new();
    for item in value.split(',') {
        let (column, kind) = item.rsplit_once(':').ok_or_else(|| malformed(item))?;
        let column = MaskedColumn::try_from(column.trim().to_owned()).map_err(|error| error.to_string())?;
        let mask = match kind.trim() {
            "partial" => Mask::Partial,
            "hash" => Mask::Hash,
            "drop" => Mask::Drop,
            other => return Err(format!("`@mask` knows `drop`, `hash` and `partial`, not `{other}`")),
        };
        if masks.insert(column.clone(), mask).is_some() {
            return Err(format!("`@mask` names `{column}` twice"));
        }
    }
    if masks.len() > MASKS_MAX {
        return Err(format!("`@mask` names {} columns; at most {MASKS_MAX} in one annotation", masks.len()));
    }
    Ok(masks)
}

fn malformed(item: &str) -> String {
    format!("`{}` is no mask; write `table.column: hash`, or `schema.table.column: drop`", item.trim())
}

/// Text that names no column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no column for `@mask`; write `table.column` or `schema.table.column` as the database spells them, in lower case letters, digits, `_` and `$`, anything else in double quotes"
)]
pub struct MalformedColumn(String);

impl TryFrom<String> for MaskedColumn {
    type Error = MalformedColumn;

    fn try_from(text: String) -> Result<Self, MalformedColumn> {
        let parts = names(&text).ok_or_else(|| MalformedColumn(text.clone()))?;
        match <[String; 3]>::try_from(parts) {
            Ok([schema, table, column]) => Ok(Self { schema: Some(schema), table, column }),
            Err(parts) => match <[String; 2]>::try_from(parts) {
                Ok([table, column]) => Ok(Self { schema: None, table, column }),
                Err(_) => Err(MalformedColumn(text)),
            },
        }
    }
}

impl From<MaskedColumn> for String {
    fn from(column: MaskedColumn) -> Self {
        column.to_string()
    }
}

impl fmt::Display for MaskedColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{}.", Name(schema))?;
        }
        write!(f, "{}.{}", Name(&self.table), Name(&self.column))
    }
}

/// A name, in quotes where it needs them.
struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_plain(self.0) { f.write_str(self.0) } else { write!(f, "\"{}\"", self.0.replace('"', "\"\"")) }
    }
}

fn is_plain(name: &str) -> bool {
    let first = name.bytes().next();
    first.is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_')
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_$".contains(&byte))
}

/// The names between the dots; `None` when one of them is none.
fn names(text: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = text;
    loop {
        let (name, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let (name, after) = rest.split_at(rest.find('.').unwrap_or(rest.len()));
                (is_plain(name).then(|| name.to_owned())?, after)
            }
        };
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return None;
        }
        names.push(name);
        match after.strip_prefix('.') {
            Some(more) => rest = more,
            None => return after.is_empty().then_some(names),
        }
    }
}

/// A name up to its closing quote, and what follows that. Commas and colons would be taken for the list's own.
fn unquoted(quoted: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = quoted;
    loop {
        let (before, after) = rest.split_once('"')?;
        name.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(schema: Option<&str>, table: &str, column: &str) -> MaskedColumn {
        MaskedColumn { schema: schema.map(str::to_owned), table: table.to_owned(), column: column.to_owned() }
    }

    #[test]
    fn well_formed_masks_are_read() {
        let read = read(r#"customers.email: hash, crm.people."Full ""Name""":drop"#).expect("well formed");
        let expected = BTreeMap::from([
            (column(None, "customers", "email"), Mask::Hash),
            (column(Some("crm"), "people", "Full \"Name\""), Mask::Drop),
        ]);
        assert_eq!(read, expected);
        for column in read.into_keys() {
            assert_eq!(MaskedColumn::try_from(column.to_string()), Ok(column), "written as it is read");
        }
    }

    #[test]
    fn malformed_masks_are_refused() {
        for wrong in [
            "",
            "email: hash",
            "customers.email",
            "customers.email: hide",
            "customers.email: hash,",
            "customers.email: hash, customers.email: drop",
            "a.b.c.d: hash",
            "Customers.email: hash",
            "customers.*: hash",
            "customers.\"email: hash",
            "customers.: hash",
            "customers .email: hash",
            "customers.\"a\nb\": hash",
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
        let many: Vec<String> = (0..=MASKS_MAX).map(|n| format!("t.c{n}: hash")).collect();
        assert!(read(&many.join(",")).is_err());
    }

    #[test]
    fn the_stricter_mask_holds() {
        let mut sum = Masks::default();
        sum.add("a", &read("t.x: hash, t.y: drop").expect("well formed"));
        sum.add("b", &read("t.x: drop, t.y: partial").expect("well formed"));
        sum.add("c", &BTreeMap::new());
        assert!(sum.columns().values().all(|mask| *mask == Mask::Drop));
        assert_eq!(sum.policies().iter().collect::<Vec<_>>(), ["a", "b"]);
    }
}
