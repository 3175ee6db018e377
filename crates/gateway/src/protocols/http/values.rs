//! The values of a request as policy compares them: by the type that the schema gives, or JSON's own.
//!
//! | in the request | fact |
//! |---|---|
//! | `{"a": {"b": 1}}` | `body.a.b` |
//! | a name with a dot or quote in it, or an empty one | quoted as in JSON: `body."a.b"` |
//! | an array of texts, numbers and flags | a list of texts |
//! | objects in an array | a list for each member, `body.items[].id`, and how many: `body.items.length` |
//! | `null`, `{}` | the value's name in the lists `null` and `empty` |
//!
//! A value of another type than the schema's is taken for it where it can only mean one (`"5"` for 5), since servers do so;
//! otherwise the request is opaque. What looks like a secret is named and no fact.

use std::collections::{BTreeMap, BTreeSet};

use countersign_core::action::redact::{Place, Position, Redactor, Rules};
use countersign_core::action::request::Typed;
use countersign_core::action::request::http::TYPED_MAX;
use serde_json::Number;

use super::openapi::{Shape, Type};
use crate::relay::json::Json;

/// The longest text that is a fact; a longer one is left out, and the request incomplete.
pub(super) const TEXT_BYTES_MAX: usize = 16 * 1024;
/// The list of what is `null`.
const NULL: &str = "null";
/// The list of objects without members.
const EMPTY: &str = "empty";

/// Why values cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unclear {
    /// Two values have one name, or a value could be read in two ways.
    Ambiguous,
    /// A value is of another type than its schema's.
    OtherType,
    /// There are more than [`TYPED_MAX`].
    TooMany,
}

/// The values of one request.
#[derive(Debug)]
pub(super) struct Values<'r> {
    pub(super) typed: BTreeMap<String, Typed>,
    pub(super) hidden: BTreeSet<String>,
    pub(super) complete: bool,
    redactor: Redactor<'r>,
}

impl<'r> Values<'r> {
    /// None yet.
    pub(super) fn new(rules: &'r Rules) -> Self {
        let redactor = Redactor::new(rules);
        Self { typed: BTreeMap::new(), hidden: BTreeSet::new(), complete: true, redactor }
    }

    /// A value that came as text: of a path, a query, a header or a form.
    pub(super) fn text(&mut self, name: &str, column: &str, text: &str, shape: &Shape<'_>) -> Result<(), Unclear> {
        if self.hides(name, column, text, shape) {
            return Ok(());
        }
        let types = shape.types();
        let typed = from_text(text, &types).ok_or(Unclear::OtherType)?;
        self.put(name, typed)
    }

    /// Several values of one parameter.
    pub(super) fn texts(
        &mut self,
        name: &str,
        column: &str,
        texts: &[String],
        shape: &Shape<'_>,
    ) -> Result<(), Unclear> {
        let item = shape.item();
        let shown = texts.iter().filter(|text| !self.hides(name, column, text, &item)).cloned().collect();
        self.put(name, Typed::List(shown))
    }

    /// A value of JSON, and those in it.
    pub(super) fn json(&mut self, name: &str, column: &str, json: &Json, shape: &Shape<'_>) -> Result<(), Unclear> {
        let types = shape.types();
        match json {
            Json::Null => self.note(NULL, name),
            Json::Object(members) => {
                fits(&types, Type::Object)?;
                if members.is_empty() {
                    self.note(EMPTY, name)?;
                }
                for (own, value) in members {
                    if shape.nearly_has(own) {
                        return Err(Unclear::Ambiguous);
                    }
                    self.json(&format!("{name}.{}", plain(own)), own, value, &shape.property(own))?;
                }
                Ok(())
            }
            Json::List(items) => {
                fits(&types, Type::List)?;
                self.list(name, column, items, &shape.item())
            }
            Json::Flag(_) | Json::Number(_) | Json::Text(_) => self.scalar(name, column, json, shape, &types),
        }
    }

    fn scalar(
        &mut self,
        name: &str,
        column: &str,
        json: &Json,
        shape: &Shape<'_>,
        types: &[Type],
    ) -> Result<(), Unclear> {
        let text = words(json);
        if self.hides(name, column, &text, shape) {
            return Ok(());
        }
        let anything = types.is_empty();
        let is = |kind: Type| types.contains(&kind);
        let typed = match json {
            Json::Number(digits) if anything || is(Type::Integer) || is(Type::Number) => Typed::Number(rounded(digits)),
            Json::Flag(flag) if anything || is(Type::Flag) => Typed::Flag(*flag),
            Json::Text(_) if anything || is(Type::Text) => Typed::Text(text),
            _ => from_text(&text, types).ok_or(Unclear::OtherType)?,
        };
        self.put(name, typed)
    }

    fn list(&mut self, name: &str, column: &str, items: &[Json], shape: &Shape<'_>) -> Result<(), Unclear> {
        let simple = |item: &Json| !matches!(item, Json::Object(_) | Json::List(_));
        if items.iter().all(simple) {
            return self.add(name, column, items, shape);
        }
        let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
        self.put(&format!("{name}.length"), Typed::Number(count))?;
        for item in items {
            self.inside(&format!("{name}[]"), column, item, shape)?;
        }
        Ok(())
    }

    /// Values of an array's items, put together by name.
    fn inside(&mut self, name: &str, column: &str, item: &Json, shape: &Shape<'_>) -> Result<(), Unclear> {
        match item {
            Json::Object(members) => {
                if members.is_empty() {
                    self.note(EMPTY, name)?;
                }
                for (own, value) in members {
                    if shape.nearly_has(own) {
                        return Err(Unclear::Ambiguous);
                    }
                    self.inside(&format!("{name}.{}", plain(own)), own, value, &shape.property(own))?;
                }
                Ok(())
            }
            Json::List(items) => {
                let name = format!("{name}[]");
                items.iter().try_for_each(|item| self.inside(&name, column, item, &shape.item()))
            }
            Json::Null | Json::Flag(_) | Json::Number(_) | Json::Text(_) => {
                self.add(name, column, std::slice::from_ref(item), shape)
            }
        }
    }

    /// Adds simple values to a list.
    fn add(&mut self, name: &str, column: &str, items: &[Json], shape: &Shape<'_>) -> Result<(), Unclear> {
        let mut list = BTreeSet::new();
        for item in items {
            let text = words(item);
            if matches!(item, Json::Null) {
                self.note(NULL, name)?;
            } else if text.len() > TEXT_BYTES_MAX {
                self.complete = false;
            } else if !self.hides(name, column, &text, shape) {
                list.insert(text);
            }
        }
        if let Some(Typed::List(known)) = self.typed.get_mut(name) {
            known.append(&mut list);
            return Ok(());
        }
        self.put(name, Typed::List(list))
    }

    fn note(&mut self, list: &str, name: &str) -> Result<(), Unclear> {
        if let Some(Typed::List(names)) = self.typed.get_mut(list) {
            names.insert(name.to_owned());
            return Ok(());
        }
        self.put(list, Typed::List([name.to_owned()].into()))
    }

    fn put(&mut self, name: &str, typed: Typed) -> Result<(), Unclear> {
        let long = |text: &String| text.len() > TEXT_BYTES_MAX;
        let too_long = match &typed {
            Typed::Text(text) => long(text),
            Typed::List(texts) => texts.iter().any(long),
            Typed::Number(_) | Typed::Flag(_) => false,
        };
        if too_long {
            self.complete = false;
            return Ok(());
        }
        if self.typed.insert(name.to_owned(), typed).is_some() {
            return Err(Unclear::Ambiguous);
        }
        if self.typed.len() + self.hidden.len() > TYPED_MAX { Err(Unclear::TooMany) } else { Ok(()) }
    }

    /// Whether a value must not be kept in clear; its name is noted then.
    fn hides(&mut self, name: &str, column: &str, text: &str, shape: &Shape<'_>) -> bool {
        let before = self.redactor.redacted();
        let place = Place { position: Position::Written, column: Some(column.to_owned()) };
        let _ = self.redactor.value(text, &place);
        let hidden = shape.secret() || self.redactor.redacted() > before;
        if hidden {
            self.hidden.insert(name.to_owned());
        }
        hidden
    }
}

/// A member's name among others with dots between.
pub(super) fn plain(name: &str) -> String {
    if name.is_empty() || name.contains(['.', '"', '[', ']', '\\']) {
        return serde_json::Value::from(name).to_string();
    }
    name.to_owned()
}

fn fits(types: &[Type], kind: Type) -> Result<(), Unclear> {
    if types.is_empty() || types.contains(&kind) { Ok(()) } else { Err(Unclear::OtherType) }
}

/// A simple value as text.
fn words(json: &Json) -> String {
    match json {
        Json::Text(text) => text.clone(),
        Json::Number(digits) => plain_digits(digits),
        Json::Flag(flag) => flag.to_string(),
        Json::Null | Json::List(_) | Json::Object(_) => String::new(),
    }
}

/// A text as the types say: what can be a text is one.
fn from_text(text: &str, types: &[Type]) -> Option<Typed> {
    if types.is_empty() || types.contains(&Type::Text) {
        return Some(Typed::Text(text.to_owned()));
    }
    if (types.contains(&Type::Integer) || types.contains(&Type::Number))
        && let Ok(Some(Json::Number(digits))) = number(text)
    {
        return Some(Typed::Number(rounded(&digits)));
    }
    match text {
        "true" if types.contains(&Type::Flag) => Some(Typed::Flag(true)),
        "false" if types.contains(&Type::Flag) => Some(Typed::Flag(false)),
        _ => None,
    }
}

/// A number as JSON writes it, and not otherwise: servers that read `0x10` or ` 5` as a number are many.
fn number(text: &str) -> Result<Option<Json>, std::convert::Infallible> {
    let digits = text.strip_prefix('-').unwrap_or(text).starts_with(|c: char| c.is_ascii_digit());
    Ok(Json::parse(text.as_bytes()).filter(|_| digits && !text.ends_with(char::is_whitespace)))
}

/// A number as texts are compared: a whole one as it was sent, any other in one way of writing.
fn plain_digits(digits: &str) -> String {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) || digits.parse::<i64>().is_ok_and(|whole| whole < 0) {
        return digits.to_owned();
    }
    let number = digits.parse().ok().and_then(Number::from_f64);
    number.map_or_else(|| digits.to_owned(), |number| number.to_string())
}

/// Away from zero, and into range.
fn rounded(digits: &str) -> i64 {
    if let Ok(whole) = digits.parse() {
        return whole;
    }
    let fraction: f64 = digits.parse().unwrap_or(f64::MAX);
    let away = if fraction > 0.0 { fraction.ceil() } else { fraction.floor() };
    #[expect(clippy::cast_possible_truncation, reason = "saturates, as wanted")]
    let whole = away as i64;
    whole
}
