//! Which parts of a value look like secrets or personal data, and of what kind.
//!
//! Every rule is a public format: a prefix that an issuer documents, a grammar of a standard, a check digit. What has a
//! check digit is believed only with it. What has no format at all, such as names, is known by the column it stands in
//! ([`columns`]) or, in JSON, by its key. Time is linear in the value's length: no rule backtracks.

mod checks;
mod columns;
mod entropy;
mod keyed;
mod personal;
mod secrets;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

pub(super) use columns::kind_of as column_kind;

/// The longest value that is looked into; a longer one is hidden as a whole.
pub(super) const VALUE_BYTES_MAX: usize = 256 * 1024;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)*) => {
        /// What a hidden value looks like.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind {
            $($(#[$doc])* $variant,)*
        }

        impl Kind {
            /// Every kind there is.
            pub const ALL: &[Kind] = &[$(Kind::$variant,)*];

            /// Its name in placeholders, configuration and documentation.
            pub fn name(self) -> &'static str {
                match self {
                    $(Kind::$variant => $name,)*
                }
            }
        }
    };
}

kinds! {
    /// A key or token of a known issuer, or something that looks as random as one.
    Secret => "secret",
    /// A private key in PEM, or of age.
    PrivateKey => "private key",
    /// A JSON Web Token.
    Token => "token",
    /// A password in an address, an assignment or a connection string, or its hash.
    Password => "password",
    /// An address for mail.
    Email => "email",
    /// A telephone number.
    Phone => "phone",
    /// A payment card's number.
    Card => "card number",
    /// An international bank account number.
    Iban => "iban",
    /// A number by which a state knows a person.
    NationalId => "national id",
    /// A person's name; known by its column alone.
    Name => "name",
    /// A day of birth; known by its column alone.
    BirthDate => "birth date",
    /// A postal address; known by its column alone.
    Address => "address",
    /// An account number that has no check digits; known by its column alone.
    Account => "account",
    /// More than is looked into.
    LongValue => "long value",
}

/// A part of a value that must not be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found<'r> {
    /// Its bytes.
    pub(super) range: Range<usize>,
    /// What it is called in its placeholder.
    pub(super) label: &'r str,
}

/// Parts of one value, none of which overlaps another.
#[derive(Debug, Default)]
pub(super) struct Parts<'r>(BTreeMap<usize, (usize, &'r str)>);

impl<'r> Parts<'r> {
    /// Of parts that overlap, the one that was found first counts.
    pub(super) fn add(&mut self, range: Range<usize>, label: &'r str) {
        let before = self.0.range(..range.end).next_back();
        if !range.is_empty() && before.is_none_or(|(_, (end, _))| *end <= range.start) {
            self.0.insert(range.start, (range.end, label));
        }
    }

    /// In order.
    pub(super) fn in_order(self) -> Vec<Found<'r>> {
        self.0.into_iter().map(|(start, (end, label))| Found { range: start..end, label }).collect()
    }
}

/// What a value must have for a pattern to be asked at all: most values have none of it, and are done with quickly.
#[derive(Clone, Copy)]
enum Hint {
    /// This text.
    Text(&'static str),
    /// One of these words, in lower or upper case.
    Words(&'static [&'static str]),
    /// So many digits, wherever they stand.
    Digits(usize),
}

/// What is asked of a value once, for every hint.
struct Look<'a> {
    value: &'a str,
    lower: String,
    digits: usize,
}

impl<'a> Look<'a> {
    fn at(value: &'a str) -> Self {
        let digits = value.bytes().filter(u8::is_ascii_digit).count();
        Self { value, lower: value.to_ascii_lowercase(), digits }
    }

    fn has(&self, hint: Hint) -> bool {
        match hint {
            Hint::Text(text) => self.value.contains(text),
            Hint::Words(words) => words.iter().any(|word| self.lower.contains(word)),
            Hint::Digits(count) => self.digits >= count,
        }
    }
}

/// One format. What is hidden is the first group of the pattern, or all of it where it has none.
struct Rule {
    kind: Kind,
    hint: Hint,
    pattern: &'static str,
    /// Whether what matched is one.
    holds: fn(&str) -> bool,
}

/// A rule, ready to use.
struct Compiled {
    kind: Kind,
    hint: Hint,
    pattern: Regex,
    holds: fn(&str) -> bool,
}

/// The rules, those first that are surer of themselves; nothing where one of them cannot be used.
static RULES: LazyLock<Option<Vec<Compiled>>> = LazyLock::new(|| {
    let compiled = |&Rule { kind, hint, pattern, holds }: &Rule| {
        Some(Compiled { kind, hint, pattern: Regex::new(pattern).ok()?, holds })
    };
    secrets::RULES.iter().chain(personal::RULES).map(compiled).collect()
});

/// Adds the parts of a value that must not be shown. Should the rules be unusable, that is all of it.
pub(super) fn find(value: &str, shown: &BTreeSet<Kind>, found: &mut Parts<'_>) {
    let Some(rules) = RULES.as_ref().filter(|_| value.len() <= VALUE_BYTES_MAX && keyed::is_usable()) else {
        *found = Parts::default();
        return found.add(0..value.len(), Kind::LongValue.name());
    };
    let look = Look::at(value);
    for Compiled { kind, hint, pattern, holds } in rules {
        if shown.contains(kind) || !look.has(*hint) {
            continue;
        }
        for groups in pattern.captures_iter(value) {
            if let Some(part) = groups.get(1).or_else(|| groups.get(0))
                && holds(part.as_str())
            {
                found.add(part.range(), kind.name());
            }
        }
    }
    for (range, kind) in keyed::members(value).into_iter().filter(|(_, kind)| !shown.contains(kind)) {
        found.add(range, kind.name());
    }
    if !shown.contains(&Kind::Secret) {
        entropy::random_words(value).into_iter().for_each(|range| found.add(range, Kind::Secret.name()));
    }
}

fn always(_: &str) -> bool {
    true
}
