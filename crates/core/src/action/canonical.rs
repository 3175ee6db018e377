//! RFC 8785 (JSON Canonicalization Scheme), written straight into one buffer.
//!
//! Digests and leaves are made for every action, so this is on the path of every read. The members of an object are
//! written where they come; only when they came out of order are they put in order at its end. `serde_json` walks the
//! value and this module writes the text; the tests hold every byte against `serde_json_canonicalizer`, which is also asked
//! for the few numbers that are not plain integers.

use std::io;
use std::ops::Range;

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{CharEscape, Formatter};

/// What a typical record or digest needs: 1 KiB.
const BYTES_USUAL: usize = 1024;
/// How many objects of it are open at once.
const DEPTH_USUAL: usize = 4;
/// How many members these have by then.
const MEMBERS_USUAL: usize = 16;
/// Integers up to here are written digit by digit; JSON has only doubles, which hold no larger ones exactly (§3.2.2.3).
const EXACT_INTEGER_MAX: u64 = (1 << 53) - 1;
const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The canonical bytes of a value.
///
/// # Errors
/// A map whose keys are not strings, a key that comes twice in another order than its neighbours'.
pub(super) fn to_vec<T: Serialize>(value: &T) -> serde_json::Result<Vec<u8>> {
    let mut writer = Writer {
        out: Vec::with_capacity(BYTES_USUAL),
        open: Vec::with_capacity(DEPTH_USUAL),
        members: Vec::with_capacity(MEMBERS_USUAL),
    };
    value.serialize(&mut Serializer::with_formatter(io::sink(), &mut writer))?;
    Ok(writer.out)
}

/// Writes a text as a canonical string.
pub(super) fn append_quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x09 => out.extend_from_slice(b"\\t"),
            0x0a => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            0x0d => out.extend_from_slice(b"\\r"),
            0..0x20 => {
                let digit = |nibble: u8| HEX_DIGITS[usize::from(nibble & 0xf)];
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte)]);
            }
            plain => out.push(plain),
        }
    }
    out.push(b'"');
}

/// A member of an object that is being written: where its key and all of it stand.
#[derive(Debug, Clone)]
struct Member {
    /// The key between its quotes.
    key: Range<usize>,
    /// From the key's first quote to the end of the value.
    all: Range<usize>,
}

/// An object that is being written.
#[derive(Debug)]
struct Object {
    /// Where its first member begins.
    begins: usize,
    /// Its first member in [`Writer::members`].
    first: usize,
    /// Whether each key was greater than the one before.
    in_order: bool,
}

#[derive(Debug)]
struct Writer {
    out: Vec<u8>,
    open: Vec<Object>,
    members: Vec<Member>,
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl Writer {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn integer(&mut self, negative: bool, magnitude: u64) -> io::Result<()> {
        if magnitude > EXACT_INTEGER_MAX {
            let double = magnitude as f64; // the nearest double, as every reader of JSON takes it
            return self.double(if negative { -double } else { double });
        }
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = magnitude;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8; // below ten
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if negative {
            self.out.push(b'-');
        }
        self.put(&digits[at..])
    }

    fn double(&mut self, value: f64) -> io::Result<()> {
        if !value.is_finite() {
            return Err(malformed("a number that is not finite"));
        }
        let text = serde_json_canonicalizer::to_vec(&value).map_err(io::Error::other)?;
        self.put(&text)
    }

    fn key(&self, member: &Member) -> &[u8] {
        self.out.get(member.key.clone()).unwrap_or_default()
    }

    /// Notes whether the member that just ended keeps its object in order.
    fn member_done(&mut self) -> io::Result<()> {
        let end = self.out.len();
        let Some(object) = self.open.last() else { return Err(malformed("a member outside an object")) };
        let (first, was_in_order) = (object.first, object.in_order);
        let Some(last) = self.members.last_mut() else { return Err(malformed("an object without a member")) };
        last.all.end = end;
        let in_order = match &self.members[first..] {
            [.., before, last] => was_in_order && ascending(self.key(before), self.key(last)),
            _ => was_in_order,
        };
        if let Some(object) = self.open.last_mut() {
            object.in_order = in_order;
        }
        Ok(())
    }

    /// Puts the members of the object that ends in order.
    fn sort(&mut self, object: &Object) -> io::Result<()> {
        let mut members = self.members.split_off(object.first);
        if members.iter().all(|member| plain(self.key(member))) {
            members.sort_by(|a, b| self.key(a).cmp(self.key(b)));
        } else {
            let mut keyed = Vec::with_capacity(members.len());
            for member in members {
                keyed.push((sorting_key(self.key(&member))?, member));
            }
            keyed.sort_by(|(a, _), (b, _)| a.cmp(b));
            members = keyed.into_iter().map(|(_, member)| member).collect();
        }
        if members.windows(2).any(|pair| self.key(&pair[0]) == self.key(&pair[1])) {
            return Err(malformed("a key that comes twice"));
        }
        let mut sorted = Vec::with_capacity(self.out.len() - object.begins);
        for (at, member) in members.into_iter().enumerate() {
            if at > 0 {
                sorted.push(b',');
            }
            sorted.extend_from_slice(&self.out[member.all]);
        }
        self.out.truncate(object.begins);
        self.put(&sorted)
    }
}

/// Whether a written key is ASCII without escapes, so that its bytes are its UTF-16 units.
fn plain(key: &[u8]) -> bool {
    key.iter().all(|byte| byte.is_ascii() && *byte != b'\\')
}

/// Whether one written key certainly comes before another.
fn ascending(before: &[u8], after: &[u8]) -> bool {
    before < after && plain(before) && plain(after)
}

/// What members are sorted by: the key's UTF-16 code units, unescaped (§3.2.3).
fn sorting_key(written: &[u8]) -> io::Result<Vec<u16>> {
    let quoted = [b"\"", written, b"\""].concat();
    let key: String = serde_json::from_slice(&quoted).map_err(io::Error::other)?;
    Ok(key.encode_utf16().collect())
}

macro_rules! integers {
    ($($method:ident: $type:ty => |$value:ident| $negative:expr, $magnitude:expr;)*) => {$(
        fn $method<W: ?Sized + io::Write>(&mut self, _: &mut W, $value: $type) -> io::Result<()> {
            self.integer($negative, u64::from($magnitude))
        }
    )*};
}

impl Formatter for &mut Writer {
    fn write_null<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.put(b"null")
    }

    fn write_bool<W: ?Sized + io::Write>(&mut self, _: &mut W, value: bool) -> io::Result<()> {
        self.put(if value { b"true" } else { b"false" })
    }

    integers! {
        write_i8: i8 => |value| value < 0, value.unsigned_abs();
        write_i16: i16 => |value| value < 0, value.unsigned_abs();
        write_i32: i32 => |value| value < 0, value.unsigned_abs();
        write_i64: i64 => |value| value < 0, value.unsigned_abs();
        write_u8: u8 => |value| false, value;
        write_u16: u16 => |value| false, value;
        write_u32: u32 => |value| false, value;
        write_u64: u64 => |value| false, value;
    }

    fn write_i128<W: ?Sized + io::Write>(&mut self, _: &mut W, value: i128) -> io::Result<()> {
        self.double(value as f64)
    }

    fn write_u128<W: ?Sized + io::Write>(&mut self, _: &mut W, value: u128) -> io::Result<()> {
        self.double(value as f64)
    }

    fn write_f32<W: ?Sized + io::Write>(&mut self, _: &mut W, value: f32) -> io::Result<()> {
        self.double(f64::from(value))
    }

    fn write_f64<W: ?Sized + io::Write>(&mut self, _: &mut W, value: f64) -> io::Result<()> {
        self.double(value)
    }

    fn write_number_str<W: ?Sized + io::Write>(&mut self, _: &mut W, value: &str) -> io::Result<()> {
        self.double(value.parse().map_err(|_| malformed("a number that cannot be read"))?)
    }

    fn begin_string<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.put(b"\"")
    }

    fn end_string<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.put(b"\"")
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, _: &mut W, fragment: &str) -> io::Result<()> {
        self.put(fragment.as_bytes())
    }

    /// §3.2.2.2: the short forms where there are any, `\u` and lower-case digits otherwise; a solidus stays as it is.
    fn write_char_escape<W: ?Sized + io::Write>(&mut self, _: &mut W, escape: CharEscape) -> io::Result<()> {
        let digit = |nibble: u8| HEX_DIGITS[usize::from(nibble & 0xf)];
        match escape {
            CharEscape::Quote => self.put(b"\\\""),
            CharEscape::ReverseSolidus => self.put(b"\\\\"),
            CharEscape::Solidus => self.put(b"/"),
            CharEscape::Backspace => self.put(b"\\b"),
            CharEscape::FormFeed => self.put(b"\\f"),
            CharEscape::LineFeed => self.put(b"\\n"),
            CharEscape::CarriageReturn => self.put(b"\\r"),
            CharEscape::Tab => self.put(b"\\t"),
            CharEscape::AsciiControl(byte) => self.put(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte)]),
        }
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.put(b"[")
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.put(b"]")
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, _: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { self.put(b",") }
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.out.push(b'{');
        self.open.push(Object { begins: self.out.len(), first: self.members.len(), in_order: true });
        Ok(())
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        let object = self.open.pop().ok_or_else(|| malformed("an object that was not begun"))?;
        if !object.in_order {
            self.sort(&object)?;
        }
        self.members.truncate(object.first);
        self.put(b"}")
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, _: &mut W, first: bool) -> io::Result<()> {
        if !first {
            self.out.push(b',');
        }
        let begins = self.out.len();
        self.members.push(Member { key: begins + 1..begins + 1, all: begins..begins });
        Ok(())
    }

    fn end_object_key<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        let ends = self.out.len().saturating_sub(1); // before the closing quote
        let member = self.members.last_mut().ok_or_else(|| malformed("a key outside an object"))?;
        member.key.end = ends;
        Ok(())
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.put(b":")
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.member_done()
    }

    fn write_raw_fragment<W: ?Sized + io::Write>(&mut self, _: &mut W, _: &str) -> io::Result<()> {
        Err(malformed("text that is JSON already"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// The same bytes as the reference implementation.
    fn check<T: Serialize>(value: &T) {
        let expected = serde_json_canonicalizer::to_vec(value).expect("it has a canonical form");
        assert_eq!(String::from_utf8(to_vec(value).expect("it has one")), String::from_utf8(expected));
    }

    #[test]
    fn members_are_sorted_by_utf16() {
        check(&json!({"b": {"z": 1, "a": [{"y": null, "x": true}]}, "a": 1, "A": 2, "": 3}));
        check(&json!({"\u{fb33}": 1, "\u{1f600}": 2, "\u{20ac}": 3, "\r": 4, "\u{80}": 5, "1": 6, "\"": 7, "\\": 8}));
        check(&BTreeMap::from([("a\\".to_owned(), 1), ("a]".to_owned(), 2), ("aZ".to_owned(), 3)]));
    }

    #[test]
    fn integers_are_doubles_beyond_their_exact_range() {
        for value in [0, 1, 9, 10, 99, EXACT_INTEGER_MAX, EXACT_INTEGER_MAX + 1, EXACT_INTEGER_MAX + 2, u64::MAX] {
            check(&value);
            check(&i64::try_from(value).map_or(i64::MIN, |value| -value));
            check(&(u128::from(value), i128::from(value) - 7, 1.5, -0.0, 1e300));
        }
    }

    #[test]
    fn a_key_that_comes_twice_is_refused() {
        struct Twice;
        impl Serialize for Twice {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map([("a", 1), ("b", 2), ("a", 3)])
            }
        }
        assert!(to_vec(&Twice).is_err());
        assert!(to_vec(&BTreeMap::from([((1, 2), 3)])).is_err());
    }

    fn value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![".{0,8}", "[a-z_]{1,6}", "[\\x00-\\x20\"\\\\/é€😀]{0,6}"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1_000_i64..1_000).prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::hash_map(text.clone(), inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_bytes_are_those_of_the_reference(value in value()) {
            check(&value);
        }

        /// Members in any order of coming: `serde_json`'s own map would bring them sorted.
        #[test]
        fn any_order_of_members_gives_the_same_bytes(members in proptest::collection::hash_map(".{0,5}", 0..9, 0..9)) {
            check(&members);
        }
    }
}
