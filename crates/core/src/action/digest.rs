//! Canonical bytes and the digests over them.
//!
//! Canonical means RFC 8785 (JSON Canonicalization Scheme): the same value always has the same bytes, so its SHA-256
//! names the value and not the way it happened to be written.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest, Sha256};

use super::canonical;

/// The RFC 8785 bytes of a value.
///
/// # Errors
/// A value that JSON cannot hold: a map whose keys are not strings.
pub fn canonical<T: Serialize>(value: &T) -> Result<Vec<u8>, NotCanonical> {
    canonical::to_vec(value).map_err(NotCanonical)
}

/// Writes a text as canonical JSON does.
pub(crate) fn append_quoted(out: &mut Vec<u8>, text: &str) {
    canonical::append_quoted(out, text);
}

/// A value that has no canonical JSON form.
#[derive(Debug, thiserror::Error)]
#[error("the value has no canonical form")]
pub struct NotCanonical(#[source] serde_json::Error);

/// SHA-256 of some bytes under a domain label, so that digests of different kinds never meet.
fn labelled(domain: &str, bytes: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(domain.as_bytes());
    hash.update([0]);
    hash.update(bytes);
    hash.finalize().into()
}

/// How long the text of a digest is: `sha256:` and 64 digits.
pub(crate) const TEXT_BYTES: usize = 7 + 64;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// A digest whose bytes have not all come.
#[derive(Debug, Clone)]
pub(super) struct Begun(Sha256);

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident, $domain:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The digest of these bytes, under this kind's own domain label.
            pub fn of(bytes: &[u8]) -> Self {
                Self(labelled($domain, bytes))
            }

            /// Its text.
            pub(crate) fn text(&self) -> [u8; TEXT_BYTES] {
                let mut text = *b"sha256:0000000000000000000000000000000000000000000000000000000000000000";
                for (digits, byte) in text[7..].chunks_exact_mut(2).zip(self.0) {
                    digits[0] = DIGITS[usize::from(byte >> 4)];
                    digits[1] = DIGITS[usize::from(byte & 0xf)];
                }
                text
            }

            /// The raw 32 bytes.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(std::str::from_utf8(&self.text()).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl std::str::FromStr for $name {
            type Err = MalformedDigest;

            fn from_str(text: &str) -> Result<Self, MalformedDigest> {
                let mut raw = [0; 32];
                let hex_part = text.strip_prefix("sha256:").ok_or(MalformedDigest)?;
                hex::decode_to_slice(hex_part, &mut raw).map_err(|_| MalformedDigest)?;
                Ok(Self(raw))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    };
}

/// Text that is not `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest is `sha256:` and 64 hexadecimal digits")]
pub struct MalformedDigest;

digest! {
    /// What an action *is*: who asks, for whom, where, what exactly, in which session. See [`super::Described::digest`].
    ActionDigest, "countersign/action/v1"
}

impl ActionDigest {
    /// Begins a digest of bytes that come in parts.
    pub(super) fn begin(bytes: &[u8]) -> Begun {
        let mut hash = Sha256::new_with_prefix(b"countersign/action/v1\0");
        hash.update(bytes);
        Begun(hash)
    }

    /// The digest of what was begun and these parts.
    pub(super) fn finish(begun: &Begun, parts: &[&[u8]]) -> Self {
        let mut hash = begun.0.clone();
        parts.iter().for_each(|part| hash.update(part));
        Self(hash.finalize().into())
    }
}

digest! {
    /// The exact bytes that would be sent to the upstream.
    PayloadDigest, "countersign/payload/v1"
}
digest! {
    /// What a reviewer was shown.
    CardDigest, "countersign/card/v1"
}
digest! {
    /// Everything that actions alike have in common. See [`crate::pattern`].
    FrameDigest, "countersign/pattern-frame/v1"
}
digest! {
    /// One value of an action that may be approved as a pattern.
    ValueDigest, "countersign/pattern-value/v1"
}
digest! {
    /// A pattern: its frame, its values and how far each may vary, how often and for how long.
    PatternDigest, "countersign/pattern/v1"
}
digest! {
    /// A policy bundle: its schema, its vocabulary and every policy text.
    BundleDigest, "countersign/bundle/v1"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_do_not_meet() {
        assert_ne!(ActionDigest::of(b"x").as_bytes(), CardDigest::of(b"x").as_bytes());
    }

    #[test]
    fn text_round_trips() {
        let digest = ActionDigest::of(b"x");
        assert_eq!(digest.to_string().parse::<ActionDigest>(), Ok(digest));
        assert_eq!("sha256:00".parse::<ActionDigest>(), Err(MalformedDigest));
        assert_eq!(hex::encode(digest.as_bytes()).parse::<ActionDigest>(), Err(MalformedDigest));
    }

    #[test]
    fn canonical_sorts_keys() {
        let value = serde_json::json!({"b": 1, "a": [true, null, "ü"]});
        assert_eq!(canonical(&value).expect("plain JSON"), r#"{"a":[true,null,"ü"],"b":1}"#.as_bytes());
    }
}
