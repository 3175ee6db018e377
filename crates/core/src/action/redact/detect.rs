//! Which values look like secrets or personal data, and of what kind.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

/// What a hidden value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
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
    pub(super) fn name(self) -> &'static str {
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

/// What a value looks like; `None` when it may be shown.
pub(super) fn classify(value: &str) -> Option<Kind> {
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
}
