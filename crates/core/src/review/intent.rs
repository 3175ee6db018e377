//! What a passkey signs when a person votes or breaks the glass: one statement that binds it to all it depends on.
//!
//! The WebAuthn challenge of a vote is the SHA-256 of the intent's RFC 8785 JSON, nothing before and nothing after it. The
//! `type` is its domain: no other challenge of this product is made of such a text. The record of the vote holds the
//! intent beside the assertion, so anyone can compute the challenge anew and check the signature over it, with nothing of
//! ours: `docs/guide/passkeys.md` says how.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::action::digest::{NotCanonical, canonical};
use crate::action::{ActionDigest, BundleDigest, CardDigest, PatternDigest, PersonId, ReviewId, Timestamp};

use super::{Matter, Verdict};

/// How long a person has between asking to sign and the signed vote: 2 minutes.
pub const INTENT_SECONDS: i64 = 120;

/// The statement. Every field is an ASCII string in its JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// What kind of statement this is.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The review.
    pub review: ReviewId,
    /// Who votes.
    pub person: PersonId,
    /// What they say.
    pub verdict: Word,
    /// The action they saw.
    pub action_digest: ActionDigest,
    /// The card they saw.
    pub card_digest: CardDigest,
    /// The pattern they approve, if it is more than this action alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern_digest: Option<PatternDigest>,
    /// The policies that asked.
    pub policy_digest: BundleDigest,
    /// SHA-256 of the reason as UTF-8, in hexadecimal; of nothing when none is given.
    pub reason_sha256: String,
    /// Until when the vote must have arrived.
    pub expires_at: Timestamp,
    /// 256 random bits, in hexadecimal.
    pub nonce: String,
}

/// The domain of an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A vote on a review, first version.
    #[serde(rename = "countersign/vote/v1")]
    VoteV1,
    /// The breaking of the glass on a review, first version.
    #[serde(rename = "countersign/break-glass/v1")]
    BreakGlassV1,
}

/// What somebody says of a review by signing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// Let it run.
    Approve,
    /// Stop it.
    Reject,
    /// Let it run on this person alone.
    Break,
}

impl From<Verdict> for Word {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Approve => Word::Approve,
            Verdict::Reject => Word::Reject,
        }
    }
}

impl Word {
    /// The domain of statements that say it: a vote and a breaking are never taken for one another.
    fn kind(self) -> Kind {
        match self {
            Word::Approve | Word::Reject => Kind::VoteV1,
            Word::Break => Kind::BreakGlassV1,
        }
    }
}

impl Intent {
    /// What a person would sign to say something of a review now.
    pub fn new(
        matter: &Matter,
        person: PersonId,
        verdict: impl Into<Word>,
        reason: Option<&str>,
        now: Timestamp,
        nonce: [u8; 32],
    ) -> Self {
        let verdict = verdict.into();
        Self {
            kind: verdict.kind(),
            review: matter.id.clone(),
            person,
            verdict,
            action_digest: matter.action,
            card_digest: matter.card,
            pattern_digest: None,
            policy_digest: matter.terms.bundle,
            reason_sha256: text_sha256(reason.unwrap_or_default()),
            expires_at: now.plus_seconds(INTENT_SECONDS),
            nonce: hex::encode(nonce),
        }
    }

    /// The same for an approval of a pattern.
    #[must_use]
    pub fn of_pattern(self, pattern_digest: Option<PatternDigest>) -> Self {
        Self { pattern_digest, ..self }
    }

    /// Whether it is of the form that a word has, and says it.
    pub fn says(&self, word: Word) -> bool {
        self.verdict == word && self.kind == word.kind()
    }

    /// Whether this was signed for a reason.
    pub fn has_reason(&self, reason: Option<&str>) -> bool {
        self.reason_sha256 == text_sha256(reason.unwrap_or_default())
    }

    /// The WebAuthn challenge: SHA-256 of the RFC 8785 JSON.
    ///
    /// # Errors
    /// [`NotCanonical`]; strings always have a canonical form.
    pub fn challenge(&self) -> Result<[u8; 32], NotCanonical> {
        Ok(Sha256::digest(canonical(self)?).into())
    }
}

/// SHA-256 of what somebody wrote as UTF-8, in hexadecimal: how the record holds it.
pub fn text_sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// A vote's signature with all that is needed to check it, as it stands in the record. Binary fields are base64url.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedIntent {
    /// What was signed for.
    pub intent: Intent,
    /// The passkey's handle, which its enrolment names.
    pub passkey: String,
    /// The credential's id.
    pub credential: String,
    /// What the authenticator said of itself (WebAuthn level 3, section 6.1).
    pub authenticator_data: String,
    /// What the browser said (section 5.8.1); the challenge is in it.
    pub client_data: String,
    /// Over the authenticator data and the SHA-256 of the client data.
    pub signature: String,
}

/// The passkey behind a vote, as policy sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasskeyUse {
    /// Its handle.
    pub id: String,
    /// Whether copies of it can exist on other devices.
    pub synced: bool,
    /// Enrolled by somebody who had signed in with what the gateway's own host minted.
    pub local: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vector: whoever writes a verifier can begin here.
    #[test]
    fn the_challenge_is_the_hash_of_this_text() {
        let intent = Intent {
            kind: Kind::VoteV1,
            review: ReviewId::new("0199f0a2-5f0e-7cc1-b6a1-1f6d5a0c1e11"),
            person: PersonId::new("p_dora"),
            verdict: Word::Approve,
            action_digest: ActionDigest::of(b"action"),
            card_digest: CardDigest::of(b"card"),
            pattern_digest: None,
            policy_digest: BundleDigest::of(b"bundle"),
            reason_sha256: text_sha256("checked with finance"),
            expires_at: Timestamp::from_micros(1_795_341_600_000_000),
            nonce: hex::encode([7; 32]),
        };
        let text = String::from_utf8(canonical(&intent).expect("canonical")).expect("UTF-8");
        let expected = concat!(
            "{",
            r#""action_digest":"sha256:0bec6cc788b41fdd00a8568ccf52139a4cc71fa8ea23060f9f3e513e91cd8097","#,
            r#""card_digest":"sha256:999dec79c66be4113461f4c194676a3507023d3b724dfe665f8b4370c0349f21","#,
            r#""expires_at":"2026-11-22T10:00:00.000000Z","#,
            r#""nonce":"0707070707070707070707070707070707070707070707070707070707070707","#,
            r#""person":"p_dora","#,
            r#""policy_digest":"sha256:77f5eb72e6464676ea492014060adb8952af48b176872c840b5d7ea14a301760","#,
            r#""reason_sha256":"eadbda669817f4cf358e40246e47bc00d3d96b305afd3b962fd57ff38a2b20fe","#,
            r#""review":"0199f0a2-5f0e-7cc1-b6a1-1f6d5a0c1e11","#,
            r#""type":"countersign/vote/v1","#,
            r#""verdict":"approve""#,
            "}"
        );
        assert_eq!(text, expected);
        let challenge = "592a17e9b3ec17d1c82a0e3d050178ca34aaffeb9badc3e0b3b391dea118af50";
        assert_eq!(hex::encode(intent.challenge().expect("canonical")), challenge);
        assert!(intent.has_reason(Some("checked with finance")) && !intent.has_reason(None));
    }

    /// A vote that says `break`, or a breaking that says `approve`, is neither.
    #[test]
    fn a_word_has_one_form() {
        for word in [Word::Approve, Word::Reject, Word::Break] {
            for kind in [Kind::VoteV1, Kind::BreakGlassV1] {
                let written = format!(
                    r#"{{"type":{},"review":"r","person":"p","verdict":{},"action_digest":"{}","card_digest":"{}",
                    "policy_digest":"{}","reason_sha256":"","expires_at":"2026-11-22T10:00:00.000000Z","nonce":""}}"#,
                    serde_json::to_string(&kind).expect("JSON"),
                    serde_json::to_string(&word).expect("JSON"),
                    ActionDigest::of(b"action"),
                    CardDigest::of(b"card"),
                    BundleDigest::of(b"bundle"),
                );
                let intent: Intent = serde_json::from_str(&written).expect("an intent");
                assert_eq!(intent.says(word), (word == Word::Break) == (kind == Kind::BreakGlassV1), "{written}");
            }
        }
    }
}
