//! What the decision point answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::mask::{Mask, MaskedColumn, Masks};
use crate::action::{ActionDigest, BundleDigest};
use crate::pattern::Limits;

/// `group:n`: at least n different people of a group approved, each allowed to by policy; `any:n`, n people overall.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Quorum {
    /// The group asked; `any` for people of any group.
    pub group: String,
    /// How many different people.
    pub count: u8,
}

/// Text that is not `group:n` with n from 1 to 9.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a quorum; write `group:n` with n from 1 to 9")]
pub struct MalformedQuorum(String);

impl TryFrom<String> for Quorum {
    type Error = MalformedQuorum;

    fn try_from(text: String) -> Result<Self, MalformedQuorum> {
        let parts = text.rsplit_once(':').and_then(|(group, n)| Some((group, n.parse::<u8>().ok()?)));
        match parts {
            Some((group, count @ 1..=9)) if !group.is_empty() => Ok(Self { group: group.to_owned(), count }),
            _ => Err(MalformedQuorum(text)),
        }
    }
}

impl From<Quorum> for String {
    fn from(quorum: Quorum) -> Self {
        quorum.to_string()
    }
}

impl std::fmt::Display for Quorum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.group, self.count)
    }
}

/// A policy that determined an answer, with the text its author wrote for people.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PolicyNote {
    /// The policy's `@id`.
    pub id: String,
    /// Its `@review` or `@deny` text; empty when it has none.
    pub text: String,
}

/// What the policies that asked for a review attach to it; the strictest of all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obligations {
    /// `@expires`: how long the review stays open, in seconds; the shortest.
    pub expires_seconds: Option<u32>,
    /// `@hold`: how long the live call waits, in seconds; the shortest.
    pub hold_seconds: Option<u32>,
    /// `@justify("required")`: an approver must give a reason.
    pub justify: bool,
    /// `@stepup("passkey")`: an approval must be signed by a passkey.
    pub passkey: bool,
    /// `@channel`: where reviewers are told, besides the console.
    pub channels: BTreeSet<String>,
    /// `@escalate("15m: group")`: after how many seconds which group is told too.
    pub escalate: BTreeMap<u32, String>,
    /// `@pattern("20 in 1h")`: how often and for how long people may approve the like of it. Only where every forbid in
    /// the way says so; the smallest count and time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Limits>,
    /// `@mask`: columns of which only something else may be shown; the strictest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub masks: BTreeMap<MaskedColumn, Mask>,
}

/// The terms of a review: who asked for it, and what would satisfy them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The policies that stand in the way.
    pub policies: Vec<PolicyNote>,
    /// The smallest sets of quorums of which any one suffices.
    pub suffices: Vec<BTreeSet<Quorum>>,
    /// What they attach.
    pub obligations: Obligations,
    /// The bundle that was asked.
    pub bundle: BundleDigest,
}

/// Proof that policy permits one action as things stand; only the decision point makes one.
///
/// ```compile_fail
/// use countersign_core::policy::Permitted;
/// fn forge(action: countersign_core::action::ActionDigest, bundle: countersign_core::action::BundleDigest) -> Permitted {
///     Permitted { action, bundle, policies: vec![] } // private fields
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Permitted {
    action: ActionDigest,
    bundle: BundleDigest,
    policies: Arc<[PolicyNote]>,
    masks: Masks,
}

impl Permitted {
    /// Made where Cedar answered Allow for every statement, now or for values equal to those of now, and nowhere else.
    pub(in crate::policy) fn new(
        action: ActionDigest,
        bundle: BundleDigest,
        policies: Arc<[PolicyNote]>,
        masks: Masks,
    ) -> Self {
        Self { action, bundle, policies, masks }
    }

    /// What of the answer may not be shown as it is.
    pub fn masks(&self) -> &Masks {
        &self.masks
    }

    pub(in crate::policy) fn shared_policies(&self) -> Arc<[PolicyNote]> {
        self.policies.clone()
    }

    /// The action it speaks of.
    pub fn action(&self) -> ActionDigest {
        self.action
    }

    /// The bundle that was asked.
    pub fn bundle(&self) -> BundleDigest {
        self.bundle
    }

    /// The policies that permitted it.
    pub fn policies(&self) -> &[PolicyNote] {
        &self.policies
    }
}

/// A final no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// The stable code: `policy_denied`, `no_permit` (nothing permits it), `policy_error` (a forbid failed to evaluate, or
    /// the facts do not fit the schema), `unknown_person`, `unknown_agent` or `too_many_statements`.
    pub code: String,
    /// The policies that forbid it.
    pub policies: Vec<PolicyNote>,
    /// The bundle that was asked.
    pub bundle: BundleDigest,
}

/// The decision point's answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go ahead.
    Permit(Permitted),
    /// No, whoever approves.
    Deny(Denial),
    /// Not without people.
    Review(Terms),
}
