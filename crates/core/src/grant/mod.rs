//! What an approval yields: a stored, single-use grant, and the [`Permit`] minted from it.
//!
//! Invariant I1: no effect without a permit, and no permit before its intent is recorded. [`release`] is the only way
//! to a [`Permit`]; it asks a [`Recorder`] first, and the recorder consumes the grant and appends the intent in one
//! store transaction.

use serde::{Deserialize, Serialize};

use crate::action::{
    ActionDigest, ActionId, ActionRequest, BundleDigest, GrantId, PayloadDigest, PersonId, ReviewId, Timestamp,
};
use crate::pattern::Use;
use crate::policy::{Masks, Permitted};

/// How long a grant may be used after its review was approved, unless configured otherwise: 15 minutes.
pub const GRANT_LIFE_SECONDS_DEFAULT: u32 = 15 * 60;

/// What an approved review yields, as stored; used at most once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Its handle.
    pub id: GrantId,
    /// The review it came from.
    pub review: ReviewId,
    /// The only action it is good for.
    pub action: ActionDigest,
    /// When it stops being good.
    pub expires_at: Timestamp,
    /// Who broke the glass for it, instead of those who had been asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_by: Option<PersonId>,
}

/// On what authority an action runs.
#[derive(Debug)]
pub enum Authority {
    /// Policy permits it as it is.
    Policy(Permitted),
    /// Policy permits it with the approvals behind this grant.
    Grant(Permitted, Grant),
    /// Policy permits it with the approvals behind a pattern that it is the like of.
    Pattern(Permitted, Use),
}

impl Authority {
    /// What of the answer may not be shown as it is.
    pub fn masks(&self) -> &Masks {
        self.permitted().masks()
    }

    fn permitted(&self) -> &Permitted {
        match self {
            Authority::Policy(permitted) | Authority::Grant(permitted, _) | Authority::Pattern(permitted, _) => {
                permitted
            }
        }
    }
}

/// How durable the record of an intent must be before its action runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordLevel {
    /// An effect-free read: handed to the operating system before its answer leaves, synced within 10 ms.
    Journal,
    /// Anything with an effect, and anything reviewed: synced to disk.
    Durable,
}

/// What is about to happen, for the recorder.
#[derive(Debug)]
pub struct Intent<'a> {
    /// The action.
    pub request: &'a ActionRequest,
    /// The grant to consume in the same transaction, if the action was reviewed.
    pub grant: Option<&'a Grant>,
    /// The pattern of which one use is to be taken in the same transaction, if it runs under one.
    pub pattern: Option<&'a Use>,
    /// The bundle that permitted it.
    pub bundle: BundleDigest,
    /// The ids of the policies that permitted it.
    pub policies: Vec<&'a str>,
    /// The ids of the policies whose masks hold for the answer.
    pub masks: Vec<&'a str>,
    /// How durable the record must be.
    pub level: RecordLevel,
}

/// Records an intent before it becomes a permit; consumes its grant in the same transaction.
pub trait Recorder {
    /// Why the intent could not be recorded, or its grant not consumed.
    type Error;
    /// What the answer owes: nothing for a durable intent; for a read, that its record is handed to the operating system
    /// before a byte of the answer leaves.
    type Receipt;

    /// Returns Ok only once the record has reached the intent's level (a read's may be on its way there, see
    /// [`Recorder::Receipt`]), and the grant, if any, is consumed by it alone.
    fn record(&self, intent: Intent<'_>) -> impl Future<Output = Result<Self::Receipt, Self::Error>> + Send;
}

/// The right to send one payload once. Not `Clone`, no public constructor, taken by value.
///
/// ```compile_fail
/// fn twice(a: countersign_core::action::SealedPayload, b: countersign_core::action::SealedPayload,
///          permit: countersign_core::grant::Permit) {
///     let _ = a.open(permit);
///     let _ = b.open(permit); // moved
/// }
/// ```
///
/// ```compile_fail
/// fn copy(permit: countersign_core::grant::Permit) -> countersign_core::grant::Permit {
///     permit.clone() // not Clone
/// }
/// ```
#[derive(Debug)]
#[must_use = "a permit that is dropped leaves an intent without an outcome"]
pub struct Permit {
    action: ActionId,
    payload: PayloadDigest,
    level: RecordLevel,
}

impl Permit {
    /// The attempt it belongs to.
    pub fn action(&self) -> &ActionId {
        &self.action
    }

    /// The only bytes it opens.
    pub fn payload(&self) -> PayloadDigest {
        self.payload
    }

    /// How its intent was recorded; its outcome is recorded likewise.
    pub fn level(&self) -> RecordLevel {
        self.level
    }
}

/// Why a permit was not minted.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError<E> {
    /// The decision, or the grant, speaks of another action.
    #[error("the decision was made for another action")]
    AnotherAction,
    /// The intent could not be recorded, or its grant was used, revoked or expired.
    #[error("the intent could not be recorded")]
    NotRecorded(#[source] E),
}

/// Mints the permit for a request, once its intent is recorded; with it comes what the answer owes to the record.
///
/// Cancelling this future may leave a recorded intent behind without a permit; the gateway closes it as not executed.
///
/// # Errors
/// [`ReleaseError`]; nothing may run then.
pub async fn release<R: Recorder>(
    request: &ActionRequest,
    authority: Authority,
    recorder: &R,
) -> Result<(Permit, R::Receipt), ReleaseError<R::Error>> {
    let permitted = authority.permitted();
    let (grant, pattern) = match &authority {
        Authority::Policy(_) => (None, None),
        Authority::Grant(_, grant) => (Some(grant), None),
        Authority::Pattern(_, pattern) => (None, Some(pattern)),
    };
    let elsewhere = grant.is_some_and(|grant| grant.action != request.digest())
        || pattern.is_some_and(|pattern| pattern.action() != request.digest());
    if permitted.action() != request.digest() || elsewhere {
        return Err(ReleaseError::AnotherAction);
    }
    let level = level(request, grant.is_some() || pattern.is_some());
    let intent = Intent {
        request,
        grant,
        pattern,
        bundle: permitted.bundle(),
        policies: permitted.policies().iter().map(|note| note.id.as_str()).collect(),
        masks: permitted.masks().policies().iter().map(String::as_str).collect(),
        level,
    };
    let receipt = recorder.record(intent).await.map_err(ReleaseError::NotRecorded)?;
    let described = request.described();
    Ok((Permit { action: described.id.clone(), payload: described.payload, level }, receipt))
}

fn level(request: &ActionRequest, reviewed: bool) -> RecordLevel {
    if !reviewed && request.described().facts.effect_free() { RecordLevel::Journal } else { RecordLevel::Durable }
}
