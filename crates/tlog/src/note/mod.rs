//! Signed notes: a text, and signatures under named keys.
//!
//! A note is verified as a whole: a bad signature by a key that was given, or anything malformed, refuses it;
//! signatures by other keys are counted and otherwise ignored. Source: <https://c2sp.org/signed-note>. ML-DSA
//! signatures count as signatures by other keys.

mod cosignature;
mod key;

pub use cosignature::Cosigner;
pub use key::{Algorithm, KeyError, KeyId, KeyName, Signer, VerifierKey};

use crate::encoding::{from_base64, to_base64};

/// Bytes of a note, at most.
pub const NOTE_BYTES_MAX: usize = 1_000_000;
/// Signatures on a note, at most.
pub const SIGNATURES_MAX: usize = 100;

/// Begins every signature line: an em dash (U+2014) and a space.
const SIGNATURE_PREFIX: &str = "\u{2014} ";
const KEY_ID_BYTES: usize = 4;

/// Why a note is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Longer than [`NOTE_BYTES_MAX`] bytes.
    #[error("the note is longer than {NOTE_BYTES_MAX} bytes")]
    TooLarge,
    /// Not UTF-8, or with control characters.
    #[error("the note is not plain text")]
    NotText,
    /// No blank line between a text and its signatures, or a line without its end.
    #[error("the note is malformed: it needs a text, a blank line and signature lines")]
    Malformed,
    /// A signature line that is none.
    #[error("signature line {0} of the note is malformed")]
    SignatureLine(usize),
    /// More than [`SIGNATURES_MAX`] signatures.
    #[error("the note has more than {SIGNATURES_MAX} signatures")]
    TooManySignatures,
    /// A signature by a given key does not verify: the text or the signature was changed.
    #[error("the signature by `{0}` does not match the note's text")]
    BadSignature(KeyName),
    /// None of the given keys signed.
    #[error("the note is not signed by a key that was given")]
    Unsigned,
    /// The text to sign is empty, does not end in a newline, or has control characters.
    #[error("the text to sign must be plain text that ends in a newline")]
    Text,
}

/// A signature that verified. Only [`open`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    key: VerifierKey,
    time_seconds: Option<u64>,
}

impl Verified {
    /// The key that signed.
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// For a cosignature: when the witness saw the checkpoint, in seconds since 1970.
    pub fn time_seconds(&self) -> Option<u64> {
        self.time_seconds
    }
}

/// A note of which at least one signature verified. Only [`open`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    text: String,
    verified: Vec<Verified>,
    unknown_count: usize,
}

impl Opened {
    /// The signed text, with its final newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures that verified, one for each key, in the note's order.
    pub fn verified(&self) -> &[Verified] {
        &self.verified
    }

    /// Signatures by keys that were not given.
    pub fn unknown_count(&self) -> usize {
        self.unknown_count
    }
}

/// Verifies a note against `keys`.
pub fn open(note: &[u8], keys: &[VerifierKey]) -> Result<Opened, Error> {
    let (text, signatures) = parse(note)?;
    let mut verified: Vec<Verified> = Vec::new();
    let mut unknown_count = 0;
    for signature in &signatures {
        let Some(key) = keys.iter().find(|key| key.name() == &signature.name && key.id() == signature.key_id) else {
            unknown_count += 1;
            continue;
        };
        let signed = verify(key, text, &signature.bytes).ok_or_else(|| Error::BadSignature(key.name().clone()))?;
        if verified.iter().all(|earlier| earlier.key != signed.key) {
            verified.push(signed);
        }
    }
    if verified.is_empty() {
        return Err(Error::Unsigned);
    }
    Ok(Opened { text: text.to_owned(), verified, unknown_count })
}

fn verify(key: &VerifierKey, text: &str, signature: &[u8]) -> Option<Verified> {
    let time_seconds = match key.algorithm() {
        Algorithm::Ed25519 => key.verify(text.as_bytes(), signature).then_some(None),
        Algorithm::Ed25519Cosignature => cosignature::verify(key, text, signature).map(Some),
    }?;
    Some(Verified { key: key.clone(), time_seconds })
}

/// The text of a well-formed note, whoever signed it.
pub(crate) fn unverified_text(note: &str) -> Result<&str, Error> {
    parse(note.as_bytes()).map(|(text, _)| text)
}

struct SignatureLine {
    name: KeyName,
    key_id: KeyId,
    bytes: Vec<u8>,
}

/// Splits a note at its last blank line.
fn parse(note: &[u8]) -> Result<(&str, Vec<SignatureLine>), Error> {
    if note.len() > NOTE_BYTES_MAX {
        return Err(Error::TooLarge);
    }
    let note = std::str::from_utf8(note).map_err(|_| Error::NotText)?;
    if !is_plain(note) {
        return Err(Error::NotText);
    }
    let blank = note.rfind("\n\n").ok_or(Error::Malformed)?;
    let (text, lines) = (&note[..=blank], &note[blank + 2..]);
    let lines = lines.strip_suffix('\n').ok_or(Error::Malformed)?;
    if lines.split('\n').count() > SIGNATURES_MAX {
        return Err(Error::TooManySignatures);
    }
    let numbered = lines.split('\n').zip(1..);
    let signatures = numbered.map(|(line, number)| signature_line(line).ok_or(Error::SignatureLine(number)));
    Ok((text, signatures.collect::<Result<_, _>>()?))
}

fn signature_line(line: &str) -> Option<SignatureLine> {
    let (name, blob) = line.strip_prefix(SIGNATURE_PREFIX)?.split_once(' ')?;
    let blob = from_base64(blob).filter(|blob| blob.len() > KEY_ID_BYTES)?;
    let (key_id, bytes) = blob.split_at(KEY_ID_BYTES);
    let key_id = KeyId(key_id.try_into().ok()?);
    Some(SignatureLine { name: name.parse().ok()?, key_id, bytes: bytes.to_vec() })
}

fn format_signature_line(name: &KeyName, key_id: KeyId, signature: &[u8]) -> String {
    let blob = [&key_id.0[..], signature].concat();
    format!("{SIGNATURE_PREFIX}{name} {}\n", to_base64(&blob))
}

/// No control characters but newlines, and no replacement characters.
fn is_plain(text: &str) -> bool {
    !text.chars().any(|c| (c < ' ' && c != '\n') || c == char::REPLACEMENT_CHARACTER)
}

/// Whether a text can be signed and found again in the note.
fn is_signable(text: &str) -> bool {
    text.ends_with('\n') && text.len() > 1 && is_plain(text) && text.len() < NOTE_BYTES_MAX / 2
}

impl Signer {
    /// Signs `text` (which must end in a newline) and returns the note.
    pub fn sign(&self, text: &str) -> Result<String, Error> {
        if !is_signable(text) {
            return Err(Error::Text);
        }
        let signature = self.sign_bytes(text.as_bytes());
        let key = self.verifier_key();
        Ok(format!("{text}\n{}", format_signature_line(key.name(), key.id(), &signature)))
    }
}
