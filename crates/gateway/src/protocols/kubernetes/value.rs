//! What a body says, whatever it is written in: one tree for JSON, YAML and CBOR.
//!
//! Stricter than the API server on purpose: a key that comes twice is no text with one meaning (servers take the last one,
//! other readers the first), and neither is one that goes on after its end. Numbers are kept as they were read, to be
//! shown; nothing here computes with them. Depth is bounded by the readers: 128 levels each.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A value, the members of maps in the order in which they were sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A number, as text.
    Number(String),
    /// A text.
    Text(String),
    /// Bytes that are no text; only CBOR has them.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Value>),
    /// A map; every key once.
    Map(Vec<(String, Value)>),
    /// Words of ours in the place of a value that is not shown; no notation has it.
    Note(&'static str),
}

impl Value {
    /// A member of a map; `None` where there is none, or this is no map.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.members()?.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The members of a map.
    pub(super) fn members(&self) -> Option<&[(String, Value)]> {
        match self {
            Value::Map(members) => Some(members),
            _ => None,
        }
    }

    /// The elements of a list.
    pub(super) fn elements(&self) -> Option<&[Value]> {
        match self {
            Value::List(elements) => Some(elements),
            _ => None,
        }
    }

    /// A text.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// One JSON text (RFC 8259) without duplicate keys.
pub(super) fn json(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}

/// One CBOR item (RFC 8949), with or without the tag that says it is CBOR. The API machinery writes texts as byte strings.
pub(super) fn cbor(bytes: &[u8]) -> Option<Value> {
    serde_cbor_2::from_slice(bytes).ok()
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<Value, E> {
        Ok(match std::str::from_utf8(value) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Bytes(value.to_vec()),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            elements.push(element);
        }
        Ok(Value::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Members::default();
        while let Some(Key(key)) = map.next_key()? {
            members.push(key, map.next_value()?).ok_or_else(|| A::Error::custom("a key comes twice"))?;
        }
        Ok(Value::Map(members.members))
    }
}

/// The members of a map while it is read: each key once.
#[derive(Debug, Default)]
pub(super) struct Members {
    pub(super) members: Vec<(String, Value)>,
    keys: BTreeSet<String>,
}

impl Members {
    /// One more; `None` where its key is there already.
    pub(super) fn push(&mut self, key: String, value: Value) -> Option<()> {
        self.keys.insert(key.clone()).then(|| self.members.push((key, value)))
    }
}

/// A key: a text, or bytes that are one.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Text(text) => Ok(Key(text)),
            _ => Err(D::Error::custom("a key is no text")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: u8) -> Value {
        Value::Number(n.to_string())
    }

    #[test]
    fn json_has_one_meaning_or_none() {
        let both = Value::Map(vec![("b".into(), number(1)), ("a".into(), Value::List(vec![Value::Null]))]);
        assert_eq!(json(br#" {"b":1,"a":[null]} "#), Some(both));
        let deep = "[".repeat(200) + &"]".repeat(200);
        for text in [r#"{"a":1,"a":2}"#, r#"{"x":{"a":1,"\u0061":2}}"#, "{} {}", "{", "", "\u{feff}{}", "[1,]", &deep] {
            assert_eq!(json(text.as_bytes()), None, "{text}");
        }
        assert_eq!(json(b"\"\xff\""), None);
    }

    #[test]
    fn cbor_has_one_meaning_or_none() {
        let map = Value::Map(vec![("kind".into(), Value::Text("Secret".into()))]);
        let plain = b"\xa1\x64kind\x66Secret";
        let as_bytes = b"\xd9\xd9\xf7\xa1\x44kind\x46Secret"; // self-described; texts as byte strings
        assert_eq!(cbor(plain), Some(map.clone()));
        assert_eq!(cbor(as_bytes), Some(map));
        for bytes in
            [&b"\xa2\x61a\x01\x61a\x02"[..], b"\xa2\x61a\x01\x41a\x02", b"\xa1\x01\x02", b"\xa0\xa0", b"", b"\xa1"]
        {
            assert_eq!(cbor(bytes), None, "{bytes:?}");
        }
        assert_eq!(cbor(&[&[0x81; 200][..], &[0x80]].concat()), None);
    }
}
