//! What a document does not say: which of its operations change rights, hand out credentials or run code.
//!
//! A small file beside the document, in TOML. Rules are asked in order, the last that means an operation counts:
//!
//! ```toml
//! [[class]]
//! class = "admin"
//! operations = ["repos/update-branch-protection"]   # ids, `*` stands for anything
//! paths = ["/orgs/*/members/*"]                     # templates as the document writes them
//! tags = ["security"]
//! methods = ["PUT"]                                 # else all; for write, exec and admin all but the safe ones
//! ```
//!
//! `[spans]` names parameters that stand for several segments, by template; `[methods]` names methods that the server takes for
//! another. Deliberately absent: conditions on values; those are policy's.

use std::collections::{BTreeMap, BTreeSet};

use countersign_core::action::request::RequestClass;
use serde::Deserialize;

/// The most rules of one file.
pub const RULES_MAX: usize = 1_000;

/// Rules that give operations their class.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classes {
    #[serde(default, rename = "class")]
    rules: Vec<Rule>,
    #[serde(default)]
    spans: BTreeMap<String, BTreeSet<String>>,
    #[serde(default)]
    pub(super) methods: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    class: RequestClass,
    #[serde(default)]
    operations: Vec<String>,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    methods: Vec<String>,
}

/// Why a file of classes cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NotClasses {
    /// It is no TOML of this shape.
    #[error("reading the classes of operations")]
    Malformed(#[source] toml::de::Error),
    /// There are more than [`RULES_MAX`].
    #[error("there are more than {RULES_MAX} rules")]
    TooMany,
}

/// An operation, as far as rules ask.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) id: &'a str,
    pub(super) path: &'a str,
    /// Empty for every method.
    pub(super) method: &'a str,
    pub(super) tags: &'a BTreeSet<String>,
}

impl Classes {
    /// Reads a file.
    ///
    /// # Errors
    /// [`NotClasses`].
    pub fn parse(text: &str) -> Result<Self, NotClasses> {
        let classes: Self = toml::from_str(text).map_err(NotClasses::Malformed)?;
        if classes.rules.len() > RULES_MAX {
            return Err(NotClasses::TooMany);
        }
        Ok(classes)
    }

    /// The class of an operation, where a rule gives one.
    pub(super) fn class(&self, asked: &Asked<'_>) -> Option<RequestClass> {
        self.rules.iter().rev().find(|rule| rule.means(asked)).map(|rule| rule.class)
    }

    /// Whether a parameter stands for several segments.
    pub(super) fn spans(&self, path: &str, name: &str) -> bool {
        self.spans.get(path).is_some_and(|names| names.contains(name))
    }

    /// Names in rules that mean none of these operations: the document is another than the rules were written for.
    pub(super) fn unmatched<'a>(&self, operations: impl Iterator<Item = Asked<'a>>) -> Vec<String> {
        let operations: Vec<_> = operations.collect();
        let nowhere = |holds: &dyn Fn(&Asked<'_>) -> bool| !operations.iter().any(holds);
        let mut unmatched = Vec::new();
        for rule in &self.rules {
            unmatched.extend(rule.operations.iter().filter(|glob| nowhere(&|asked| matches(glob, asked.id))).cloned());
            unmatched.extend(rule.paths.iter().filter(|glob| nowhere(&|asked| matches(glob, asked.path))).cloned());
            unmatched.extend(rule.tags.iter().filter(|tag| nowhere(&|asked| asked.tags.contains(*tag))).cloned());
        }
        unmatched.extend(self.spans.keys().filter(|path| nowhere(&|asked| asked.path == *path)).cloned());
        unmatched
    }
}

impl Rule {
    fn means(&self, asked: &Asked<'_>) -> bool {
        let named = self.operations.iter().any(|glob| matches(glob, asked.id))
            || self.paths.iter().any(|glob| matches(glob, asked.path))
            || self.tags.iter().any(|tag| asked.tags.contains(tag));
        named && self.method(asked.method)
    }

    fn method(&self, method: &str) -> bool {
        if !self.methods.is_empty() {
            return self.methods.iter().any(|own| own == method);
        }
        let safe = matches!(method, "GET" | "HEAD" | "OPTIONS");
        match self.class {
            RequestClass::Read | RequestClass::Reveal | RequestClass::Opaque => true,
            RequestClass::Write | RequestClass::Exec | RequestClass::Admin => !safe,
        }
    }
}

/// A class by its name.
pub(super) fn class(name: &str) -> Option<RequestClass> {
    use RequestClass::{Admin, Exec, Opaque, Read, Reveal, Write};
    [Read, Write, Exec, Reveal, Admin, Opaque].into_iter().find(|class| class.name() == name)
}

/// Whether a text is of a glob, in which `*` stands for any text; braces of templates are plain letters.
fn matches(glob: &str, text: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rules: &str, id: &str, path: &str, method: &str, expected: Option<RequestClass>) {
        let classes = Classes::parse(rules).expect("rules");
        let tags = BTreeSet::from(["t".to_owned()]);
        assert_eq!(classes.class(&Asked { id, path, method, tags: &tags }), expected, "{rules} {id} {method} {path}");
    }

    #[test]
    fn the_last_rule_counts() {
        let rules = "[[class]]\nclass = \"admin\"\noperations = [\"orgs/*\"]\n\
                     [[class]]\nclass = \"write\"\noperations = [\"orgs/set-*-note\"]\n\
                     [[class]]\nclass = \"reveal\"\npaths = [\"/orgs/{org}/*token\"]\n\
                     [[class]]\nclass = \"exec\"\ntags = [\"t\"]\nmethods = [\"PATCH\"]\n";
        check(rules, "orgs/remove-member", "/", "DELETE", Some(RequestClass::Admin));
        check(rules, "orgs/list-members", "/", "GET", None);
        check(rules, "orgs/set-a-note", "/", "PUT", Some(RequestClass::Write));
        check(rules, "x", "/orgs/{org}/a/token", "GET", Some(RequestClass::Reveal));
        check(rules, "x", "/", "PATCH", Some(RequestClass::Exec));
        check(rules, "repos/get", "/", "POST", None);
    }

    #[test]
    fn a_glob_is_of_the_whole_text() {
        for (glob, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("a*a", "a", false),
            ("a*b*c", "abbc", true),
            ("a*b*c", "acb", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(glob, text), expected, "{glob} {text}");
        }
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in ["[[class]]\nclass = \"root\"", "[[class]]\nclass = \"read\"\nx = 1", "[["] {
            assert!(Classes::parse(text).is_err(), "{text}");
        }
    }
}
