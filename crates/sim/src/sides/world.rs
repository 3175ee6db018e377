//! The world of sides: the facts, who is logged in, reviews and what they yielded; [`World::apply`] makes a step happen.

use std::collections::BTreeSet;
use std::sync::Arc;

use countersign_core::action::{Described, Requester, Timestamp};
use countersign_core::grant::Grant;
use countersign_core::pattern::Approved;
use countersign_core::policy::{Bundle, Circumstances, People, Quorum};
use countersign_core::review::Review;

use super::defect::Defect;
use super::facts::{self, Facts, Made, START, Who};
use super::generate::SLOTS;
use super::rule;
use super::step::{Origin, Step, What};

/// Somebody who is logged in.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) origin: Origin,
    /// The owner at the login; the person themselves.
    pub(super) owner: Who,
    pub(super) at: Timestamp,
    pub(super) requester: Arc<Requester>,
    pub(super) on_behalf_of: Who,
    pub(super) closure: BTreeSet<Who>,
}

/// What came of an approval.
#[derive(Debug, Clone)]
pub(super) enum Yield {
    Nothing,
    Grant { grant: Grant, over: bool },
    Pattern { approved: Approved, used: u32, over: bool },
}

/// A review.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) review: Review,
    pub(super) yielded: Yield,
    pub(super) followed_up: bool,
}

/// On what something ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Authority {
    Policy,
    Grant(usize),
    Pattern(usize),
}

/// What happened; all that the oracle hears of, besides the facts. Reviews and sessions are named by place.
#[derive(Debug, Clone)]
pub(super) enum Happened {
    Opened { review: usize, session: usize, what: What, value: i64 },
    Voted { review: usize, who: Who, approve: bool, pattern: bool },
    TakenBack { review: usize, who: Who },
    Broken { review: usize, who: Who },
    FollowedUp { review: usize, who: Who },
    Ran { session: usize, what: What, value: i64, authority: Authority },
}

/// Everything.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub(super) bundle: &'a Bundle,
    pub(super) defect: Defect,
    pub(super) facts: Facts,
    pub(super) now: Timestamp,
    /// Everyone who ever logged in; slots name them.
    pub(super) sessions: Vec<Session>,
    slots: [Option<usize>; SLOTS],
    pub(super) reviews: Vec<Kept>,
    pub(super) happened: Vec<Happened>,
    /// What the current step led to, for the log and the counts.
    pub(super) seen: Vec<String>,
    pub(super) attempts: u64,
}

impl<'a> World<'a> {
    pub(super) fn new(bundle: &'a Bundle, defect: Defect, facts: Facts) -> Self {
        let (sessions, reviews, happened, seen) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { bundle, defect, facts, now: START, sessions, slots: [None; SLOTS], reviews, happened, seen, attempts: 0 }
    }

    /// Makes one step happen; a step whose subject is not there does nothing.
    pub(super) fn apply(&mut self, step: &Step) {
        match step {
            Step::LogIn { slot, origin } => self.log_in(*slot, origin),
            Step::Ask { slot, what, value } => self.ask_from(*slot, *what, *value),
            Step::Vote { who, back, approve, pattern } => {
                self.with_review(*back, *who, |world, review| world.vote(review, *who, *approve, *pattern));
            }
            Step::TakeBack { who, back } => {
                self.with_review(*back, *who, |world, review| world.take_back(review, *who));
            }
            Step::Break { who, back } => {
                self.with_review(*back, *who, |world, review| world.break_glass(review, *who));
            }
            Step::FollowUp { who, back } => {
                self.with_review(*back, *who, |world, review| world.follow_up(review, *who));
            }
            Step::Tick { seconds } => self.now = self.now.plus_seconds(*seconds),
            Step::Give { .. }
            | Step::EndDuty { .. }
            | Step::Make { .. }
            | Step::Own { .. }
            | Step::Suspend { .. }
            | Step::Leave { .. } => self.change(step),
        }
    }

    pub(super) fn see(&mut self, what: impl Into<String>) {
        self.seen.push(what.into());
    }

    /// Tells the oracle, and counts it.
    pub(super) fn tell(&mut self, what: &str, happened: Happened) {
        self.see(what);
        self.happened.push(happened);
    }

    pub(super) fn circumstances<'b>(
        &'b self,
        people: &'b People,
        approvals: &'b BTreeSet<Quorum>,
        break_glass: bool,
    ) -> Circumstances<'b> {
        Circumstances { now: self.now, utc_offset_minutes: 0, approvals, break_glass, incident: false, people }
    }

    /// Somebody who is not suspended does something about a review, counted back from the latest.
    fn with_review(&mut self, back: usize, who: Who, work: impl FnOnce(&mut Self, usize) -> Result<(), &'static str>) {
        let review = self.reviews.len().checked_sub(back + 1);
        let Some(review) = review.filter(|_| self.facts.live(who)) else { return };
        if let Err(code) = work(self, review) {
            self.see(format!("refused: {code}"));
        }
    }

    fn log_in(&mut self, slot: usize, origin: &Origin) {
        let (owner, on_behalf_of, through, requester) = match origin {
            Origin::Person(who) => (*who, *who, None, Requester::Person { person: facts::person(*who) }),
            Origin::Agent { agent, on_behalf_of, through } => {
                let Some(owner) = self.facts.agents.get(*agent).map(|agent| agent.owner) else { return };
                let id = facts::agent_id(*agent);
                let name = id.to_string();
                let requester = Requester::Agent { id, name, owner: facts::person(owner), job: None };
                (owner, on_behalf_of.unwrap_or(owner), *through, requester)
            }
        };
        if ![Some(owner), Some(on_behalf_of), through].into_iter().flatten().all(|who| self.facts.live(who)) {
            return self.see("refused: login"); // the gateway lets nobody in whom a suspended person is behind
        }
        let closure = self.frozen(origin, owner, [on_behalf_of].into_iter().chain(through));
        let (origin, requester) = (origin.clone(), Arc::new(requester));
        self.sessions.push(Session { origin, owner, at: self.now, requester, on_behalf_of, closure });
        if let Some(slot) = self.slots.get_mut(slot) {
            *slot = self.sessions.len().checked_sub(1);
        }
    }

    fn frozen(&self, origin: &Origin, owner: Who, others: impl Iterator<Item = Who>) -> BTreeSet<Who> {
        match origin {
            _ if self.defect == Defect::NothingFrozen => BTreeSet::new(),
            Origin::Person(_) => BTreeSet::from([owner]),
            Origin::Agent { agent, .. } => match self.facts.agents.get(*agent) {
                Some(agent) => rule::of_agent(agent, others, self.now, self.defect),
                None => BTreeSet::new(),
            },
        }
    }

    fn ask_from(&mut self, slot: usize, what: What, value: i64) {
        let Some(session) = self.slots.get(slot).copied().flatten() else { return };
        if let Err(code) = self.ask(session, what, value) {
            self.see(format!("refused: {code}"));
        }
    }

    fn change(&mut self, step: &Step) {
        let now = self.now;
        match step {
            Step::Give { of, deputy, seconds } if of != deputy && self.facts.live(*of) => {
                let until = now.plus_seconds(*seconds);
                let groups = self.facts.groups(*of);
                self.facts.duties.push(facts::Duty { of: *of, deputy: *deputy, groups, from: now, until });
            }
            Step::EndDuty { back } => {
                let at = self.facts.duties.len().checked_sub(back + 1);
                if let Some(duty) = at.and_then(|at| self.facts.duties.get_mut(at)) {
                    duty.until = duty.until.min(now);
                }
            }
            Step::Make { by, whom, group } if by != whom && self.facts.live(*by) => {
                if let Some(person) = self.facts.people.get_mut(*whom) {
                    person.groups.insert((*group).to_owned());
                    self.facts.made.push(Made { by: *by, whom: *whom, at: now });
                }
            }
            Step::Own { agent, who } => {
                if let Some(agent) = self.facts.agents.get_mut(*agent) {
                    agent.former.push((agent.owner, now));
                    agent.owner = *who;
                }
            }
            Step::Suspend { who, suspended } => {
                if let Some(person) = self.facts.people.get_mut(*who) {
                    person.suspended = *suspended;
                }
            }
            Step::Leave { who, group } => {
                if let Some(person) = self.facts.people.get_mut(*who) {
                    person.groups.remove(*group);
                }
            }
            _ => {}
        }
    }

    /// A request as it is asked about: as it is, or, by a planted defect, as if nobody were behind it.
    pub(super) fn against(
        &self,
        request: &Described,
        nobodys: bool,
    ) -> (Described, BTreeSet<countersign_core::action::PersonId>) {
        if !nobodys {
            return (request.clone(), rule::linked_now(&self.facts, request, self.now, self.defect));
        }
        let mut request = request.clone();
        let nobody = facts::person(facts::PEOPLE);
        request.closure = Arc::default();
        request.on_behalf_of = nobody.clone().into();
        request.requester = Requester::Person { person: nobody }.into();
        (request, BTreeSet::new())
    }
}
