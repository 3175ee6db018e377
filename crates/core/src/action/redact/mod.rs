//! What of a statement may be shown: values that look like secrets or personal data become typed placeholders.
//!
//! The protocol finds the values and says where they stand (it has the real grammar); this module says which of them must
//! not be shown and what stands in their place. Equal values get equal placeholders within one card, so that a reviewer
//! sees equality without seeing the value. What is hidden and would be written, or decides what is touched, has to be
//! revealed or compared before anybody approves it ([`Hidden::is_decisive`]): redaction must not hide the attack.
//! Pure; nothing here logs or keeps what it hides. [`Values`] holds it for whoever seals it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

mod detect;
mod hidden;
mod marks;
mod rules;

pub use detect::Kind;
pub use hidden::{Hidden, Place, Position, Values};
pub use rules::{COLUMNS_MAX, PATTERN_BYTES_MAX, PATTERNS_MAX, Pattern, Redaction, Rules, RulesError};

use detect::Found;
use marks::Marks;

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
    /// Where it stands.
    pub place: Place,
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
    /// What changes in a definition that stands now and would be replaced, line by line: `- ` goes, `+ ` comes, `  ` stays,
    /// `==` counts what is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<String>,
    /// Settings of the session that are part of the action's meaning, by name, redacted likewise.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// What stands behind the placeholders, one entry for each value, in the order in which they were met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<Hidden>,
    /// Whether the requester's own words, in any text of the card, have the marks of a placeholder.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub imitated: bool,
}

impl Shown {
    /// The hidden values that nobody may approve without having looked at them.
    pub fn decisive(&self) -> impl Iterator<Item = &Hidden> {
        self.hidden.iter().filter(|hidden| hidden.is_decisive())
    }
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

/// What a card shows, and what it hides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redacted {
    /// For the card.
    pub shown: Shown,
    /// The requester's stated reason, redacted with the same placeholders.
    pub reason: Option<String>,
    /// What stands behind the placeholders: never stored, shown or logged but sealed.
    pub values: Values,
}

impl From<Shown> for Redacted {
    /// Something that hides nothing.
    fn from(shown: Shown) -> Self {
        Self { shown, ..Self::default() }
    }
}

/// Replaces what must not be shown on one card, text by text: a value that comes again gets the same placeholder.
#[derive(Debug, Default)]
pub struct Redactor<'r> {
    /// A target's own; without them those that hold for every target.
    rules: Option<&'r Rules>,
    marks: Marks,
    redacted: usize,
    /// What stays as it was has the marks of a placeholder.
    imitated: bool,
}

/// What holds where no target says otherwise.
static RULES: LazyLock<Rules> = LazyLock::new(Rules::default);

impl<'r> Redactor<'r> {
    /// By the rules of a target.
    pub fn new(rules: &'r Rules) -> Self {
        Self { rules: Some(rules), ..Self::default() }
    }

    /// A text with its literals. Returns what may be shown, and how many bytes of it are cut off.
    ///
    /// Literals outside `text` or overlapping an earlier one hide the whole of it: a describer that is wrong about
    /// positions must not leak.
    pub fn text(&mut self, text: &str, literals: &[Literal]) -> (String, usize) {
        let body = self.replaced(text, literals).unwrap_or_else(|| self.whole(text));
        cut(body)
    }

    /// One value, such as a bind parameter.
    pub fn value(&mut self, value: &str, place: &Place) -> String {
        let found = self.found(value, place);
        match self.whole_kind(value, &found, place) {
            Some(label) => self.hide(label, value, place),
            None => self.parts(value, &found, place),
        }
    }

    /// Settings of a session, by name. The last part of `app.password` tells what its value is, as a column's name does.
    pub fn settings(&mut self, settings: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let show = |(name, value): (&String, &String)| {
            let place = Place { position: Position::Setting, column: Some(name.clone()) };
            (name.clone(), self.value(value, &place))
        };
        settings.iter().map(show).collect()
    }

    /// Free text, such as a stated reason.
    pub fn words(&mut self, text: &str) -> String {
        let place = Place::of(Position::Remark);
        self.parts(text, &self.found(text, &place), &place)
    }

    /// How many values were replaced so far.
    pub fn redacted(&self) -> usize {
        self.redacted
    }

    /// Adds what was hidden to what is shown.
    pub fn finish(self, shown: Shown) -> Redacted {
        let (hidden, values) = self.marks.finish();
        Redacted {
            shown: Shown { redacted: self.redacted, imitated: self.imitated, hidden, ..shown },
            reason: None,
            values,
        }
    }

    /// A whole text that cannot be shown, under a placeholder of its own.
    pub fn whole(&mut self, text: &str) -> String {
        self.hide("hidden statement", text, &Place::default())
    }

    fn replaced(&mut self, text: &str, literals: &[Literal]) -> Option<String> {
        in_order(text, literals)?;
        let mut body = String::with_capacity(text.len());
        let mut at = 0;
        for literal in literals {
            body.push_str(self.kept(text.get(at..literal.start)?));
            body.push_str(&self.literal(text.get(literal.start..literal.end)?, literal));
            at = literal.end;
        }
        body.push_str(self.kept(text.get(at..)?));
        Some(body)
    }

    /// A literal as it is written. Where its value does not stand in it letter by letter, all of it is hidden or nothing.
    fn literal(&mut self, raw: &str, literal: &Literal) -> String {
        let Literal { value, place, .. } = literal;
        let found = self.found(value, place);
        let whole = self.whole_kind(value, &found, place).or(literal.secret.then(|| Kind::Secret.name()));
        if let Some(label) = whole {
            return self.hide(label, value, place);
        }
        let Some(first) = found.first() else { return self.kept(raw).to_owned() };
        // SQL writes a quote in a text twice
        let doubled = value.replace('\'', "''");
        for written in [value.as_str(), doubled.as_str()] {
            if let Some((before, after)) = raw.split_once(written) {
                let shown = self.parts(written, &self.found(written, place), place);
                return format!("{}{shown}{}", self.kept(before), self.kept(after));
            }
        }
        self.hide(first.label, value, place)
    }

    /// What all of a value is, by what it looks like or by its column.
    fn whole_kind(&self, value: &str, found: &[Found<'r>], place: &Place) -> Option<&'r str> {
        let all = found.iter().find(|found| found.range == (0..value.len())).map(|found| found.label);
        let column = place.column.as_deref().filter(|column| !self.rules().shows(column) && !value.is_empty());
        all.or_else(|| self.rules().of_column(column?))
    }

    fn parts(&mut self, text: &str, found: &[Found<'r>], place: &Place) -> String {
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for part in found {
            out.push_str(self.kept(&text[at..part.range.start]));
            out.push_str(&self.hide(part.label, &text[part.range.clone()], place));
            at = part.range.end;
        }
        out.push_str(self.kept(&text[at..]));
        out
    }

    /// What is not hidden; noted if it could be taken for a placeholder.
    fn kept<'t>(&mut self, text: &'t str) -> &'t str {
        self.imitated |= text.contains(['‹', '›']);
        text
    }

    fn found(&self, value: &str, place: &Place) -> Vec<Found<'r>> {
        match &place.column {
            Some(column) if self.rules().shows(column) => Vec::new(),
            _ => self.rules().find(value),
        }
    }

    fn rules(&self) -> &'r Rules {
        self.rules.unwrap_or(&RULES)
    }

    fn hide(&mut self, kind: &str, value: &str, place: &Place) -> String {
        self.redacted += 1;
        format!("‹{}›", self.marks.mark(kind, value, place))
    }
}

/// Whether literals lie in a text, one after the other.
fn in_order(text: &str, literals: &[Literal]) -> Option<()> {
    let mut at = 0;
    for literal in literals {
        text.get(at..literal.start)?;
        text.get(literal.start..literal.end)?;
        at = literal.end;
    }
    Some(())
}

/// Redacts a statement that stands alone, with parameters that stand anywhere.
pub fn redact(text: &str, literals: &[Literal], parameters: &[Option<String>]) -> Redacted {
    let mut redactor = Redactor::default();
    let (text, cut_bytes) = redactor.text(text, literals);
    let anywhere = Place::default();
    let parameters =
        parameters.iter().map(|value| value.as_deref().map(|value| redactor.value(value, &anywhere))).collect();
    redactor.finish(Shown { text, cut_bytes, parameters, ..Shown::default() })
}

/// Replaces words that look like secrets or personal data in free text that stands on no card.
pub fn words(text: &str) -> String {
    Redactor::default().words(text)
}

fn cut(body: String) -> (String, usize) {
    if body.len() <= SHOWN_BYTES_MAX {
        return (body, 0);
    }
    let end = (0..=SHOWN_BYTES_MAX).rev().find(|at| body.is_char_boundary(*at)).unwrap_or(0);
    let cut_bytes = body.len() - end;
    (body[..end].to_owned(), cut_bytes)
}

#[cfg(test)]
mod tests;
