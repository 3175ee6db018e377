//! Votes, withdrawals and the timer, await by await: find the review, judge, save by compare-and-swap, look again on a
//! conflict. Mirrors the gateway's `resolve`, whose gates come in the same order.

use std::collections::{BTreeSet, VecDeque};

use countersign_core::action::{ActionDigest, CardDigest, Described, GrantId, PersonId, ReviewId};
use countersign_core::grant::{GRANT_LIFE_SECONDS_DEFAULT, Grant};
use countersign_core::policy::{Approvable, ApproveCode, ApproveDenial, Authn, Bundle, Decision};
use countersign_core::record::{Event, Record};
use countersign_core::review::separation::{self, Ballot as CoreBallot, EligibleVote};
use countersign_core::review::{self, Method, Outcome, Review, Verdict, Vote, tokens};

use super::{Answer, Judged, World};
use crate::mutation::Mutation;
use crate::step::{Fault, OpId, Seen, Step};
use crate::store::StoreError;
use crate::truth::Directory;

/// How often a vote is tried again when another changed the review first.
const TRIES_MAX: u8 = 8;

/// A vote as it arrives.
#[derive(Debug, Clone)]
pub(crate) struct Ballot {
    pub(crate) voter: PersonId,
    verdict: Verdict,
    action: ActionDigest,
    card: CardDigest,
    method: Method,
    mfa: bool,
}

/// What somebody wants of a review.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    Vote(ReviewId, Ballot),
    Withdraw(ReviewId, PersonId),
    Expire,
}

/// A request on its way through a node.
#[derive(Debug)]
pub(crate) struct Op {
    pub(crate) node: usize,
    pub(crate) request: Request,
    pub(crate) state: OpState,
    tries: u8,
}

/// How far it is.
#[derive(Debug)]
pub(crate) enum OpState {
    Sent,
    Judged(VecDeque<Save>),
    Done,
}

/// A change to a review, judged and not yet saved.
#[derive(Debug)]
pub(crate) struct Save {
    version: u64,
    review: Review,
    grant: Option<Grant>,
    records: Vec<Record>,
}

type Code = &'static str;

impl World<'_> {
    pub(super) fn send(&mut self, step: &Step) {
        let (op, node, request) = match step {
            Step::Cast { op, node, .. } => (*op, *node, self.ballot(step)),
            Step::Withdraw { op, node, by, review } => {
                let by = Directory::person(usize::from(*by)).id;
                (*op, *node, Some(Request::Withdraw(review.clone(), by)))
            }
            Step::Timer { op, node } => (*op, *node, Some(Request::Expire)),
            Step::Replay { op, of, node } => (*op, *node, self.ops.get(of).map(|op| op.request.clone())),
            _ => return,
        };
        if let Some(request) = request {
            self.ops.insert(op, Op { node: usize::from(node), request, state: OpState::Sent, tries: 0 });
        }
    }

    fn ballot(&self, step: &Step) -> Option<Request> {
        let Step::Cast { voter, review, verdict, seen, method, mfa, .. } = step else { return None };
        let (found, _) = self.store.review(review).ok()??;
        let matter = found.matter();
        let action = if *seen == Seen::OtherAction { ActionDigest::of(b"another") } else { matter.action };
        let card = if *seen == Seen::OtherCard { CardDigest::of(b"another") } else { matter.card };
        let voter = Directory::person(usize::from(*voter)).id;
        let ballot = Ballot { voter, verdict: *verdict, action, card, method: *method, mfa: *mfa };
        Some(Request::Vote(review.clone(), ballot))
    }

    /// Finds and judges.
    pub(super) fn deliver(&mut self, id: OpId, fault: Fault) {
        let Some(op) = self.ops.get(&id) else { return };
        if !self.up(op.node) || !matches!(op.state, OpState::Sent) {
            return;
        }
        let (node, request) = (op.node, op.request.clone());
        let state = match &request {
            Request::Expire => OpState::Judged(self.expiring(node)),
            Request::Vote(review, ballot) => {
                let judged = self.judge_vote(node, review, ballot);
                self.judged_or_refused(node, review, (&ballot.voter, Some(ballot.method)), judged, fault)
            }
            Request::Withdraw(review, by) => {
                let judged = self.judge_withdrawal(node, review, by);
                self.judged_or_refused(node, review, (by, None), judged, fault)
            }
        };
        if let Some(op) = self.ops.get_mut(&id) {
            op.tries += 1;
            op.state = if op.tries > TRIES_MAX { OpState::Done } else { state };
        }
    }

    fn judged_or_refused(
        &mut self,
        node: usize,
        review: &ReviewId,
        (by, method): (&PersonId, Option<Method>),
        judged: Result<Save, Code>,
        fault: Fault,
    ) -> OpState {
        let code = match judged {
            Ok(save) => return OpState::Judged(VecDeque::from([save])),
            Err(code) => code,
        };
        let event =
            Event::ReviewRefused { review: review.clone(), by: Some(by.to_string()), code: code.to_owned(), method };
        let record = self.record(node, event);
        let silent = self.mutation == Mutation::VoteRefusalNotWritten;
        let recorded = if silent { Ok(()) } else { self.store.append(fault, vec![record]) };
        let code = if recorded.is_ok() { code } else { "record_unavailable" };
        self.see(format!("vote refused: {code}"));
        self.answers.push(Answer::VoteRefused { review: review.clone(), code: code.to_owned() });
        OpState::Done
    }

    fn judge_vote(&mut self, node: usize, id: &ReviewId, ballot: &Ballot) -> Result<Save, Code> {
        let (found, version) = self.find(id)?;
        let vote = self.eligible(node, &found, ballot)?;
        self.judged.push(Judged { review: id.clone(), person: ballot.voter.clone() });
        let Review::Open(open) = &found else { return Err("review_closed") };
        let matter = found.matter();
        if ballot.action != matter.action || ballot.card != matter.card {
            return Err("digest_mismatch");
        }
        let bundle = self.bundle(node).ok_or("policy_error")?;
        let satisfied = |votes: &[Vote]| {
            let approvals = tokens(votes);
            let decision = bundle.decide(&matter.described, &self.circumstances(node, &approvals));
            let terms = matter.terms.suffices.iter().any(|set| set.is_subset(&approvals));
            matches!(decision, Decision::Permit(_)) && terms
        };
        let next = open.vote(vote, self.clock(node), satisfied).map_err(|error| match error {
            review::Error::VotedAlready => "voted_already",
            review::Error::Expired => "review_closed",
            review::Error::NotYetExpired
            | review::Error::NotYours
            | review::Error::NotVoted
            | review::Error::AnotherAction => "forbidden",
        })?;
        let grant = self.grant(&next);
        let records = self.vote_records(node, &next, ballot, grant.as_ref());
        Ok(Save { version, review: next, grant, records })
    }

    fn eligible(&self, node: usize, found: &Review, ballot: &Ballot) -> Result<EligibleVote, Code> {
        let matter = found.matter();
        let person = self.directory.people.persons.get(&ballot.voter);
        if person.is_none_or(|facts| facts.suspended) {
            return Err("unauthenticated"); // the gateway does not let them in
        }
        let mut against = matter.described.clone();
        let mut linked = self.directory.linked_now(&against);
        if self.mutation == Mutation::IndependentOfAnother {
            (against, linked) = nobodys(against);
        }
        let independent = separation::independent(&ballot.voter, &against, &linked).map_err(|_| "self_approval")?;
        let approvable = self.approvable(node, found, ballot, &against)?;
        let core = CoreBallot {
            name: ballot.voter.to_string(),
            verdict: ballot.verdict,
            method: ballot.method,
            mfa: ballot.mfa,
            passkey: None,
            card: ballot.card,
            pattern: None,
            reason: None,
            at: self.clock(node),
        };
        EligibleVote::new(independent, &approvable, core).map_err(|_| "forbidden")
    }

    /// The groups asked for which policy lets this person speak.
    fn approvable(
        &self,
        node: usize,
        found: &Review,
        ballot: &Ballot,
        against: &Described,
    ) -> Result<Approvable, Code> {
        let bundle = self.bundle(node).ok_or("policy_error")?;
        let authn = Authn { mfa: ballot.mfa, age_seconds: 0, method: ballot.method, passkey: None };
        let none = BTreeSet::new();
        let circumstances = self.circumstances(node, &none);
        let ask = |group: &str| bundle.may_approve(&ballot.voter, &authn, against, group, &circumstances);
        let own = ask("any").map_err(|denial| denied(&denial))?;
        let asked: BTreeSet<&str> =
            found.matter().terms.suffices.iter().flatten().map(|quorum| quorum.group.as_str()).collect();
        if asked.contains("any") || own.groups().iter().any(|group| asked.contains(group.as_str())) {
            return Ok(own);
        }
        ask(asked.first().copied().unwrap_or_default()).map_err(|denial| denied(&denial))
    }

    /// Whether a vote that was accepted still counts.
    pub(super) fn still_counts(&self, node: usize, bundle: &Bundle, found: &Review, vote: &Vote) -> bool {
        let request = &found.matter().described;
        let linked = self.directory.linked_now(request);
        if vote.verdict != Verdict::Approve || separation::independent(&vote.person, request, &linked).is_err() {
            return false;
        }
        let authn = Authn { mfa: vote.mfa, age_seconds: 0, method: vote.method, passkey: None };
        let none = BTreeSet::new();
        let circumstances = self.circumstances(node, &none);
        vote.groups.iter().all(|group| bundle.may_approve(&vote.person, &authn, request, group, &circumstances).is_ok())
    }

    fn judge_withdrawal(&mut self, node: usize, id: &ReviewId, by: &PersonId) -> Result<Save, Code> {
        let (found, version) = self.find(id)?;
        let Review::Open(open) = found else { return Err("review_closed") };
        let closed = open.withdraw(by, self.clock(node)).map_err(|_| "forbidden")?;
        Ok(self.closing(node, version, Review::Closed(closed), Outcome::Withdrawn))
    }

    /// Every review whose time has run out.
    fn expiring(&mut self, node: usize) -> VecDeque<Save> {
        let due = self.store.due(self.clock(node)).unwrap_or_default();
        let open = due.into_iter().filter_map(|(found, version)| match found {
            Review::Open(open) => Some((open, version)),
            Review::Closed(_) => None,
        });
        open.filter_map(|(open, version)| {
            let closed = open.expire(self.clock(node)).ok()?;
            Some(self.closing(node, version, Review::Closed(closed), Outcome::Expired))
        })
        .collect()
    }

    fn closing(&self, node: usize, version: u64, review: Review, outcome: Outcome) -> Save {
        let event = Event::ReviewClosed { review: review.matter().id.clone(), outcome };
        let grant = self.grant(&review);
        Save { version, review, grant, records: vec![self.record(node, event)] }
    }

    /// What an approval yields.
    fn grant(&self, review: &Review) -> Option<Grant> {
        let Review::Closed(closed) = review else { return None };
        if closed.outcome() != Outcome::Approved && self.mutation != Mutation::GrantForAnyClosing {
            return None;
        }
        let matter = review.matter();
        Some(Grant {
            id: GrantId::new(format!("grant-of-{}", matter.id)),
            review: matter.id.clone(),
            action: matter.action,
            expires_at: closed.closed_at().plus_seconds(i64::from(GRANT_LIFE_SECONDS_DEFAULT)),
            broken_by: closed.breaking().map(|breaking| breaking.person.clone()),
        })
    }

    fn vote_records(&self, node: usize, next: &Review, ballot: &Ballot, grant: Option<&Grant>) -> Vec<Record> {
        let review = next.matter().id.clone();
        let mut events = vec![Event::ReviewVote {
            review: review.clone(),
            person: ballot.voter.clone(),
            verdict: ballot.verdict,
            method: ballot.method,
            mfa: ballot.mfa,
            action_digest: ballot.action,
            card_digest: ballot.card,
            pattern_digest: None,
            deputy_for: Vec::new(),
            signed: None,
            synced: None,
            callback: None,
        }];
        if let Review::Closed(closed) = next {
            events.push(Event::ReviewClosed { review: review.clone(), outcome: closed.outcome() });
        }
        if let Some(grant) = grant {
            let (id, action_digest, expires_at) = (grant.id.clone(), grant.action, grant.expires_at);
            events.push(Event::GrantIssued {
                grant: id,
                review,
                action_digest,
                expires_at,
                broken_by: grant.broken_by.clone(),
            });
        }
        events.into_iter().map(|event| self.record(node, event)).collect()
    }

    fn find(&self, id: &ReviewId) -> Result<(Review, u64), Code> {
        self.store.review(id).map_err(|_| "record_unavailable")?.ok_or("not_found")
    }

    /// Saves what was judged; on a conflict a vote looks again, while anything else has come too late.
    pub(super) fn commit(&mut self, id: OpId, fault: Fault) {
        let Some(op) = self.ops.get_mut(&id) else { return };
        let OpState::Judged(saves) = &mut op.state else { return };
        let (node, again) = (op.node, matches!(op.request, Request::Vote(..)));
        let Some(save) = saves.pop_front() else {
            op.state = OpState::Done;
            return;
        };
        if saves.is_empty() {
            op.state = OpState::Done;
        }
        match self.store.save(fault, save.version, &save.review, save.grant.as_ref(), save.records) {
            Ok(()) => self.announce(node, &save.review),
            Err(StoreError::Conflict) if again => {
                self.see("vote looks again after a conflict");
                if let Some(op) = self.ops.get_mut(&id) {
                    op.state = OpState::Sent;
                }
            }
            Err(StoreError::Conflict) => self.see("closed by another first"),
            Err(StoreError::Unavailable) => self.see("vote lost to the storage"),
        }
    }

    fn announce(&mut self, node: usize, review: &Review) {
        self.see(format!("review now {}", review.state()));
        let fell = |vote: &&Vote| self.bundle(node).is_none_or(|bundle| !self.still_counts(node, bundle, review, vote));
        if review.state() == Outcome::Approved.name() && review.votes().iter().any(|vote| fell(&vote)) {
            self.see("review now approved, with a vote that counts no longer"); // release asks again, and revokes
        }
        if let Review::Closed(_) = review {
            self.wake(node, &review.matter().id);
        }
    }
}

fn denied(denial: &ApproveDenial) -> Code {
    match denial.code {
        ApproveCode::SelfApproval => "self_approval",
        ApproveCode::NotAReviewer | ApproveCode::UnknownPerson => "not_a_reviewer",
        ApproveCode::Suspended | ApproveCode::PolicyDenied => "forbidden",
        ApproveCode::PolicyError => "policy_error",
    }
}

/// A request like this one that nobody in the directory is behind: what a planted defect asks about instead.
fn nobodys(mut request: Described) -> (Described, BTreeSet<PersonId>) {
    let gil = Directory::person(6);
    request.closure = std::sync::Arc::default();
    request.on_behalf_of = gil.clone().into();
    request.requester = countersign_core::action::Requester::Person { person: gil }.into();
    (request, BTreeSet::new())
}
