//! The audit vocabulary: every kind of record, and its one canonical encoding as a leaf of the log.
//!
//! Leaves are metadata only: handles instead of names, digests instead of statements, counts instead of rows. The mapping
//! from handles to people lives in the store and can be erased without touching the log.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

mod read;

use crate::action::digest::{NotCanonical, canonical};
use crate::action::{
    ActionDigest, ActionId, BundleDigest, CardDigest, GrantId, PatternDigest, PatternId, PersonId, ReviewId, Timestamp,
};
use crate::policy::Quorum;
use crate::review::intent::SignedIntent;
use crate::review::{Judgement, Method, Outcome, Verdict};

/// The largest leaf: what a C2SP entry tile can hold.
pub const LEAF_BYTES_MAX: usize = 65_535;
/// The most placeholders that one record names: 64 of them take some 2 KiB.
pub const MARKS_MAX: usize = 64;

/// One record: when, by which gateway, and what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When it happened, by the gateway's clock.
    pub at: Timestamp,
    /// Which gateway wrote it.
    pub node: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Record {
    /// The leaf: RFC 8785 JSON.
    ///
    /// # Errors
    /// [`EncodeError`] for a record that is too large for a leaf; it must then not be dropped: its action is refused.
    pub fn leaf(&self) -> Result<Vec<u8>, EncodeError> {
        let bytes = match read::leaf(self) {
            Some(bytes) => bytes,
            None => canonical(self).map_err(EncodeError::NotCanonical)?,
        };
        if bytes.len() > LEAF_BYTES_MAX {
            return Err(EncodeError::TooLarge { bytes: bytes.len() });
        }
        Ok(bytes)
    }
}

/// A record that cannot become a leaf.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// It has no canonical form.
    #[error("the record cannot be encoded")]
    NotCanonical(#[source] NotCanonical),
    /// It is larger than an entry tile can hold.
    #[error("the record is {bytes} bytes long, a leaf holds {LEAF_BYTES_MAX}")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
}

/// The action a record is about, by handle and digest. In the order of its canonical text, which is made for every read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionSummary {
    /// `sql:write` and the like.
    pub action: String,
    /// Its digest.
    pub digest: ActionDigest,
    /// The target's environment.
    pub environment: String,
    /// The attempt.
    pub id: ActionId,
    /// For whom.
    pub on_behalf_of: PersonId,
    /// The requester's handle.
    pub requester: String,
    /// `agent` or `person`.
    pub requester_kind: String,
    /// The target's name.
    pub target: String,
}

/// A passkey as it was enrolled: what is needed to check the votes it signs, and to judge what they are worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolledPasskey {
    /// SHA-256 of the credential's id, in hexadecimal.
    pub credential_sha256: String,
    /// The public key as a COSE key (RFC 9052, section 7), base64url.
    pub public_key: String,
    /// The relying party it is bound to.
    pub rp_id: String,
    /// The authenticator's model, in hexadecimal; zeros when it does not say.
    pub aaguid: String,
    /// The format of its attestation; `none` when it gave none. The maker's certificate is not checked against a root.
    pub attestation: String,
    /// Whether copies of it may come to exist on other devices.
    pub backup_eligible: bool,
    /// Whether copies of it existed when it was enrolled.
    pub synced: bool,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The upstream reported success.
    Succeeded,
    /// The upstream reported success inside a transaction that is still open.
    Uncommitted,
    /// The upstream reported an error, and nothing of it took effect.
    Failed,
    /// The transaction it ran in was rolled back.
    RolledBack,
    /// The permit was never used.
    NotExecuted,
    /// The outcome cannot be known: the gateway or the connection ended in between. Never retried.
    Unknown,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Event {
    /// An action is about to run.
    #[serde(rename = "action.intent")]
    ActionIntent {
        /// The action.
        action: ActionSummary,
        /// The bundle that permitted it.
        bundle: BundleDigest,
        /// The policies that permitted it.
        policies: Vec<String>,
        /// The grant it consumed.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        grant: Option<GrantId>,
        /// Who broke the glass for that grant.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        broken_by: Option<PersonId>,
        /// The pattern of which it took a use.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        pattern: Option<PatternId>,
        /// The policies whose masks hold for its answer.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        masks: Vec<String>,
    },
    /// An effect-free read is about to run.
    #[serde(rename = "action.read")]
    ActionRead {
        /// The action.
        action: ActionSummary,
        /// The bundle that permitted it.
        bundle: BundleDigest,
        /// The policies whose masks hold for its answer.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        masks: Vec<String>,
    },
    /// An action was refused.
    #[serde(rename = "action.refused")]
    ActionRefused {
        /// The action.
        action: ActionSummary,
        /// The stable code.
        code: String,
        /// The policies that refused it.
        policies: Vec<String>,
    },
    /// What came of an intent.
    #[serde(rename = "action.outcome")]
    ActionOutcome {
        /// The attempt.
        id: ActionId,
        /// How it ended.
        status: Status,
        /// Rows, as the upstream counted them.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        rows: Option<u64>,
        /// Bytes streamed in by the client, for a stream that was not reviewed.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        stream_bytes: Option<u64>,
        /// SHA-256 of that stream, in hexadecimal.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        stream_sha256: Option<String>,
        /// From sending to the end, in microseconds.
        micros: u64,
        /// The upstream's error class (SQLSTATE).
        #[serde(skip_serializing_if = "Option::is_none", default)]
        error: Option<String>,
    },
    /// A review opened.
    #[serde(rename = "review.opened")]
    ReviewOpened {
        /// The review.
        review: ReviewId,
        /// The action.
        action: ActionSummary,
        /// The card.
        card: CardDigest,
        /// The policies that asked.
        policies: Vec<String>,
        /// What would suffice.
        suffices: Vec<BTreeSet<Quorum>>,
        /// When it closes by itself.
        expires_at: Timestamp,
        /// The bundle that asked.
        bundle: BundleDigest,
    },
    /// A vote was accepted.
    #[serde(rename = "review.vote")]
    ReviewVote {
        /// The review.
        review: ReviewId,
        /// Who.
        person: PersonId,
        /// What they said.
        verdict: Verdict,
        /// By which way.
        method: Method,
        /// Whether a second factor was fresh.
        mfa: bool,
        /// The action they saw.
        action_digest: ActionDigest,
        /// The card they saw.
        card_digest: CardDigest,
        /// The pattern they approved, if it is more than this action alone.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        pattern_digest: Option<PatternDigest>,
        /// In whose place they spoke too, or only.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        deputy_for: Vec<PersonId>,
        /// The passkey's signature over the vote, for anyone to check.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        signed: Option<Box<SignedIntent>>,
        /// Whether copies of the passkey can exist on other devices.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        synced: Option<bool>,
        /// The event of a webhook whose callback it was; no other vote can be.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        callback: Option<String>,
    },
    /// A review that nobody had decided was brought before a further group.
    #[serde(rename = "review.escalated")]
    ReviewEscalated {
        /// The review.
        review: ReviewId,
        /// The group.
        group: String,
    },
    /// Somebody was shown values that the card hides. Which, never what.
    #[serde(rename = "review.revealed")]
    ReviewRevealed {
        /// The review.
        review: ReviewId,
        /// Who.
        person: PersonId,
        /// By which way.
        method: Method,
        /// Whether a second factor was fresh.
        mfa: bool,
        /// The placeholders, at most [`MARKS_MAX`] of them.
        marks: Vec<String>,
        /// How many there were.
        count: u64,
    },
    /// Somebody compared a value that the card hides with one that they expected.
    #[serde(rename = "review.compared")]
    ReviewCompared {
        /// The review.
        review: ReviewId,
        /// Who.
        person: PersonId,
        /// By which way.
        method: Method,
        /// Whether a second factor was fresh.
        mfa: bool,
        /// The placeholder.
        mark: String,
        /// Whether it was the same.
        equal: bool,
    },
    /// Somebody took their own vote back before anything came of it.
    #[serde(rename = "review.retracted")]
    ReviewRetracted {
        /// The review.
        review: ReviewId,
        /// Who.
        person: PersonId,
    },
    /// One person broke the glass: the action may run without those who had been asked.
    #[serde(rename = "review.glass_broken")]
    ReviewGlassBroken {
        /// The review.
        review: ReviewId,
        /// Who.
        person: PersonId,
        /// By which way.
        method: Method,
        /// Whether a second factor was fresh.
        mfa: bool,
        /// The action they saw.
        action_digest: ActionDigest,
        /// The card they saw.
        card_digest: CardDigest,
        /// SHA-256 of their reason as UTF-8, in hexadecimal.
        reason_sha256: String,
        /// The groups that had been asked.
        asked: BTreeSet<String>,
        /// Whether an incident was declared.
        incident: bool,
        /// The bundle that permitted it.
        bundle: BundleDigest,
        /// The passkey's signature over it, for anyone to check.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        signed: Option<Box<SignedIntent>>,
        /// Whether copies of the passkey can exist on other devices.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        synced: Option<bool>,
    },
    /// Somebody who had been asked looked at a broken glass afterwards.
    #[serde(rename = "review.followed_up")]
    ReviewFollowedUp {
        /// The review.
        review: ReviewId,
        /// Who.
        person: PersonId,
        /// What they found.
        judgement: Judgement,
        /// By which way.
        method: Method,
        /// Whether a second factor was fresh.
        mfa: bool,
        /// SHA-256 of their note as UTF-8, in hexadecimal.
        note_sha256: String,
    },
    /// A vote, or a break-glass, was not accepted.
    #[serde(rename = "review.refused")]
    ReviewRefused {
        /// The review.
        review: ReviewId,
        /// Who tried; absent when nobody could be identified.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        by: Option<String>,
        /// The stable code.
        code: String,
        /// By which way.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        method: Option<Method>,
    },
    /// A review closed.
    #[serde(rename = "review.closed")]
    ReviewClosed {
        /// The review.
        review: ReviewId,
        /// How.
        outcome: Outcome,
    },
    /// An approved review yielded a grant.
    #[serde(rename = "grant.issued")]
    GrantIssued {
        /// The grant.
        grant: GrantId,
        /// Its review.
        review: ReviewId,
        /// The only action it is good for.
        action_digest: ActionDigest,
        /// When it stops being good.
        expires_at: Timestamp,
        /// Who broke the glass for it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        broken_by: Option<PersonId>,
    },
    /// A grant was used.
    #[serde(rename = "grant.consumed")]
    GrantConsumed {
        /// The grant.
        grant: GrantId,
        /// The attempt that used it.
        id: ActionId,
    },
    /// A grant was voided before use.
    #[serde(rename = "grant.revoked")]
    GrantRevoked {
        /// The grant.
        grant: GrantId,
        /// Why.
        reason: String,
    },
    /// An approved review yielded a pattern: its action and the like of it may run.
    #[serde(rename = "pattern.issued")]
    PatternIssued {
        /// The pattern.
        pattern: PatternId,
        /// Its review.
        review: ReviewId,
        /// What was approved: what is fixed, and how far the values may vary. No wider than what any vote named.
        pattern_digest: PatternDigest,
        /// How many of its values may vary within a range.
        ranges: u32,
        /// How many may be anything.
        free: u32,
        /// How often it may be used.
        uses_max: u32,
        /// When it stops being good.
        expires_at: Timestamp,
    },
    /// An action took one use of a pattern.
    #[serde(rename = "pattern.used")]
    PatternUsed {
        /// The pattern.
        pattern: PatternId,
        /// Which use it was, from 1 on.
        number: u32,
        /// The attempt that took it.
        id: ActionId,
    },
    /// A pattern was ended before its time.
    #[serde(rename = "pattern.revoked")]
    PatternRevoked {
        /// The pattern.
        pattern: PatternId,
        /// Who ended it; absent where the gateway did.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        by: Option<String>,
        /// Why.
        reason: String,
    },
    /// A person gave their duty as a reviewer to another, for a time.
    #[serde(rename = "duty.given")]
    DutyGiven {
        /// The duty.
        duty: String,
        /// Whose it is.
        of: PersonId,
        /// Who does it.
        deputy: PersonId,
        /// For which groups.
        groups: BTreeSet<String>,
        /// From when.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
    },
    /// A duty was taken back, or given up.
    #[serde(rename = "duty.ended")]
    DutyEnded {
        /// The duty.
        duty: String,
        /// Who ended it.
        by: PersonId,
    },
    /// Somebody declared an incident: policies may ask for less, except of their own side.
    #[serde(rename = "incident.declared")]
    IncidentDeclared {
        /// The incident.
        incident: String,
        /// Who.
        by: PersonId,
        /// By which way.
        method: Method,
        /// Whether a second factor was fresh.
        mfa: bool,
        /// SHA-256 of what they said of it as UTF-8, in hexadecimal.
        reason_sha256: String,
        /// When it ends by itself.
        until: Timestamp,
    },
    /// An incident ended.
    #[serde(rename = "incident.ended")]
    IncidentEnded {
        /// The incident.
        incident: String,
        /// Who ended it; absent where its time was over.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        by: Option<PersonId>,
    },
    /// An incident was not declared, or not ended, as somebody wished.
    #[serde(rename = "incident.refused")]
    IncidentRefused {
        /// Who tried.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        by: Option<String>,
        /// `declare` or `end`.
        what: String,
        /// The stable code.
        code: String,
    },
    /// A policy bundle came into force.
    #[serde(rename = "policy.activated")]
    PolicyActivated {
        /// The bundle.
        bundle: BundleDigest,
        /// How changes to policy are accepted: `file` takes files as they are, `review` asks people about those that permit
        /// more.
        changes: String,
        /// The bundle that it replaced, where that was another.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        from: Option<BundleDigest>,
        /// `start`, `file`, `stricter` (it permits nothing more) or `approved`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        why: Option<String>,
        /// Who proposed it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        by: Option<PersonId>,
        /// The review in which people approved it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        review: Option<ReviewId>,
    },
    /// People, agents or targets changed, where people are asked about what permits more.
    #[serde(rename = "gate.changed")]
    GateChanged {
        /// The part of the gate: `people`, `targets`.
        part: String,
        /// In what way: `person_added`, `groups_given`, `person_restored`, `account_linked`, `agent_groups_given`,
        /// `target_added`, `target_changed`, `target_removed`.
        step: String,
        /// The handle of the person or agent who gained, the name of the target.
        subject: String,
        /// The digest of what was in force.
        from: String,
        /// The digest of what came into force.
        to: String,
        /// `approved`; `start` (nobody had been asked before), `stricter` (it permits nothing more), `file` (taken as it is).
        why: String,
        /// Who proposed it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        by: Option<PersonId>,
        /// The review in which people approved it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        review: Option<ReviewId>,
    },
    /// The configuration in force changed.
    #[serde(rename = "config.changed")]
    ConfigChanged {
        /// What.
        what: String,
    },
    /// A person, agent or credential was added or withdrawn.
    #[serde(rename = "identity.enrolled")]
    IdentityEnrolled {
        /// `person`, `account`, `agent`, `agent_key`, `token`, `login_link`, `session`, `passkey`, `scim_user`, `scim_group`.
        what: String,
        /// Its handle.
        id: String,
        /// For whom.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        person: Option<PersonId>,
        /// `added`, `revoked`, `suspended`, `used`.
        change: String,
        /// Minted on the gateway's own host.
        local: bool,
        /// What a passkey is, when one was added.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        passkey: Option<Box<EnrolledPasskey>>,
    },
    /// Somebody or something could not prove who it is, where that is worth a record.
    #[serde(rename = "identity.refused")]
    IdentityRefused {
        /// `sign_in`, `token_exchange`.
        what: String,
        /// The stable code.
        code: String,
        /// The issuer that was said to vouch, by its name in the configuration, once it is known.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        issuer: Option<String>,
        /// How many others were refused since the last such record, without one of their own.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        more: Option<u64>,
    },
    /// A client logged in to a target.
    #[serde(rename = "session.opened")]
    SessionOpened {
        /// The requester's handle.
        requester: String,
        /// The target.
        target: String,
    },
    /// A gateway started.
    #[serde(rename = "system.started")]
    SystemStarted {
        /// Its version.
        version: String,
        /// How many intents of an earlier run were closed as unknown.
        closed_unknown: u64,
    },
    /// Something people must look at.
    #[serde(rename = "system.alarm")]
    SystemAlarm {
        /// The stable code.
        code: String,
        /// In words, without secrets.
        detail: String,
    },
}
