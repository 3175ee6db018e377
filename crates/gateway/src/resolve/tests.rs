//! Random directories, delegations and orders of votes: nobody of the requester's side ever counts.
//!
//! What the gateway says of a side is held against an oracle that is written the other way round: who is on it is read off
//! the matrix of who answers for whom and who made whom an approver, closed by Warshall's algorithm.

use std::collections::BTreeSet;
use std::sync::Arc;

use countersign_core::action::sql::SqlClass;
use countersign_core::action::{AgentId, Described, Facts, PersonId, Timestamp};
use countersign_core::review::{Method, Outcome, Review, Verdict};
use proptest::prelude::*;

use super::{VoteRequest, cast, retract, standing};
use crate::api::testing::{World, described};
use crate::identity::{Caller, SignedIn, duties};
use crate::ports::ScramVerifier;
use crate::ports::{Agent, AgentKey, Delegation, Directory as _, Elevation, FormerOwner, NewAgentKey, Person, Scope};

const PEOPLE: usize = 7;
const LOOK_BACK_DAYS: i64 = 30;
const DAY: i64 = 24 * 60 * 60;

/// One of the people.
type Who = usize;

/// Who stands behind the agent when it asks.
#[derive(Debug, Clone)]
struct Origin {
    owner: Who,
    creator: Option<Who>,
    /// With how many days ago.
    former: Vec<(Who, i64)>,
    on_behalf_of: Option<Who>,
    through: Vec<Who>,
    /// Who made whom an approver, and how many days ago.
    elevated: Vec<(Who, Who, i64)>,
    two: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Approves(Who),
    Rejects(Who),
    TakesBack(Who),
    IsGivenTo(Who),
    Elevates(Who, Who),
    IsSuspended(Who),
    Declares(Who),
    Gives(Who, Who),
}

fn origin() -> impl Strategy<Value = Origin> {
    let who = 0..PEOPLE;
    let days = 0_i64..60;
    (
        who.clone(),
        proptest::option::of(who.clone()),
        proptest::collection::vec((who.clone(), days.clone()), 0..3),
        proptest::option::of(who.clone()),
        proptest::collection::vec(who.clone(), 0..2),
        proptest::collection::vec((who.clone(), who, days), 0..5),
        any::<bool>(),
    )
        .prop_map(|(owner, creator, former, on_behalf_of, through, elevated, two)| Origin {
            owner,
            creator,
            former,
            on_behalf_of,
            through,
            elevated,
            two,
        })
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..PEOPLE;
    prop_oneof![
        8 => who.clone().prop_map(Step::Approves),
        1 => who.clone().prop_map(Step::Rejects),
        1 => who.clone().prop_map(Step::TakesBack),
        1 => who.clone().prop_map(Step::IsGivenTo),
        2 => (who.clone(), who.clone()).prop_map(|(by, whom)| Step::Elevates(by, whom)),
        1 => who.clone().prop_map(Step::Declares),
        3 => (who.clone(), who.clone()).prop_map(|(of, deputy)| Step::Gives(of, deputy)),
        1 => who.prop_map(Step::IsSuspended),
    ]
}

/// The side, as the oracle sees it: `frozen` never leaves it.
struct Oracle {
    frozen: BTreeSet<Who>,
    answers: BTreeSet<Who>,
    elevated: Vec<(Who, Who)>,
}

impl Oracle {
    fn new(origin: &Origin) -> Self {
        let recent = |days: i64| days <= LOOK_BACK_DAYS;
        let former = origin.former.iter().filter(|(_, days)| recent(*days)).map(|(who, _)| *who);
        let answers: BTreeSet<Who> = former.chain([origin.owner]).chain(origin.creator).collect();
        let others = origin.through.iter().copied().chain(origin.on_behalf_of);
        let frozen = answers.iter().copied().chain(others).collect();
        let elevated = origin.elevated.iter().filter(|(_, _, days)| recent(*days)).map(|(by, whom, _)| (*by, *whom));
        Self { frozen, answers, elevated: elevated.collect() }
    }

    fn side(&self) -> BTreeSet<Who> {
        let mut reaches = [[false; PEOPLE]; PEOPLE];
        for (by, whom) in &self.elevated {
            reaches[*by][*whom] = true;
        }
        for middle in 0..PEOPLE {
            for from in 0..PEOPLE {
                for to in 0..PEOPLE {
                    reaches[from][to] |= reaches[from][middle] && reaches[middle][to];
                }
            }
        }
        let roots: BTreeSet<Who> = self.frozen.union(&self.answers).copied().collect();
        (0..PEOPLE).filter(|who| roots.contains(who) || roots.iter().any(|root| reaches[*root][*who])).collect()
    }
}

fn id(who: Who) -> PersonId {
    PersonId::new(format!("p-n{who}"))
}

fn agent(origin: &Origin, now: Timestamp) -> Agent {
    let former = |(who, days): &(Who, i64)| FormerOwner { person: id(*who), until: now.plus_seconds(-days * DAY) };
    let mut agent = Agent::new(AgentId::new("g-bot"), "bot".to_owned(), id(origin.owner), BTreeSet::new(), now);
    agent.created_by = origin.creator.map(id);
    agent.former_owners = origin.former.iter().map(former).collect();
    agent.accepted_at = Some(now);
    agent
}

struct Play {
    world: World,
    oracle: Oracle,
    suspended: BTreeSet<Who>,
    declared: BTreeSet<Who>,
    needed: usize,
}

impl Play {
    /// People, their agent and its request; `None` where somebody of it is not there to ask.
    async fn begin(origin: &Origin) -> Option<(Self, Review)> {
        let world = World::new().await;
        let now = world.gate.scribe.now();
        for who in 0..PEOPLE {
            // some have no vote but by somebody else's duty
            let groups = if who % 3 == 0 { BTreeSet::new() } else { BTreeSet::from(["dba".to_owned()]) };
            let mut person = Person::new(id(who), format!("n{who}"), None, groups, now);
            let made = origin.elevated.iter().filter(|(_, whom, _)| *whom == who);
            person.elevations = made.map(|(by, _, days)| elevation(*by, now.plus_seconds(-days * DAY))).collect();
            world.store.add_person(person, None, vec![]).await.expect("adds");
        }
        let agent = agent(origin, now);
        let mut key = AgentKey::own("k-bot".to_owned(), &agent, now);
        key.delegation = Delegation {
            on_behalf_of: origin.on_behalf_of.map(id),
            through: origin.through.iter().copied().map(id).collect(),
            ..Delegation::default()
        };
        let verifier = ScramVerifier { salt: vec![1; 16], iterations: 4_096, stored_key: [2; 32], server_key: [3; 32] };
        let record =
            world.gate.scribe.record(countersign_core::record::Event::ConfigChanged { what: "test".to_owned() });
        let new = NewAgentKey { key: key.clone(), verifier, hash: [7; 32] };
        world.store.add_agent(agent.clone(), new, record).await.expect("adds");
        world.gate.roster.refresh().await.expect("reads");
        let side = world.gate.roster.current().requester(&agent, &key, now)?;
        let request = Described {
            requester: Arc::new(side.requester),
            on_behalf_of: Arc::new(side.on_behalf_of),
            closure: Arc::new(side.closure),
            ..ddl_or_write(origin.two, now)
        };
        let review = world.open(request, "the statement").await;
        let needed = if origin.two { 2 } else { 1 };
        Some((
            Self { world, oracle: Oracle::new(origin), suspended: BTreeSet::new(), declared: BTreeSet::new(), needed },
            review,
        ))
    }

    async fn person(&self, who: Who) -> Person {
        self.world.store.person(&id(who)).await.expect("reads").expect("there")
    }

    async fn change(&self, who: Who, change: impl FnOnce(&mut Person)) {
        let before = self.person(who).await;
        let mut after = before.clone();
        change(&mut after);
        self.world.store.update_person(before, after, vec![]).await.expect("changes");
        self.world.gate.roster.refresh().await.expect("reads");
    }

    async fn caller(&self, who: Who) -> Caller {
        let (person, credential) = (self.person(who).await, "c".to_owned());
        let scope = Scope::ReviewVote;
        Caller::Person(Box::new(SignedIn {
            person,
            credential,
            scope,
            method: Method::Console,
            mfa: true,
            age_seconds: 0,
        }))
    }

    /// A vote; the review as it stands afterwards. Whatever is accepted is by somebody outside the side.
    async fn vote(&self, review: &Review, who: Who, verdict: Verdict) -> Review {
        let matter = review.matter();
        let (action, card) = (matter.action, matter.card);
        let request =
            VoteRequest { verdict, reason: None, action, card, pattern: None, assertion: None, callback: None };
        match cast(&self.world.gate, &matter.id, &self.caller(who).await, request).await {
            Ok(next) => {
                assert!(!self.oracle.side().contains(&who), "{who} is on the side and was let through");
                assert!(!self.suspended.contains(&who), "{who} is suspended and was let through");
                next
            }
            Err(_) => review.clone(),
        }
    }

    async fn step(&mut self, review: Review, step: &Step) -> Review {
        let now = self.world.gate.scribe.now();
        match step {
            Step::Approves(who) => self.vote(&review, *who, Verdict::Approve).await,
            Step::Rejects(who) => self.vote(&review, *who, Verdict::Reject).await,
            Step::TakesBack(who) => {
                retract(&self.world.gate, &review.matter().id, &self.caller(*who).await).await.unwrap_or(review)
            }
            Step::IsGivenTo(who) => {
                let mut agents = self.world.store.agents().await.expect("reads");
                let mut agent = agents.swap_remove(agents.iter().position(|agent| agent.name == "bot").expect("there"));
                agent.former_owners.push(FormerOwner { person: agent.owner.clone(), until: now });
                agent.owner = id(*who);
                let what = "test".to_owned();
                let record = self.world.gate.scribe.record(countersign_core::record::Event::ConfigChanged { what });
                self.world.store.update_agent(agent, record).await.expect("changes");
                self.world.gate.roster.refresh().await.expect("reads");
                self.oracle.answers.insert(*who);
                review
            }
            Step::Elevates(by, whom) => {
                self.change(*whom, |person| person.elevations.push(elevation(*by, now))).await;
                self.oracle.elevated.push((*by, *whom));
                review
            }
            Step::Gives(of, deputy) => {
                let Caller::Person(by) = self.caller(*of).await else { return review };
                let until = now.plus_seconds(DAY);
                let wish = duties::Wish { deputy: format!("n{deputy}"), groups: BTreeSet::new(), from: None, until };
                if duties::give(&*self.world.gate.directory, &self.world.gate.scribe, &by, wish).await.is_ok() {
                    self.world.gate.roster.refresh().await.expect("reads");
                }
                review
            }
            Step::Declares(who) => {
                let caller = self.caller(*who).await;
                if super::incidents::declare(&self.world.gate, &caller, "it burns", None).await.is_ok() {
                    self.declared.insert(*who);
                }
                review
            }
            Step::IsSuspended(who) => {
                self.change(*who, |person| person.suspended = true).await;
                self.suspended.insert(*who);
                review
            }
        }
    }

    /// What still counts is said by nobody of the side; and an approval came about by as many others as were asked for.
    fn check(&self, review: &Review, before: &Review) {
        let (moment, side) = (self.world.gate.moment(), self.oracle.side());
        let counting = |who: &Who| {
            let votes = review.votes().iter().filter(|vote| vote.person == id(*who));
            votes.filter_map(|vote| standing(&moment, &review.matter().described, vote)).count()
        };
        for used in review.votes().iter().filter_map(|vote| standing(&moment, &review.matter().described, vote)) {
            let off = |who: &Who| !side.contains(who) && !self.suspended.contains(who) && !who.is_multiple_of(3);
            let seats = used.duties.iter().map(|used| (0..PEOPLE).find(|who| id(*who) == used.of));
            assert!(seats.flatten().all(|who| off(&who)), "{:?} of {side:?}", used.duties);
        }
        let counted: Vec<Who> = (0..PEOPLE).filter(|who| counting(who) > 0).collect();
        assert!(
            counted.iter().all(|who| !side.contains(who) && !self.suspended.contains(who)),
            "{counted:?} of {side:?}"
        );
        let others = self.declared.iter().any(|who| !side.contains(who) && !self.suspended.contains(who));
        assert_eq!(moment.incident_for(&review.matter().described), others, "{:?} of {side:?}", self.declared);
        let approved =
            |review: &Review| matches!(review, Review::Closed(closed) if closed.outcome() == Outcome::Approved);
        if approved(review) && !approved(before) {
            assert!(counted.len() >= self.needed, "{} of {} approved", counted.len(), self.needed);
        }
    }
}

fn elevation(by: Who, at: Timestamp) -> Elevation {
    Elevation { by: id(by), what: "dba".to_owned(), at }
}

fn ddl_or_write(two: bool, at: Timestamp) -> Described {
    let mut described = described("coder", "the statement", at);
    if two {
        let Facts::Sql(facts) = Arc::make_mut(&mut described.facts) else { panic!("a statement") };
        facts.class = SqlClass::Ddl;
        facts.statements[0].class = SqlClass::Ddl;
        facts.statements[0].verb = "ALTER TABLE".to_owned();
    }
    described
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 64, ..ProptestConfig::default() })]

    #[test]
    fn nobody_of_a_random_side_ever_counts(origin in origin(), steps in proptest::collection::vec(step(), 1..14)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let Some((mut play, mut review)) = Play::begin(&origin).await else { return };
            for step in &steps {
                let next = play.step(review.clone(), step).await;
                play.check(&next, &review);
                review = next;
            }
        });
    }
}
