//! YAML as the API server takes it, as far as two readers agree on it.
//!
//! The server reads YAML 1.1 by go-yaml, turned into JSON; the parser here is one of YAML 1.2. What the two could read
//! differently, or what nobody sends, has no meaning here: a key that comes twice, anchors and aliases, tags, merge keys,
//! a second document, and plain scalars that are a text in one version and something else in the other.
//! Specification: <https://yaml.org/spec/1.2.2/>, <https://yaml.org/type/>.

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::value::{Members, Value};

/// The deepest nesting, as in the other notations.
const DEPTH_MAX: usize = 128;

/// One YAML document; `None` where it is none, or not clear.
pub(super) fn yaml(bytes: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(bytes).ok()?;
    // 1.1 breaks lines at these, 1.2 does not; a directive can choose the version
    if text.contains(['\u{85}', '\u{2028}', '\u{2029}', '\u{feff}']) || text.lines().any(|line| line.starts_with('%')) {
        return None;
    }
    let mut document = Document::default();
    for event in Parser::new_from_str(text) {
        document.take(event.ok()?.0)?;
    }
    document.root
}

/// A document while it is read.
#[derive(Default)]
struct Document {
    root: Option<Value>,
    open: Vec<Open>,
    begun: bool,
}

/// A list or map that is not at its end.
enum Open {
    List(Vec<Value>),
    Map(Members, Option<String>),
}

impl Document {
    fn take(&mut self, event: Event<'_>) -> Option<()> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Some(()),
            Event::DocumentStart(_) => (!std::mem::replace(&mut self.begun, true)).then_some(()),
            Event::Scalar(text, style, 0, None) => self.scalar(&text, style),
            Event::SequenceStart(0, None) => self.open(Open::List(Vec::new())),
            Event::MappingStart(0, None) => self.open(Open::Map(Members::default(), None)),
            Event::SequenceEnd | Event::MappingEnd => {
                let value = match self.open.pop()? {
                    Open::List(elements) => Value::List(elements),
                    Open::Map(members, None) => Value::Map(members.members),
                    Open::Map(_, Some(_)) => return None,
                };
                self.add(value)
            }
            // an alias, or something with an anchor or a tag
            Event::Alias(_) | Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) => None,
        }
    }

    fn open(&mut self, open: Open) -> Option<()> {
        // a key must be a text
        let is_key = matches!(self.open.last(), Some(Open::Map(_, None)));
        (!is_key && self.open.len() < DEPTH_MAX).then(|| self.open.push(open))
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle) -> Option<()> {
        let value = match style {
            ScalarStyle::Plain => plain(text)?,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted | ScalarStyle::Literal | ScalarStyle::Folded => {
                Value::Text(text.to_owned())
            }
        };
        if let Some(Open::Map(_, key @ None)) = self.open.last_mut() {
            let Value::Text(text) = value else { return None };
            *key = Some(text);
            return Some(());
        }
        self.add(value)
    }

    fn add(&mut self, value: Value) -> Option<()> {
        match self.open.last_mut() {
            Some(Open::List(elements)) => elements.push(value),
            Some(Open::Map(members, key)) => members.push(key.take()?, value)?,
            None => self.root = Some(value),
        }
        Some(())
    }
}

/// A scalar without quotes, by the core schema of 1.2. What 1.1 takes for something else is not clear.
fn plain(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Value::Null),
        "true" | "True" | "TRUE" => return Some(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Value::Bool(false)),
        "<<" | "=" => return None,
        _ => {}
    }
    let other_words = ["y", "n", "yes", "no", "on", "off"];
    if other_words.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return None;
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Some(Value::Text(text.to_owned()));
    }
    number(text, digits)
}

/// A scalar that begins like a number: a decimal number, a text in both versions, or not clear.
fn number(text: &str, digits: &str) -> Option<Value> {
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits && (digits == "0" || !digits.starts_with('0')) {
        return Some(Value::Number(text.to_owned()));
    }
    // `1.5`, `1e3`, `0644`, `0x1F`, `1_000`, `12:30`, `2026-11-23`, `.inf`: each is something else somewhere
    let like_a_number = |c: char| c.is_ascii_hexdigit() || "+-._:xXoOtTzZ ".contains(c);
    let fraction = digits.split_once('.').filter(|(whole, part)| {
        let plain = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain(whole) && plain(part) && (*whole == "0" || !whole.starts_with('0'))
    });
    if fraction.is_some() {
        return Some(Value::Number(text.to_owned()));
    }
    let odd = matches!(digits.to_ascii_lowercase().as_str(), ".inf" | ".nan");
    (!odd && !text.chars().all(like_a_number)).then(|| Value::Text(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::value::json;
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(yaml(text.as_bytes()), expected.map(|text| json(text.as_bytes()).unwrap()), "{text:?}");
    }

    #[test]
    fn a_document_is_read() {
        check(
            "kind: Secret\nmetadata:\n  name: db\nlist:\n- 1\n- a: b\n",
            Some(r#"{"kind":"Secret","metadata":{"name":"db"},"list":[1,{"a":"b"}]}"#),
        );
        check("---\n{\"a\": \"yes\", 'b': no one}\n", Some(r#"{"a":"yes","b":"no one"}"#));
        check("a: |\n  one\n  two\nb: >-\n  one\n  two\n", Some(r#"{"a":"one\ntwo\n","b":"one two"}"#));
        check(
            "a: nginx:1.25\nb: 10.0.0.1/8\nc: 1.5\nd: -3\ne: 100m\nf: 8Mi\ng: null\nh: True\n",
            Some(r#"{"a":"nginx:1.25","b":"10.0.0.1/8","c":1.5,"d":-3,"e":"100m","f":"8Mi","g":null,"h":true}"#),
        );
        check("a:\n", Some(r#"{"a":null}"#));
    }

    #[test]
    fn what_is_not_clear_has_no_meaning() {
        for text in [
            "a: 1\na: 2",
            "a: 1\n'a': 2",
            "a: &x 1\nb: *x",
            "a: !!str 1",
            "!!map {}",
            "<<: {a: 1}",
            "a: 1\n---\nb: 2",
            "a: yes",
            "a: Off",
            "yes: 1",
            "a: 0644",
            "a: 0x1F",
            "a: 1_000",
            "a: 12:30",
            "a: 2026-11-23",
            "a: 1e3",
            "a: .inf",
            "1: a",
            "{[a]: b}",
            "? {a: b}\n: c",
            "%YAML 1.1\n---\na: 1",
            "a: \u{85}b",
            "\u{feff}a: 1",
            "a: [",
            "",
            "\t- a: b: c",
        ] {
            check(text, None);
        }
        assert_eq!(yaml(b"a: \xff"), None);
        check(&"[".repeat(DEPTH_MAX + 1), None);
        check(&("[".repeat(DEPTH_MAX + 1) + &"]".repeat(DEPTH_MAX + 1)), None);
    }
}
