//! What of an object is never shown: the values of Secrets, wherever they stand in it.
//!
//! They stand in a Secret itself, in a list of them, in a patch of one (which may not say what it patches), and once more in
//! the annotation that `kubectl apply` keeps. Their keys stay. Everything else is the [`Redactor`]'s business; this runs
//! before it, and what it takes out is in no sealed value either, so that nobody can have it revealed.
//!
//! [`Redactor`]: countersign_core::action::redact::Redactor

use super::value::{Value, json};

/// The annotation with the whole object in it, as `kubectl apply` sent it.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The same, as a JSON pointer (RFC 6901) writes it.
const LAST_APPLIED_POINTER: &str = "kubectl.kubernetes.io~1last-applied-configuration";
/// In the place of a value.
const NOT_SHOWN: &str = "not shown";
/// How deep an annotation within an annotation is looked into.
const NESTED_MAX: u8 = 4;

/// Takes the values of Secrets out of a tree.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hide<'v> {
    /// Whether this is of a Secret.
    secret: bool,
    /// What it is compared with, if it is, and how a value that differs is called.
    other: Option<(Option<&'v Value>, &'static str)>,
    nested: u8,
}

impl<'v> Hide<'v> {
    /// For what a request sends; `secret` is whether its resource is Secrets.
    pub(super) fn of(secret: bool) -> Self {
        Self { secret, other: None, nested: 0 }
    }

    /// For one side of a comparison: a value that is the same on the other is called `same`, another one `differs`.
    pub(super) fn against(secret: bool, other: Option<&'v Value>, differs: &'static str) -> Self {
        Self { secret, other: Some((other, differs)), nested: 0 }
    }

    /// Whether an object of this kind is one whose values are not shown.
    pub(super) fn hides(self, kind: &str) -> bool {
        self.secret || is_kind_of_secrets(kind)
    }

    /// The tree without them.
    pub(super) fn tree(self, value: &Value) -> Value {
        let secret = self.secret || is_of_secrets(value);
        let here = Self { secret, ..self };
        match value {
            Value::List(elements) => {
                let element = |(at, value)| here.at(|other| other.elements()?.get(at)).tree(value);
                Value::List(elements.iter().enumerate().map(element).collect())
            }
            Value::Map(members) => Value::Map(members.iter().map(|member| here.member(member)).collect()),
            Value::Bytes(_) if secret => Value::Note(NOT_SHOWN),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Bytes(_) | Value::Note(_) => {
                value.clone()
            }
        }
    }

    /// The operations of a JSON patch without them.
    pub(super) fn operations(self, value: &Value) -> Value {
        let operation = |operation: &Value| match operation.members() {
            Some(members) => {
                let pointer = operation.get("path").and_then(Value::text).unwrap_or_default();
                let of = |(key, value): &(String, Value)| match key.as_str() {
                    "value" => (key.clone(), self.operand(pointer, value)),
                    _ => (key.clone(), value.clone()),
                };
                Value::Map(members.iter().map(of).collect())
            }
            None => self.leaves(operation),
        };
        match value.elements() {
            Some(operations) => Value::List(operations.iter().map(operation).collect()),
            None => self.leaves(value),
        }
    }

    /// What an operation writes.
    fn operand(self, pointer: &str, value: &Value) -> Value {
        let mut steps = pointer.split('/').skip(1);
        match (steps.next(), steps.next(), steps.next()) {
            (Some("metadata"), Some("annotations"), Some(LAST_APPLIED_POINTER)) => self.annotation(value),
            (Some("metadata" | "type" | "immutable" | "kind" | "apiVersion") | None, _, _) => self.tree(value),
            _ if self.secret => self.leaves(value),
            _ => self.tree(value),
        }
    }

    fn member(self, (key, value): &(String, Value)) -> (String, Value) {
        let inside = self.at(|other| other.get(key));
        let is_data = ["data", "stringdata"].iter().any(|name| key.eq_ignore_ascii_case(name));
        let value = match () {
            () if self.secret && is_data => inside.leaves(value),
            () if key == LAST_APPLIED => inside.annotation(value),
            () => inside.tree(value),
        };
        (key.clone(), value)
    }

    /// The annotation's content as the tree it is; where it cannot be read, it could be anything.
    fn annotation(self, value: &Value) -> Value {
        let content = value.text().filter(|_| self.nested < NESTED_MAX).and_then(|text| json(text.as_bytes()));
        match content {
            Some(content) => {
                let before = self.other.and_then(|(other, _)| json(other?.text()?.as_bytes()));
                let other = self.other.map(|(_, differs)| (before.as_ref(), differs));
                Hide { secret: self.secret, other, nested: self.nested + 1 }.tree(&content)
            }
            None => self.leaves(value),
        }
    }

    /// The keys alone.
    fn leaves(self, value: &Value) -> Value {
        match value {
            Value::List(elements) => {
                let element = |(at, value)| self.at(|other| other.elements()?.get(at)).leaves(value);
                Value::List(elements.iter().enumerate().map(element).collect())
            }
            Value::Map(members) => {
                let member =
                    |(key, value): &(String, Value)| (key.clone(), self.at(|other| other.get(key)).leaves(value));
                Value::Map(members.iter().map(member).collect())
            }
            Value::Null => Value::Null,
            Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Bytes(_) | Value::Note(_) => {
                Value::Note(match self.other {
                    None => NOT_SHOWN,
                    Some((Some(other), _)) if other == value => "same",
                    Some((_, differs)) => differs,
                })
            }
        }
    }

    fn at(self, step: impl Fn(&'v Value) -> Option<&'v Value>) -> Self {
        Self { other: self.other.map(|(other, differs)| (other.and_then(step), differs)), ..self }
    }
}

/// Whether a tree says that it is a Secret, or a list of them.
fn is_of_secrets(value: &Value) -> bool {
    value.get("kind").and_then(Value::text).is_some_and(is_kind_of_secrets)
}

fn is_kind_of_secrets(kind: &str) -> bool {
    kind.eq_ignore_ascii_case("Secret") || kind.eq_ignore_ascii_case("SecretList")
}
