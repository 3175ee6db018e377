//! Demands that policies came to make after a review was opened: they hold for its votes as well.

use std::collections::BTreeSet;

use countersign_core::action::Described;
use countersign_core::policy::{Decision, Obligations};
use countersign_core::review::{Review, Vote};

use crate::gate::Moment;

/// What is demanded of votes on a review: by the policies it was opened under, and by those in force.
pub(super) fn obligations(moment: &Moment, review: &Review) -> Obligations {
    let matter = review.matter();
    let mut all = matter.terms.obligations.clone();
    if let Some(newer) = demanded(moment, &matter.described) {
        all.add(&newer);
    }
    all
}

/// Whether a vote that was accepted meets what the policies in force demand of one on this action by now: a passkey, a reason,
/// and to have come before the review would have closed.
pub fn meets(moment: &Moment, review: &Review, request: &Described, vote: &Vote) -> bool {
    let Some(demanded) = demanded(moment, request) else { return true };
    let opened_at = review.matter().opened_at;
    let in_time = |seconds: u32| vote.at < opened_at.plus_seconds(i64::from(seconds));
    let reason = vote.reason.as_deref().is_some_and(|reason| !reason.trim().is_empty());
    (!demanded.passkey || vote.passkey.is_some())
        && (!demanded.justify || reason)
        && demanded.expires_seconds.is_none_or(in_time)
}

/// Whether the policies in force demand a passkey of whoever lets this run.
pub(super) fn wants_passkey(moment: &Moment, request: &Described) -> bool {
    demanded(moment, request).is_some_and(|demanded| demanded.passkey)
}

/// Nothing where the policies in force ask nobody, or refuse.
fn demanded(moment: &Moment, request: &Described) -> Option<Obligations> {
    match moment.bundle.decide(request, &moment.with(request, &BTreeSet::new())) {
        Decision::Review(terms) => Some(terms.obligations),
        Decision::Permit(_) | Decision::Deny(_) => None,
    }
}
