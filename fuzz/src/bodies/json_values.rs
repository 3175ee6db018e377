//! Arbitrary JSON and CBOR: what the relay reads of them is what another reader does, where names come once.

use serde_json::Value;

use crate::relay::json::{Json, VALUES_MAX};

/// Holds what is written above.
///
/// # Panics
/// It does not hold.
pub fn body(data: &[u8]) {
    if let Some(json) = Json::from_cbor(data) {
        let _ = json.repeats();
    }
    let (own, other) = (Json::parse(data), serde_json::from_slice::<Value>(data).ok());
    match (&own, &other) {
        (Some(json), Some(value)) if !json.repeats() => assert_eq!(&plain(json), value),
        (Some(_), Some(_)) | (None, None) => {}
        (None, Some(value)) => assert!(count(value) > VALUES_MAX, "{value} is not read"),
        (Some(json), None) => panic!("{json:?} is no JSON"),
    }
}

fn plain(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Flag(flag) => Value::Bool(*flag),
        Json::Number(digits) => serde_json::from_str(digits).expect("a number as it was sent"),
        Json::Text(text) => Value::String(text.clone()),
        Json::List(items) => Value::Array(items.iter().map(plain).collect()),
        Json::Object(members) => {
            Value::Object(members.iter().map(|(name, value)| (name.clone(), plain(value))).collect())
        }
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}
