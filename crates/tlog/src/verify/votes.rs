//! Votes, and breakings of glass, that a passkey signed: each is checked against its enrolment, which must stand before it
//! in the log.
//!
//! What is signed is the vote's *intent*: flat JSON of ASCII strings. Its SHA-256, in RFC 8785 form, is the challenge that
//! the passkey signed; its fields must be those of the leaf around it. A vote without a signature rests on the gateway's
//! word alone and is counted as *attested*. Breaking the glass is said in a form of its own, so that neither passes for the
//! other.
//!
//! Held in memory: every passkey enrolled so far, and 32 bytes for each signed vote, so that none counts twice.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::encoding::{from_base64_url, to_hex};
use crate::passkey::{self, Assertion, Expected, PublicKey};

/// Passkeys in one log, at most: about a million.
const PASSKEYS_MAX: usize = 1 << 20;

/// Why a vote that says that it is signed is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VoteError {
    /// It is not of the form that signed votes have.
    #[error("it cannot be read")]
    Malformed,
    /// It names a passkey that was not enrolled before it, or was removed.
    #[error("its passkey was not enrolled before it, or was removed")]
    Passkey,
    /// Its passkey is another person's.
    #[error("its passkey is another person's")]
    Person,
    /// What was signed is another vote than the one recorded.
    #[error("what was signed is not what is recorded")]
    Intent,
    /// The same signature stands in an earlier vote.
    #[error("its signature was used before")]
    Replayed,
    /// The signature proves nothing.
    #[error(transparent)]
    Signature(#[from] passkey::Error),
}

/// What an enrolment says of a passkey.
struct Enrolled {
    person: String,
    credential_sha256: String,
    rp_id: String,
    backup_eligible: bool,
    key: PublicKey,
}

/// The votes so far.
#[derive(Default)]
pub(super) struct Votes {
    passkeys: BTreeMap<String, Enrolled>,
    seen: HashSet<[u8; 32]>,
    signed: u64,
    attested: u64,
    signed_breakings: u64,
    attested_breakings: u64,
    /// The first vote that is not believed.
    bad: Option<(u64, VoteError)>,
}

#[derive(Deserialize)]
struct EnrolmentLeaf {
    what: String,
    id: String,
    person: Option<String>,
    change: String,
    passkey: Option<PasskeyFacts>,
}

#[derive(Deserialize)]
struct PasskeyFacts {
    credential_sha256: String,
    public_key: String,
    rp_id: String,
    backup_eligible: bool,
}

#[derive(Deserialize)]
struct VoteLeaf {
    method: Option<String>,
    review: Option<String>,
    person: Option<String>,
    verdict: Option<String>,
    action_digest: Option<String>,
    card_digest: Option<String>,
    pattern_digest: Option<String>,
    reason_sha256: Option<String>,
    signed: Option<Signed>,
}

#[derive(Deserialize)]
struct Signed {
    intent: Intent,
    passkey: String,
    credential: String,
    authenticator_data: String,
    client_data: String,
    signature: String,
}

/// In the order of RFC 8785, so that it is written as it was hashed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Intent {
    action_digest: String,
    card_digest: String,
    expires_at: String,
    nonce: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pattern_digest: Option<String>,
    person: String,
    policy_digest: String,
    reason_sha256: String,
    review: String,
    #[serde(rename = "type")]
    kind: String,
    verdict: String,
}

/// What a leaf says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Vote,
    BrokenGlass,
}

impl Form {
    /// The `type` of its intents.
    fn kind(self) -> &'static str {
        match self {
            Form::Vote => "countersign/vote/v1",
            Form::BrokenGlass => "countersign/break-glass/v1",
        }
    }
}

impl Votes {
    /// Takes an `identity.enrolled` leaf. Only passkeys matter here.
    pub(super) fn enrolment(&mut self, leaf: &[u8]) {
        let Ok(leaf) = serde_json::from_slice::<EnrolmentLeaf>(leaf) else { return };
        if leaf.what != "passkey" {
            return;
        }
        let enrolled = (leaf.change == "added").then(|| enrolled(&leaf)).flatten();
        match enrolled {
            Some(enrolled) if self.passkeys.len() < PASSKEYS_MAX && !self.passkeys.contains_key(&leaf.id) => {
                self.passkeys.insert(leaf.id, enrolled);
            }
            // removed, or not to be believed: no vote by it is believed from here on
            _ => drop(self.passkeys.remove(&leaf.id)),
        }
    }

    /// Takes a `review.vote` leaf.
    pub(super) fn vote(&mut self, index: u64, leaf: &[u8]) {
        match self.check(Form::Vote, leaf) {
            Ok(true) => self.signed += 1,
            Ok(false) => self.attested += 1,
            Err(error) => {
                self.bad.get_or_insert((index, error));
            }
        }
    }

    /// Takes a `review.glass_broken` leaf.
    pub(super) fn broken_glass(&mut self, index: u64, leaf: &[u8]) {
        match self.check(Form::BrokenGlass, leaf) {
            Ok(true) => self.signed_breakings += 1,
            Ok(false) => self.attested_breakings += 1,
            Err(error) => {
                self.bad.get_or_insert((index, error));
            }
        }
    }

    /// Whether it is signed; an error if it says so wrongly.
    fn check(&mut self, form: Form, leaf: &[u8]) -> Result<bool, VoteError> {
        let leaf: VoteLeaf = serde_json::from_slice(leaf).map_err(|_| VoteError::Malformed)?;
        let Some(signed) = &leaf.signed else {
            let claims = leaf.method.as_deref() == Some("passkey");
            return if claims { Err(VoteError::Malformed) } else { Ok(false) };
        };
        let enrolled = self.passkeys.get(&signed.passkey).ok_or(VoteError::Passkey)?;
        if leaf.person.as_ref() != Some(&enrolled.person) {
            return Err(VoteError::Person);
        }
        if !speaks_of(form, &signed.intent, &leaf) {
            return Err(VoteError::Intent);
        }
        let challenge = challenge(&signed.intent)?;
        verify(enrolled, signed, challenge)?;
        if !self.seen.insert(challenge) {
            return Err(VoteError::Replayed);
        }
        Ok(true)
    }

    pub(super) fn signed(&self) -> u64 {
        self.signed
    }

    pub(super) fn attested(&self) -> u64 {
        self.attested
    }

    pub(super) fn signed_breakings(&self) -> u64 {
        self.signed_breakings
    }

    pub(super) fn attested_breakings(&self) -> u64 {
        self.attested_breakings
    }

    pub(super) fn bad(&self) -> Option<&(u64, VoteError)> {
        self.bad.as_ref()
    }
}

fn enrolled(leaf: &EnrolmentLeaf) -> Option<Enrolled> {
    let facts = leaf.passkey.as_ref()?;
    let key = PublicKey::from_cose(&from_base64_url(&facts.public_key)?).ok()?;
    Some(Enrolled {
        person: leaf.person.clone()?,
        credential_sha256: facts.credential_sha256.clone(),
        rp_id: facts.rp_id.clone(),
        backup_eligible: facts.backup_eligible,
        key,
    })
}

fn speaks_of(form: Form, intent: &Intent, leaf: &VoteLeaf) -> bool {
    let same = |signed: &String, recorded: &Option<String>| recorded.as_ref() == Some(signed);
    let said = match form {
        Form::Vote => same(&intent.verdict, &leaf.verdict) && intent.verdict != "break",
        Form::BrokenGlass => intent.verdict == "break" && same(&intent.reason_sha256, &leaf.reason_sha256),
    };
    said && intent.kind == form.kind()
        && leaf.method.as_deref() == Some("passkey")
        && same(&intent.review, &leaf.review)
        && same(&intent.person, &leaf.person)
        && same(&intent.action_digest, &leaf.action_digest)
        && same(&intent.card_digest, &leaf.card_digest)
        && intent.pattern_digest == leaf.pattern_digest
}

/// serde_json writes strings as RFC 8785 does, and the fields stand in its order.
fn challenge(intent: &Intent) -> Result<[u8; 32], VoteError> {
    let text = serde_json::to_vec(intent).map_err(|_| VoteError::Malformed)?;
    if !text.is_ascii() {
        return Err(VoteError::Malformed);
    }
    Ok(Sha256::digest(&text).into())
}

fn verify(enrolled: &Enrolled, signed: &Signed, challenge: [u8; 32]) -> Result<(), VoteError> {
    let bytes = |text: &str| from_base64_url(text).ok_or(VoteError::Malformed);
    if to_hex(&Sha256::digest(bytes(&signed.credential)?)) != enrolled.credential_sha256 {
        return Err(VoteError::Passkey);
    }
    let (authenticator_data, client_data) = (bytes(&signed.authenticator_data)?, bytes(&signed.client_data)?);
    let signature = bytes(&signed.signature)?;
    let assertion =
        Assertion { authenticator_data: &authenticator_data, client_data: &client_data, signature: &signature };
    let expected = Expected { rp_id: &enrolled.rp_id, challenge, backup_eligible: enrolled.backup_eligible };
    Ok(enrolled.key.verify(assertion, expected)?)
}
