//! Breaking the glass: one person lets an action run that others were asked about, where policy has made that exception.
//!
//! The gates are those of a vote, and some more: the person stands outside the requester's side, what is known of them is
//! fresh, a second factor of theirs is no older than 15 minutes, Cedar's `break-glass` permits it, they say why, and they saw
//! the open review, by both digests. Then policy is asked about the action with the glass broken; only a policy that names
//! `context.breakGlass` yields. The grant is an ordinary one but for the name on it: at its release all of this is asked
//! again ([`glass`]). Whoever breaks the glass counts for nothing else: a vote of theirs is left out beside it.

use std::collections::BTreeSet;

use countersign_core::action::{ActionDigest, CardDigest, Described, PersonId, ReviewId};
use countersign_core::grant::Grant;
use countersign_core::policy::{Decision, Permitted, Quorum};
use countersign_core::record::{Event, Record};
use countersign_core::review::attention::Attention;
use countersign_core::review::intent::text_sha256;
use countersign_core::review::{
    Breaking, EligibleBreaking, Method, REASON_BYTES_MAX, Review, Vote, is_strong, separation, tokens,
};

use super::{
    Denied, Issued, TRIES_MAX, Voter, already_closed, announce, asked_groups, attention, denied, find, grant,
    have_looked, known_well, newer, record_denied, signed, standing_votes, voter,
};
use crate::codes::Code;
use crate::gate::{Gate, Moment};
use crate::identity::Caller;
use crate::identity::passkeys::{Asserted, Assertion};
use crate::ports::{StoreError, Versioned};

/// A break-glass as it arrives, by whatever route.
#[derive(Debug, Clone)]
pub struct BreakRequest {
    /// Why.
    pub reason: String,
    /// The action that was seen.
    pub action: ActionDigest,
    /// The card that was seen.
    pub card: CardDigest,
    /// A passkey's signature over all of this.
    pub assertion: Option<Box<Assertion>>,
}

/// Whether a grant rests on broken glass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glass {
    /// It rests on approvals.
    Whole,
    /// It does, and whoever broke it still may.
    Broken,
    /// It does, and they may no longer; or grant and review say different things.
    Void,
}

/// Breaks the glass on one open review. Returns it as it stands afterwards.
///
/// # Errors
/// [`Denied`]; the attempt is recorded, and the review is unchanged.
pub async fn break_glass(
    gate: &Gate,
    id: &ReviewId,
    caller: &Caller,
    request: &BreakRequest,
) -> Result<Review, Denied> {
    let method = request.assertion.is_some().then_some(Method::Passkey);
    let signed = match signature(gate, id, caller, request).await {
        Ok(signed) => signed,
        Err(denied) => return Err(record_denied(gate, id, caller, method, denied).await),
    };
    let looked = match caller {
        Caller::Person(signed_in) => have_looked(gate, &find(gate, id).await?.review, &signed_in.person.id).await,
        Caller::Agent(_) => Ok(()), // an agent breaks no glass
    };
    for _ in 0..TRIES_MAX {
        let found = find(gate, id).await?;
        let attention = attention(gate, id).await?;
        let (next, grant, records) =
            match try_break(gate, (&found, &attention), caller, request, (signed.as_ref(), looked.clone())) {
                Ok(broken) => broken,
                Err(denied) => return Err(record_denied(gate, id, caller, method, denied).await),
            };
        match gate.store.save_review(found.version, &next, grant, records).await {
            Ok(()) => {
                tracing::error!(review = %id, "the glass was broken");
                announce(gate, &next);
                return Ok(next);
            }
            Err(StoreError::Conflict) => {} // somebody else changed it: look again
            Err(StoreError::NotFound(_)) => {
                let denied = Denied::new(Code::PasskeyRefused, "the passkey was removed a moment ago");
                return Err(record_denied(gate, id, caller, method, denied).await);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Denied::new(Code::RecordUnavailable, "the review changes too fast; try again"))
}

/// The check of its signature, if it has one.
async fn signature(
    gate: &Gate,
    id: &ReviewId,
    caller: &Caller,
    request: &BreakRequest,
) -> Result<Option<Asserted>, Denied> {
    match &request.assertion {
        None => Ok(None),
        Some(assertion) => signed::take(gate, id, voter(caller)?, request.into(), assertion).await.map(Some),
    }
}

/// Whether the glass on a review may be broken by this person, as far as it does not depend on what they send.
///
/// # Errors
/// [`Denied`], with what stands in the way.
pub fn breakable(moment: &Moment, review: &Review, voter: &Voter<'_>) -> Result<(), Denied> {
    eligible(moment, review, voter)?;
    permitted(moment, review, voter).map(drop)
}

/// Whether a grant rests on broken glass, for a request that would use it: whoever broke it must still be let to, for the
/// side that was reviewed and for the side that would run it.
pub fn glass(moment: &Moment, review: &Review, grant: &Grant, request: &Described) -> Glass {
    match (review.breaking(), &grant.broken_by) {
        (None, None) => Glass::Whole,
        (Some(breaking), Some(person)) if &breaking.person == person => {
            let stands = |request| stands(moment, request, breaking);
            if stands(&review.matter().described) && stands(request) { Glass::Broken } else { Glass::Void }
        }
        (Some(_), Some(_)) | (None, Some(_)) | (Some(_), None) => Glass::Void,
    }
}

/// The approvals beside a broken glass: whoever broke it is not counted a second time, nor whoever spoke in their place.
pub fn beside(review: &Review, standing: Vec<Vote>) -> BTreeSet<Quorum> {
    match review.breaking() {
        Some(breaking) => tokens(&without(standing, &breaking.person)),
        None => tokens(&standing),
    }
}

/// The votes without a person's own, and without what others said in their place.
fn without(votes: Vec<Vote>, person: &PersonId) -> Vec<Vote> {
    let others = votes.into_iter().filter(|vote| &vote.person != person);
    let spoken = others.map(|mut vote| {
        vote.duties.retain(|duty| &duty.of != person);
        vote
    });
    spoken.filter(|vote| !vote.groups.is_empty() || !vote.duties.is_empty()).collect()
}

fn stands(moment: &Moment, request: &Described, breaking: &Breaking) -> bool {
    let authn = breaking.authn();
    let linked = moment.people.linked_now(request, moment.now);
    let none = BTreeSet::new();
    moment.counts(super::voter::counted_as(breaking.method, breaking.passkey.as_ref()), request)
        && is_strong(&authn)
        && (breaking.passkey.is_some() || !newer::wants_passkey(moment, request))
        && separation::independent(&breaking.person, request, &linked).is_ok()
        && moment
            .bundle
            .may_break_glass(&breaking.person, &authn, request, &moment.of_breaking(request, &breaking.person, &none))
            .is_ok()
}

type Broken = (Review, Option<Grant>, Vec<Record>);

fn try_break(
    gate: &Gate,
    (found, attention): (&Versioned, &Attention),
    caller: &Caller,
    request: &BreakRequest,
    (signed, looked): (Option<&Asserted>, Result<(), Denied>),
) -> Result<Broken, Denied> {
    let passkey = signed.map(|signed| signed.passkey().as_used());
    let voter = &Voter { signed_in: voter(caller)?, passkey };
    let (moment, review) = (gate.moment(), &found.review);
    let (independent, proof) = eligible(&moment, review, voter)?;
    let Review::Open(open) = review else { return Err(already_closed(review)) };
    super::seen(review, request.action, request.card)?;
    looked?;
    let mut breaking = breaking(&moment, review, voter, request)?;
    breaking.asked.extend(attention.escalated.iter().map(|there| there.group.clone()));
    let permitted = permitted(&moment, review, voter)?;
    let forbidden = |error: &dyn std::fmt::Display| Denied::new(Code::Forbidden, error.to_string());
    let eligible = EligibleBreaking::new(&independent, &proof, breaking).map_err(|error| forbidden(&error))?;
    let closed = open.break_glass(eligible, &permitted, moment.now).map_err(|error| match error {
        countersign_core::review::Error::Expired => Denied::new(Code::ReviewClosed, error.to_string()),
        error => forbidden(&error),
    })?;
    let next = Review::Closed(closed);
    let grant = grant(gate, &next);
    let issued = grant.clone().map(Issued::Grant);
    let records = records(gate, &moment, &next, &permitted, issued.as_ref(), signed);
    Ok((next, grant, records))
}

type Proofs = (separation::Independent, countersign_core::policy::Breakable);

/// The person: independent, well known, strongly authenticated, and let by policy; the gravest objection first.
fn eligible(moment: &Moment, review: &Review, voter: &Voter<'_>) -> Result<Proofs, Denied> {
    let matter = review.matter();
    let (request, person) = (&matter.described, &voter.signed_in.person.id);
    let linked = moment.people.linked_now(request, moment.now);
    let independent = separation::independent(person, request, &linked)
        .map_err(|error| Denied::new(Code::SelfApproval, error.to_string()))?;
    known_well(moment, request, voter)?;
    let (authn, none) = (voter.authn(), BTreeSet::new());
    let proof = moment.bundle.may_break_glass(person, &authn, request, &moment.of_breaking(request, person, &none));
    let proof = proof.map_err(denied)?;
    if newer::obligations(moment, review).passkey && !voter.steps_up() {
        let message = "the policy asks for a passkey, to break the glass as well; sign on the review's page";
        return Err(Denied::new(Code::PasskeyRequired, message));
    }
    if !is_strong(&authn) {
        let message = "breaking the glass takes a second factor of the last 15 minutes; sign in again";
        return Err(Denied::new(Code::SignInAgain, message));
    }
    Ok((independent, proof))
}

/// Policy's answer with the glass broken.
fn permitted(moment: &Moment, review: &Review, voter: &Voter<'_>) -> Result<Permitted, Denied> {
    let request = &review.matter().described;
    let approvals = standing_votes(moment, review);
    if let Decision::Permit(_) = moment.bundle.decide(request, &moment.with(request, &tokens(&approvals))) {
        let message = "nothing stands in the way any more; the requester may send the same again";
        return Err(Denied::new(Code::NoBreakGlass, message));
    }
    let others = without(approvals, &voter.signed_in.person.id);
    match moment.bundle.decide(request, &moment.with_glass(request, &tokens(&others), true)) {
        Decision::Permit(permitted) => Ok(permitted),
        Decision::Review(terms) => Err(unyielding(terms.policies.iter().map(|note| note.id.as_str()))),
        Decision::Deny(denial) => Err(unyielding(denial.policies.iter().map(|note| note.id.as_str()))),
    }
}

fn unyielding<'a>(policies: impl Iterator<Item = &'a str>) -> Denied {
    let names: Vec<String> = policies.map(|id| format!("`{id}`")).collect();
    Denied::new(Code::NoBreakGlass, format!("no broken glass lifts {}", names.join(", ")))
}

fn breaking(moment: &Moment, review: &Review, voter: &Voter<'_>, request: &BreakRequest) -> Result<Breaking, Denied> {
    let (authn, person) = (voter.authn(), &voter.signed_in.person);
    Ok(Breaking {
        person: person.id.clone(),
        name: person.name.clone(),
        method: authn.method,
        mfa: authn.mfa,
        passkey: voter.passkey.clone(),
        card: request.card,
        reason: words(&request.reason)?,
        asked: asked(moment, review),
        at: moment.now,
    })
}

/// Everybody who was asked, when the review opened and as policy would ask now.
fn asked(moment: &Moment, review: &Review) -> BTreeSet<String> {
    let matter = review.matter();
    let mut asked = asked_groups(&matter.terms.suffices);
    if let Decision::Review(terms) =
        moment.bundle.decide(&matter.described, &moment.with(&matter.described, &BTreeSet::new()))
    {
        asked.extend(asked_groups(&terms.suffices));
    }
    asked
}

/// What somebody must say, within its bounds.
pub(super) fn words(given: &str) -> Result<String, Denied> {
    let given = given.trim();
    if given.is_empty() {
        return Err(Denied::new(Code::ReasonInvalid, "say why: it is recorded, and read by everybody who was asked"));
    }
    if given.len() > REASON_BYTES_MAX {
        return Err(Denied::new(Code::ReasonInvalid, format!("it has at most {REASON_BYTES_MAX} bytes")));
    }
    Ok(given.to_owned())
}

fn records(
    gate: &Gate,
    moment: &Moment,
    next: &Review,
    permitted: &Permitted,
    issued: Option<&Issued>,
    signed: Option<&Asserted>,
) -> Vec<Record> {
    let (matter, Some(breaking)) = (next.matter(), next.breaking()) else { return Vec::new() };
    let (review, person) = (matter.id.clone(), breaking.person.clone());
    let detail = format!("person {person} broke the glass on review {review}; a follow-up is to be done");
    let broken = Event::ReviewGlassBroken {
        review: review.clone(),
        person,
        method: breaking.method,
        mfa: breaking.mfa,
        action_digest: matter.action,
        card_digest: breaking.card,
        reason_sha256: text_sha256(&breaking.reason),
        asked: breaking.asked.clone(),
        incident: moment.incident_for_deed(&matter.described, &breaking.person),
        bundle: permitted.bundle(),
        signed: signed.map(|signed| Box::new(signed.signed().clone())),
        synced: breaking.passkey.as_ref().map(|passkey| passkey.synced),
    };
    let alarm = Event::SystemAlarm { code: "glass_broken".to_owned(), detail };
    let closing = super::closing_events(next, issued);
    std::iter::once(broken).chain(closing).chain([alarm]).map(|event| gate.scribe.record(event)).collect()
}

#[cfg(test)]
mod tests {
    use countersign_core::action::Timestamp;
    use countersign_core::review::{DutyUse, Method, Verdict};

    use super::*;

    fn vote(person: &str, groups: &[&str], of: &[&str]) -> Vote {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
        let duty = |of: &&str| DutyUse { of: PersonId::new(*of), name: (*of).to_owned(), groups: names(&["dba"]) };
        Vote {
            person: PersonId::new(person),
            name: person.to_owned(),
            verdict: Verdict::Approve,
            method: Method::Console,
            mfa: true,
            passkey: None,
            groups: names(groups),
            duties: of.iter().map(duty).collect(),
            card: CardDigest::of(b"card"),
            pattern: None,
            reason: None,
            at: Timestamp::from_seconds(0),
        }
    }

    #[test]
    fn whoever_breaks_the_glass_counts_for_nothing_else_not_even_by_a_deputy() {
        let votes =
            vec![vote("breaker", &["dba"], &[]), vote("deputy", &[], &["breaker"]), vote("other", &["dba"], &[])];
        let quorum = |count| Quorum { group: "dba".to_owned(), count };
        assert!(tokens(&votes).contains(&quorum(2)));
        let beside = tokens(&without(votes, &PersonId::new("breaker")));
        assert!(beside.contains(&quorum(1)) && !beside.contains(&quorum(2)), "{beside:?}");
        let both = vec![vote("deputy", &[], &["breaker", "away"])];
        assert!(tokens(&without(both, &PersonId::new("breaker"))).contains(&quorum(1)), "for somebody else");
    }
}
