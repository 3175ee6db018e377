//! The one place where a review is resolved. Every route that can vote, withdraw or expire goes through here.
//!
//! A vote passes four gates in a fixed order: the caller is a person who may vote; they stand outside the requester's side
//! ([`separation::independent`], and policy's own forbids a second time); policy lets them speak for a group that was
//! asked; and what they saw is the open review, by both digests. Each vote that is not accepted is recorded.

use std::collections::BTreeSet;

use countersign_core::action::{ActionDigest, CardDigest, Described, GrantId, ReviewId};
use countersign_core::grant::Grant;
use countersign_core::pattern::{Approved, Wish};
use countersign_core::policy::{Approvable, ApproveCode, ApproveDenial, Decision, Obligations, Quorum};
use countersign_core::record::{Event, Record};
use countersign_core::review::separation::{self, Ballot, EligibleVote};
use countersign_core::review::{self, Deputy, Method, Outcome, Review, Verdict, Vote, tokens};

use crate::codes::Code;
use crate::gate::{Change, Gate, Moment};
use crate::identity::passkeys::{Asserted, Assertion};
use crate::identity::sign_in::groups_are_old;
use crate::identity::{Caller, SignedIn};
use crate::ports::{Role, Scope, StoreError, Versioned};

mod attention;
mod break_glass;
mod callback;
mod chat;
mod disclose;
pub mod duty;
mod follow_up;
pub mod incidents;
mod newer;
pub mod pattern;
mod retract;
mod signed;
mod standpoint;
#[cfg(test)]
mod tests;
mod voter;

use disclose::have_looked;

pub use attention::{attend_due, attention};
pub use break_glass::{BreakRequest, Glass, beside, break_glass, breakable, glass};
pub use callback::{Callback, answer};
pub use chat::{chat_decides, waits_for};
pub use disclose::{Revealed, compare, may_look, reveal, unseen};
pub use follow_up::{is_asked, may_sign_off, sign_off};
pub use newer::meets;
pub use retract::retract;
pub use signed::{Asked, break_challenge, challenge};
pub use standpoint::{Standing, Words, is_own_side};
pub use voter::Voter;

/// How often a vote is tried again when another changed the review first.
const TRIES_MAX: usize = 8;

/// A vote as it arrives, by whatever route.
#[derive(Debug, Clone)]
pub struct VoteRequest {
    /// What is said.
    pub verdict: Verdict,
    /// Why.
    pub reason: Option<String>,
    /// The action that was seen.
    pub action: ActionDigest,
    /// The card that was seen.
    pub card: CardDigest,
    /// What else they approve: the like of it.
    pub pattern: Option<Wish>,
    /// A passkey's signature over all of this.
    pub assertion: Option<Box<Assertion>>,
    /// The event whose callback it is: one vote names it.
    pub callback: Option<String>,
}

impl VoteRequest {
    /// The reason, if one is given.
    fn reason(&self) -> Option<&str> {
        self.reason.as_deref().filter(|reason| !reason.trim().is_empty())
    }
}

/// Why a review was not resolved as wished.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Denied {
    /// The stable code.
    pub code: Code,
    /// For the person.
    pub message: String,
}

impl Denied {
    /// With words for the person.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<StoreError> for Denied {
    fn from(error: StoreError) -> Self {
        Self::new(Code::RecordUnavailable, error.to_string())
    }
}

/// Casts a vote. Returns the review as it stands afterwards.
///
/// # Errors
/// [`Denied`]; the attempt is recorded, and the review is unchanged.
pub async fn cast(gate: &Gate, id: &ReviewId, caller: &Caller, vote: VoteRequest) -> Result<Review, Denied> {
    let mut found = find(gate, id).await?;
    let method = vote.assertion.is_some().then_some(Method::Passkey);
    let signed = match signature(gate, id, caller, &vote).await {
        Ok(signed) => signed,
        Err(denied) => return Err(record_denied(gate, id, caller, method, denied).await),
    };
    let looked = match (vote.verdict, caller) {
        (Verdict::Approve, Caller::Person(signed_in)) => have_looked(gate, &found.review, &signed_in.person.id).await,
        (Verdict::Approve, Caller::Agent(_)) | (Verdict::Reject, _) => Ok(()), // an agent has no vote, and a no needs no look
    };
    for _ in 0..TRIES_MAX {
        if let Err(denied) = callback::unused(gate, &vote).await {
            return Err(record_denied(gate, id, caller, None, denied).await);
        }
        match try_cast(gate, &found, caller, &vote, (signed.as_ref(), looked.clone())) {
            Ok((next, issued, records)) => match save(gate, found.version, &next, issued, records).await {
                Ok(()) => {
                    announce(gate, &next);
                    return Ok(next);
                }
                Err(StoreError::Conflict) => found = find(gate, id).await?, // somebody else changed it: look again
                Err(StoreError::NotFound(_)) => {
                    let denied = Denied::new(Code::PasskeyRefused, "the passkey was removed a moment ago");
                    return Err(record_denied(gate, id, caller, method, denied).await);
                }
                Err(error) => return Err(error.into()),
            },
            Err(denied) => return Err(record_denied(gate, id, caller, method, denied).await),
        }
    }
    Err(Denied::new(Code::RecordUnavailable, "the review changes too fast; try again"))
}

/// Takes a review back; the requester's side only.
///
/// # Errors
/// [`Denied`]; the attempt is recorded.
pub async fn withdraw(gate: &Gate, id: &ReviewId, caller: &Caller) -> Result<Review, Denied> {
    let found = find(gate, id).await?;
    let matter = found.review.matter().clone();
    let by = match caller {
        Caller::Person(signed_in) if signed_in.scope >= Scope::ReviewVote => signed_in.person.id.clone(),
        Caller::Agent(agent) if agent.id.as_str() == matter.described.requester.handle() => agent.owner.clone(),
        Caller::Person(_) | Caller::Agent(_) => {
            let denied = Denied::new(Code::Forbidden, "only the requester or their owner may withdraw a review");
            return Err(record_denied(gate, id, caller, None, denied).await);
        }
    };
    let Review::Open(open) = found.review else {
        return Err(record_denied(gate, id, caller, None, already_closed(&found.review)).await);
    };
    match open.withdraw(&by, gate.scribe.now()) {
        Ok(closed) => close(gate, found.version, Review::Closed(closed), Outcome::Withdrawn).await,
        Err(error) => Err(record_denied(gate, id, caller, None, Denied::new(Code::Forbidden, error.to_string())).await),
    }
}

/// Closes every review whose time has run out; called by a timer.
///
/// # Errors
/// The store's; the timer tries again.
pub async fn expire_due(gate: &Gate) -> Result<(), StoreError> {
    for found in gate.store.reviews_due(gate.scribe.now()).await? {
        let Review::Open(open) = found.review else { continue };
        let Ok(closed) = open.expire(gate.scribe.now()) else { continue };
        let id = closed.clone();
        match close(gate, found.version, Review::Closed(id), Outcome::Expired).await {
            Ok(_) => {}
            Err(denied) if denied.code == Code::ReviewClosed => {} // a vote came first
            Err(denied) => return Err(StoreError::Unavailable(denied.message)),
        }
    }
    Ok(())
}

/// A vote that was accepted, as far as it still counts for a request: its voter stands outside that request's side, and the
/// groups are those they may still speak for. How they were authenticated was frozen when they voted.
pub fn standing(moment: &Moment, request: &Described, vote: &Vote) -> Option<Vote> {
    let linked = moment.people.linked_now(request, moment.now);
    let counts = vote.verdict == Verdict::Approve
        && moment.counts(voter::counted_as(vote.method, vote.passkey.as_ref()), request);
    if !counts || separation::independent(&vote.person, request, &linked).is_err() {
        return None;
    }
    let authn = voter::frozen(vote);
    let none = BTreeSet::new();
    let may = |group: &&String| {
        moment.bundle.may_approve(&vote.person, &authn, request, group, &moment.with(request, &none)).is_ok()
    };
    let groups: BTreeSet<String> = vote.groups.iter().filter(may).cloned().collect();
    let duties = duty::standing(moment, request, &vote.person, &authn, &vote.duties);
    (!groups.is_empty() || !duties.is_empty()).then(|| Vote { groups, duties, ..vote.clone() })
}

/// The votes of a review that still count for what it was opened about.
fn standing_votes(moment: &Moment, review: &Review) -> Vec<Vote> {
    let request = &review.matter().described;
    review.votes().iter().filter_map(|vote| standing(moment, request, vote)).collect()
}

/// The groups whose people a review asks, and whether it asks for people of any group.
pub fn asked_groups(suffices: &[BTreeSet<Quorum>]) -> BTreeSet<String> {
    suffices.iter().flatten().map(|quorum| quorum.group.clone()).collect()
}

/// What an approval yields.
enum Issued {
    /// Its action may run, once.
    Grant(Grant),
    /// Its action and the like of it may run.
    Pattern(Approved),
}

type Resolved = (Review, Option<Issued>, Vec<Record>);

async fn save(
    gate: &Gate,
    version: u64,
    next: &Review,
    issued: Option<Issued>,
    records: Vec<Record>,
) -> Result<(), StoreError> {
    match issued {
        Some(Issued::Pattern(approved)) => gate.store.issue_pattern(version, next, approved, records).await,
        Some(Issued::Grant(grant)) => gate.store.save_review(version, next, Some(grant), records).await,
        None => gate.store.save_review(version, next, None, records).await,
    }
}

/// The check of a vote's signature, if it has one.
async fn signature(
    gate: &Gate,
    id: &ReviewId,
    caller: &Caller,
    vote: &VoteRequest,
) -> Result<Option<Asserted>, Denied> {
    match &vote.assertion {
        None => Ok(None),
        Some(assertion) => signed::take(gate, id, voter(caller)?, vote.into(), assertion).await.map(Some),
    }
}

fn try_cast(
    gate: &Gate,
    found: &Versioned,
    caller: &Caller,
    request: &VoteRequest,
    (signed, looked): (Option<&Asserted>, Result<(), Denied>),
) -> Result<Resolved, Denied> {
    let passkey = signed.map(|signed| signed.passkey().as_used());
    let voter = &Voter { signed_in: voter(caller)?, passkey };
    let moment = gate.moment();
    known_well(&moment, &found.review.matter().described, voter)?;
    let vote = eligible(&moment, &found.review, voter, request)?;
    let Review::Open(open) = &found.review else { return Err(already_closed(&found.review)) };
    seen(&found.review, request.action, request.card)?;
    in_time(&moment, &found.review, request)?;
    reason(&newer::obligations(&moment, &found.review), request)?;
    looked?;
    let described = &found.review.matter().described;
    let satisfied = |votes: &[Vote]| {
        let meets = |vote: &&Vote| meets(&moment, &found.review, described, vote);
        let standing: Vec<Vote> =
            votes.iter().filter(meets).filter_map(|vote| standing(&moment, described, vote)).collect();
        let approvals = tokens(&standing);
        matches!(moment.bundle.decide(described, &moment.with(described, &approvals)), Decision::Permit(_))
            && found.review.matter().terms.suffices.iter().any(|set| set.is_subset(&approvals))
    };
    let next = open.vote(vote, moment.now, satisfied).map_err(|error| match error {
        review::Error::VotedAlready => Denied::new(Code::VotedAlready, error.to_string()),
        review::Error::Expired => Denied::new(Code::ReviewClosed, error.to_string()),
        review::Error::NotYetExpired
        | review::Error::NotYours
        | review::Error::NotVoted
        | review::Error::AnotherAction => Denied::new(Code::Forbidden, error.to_string()),
    })?;
    let person = &voter.signed_in.person.id;
    if signed.is_some_and(|signed| signed.signed().intent.pattern_digest != pattern::named_by(&next, person)) {
        return Err(Denied::new(Code::ChallengeVoid, "this was signed for another vote"));
    }
    let issued = pattern::agreed(&next).map(Issued::Pattern).or_else(|| grant(gate, &next).map(Issued::Grant));
    let records = vote_records(gate, &next, voter, request, signed, issued.as_ref());
    Ok((next, issued, records))
}

/// Only a person with a credential that may vote is a voter.
fn voter(caller: &Caller) -> Result<&SignedIn, Denied> {
    match caller {
        Caller::Person(signed_in) if signed_in.scope >= Scope::ReviewVote => Ok(signed_in),
        Caller::Person(_) => Err(Denied::new(Code::Forbidden, "this token may read reviews, not vote on them")),
        Caller::Agent(_) => Err(Denied::new(Code::SelfApproval, "an agent never approves; people do")),
    }
}

/// What is known of a voter must be as good and as fresh as their word: groups that a provider told a while ago may be
/// theirs no longer, auditors decide nothing, and what the host minted does not count everywhere.
///
/// # Errors
/// [`Denied`], with what the voter can do about it.
pub fn known_well(moment: &Moment, request: &Described, voter: &Voter<'_>) -> Result<(), Denied> {
    if voter.signed_in.person.roles.contains(&Role::Auditor) {
        return Err(Denied::new(Code::Forbidden, "an auditor reads everything and decides nothing"));
    }
    if !moment.counts(voter.counted_as(), request) {
        let message = match voter.passkey {
            None => "a link or token made on the gateway's own host does not count for production; sign in",
            Some(_) => {
                "a passkey that was enrolled with a link made on the gateway's own host does not count for production; \
                 enrol one after signing in"
            }
        };
        return Err(Denied::new(Code::LocalCredential, message));
    }
    match moment.groups_max_age {
        Some(max_age) if groups_are_old(&voter.signed_in.person, max_age, moment.provisions, moment.now) => {
            let message = format!("your groups were last confirmed more than {max_age} seconds ago; sign in again");
            Err(Denied::new(Code::SignInAgain, message))
        }
        Some(_) | None => Ok(()),
    }
}

fn eligible(moment: &Moment, review: &Review, voter: &Voter<'_>, vote: &VoteRequest) -> Result<EligibleVote, Denied> {
    let matter = review.matter();
    let person = &voter.signed_in.person;
    let linked = moment.people.linked_now(&matter.described, moment.now);
    let independent = separation::independent(&person.id, &matter.described, &linked)
        .map_err(|error| Denied::new(Code::SelfApproval, error.to_string()))?;
    let (own, deputies) = speaks(moment, review, voter)?;
    in_turn(moment, review, &groups_of(own.as_ref(), &deputies))?;
    let authn = voter.authn();
    let ballot = Ballot {
        name: person.name.clone(),
        verdict: vote.verdict,
        method: authn.method,
        mfa: authn.mfa,
        passkey: voter.passkey.clone(),
        card: vote.card,
        pattern: pattern::chosen(moment, review, vote)?,
        reason: vote.reason().map(str::to_owned),
        at: moment.now,
    };
    EligibleVote::with_duties(independent, own.as_ref(), deputies, ballot)
        .map_err(|error| Denied::new(Code::Forbidden, error.to_string()))
}

/// Whether a vote of somebody would be in its turn.
///
/// # Errors
/// [`Denied`]: that it would not be, or why they have no vote.
pub fn turn_of(moment: &Moment, review: &Review, voter: &Voter<'_>) -> Result<(), Denied> {
    let (own, deputies) = speaks(moment, review, voter)?;
    in_turn(moment, review, &groups_of(own.as_ref(), &deputies))
}

/// The groups for which somebody would speak.
fn groups_of(own: Option<&Approvable>, deputies: &[Deputy]) -> BTreeSet<String> {
    let own = own.into_iter().flat_map(Approvable::groups);
    own.chain(deputies.iter().flat_map(Deputy::groups)).cloned().collect()
}

/// Whether it is the turn of somebody who speaks for these groups: where policies have an order (`@after`), those that come
/// first must be satisfied by votes that stand.
///
/// # Errors
/// [`Denied`], with whose turn it is.
fn in_turn(moment: &Moment, review: &Review, groups: &BTreeSet<String>) -> Result<(), Denied> {
    let (described, approvals) = (&review.matter().described, tokens(&standing_votes(moment, review)));
    let turn = moment.bundle.turn(described, groups, &moment.with(described, &approvals));
    turn.map_err(|not_yet| Denied::new(Code::NotYourTurn, not_yet.to_string()))
}

/// For whom policy lets this person speak: for themselves, in the place of others, or both.
fn speaks(moment: &Moment, review: &Review, voter: &Voter<'_>) -> Result<(Option<Approvable>, Vec<Deputy>), Denied> {
    let own = approvable(moment, review, voter);
    let (request, person) = (&review.matter().described, &voter.signed_in.person.id);
    let mut deputies = duty::deputies(moment, request, person, &voter.authn(), &asked_by_now(moment, review));
    match own {
        Ok(own) => {
            deputies.retain(|deputy| deputy.groups().is_disjoint(own.groups()));
            Ok((Some(own), deputies))
        }
        Err(denied) if denied.code == Code::NotAReviewer && !deputies.is_empty() => Ok((None, deputies)),
        Err(denied) => Err(denied),
    }
}

/// The groups that a review asks: what policy asked for when it opened, and what it asks for by now.
fn asked_by_now(moment: &Moment, review: &Review) -> BTreeSet<String> {
    let (matter, none) = (review.matter(), BTreeSet::new());
    let mut asked = asked_groups(&matter.terms.suffices);
    if let Decision::Review(terms) = moment.bundle.decide(&matter.described, &moment.with(&matter.described, &none)) {
        asked.extend(asked_groups(&terms.suffices)); // policy may have come to ask for more since
    }
    asked
}

/// The groups asked for which policy lets this person speak.
fn approvable(moment: &Moment, review: &Review, voter: &Voter<'_>) -> Result<Approvable, Denied> {
    let matter = review.matter();
    if newer::obligations(moment, review).passkey && !voter.steps_up() {
        return Err(Denied::new(Code::PasskeyRequired, "the policy asks for a vote that is signed by a passkey"));
    }
    let authn = voter.authn();
    let none = BTreeSet::new();
    let ask = |group: &str| {
        let circumstances = moment.with(&matter.described, &none);
        moment.bundle.may_approve(&voter.signed_in.person.id, &authn, &matter.described, group, &circumstances)
    };
    let own = ask("any").map_err(denied)?; // every group of theirs, so that each quorum can count them
    let asked = asked_by_now(moment, review);
    let speaks = asked.contains("any") || own.groups().iter().any(|group| asked.contains(group));
    if speaks {
        return Ok(own);
    }
    let first = asked.first().cloned().unwrap_or_default();
    ask(&first).map_err(denied)
}

fn denied(denial: ApproveDenial) -> Denied {
    let code = match denial.code {
        ApproveCode::SelfApproval => Code::SelfApproval,
        ApproveCode::NotAReviewer | ApproveCode::UnknownPerson => Code::NotAReviewer,
        ApproveCode::Suspended | ApproveCode::PolicyDenied => Code::Forbidden,
        ApproveCode::PolicyError => Code::PolicyError,
    };
    Denied::new(code, denial.text)
}

fn seen(review: &Review, action: ActionDigest, card: CardDigest) -> Result<(), Denied> {
    let matter = review.matter();
    if action != matter.action || card != matter.card {
        return Err(Denied::new(
            Code::DigestMismatch,
            "the digests are not those of the open review; look at it again",
        ));
    }
    Ok(())
}

/// A change of what was replaced in the meantime cannot be approved any more.
fn in_time(moment: &Moment, review: &Review, vote: &VoteRequest) -> Result<(), Denied> {
    match moment.stale(&review.matter().described) {
        Some(why) if vote.verdict == Verdict::Approve => {
            let message = format!("{why} since this was proposed; it has to be proposed anew");
            Err(Denied::new(Code::ProposalStale, message))
        }
        Some(_) | None => Ok(()),
    }
}

fn reason(obligations: &Obligations, vote: &VoteRequest) -> Result<(), Denied> {
    let given = vote.reason.as_deref().map(str::trim).unwrap_or_default();
    let needed = obligations.justify && vote.verdict == Verdict::Approve;
    if needed && given.is_empty() {
        return Err(Denied::new(Code::ReasonInvalid, "the policy asks for a reason with an approval"));
    }
    if given.len() > review::REASON_BYTES_MAX {
        let message = format!("a reason has at most {} bytes", review::REASON_BYTES_MAX);
        return Err(Denied::new(Code::ReasonInvalid, message));
    }
    Ok(())
}

/// What an approval for once yields.
fn grant(gate: &Gate, review: &Review) -> Option<Grant> {
    match review {
        Review::Closed(closed) if closed.outcome().grants() => Some(Grant {
            id: GrantId::new(uuid::Uuid::now_v7().to_string()),
            review: review.matter().id.clone(),
            action: review.matter().action,
            expires_at: closed.closed_at().plus_seconds(i64::from(gate.config.waits.grant_life)),
            broken_by: closed.breaking().map(|breaking| breaking.person.clone()),
        }),
        Review::Closed(_) | Review::Open(_) => None,
    }
}

fn vote_records(
    gate: &Gate,
    next: &Review,
    voter: &Voter<'_>,
    vote: &VoteRequest,
    signed: Option<&Asserted>,
    issued: Option<&Issued>,
) -> Vec<Record> {
    let authn = voter.authn();
    let voted = Event::ReviewVote {
        review: next.matter().id.clone(),
        person: voter.signed_in.person.id.clone(),
        verdict: vote.verdict,
        method: authn.method,
        mfa: authn.mfa,
        action_digest: vote.action,
        card_digest: vote.card,
        pattern_digest: pattern::named_by(next, &voter.signed_in.person.id),
        deputy_for: duty::named_by(next, &voter.signed_in.person.id),
        signed: signed.map(|signed| Box::new(signed.signed().clone())),
        synced: voter.passkey.as_ref().map(|passkey| passkey.synced),
        callback: vote.callback.clone(),
    };
    let closing = closing_events(next, issued);
    std::iter::once(voted).chain(closing).map(|event| gate.scribe.record(event)).collect()
}

/// That a review closed, and what it yielded.
fn closing_events(next: &Review, issued: Option<&Issued>) -> Vec<Event> {
    let (review, mut events) = (next.matter().id.clone(), Vec::new());
    if let Review::Closed(closed) = next {
        events.push(Event::ReviewClosed { review: review.clone(), outcome: closed.outcome() });
    }
    match issued {
        Some(Issued::Grant(grant)) => {
            let (id, action_digest, expires_at) = (grant.id.clone(), grant.action, grant.expires_at);
            let broken_by = grant.broken_by.clone();
            events.push(Event::GrantIssued { grant: id, review, action_digest, expires_at, broken_by });
        }
        Some(Issued::Pattern(approved)) => events.push(pattern::issued(approved)),
        None => {}
    }
    events
}

async fn find(gate: &Gate, id: &ReviewId) -> Result<Versioned, Denied> {
    let found = gate.store.review(id).await?;
    found.ok_or_else(|| Denied::new(Code::NotFound, format!("there is no review `{id}`")))
}

async fn close(gate: &Gate, version: u64, review: Review, outcome: Outcome) -> Result<Review, Denied> {
    let event = Event::ReviewClosed { review: review.matter().id.clone(), outcome };
    match gate.store.save_review(version, &review, None, vec![gate.scribe.record(event)]).await {
        Ok(()) => {
            announce(gate, &review);
            Ok(review)
        }
        Err(StoreError::Conflict) => Err(Denied::new(Code::ReviewClosed, "the review was decided just now")),
        Err(error) => Err(error.into()),
    }
}

fn announce(gate: &Gate, review: &Review) {
    gate.changes.tell(Change::Review);
    if matches!(review, Review::Closed(_)) {
        gate.waiting.wake(&review.matter().id);
    }
}

fn already_closed(review: &Review) -> Denied {
    Denied::new(Code::ReviewClosed, format!("the review is {} already", review.state()))
}

/// `method` is by what it was tried, where that is not the caller's own way.
async fn record_denied(gate: &Gate, id: &ReviewId, caller: &Caller, method: Option<Method>, denied: Denied) -> Denied {
    let (by, method) = match caller {
        Caller::Person(signed_in) => (signed_in.person.id.to_string(), Some(method.unwrap_or(signed_in.method))),
        Caller::Agent(agent) => (agent.id.to_string(), None),
    };
    let code = denied.code.name().to_owned();
    let event = Event::ReviewRefused { review: id.clone(), by: Some(by), code, method };
    match gate.store.append(vec![gate.scribe.record(event)]).await {
        Ok(()) => denied,
        Err(error) => error.into(),
    }
}
