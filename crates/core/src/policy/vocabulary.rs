//! The names policies may use: the configured groups, the quorums made of them, and the schema generated from both.
//!
//! Cedar's enum entities catch misspelt names at load, so groups are an enum generated from the configuration instead
//! of an open type. Groups of people that are not in the vocabulary are invisible to policy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::decision::Quorum;

/// The quorum of people of any group; no configured group may take its name.
pub(super) const ANY: &str = "any";

/// The most groups a vocabulary holds: 256 groups × 9 quorums stay under 2,400 names in the schema.
pub const GROUPS_MAX: usize = 256;
/// The longest name of a group.
pub const GROUP_BYTES_MAX: usize = 64;
/// The most people a quorum may ask for: one digit.
pub const QUORUM_MAX: u8 = 9;
/// The most people a quorum may ask for unless configured otherwise.
pub const QUORUM_MAX_DEFAULT: u8 = 5;

const COMMON: &str = include_str!("schema/gate.cedarschema");

/// The groups and quorums that policies may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    groups: BTreeSet<String>,
    quorum_max: u8,
}

/// A configuration that makes no vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VocabularyError {
    /// There is no group.
    #[error("policies need at least one group of people; configure one, `dba` say")]
    NoGroups,
    /// There are more than [`GROUPS_MAX`].
    #[error("{0} groups are configured; at most {GROUPS_MAX} can be")]
    TooManyGroups(usize),
    /// A name that cannot be used.
    #[error(
        "`{0}` cannot name a group: 1 to {GROUP_BYTES_MAX} bytes, no quotes, backslashes, control characters or spaces at the ends, and not `any`"
    )]
    GroupName(String),
    /// A number of people out of range.
    #[error("a quorum of {0} people cannot be asked for; use 1 to {QUORUM_MAX}")]
    QuorumMax(u8),
}

impl Vocabulary {
    /// These groups, with quorums of 1 to `quorum_max` people.
    ///
    /// # Errors
    /// [`VocabularyError`].
    pub fn new(groups: BTreeSet<String>, quorum_max: u8) -> Result<Self, VocabularyError> {
        if groups.is_empty() {
            return Err(VocabularyError::NoGroups);
        }
        if groups.len() > GROUPS_MAX {
            return Err(VocabularyError::TooManyGroups(groups.len()));
        }
        if !(1..=QUORUM_MAX).contains(&quorum_max) {
            return Err(VocabularyError::QuorumMax(quorum_max));
        }
        if let Some(wrong) = groups.iter().find(|name| !usable(name)) {
            return Err(VocabularyError::GroupName(wrong.clone()));
        }
        Ok(Self { groups, quorum_max })
    }

    /// What the starter policies name: `dba`, `security` and `sre`.
    pub fn starter() -> Self {
        let groups = ["dba", "security", "sre"].map(str::to_owned).into();
        Self { groups, quorum_max: QUORUM_MAX_DEFAULT }
    }

    /// The groups.
    pub fn groups(&self) -> &BTreeSet<String> {
        &self.groups
    }

    /// The most people one quorum asks for.
    pub fn quorum_max(&self) -> u8 {
        self.quorum_max
    }

    /// Every quorum a policy may name, `any` included.
    pub(super) fn quorums(&self) -> impl Iterator<Item = Quorum> + '_ {
        let names = self.groups.iter().map(String::as_str).chain([ANY]);
        names.flat_map(|group| (1..=self.quorum_max).map(move |count| Quorum { group: group.to_owned(), count }))
    }

    /// The whole schema in Cedar's own syntax: generated names, the common part, then each protocol's.
    pub(super) fn schema_text(&self, protocols: &[&str]) -> String {
        let mut text = String::from("// Generated from the configured groups.\n");
        write_enum(&mut text, "Group", self.groups.iter().map(String::as_str));
        let quorums: Vec<String> = self.quorums().map(String::from).collect();
        write_enum(&mut text, "Quorum", quorums.iter().map(String::as_str));
        for part in [&[COMMON][..], protocols].concat() {
            text.push('\n');
            text.push_str(part);
        }
        text
    }
}

/// Quotes and backslashes are excluded, so that a name can stand in a string of the schema as it is.
fn usable(name: &str) -> bool {
    let plain = name.chars().all(|c| !c.is_control() && c != '"' && c != '\\');
    plain && !name.is_empty() && name.len() <= GROUP_BYTES_MAX && name.trim() == name && name != ANY
}

fn write_enum<'a>(text: &mut String, name: &str, values: impl Iterator<Item = &'a str>) {
    let quoted: Vec<String> = values.map(|value| format!("\"{value}\"")).collect();
    // Writing to a `String` cannot fail.
    let _ = writeln!(text, "entity {name} enum [{}];", quoted.join(", "));
}

/// Everything a set of quorums implies: `g:2` is also `g:1`, `any:2` and `any:1`.
pub(super) fn implied(quorums: &BTreeSet<Quorum>) -> BTreeSet<Quorum> {
    let mut highest: BTreeMap<&str, u8> = BTreeMap::new();
    for quorum in quorums {
        for group in [quorum.group.as_str(), ANY] {
            let count = highest.entry(group).or_insert(0);
            *count = quorum.count.max(*count);
        }
    }
    let up_to = |(group, count): (&str, u8)| {
        let group = group.to_owned();
        (1..=count).map(move |count| Quorum { group: group.clone(), count })
    };
    highest.into_iter().flat_map(up_to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(groups: &[&str], quorum_max: u8, expected: Result<(), VocabularyError>) {
        let groups = groups.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(Vocabulary::new(groups, quorum_max).map(drop), expected);
    }

    #[test]
    fn names_are_checked() {
        check(&["dba", "Release Managers", "équipe:prod"], 9, Ok(()));
        check(&[], 5, Err(VocabularyError::NoGroups));
        check(&["dba"], 0, Err(VocabularyError::QuorumMax(0)));
        check(&["dba"], 10, Err(VocabularyError::QuorumMax(10)));
        for wrong in ["any", "", " dba", "a\"b", "a\\b", "a\nb", &"x".repeat(65)] {
            check(&[wrong], 5, Err(VocabularyError::GroupName(wrong.to_owned())));
        }
    }

    #[test]
    fn a_larger_quorum_implies_the_smaller() {
        let quorum = |text: &str| Quorum::try_from(text.to_owned()).expect("well formed");
        let all = implied(&[quorum("dba:2"), quorum("sre:1")].into());
        assert_eq!(all, ["dba:1", "dba:2", "sre:1", "any:1", "any:2"].map(quorum).into());
    }
}
