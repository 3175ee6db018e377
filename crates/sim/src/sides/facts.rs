//! The plain facts: people, agents, who made whom what, who does whose duty, and when. Nothing here draws a conclusion.

use std::collections::BTreeSet;

use countersign_core::action::{AgentId, PersonId, PersonRef, Timestamp};
use countersign_core::policy::{AgentFacts, People, PersonFacts};

use crate::rng::Rng;

/// One of the people, by place.
pub(super) type Who = usize;

/// How many people there are.
pub(super) const PEOPLE: usize = 9;
/// How many agents there are.
pub(super) const AGENTS: usize = 3;
/// The groups that policies name.
pub(super) const GROUPS: [&str; 3] = ["dba", "security", "sre"];
/// When a run begins: 2026-11-21T10:00:00Z.
pub(super) const START: Timestamp = Timestamp::from_seconds(1_795_255_200);

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * MINUTE;

/// A person.
#[derive(Debug, Clone, Default)]
pub(super) struct Person {
    pub(super) groups: BTreeSet<String>,
    pub(super) suspended: bool,
}

/// An agent.
#[derive(Debug, Clone)]
pub(super) struct Agent {
    pub(super) owner: Who,
    pub(super) creator: Option<Who>,
    /// Until when.
    pub(super) former: Vec<(Who, Timestamp)>,
}

/// Somebody made somebody a member of a group.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) by: Who,
    pub(super) whom: Who,
    pub(super) at: Timestamp,
}

/// Somebody does somebody's duty.
#[derive(Debug, Clone)]
pub(super) struct Duty {
    pub(super) of: Who,
    pub(super) deputy: Who,
    pub(super) groups: BTreeSet<String>,
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

/// Everything that is so.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) people: Vec<Person>,
    pub(super) agents: Vec<Agent>,
    pub(super) made: Vec<Made>,
    pub(super) duties: Vec<Duty>,
}

impl Facts {
    /// A directory that a seed names.
    pub(super) fn random(seed: u64) -> Self {
        let rng = &mut Rng::new(seed ^ 0x51de_51de_51de_51de);
        let people = (0..PEOPLE).map(|_| Person { groups: some_groups(rng), suspended: false }).collect();
        let agents = (0..AGENTS).map(|_| random_agent(rng)).collect();
        let made = (0..rng.below(4)).filter_map(|_| random_made(rng)).collect();
        Self { people, agents, made, duties: Vec::new() }
    }

    /// The directory as policy is asked with it.
    pub(super) fn for_policy(&self) -> People {
        let persons = self.people.iter().enumerate().map(|(who, person)| {
            let facts = PersonFacts { name: name(who), groups: person.groups.clone(), suspended: person.suspended };
            (id(who), facts)
        });
        // behind what a planted defect asks about instead
        let nobody = (id(PEOPLE), PersonFacts { name: name(PEOPLE), ..PersonFacts::default() });
        let agents = (0..AGENTS).map(|agent| (agent_id(agent), AgentFacts::default()));
        People { persons: persons.chain([nobody]).collect(), agents: agents.collect() }
    }

    /// Whether they are there and not suspended.
    pub(super) fn live(&self, who: Who) -> bool {
        self.people.get(who).is_some_and(|person| !person.suspended)
    }

    /// Their groups; none of somebody who is not there.
    pub(super) fn groups(&self, who: Who) -> BTreeSet<String> {
        self.people.get(who).map(|person| person.groups.clone()).unwrap_or_default()
    }
}

fn random_agent(rng: &mut Rng) -> Agent {
    let creator = rng.percent(30).then(|| rng.below(PEOPLE));
    let former = (0..rng.below(2)).map(|_| (rng.below(PEOPLE), ago(rng))).collect();
    Agent { owner: rng.below(PEOPLE), creator, former }
}

fn random_made(rng: &mut Rng) -> Option<Made> {
    let (by, whom, at) = (rng.below(PEOPLE), rng.below(PEOPLE), ago(rng));
    (by != whom).then_some(Made { by, whom, at })
}

/// Some time before a run begins; often around the edge of the thirty days that count, so that time passes it.
fn ago(rng: &mut Rng) -> Timestamp {
    let minutes = i64::try_from(rng.below(90)).unwrap_or(0) * MINUTE;
    let seconds = match rng.below(5) {
        0 => minutes,
        1 => 10 * DAY,
        2 | 3 => 30 * DAY - minutes, // counts, and stops to count within the run
        _ => 30 * DAY + minutes + 1,
    };
    START.plus_seconds(-seconds)
}

/// One or two of three, mostly.
pub(super) fn some_groups(rng: &mut Rng) -> BTreeSet<String> {
    let all = GROUPS.map(str::to_owned);
    all.into_iter().filter(|_| rng.percent(50)).collect()
}

pub(super) fn name(who: Who) -> String {
    format!("p{who}")
}

pub(super) fn id(who: Who) -> PersonId {
    PersonId::new(name(who))
}

pub(super) fn person(who: Who) -> PersonRef {
    PersonRef { id: id(who), name: name(who) }
}

pub(super) fn agent_id(agent: usize) -> AgentId {
    AgentId::new(format!("g{agent}"))
}

/// Their place.
pub(super) fn who(id: &PersonId) -> Option<Who> {
    id.as_str().strip_prefix('p')?.parse().ok()
}
