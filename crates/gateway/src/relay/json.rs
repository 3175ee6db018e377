//! JSON as a describer needs it: members in the order they were sent, and those that come twice still there.
//!
//! RFC 8259 leaves open what a name that comes twice means, and servers differ: whoever describes a request asks
//! [`Json::repeats`] first. Parsing is `serde_json`'s, with its bound on depth; here is a bound on how many values there are.
//! A number keeps the digits that it was sent with, since a server may read more of them than IEEE 754 holds.
//! Deliberately absent: numbers beyond its range; they do not parse.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

/// The most values in one text.
pub const VALUES_MAX: usize = 65_536;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Flag(bool),
    /// A number, as it was sent.
    Number(String),
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
        let digits = Digits(Cell::new(bytes));
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let value = Seed { left: &left, digits: Some(&digits) }.deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        Some(value)
    }

    /// The same of CBOR (RFC 8949), as far as JSON can say it; bytes become hexadecimal digits.
    pub fn from_cbor(bytes: &[u8]) -> Option<Self> {
        let left = Cell::new(VALUES_MAX);
        let mut reader = serde_cbor_2::Deserializer::from_slice(bytes);
        let value = Seed { left: &left, digits: None }.deserialize(&mut reader).ok()?;
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

/// The numbers of a text of JSON as they stand there, in the order in which a parser comes to them.
struct Digits<'a>(Cell<&'a [u8]>);

impl<'a> Digits<'a> {
    fn next(&self) -> Option<&'a str> {
        let mut rest = self.0.get();
        loop {
            match rest.split_first()? {
                (b'"', behind) => rest = behind_text(behind)?,
                (b'-' | b'0'..=b'9', _) => {
                    let more = |byte: &u8| !matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
                    let end = rest.iter().position(more).unwrap_or(rest.len());
                    let (number, behind) = rest.split_at_checked(end)?;
                    self.0.set(behind);
                    return std::str::from_utf8(number).ok();
                }
                (_, behind) => rest = behind,
            }
        }
    }
}

/// What stands behind a text whose first quote is gone.
fn behind_text(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        match rest.split_first()? {
            (b'"', behind) => return Some(behind),
            (b'\\', behind) => rest = behind.get(1..)?,
            (_, behind) => rest = behind,
        }
    }
}

/// Reads one value while there are any left.
#[derive(Clone, Copy)]
struct Seed<'a> {
    left: &'a Cell<usize>,
    digits: Option<&'a Digits<'a>>,
}

impl Seed<'_> {
    /// A number as it was sent, or as it is written where it was sent in no digits.
    fn number<E: Error>(self, value: impl fmt::Display) -> Result<Json, E> {
        let Some(digits) = self.digits else { return Ok(Json::Number(value.to_string())) };
        let sent = digits.next().ok_or_else(|| E::custom("a number that was not sent"))?;
        Ok(Json::Number(sent.to_owned()))
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        let left = self.left.get().checked_sub(1).ok_or_else(|| D::Error::custom("too many values"))?;
        self.left.set(left);
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

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        self.number(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        self.number(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        let written = serde_json::Number::from_f64(value).ok_or_else(|| E::custom("a number out of range"))?;
        self.number(written)
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Json, E> {
        Ok(Json::Text(hex::encode(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object = Vec::new();
        while let Some(name) = members.next_key::<String>()? {
            object.push((name, members.next_value_seed(self)?));
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
        assert_eq!(json.get("b"), Some(&Json::Number("1".to_owned())));
    }

    #[test]
    fn a_name_comes_twice_in_another_case_and_further_in() {
        for text in [r#"{"a":1,"A":2}"#, r#"[{"x":{"a":1,"a":1}}]"#, r#"{"a":1,"\u0061":2}"#] {
            assert!(Json::parse(text.as_bytes()).is_some_and(|json| json.repeats()), "{text}");
        }
        assert!(!Json::parse(br#"[{"a":1},{"a":2}]"#).expect("JSON").repeats());
    }

    #[test]
    fn numbers_keep_their_digits() {
        let text =
            r#"{"1":[12345678901234567890123, -0, 1.10, 1e2 ,true],"a\\\"2":{"3":"\u0034\\"},"b":9007199254740993}"#;
        let mut numbers = Vec::new();
        fn gather(json: &Json, into: &mut Vec<String>) {
            match json {
                Json::Number(digits) => into.push(digits.clone()),
                Json::List(items) => items.iter().for_each(|item| gather(item, into)),
                Json::Object(members) => members.iter().for_each(|(_, value)| gather(value, into)),
                Json::Null | Json::Flag(_) | Json::Text(_) => {}
            }
        }
        gather(&Json::parse(text.as_bytes()).expect("JSON"), &mut numbers);
        assert_eq!(numbers, ["12345678901234567890123", "-0", "1.10", "1e2", "9007199254740993"]);
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
