//! The line of one call, await by await: describe and decide → ask → wait → authorize → release → execute → record.
//!
//! Mirrors the gateway's `pipeline`; where that awaits, a phase ends. Not covered: wire formats, sessions, streams, time
//! limits of the network. One step more than reviewing asks for is taken at release: the votes are also held against the
//! side of the request that *runs*, which another connection of the same requester may have described with a longer
//! delegation chain than the one that was reviewed.

use std::cell::RefCell;
use std::collections::BTreeSet;

use countersign_core::action::redact::Shown;
use countersign_core::action::{
    ActionId, ActionRequest, Described, PayloadDigest, ReviewId, SealedPayload, SessionFacts, Timestamp,
};
use countersign_core::card::Card;
use countersign_core::grant::{self, Authority, Grant, Permit, RecordLevel, ReleaseError};
use countersign_core::policy::{Bundle, Decision, Denial, Terms};
use countersign_core::record::{Event, Status};
use countersign_core::review::{
    EXPIRY_SECONDS_DEFAULT, HOLD_SECONDS_DEFAULT, Matter, Outcome, Review, Vote, separation, tokens,
};

use super::release::{IntentLog, facts, ready, summary, target};
use super::{Answer, Authorized, Effect, World};
use crate::mutation::Mutation;
use crate::step::{CallId, Fault, Step};
use crate::store::{Ask, Asked, StoreError, outcome};
use crate::truth::Directory;

/// How often one call may find that its approval was used by another before it gives up.
const TURNS_MAX: u8 = 8;

/// A captured message on its way.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) node: usize,
    request: ActionRequest,
    fingerprint: String,
    pub(crate) phase: Phase,
    /// The client left while it waited, and a planted defect let the call go on.
    absent: bool,
    turns: u8,
}

/// Between which two awaits it is.
#[derive(Debug)]
pub(crate) enum Phase {
    Captured,
    Asking(Terms),
    Telling { terms: Terms, review: ReviewId, woken: bool },
    Waiting { terms: Terms, review: ReviewId, until: Timestamp, woken: bool },
    Authorizing { terms: Terms, grant: Grant },
    Revoking { grant: Grant, reason: &'static str, then: AfterRevoking },
    Authorized(Authority),
    Permitted(Permit),
    Refusing { code: String, policies: Vec<String> },
}

/// Where a call goes once a grant that does not hold is void.
#[derive(Debug)]
pub(crate) enum AfterRevoking {
    AskAnew(Terms),
    Refuse { code: String, policies: Vec<String> },
}

impl Phase {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Phase::Captured => "captured",
            Phase::Asking(_) => "asking",
            Phase::Telling { .. } => "telling",
            Phase::Waiting { .. } => "waiting",
            Phase::Authorizing { .. } => "authorizing",
            Phase::Revoking { .. } => "revoking",
            Phase::Authorized(_) => "authorized",
            Phase::Permitted(_) => "permitted",
            Phase::Refusing { .. } => "refusing",
        }
    }
}

/// A call that ran, and whose outcome is not recorded yet.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) node: usize,
    action: ActionId,
    level: RecordLevel,
    status: Status,
}

/// Where a call stands after a step: in its next phase, run, or at its end.
enum Next {
    To(Box<Call>),
    Ran(Ran),
    End,
}

impl World<'_> {
    pub(super) fn capture(&mut self, step: &Step) {
        let Step::Capture { call, node, requester, class, environment, text, actor } = step else { return };
        let node = usize::from(*node);
        let Some((who, for_whom)) = self.directory.requester(usize::from(*requester)) else { return };
        let owner = self.directory.people.persons.get(&who.owner().id);
        if !self.up(node) || self.calls.contains_key(call) || owner.is_none_or(|facts| facts.suspended) {
            return; // such a client does not get past its login
        }
        let statement = format!("{} {text}", class.name());
        let payload = SealedPayload::seal(statement.clone().into_bytes());
        let mut closure = BTreeSet::from([who.owner().id.clone(), for_whom.id.clone()]);
        closure.extend(actor.map(|place| Directory::person(usize::from(place)).id));
        let described = Described {
            impact: countersign_core::action::impact::Impact::default(),
            id: ActionId::new(format!("action-{}", call.0)),
            requester: who.into(),
            on_behalf_of: for_whom.into(),
            closure: closure.into(),
            target: target(*environment).into(),
            facts: facts(*class).into(),
            session: SessionFacts::default().into(),
            shown: Shown::default(),
            reason: None,
            payload: payload.digest(),
            at: self.clock(node),
        };
        let Ok(request) = ActionRequest::new(described, payload) else { return };
        let call_state =
            Call { node, request, fingerprint: statement, phase: Phase::Captured, absent: false, turns: 0 };
        self.calls.insert(*call, call_state);
    }

    pub(super) fn leave(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        match call.phase {
            Phase::Telling { .. } | Phase::Waiting { .. } if self.mutation == Mutation::RunsForTheAbsent => {
                call.absent = true;
            }
            Phase::Telling { .. } | Phase::Waiting { .. } => {
                call.phase = refusing("cancelled");
                self.see("client left while it waited");
                self.drop_turn(id);
            }
            _ => {} // nothing looks at the client then
        }
    }

    pub(super) fn advance(&mut self, id: CallId, fault: Fault) {
        if let Some(ran) = self.ran.remove(&id) {
            return self.finish(ran, fault);
        }
        let Some(call) = self.calls.remove(&id) else { return };
        match self.go_on(id, call, fault) {
            Next::To(call) => {
                if let Phase::Refusing { .. } = call.phase {
                    self.drop_turn(id);
                }
                self.calls.insert(id, *call);
            }
            Next::Ran(ran) => drop(self.ran.insert(id, ran)),
            Next::End => self.drop_turn(id),
        }
    }

    fn go_on(&mut self, id: CallId, mut call: Call, fault: Fault) -> Next {
        let phase = std::mem::replace(&mut call.phase, Phase::Captured);
        call.phase = match phase {
            Phase::Captured => self.decide(&call),
            Phase::Asking(terms) => self.ask(id, &mut call, terms, fault),
            Phase::Telling { terms, review, woken } => self.told(&call, terms, review, woken),
            Phase::Waiting { terms, review, until, woken } => self.wait(&call, terms, review, (until, woken)),
            Phase::Authorizing { terms, grant } => self.authorize(&call, terms, grant),
            Phase::Revoking { grant, reason, then } => self.revoke(&call, grant, reason, then, fault),
            Phase::Authorized(authority) => self.release(id, &call, authority, fault),
            Phase::Permitted(permit) => return self.execute(call, permit),
            Phase::Refusing { code, policies } => {
                self.refuse(&call, code, policies, fault);
                return Next::End;
            }
        };
        Next::To(Box::new(call))
    }

    fn decide(&mut self, call: &Call) -> Phase {
        let none = BTreeSet::new();
        let Some(bundle) = self.bundle(call.node) else { return refusing("policy_error") };
        match bundle.decide(call.request.described(), &self.circumstances(call.node, &none)) {
            Decision::Permit(permitted) => {
                self.note_authority(call, None);
                Phase::Authorized(Authority::Policy(permitted))
            }
            Decision::Deny(denial) => denied(denial),
            Decision::Review(terms) => Phase::Asking(terms),
        }
    }

    fn note_authority(&mut self, call: &Call, grant: Option<&Grant>) {
        if let Some(node) = self.nodes.get(call.node) {
            let request = call.request.described().clone();
            self.authorized.push(Authorized { request, bundle: node.bundle, grant: grant.cloned() });
        }
    }

    fn ask(&mut self, id: CallId, call: &mut Call, terms: Terms, fault: Fault) -> Phase {
        call.turns += 1;
        if call.turns > TURNS_MAX {
            return refusing("approval_void");
        }
        let Some(ask) = self.question(id, call, &terms) else { return refusing("record_unavailable") };
        let review = match self.store.ask(fault, ask) {
            Err(_) => return refusing("record_unavailable"),
            Ok(Asked::Granted(grant)) => return Phase::Authorizing { terms, grant },
            Ok(Asked::RejectedRecently) => return refusing("rejected_recently"),
            Ok(Asked::TooMany) => return refusing("too_many_reviews"),
            Ok(Asked::Opened(review)) => {
                let current = self.bundle(call.node).is_some_and(|bundle| bundle.digest() == terms.bundle);
                self.see(if current { "review opened" } else { "review opened under terms of an earlier policy" });
                review
            }
            Ok(Asked::Joined(review)) => {
                self.see("review joined");
                review
            }
        };
        self.drop_turn(id); // this call opened or joined another review: the next may look at the first
        self.join(call.node, id, &review);
        Phase::Telling { terms, review, woken: false }
    }

    fn question(&self, id: CallId, call: &Call, terms: &Terms) -> Option<Ask> {
        let (described, action) = (call.request.described(), call.request.digest());
        let card = Card::new(described, action, terms).digest().ok()?;
        let opened_at = self.clock(call.node);
        let expires = terms.obligations.expires_seconds.unwrap_or(EXPIRY_SECONDS_DEFAULT);
        let expires_at = opened_at.plus_seconds(i64::from(expires));
        let review = ReviewId::new(format!("review-{}-{}", id.0, call.turns));
        let event = Event::ReviewOpened {
            review: review.clone(),
            action: summary(&call.request),
            card,
            policies: terms.policies.iter().map(|note| note.id.clone()).collect(),
            suffices: terms.suffices.clone(),
            expires_at,
            bundle: terms.bundle,
        };
        let (described, terms) = (described.clone(), terms.clone());
        let matter = Matter { id: review, action, card, described, terms, offer: None, opened_at, expires_at };
        Some(Ask { matter, fingerprint: call.fingerprint.clone(), record: self.record(call.node, event) })
    }

    /// The place in the room is taken; the review may have closed before.
    fn told(&mut self, call: &Call, terms: Terms, review: ReviewId, woken: bool) -> Phase {
        match self.closed(&review) {
            Err(code) => refusing(code),
            Ok(Some(outcome)) => after_closing(outcome, terms),
            Ok(None) => {
                let hold = terms.obligations.hold_seconds.unwrap_or(HOLD_SECONDS_DEFAULT);
                let until = self.clock(call.node).plus_seconds(i64::from(hold));
                Phase::Waiting { terms, review, until, woken }
            }
        }
    }

    fn wait(&mut self, call: &Call, terms: Terms, review: ReviewId, (until, woken): (Timestamp, bool)) -> Phase {
        if woken {
            return match self.closed(&review) {
                Ok(Some(outcome)) => after_closing(outcome, terms),
                Ok(None) | Err(_) => refusing("record_unavailable"),
            };
        }
        if self.clock(call.node) >= until {
            return refusing("hold_ended");
        }
        Phase::Waiting { terms, review, until, woken }
    }

    fn closed(&self, review: &ReviewId) -> Result<Option<Outcome>, &'static str> {
        match self.store.review(review) {
            Ok(Some((Review::Open(_), _))) => Ok(None),
            Ok(Some((Review::Closed(closed), _))) => Ok(Some(closed.outcome())),
            Ok(None) => Err("approval_void"),
            Err(_) => Err("record_unavailable"),
        }
    }

    /// Decides again with the approvals behind a grant, each approver asked about freshly.
    fn authorize(&mut self, call: &Call, terms: Terms, grant: Grant) -> Phase {
        let revoking = |grant, reason, terms| Phase::Revoking { grant, reason, then: AfterRevoking::AskAnew(terms) };
        let Ok(found) = self.store.review(&grant.review) else { return refusing("record_unavailable") };
        let Some((review, _)) = found else { return revoking(grant, "its review is gone", terms) };
        let Some(bundle) = self.bundle_at_release(call.node, &review) else { return refusing("policy_error") };
        let standing: Vec<Vote> =
            review.votes().iter().filter(|vote| self.stands(call, bundle, &review, vote)).cloned().collect();
        let approvals = tokens(&standing);
        if !review.matter().terms.suffices.iter().any(|set| set.is_subset(&approvals)) {
            return revoking(grant, "an approver may no longer approve", terms);
        }
        match bundle.decide(call.request.described(), &self.circumstances(call.node, &approvals)) {
            Decision::Permit(permitted) => {
                self.note_authority(call, Some(&grant));
                Phase::Authorized(Authority::Grant(permitted, grant))
            }
            Decision::Review(_) => revoking(grant, "policy now asks for more", terms),
            Decision::Deny(denial) => {
                let policies = denial.policies.into_iter().map(|note| note.id).collect();
                let then = AfterRevoking::Refuse { code: denial.code, policies };
                Phase::Revoking { grant, reason: "policy now refuses it", then }
            }
        }
    }

    fn stands(&self, call: &Call, bundle: &Bundle, review: &Review, vote: &Vote) -> bool {
        if self.mutation == Mutation::VotesNotAskedAgain {
            return true;
        }
        let runs = call.request.described();
        let independent = separation::independent(&vote.person, runs, &self.directory.linked_now(runs)).is_ok();
        let beside = independent || self.mutation == Mutation::RunnersSideForgotten;
        beside && self.still_counts(call.node, bundle, review, vote)
    }

    fn bundle_at_release(&self, node: usize, review: &Review) -> Option<&Bundle> {
        if self.mutation == Mutation::OldPolicyAtRelease {
            return self.bundles.get(self.bundles.named(review.matter().terms.bundle)?);
        }
        self.bundle(node)
    }

    fn revoke(&mut self, call: &Call, grant: Grant, reason: &'static str, then: AfterRevoking, fault: Fault) -> Phase {
        let event = Event::GrantRevoked { grant: grant.id.clone(), reason: reason.to_owned() };
        let record = self.record(call.node, event);
        match self.store.revoke(fault, &grant.id, record) {
            Ok(()) => self.see(format!("grant revoked: {reason}")),
            Err(StoreError::Conflict) => {}
            Err(StoreError::Unavailable) => return refusing("record_unavailable"),
        }
        match then {
            AfterRevoking::AskAnew(terms) => Phase::Asking(terms),
            AfterRevoking::Refuse { code, policies } => Phase::Refusing { code, policies },
        }
    }

    fn release(&mut self, id: CallId, call: &Call, authority: Authority, fault: Fault) -> Phase {
        let recorder = IntentLog {
            at: self.clock(call.node),
            node: format!("node-{}", call.node),
            fault,
            store: RefCell::new(&mut self.store),
        };
        let released = ready(grant::release(&call.request, authority, &recorder));
        let phase = match released {
            Some(Ok((permit, ()))) => Phase::Permitted(permit),
            Some(Err(ReleaseError::AnotherAction)) => refusing("approval_void"),
            Some(Err(ReleaseError::NotRecorded(StoreError::Conflict))) => refusing("approval_void"),
            Some(Err(ReleaseError::NotRecorded(StoreError::Unavailable))) | None => refusing("record_unavailable"),
        };
        self.drop_turn(id);
        phase
    }

    fn execute(&mut self, call: Call, permit: Permit) -> Next {
        let (node, level, action) = (call.node, permit.level(), permit.action().clone());
        self.see(format!("executed: {}", call.request.described().facts.action()));
        let Ok(bytes) = call.request.into_payload().open(permit) else { return Next::End };
        let payload = PayloadDigest::of(&bytes);
        self.effects.push(Effect { action: action.clone(), payload, absent: call.absent });
        if let Some(node) = self.nodes.get_mut(node) {
            node.sent.push((action.clone(), payload));
        }
        let status = if bytes.ends_with(b"3") { Status::Failed } else { Status::Succeeded };
        Next::Ran(Ran { node, action, level, status })
    }

    /// Records what came of it; when that fails the connection ends, and the intent stays open.
    fn finish(&mut self, ran: Ran, fault: Fault) {
        if ran.level == RecordLevel::Durable {
            let record = self.record(ran.node, outcome(ran.action, ran.status));
            match self.store.journal(fault, record) {
                Ok(()) => self.see("outcome recorded"),
                Err(_) => self.see("outcome not recorded"),
            }
        }
    }

    /// Records a refusal before it is answered. When even that fails, the answer says so.
    fn refuse(&mut self, call: &Call, code: String, policies: Vec<String>, fault: Fault) {
        let event = Event::ActionRefused { action: summary(&call.request), code: code.clone(), policies };
        let record = self.record(call.node, event);
        let action = call.request.described().id.clone();
        let recorded = self.store.refuse(fault, &action, record);
        let code = if recorded.is_ok() { code } else { "record_unavailable".to_owned() };
        self.see(format!("refused: {code}"));
        self.answers.push(Answer::Refused { action, code });
    }
}

fn refusing(code: &str) -> Phase {
    Phase::Refusing { code: code.to_owned(), policies: Vec::new() }
}

fn denied(denial: Denial) -> Phase {
    Phase::Refusing { code: denial.code, policies: denial.policies.into_iter().map(|note| note.id).collect() }
}

fn after_closing(outcome: Outcome, terms: Terms) -> Phase {
    match outcome {
        Outcome::Approved | Outcome::GlassBroken => Phase::Asking(terms),
        Outcome::Rejected => refusing("review_rejected"),
        Outcome::Expired => refusing("review_expired"),
        Outcome::Withdrawn => refusing("review_withdrawn"),
    }
}
