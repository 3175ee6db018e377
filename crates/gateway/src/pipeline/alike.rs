//! Actions that are the like of something people approved as a pattern: they run without a review of their own.
//!
//! Each use is decided anew: by the policy in force, with the votes that still stand for the reviewed request and for this
//! one, within what policy allows of patterns by now. A pattern whose approvers no longer suffice is ended for good.

use countersign_core::action::ActionRequest;
use countersign_core::grant::Authority;
use countersign_core::pattern::{Likeness, Limits, Offer, Unlike};
use countersign_core::policy::{Decision, Obligations, Terms};
use countersign_core::record::Event;
use countersign_core::review::{Review, Vote, tokens};

use super::stricter::{self, Release};
use super::{Call, unrecorded};
use crate::gate::{Gate, Moment};
use crate::ports::{KeptPattern, StoreError};
use crate::refusal::Refusal;
use crate::resolve;

/// What an action looks like, where policy lets people approve the like of it.
pub(super) async fn likeness<C: Call>(
    call: &mut C,
    request: &ActionRequest,
    terms: &Terms,
) -> Option<Result<Likeness, Unlike>> {
    match terms.obligations.pattern {
        Some(_) => Some(call.likeness(request).await),
        None => None,
    }
}

/// What its review will offer.
pub(super) fn offer(likeness: Option<&Result<Likeness, Unlike>>) -> Option<Offer> {
    likeness.map(|likeness| match likeness {
        Ok(like) => Offer::Like(like.shape().clone()),
        Err(unlike) => Offer::Never(unlike.to_string()),
    })
}

/// The authority of a pattern that lets an action run now, and the most rows that each use may change.
///
/// # Errors
/// [`Refusal`] when the store cannot say.
pub(super) async fn authorize(
    gate: &Gate,
    request: &ActionRequest,
    like: &Likeness,
    terms: &Terms,
) -> Result<Option<(Authority, Option<u64>)>, Refusal> {
    let Some(limits) = terms.obligations.pattern else { return Ok(None) };
    let now = gate.scribe.now();
    for kept in gate.store.patterns_of(like.shape().frame, now).await.map_err(unrecorded)? {
        if let Some(found) = under(gate, request, like, &kept, (&terms.obligations, limits)).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

async fn under(
    gate: &Gate,
    request: &ActionRequest,
    like: &Likeness,
    kept: &KeptPattern,
    (obligations, limits): (&Obligations, Limits),
) -> Result<Option<(Authority, Option<u64>)>, Refusal> {
    let moment = gate.moment();
    let Some(taken) = kept.approved.admits(like, moment.now, kept.used, limits) else { return Ok(None) };
    let review = gate.store.review(&kept.approved.review).await.map_err(unrecorded)?;
    let Some(review) = review.map(|found| found.review) else {
        return end(gate, kept, "its review is gone").await;
    };
    let standing = standing(&moment, &review, request, obligations);
    let approvals = tokens(&standing);
    if !review.matter().terms.suffices.iter().any(|set| set.is_subset(&approvals)) {
        return end(gate, kept, "an approver may no longer approve").await;
    }
    let rows_max = review.matter().described.impact.rows_max;
    let Decision::Permit(permitted) =
        moment.bundle.decide(request.described(), &moment.with(request.described(), &approvals))
    else {
        return Ok(None); // for this action: others may do better
    };
    let release = Release { review: &review, request: request.described(), standing: &standing, broken: false };
    let objection = stricter::objection(gate, &release, &permitted).await?;
    Ok(objection.is_none().then_some((Authority::Pattern(permitted, taken), rows_max)))
}

/// The votes that stand for what was reviewed and for what would run, and meet what policy asks of votes by now.
fn standing(moment: &Moment, review: &Review, request: &ActionRequest, obligations: &Obligations) -> Vec<Vote> {
    let reviewed = &review.matter().described;
    let good = |vote: &&Vote| {
        vote.pattern.is_some()
            && (!obligations.passkey || vote.passkey.is_some())
            && (!obligations.justify || vote.reason.is_some())
    };
    let votes = review.votes().iter().filter(good);
    votes
        .filter_map(|vote| resolve::standing(moment, reviewed, vote))
        .filter_map(|vote| resolve::standing(moment, request.described(), &vote))
        .collect()
}

async fn end<T>(gate: &Gate, kept: &KeptPattern, reason: &str) -> Result<Option<T>, Refusal> {
    let pattern = kept.approved.id.clone();
    let event = Event::PatternRevoked { pattern: pattern.clone(), by: None, reason: reason.to_owned() };
    match gate.store.revoke_pattern(&pattern, vec![gate.scribe.record(event)]).await {
        Ok(()) | Err(StoreError::Conflict) => Ok(None),
        Err(error) => Err(unrecorded(error)),
    }
}
