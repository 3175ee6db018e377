//! Counting leaves by their `kind`, for the report.
//!
//! A leaf is untrusted bytes here: anything but a JSON object with a string `kind` is counted apart, and so are kinds
//! beyond a bound.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

/// Kinds counted by name, at most.
const KINDS_MAX: usize = 256;
/// Bytes of a kind counted by name, at most.
const KIND_BYTES_MAX: usize = 64;

#[derive(Deserialize)]
struct Kinded<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

#[derive(Debug, Default)]
pub(super) struct Census {
    kinds: BTreeMap<String, u64>,
    other: u64,
}

/// The kinds that are looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Enrolment,
    Vote,
    BrokenGlass,
    Other,
}

impl Kind {
    fn of(name: &str) -> Self {
        match name {
            "identity.enrolled" => Self::Enrolment,
            "review.vote" => Self::Vote,
            "review.glass_broken" => Self::BrokenGlass,
            _ => Self::Other,
        }
    }
}

impl Census {
    pub(super) fn count(&mut self, leaf: &[u8]) -> Kind {
        let is_object = leaf.first() == Some(&b'{');
        let kind = serde_json::from_slice::<Kinded<'_>>(leaf).ok().filter(|_| is_object).map(|leaf| leaf.kind);
        let Some(kind) = kind.filter(|kind| kind.len() <= KIND_BYTES_MAX) else {
            self.other += 1;
            return Kind::Other;
        };
        let found = Kind::of(&kind);
        if let Some(count) = self.kinds.get_mut(kind.as_ref()) {
            *count += 1;
        } else if self.kinds.len() < KINDS_MAX {
            self.kinds.insert(kind.into_owned(), 1);
        } else {
            self.other += 1;
        }
        found
    }

    pub(super) fn other(&self) -> u64 {
        self.other
    }

    pub(super) fn into_kinds(self) -> BTreeMap<String, u64> {
        self.kinds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_with_a_kind_are_named() {
        let mut census = Census::default();
        let leaves = [
            r#"{"at":1,"kind":"action.intent"}"#,
            r#"{"kind":"action.intent","x":{"kind":"no"}}"#,
            r#"["action.intent"]"#,
            r#"{"kind":1}"#,
            r#"{"kind":"a","kind":"b"}"#,
            "plain",
            "",
        ];
        leaves.iter().for_each(|leaf| assert_eq!(census.count(leaf.as_bytes()), Kind::Other));
        census.count(format!(r#"{{"kind":"{}"}}"#, "k".repeat(KIND_BYTES_MAX + 1)).as_bytes());
        assert_eq!((census.other(), census.into_kinds()), (6, BTreeMap::from([("action.intent".to_owned(), 2)])));
    }

    #[test]
    fn kinds_are_bounded() {
        let mut census = Census::default();
        for n in 0..KINDS_MAX + 5 {
            census.count(format!(r#"{{"kind":"k{n}"}}"#).as_bytes());
        }
        assert_eq!((census.other(), census.into_kinds().len()), (5, KINDS_MAX));
    }
}
