//! Keys of signed notes: their names, identifiers and text form.
//!
//! A verifier key is `name+hex(keyID)+base64(algorithm ‖ public key)`; the key id is the first four bytes of
//! `SHA-256(name ‖ 0x0A ‖ algorithm ‖ public key)`, a hint and never a proof.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

use crate::encoding::{from_base64, to_base64, to_hex};

/// Bytes of a key's name, at most.
const NAME_BYTES_MAX: usize = 255;

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Empty, too long, or with spaces, control characters or `+`.
    #[error("`{0}` is not a key name")]
    Name(String),
    /// Not `name+id+key`.
    #[error("a verifier key reads `name+id+key`")]
    Format,
    /// An algorithm that is not known here.
    #[error("key algorithm {0:#04x} is not supported")]
    Algorithm(u8),
    /// Not a point of the curve, or of a small order.
    #[error("the public key is not valid")]
    PublicKey,
    /// The key id does not follow from name and key.
    #[error("the key id does not match the key")]
    Id,
}

/// Who signs: not empty, no white space, no `+`, at most 255 bytes. For a log: its origin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let unusable = |c: char| c.is_whitespace() || c.is_control() || c == '+' || c == char::REPLACEMENT_CHARACTER;
        let valid = (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(unusable);
        if valid { Ok(Self(text.to_owned())) } else { Err(KeyError::Name(text.escape_debug().to_string())) }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The first four bytes of a key's hash. Written in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 4]);

impl KeyId {
    fn of(name: &KeyName, algorithm: Algorithm, public: &VerifyingKey) -> Self {
        let hash = Sha256::new().chain_update(name.as_str()).chain_update([b'\n', algorithm as u8]);
        let hash: [u8; 32] = hash.chain_update(public.as_bytes()).finalize().into();
        Self([hash[0], hash[1], hash[2], hash[3]])
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

/// How a key signs; the value is its byte in a verifier key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Algorithm {
    /// Ed25519 over the note's text.
    Ed25519 = 0x01,
    /// Ed25519 over a time and the note's text: a witness's (tlog-cosignature v1).
    Ed25519Cosignature = 0x04,
}

impl Algorithm {
    fn from_byte(byte: u8) -> Result<Self, KeyError> {
        match byte {
            0x01 => Ok(Self::Ed25519),
            0x04 => Ok(Self::Ed25519Cosignature),
            other => Err(KeyError::Algorithm(other)),
        }
    }
}

/// A public key and the name it goes by. Parsing checks the key id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: KeyName,
    id: KeyId,
    algorithm: Algorithm,
    public: VerifyingKey,
}

impl VerifierKey {
    pub(super) fn new(name: KeyName, algorithm: Algorithm, public: VerifyingKey) -> Self {
        Self { id: KeyId::of(&name, algorithm, &public), name, algorithm, public }
    }

    /// Who signs with it.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// Its key id.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// How it signs.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Strict Ed25519: signatures with small-order or non-canonical parts are refused.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.public.verify_strict(message, &signature).is_ok())
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Format);
        };
        let name = name.parse()?;
        let key = from_base64(key).ok_or(KeyError::Format)?;
        let (algorithm, public) = key.split_first().ok_or(KeyError::Format)?;
        let algorithm = Algorithm::from_byte(*algorithm)?;
        let public = public.try_into().map_err(|_| KeyError::PublicKey)?;
        let public = VerifyingKey::from_bytes(&public).map_err(|_| KeyError::PublicKey)?;
        if public.is_weak() {
            return Err(KeyError::PublicKey);
        }
        let parsed = Self::new(name, algorithm, public);
        if parsed.id.to_string() == id { Ok(parsed) } else { Err(KeyError::Id) }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.algorithm as u8], &self.public.as_bytes()[..]].concat();
        write!(f, "{}+{}+{}", self.name, self.id, to_base64(&key))
    }
}

/// A log's signing key. The secret is wiped when dropped and never shown.
pub struct Signer {
    secret: SigningKey,
    verifier: VerifierKey,
}

impl Signer {
    /// A signer from a 32-byte Ed25519 seed and the name it signs under.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        Self::with_algorithm(name, seed, Algorithm::Ed25519)
    }

    pub(super) fn with_algorithm(name: &str, seed: &[u8; 32], algorithm: Algorithm) -> Result<Self, KeyError> {
        let secret = SigningKey::from_bytes(seed);
        let verifier = VerifierKey::new(name.parse()?, algorithm, secret.verifying_key());
        Ok(Self { secret, verifier })
    }

    /// The public half, to be published as `log.vkey`.
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.verifier
    }

    pub(super) fn sign_bytes(&self, message: &[u8]) -> [u8; 64] {
        self.secret.sign(message).to_bytes()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}
