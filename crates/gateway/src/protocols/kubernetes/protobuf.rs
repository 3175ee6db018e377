//! What can be read of a body in protobuf without its schema: the envelope, and where nearly every kind has its metadata.
//!
//! The envelope is `runtime.Unknown` after the bytes `k8s\0`; field 1 of the objects is an `ObjectMeta` (name 1,
//! namespace 3), and `DeleteOptions` has `dryRun` as its field 5:
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding>. The rest is not read. A field that
//! matters and comes twice has no meaning here, although protobuf would take the last.

use std::collections::BTreeMap;

use prost::bytes::{Buf, Bytes};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::value::Value;

/// What every body begins with.
pub(super) const MAGIC: &[u8] = b"k8s\0";
/// The most fields of one message that are walked over.
const FIELDS_MAX: usize = 65_536;

/// The deepest message that is taken apart to be shown.
const DEPTH_MAX: usize = 32;

/// The envelope's content.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Envelope {
    /// The kind that it names: `Deployment`.
    pub(super) kind: String,
    raw: Bytes,
}

/// Name and namespace of an object, empty where they are not given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) namespace: String,
}

/// The envelope of a body.
pub(super) fn envelope(body: &[u8]) -> Option<Envelope> {
    let message = Bytes::copy_from_slice(body.strip_prefix(MAGIC)?);
    let fields = fields(message)?;
    let (raw, types) = (once(&fields, 2)?.unwrap_or_default(), once(&fields, 1)?.unwrap_or_default());
    let encoding = text(once(&fields, 3)?)?;
    let media = text(once(&fields, 4)?)?;
    if !encoding.is_empty() || !(media.is_empty() || media == "application/vnd.kubernetes.protobuf") {
        return None;
    }
    Some(Envelope { kind: text(once(&self::fields(types)?, 2)?)?, raw })
}

impl Envelope {
    /// The object's metadata.
    pub(super) fn metadata(&self) -> Option<Metadata> {
        let metadata = fields(once(&fields(self.raw.clone())?, 1)?.unwrap_or_default())?;
        Some(Metadata { name: text(once(&metadata, 1)?)?, namespace: text(once(&metadata, 3)?)? })
    }

    /// All of the object, by the numbers of its fields: without a schema nobody knows their names. What could be a text or
    /// a message is shown as a text if all of it can be read.
    pub(super) fn tree(&self) -> Option<Value> {
        message(self.raw.clone(), 0)
    }

    /// `dryRun` of a `DeleteOptions`.
    pub(super) fn dry_run(&self) -> Option<Vec<String>> {
        dry_run(self.raw.clone())
    }

    /// `deleteOptions.dryRun` of an `Eviction`; `Some(None)` without options.
    pub(super) fn eviction_dry_run(&self) -> Option<Option<Vec<String>>> {
        match once(&fields(self.raw.clone())?, 2)? {
            Some(options) => dry_run(options).map(Some),
            None => Some(None),
        }
    }

    /// `propagationPolicy` and `orphanDependents` of a `DeleteOptions`, where either is given.
    pub(super) fn propagates(&self) -> Option<bool> {
        let fields = fields(self.raw.clone())?;
        let background = text(once(&fields, 4)?)?;
        let orphans = fields.iter().any(|(tag, _)| *tag == 3);
        Some(orphans || !(background.is_empty() || background == "Background"))
    }
}

fn dry_run(options: Bytes) -> Option<Vec<String>> {
    let fields = fields(options)?;
    let values = fields.into_iter().filter(|(tag, _)| *tag == 5);
    values.map(|(_, value)| text(Some(value?))).collect::<Option<Vec<_>>>()
}

/// The fields of a message by number; those that have no length are there without their value.
fn fields(mut message: Bytes) -> Option<Vec<(u32, Option<Bytes>)>> {
    let mut fields = Vec::new();
    while message.has_remaining() {
        let (tag, wire) = decode_key(&mut message).ok()?;
        let value = match wire {
            WireType::LengthDelimited => {
                let length = usize::try_from(decode_varint(&mut message).ok()?).ok()?;
                (length <= message.remaining()).then(|| message.split_to(length)).map(Some)?
            }
            WireType::Varint | WireType::SixtyFourBit | WireType::ThirtyTwoBit => {
                skip_field(wire, tag, &mut message, DecodeContext::default()).ok()?;
                None
            }
            WireType::StartGroup | WireType::EndGroup => return None,
        };
        fields.push((tag, value));
        if fields.len() > FIELDS_MAX {
            return None;
        }
    }
    Some(fields)
}

fn message(mut rest: Bytes, depth: usize) -> Option<Value> {
    let mut members: BTreeMap<u32, Vec<Value>> = BTreeMap::new();
    let mut count = 0;
    while rest.has_remaining() {
        let (tag, wire) = decode_key(&mut rest).ok()?;
        let value = match wire {
            WireType::Varint => Value::Number(decode_varint(&mut rest).ok()?.to_string()),
            WireType::SixtyFourBit => Value::Number(rest.try_get_u64_le().ok()?.to_string()),
            WireType::ThirtyTwoBit => Value::Number(rest.try_get_u32_le().ok()?.to_string()),
            WireType::LengthDelimited => {
                let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
                (length <= rest.remaining()).then(|| content(rest.split_to(length), depth))?
            }
            WireType::StartGroup | WireType::EndGroup => return None,
        };
        members.entry(tag).or_default().push(value);
        count += 1;
        if count > FIELDS_MAX {
            return None;
        }
    }
    let member = |(tag, mut values): (u32, Vec<Value>)| match (values.len(), values.pop()) {
        (1, Some(value)) => (tag.to_string(), value),
        (_, last) => (tag.to_string(), Value::List(values.into_iter().chain(last).collect())),
    };
    Some(Value::Map(members.into_iter().map(member).collect()))
}

/// A field with a length: a text, a message, or bytes.
fn content(bytes: Bytes, depth: usize) -> Value {
    let readable = |text: &&str| !text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\r'));
    if let Some(text) = std::str::from_utf8(&bytes).ok().filter(readable) {
        return Value::Text(text.to_owned());
    }
    let inner = (depth < DEPTH_MAX).then(|| message(bytes.clone(), depth + 1)).flatten();
    inner.unwrap_or_else(|| Value::Bytes(bytes.to_vec()))
}

/// A field with a length that is there at most once.
fn once(fields: &[(u32, Option<Bytes>)], number: u32) -> Option<Option<Bytes>> {
    let mut values = fields.iter().filter(|(tag, _)| *tag == number).map(|(_, value)| value.clone());
    match (values.next(), values.next()) {
        (None, _) => Some(None),
        (Some(value), None) => value.map(Some),
        (Some(_), Some(_)) => None,
    }
}

fn text(value: Option<Bytes>) -> Option<String> {
    String::from_utf8(value.unwrap_or_default().to_vec()).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A field with a length.
    pub(in super::super) fn field(number: u8, value: &[u8]) -> Vec<u8> {
        let length = u8::try_from(value.len()).unwrap();
        assert!(length < 128, "one byte of length");
        [&[number << 3 | 2, length][..], value].concat()
    }

    /// A body of this kind.
    pub(in super::super) fn body(kind: &str, raw: &[u8]) -> Vec<u8> {
        let types = [field(1, b"v1"), field(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), field(1, &types), field(2, raw), field(3, b""), field(4, b"")].concat()
    }

    #[test]
    fn the_metadata_is_found() {
        let metadata = [field(1, b"web"), field(2, b""), field(3, b"shop")].concat();
        let found = envelope(&body("Pod", &field(1, &metadata))).unwrap();
        assert_eq!(found.kind, "Pod");
        assert_eq!(found.metadata(), Some(Metadata { name: "web".into(), namespace: "shop".into() }));
        assert_eq!(envelope(&body("Pod", b"")).unwrap().metadata(), Some(Metadata::default()));
        let twice = [field(1, &metadata), field(1, &metadata)].concat();
        assert_eq!(envelope(&body("Pod", &twice)).unwrap().metadata(), None);
        let two_names = field(1, &[field(1, b"a"), field(1, b"b")].concat());
        assert_eq!(envelope(&body("Pod", &two_names)).unwrap().metadata(), None);
        // the name as a number
        assert_eq!(envelope(&body("Pod", &field(1, &[0x08, 0x01]))).unwrap().metadata(), None);
    }

    #[test]
    fn options_of_a_deletion_are_read() {
        let options = [vec![0x08, 0x00], field(4, b"Background"), field(5, b"All")].concat();
        let found = envelope(&body("DeleteOptions", &options)).unwrap();
        assert_eq!(found.dry_run(), Some(vec!["All".to_owned()]));
        assert_eq!(found.propagates(), Some(false));
        assert_eq!(envelope(&body("DeleteOptions", &field(4, b"Orphan"))).unwrap().propagates(), Some(true));
        let eviction = [field(1, &field(1, b"web")), field(2, &options)].concat();
        assert_eq!(envelope(&body("Eviction", &eviction)).unwrap().eviction_dry_run(), Some(Some(vec!["All".into()])));
    }

    #[test]
    fn fields_are_shown_by_their_numbers() {
        let raw =
            [field(1, &[field(1, b"web"), vec![0x38, 0x05]].concat()), field(2, b"a"), field(2, b"\xff\xfe")].concat();
        let tree = envelope(&body("Pod", &raw)).unwrap().tree().unwrap();
        let text = |text: &str| Value::Text(text.to_owned());
        let metadata = Value::Map(vec![("1".into(), text("web")), ("7".into(), Value::Number("5".into()))]);
        let list = Value::List(vec![text("a"), Value::Bytes(vec![0xff, 0xfe])]);
        assert_eq!(tree, Value::Map(vec![("1".into(), metadata), ("2".into(), list)]));
        assert_eq!(envelope(&body("Pod", &[0x0b, 0x0c])).unwrap().tree(), None);
    }

    #[test]
    fn what_is_no_envelope_is_refused() {
        for bytes in [&b""[..], b"k8s", b"{}", b"k8s\0\x0a", b"k8s\0\x0a\x7f", b"k8s\0\x0b\x0c", b"k8s\0\x80"] {
            assert_eq!(envelope(bytes), None, "{bytes:?}");
        }
        let zipped = [body("Pod", b""), field(3, b"gzip")].concat();
        assert_eq!(envelope(&zipped), None);
        let other = [MAGIC.to_vec(), field(2, b"{}"), field(4, b"application/json")].concat();
        assert_eq!(envelope(&other), None);
        assert!(envelope(b"k8s\0").unwrap().kind.is_empty());
    }
}
