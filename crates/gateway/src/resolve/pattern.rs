//! Patterns as votes make them, and how they end.
//!
//! A vote approves a pattern on top of its action. When a review is approved and every approval in it named a pattern, the
//! review yields what all of them chose, and nothing wider; one approval for once, and it yields a grant for once.

use countersign_core::action::{PatternDigest, PatternId, PersonId};
use countersign_core::pattern::{self, Approved, Choice, Limits, Offer, Shape, Wish};
use countersign_core::policy::Decision;
use countersign_core::record::Event;
use countersign_core::review::separation::independent;
use countersign_core::review::{Outcome, Review, Verdict, Vote};

use super::{Denied, VoteRequest};
use crate::codes::Code;
use crate::gate::{Change, Gate, Moment};
use crate::identity::Caller;
use crate::ports::{KeptPattern, Role, Scope, StoreError};

/// What of a review could be approved as a pattern now: its shape, and the most that policy allows.
///
/// # Errors
/// Why it could not, for people; `None` where policy says nothing of patterns.
pub fn offered<'a>(moment: &Moment, review: &'a Review) -> Result<(&'a Shape, Limits), Option<&'a str>> {
    let matter = review.matter();
    let then = matter.terms.obligations.pattern.ok_or(None)?;
    let shape = match &matter.offer {
        Some(Offer::Like(shape)) => shape,
        Some(Offer::Never(because)) => return Err(Some(because)),
        None => return Err(None),
    };
    let none = std::collections::BTreeSet::new();
    match moment.bundle.decide(&matter.described, &moment.with(&matter.described, &none)) {
        Decision::Review(terms) => terms.obligations.pattern.map(|now| (shape, now.stricter(then))).ok_or(None),
        Decision::Permit(_) | Decision::Deny(_) => Err(None),
    }
}

/// What a vote approves besides its action.
pub(super) fn chosen(moment: &Moment, review: &Review, vote: &VoteRequest) -> Result<Option<Choice>, Denied> {
    let Some(wish) = &vote.pattern else { return Ok(None) };
    if vote.verdict == Verdict::Reject {
        return Err(Denied::new(Code::PatternRefused, "a rejection names no pattern"));
    }
    let (shape, most) = offered(moment, review).map_err(|because| {
        let because = because.unwrap_or("no policy that asks for this review allows patterns");
        Denied::new(Code::PatternRefused, format!("this can be approved for once only: {because}"))
    })?;
    let choice = Choice::new(shape, wish, most);
    choice.map(Some).map_err(|error| Denied::new(Code::PatternRefused, error.to_string()))
}

/// The digest of the pattern that a person's vote in a review names.
pub(super) fn named_by(review: &Review, person: &PersonId) -> Option<PatternDigest> {
    let vote = review.votes().iter().find(|vote| &vote.person == person)?;
    digest(review, vote.pattern.as_ref()?)
}

/// The digest of a choice for what a review is about.
pub(super) fn digest(review: &Review, choice: &Choice) -> Option<PatternDigest> {
    match &review.matter().offer {
        Some(Offer::Like(shape)) => pattern::digest(shape, choice).ok(),
        Some(Offer::Never(_)) | None => None,
    }
}

/// What an approved review yields, if all of its approvals named a pattern.
pub(super) fn agreed(review: &Review) -> Option<Approved> {
    let Review::Closed(closed) = review else { return None };
    let Some(Offer::Like(shape)) = &review.matter().offer else { return None };
    if closed.outcome() != Outcome::Approved {
        return None;
    }
    let mut choices = approvals(review).map(|vote| vote.pattern.clone());
    let first = choices.next()?;
    let choice = choices.fold(first, |all, one| all?.meet(&one?))?;
    let id = PatternId::new(uuid::Uuid::now_v7().to_string());
    Approved::new(id, review.matter().id.clone(), shape.clone(), choice, closed.closed_at()).ok()
}

fn approvals(review: &Review) -> impl Iterator<Item = &Vote> {
    review.votes().iter().filter(|vote| vote.verdict == Verdict::Approve)
}

/// The record of a pattern that came to be.
pub(super) fn issued(approved: &Approved) -> Event {
    let count = |like: fn(&pattern::Bound) -> bool| {
        u32::try_from(approved.choice.bounds.iter().filter(|bound| like(bound)).count()).unwrap_or(u32::MAX)
    };
    Event::PatternIssued {
        pattern: approved.id.clone(),
        review: approved.review.clone(),
        pattern_digest: approved.digest,
        ranges: count(|bound| matches!(bound, pattern::Bound::Range { .. })),
        free: count(|bound| matches!(bound, pattern::Bound::Any)),
        uses_max: approved.choice.limits.uses,
        expires_at: approved.expires_at,
    }
}

/// Whether somebody may end a pattern: who approved it, the requester's side, and administrators.
pub fn may_revoke(moment: &Moment, review: &Review, caller: &Caller) -> bool {
    let request = &review.matter().described;
    match caller {
        Caller::Agent(agent) => agent.id.as_str() == request.requester.handle(),
        Caller::Person(signed_in) => {
            let person = &signed_in.person;
            let own = || independent(&person.id, request, &moment.people.linked_now(request, moment.now)).is_err();
            signed_in.scope >= Scope::ReviewVote
                && (person.roles.contains(&Role::Admin)
                    || approvals(review).any(|vote| vote.person == person.id)
                    || own())
        }
    }
}

/// Ends a pattern at once: nothing more runs under it.
///
/// # Errors
/// [`Denied`]; it is as it was.
pub async fn revoke(gate: &Gate, id: &PatternId, caller: &Caller) -> Result<KeptPattern, Denied> {
    let absent = || Denied::new(Code::NotFound, format!("there is no pattern `{id}`"));
    let kept = gate.store.pattern(id).await?.ok_or_else(absent)?;
    let review = gate.store.review(&kept.approved.review).await?.ok_or_else(absent)?.review;
    if !caller.reads(&review.matter().described) {
        return Err(absent());
    }
    if !may_revoke(&gate.moment(), &review, caller) {
        let message = "only who approved it, the requester's side and administrators may end a pattern";
        return Err(Denied::new(Code::Forbidden, message));
    }
    let by = match caller {
        Caller::Person(signed_in) => signed_in.person.id.to_string(),
        Caller::Agent(agent) => agent.id.to_string(),
    };
    let event = Event::PatternRevoked { pattern: id.clone(), by: Some(by), reason: "ended by hand".to_owned() };
    match gate.store.revoke_pattern(id, vec![gate.scribe.record(event)]).await {
        Ok(()) => {
            gate.changes.tell(Change::Review);
            Ok(KeptPattern { revoked: true, ..kept })
        }
        Err(StoreError::Conflict) => {
            Err(Denied::new(Code::ReviewClosed, "the pattern has been used up, has ended, or was ended already"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Ends what a review yielded, for somebody who takes their vote back. False when that is over already.
pub(super) async fn void(gate: &Gate, review: &Review, person: &PersonId) -> Result<bool, Denied> {
    let id = &review.matter().id;
    let Some(kept) = gate.store.pattern_from(id).await? else { return Ok(false) };
    let pattern = kept.approved.id;
    let reason = "a vote was taken back".to_owned();
    let events = [
        Event::ReviewRetracted { review: id.clone(), person: person.clone() },
        Event::PatternRevoked { pattern: pattern.clone(), by: Some(person.to_string()), reason },
    ];
    let records = events.into_iter().map(|event| gate.scribe.record(event)).collect();
    match gate.store.revoke_pattern(&pattern, records).await {
        Ok(()) => Ok(true),
        Err(StoreError::Conflict) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A wish as it stands in forms and on command lines: `1=any, 2=10..20`.
///
/// # Errors
/// What cannot be read, for people.
pub fn read_values(text: &str) -> Result<std::collections::BTreeMap<u32, pattern::Bound>, String> {
    let parts = text.split([',', ';']).map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| one_value(part).ok_or_else(|| unread(part))).collect()
}

fn unread(part: &str) -> String {
    format!("`{part}` is not a value of a pattern; write `1=any`, `2=same` or `3=10..20`, and commas between them")
}

fn one_value(part: &str) -> Option<(u32, pattern::Bound)> {
    let (number, bound) = part.split_once('=')?;
    Some((number.trim().parse().ok()?, read_bound(bound)?))
}

/// One bound as it stands in forms: `same`, `any`, `10..20`.
pub fn read_bound(text: &str) -> Option<pattern::Bound> {
    match text.trim() {
        "same" => Some(pattern::Bound::Same),
        "any" => Some(pattern::Bound::Any),
        range => {
            let (from, to) = range.split_once("..")?;
            Some(pattern::Bound::Range { from: from.trim().parse().ok()?, to: to.trim().parse().ok()? })
        }
    }
}

/// `90s`, `30m`, `2h`, as in policies; `None` for anything else.
pub fn read_seconds(text: &str) -> Option<u32> {
    let text = text.trim();
    let unit = match text.chars().next_back()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        _ => return None,
    };
    let number: u32 = text.get(..text.len() - 1)?.parse().ok()?;
    number.checked_mul(unit)
}

/// A wish out of the words of a form or command line; what is empty is left to policy.
///
/// # Errors
/// What cannot be read, for people.
pub fn read_wish(values: &str, uses: &str, time: &str) -> Result<Wish, String> {
    let uses = match uses.trim() {
        "" => None,
        given => Some(given.parse().map_err(|_| format!("`{given}` is no number of uses"))?),
    };
    let seconds = match time.trim() {
        "" => None,
        given => Some(read_seconds(given).ok_or_else(|| format!("`{given}` is no time; write `30m` or `2h`"))?),
    };
    Ok(Wish { uses, seconds, values: read_values(values)? })
}
