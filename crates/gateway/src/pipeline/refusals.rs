//! The refusals of the line, in words that a requester can act on.

use countersign_core::action::{ActionRequest, ReviewId};
use countersign_core::policy::Denial;
use countersign_core::review::{Closed, Outcome, Review, Verdict};

use super::{Waiting, instead};
use crate::codes::Code;
use crate::gate::Gate;
use crate::refusal::Refusal;

/// Refused by policy, with what it would take instead.
pub(super) fn denied(gate: &Gate, request: &ActionRequest, denial: Denial) -> Refusal {
    let refusal = Refusal::denied(denial);
    match instead::words(gate, request.described()) {
        Some(words) => refusal.hint(words),
        None => refusal,
    }
}

/// How a review ended, for the call that waited for it: fine if it grants.
pub(super) fn outcome(gate: &Gate, closed: &Closed) -> Result<(), Refusal> {
    if closed.outcome().grants() {
        return Ok(());
    }
    let review = Review::Closed(closed.clone());
    let no = review.votes().iter().find(|vote| vote.verdict == Verdict::Reject);
    let reason = no.map(|vote| match &vote.reason {
        Some(reason) => format!("{}: {reason}", vote.name),
        None => vote.name.clone(),
    });
    let refusal = Refusal::closed(&review.matter().id, closed.outcome(), reason.as_deref());
    Err(match (closed.outcome(), no) {
        (Outcome::Rejected, Some(vote)) => {
            let again = vote.at.plus_seconds(i64::from(gate.config.limits.rejected_wait_seconds));
            refusal.hint(format!("ask for something else in the light of that; the same may be asked again at {again}"))
        }
        (Outcome::Expired, _) => refusal.hint("nobody said no: the same may be asked again at once"),
        _ => refusal,
    })
}

/// The time of a call ran out before anybody decided.
pub(super) fn still_open(waiting: &Waiting) -> Refusal {
    let message = format!("nobody decided within {} seconds; the review is still open", waiting.hold_seconds);
    Refusal::new(Code::HoldEnded, message)
        .hint(format!("{} : once it is approved, send the same again and it runs at once", waiting.url))
        .review(&waiting.review)
}

/// Nobody is there to run it for.
pub(super) fn left(review: &ReviewId) -> Refusal {
    Refusal::new(Code::Cancelled, "the client left while its action waited").review(review)
}
