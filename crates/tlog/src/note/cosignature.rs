//! Cosignatures: a witness's word that it saw a checkpoint at a time and that it extends those it saw before.
//!
//! The signature covers a header with the time and the checkpoint's text; on the note it reads
//! `uint64be time ‖ Ed25519 signature`. Source: <https://c2sp.org/tlog-cosignature>.

use super::key::{Algorithm, KeyError, Signer, VerifierKey};
use super::{Error, format_signature_line, parse};

const TIME_BYTES: usize = 8;

/// A witness's signing key. It judges nothing: whoever calls it has checked consistency.
#[derive(Debug)]
pub struct Cosigner {
    signer: Signer,
}

impl Cosigner {
    /// A cosigner from a 32-byte Ed25519 seed and the witness's name.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        Ok(Self { signer: Signer::with_algorithm(name, seed, Algorithm::Ed25519Cosignature)? })
    }

    /// The public half.
    pub fn verifier_key(&self) -> &VerifierKey {
        self.signer.verifier_key()
    }

    /// The note with this witness's signature line added; `time_seconds` counts from 1970.
    pub fn cosign(&self, note: &str, time_seconds: u64) -> Result<String, Error> {
        let (text, _) = parse(note.as_bytes())?;
        let signature = self.signer.sign_bytes(message(text, time_seconds).as_bytes());
        let blob = [&time_seconds.to_be_bytes()[..], &signature].concat();
        let key = self.verifier_key();
        Ok(format!("{note}{}", format_signature_line(key.name(), key.id(), &blob)))
    }
}

fn message(text: &str, time_seconds: u64) -> String {
    format!("cosignature/v1\ntime {time_seconds}\n{text}")
}

/// The time of a cosignature that verifies.
pub(super) fn verify(key: &VerifierKey, text: &str, blob: &[u8]) -> Option<u64> {
    let (time, signature) = blob.split_first_chunk::<TIME_BYTES>()?;
    let time_seconds = u64::from_be_bytes(*time);
    key.verify(message(text, time_seconds).as_bytes(), signature).then_some(time_seconds)
}
