//! Values in JSON that their key tells, as a column does.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::{Kind, column_kind};

/// A member whose value is a string or a number (RFC 8259, section 4), and the same inside a string of JSON.
const MEMBERS: [&str; 2] = [
    r#""([A-Za-z][A-Za-z0-9_-]{1,39})"\s{0,3}:\s{0,3}(?:"((?:[^"\\]|\\.)*)"|(-?[0-9][0-9.]*))"#,
    r#"\\"([A-Za-z][A-Za-z0-9_-]{1,39})\\"\s{0,3}:\s{0,3}(?:\\"([^"\\]*)\\"|(-?[0-9][0-9.]*))"#,
];

static PATTERNS: LazyLock<Vec<Regex>> =
    LazyLock::new(|| MEMBERS.iter().filter_map(|member| Regex::new(member).ok()).collect());

/// The values of members whose key is known to hold secrets or personal data.
pub(super) fn members(text: &str) -> Vec<(Range<usize>, Kind)> {
    if !text.contains("\":") && !text.contains("\" :") {
        return Vec::new();
    }
    let known = PATTERNS.iter().flat_map(|member| member.captures_iter(text)).filter_map(|groups| {
        let kind = column_kind(groups.get(1)?.as_str())?;
        Some((groups.get(2).or_else(|| groups.get(3))?.range(), kind))
    });
    known.collect()
}

/// Whether every pattern can be used.
pub(super) fn is_usable() -> bool {
    PATTERNS.len() == MEMBERS.len()
}
