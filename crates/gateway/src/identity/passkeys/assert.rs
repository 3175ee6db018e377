//! Assertions: what a browser is asked to sign for a vote, and the check of what it signed.

use countersign_core::action::PersonId;
use countersign_core::review::intent::{INTENT_SECONDS, Intent, SignedIntent};
use serde::Deserialize;
use serde_json::json;
use webauthn_rs_core::error::WebauthnError;
use webauthn_rs_core::proto::{AuthenticationState, Credential};
use webauthn_rs_proto::PublicKeyCredential;

use super::{Descriptor, RelyingParty, RequestOptions, base64, challenge_of, user_handle, words};
use crate::ports::Passkey;

/// The most bytes of a browser's answer that go into the record, before they are written as base64url.
const ANSWER_BYTES_MAX: usize = 8 * 1024;

/// A browser's signature, as its `toJSON` writes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct Assertion(PublicKeyCredential);

impl Assertion {
    /// What was asked, by its challenge; unchecked.
    pub fn challenge(&self) -> Option<[u8; 32]> {
        challenge_of(&self.0.response.client_data_json)
    }

    fn bytes(&self) -> usize {
        let answer = &self.0.response;
        answer.authenticator_data.len() + answer.client_data_json.len() + answer.signature.len() + self.0.raw_id.len()
    }
}

/// Proof that a person's passkey signed an intent; only [`RelyingParty::verify`] makes one.
#[derive(Debug, Clone)]
pub struct Asserted {
    passkey: Passkey,
    signed: SignedIntent,
}

impl Asserted {
    /// The passkey, with the counter and the state it showed.
    pub fn passkey(&self) -> &Passkey {
        &self.passkey
    }

    /// For the record.
    pub fn signed(&self) -> &SignedIntent {
        &self.signed
    }
}

/// An assertion that proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

impl RelyingParty {
    /// What a browser is asked to sign with one of these passkeys.
    pub fn ask(&self, challenge: &[u8; 32], passkeys: &[Passkey]) -> RequestOptions {
        let descriptor = |passkey: &Passkey| Descriptor { kind: "public-key", id: passkey.credential.clone() };
        RequestOptions {
            challenge: base64(challenge),
            timeout: INTENT_SECONDS.unsigned_abs() * 1_000,
            rp_id: self.rp_id.clone(),
            allow_credentials: passkeys.iter().map(descriptor).collect(),
            user_verification: "required",
        }
    }

    /// Checks that one of a person's passkeys signed an intent: its challenge, on a page of ours, by a verified user, with
    /// a counter that did not go back.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn verify(
        &self,
        person: &PersonId,
        passkeys: &[Passkey],
        intent: Intent,
        assertion: &Assertion,
    ) -> Result<Asserted, Refused> {
        let Assertion(answer) = assertion;
        if assertion.bytes() > ANSWER_BYTES_MAX {
            return Err(Refused("the signature is longer than any should be".to_owned()));
        }
        let credential = base64(&answer.raw_id);
        let not_theirs = || Refused(words(&WebauthnError::CredentialNotFound));
        let passkey = passkeys.iter().find(|passkey| passkey.credential == credential && &passkey.person == person);
        let passkey = passkey.ok_or_else(not_theirs)?;
        if answer.response.user_handle.as_ref().is_some_and(|handle| handle.as_slice() != user_handle(person)) {
            return Err(not_theirs());
        }
        same_page(&answer.response.client_data_json)?;
        let challenge = intent.challenge().map_err(|error| Refused(error.to_string()))?;
        let state =
            state(passkey, &challenge).map_err(|error| Refused(format!("the passkey cannot be read: {error}")))?;
        let result = self.core.authenticate_credential(answer, &state).map_err(|error| Refused(words(&error)))?;
        if !result.user_verified() {
            return Err(Refused(words(&WebauthnError::UserNotVerified)));
        }
        let signed = SignedIntent {
            intent,
            passkey: passkey.id.clone(),
            credential,
            authenticator_data: base64(&answer.response.authenticator_data),
            client_data: base64(&answer.response.client_data_json),
            signature: base64(&answer.response.signature),
        };
        let passkey = Passkey { counter: result.counter(), synced: result.backup_state(), ..passkey.clone() };
        Ok(Asserted { passkey, signed })
    }
}

/// Refuses what was signed inside a frame of another site (WebAuthn level 3, section 7.2, steps 12 and 13).
fn same_page(client_data: &[u8]) -> Result<(), Refused> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Said {
        #[serde(default)]
        cross_origin: bool,
        #[serde(default)]
        top_origin: Option<String>,
    }
    let said: Said = serde_json::from_slice(client_data).map_err(|_| Refused("it cannot be read".to_owned()))?;
    if said.cross_origin || said.top_origin.is_some() {
        return Err(Refused(words(&WebauthnError::InvalidRPOrigin)));
    }
    Ok(())
}

/// The state that the verifier would have made, had it drawn this challenge.
fn state(passkey: &Passkey, challenge: &[u8; 32]) -> Result<AuthenticationState, serde_json::Error> {
    let mut credential: Credential = serde_json::from_value(passkey.verifier.clone())?;
    credential.counter = passkey.counter;
    credential.backup_state = passkey.synced;
    serde_json::from_value(json!({
        "credentials": [credential],
        "policy": "required",
        "challenge": base64(challenge),
        "appid": null,
        "allow_backup_eligible_upgrade": false,
    }))
}
