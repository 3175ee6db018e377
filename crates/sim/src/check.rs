//! The invariants, held after every step.
//!
//! The checker reads what the world shows to others: records in their order, bytes that reached the upstream, answers,
//! rows. What a step means it works out by itself, from the log and from `truth`; it asks nothing of the core but to
//! read a stored review.

use std::collections::{BTreeMap, BTreeSet};

use countersign_core::action::sql::SqlClass;
use countersign_core::action::{
    ActionDigest, ActionId, Described, Facts, GrantId, PayloadDigest, PersonId, ReviewId, Timestamp,
};
use countersign_core::record::{ActionSummary, Event, Record, Status};
use countersign_core::review::{Outcome, Verdict};

use crate::store::{AttemptStatus, OPEN_MAX, OPEN_PER_OWNER_MAX};
use crate::truth::{BundleName, Need};
use crate::world::{Answer, Authorized, Effect, World};

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{invariant}: {detail}")]
pub struct Violation {
    /// Which.
    pub invariant: &'static str,
    /// What was seen.
    pub detail: String,
}

type Checked = Result<(), Violation>;

fn broken(invariant: &'static str, detail: impl Into<String>) -> Violation {
    Violation { invariant, detail: detail.into() }
}

fn hold(holds: bool, invariant: &'static str, detail: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(broken(invariant, detail())) }
}

/// What the log said of a review so far.
#[derive(Debug, Default)]
struct Logged {
    action: Option<ActionDigest>,
    payload: Option<PayloadDigest>,
    bundle: Option<BundleName>,
    /// Votes that approved: by whom, and whether with a second factor.
    approvals: BTreeMap<PersonId, bool>,
    voters: BTreeSet<PersonId>,
    outcome: Option<Outcome>,
}

#[derive(Debug)]
struct Issued {
    review: ReviewId,
    action: ActionDigest,
    expires_at: Timestamp,
    consumed_by: Option<ActionId>,
    revoked: bool,
}

#[derive(Debug)]
struct Intent {
    digest: ActionDigest,
    grant: Option<GrantId>,
}

/// Everything learned so far.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    read: Cursor,
    reviews: BTreeMap<ReviewId, Logged>,
    grants: BTreeMap<GrantId, Issued>,
    intents: BTreeMap<ActionId, Intent>,
    outcomes: BTreeMap<ActionId, Status>,
    refused: BTreeSet<ActionId>,
    votes_refused: BTreeMap<(ReviewId, String), usize>,
    votes_refused_answers: BTreeMap<(ReviewId, String), usize>,
    authorities: BTreeMap<ActionId, Authorized>,
    judged: BTreeSet<(ReviewId, PersonId)>,
    executed: BTreeSet<ActionId>,
    executed_grants: BTreeSet<GrantId>,
    closed_bodies: BTreeMap<ReviewId, String>,
    ended: BTreeMap<ActionId, AttemptStatus>,
}

#[derive(Debug, Default)]
struct Cursor {
    log: usize,
    effects: usize,
    answers: usize,
    authorized: usize,
    judged: usize,
    interrupted: usize,
}

impl Checker {
    /// Holds every invariant against the world after a step.
    pub(crate) fn after_step(&mut self, world: &World<'_>) -> Checked {
        self.judgements(world)?;
        self.records(world)?;
        self.authorized(world)?;
        let effects = world.effects.get(self.read.effects..).unwrap_or_default();
        effects.iter().try_for_each(|effect| self.effect(effect))?;
        self.read.effects = world.effects.len();
        self.answers(world)?;
        self.closed_reviews(world)?;
        self.attempts(world)?;
        open_reviews(world)
    }

    fn judgements(&mut self, world: &World<'_>) -> Checked {
        for judged in world.judged.get(self.read.judged..).unwrap_or_default() {
            let side = review(world, &judged.review).map(|described| world.directory.side(&described));
            let own = side.is_none_or(|side| side.contains(&judged.person));
            hold(!own, "nobody on the requester's side votes", || format!("{} on {}", judged.person, judged.review))?;
            self.judged.insert((judged.review.clone(), judged.person.clone()));
        }
        self.read.judged = world.judged.len();
        Ok(())
    }

    fn records(&mut self, world: &World<'_>) -> Checked {
        let log = &world.store.log;
        hold(log.len() >= self.read.log, "the record only grows", || format!("it has {} leaves", log.len()))?;
        for record in log.get(self.read.log..).unwrap_or_default() {
            self.record(world, record)?;
        }
        self.read.log = log.len();
        Ok(())
    }

    fn record(&mut self, world: &World<'_>, record: &Record) -> Checked {
        match &record.event {
            Event::ActionIntent { action, grant, .. } => self.intent(action, grant.clone()),
            Event::ActionRead { action, .. } => self.intent(action, None),
            Event::ActionRefused { action, .. } => {
                self.refused.insert(action.id.clone());
                Ok(())
            }
            Event::ActionOutcome { id, status, .. } => self.outcome(id, *status),
            Event::ReviewOpened { review: id, action, bundle, .. } => {
                let payload = review(world, id).map(|described| described.payload);
                let bundle = world.bundles().named(*bundle);
                let opened = Logged { action: Some(action.digest), payload, bundle, ..Logged::default() };
                let earlier = self.reviews.insert(id.clone(), opened);
                hold(earlier.is_none(), "a review opens once", || id.to_string())
            }
            Event::ReviewVote { review, person, verdict, mfa, action_digest, .. } => {
                self.vote(review, person, (*verdict, *mfa), *action_digest)
            }
            Event::ReviewRetracted { review, person } => self.retracted(review, person),
            Event::ReviewRefused { review, code, .. } => {
                *self.votes_refused.entry((review.clone(), code.clone())).or_default() += 1;
                Ok(())
            }
            Event::ReviewClosed { review, outcome } => self.closed(review, *outcome),
            Event::ReviewEscalated { .. }
            | Event::ReviewRevealed { .. }
            | Event::ReviewCompared { .. }
            | Event::ReviewGlassBroken { .. }
            | Event::ReviewFollowedUp { .. } => Ok(()),
            Event::GrantIssued { grant, review, action_digest, expires_at, .. } => {
                self.issued(grant, review, *action_digest, *expires_at)
            }
            Event::GrantConsumed { grant, id } => self.consumed(grant, id, record.at),
            Event::GrantRevoked { grant, .. } => self.revoked(grant),
            Event::PatternIssued { pattern, .. }
            | Event::PatternUsed { pattern, .. }
            | Event::PatternRevoked { pattern, .. } => {
                Err(broken("no pattern where no policy allows one", pattern.to_string()))
            }
            Event::DutyGiven { duty, .. } | Event::DutyEnded { duty, .. } => {
                Err(broken("no duty where nobody is away", duty.clone()))
            }
            Event::IncidentDeclared { incident, .. } | Event::IncidentEnded { incident, .. } => {
                Err(broken("no incident where nobody declares one", incident.clone()))
            }
            Event::PolicyActivated { .. }
            | Event::IncidentRefused { .. }
            | Event::GateChanged { .. }
            | Event::ConfigChanged { .. }
            | Event::IdentityEnrolled { .. }
            | Event::IdentityRefused { .. }
            | Event::SessionOpened { .. }
            | Event::SystemStarted { .. }
            | Event::SystemAlarm { .. } => Ok(()),
        }
    }

    fn intent(&mut self, action: &ActionSummary, grant: Option<GrantId>) -> Checked {
        let intent = Intent { digest: action.digest, grant };
        let earlier = self.intents.insert(action.id.clone(), intent);
        hold(earlier.is_none(), "one attempt, one intent", || action.id.to_string())
    }

    fn outcome(&mut self, id: &ActionId, status: Status) -> Checked {
        hold(self.intents.contains_key(id), "no outcome without an intent", || id.to_string())?;
        let earlier = self.outcomes.insert(id.clone(), status);
        hold(earlier.is_none(), "one intent, one outcome", || format!("{id}: {earlier:?}, then {status:?}"))
    }

    fn vote(
        &mut self,
        id: &ReviewId,
        person: &PersonId,
        (verdict, mfa): (Verdict, bool),
        action: ActionDigest,
    ) -> Checked {
        let judged = self.judged.contains(&(id.clone(), person.clone()));
        let Some(logged) = self.reviews.get_mut(id) else {
            return Err(broken("no vote without a review", id.to_string()));
        };
        hold(judged, "no vote without a judgement", || format!("{person} on {id}"))?;
        hold(logged.outcome.is_none(), "a closed review never changes", || format!("{person} votes on {id}"))?;
        hold(logged.action == Some(action), "a vote names the action under review", || id.to_string())?;
        let first = logged.voters.insert(person.clone());
        hold(first, "one vote a person", || format!("{person} on {id}"))?;
        if verdict == Verdict::Approve {
            logged.approvals.insert(person.clone(), mfa);
        }
        Ok(())
    }

    fn closed(&mut self, id: &ReviewId, outcome: Outcome) -> Checked {
        let Some(logged) = self.reviews.get_mut(id) else {
            return Err(broken("no closing without a review", id.to_string()));
        };
        let earlier = logged.outcome.replace(outcome);
        hold(earlier.is_none(), "a closed review never changes", || format!("{id}: {earlier:?}, then {outcome:?}"))
    }

    /// While a review is open its voter may vote again; an approval that came of it must be voided in the same step.
    fn retracted(&mut self, id: &ReviewId, person: &PersonId) -> Checked {
        let Some(logged) = self.reviews.get_mut(id) else {
            return Err(broken("no vote is taken back without a review", id.to_string()));
        };
        hold(logged.voters.contains(person), "only one's own vote is taken back", || format!("{person} on {id}"))?;
        match logged.outcome {
            None => {
                logged.voters.remove(person);
                logged.approvals.remove(person);
                Ok(())
            }
            Some(outcome) => hold(outcome == Outcome::Approved, "a closed review never changes", || id.to_string()),
        }
    }

    fn issued(&mut self, id: &GrantId, review: &ReviewId, action: ActionDigest, expires_at: Timestamp) -> Checked {
        let logged = self.reviews.get(review);
        let approved = logged.is_some_and(|logged| logged.outcome == Some(Outcome::Approved));
        hold(approved, "only an approved review yields a grant", || id.to_string())?;
        hold(logged.and_then(|l| l.action) == Some(action), "a grant names the reviewed action", || id.to_string())?;
        let issued = Issued { review: review.clone(), action, expires_at, consumed_by: None, revoked: false };
        let earlier = self.grants.insert(id.clone(), issued);
        hold(earlier.is_none(), "one review, one grant", || id.to_string())
    }

    fn consumed(&mut self, id: &GrantId, by: &ActionId, at: Timestamp) -> Checked {
        let Some(issued) = self.grants.get_mut(id) else {
            return Err(broken("no use of a grant that was not issued", id.to_string()));
        };
        hold(at < issued.expires_at, "no use of a grant that has ended", || id.to_string())?;
        hold(!issued.revoked, "no use of a revoked grant", || id.to_string())?;
        let earlier = issued.consumed_by.replace(by.clone());
        hold(earlier.is_none(), "a grant is consumed once", || format!("{id} by {earlier:?}, then by {by}"))
    }

    fn revoked(&mut self, id: &GrantId) -> Checked {
        let Some(issued) = self.grants.get_mut(id) else {
            return Err(broken("no revocation of a grant that was not issued", id.to_string()));
        };
        hold(issued.consumed_by.is_none(), "a used grant is not revoked", || id.to_string())?;
        issued.revoked = true;
        Ok(())
    }

    /// What policy asks for, and whether the people behind a grant are enough, as things stand in this very step.
    fn authorized(&mut self, world: &World<'_>) -> Checked {
        for authorized in world.authorized.get(self.read.authorized..).unwrap_or_default() {
            self.authority(world, authorized)?;
            self.authorities.insert(authorized.request.id.clone(), authorized.clone());
        }
        self.read.authorized = world.authorized.len();
        Ok(())
    }

    fn authority(&self, world: &World<'_>, authorized: &Authorized) -> Checked {
        let Authorized { request, bundle, grant } = authorized;
        let need = need(*bundle, request);
        let Some(grant) = grant else {
            return hold(need == Need::Free, "policy asked for people", || format!("{} under {bundle:?}", request.id));
        };
        let Some(logged) = self.grants.get(&grant.id).and_then(|issued| self.reviews.get(&issued.review)) else {
            return Err(broken("no authority without a grant on record", grant.id.to_string()));
        };
        let reviewed = review(world, &grant.review);
        let sides = reviewed.iter().chain([request]).flat_map(|described| world.directory.side(described));
        let sides: BTreeSet<PersonId> = sides.collect();
        let people = self.standing(world, logged, &sides, *bundle);
        let detail = || format!("{} by {:?} under {bundle:?}", request.id, people.keys().collect::<Vec<_>>());
        hold(need.met(&people), "the quorum of the policy in force counts people who stand", detail)?;
        let then = logged.bundle.map_or(Need::Never, |bundle| self::need(bundle, request));
        hold(then.met(&people), "the quorum of the policy that asked counts people who stand", detail)
    }

    /// The approvers who count now: outside the requester's side, not suspended, in some group, strongly authenticated.
    fn standing(
        &self,
        world: &World<'_>,
        logged: &Logged,
        side: &BTreeSet<PersonId>,
        bundle: BundleName,
    ) -> BTreeMap<PersonId, BTreeSet<String>> {
        let strong = |mfa: bool| mfa || !bundle.wants_mfa();
        let outside = logged.approvals.iter().filter(|(person, mfa)| strong(**mfa) && !side.contains(*person));
        let known = outside.filter_map(|(person, _)| Some((person, world.directory.people.persons.get(person)?)));
        known
            .filter(|(_, facts)| !facts.suspended && !facts.groups.is_empty())
            .map(|(person, facts)| (person.clone(), facts.groups.clone()))
            .collect()
    }

    fn effect(&mut self, effect: &Effect) -> Checked {
        let id = &effect.action;
        let Some(intent) = self.intents.get(id) else {
            return Err(broken("no effect without a recorded intent", id.to_string()));
        };
        let Some(authorized) = self.authorities.get(id) else {
            return Err(broken("no effect without an authority", id.to_string()));
        };
        hold(self.executed.insert(id.clone()), "one attempt, one execution", || id.to_string())?;
        hold(!effect.absent, "nothing runs for a client that left", || id.to_string())?;
        hold(!self.outcomes.contains_key(id), "what has an outcome is over", || id.to_string())?;
        let digest = authorized.request.digest().ok();
        hold(digest == Some(intent.digest), "what was recorded is what runs", || id.to_string())?;
        hold(authorized.request.payload == effect.payload, "what was described is what runs", || id.to_string())?;
        let wanted = authorized.grant.as_ref().map(|grant| &grant.id);
        hold(wanted == intent.grant.as_ref(), "the intent names the grant that lets it run", || id.to_string())?;
        match intent.grant.clone() {
            None => Ok(()),
            Some(grant) => self.granted_effect(effect, &grant),
        }
    }

    fn granted_effect(&mut self, effect: &Effect, grant: &GrantId) -> Checked {
        let id = &effect.action;
        let Some(issued) = self.grants.get(grant) else {
            return Err(broken("no effect by a grant that was not issued", id.to_string()));
        };
        hold(issued.consumed_by.as_ref() == Some(id), "the grant is consumed by this attempt", || id.to_string())?;
        let logged = self.reviews.get(&issued.review);
        let approved = logged.is_some_and(|logged| logged.outcome == Some(Outcome::Approved));
        hold(approved, "what was not approved never runs", || format!("{id} by {grant}"))?;
        let reviewed = logged.and_then(|logged| logged.payload) == Some(effect.payload);
        let digest = self.intents.get(id).map(|intent| intent.digest) == Some(issued.action);
        hold(reviewed && digest, "what was reviewed is what runs", || id.to_string())?;
        hold(self.executed_grants.insert(grant.clone()), "one grant, one execution", || format!("{id} by {grant}"))
    }

    /// Every refusal that was answered with its own code has its record.
    fn answers(&mut self, world: &World<'_>) -> Checked {
        for answer in world.answers.get(self.read.answers..).unwrap_or_default() {
            match answer {
                Answer::Refused { code, .. } | Answer::VoteRefused { code, .. } if code == "record_unavailable" => {}
                Answer::Refused { action, .. } => {
                    hold(self.refused.contains(action), "every refusal has a record", || action.to_string())?;
                }
                Answer::VoteRefused { review, code } => {
                    let key = (review.clone(), code.clone());
                    let told = self.votes_refused_answers.entry(key.clone()).or_default();
                    *told += 1;
                    let recorded = self.votes_refused.get(&key).copied().unwrap_or_default();
                    hold(*told <= recorded, "every refused vote has a record", || format!("{review}: {code}"))?;
                }
            }
        }
        self.read.answers = world.answers.len();
        Ok(())
    }

    fn closed_reviews(&mut self, world: &World<'_>) -> Checked {
        for (id, body) in &self.closed_bodies {
            let row = world.store.reviews.get(id);
            let same = row.is_some_and(|row| &row.body == body);
            hold(same, "a closed review never changes", || id.to_string())?;
        }
        for (id, row) in world.store.reviews.iter().filter(|(_, row)| row.state != "open") {
            if !self.closed_bodies.contains_key(id) {
                self.closed_bodies.insert(id.clone(), row.body.clone());
            }
        }
        Ok(())
    }

    /// What ended stays as it ended; what a crash interrupted is `unknown` once its node is back.
    fn attempts(&mut self, world: &World<'_>) -> Checked {
        for (id, row) in &world.store.attempts {
            let before = self.ended.get(id).copied().unwrap_or(AttemptStatus::Running);
            let stays = before == AttemptStatus::Running || before == row.status;
            hold(stays, "what ended stays as it ended", || format!("{id}: {before:?}, then {:?}", row.status))?;
            if row.status != AttemptStatus::Running {
                self.ended.insert(id.clone(), row.status);
            }
        }
        let interrupted = world.interrupted.get(self.read.interrupted..).unwrap_or_default();
        for (id, node) in interrupted {
            if !world.up(*node) {
                return Ok(()); // later ones are looked at after this one
            }
            self.read.interrupted += 1;
            let unknown = self.outcomes.get(id) == Some(&Status::Unknown);
            hold(unknown, "an interrupted intent is closed as unknown", || id.to_string())?;
        }
        Ok(())
    }
}

/// At most one open review for the same action of the same requester, and not too many in all.
fn open_reviews(world: &World<'_>) -> Checked {
    let mut same = BTreeSet::new();
    let mut owners: BTreeMap<&str, usize> = BTreeMap::new();
    for (id, row) in world.store.reviews.iter().filter(|(_, row)| row.state == "open") {
        *owners.entry(row.owner.as_str()).or_default() += 1;
        let fresh = row.expires_at <= world.latest_clock() || same.insert((&row.requester, row.action));
        hold(fresh, "the same action has one open review", || id.to_string())?;
    }
    let (all, most) = (owners.values().sum::<usize>(), owners.values().max().copied().unwrap_or_default());
    let bounded = all <= OPEN_MAX && most <= OPEN_PER_OWNER_MAX;
    hold(bounded, "open reviews are bounded", || format!("{all} in all, {most} of one owner"))
}

fn need(bundle: BundleName, request: &Described) -> Need {
    bundle.need(class(request), request.target.environment)
}

fn class(request: &Described) -> SqlClass {
    match &*request.facts {
        Facts::Sql(facts) => facts.class,
        // no world of the simulation asks for one
        Facts::Http(_) | Facts::Kubernetes(_) | Facts::Aws(_) | Facts::Gate(_) => SqlClass::Admin,
    }
}

fn review(world: &World<'_>, id: &ReviewId) -> Option<Described> {
    let (found, _) = world.store.review(id).ok()??;
    Some(found.matter().described.clone())
}
