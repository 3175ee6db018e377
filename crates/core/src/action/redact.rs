//! What of a statement may be shown: literals that look like secrets or personal data become typed placeholders.
//!
//! The protocol finds the literals (it has the real lexer); this module says which of them must not be shown and what
//! stands in their place. Equal values get equal placeholders within one statement, so that a reviewer sees equality
//! without seeing the value. Pure; nothing here logs or keeps what it hides.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

/// The most bytes of a statement that a card shows; the rest is counted, and hashed with the whole.
pub const SHOWN_BYTES_MAX: usize = 16 * 1024;

/// A literal in a statement: a byte range and its value without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// The value the server would read.
    pub value: String,
    /// Whether it must be hidden whatever it looks like.
    pub secret: bool,
}

/// A statement as a card shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The text with placeholders such as `‹email 1›`.
    pub text: String,
    /// How many literals were replaced.
    pub redacted: usize,
    /// How many bytes of the statement are not shown at all.
    pub cut_bytes: usize,
    /// Bind parameters, in order, redacted likewise; `None` is NULL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Option<String>>,
    /// The data that comes with the statement, such as that of a `COPY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<ShownStream>,
}

/// A stream of data as a card shows it: all of it by length and hash, its beginning in words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownStream {
    /// How many bytes it has.
    pub bytes: u64,
    /// How many rows it holds; absent where its format does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: String,
    /// Its first rows, one a line, redacted like a statement.
    pub sample: String,
    /// How many values of the sample were replaced.
    pub redacted: usize,
    /// How many bytes of the stream are not in the sample.
    pub cut_bytes: u64,
}

/// Replaces what must not be shown.
///
/// Literals outside `text` or overlapping an earlier one are ignored, except that then the whole statement is hidden:
/// a describer that is wrong about positions must not leak.
pub fn redact(text: &str, literals: &[Literal], parameters: &[Option<String>]) -> Shown {
    let mut names = Names::default();
    let (body, redacted) = replace(text, literals, &mut names).unwrap_or_else(|| ("‹statement hidden›".to_owned(), 1));
    let (body, cut_bytes) = cut(body);
    let mut hidden = redacted;
    let parameters = parameters
        .iter()
        .map(|value| {
            let value = value.as_deref()?;
            Some(classify(value).map_or_else(
                || value.to_owned(),
                |kind| {
                    hidden += 1;
                    names.placeholder(kind, value)
                },
            ))
        })
        .collect();
    Shown { text: body, redacted: hidden, cut_bytes, parameters, stream: None }
}

/// Replaces words that look like secrets or personal data in free text, such as a stated reason.
pub fn words(text: &str) -> String {
    let mut names = Names::default();
    let hidden = |word: &str, names: &mut Names| match classify(word) {
        Some(kind) => names.placeholder(kind, word),
        None => word.to_owned(),
    };
    text.split(' ').map(|word| hidden(word, &mut names)).collect::<Vec<_>>().join(" ")
}

fn replace(text: &str, literals: &[Literal], names: &mut Names) -> Option<(String, usize)> {
    let mut body = String::with_capacity(text.len());
    let (mut at, mut redacted) = (0, 0);
    for literal in literals {
        if literal.start < at {
            return None;
        }
        let before = text.get(at..literal.start)?;
        let raw = text.get(literal.start..literal.end)?;
        body.push_str(before);
        match classify(&literal.value).or(literal.secret.then_some(Kind::Secret)) {
            Some(kind) => {
                redacted += 1;
                body.push_str(&names.placeholder(kind, &literal.value));
            }
            None => body.push_str(raw),
        }
        at = literal.end;
    }
    body.push_str(text.get(at..)?);
    Some((body, redacted))
}

fn cut(body: String) -> (String, usize) {
    if body.len() <= SHOWN_BYTES_MAX {
        return (body, 0);
    }
    let end = (0..=SHOWN_BYTES_MAX).rev().find(|at| body.is_char_boundary(*at)).unwrap_or(0);
    let cut_bytes = body.len() - end;
    (body[..end].to_owned(), cut_bytes)
}

/// Placeholders given out so far: the same value gets the same one.
#[derive(Default)]
struct Names {
    by_value: BTreeMap<(Kind, String), usize>,
    count: BTreeMap<Kind, usize>,
}

impl Names {
    fn placeholder(&mut self, kind: Kind, value: &str) -> String {
        let key = (kind, value.to_owned());
        let number = match self.by_value.get(&key) {
            Some(number) => *number,
            None => {
                let next = self.count.entry(kind).or_insert(0);
                *next += 1;
                self.by_value.insert(key, *next);
                *next
            }
        };
        format!("‹{} {number}›", kind.name())
    }
}

/// What a hidden value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Secret,
    PrivateKey,
    Jwt,
    Url,
    Email,
    Card,
    Iban,
    Phone,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Secret => "secret",
            Kind::PrivateKey => "private key",
            Kind::Jwt => "token",
            Kind::Url => "url with password",
            Kind::Email => "email",
            Kind::Card => "card number",
            Kind::Iban => "iban",
            Kind::Phone => "phone",
        }
    }
}

/// The patterns, first match wins. They see one literal's value at a time, never the statement's grammar.
static PATTERNS: LazyLock<Vec<(Kind, Regex)>> = LazyLock::new(|| {
    [
        (Kind::PrivateKey, r"-----BEGIN [A-Z ]*PRIVATE KEY"),
        (Kind::Jwt, r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
        (Kind::Url, r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s:@]*:[^/\s@]+@"),
        (Kind::Secret, r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"),
        (Kind::Secret, r"\b(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,})"),
        (Kind::Secret, r"\b(xox[abposr]-[A-Za-z0-9-]{10,}|sk-[A-Za-z0-9_-]{16,}|[sr]k_(live|test)_[A-Za-z0-9]{10,})"),
        (
            Kind::Secret,
            r"\b(AIza[0-9A-Za-z_-]{30,}|ya29\.[0-9A-Za-z_-]{20,}|npm_[A-Za-z0-9]{30,}|hvs\.[A-Za-z0-9_-]{20,})",
        ),
        (Kind::Secret, r"^(SCRAM-SHA-256\$|md5[0-9a-f]{32}$|\$2[abxy]\$\d\d\$|\$argon2)"),
        (Kind::Secret, r"(?i)\b(password|passwd|secret|token|api[_-]?key)\s*[=:]\s*\S+"),
        (Kind::Email, r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+"),
        (Kind::Iban, r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"),
        (Kind::Phone, r"(^|[^\w.])\+\d[\d ()./-]{7,17}\d\b"),
    ]
    .into_iter()
    .filter_map(|(kind, pattern)| Some((kind, Regex::new(pattern).ok()?)))
    .collect()
});

fn classify(value: &str) -> Option<Kind> {
    let found = PATTERNS.iter().find(|(_, pattern)| pattern.is_match(value)).map(|(kind, _)| *kind);
    found.or_else(|| card_number(value).then_some(Kind::Card)).or_else(|| random_looking(value).then_some(Kind::Secret))
}

/// 13 to 19 digits, perhaps in groups, that satisfy Luhn's check (ISO/IEC 7812-1).
fn card_number(value: &str) -> bool {
    let digits: Vec<u32> = value.chars().filter_map(|c| c.to_digit(10)).collect();
    let grouped = value.chars().all(|c| c.is_ascii_digit() || c == ' ' || c == '-');
    if !grouped || !(13..=19).contains(&digits.len()) {
        return false;
    }
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2 == 1, digit * 2) {
            (false, _) => *digit,
            (true, double) if double > 9 => double - 9,
            (true, double) => double,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// The shortest word whose randomness is judged.
const RANDOM_CHARS_MIN: usize = 20;

/// One long word of mixed letters and digits with the entropy of a generated key. UUIDs are names, not secrets.
fn random_looking(value: &str) -> bool {
    let word = value.trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "+/=_-.".contains(c);
    let mixed = word.chars().any(|c| c.is_ascii_digit()) && word.chars().any(|c| c.is_ascii_alphabetic());
    if word.len() < RANDOM_CHARS_MIN || !word.chars().all(allowed) || !mixed || is_uuid(word) {
        return false;
    }
    entropy_bits_per_char(word) >= 3.7
}

fn is_uuid(word: &str) -> bool {
    word.len() == 36
        && word.char_indices().all(|(at, c)| match at {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        })
}

fn entropy_bits_per_char(word: &str) -> f64 {
    let mut counts: BTreeMap<char, u32> = BTreeMap::new();
    for c in word.chars() {
        *counts.entry(c).or_insert(0) += 1;
    }
    let total = f64::from(u32::try_from(word.chars().count()).unwrap_or(u32::MAX));
    counts.values().map(|n| f64::from(*n) / total).map(|p| -p * p.log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: Option<Kind>) {
        assert_eq!(classify(value), expected, "{value}");
    }

    #[test]
    fn secrets_and_personal_data_are_recognised() {
        assert_eq!(PATTERNS.len(), 12, "every pattern compiles");
        check("ada@example.org", Some(Kind::Email));
        check("4111 1111 1111 1111", Some(Kind::Card));
        check("DE89 3704 0044 0532 0130 00", Some(Kind::Iban));
        check("+49 30 1234567", Some(Kind::Phone));
        check("AKIAIOSFODNN7EXAMPLE", Some(Kind::Secret));
        check("postgres://app:hunter2@db/orders", Some(Kind::Url));
        check("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", Some(Kind::Jwt));
        check("q8Zt1xVb93LmWc07RkPyDs5u", Some(Kind::Secret));
    }

    #[test]
    fn ordinary_values_stay() {
        for value in ["paid", "2026-11-21", "42", "4111 1111 1111 1112", "order shipped to warehouse seven"] {
            check(value, None);
        }
        check("0190f3a2-7b1c-7def-8000-0123456789ab", None);
    }

    #[test]
    fn equal_values_get_equal_placeholders() {
        let text = "SELECT 'a@b.io', 'c@d.io', 'a@b.io'";
        let literals: Vec<Literal> = [(7, 15, "a@b.io"), (17, 25, "c@d.io"), (27, 35, "a@b.io")]
            .map(|(start, end, value)| Literal { start, end, value: value.to_owned(), secret: false })
            .to_vec();
        let shown = redact(text, &literals, &[Some("a@b.io".to_owned()), None, Some("7".to_owned())]);
        assert_eq!(shown.text, "SELECT ‹email 1›, ‹email 2›, ‹email 1›");
        assert_eq!(shown.parameters, [Some("‹email 1›".to_owned()), None, Some("7".to_owned())]);
        assert_eq!(shown.redacted, 4);
    }

    #[test]
    fn free_text_is_looked_at_word_by_word() {
        assert_eq!(words("password=hunter4 for ada@example.org"), "‹secret 1› for ‹email 1›");
        assert_eq!(words("fix ticket 7"), "fix ticket 7");
    }

    #[test]
    fn wrong_positions_hide_everything() {
        let wrong = [Literal { start: 3, end: 999, value: "x".to_owned(), secret: false }];
        assert_eq!(redact("SELECT 1", &wrong, &[]).text, "‹statement hidden›");
    }

    #[test]
    fn what_is_cut_is_counted() {
        let shown = redact(&"é".repeat(SHOWN_BYTES_MAX), &[], &[]);
        assert_eq!(shown.text.len() + shown.cut_bytes, 2 * SHOWN_BYTES_MAX);
    }
}
