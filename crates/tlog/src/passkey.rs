//! Checking a passkey's signature with nothing but its public key (WebAuthn level 3, section 7.2).
//!
//! Two algorithms, those that the gateway lets enrol: ES256 and RS256. The key is a COSE key (RFC 9052, section 7), of
//! which only the few fields of these two are read; everything else is refused.

use std::collections::BTreeMap;

use p256::ecdsa::signature::Verifier as _;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// Flags of the authenticator data (section 6.1).
const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const BACKUP_ELIGIBLE: u8 = 0x08;
/// The authenticator data's fixed part: hash of the relying party, flags, counter.
const HEADER_BYTES: usize = 32 + 1 + 4;
/// An RSA key has at least so many bytes: 2,048 bits.
const RSA_BYTES_MIN: usize = 256;
/// And at most so many: 4,096 bits.
const RSA_BYTES_MAX: usize = 512;

/// A passkey's public key.
#[derive(Debug, Clone)]
pub enum PublicKey {
    /// ECDSA on P-256 with SHA-256.
    Es256(p256::ecdsa::VerifyingKey),
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256(rsa::pkcs1v15::VerifyingKey<Sha256>),
}

/// What a browser and an authenticator said and signed.
#[derive(Debug, Clone, Copy)]
pub struct Assertion<'a> {
    /// What the authenticator said of itself.
    pub authenticator_data: &'a [u8],
    /// What the browser said.
    pub client_data: &'a [u8],
    /// Over both.
    pub signature: &'a [u8],
}

/// What an assertion must be for.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The relying party: a host's name.
    pub rp_id: &'a str,
    /// The challenge.
    pub challenge: [u8; 32],
    /// Whether copies of the passkey may exist, as it said when it was enrolled.
    pub backup_eligible: bool,
}

/// Why a signature proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a COSE key of ES256 or RS256.
    #[error("the passkey's public key cannot be used")]
    Key,
    /// Not the JSON or the bytes that WebAuthn describes.
    #[error("the passkey's answer cannot be read")]
    Malformed,
    /// For something else.
    #[error("the passkey signed for another challenge")]
    Challenge,
    /// On a page of somebody else.
    #[error("the passkey signed on a page of another site")]
    Site,
    /// Nobody was there, or nobody proved to be its holder.
    #[error("the passkey did not verify its user")]
    User,
    /// It says of itself what it did not say when it was enrolled.
    #[error("the passkey is not of the kind that was enrolled")]
    Kind,
    /// The signature is not by this key over these bytes.
    #[error("the passkey's signature is wrong")]
    Signature,
}

impl PublicKey {
    /// Reads a COSE key.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn from_cose(bytes: &[u8]) -> Result<Self, Error> {
        let fields = cose(bytes).ok_or(Error::Key)?;
        let number = |label: i64| match fields.get(&label) {
            Some(Item::Number(number)) => Some(*number),
            Some(Item::Bytes(_)) | None => None,
        };
        let text = |label: i64| match fields.get(&label) {
            Some(Item::Bytes(bytes)) => Ok(*bytes),
            Some(Item::Number(_)) | None => Err(Error::Key),
        };
        match (number(1), number(3), number(-1)) {
            (Some(2), Some(-7), Some(1)) => es256(text(-2)?, text(-3)?),
            (Some(3), Some(-257), None) => rs256(text(-1)?, text(-2)?),
            _ => Err(Error::Key),
        }
    }

    /// Checks that this key's holder, verified, signed for what is expected.
    ///
    /// # Errors
    /// [`Error`].
    pub fn verify(&self, assertion: Assertion<'_>, expected: Expected<'_>) -> Result<(), Error> {
        check_client_data(assertion.client_data, expected)?;
        check_authenticator_data(assertion.authenticator_data, expected)?;
        let mut signed = assertion.authenticator_data.to_vec();
        signed.extend_from_slice(&Sha256::digest(assertion.client_data));
        let verified = match self {
            Self::Es256(key) => {
                let signature = p256::ecdsa::Signature::from_der(assertion.signature);
                signature.is_ok_and(|signature| key.verify(&signed, &signature).is_ok())
            }
            Self::Rs256(key) => {
                let signature = rsa::pkcs1v15::Signature::try_from(assertion.signature);
                signature.is_ok_and(|signature| key.verify(&signed, &signature).is_ok())
            }
        };
        if verified { Ok(()) } else { Err(Error::Signature) }
    }
}

fn es256(x: &[u8], y: &[u8]) -> Result<PublicKey, Error> {
    if x.len() != 32 || y.len() != 32 {
        return Err(Error::Key);
    }
    let point = [&[4], x, y].concat(); // uncompressed (SEC 1, section 2.3.3)
    p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).map(PublicKey::Es256).map_err(|_| Error::Key)
}

fn rs256(modulus: &[u8], exponent: &[u8]) -> Result<PublicKey, Error> {
    if !(RSA_BYTES_MIN..=RSA_BYTES_MAX).contains(&modulus.len()) || exponent.len() > 4 {
        return Err(Error::Key);
    }
    let number = rsa::BoxedUint::from_be_slice_vartime;
    let key = rsa::RsaPublicKey::new(number(modulus), number(exponent)).map_err(|_| Error::Key)?;
    Ok(PublicKey::Rs256(rsa::pkcs1v15::VerifyingKey::new(key)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
    #[serde(default)]
    top_origin: Option<String>,
}

fn check_client_data(client_data: &[u8], expected: Expected<'_>) -> Result<(), Error> {
    let said: ClientData = serde_json::from_slice(client_data).map_err(|_| Error::Malformed)?;
    if said.kind != "webauthn.get" {
        return Err(Error::Malformed);
    }
    if crate::encoding::from_base64_url(&said.challenge).as_deref() != Some(&expected.challenge) {
        return Err(Error::Challenge);
    }
    if host_of(&said.origin) != Some(expected.rp_id) || said.cross_origin || said.top_origin.is_some() {
        return Err(Error::Site);
    }
    Ok(())
}

/// The host of an origin: what is between the scheme and the port.
fn host_of(origin: &str) -> Option<&str> {
    let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"))?;
    let (host, port) = rest.split_once(':').unwrap_or((rest, "0"));
    port.bytes().all(|byte| byte.is_ascii_digit()).then_some(host)
}

fn check_authenticator_data(data: &[u8], expected: Expected<'_>) -> Result<(), Error> {
    let header = data.get(..HEADER_BYTES).ok_or(Error::Malformed)?;
    let flags = header[32];
    if header[..32] != Sha256::digest(expected.rp_id.as_bytes())[..] {
        return Err(Error::Site);
    }
    if flags & USER_PRESENT == 0 || flags & USER_VERIFIED == 0 {
        return Err(Error::User);
    }
    if (flags & BACKUP_ELIGIBLE != 0) != expected.backup_eligible {
        return Err(Error::Kind);
    }
    Ok(())
}

/// What of CBOR (RFC 8949) is in a COSE key.
enum Item<'a> {
    Number(i64),
    Bytes(&'a [u8]),
}

/// A map of small numbers to numbers and bytes, and nothing after it.
fn cose(bytes: &[u8]) -> Option<BTreeMap<i64, Item<'_>>> {
    let mut rest = bytes;
    let (5, count) = head(&mut rest)? else { return None };
    let mut fields = BTreeMap::new();
    for _ in 0..count {
        let label = integer(head(&mut rest)?)?;
        let item = match head(&mut rest)? {
            (2, length) => {
                let (value, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                rest = after;
                Item::Bytes(value)
            }
            other => Item::Number(integer(other)?),
        };
        if fields.insert(label, item).is_some() {
            return None;
        }
    }
    rest.is_empty().then_some(fields)
}

/// The major type of an item and its number, of at most 16 bits (section 3).
fn head(rest: &mut &[u8]) -> Option<(u8, u64)> {
    let (first, after) = rest.split_first()?;
    let length = match first & 0x1f {
        0..=23 => 0,
        24 => 1,
        25 => 2,
        _ => return None,
    };
    let (number, after) = after.split_at_checked(length)?;
    *rest = after;
    let value = number.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    Some((first >> 5, if length == 0 { u64::from(first & 0x1f) } else { value }))
}

fn integer((major, number): (u8, u64)) -> Option<i64> {
    let number = i64::try_from(number).ok()?;
    match major {
        0 => Some(number),
        1 => Some(-1 - number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_none_are_refused() {
        let es256 =
            |x: &[u8]| [&[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32], x, &[0x22, 0x58, 32], &[7; 32]].concat();
        let key = |bytes: &[u8]| PublicKey::from_cose(bytes).err();
        assert_eq!(key(&es256(&[7; 32])), Some(Error::Key), "not on the curve");
        let twice = [0xa2, 1, 2, 1, 2];
        let after = [0xa1, 1, 2, 0];
        let long = [0xa1, 1, 0x42, 0];
        let deep = [0xa1, 1, 0xa0];
        for bytes in [&[][..], &[0xa5], &[0xff; 40], &twice, &after, &long, &deep, &[0x80]] {
            assert_eq!(key(bytes), Some(Error::Key), "{bytes:?}");
        }
    }

    #[test]
    fn the_host_of_an_origin_is_all_of_it() {
        let check = |origin, expected| assert_eq!(host_of(origin), expected, "{origin}");
        check("https://sign.example.org", Some("sign.example.org"));
        check("http://localhost:8470", Some("localhost"));
        check("https://sign.example.org:8443.evil.net", None);
        check("https://user@sign.example.org", Some("user@sign.example.org"));
        check("file:///x", None);
        check("null", None);
    }
}
