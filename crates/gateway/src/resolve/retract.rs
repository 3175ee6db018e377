//! Taking one's own vote back, as long as nothing has come of it.
//!
//! While a review is open the vote is dropped, and its voter may vote again. Once it was approved, the approval itself is
//! voided if it has not been used, by whoever broke the glass for it as well: of a reviewer who thinks again and a client that uses the approval, the store lets one win.

use countersign_core::action::{PersonId, ReviewId};
use countersign_core::record::Event;
use countersign_core::review::{Closed, Review, Verdict};

use super::{Denied, TRIES_MAX, already_closed, announce, find, pattern, record_denied};
use crate::codes::Code;
use crate::gate::Gate;
use crate::identity::Caller;
use crate::ports::{Scope, StoreError, Versioned};

/// Takes the caller's vote back. Returns the review as it stands afterwards.
///
/// # Errors
/// [`Denied`]; the attempt is recorded, and nothing is changed.
pub async fn retract(gate: &Gate, id: &ReviewId, caller: &Caller) -> Result<Review, Denied> {
    match try_retract(gate, id, caller).await {
        Ok(review) => {
            announce(gate, &review);
            Ok(review)
        }
        Err(denied) if denied.code == Code::RecordUnavailable => Err(denied),
        Err(denied) => Err(record_denied(gate, id, caller, None, denied).await),
    }
}

async fn try_retract(gate: &Gate, id: &ReviewId, caller: &Caller) -> Result<Review, Denied> {
    let person = match caller {
        Caller::Person(signed_in) if signed_in.scope >= Scope::ReviewVote => signed_in.person.id.clone(),
        Caller::Person(_) => return Err(Denied::new(Code::Forbidden, "this token may read reviews, not vote on them")),
        Caller::Agent(_) => return Err(Denied::new(Code::Forbidden, "an agent has no vote")),
    };
    for _ in 0..TRIES_MAX {
        let Versioned { review, version } = find(gate, id).await?;
        match &review {
            Review::Open(open) => {
                let next = open.retract(&person).map_err(|error| Denied::new(Code::NotFound, error.to_string()))?;
                let next = Review::Open(next);
                let retracted = Event::ReviewRetracted { review: id.clone(), person: person.clone() };
                match gate.store.save_review(version, &next, None, vec![gate.scribe.record(retracted)]).await {
                    Ok(()) => return Ok(next),
                    Err(StoreError::Conflict) => {} // somebody else changed it: look again
                    Err(error) => return Err(error.into()),
                }
            }
            Review::Closed(closed) => {
                void(gate, &review, closed, &person).await?;
                return Ok(review);
            }
        }
    }
    Err(Denied::new(Code::RecordUnavailable, "the review changes too fast; try again"))
}

/// Voids the unused approval that a vote was part of.
async fn void(gate: &Gate, review: &Review, closed: &Closed, person: &PersonId) -> Result<(), Denied> {
    let voted = review.votes().iter().any(|vote| &vote.person == person && vote.verdict == Verdict::Approve);
    let broke = closed.breaking().is_some_and(|breaking| &breaking.person == person);
    if !closed.outcome().grants() || !(voted || broke) {
        return Err(already_closed(review));
    }
    let id = review.matter().id.clone();
    let used = || Denied::new(Code::ReviewClosed, "the approval was used already, voided, or has ended");
    let Some(grant) = gate.store.unused_grant(&id).await? else {
        return if pattern::void(gate, review, person).await? { Ok(()) } else { Err(used()) };
    };
    let taken_back = if broke { "whoever broke the glass took it back" } else { "a vote was taken back" };
    let events = [
        Event::ReviewRetracted { review: id, person: person.clone() },
        Event::GrantRevoked { grant: grant.id.clone(), reason: taken_back.to_owned() },
    ];
    let records = events.into_iter().map(|event| gate.scribe.record(event)).collect();
    match gate.store.revoke_grant(&grant.id, records).await {
        Ok(()) => Ok(()),
        Err(StoreError::Conflict) => Err(used()),
        Err(error) => Err(error.into()),
    }
}
