//! The follow-up of a broken glass: somebody who had been asked looks at it afterwards and says what they found.
//!
//! Nobody signs off their own: not whoever broke the glass, nor anybody whom they made a member within the last 30 days or
//! who made them one, nor anybody on the requester's side. A membership of a group that had been asked is what lets a person
//! sign off, or of any group where nobody else is left; whether policy would let them approve at this hour does not matter, for nothing runs because of it.

use std::collections::BTreeSet;

use countersign_core::action::{PersonId, ReviewId};
use countersign_core::policy::PersonFacts;
use countersign_core::record::Event;
use countersign_core::review::intent::text_sha256;
use countersign_core::review::{Breaking, Judgement, Review, SignOff, separation};

use super::break_glass::words;
use super::{Denied, Voter, known_well, record_denied, voter};
use crate::codes::Code;
use crate::gate::{Change, Gate, Moment};
use crate::identity::Caller;
use crate::ports::{FollowUp, StoreError};

/// Signs a follow-up off. Returns it as it stands afterwards.
///
/// # Errors
/// [`Denied`]; the attempt is recorded, and nothing is changed.
pub async fn sign_off(
    gate: &Gate,
    id: &ReviewId,
    caller: &Caller,
    judgement: Judgement,
    note: &str,
) -> Result<FollowUp, Denied> {
    let absent = || Denied::new(Code::NotFound, format!("there is no follow-up of a review `{id}`"));
    let found = gate.store.follow_up(id, gate.scribe.now()).await?.ok_or_else(absent)?;
    let (sign_off, event) = match judged(gate, &found, caller, judgement, note) {
        Ok(judged) => judged,
        Err(denied) => return Err(record_denied(gate, id, caller, None, denied).await),
    };
    match gate.store.sign_off(id, sign_off.clone(), vec![gate.scribe.record(event)]).await {
        Ok(()) => {
            gate.changes.tell(Change::Review);
            Ok(FollowUp { done: Some(sign_off), ..found })
        }
        Err(StoreError::Conflict) => Err(record_denied(gate, id, caller, None, done_already()).await),
        Err(error) => Err(error.into()),
    }
}

/// Whether somebody may sign off the broken glass of a review.
///
/// # Errors
/// [`Denied`], with what stands in the way.
pub fn may_sign_off(moment: &Moment, review: &Review, breaking: &Breaking, voter: &Voter<'_>) -> Result<(), Denied> {
    stands_apart(moment, review, breaking, &voter.signed_in.person.id)?;
    known_well(moment, &review.matter().described, voter)?;
    if !is_asked(moment, review, breaking, voter) {
        return Err(Denied::new(Code::NotAReviewer, "none of your groups had been asked"));
    }
    Ok(())
}

/// Whether a person is in a group that had been asked, and so hears of it. Where nobody is left in those who could sign it off,
/// everybody who is in any group is asked: it must not stay open for want of people.
pub fn is_asked(moment: &Moment, review: &Review, breaking: &Breaking, voter: &Voter<'_>) -> bool {
    let persons = &moment.people.people.persons;
    let Some(own) = persons.get(&voter.signed_in.person.id) else { return false };
    let left = || {
        let asked = persons.iter().filter(|(_, facts)| is_of(moment, facts, &breaking.asked));
        asked.map(|(person, _)| person).any(|person| stands_apart(moment, review, breaking, person).is_ok())
    };
    let any = BTreeSet::from(["any".to_owned()]);
    is_of(moment, own, &breaking.asked) || (is_of(moment, own, &any) && !left())
}

/// Whether a person who is not suspended is in one of these groups; `any` is every group that policies may name.
fn is_of(moment: &Moment, person: &PersonFacts, groups: &BTreeSet<String>) -> bool {
    let known = moment.bundle.vocabulary().groups();
    let mut own = person.groups.iter().filter(|group| known.contains(*group));
    !person.suspended && own.any(|group| groups.contains("any") || groups.contains(group))
}

/// Nobody of the requester's side, nor whoever broke the glass, nor who made one of these a member or was made one.
fn stands_apart(moment: &Moment, review: &Review, breaking: &Breaking, person: &PersonId) -> Result<(), Denied> {
    let request = &review.matter().described;
    let linked = moment.people.linked_now(request, moment.now);
    separation::independent(person, request, &linked)
        .map_err(|_| own("nobody follows up a broken glass from which their own side profited"))?;
    if person == &breaking.person {
        return Err(own("nobody signs off the glass that they broke themselves"));
    }
    if moment.people.linked(person, &breaking.person, moment.now) {
        return Err(own("one of you made the other a member within the last 30 days"));
    }
    Ok(())
}

fn judged(
    gate: &Gate,
    found: &FollowUp,
    caller: &Caller,
    judgement: Judgement,
    note: &str,
) -> Result<(SignOff, Event), Denied> {
    let voter = Voter::plain(voter(caller)?);
    let moment = gate.moment();
    let breaking = found.review.breaking().ok_or_else(|| Denied::new(Code::NotFound, "no glass was broken here"))?;
    may_sign_off(&moment, &found.review, breaking, &voter)?;
    if found.done.is_some() {
        return Err(done_already());
    }
    let (person, authn) = (&voter.signed_in.person, voter.authn());
    let sign_off =
        SignOff { person: person.id.clone(), name: person.name.clone(), judgement, note: words(note)?, at: moment.now };
    let event = Event::ReviewFollowedUp {
        review: found.review.matter().id.clone(),
        person: person.id.clone(),
        judgement,
        method: authn.method,
        mfa: authn.mfa,
        note_sha256: text_sha256(&sign_off.note),
    };
    Ok((sign_off, event))
}

fn own(message: &str) -> Denied {
    Denied::new(Code::SelfApproval, message)
}

fn done_already() -> Denied {
    Denied::new(Code::FollowUpDone, "somebody signed this off already")
}
