//! A refusal, before a protocol puts it into its own words.

use countersign_core::action::ReviewId;
use countersign_core::policy::{Denial, PolicyNote};
use countersign_core::review::Outcome;

use crate::codes::Code;

/// Why an action did not run. Nothing of it reached the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The stable code.
    pub code: Code,
    /// What happened, for the requester.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The policies that refused it.
    pub policies: Vec<PolicyNote>,
    /// The review it hung on.
    pub review: Option<ReviewId>,
}

impl Refusal {
    /// With a code and a message.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, policies: vec![], review: None }
    }

    /// With what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With the review it hung on.
    #[must_use]
    pub fn review(mut self, review: &ReviewId) -> Self {
        self.review = Some(review.clone());
        self
    }

    /// A final no of policy.
    pub fn denied(denial: Denial) -> Self {
        let (code, lead) = match denial.code.as_str() {
            "policy_denied" => (Code::PolicyDenied, "refused by policy"),
            "no_permit" => (Code::NoPermit, "no policy permits this"),
            _ => (Code::PolicyError, "policy could not be evaluated, so it is refused"),
        };
        let reasons: Vec<String> = denial.policies.iter().map(note).collect();
        let message = if reasons.is_empty() { lead.to_owned() } else { format!("{lead}: {}", reasons.join("; ")) };
        Self { policies: denial.policies, ..Self::new(code, message) }
    }

    /// The review ended without an approval.
    pub fn closed(review: &ReviewId, outcome: Outcome, reason: Option<&str>) -> Self {
        let (code, message) = match outcome {
            Outcome::Rejected => (Code::ReviewRejected, "rejected by a reviewer"),
            Outcome::Expired => (Code::ReviewExpired, "the review expired before enough people approved"),
            Outcome::Withdrawn => (Code::ReviewWithdrawn, "the review was withdrawn"),
            Outcome::Approved | Outcome::GlassBroken => (Code::ApprovalVoid, "the approval was used by another call"),
        };
        let message = reason.map_or_else(|| message.to_owned(), |reason| format!("{message}: {reason}"));
        Self::new(code, message).review(review)
    }
}

fn note(note: &PolicyNote) -> String {
    if note.text.is_empty() { format!("policy `{}`", note.id) } else { format!("{} (policy `{}`)", note.text, note.id) }
}
