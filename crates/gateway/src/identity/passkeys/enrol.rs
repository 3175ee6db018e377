//! Enrolment: what a browser is asked to make, and what of its answer is kept.

use countersign_core::action::{PersonId, Timestamp};
use countersign_core::record::EnrolledPasskey;
use serde::{Deserialize, Serialize};
use serde_cbor_2::Value;
use sha2::{Digest as _, Sha256};
use webauthn_rs_core::internals::AuthenticatorData;
use webauthn_rs_core::proto::{Credential, Registration, RegistrationState};
use webauthn_rs_proto::{
    AttestationConveyancePreference, COSEAlgorithm, CreationChallengeResponse, PublicKeyCredentialCreationOptions,
    RegisterPublicKeyCredential, ResidentKeyRequirement, UserVerificationPolicy,
};

use super::{RelyingParty, base64, challenge_of, from_base64, user_handle, words};
use crate::ports::{Passkey, Person};

/// The longest id of a credential that is taken: WebAuthn level 3, section 4, allows 1,023 bytes.
const CREDENTIAL_ID_BYTES_MAX: usize = 1_023;
/// The longest public key that is taken: RSA with 4,096 bits has 526 bytes.
const PUBLIC_KEY_BYTES_MAX: usize = 1_024;

/// A browser's new credential, as its `toJSON` writes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct Creation(RegisterPublicKeyCredential);

impl Creation {
    /// What was asked, by its challenge; unchecked.
    pub fn challenge(&self) -> Option<[u8; 32]> {
        challenge_of(&self.0.response.client_data_json)
    }
}

/// An enrolment under way.
#[derive(Debug)]
pub struct Started {
    /// What the browser is asked, as its `parseCreationOptionsFromJSON` reads it.
    pub options: PublicKeyCredentialCreationOptions,
    /// Its challenge.
    pub challenge: [u8; 32],
    /// What must be known when the answer comes; without secrets.
    pub state: String,
}

/// Why a passkey was not enrolled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnrolError {
    /// The browser's or the authenticator's answer is not acceptable.
    #[error("{0}")]
    Refused(String),
    /// Something of ours is not as expected.
    #[error("the enrolment could not be prepared: {0}")]
    Internal(String),
}

/// The state of an enrolment as written down.
#[derive(Serialize, Deserialize)]
struct Pending {
    person: PersonId,
    local: bool,
    state: RegistrationState,
}

impl RelyingParty {
    /// Begins an enrolment for a person. `local` says that they signed in with what the gateway's own host minted.
    ///
    /// # Errors
    /// [`EnrolError::Internal`].
    pub fn start(&self, person: &Person, local: bool, have: &[Passkey]) -> Result<Started, EnrolError> {
        let internal = |error: &dyn std::fmt::Debug| EnrolError::Internal(format!("{error:?}"));
        let known = have.iter().filter_map(|passkey| from_base64(&passkey.credential)).collect();
        let builder = self
            .core
            .new_challenge_register_builder(&user_handle(&person.id), &person.name, &person.name)
            .map_err(|error| internal(&error))?
            .attestation(AttestationConveyancePreference::Direct)
            .user_verification_policy(UserVerificationPolicy::Required)
            .credential_algorithms(vec![COSEAlgorithm::ES256, COSEAlgorithm::RS256])
            .exclude_credentials(Some(known));
        let (CreationChallengeResponse { mut public_key }, state) =
            self.core.generate_challenge_register(builder).map_err(|error| internal(&error))?;
        if let Some(selection) = &mut public_key.authenticator_selection {
            selection.resident_key = Some(ResidentKeyRequirement::Preferred);
        }
        let challenge = public_key.challenge.as_slice().try_into().map_err(|error| internal(&error))?;
        let pending = Pending { person: person.id.clone(), local, state };
        let state = serde_json::to_string(&pending).map_err(|error| internal(&error))?;
        Ok(Started { options: public_key, challenge, state })
    }

    /// Ends an enrolment with the browser's answer.
    ///
    /// # Errors
    /// [`EnrolError`]; the enrolment is over then too.
    pub fn finish(
        &self,
        person: &PersonId,
        state: &str,
        answer: &Creation,
        label: String,
        now: Timestamp,
    ) -> Result<Passkey, EnrolError> {
        let pending: Pending = serde_json::from_str(state).map_err(|error| EnrolError::Internal(error.to_string()))?;
        if &pending.person != person {
            return Err(EnrolError::Refused("this enrolment was begun by somebody else".to_owned()));
        }
        let credential = self.core.register_credential(&answer.0, &pending.state, None);
        let credential = credential.map_err(|error| EnrolError::Refused(words(&error)))?;
        if !credential.user_verified {
            return Err(EnrolError::Refused(words(&webauthn_rs_core::error::WebauthnError::UserNotVerified)));
        }
        let enrolled = self.facts(&credential, &answer.0.response.attestation_object)?;
        let verifier = serde_json::to_value(&credential).map_err(|error| EnrolError::Internal(error.to_string()))?;
        Ok(Passkey {
            id: uuid::Uuid::now_v7().to_string(),
            person: person.clone(),
            label,
            credential: base64(&credential.cred_id),
            verifier,
            counter: credential.counter,
            synced: credential.backup_state,
            enrolled,
            local: pending.local,
            added_at: now,
            used_at: None,
        })
    }

    /// What the record says of a credential that was just verified.
    fn facts(&self, credential: &Credential, attestation_object: &[u8]) -> Result<EnrolledPasskey, EnrolError> {
        let (aaguid, public_key) = attested(credential, attestation_object)
            .ok_or_else(|| EnrolError::Refused("its attested data cannot be read".to_owned()))?;
        if credential.cred_id.len() > CREDENTIAL_ID_BYTES_MAX || public_key.len() > PUBLIC_KEY_BYTES_MAX {
            return Err(EnrolError::Refused("its id or its key is too long".to_owned()));
        }
        let format = serde_json::to_value(&credential.attestation_format).ok();
        Ok(EnrolledPasskey {
            credential_sha256: hex::encode(Sha256::digest(&credential.cred_id)),
            public_key: base64(&public_key),
            rp_id: self.rp_id.clone(),
            aaguid: hex::encode(aaguid),
            attestation: format.as_ref().and_then(|name| name.as_str()).unwrap_or("none").to_owned(),
            backup_eligible: credential.backup_eligible,
            synced: credential.backup_state,
        })
    }
}

/// The authenticator's model and the public key as a COSE key, out of an attestation object that was verified before.
fn attested(credential: &Credential, attestation_object: &[u8]) -> Option<([u8; 16], Vec<u8>)> {
    let Value::Map(fields) = serde_cbor_2::from_slice(attestation_object).ok()? else { return None };
    let Value::Bytes(data) = fields.get(&Value::Text("authData".to_owned()))? else { return None };
    let data = AuthenticatorData::<Registration>::try_from(data.as_slice()).ok()?.acd?;
    let is_same = data.credential_id == credential.cred_id;
    let key = serde_cbor_2::to_vec(&data.credential_pk).ok()?;
    is_same.then_some((data.aaguid, key))
}
