//! Votes, their taking back, broken glass and its follow-up. Mirrors the gateway's `resolve`: what it asks, in its order.

use std::collections::BTreeSet;

use countersign_core::action::{Described, GrantId, PatternId, PersonId, ReviewId};
use countersign_core::grant::Grant;
use countersign_core::pattern::{Approved, Bound, Choice, Offer, Wish};
use countersign_core::policy::{Approvable, Authn, Decision, Permitted};
use countersign_core::review::separation::{self, Ballot};
use countersign_core::review::{
    Breaking, Closed, Deputy, DutyUse, EligibleBreaking, EligibleVote, Matter, Method, Outcome, Review, Verdict, Vote,
    tokens,
};

use super::defect::Defect;
use super::facts::{self, Who};
use super::release::beside;
use super::rule;
use super::world::{Happened, Kept, World, Yield};

type Code = &'static str;

/// A grant's life: 15 minutes.
const GRANT_SECONDS: i64 = 15 * 60;

/// Everybody here signs in strongly.
pub(super) const AUTHN: Authn = Authn { mfa: true, age_seconds: 0, method: Method::Console, passkey: None };

impl World<'_> {
    pub(super) fn kept(&self, at: usize) -> Result<Kept, Code> {
        self.reviews.get(at).cloned().ok_or("not_found")
    }

    pub(super) fn put(&mut self, at: usize, review: Review, yielded: Yield) {
        if let Some(kept) = self.reviews.get_mut(at) {
            (kept.review, kept.yielded) = (review, yielded);
        }
    }

    pub(super) fn vote(&mut self, at: usize, who: Who, approve: bool, pattern: bool) -> Result<(), Code> {
        let kept = self.kept(at)?;
        let verdict = if approve { Verdict::Approve } else { Verdict::Reject };
        let pattern = if pattern && approve { choice(kept.review.matter()) } else { None };
        let named = pattern.is_some();
        let vote = self.eligible(&kept.review, who, verdict, pattern)?;
        let Review::Open(open) = &kept.review else { return Err("review_closed") };
        let matter = kept.review.matter();
        let satisfied = |votes: &[Vote]| {
            let standing: Vec<Vote> = votes.iter().filter_map(|vote| self.standing(&matter.described, vote)).collect();
            let (approvals, people) = (tokens(&standing), self.facts.for_policy());
            let decision = self.bundle.decide(&matter.described, &self.circumstances(&people, &approvals, false));
            matches!(decision, Decision::Permit(_)) && matter.terms.suffices.iter().any(|set| set.is_subset(&approvals))
        };
        let next = open.vote(vote, self.now, satisfied).map_err(|_| "review_closed")?;
        let yielded = yielded(&next, at, self.defect);
        let what = match &yielded {
            Yield::Nothing => "voted",
            Yield::Grant { .. } => "approved",
            Yield::Pattern { .. } => "approved a pattern",
        };
        self.see(what);
        if matches!(next.votes().last(), Some(vote) if !vote.duties.is_empty()) {
            self.see("voted by a duty");
        }
        self.put(at, next, yielded);
        self.tell("a vote", Happened::Voted { review: at, who, approve, pattern: named });
        Ok(())
    }

    fn eligible(
        &self,
        review: &Review,
        who: Who,
        verdict: Verdict,
        pattern: Option<Choice>,
    ) -> Result<EligibleVote, Code> {
        let (request, linked) = self.against(&review.matter().described, self.defect == Defect::RuleTakenOut);
        let person = facts::id(who);
        let independent = separation::independent(&person, &request, &linked).map_err(|_| "self_approval")?;
        let (own, deputies) = self.speaks(&request, review, who)?;
        self.in_turn(review, own.as_ref(), &deputies)?;
        let ballot = Ballot {
            name: facts::name(who),
            verdict,
            method: AUTHN.method,
            mfa: AUTHN.mfa,
            passkey: None,
            card: review.matter().card,
            pattern,
            reason: None,
            at: self.now,
        };
        EligibleVote::with_duties(independent, own.as_ref(), deputies, ballot).map_err(|_| "forbidden")
    }

    /// For whom policy lets this person speak: for themselves, in the place of others, or both.
    fn speaks(
        &self,
        request: &Described,
        review: &Review,
        who: Who,
    ) -> Result<(Option<Approvable>, Vec<Deputy>), Code> {
        let suffices = &review.matter().terms.suffices;
        let asked: BTreeSet<String> = suffices.iter().flatten().map(|quorum| quorum.group.clone()).collect();
        let (people, none) = (self.facts.for_policy(), BTreeSet::new());
        let circumstances = self.circumstances(&people, &none, false);
        let own = self.bundle.may_approve(&facts::id(who), &AUTHN, request, "any", &circumstances);
        let speaks = |own: &Approvable| asked.contains("any") || !own.groups().is_disjoint(&asked);
        let own = own.ok().filter(speaks);
        let mut deputies = self.deputies(request, who, &asked);
        if let Some(own) = &own {
            deputies.retain(|deputy| deputy.groups().is_disjoint(own.groups()));
        }
        if own.is_none() && deputies.is_empty() { Err("not_a_reviewer") } else { Ok((own, deputies)) }
    }

    fn deputies(&self, request: &Described, who: Who, asked: &BTreeSet<String>) -> Vec<Deputy> {
        let held = rule::duties_of(&self.facts, who, self.now, self.defect);
        let wanted = held.into_iter().filter(|(_, group)| asked.contains("any") || asked.contains(group));
        wanted.filter_map(|(of, group)| self.deputy(request, (who, of), &group)).collect()
    }

    fn deputy(&self, request: &Described, (who, of): (Who, Who), group: &str) -> Option<Deputy> {
        let (person, of) = (facts::id(who), facts::id(of));
        let linked = rule::linked_now(&self.facts, request, self.now, self.defect);
        separation::independent(&person, request, &linked).ok()?;
        let (asked, linked) = match self.defect == Defect::HolderNotAsked {
            true => self.against(request, true),
            false => (request.clone(), linked),
        };
        let holder = separation::independent(&of, &asked, &linked).ok()?;
        let (people, none) = (self.facts.for_policy(), BTreeSet::new());
        let circumstances = self.circumstances(&people, &none, false);
        let approvable = self.bundle.may_approve_as_deputy((&person, &of), &AUTHN, &asked, group, &circumstances);
        Deputy::new(holder, of.to_string(), approvable.ok()?).ok()
    }

    fn in_turn(&self, review: &Review, own: Option<&Approvable>, deputies: &[Deputy]) -> Result<(), Code> {
        if self.defect == Defect::NoTurns {
            return Ok(());
        }
        let groups = own.into_iter().flat_map(Approvable::groups).chain(deputies.iter().flat_map(Deputy::groups));
        let groups: BTreeSet<String> = groups.cloned().collect();
        let (people, approvals) = (self.facts.for_policy(), tokens(&self.standing_votes(review)));
        let circumstances = self.circumstances(&people, &approvals, false);
        self.bundle.turn(&review.matter().described, &groups, &circumstances).map_err(|_| "not_your_turn")
    }

    pub(super) fn standing_votes(&self, review: &Review) -> Vec<Vote> {
        review.votes().iter().filter_map(|vote| self.standing(&review.matter().described, vote)).collect()
    }

    /// A vote that was accepted, as far as it still counts for a request.
    pub(super) fn standing(&self, request: &Described, vote: &Vote) -> Option<Vote> {
        if vote.verdict != Verdict::Approve {
            return None;
        }
        if self.defect == Defect::NotAskedAgain {
            return Some(vote.clone());
        }
        let (request, linked) = self.against(request, self.defect == Defect::RuleTakenOut);
        separation::independent(&vote.person, &request, &linked).ok()?;
        let (people, none) = (self.facts.for_policy(), BTreeSet::new());
        let circumstances = self.circumstances(&people, &none, false);
        let may =
            |group: &&String| self.bundle.may_approve(&vote.person, &AUTHN, &request, group, &circumstances).is_ok();
        let groups: BTreeSet<String> = vote.groups.iter().filter(may).cloned().collect();
        let duties = self.duties_standing(&request, vote);
        (!groups.is_empty() || !duties.is_empty()).then(|| Vote { groups, duties, ..vote.clone() })
    }

    fn duties_standing(&self, request: &Described, vote: &Vote) -> Vec<DutyUse> {
        let asked: BTreeSet<String> = vote.duties.iter().flat_map(|used| used.groups.iter().cloned()).collect();
        let Some(who) = facts::who(&vote.person).filter(|_| !asked.is_empty()) else { return Vec::new() };
        let was = |deputy: &Deputy| {
            vote.duties.iter().any(|used| &used.of == deputy.of() && deputy.groups().is_subset(&used.groups))
        };
        self.deputies(request, who, &asked).into_iter().filter(was).map(Deputy::used).collect()
    }

    /// Takes a vote, or the breaking of the glass, back; while nothing has come of it.
    pub(super) fn take_back(&mut self, at: usize, who: Who) -> Result<(), Code> {
        let kept = self.kept(at)?;
        let person = facts::id(who);
        let (review, yielded) = match &kept.review {
            Review::Open(open) => (Review::Open(open.retract(&person).map_err(|_| "no_vote")?), Yield::Nothing),
            Review::Closed(closed) => {
                let voted = closed.outcome().grants()
                    && kept.review.votes().iter().any(|vote| vote.person == person && vote.verdict == Verdict::Approve);
                let broke = closed.breaking().is_some_and(|breaking| breaking.person == person);
                let voided = void(&kept.yielded).filter(|_| voted || broke).ok_or("review_closed")?;
                self.see("an approval voided");
                (kept.review.clone(), if self.defect == Defect::RetractionVoidsNothing { kept.yielded } else { voided })
            }
        };
        self.put(at, review, yielded);
        self.tell("a vote taken back", Happened::TakenBack { review: at, who });
        Ok(())
    }

    pub(super) fn break_glass(&mut self, at: usize, who: Who) -> Result<(), Code> {
        let kept = self.kept(at)?;
        let (matter, person) = (kept.review.matter(), facts::id(who));
        let nobodys = matches!(self.defect, Defect::RuleTakenOut | Defect::BreakerNotAsked);
        let (request, linked) = self.against(&matter.described, nobodys);
        let independent = separation::independent(&person, &request, &linked).map_err(|_| "self_approval")?;
        let (people, none) = (self.facts.for_policy(), BTreeSet::new());
        let circumstances = self.circumstances(&people, &none, false);
        let proof = self.bundle.may_break_glass(&person, &AUTHN, &request, &circumstances);
        let proof = proof.map_err(|_| "no_break_glass")?;
        let Review::Open(open) = &kept.review else { return Err("review_closed") };
        let permitted = self.permitted(&kept.review, &person)?;
        let eligible =
            EligibleBreaking::new(&independent, &proof, self.breaking(matter, who)).map_err(|_| "forbidden")?;
        let next = Review::Closed(open.break_glass(eligible, &permitted, self.now).map_err(|_| "review_closed")?);
        let yielded = yielded(&next, at, self.defect);
        self.put(at, next, yielded);
        self.tell("glass broken", Happened::Broken { review: at, who });
        Ok(())
    }

    /// Policy's answer with the glass broken, and whoever breaks it left out of the votes.
    fn permitted(&self, review: &Review, person: &PersonId) -> Result<Permitted, Code> {
        let (people, described) = (self.facts.for_policy(), &review.matter().described);
        let standing = self.standing_votes(review);
        let whole = tokens(&standing);
        if let Decision::Permit(_) = self.bundle.decide(described, &self.circumstances(&people, &whole, false)) {
            return Err("no_break_glass");
        }
        let others = beside(standing, person, self.defect);
        match self.bundle.decide(described, &self.circumstances(&people, &others, true)) {
            Decision::Permit(permitted) => Ok(permitted),
            Decision::Review(_) | Decision::Deny(_) => Err("no_break_glass"),
        }
    }

    fn breaking(&self, matter: &Matter, who: Who) -> Breaking {
        Breaking {
            person: facts::id(who),
            name: facts::name(who),
            method: AUTHN.method,
            mfa: AUTHN.mfa,
            passkey: None,
            card: matter.card,
            reason: "it burns".to_owned(),
            asked: matter.terms.suffices.iter().flatten().map(|quorum| quorum.group.clone()).collect(),
            at: self.now,
        }
    }

    /// Signs off a broken glass: nobody of the side, nor who broke it, nor whom they made an approver, or who made them one.
    pub(super) fn follow_up(&mut self, at: usize, who: Who) -> Result<(), Code> {
        let kept = self.kept(at)?;
        let breaking = kept.review.breaking().filter(|_| !kept.followed_up).ok_or("not_found")?;
        let (request, linked) = self.against(&kept.review.matter().described, self.defect == Defect::SideFollowsUp);
        separation::independent(&facts::id(who), &request, &linked).map_err(|_| "self_approval")?;
        let breaker = facts::who(&breaking.person).ok_or("not_found")?;
        if who == breaker || rule::linked(&self.facts, who, breaker, self.now) {
            return Err("self_approval");
        }
        let groups = self.facts.groups(who);
        if !groups.iter().any(|group| breaking.asked.contains("any") || breaking.asked.contains(group)) {
            return Err("not_a_reviewer");
        }
        if let Some(kept) = self.reviews.get_mut(at) {
            kept.followed_up = true;
        }
        self.tell("a follow-up signed off", Happened::FollowedUp { review: at, who });
        Ok(())
    }
}

/// This action with its number anything up to nine, as often and long as policy lets it.
fn choice(matter: &Matter) -> Option<Choice> {
    let Some(Offer::Like(shape)) = &matter.offer else { return None };
    let most = matter.terms.obligations.pattern?;
    let values = [(1, Bound::Range { from: 0, to: 9 })].into();
    Choice::new(shape, &Wish { uses: None, seconds: None, values }, most).ok()
}

/// What a review yields: a pattern where every approval named one.
fn yielded(review: &Review, at: usize, defect: Defect) -> Yield {
    let Review::Closed(closed) = review else { return Yield::Nothing };
    if !closed.outcome().grants() {
        return Yield::Nothing;
    }
    if let Some(approved) = agreed(review, closed, at, defect) {
        return Yield::Pattern { approved, used: 0, over: false };
    }
    let grant = Grant {
        id: GrantId::new(format!("grant-{at}")),
        review: ReviewId::new(format!("review-{at}")),
        action: review.matter().action,
        expires_at: closed.closed_at().plus_seconds(GRANT_SECONDS),
        broken_by: closed.breaking().map(|breaking| breaking.person.clone()),
    };
    Yield::Grant { grant, over: false }
}

fn agreed(review: &Review, closed: &Closed, at: usize, defect: Defect) -> Option<Approved> {
    let Some(Offer::Like(shape)) = &review.matter().offer else { return None };
    if closed.outcome() != Outcome::Approved {
        return None;
    }
    let counted = |vote: &&Vote| vote.pattern.is_some() || defect != Defect::OnceIsForEver;
    let approvals = review.votes().iter().filter(|vote| vote.verdict == Verdict::Approve).filter(counted);
    let mut choices = approvals.map(|vote| vote.pattern.clone());
    let first = choices.next()?;
    let choice = choices.fold(first, |all, one| all?.meet(&one?))?;
    let (id, of) = (PatternId::new(format!("pattern-{at}")), review.matter().id.clone());
    Approved::new(id, of, shape.clone(), choice, closed.closed_at()).ok()
}

/// The same, ended; nothing where it is over already, or there was nothing.
pub(super) fn void(yielded: &Yield) -> Option<Yield> {
    match yielded {
        Yield::Grant { grant, over: false } => Some(Yield::Grant { grant: grant.clone(), over: true }),
        Yield::Pattern { approved, used, over: false } => {
            Some(Yield::Pattern { approved: approved.clone(), used: *used, over: true })
        }
        Yield::Nothing | Yield::Grant { .. } | Yield::Pattern { .. } => None,
    }
}
