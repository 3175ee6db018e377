//! A request on its way: by policy alone, under a pattern, by a grant, or into a review. Mirrors the gateway's `pipeline`.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use countersign_core::action::impact::Impact;
use countersign_core::action::redact::Shown;
use countersign_core::action::sql::{SqlClass, SqlFacts, SqlStatement, SqlTables};
use countersign_core::action::{
    ActionId, ActionRequest, Described, Environment, Facts, PersonId, ReviewId, SealedPayload, Sensitivity,
    SessionFacts, Target, ValueDigest,
};
use countersign_core::card::Card;
use countersign_core::grant::{self, Authority as CoreAuthority, Intent, Recorder};
use countersign_core::pattern::{Likeness, Offer, Skeleton, Value};
use countersign_core::policy::{Decision, Quorum, Terms};
use countersign_core::review::separation;
use countersign_core::review::{EXPIRY_SECONDS_DEFAULT, Matter, Open, Review, Vote, tokens};

use super::defect::Defect;
use super::facts;
use super::resolve::{AUTHN, void};
use super::step::What;
use super::world::{Authority, Happened, Kept, World, Yield};
use crate::world::ready;

type Code = &'static str;

impl World<'_> {
    pub(super) fn ask(&mut self, session: usize, what: What, value: i64) -> Result<(), Code> {
        let request = self.request(session, what, value).ok_or("malformed")?;
        let (people, none) = (self.facts.for_policy(), BTreeSet::new());
        let owner = facts::who(&request.described().requester.owner().id);
        if !owner.is_some_and(|owner| self.facts.live(owner)) {
            return Err("suspended"); // the gateway ends such sessions
        }
        let terms = match self.bundle.decide(request.described(), &self.circumstances(&people, &none, false)) {
            Decision::Permit(permitted) => {
                return self.run(
                    session,
                    (what, value),
                    (request, CoreAuthority::Policy(permitted)),
                    Authority::Policy,
                );
            }
            Decision::Deny(_) => return Err("policy_denied"),
            Decision::Review(terms) => terms,
        };
        let like = terms.obligations.pattern.and_then(|_| Likeness::of(&request, skeleton(what, value)).ok());
        if let Some((authority, at)) = like.as_ref().and_then(|like| self.by_pattern(&request, like, &terms)) {
            return self.run(session, (what, value), (request, authority), Authority::Pattern(at));
        }
        if let Some((authority, at)) = self.by_grant(&request)? {
            return self.run(session, (what, value), (request, authority), Authority::Grant(at));
        }
        self.open(session, (what, value), &request, &terms, like)
    }

    fn open(
        &mut self,
        session: usize,
        (what, value): (What, i64),
        request: &ActionRequest,
        terms: &Terms,
        like: Option<Likeness>,
    ) -> Result<(), Code> {
        let asked_by = request.described().requester.handle();
        let same = |kept: &Kept| {
            let matter = kept.review.matter();
            let open = matches!(kept.review, Review::Open(_)) && matter.expires_at > self.now;
            open && matter.action == request.digest() && matter.described.requester.handle() == asked_by
        };
        if self.reviews.iter().any(same) {
            self.see("joined");
            return Ok(());
        }
        let (described, action, at) = (request.described().clone(), request.digest(), self.reviews.len());
        let card = Card::new(&described, action, terms).digest().map_err(|_| "no_card")?;
        let expires = terms.obligations.expires_seconds.unwrap_or(EXPIRY_SECONDS_DEFAULT);
        let (id, offer) = (ReviewId::new(format!("review-{at}")), like.map(|like| Offer::Like(like.shape().clone())));
        let (opened_at, expires_at) = (self.now, self.now.plus_seconds(i64::from(expires)));
        let matter = Matter { id, action, card, described, terms: terms.clone(), offer, opened_at, expires_at };
        let review = Review::Open(Open::new(matter));
        self.reviews.push(Kept { review, yielded: Yield::Nothing, followed_up: false });
        self.tell("opened", Happened::Opened { review: at, session, what, value });
        Ok(())
    }

    fn by_pattern(
        &mut self,
        request: &ActionRequest,
        like: &Likeness,
        terms: &Terms,
    ) -> Option<(CoreAuthority, usize)> {
        let limits = terms.obligations.pattern?;
        for at in 0..self.reviews.len() {
            let Ok(kept) = self.kept(at) else { continue };
            let Yield::Pattern { approved, used, over: false } = &kept.yielded else { continue };
            let used = if self.defect == Defect::UsesNotCounted { 0 } else { *used };
            let Some(taken) = approved.admits(like, self.now, used, limits) else { continue };
            let counted = |vote: &&Vote| vote.pattern.is_some() || self.defect == Defect::OnceIsForEver;
            let named = kept.review.votes().iter().filter(counted);
            let standing = self.standing_for_both(&kept.review, request.described(), named.cloned().collect());
            let (approvals, people) = (tokens(&standing), self.facts.for_policy());
            if !kept.review.matter().terms.suffices.iter().any(|set| set.is_subset(&approvals)) {
                self.see("a pattern ended: an approver may no longer approve");
                self.put(at, kept.review.clone(), void(&kept.yielded).unwrap_or(Yield::Nothing));
                continue;
            }
            let decision = self.bundle.decide(request.described(), &self.circumstances(&people, &approvals, false));
            if let Decision::Permit(permitted) = decision {
                return Some((CoreAuthority::Pattern(permitted, taken), at));
            }
        }
        None
    }

    fn by_grant(&mut self, request: &ActionRequest) -> Result<Option<(CoreAuthority, usize)>, Code> {
        let handle = request.described().requester.handle();
        let unused = |kept: &Kept| match &kept.yielded {
            Yield::Grant { grant, over } => !over && grant.action == request.digest() && grant.expires_at > self.now,
            Yield::Nothing | Yield::Pattern { .. } => false,
        };
        let mine = |kept: &&Kept| kept.review.matter().described.requester.handle() == handle && unused(kept);
        let Some(at) = self.reviews.iter().position(|kept| mine(&kept)) else { return Ok(None) };
        let kept = self.kept(at)?;
        let Yield::Grant { grant, .. } = &kept.yielded else { return Ok(None) };
        let (approvals, broken) = match self.counted(&kept.review, request.described()) {
            Ok(counted) => counted,
            Err(reason) => {
                self.see(format!("a grant revoked: {reason}"));
                self.put(at, kept.review.clone(), void(&kept.yielded).unwrap_or(Yield::Nothing));
                return Ok(None);
            }
        };
        let people = self.facts.for_policy();
        match self.bundle.decide(request.described(), &self.circumstances(&people, &approvals, broken)) {
            Decision::Permit(permitted) => Ok(Some((CoreAuthority::Grant(permitted, grant.clone()), at))),
            Decision::Review(_) | Decision::Deny(_) => Err("policy_asks_for_more"),
        }
    }

    /// What counts behind a grant for a request, and whether the glass was broken for it.
    fn counted(&self, review: &Review, request: &Described) -> Result<(BTreeSet<Quorum>, bool), Code> {
        let standing = self.standing_for_both(review, request, review.votes().to_vec());
        let Some(breaking) = review.breaking() else {
            let approvals = tokens(&standing);
            let then = review.matter().terms.suffices.iter().any(|set| set.is_subset(&approvals));
            return if then { Ok((approvals, false)) } else { Err("an approver may no longer approve") };
        };
        let reviewed = self.may_still_break(&review.matter().described, &breaking.person);
        let runs = self.defect == Defect::RunnersSideForgotten || self.may_still_break(request, &breaking.person);
        if !(reviewed && runs) {
            return Err("whoever broke the glass may no longer break it");
        }
        Ok((beside(standing, &breaking.person, self.defect), true))
    }

    fn may_still_break(&self, request: &Described, person: &PersonId) -> bool {
        if self.defect == Defect::NotAskedAgain {
            return true;
        }
        let nobodys = matches!(self.defect, Defect::RuleTakenOut | Defect::BreakerNotAsked);
        let (request, linked) = self.against(request, nobodys);
        let (people, none) = (self.facts.for_policy(), BTreeSet::new());
        let circumstances = self.circumstances(&people, &none, false);
        separation::independent(person, &request, &linked).is_ok()
            && self.bundle.may_break_glass(person, &AUTHN, &request, &circumstances).is_ok()
    }

    fn standing_for_both(&self, review: &Review, request: &Described, votes: Vec<Vote>) -> Vec<Vote> {
        let reviewed = votes.iter().filter_map(|vote| self.standing(&review.matter().described, vote));
        if self.defect == Defect::RunnersSideForgotten {
            return reviewed.collect();
        }
        reviewed.filter_map(|vote| self.standing(request, &vote)).collect()
    }

    /// Releases it by the core's own hand, sends it, and takes the grant or one use of the pattern.
    fn run(
        &mut self,
        session: usize,
        (what, value): (What, i64),
        (request, authority): (ActionRequest, CoreAuthority),
        by: Authority,
    ) -> Result<(), Code> {
        let released = ready(grant::release(&request, authority, &Written));
        let Some(Ok((permit, ()))) = released else { return Err("not_released") };
        request.into_payload().open(permit).map_err(|_| "another_payload")?;
        match by {
            Authority::Policy => self.see("ran by policy alone"),
            Authority::Grant(at) | Authority::Pattern(at) => self.take(at),
        }
        self.tell("ran", Happened::Ran { session, what, value, authority: by });
        Ok(())
    }

    fn take(&mut self, at: usize) {
        let Some(kept) = self.reviews.get_mut(at) else { return };
        let (how, broken) = match &mut kept.yielded {
            Yield::Grant { over, .. } => {
                *over = true;
                ("ran by a grant", kept.review.breaking().is_some())
            }
            Yield::Pattern { used, .. } => {
                *used += 1;
                ("ran under a pattern", false)
            }
            Yield::Nothing => ("ran by nothing", false),
        };
        self.see(if broken { "ran through broken glass" } else { how });
    }

    fn request(&mut self, session: usize, what: What, value: i64) -> Option<ActionRequest> {
        let session = self.sessions.get(session)?.clone();
        self.attempts += 1;
        let payload = SealedPayload::seal(format!("{what:?} {value}").into_bytes());
        let described = Described {
            impact: Impact { known: true, rows: Some(1), rows_max: Some(100), ..Impact::default() },
            id: ActionId::new(format!("action-{}", self.attempts)),
            requester: session.requester,
            on_behalf_of: facts::person(session.on_behalf_of).into(),
            closure: Arc::new(session.closure.into_iter().map(facts::id).collect()),
            target: target().into(),
            facts: statement(what).into(),
            session: SessionFacts::default().into(),
            shown: Shown::default(),
            reason: None,
            payload: payload.digest(),
            at: self.now,
        };
        ActionRequest::new(described, payload).ok()
    }
}

/// A recorder that never fails: what comes of one that does is the other world's matter.
struct Written;

impl Recorder for Written {
    type Error = Infallible;
    type Receipt = ();

    async fn record(&self, _: Intent<'_>) -> Result<(), Infallible> {
        Ok(())
    }
}

/// The approvals beside a broken glass: whoever broke it does not count, nor who spoke in their place.
pub(super) fn beside(votes: Vec<Vote>, breaker: &PersonId, defect: Defect) -> BTreeSet<Quorum> {
    if defect == Defect::BreakerCountsTwice {
        return tokens(&votes);
    }
    let others = votes.into_iter().filter(|vote| &vote.person != breaker);
    let spoken = others.map(|mut vote| {
        vote.duties.retain(|duty| &duty.of != breaker);
        vote
    });
    let spoken: Vec<Vote> = spoken.filter(|vote| !vote.groups.is_empty() || !vote.duties.is_empty()).collect();
    tokens(&spoken)
}

fn target() -> Target {
    let (name, generation) = ("orders".to_owned(), "1".to_owned());
    Target { name, environment: Environment::Production, sensitivity: Sensitivity::High, generation }
}

fn statement(what: What) -> Facts {
    let class = what.class();
    let verb = match what {
        What::Read => "SELECT",
        What::Write => "UPDATE",
        What::Ddl => "ALTER TABLE",
        What::Opaque => "DO",
    };
    let orders = BTreeSet::from(["public.orders".to_owned()]);
    let write = if class == SqlClass::Read { BTreeSet::new() } else { orders.clone() };
    let tables = SqlTables { read: orders, write };
    let (code, functions) = (BTreeSet::new(), BTreeSet::new());
    let statement =
        SqlStatement { verb: verb.to_owned(), class, apart: class, code, tables, functions, has_where: true };
    Facts::Sql(SqlFacts { class, statements: vec![statement] })
}

/// The statement taken apart: one integer, and all the rest.
fn skeleton(what: What, value: i64) -> Skeleton {
    let digest = ValueDigest::of(value.to_string().as_bytes());
    let value = Value { kind: "int4".to_owned(), integer: Some(value), free: false, digest, shown: value.to_string() };
    let text = format!("{what:?} ‹1›");
    Skeleton { fixed: vec![format!("{what:?} ")], fingerprint: format!("{what:?}"), text, values: vec![value] }
}
