//! JSON as a describer needs it: members in the order they were sent, and those that come twice still there.
//!
//! RFC 8259 leaves open what a name that comes twice means, and servers differ: whoever describes a request asks
//! [`Json::repeats`] first. Parsing is `serde_json`'s, with its bound on depth; here is a bound on how many values there are.
//! Deliberately absent: numbers beyond what IEEE 754 holds; they do not parse.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// The most values in one text.
pub const VALUES_MAX: usize = 65_536;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Flag(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object, its members in order.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads one value and nothing behind it; nothing where it is no JSON, too deep, or has more than [`VALUES_MAX`] values.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let left = Cell::new(VALUES_MAX);
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let value = Seed(&left).deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        Some(value)
    }

    /// The same of CBOR (RFC 8949), as far as JSON can say it; bytes become hexadecimal digits.
    pub fn from_cbor(bytes: &[u8]) -> Option<Self> {
        let left = Cell::new(VALUES_MAX);
        let mut reader = serde_cbor_2::Deserializer::from_slice(bytes);
        let value = Seed(&left).deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        Some(value)
    }

    /// Whether a name comes twice in an object, in any spelling of upper and lower case: some servers take the first, some
    /// the last, and some do not tell `Amount` from `amount`.
    pub fn repeats(&self) -> bool {
        match self {
            Json::Null | Json::Flag(_) | Json::Number(_) | Json::Text(_) => false,
            Json::List(items) => items.iter().any(Json::repeats),
            Json::Object(members) => {
                let mut seen = BTreeSet::new();
                members.iter().any(|(name, value)| !seen.insert(name.to_lowercase()) || value.repeats())
            }
        }
    }

    /// A member of an object, the first of its name.
    pub fn get(&self, name: &str) -> Option<&Json> {
        let Json::Object(members) = self else { return None };
        members.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// A text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            Json::Null | Json::Flag(_) | Json::Number(_) | Json::List(_) | Json::Object(_) => None,
        }
    }
}

/// Reads one value while there are any left.
struct Seed<'a>(&'a Cell<usize>);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        let left = self.0.get().checked_sub(1).ok_or_else(|| D::Error::custom("too many values"))?;
        self.0.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Flag(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Number::from_f64(value).map(Json::Number).ok_or_else(|| E::custom("a number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Json, E> {
        Ok(Json::Text(hex::encode(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Seed(self.0))? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object = Vec::new();
        while let Some(name) = members.next_key::<String>()? {
            object.push((name, members.next_value_seed(Seed(self.0))?));
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order_and_come_twice() {
        let json = Json::parse(br#"{"b":1,"a":[true,null,-2.5,"x"],"b":2}"#).expect("JSON");
        let Json::Object(members) = &json else { panic!("an object") };
        assert_eq!(members.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["b", "a", "b"]);
        assert!(json.repeats());
        assert_eq!(json.get("b"), Some(&Json::Number(1.into())));
    }

    #[test]
    fn a_name_comes_twice_in_another_case_and_further_in() {
        for text in [r#"{"a":1,"A":2}"#, r#"[{"x":{"a":1,"a":1}}]"#, r#"{"a":1,"\u0061":2}"#] {
            assert!(Json::parse(text.as_bytes()).is_some_and(|json| json.repeats()), "{text}");
        }
        assert!(!Json::parse(br#"[{"a":1},{"a":2}]"#).expect("JSON").repeats());
    }

    #[test]
    fn cbor_is_read_alike() {
        let cbor = [0xa2, 0x61, b'a', 0x01, 0x61, b'A', 0x42, 0x00, 0xff];
        let json = Json::from_cbor(&cbor).expect("CBOR");
        assert_eq!(json.get("A").and_then(Json::text), Some("00ff"));
        assert!(json.repeats());
        assert_eq!(Json::from_cbor(&[0xff]), None);
    }

    #[test]
    fn what_is_no_json_is_nothing() {
        let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
        let many = format!("[{}0]", "0,".repeat(VALUES_MAX));
        for text in ["", "{", "{} {}", "{a:1}", "1e999", "\u{feff}{}", deep.as_str(), many.as_str()] {
            assert_eq!(Json::parse(text.as_bytes()), None, "{text:.20}");
        }
    }
}
