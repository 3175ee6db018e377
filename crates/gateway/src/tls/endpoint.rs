//! The `tls-server-end-point` channel binding: a hash of the server's certificate that both ends can compute.
//!
//! The hash function is that of the certificate's signature, SHA-256 in place of MD5 and SHA-1 (RFC 5929 §4.1). Only the
//! few bytes of DER that name it are read here; the certificate itself is rustls' business.

use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

/// `1.2.840.113549.1.1`: RSA signatures.
const PKCS1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
/// `1.2.840.10045.4`: ECDSA signatures.
const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];
/// `2.16.840.1.101.3.4.2`: the SHA-2 family, as RSA-PSS names it.
const SHA2: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
const EXPLICIT_0: u8 = 0xa0;

#[derive(Clone, Copy)]
enum Hash {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// The binding of a certificate in DER form; `None` where none is defined (Ed25519, or no certificate at all): then
/// channel binding is not offered and not used.
pub fn endpoint_hash(certificate: &[u8]) -> Option<Vec<u8>> {
    Some(match signature_hash(certificate)? {
        Hash::Sha224 => Sha224::digest(certificate).to_vec(),
        Hash::Sha256 => Sha256::digest(certificate).to_vec(),
        Hash::Sha384 => Sha384::digest(certificate).to_vec(),
        Hash::Sha512 => Sha512::digest(certificate).to_vec(),
    })
}

/// `Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { OID, parameters }, signature }`
fn signature_hash(certificate: &[u8]) -> Option<Hash> {
    let (body, _) = expect(certificate, SEQUENCE)?;
    let (_, after_tbs) = expect(body, SEQUENCE)?;
    let (algorithm, _) = expect(after_tbs, SEQUENCE)?;
    let (oid, parameters) = expect(algorithm, OBJECT_IDENTIFIER)?;
    if let Some(rest) = oid.strip_prefix(PKCS1) {
        return match rest {
            [4 | 5 | 11] => Some(Hash::Sha256),
            [10] => pss_hash(parameters),
            [12] => Some(Hash::Sha384),
            [13] => Some(Hash::Sha512),
            [14] => Some(Hash::Sha224),
            _ => None,
        };
    }
    match oid.strip_prefix(ECDSA)? {
        [1] | [3, 2] => Some(Hash::Sha256),
        [3, 1] => Some(Hash::Sha224),
        [3, 3] => Some(Hash::Sha384),
        [3, 4] => Some(Hash::Sha512),
        _ => None,
    }
}

/// `RSASSA-PSS-params ::= SEQUENCE { [0] hashAlgorithm DEFAULT sha1, … }` (RFC 4055 §3.1)
fn pss_hash(parameters: &[u8]) -> Option<Hash> {
    let (parameters, _) = expect(parameters, SEQUENCE)?;
    let Some((hash, _)) = expect(parameters, EXPLICIT_0) else { return Some(Hash::Sha256) };
    let (algorithm, _) = expect(hash, SEQUENCE)?;
    let (oid, _) = expect(algorithm, OBJECT_IDENTIFIER)?;
    match oid.strip_prefix(SHA2)? {
        [1] => Some(Hash::Sha256),
        [2] => Some(Hash::Sha384),
        [3] => Some(Hash::Sha512),
        [4] => Some(Hash::Sha224),
        _ => None,
    }
}

/// The content of the element at the front, which must have this tag, and what follows it.
fn expect(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&short, rest) = rest.split_first()?;
    let (length, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        0x81..=0x84 => {
            let (long, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            (long.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    if found == tag { rest.split_at_checked(length) } else { None }
}
