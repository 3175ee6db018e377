//! A tree as text, like YAML: for eyes, not for parsers.
//!
//! Every text goes through the redactor with the key that it belongs to. What is ours stands in parentheses without quotes,
//! and no text of the requester's can look like it.

use countersign_core::action::redact::{Place, Position, Redactor};

use super::value::Value;

/// Deeper levels are not indented further.
const INDENT_LEVELS_MAX: usize = 40;

/// Writes trees.
pub(super) struct Pretty<'a, 'r> {
    redactor: &'a mut Redactor<'r>,
    out: String,
}

impl<'a, 'r> Pretty<'a, 'r> {
    pub(super) fn new(redactor: &'a mut Redactor<'r>) -> Self {
        Self { redactor, out: String::new() }
    }

    /// What was written.
    pub(super) fn finish(self) -> String {
        self.out
    }

    /// A line of ours.
    pub(super) fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    /// A line of ours that ends with a text of the requester's.
    pub(super) fn said(&mut self, lead: &str, text: &str, column: Option<&str>) {
        self.out.push_str(lead);
        self.text(text, column, 0);
    }

    /// A tree at the margin.
    pub(super) fn tree(&mut self, value: &Value) {
        match value {
            Value::Map(members) if !members.is_empty() => self.members(members, 0, false),
            Value::List(elements) if !elements.is_empty() => self.elements(elements, None, 0),
            _ => self.scalar(value, None, 0),
        }
    }

    /// `inline`: the first one goes on in the line of its dash.
    fn members(&mut self, members: &[(String, Value)], depth: usize, inline: bool) {
        // `{name: DB_PASSWORD, value: …}`: the name tells what the value is; in protobuf they are fields 1 and 2
        let named = members.iter().find(|(key, _)| key == "name" || key == "1").and_then(|(_, name)| name.text());
        let pointed = members.iter().find(|(key, _)| key == "path").and_then(|(_, path)| path.text());
        let pointed = pointed.and_then(|path| path.rsplit('/').next());
        for (at, (key, value)) in members.iter().enumerate() {
            if at > 0 || !inline {
                self.indent(depth);
            }
            let shown = self.redactor.value(key, &Place::default());
            self.out.push_str(&quoted(&shown));
            self.out.push(':');
            let column = if key == "value" || key == "2" { named.or(pointed).unwrap_or(key) } else { key };
            self.below(value, column, depth);
        }
    }

    fn below(&mut self, value: &Value, column: &str, depth: usize) {
        match value {
            Value::Map(members) if !members.is_empty() => {
                self.out.push('\n');
                self.members(members, depth + 1, false);
            }
            Value::List(elements) if !elements.is_empty() => {
                self.out.push('\n');
                self.elements(elements, Some(column), depth);
            }
            _ => {
                self.out.push(' ');
                self.scalar(value, Some(column), depth);
            }
        }
    }

    fn elements(&mut self, elements: &[Value], column: Option<&str>, depth: usize) {
        for element in elements {
            self.indent(depth);
            self.out.push_str("- ");
            match element {
                Value::Map(members) if !members.is_empty() => self.members(members, depth + 1, true),
                Value::List(inner) if !inner.is_empty() => {
                    self.out.push('\n');
                    self.elements(inner, column, depth + 1);
                }
                _ => self.scalar(element, column, depth),
            }
        }
    }

    fn scalar(&mut self, value: &Value, column: Option<&str>, depth: usize) {
        match value {
            Value::Null => self.line("null"),
            Value::Bool(value) => self.line(if *value { "true" } else { "false" }),
            Value::Number(number) => {
                let shown = self.place(number, column);
                self.line(&shown);
            }
            Value::Text(text) => self.text(text, column, depth),
            Value::Bytes(bytes) => self.line(&format!("({} bytes that are no text)", bytes.len())),
            Value::List(_) => self.line("[]"),
            Value::Map(_) => self.line("{}"),
            Value::Note(note) => self.line(&format!("({note})")),
        }
    }

    fn text(&mut self, text: &str, column: Option<&str>, depth: usize) {
        let shown = self.place(text, column);
        if !shown.trim_end_matches('\n').contains('\n') {
            self.line(&quoted(&shown));
            return;
        }
        self.line(if shown.ends_with('\n') { "|" } else { "|-" });
        for line in shown.lines() {
            self.indent(depth + 1);
            self.line(line);
        }
    }

    fn place(&mut self, text: &str, column: Option<&str>) -> String {
        let place = Place { position: Position::Written, column: column.map(str::to_owned) };
        self.redactor.value(text, &place)
    }

    fn indent(&mut self, depth: usize) {
        for _ in 0..depth.min(INDENT_LEVELS_MAX) {
            self.out.push_str("  ");
        }
    }
}

/// A text as it is, or in quotes where it could be taken for something else.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./@%+=‹› ".contains(c);
    let begins = text.starts_with(|c: char| c.is_alphabetic() || "/‹".contains(c)) && !text.ends_with(' ');
    let word = ["null", "true", "false", "yes", "no", "on", "off"].iter().any(|word| text.eq_ignore_ascii_case(word));
    // `image: nginx:1.25` reads better without quotes; `a: b` would be a key
    let colons = !text.contains(": ") && !text.ends_with(':') && text.chars().all(|c| plain(c) || c == ':');
    if begins && !word && colons { text.to_owned() } else { format!("{text:?}") }
}
