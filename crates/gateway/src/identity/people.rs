//! The people and agents there are, as policy sees them; refreshed whenever the directory changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use countersign_core::action::gate::GateSubject;
use countersign_core::action::{AgentId, Described, Facts, Job, PersonId, PersonRef, Requester, Timestamp};
use countersign_core::policy::{AgentFacts, People, PersonFacts};
use tokio::sync::watch;

use super::closure;
use super::standing::Standing;
use crate::ports::{Agent, AgentKey, Delegation, Directory, Duty, Elevation, Person, StoreError};

/// A snapshot of the directory.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// What policy is asked with.
    pub people: People,
    agents: Vec<Agent>,
    /// Duties that were given away.
    duties: Vec<Duty>,
    /// Those who were enrolled or elevated by somebody.
    elevated: Vec<(PersonId, Vec<Elevation>)>,
}

impl Snapshot {
    fn new(persons: Vec<Person>, agents: Vec<Agent>, duties: Vec<Duty>) -> Self {
        let elevated = persons.iter().filter(|person| !person.elevations.is_empty());
        let elevated = elevated.map(|person| (person.id.clone(), person.elevations.clone())).collect();
        let persons =
            persons.into_iter().map(|p| (p.id, PersonFacts { name: p.name, groups: p.groups, suspended: p.suspended }));
        // one that is revoked, or that nobody answers for, is unknown to policy: its open sessions do nothing either
        let facts = agents.iter().filter(|agent| agent.revoked_at.is_none() && agent.accepted_at.is_some());
        let facts = facts.map(|agent| (agent.id.clone(), AgentFacts { groups: agent.groups.clone() }));
        Self { people: People { persons: persons.collect(), agents: facts.collect() }, agents, duties, elevated }
    }

    /// The duties that a person does for others at a moment. Who they are from, and in which groups those still are, is asked
    /// where they count.
    pub fn duties_of(&self, deputy: &PersonId, now: Timestamp) -> impl Iterator<Item = &Duty> {
        self.duties_in_force(now).filter(move |duty| &duty.deputy == deputy)
    }

    /// The duties that a person has given away and others do for them at a moment.
    pub fn duties_from(&self, holder: &PersonId, now: Timestamp) -> impl Iterator<Item = &Duty> {
        self.duties_in_force(now).filter(move |duty| &duty.of == holder)
    }

    fn duties_in_force(&self, now: Timestamp) -> impl Iterator<Item = &Duty> {
        self.duties.iter().filter(move |duty| duty.from <= now && now < duty.until)
    }

    /// Everyone who stands on the requester's side as of now, those frozen in the request included.
    pub fn linked_now(&self, request: &Described, now: Timestamp) -> BTreeSet<PersonId> {
        let mut side = BTreeSet::clone(&request.closure);
        side.insert(request.on_behalf_of.id.clone());
        side.insert(request.requester.owner().id.clone());
        if let Requester::Agent { id, .. } = &*request.requester {
            side.extend(self.behind(id, now));
        }
        if let Facts::Gate(facts) = &*request.facts {
            match &facts.subject {
                GateSubject::Person(gains) => drop(side.insert(gains.clone())),
                GateSubject::Agent(gains) => side.extend(self.behind(gains, now)),
                GateSubject::Bundle | GateSubject::NewPerson(_) | GateSubject::Target(_) => {}
            }
        }
        let elevated = self.elevated.iter().map(|(person, elevations)| (person, elevations.as_slice()));
        closure::with_elevated(side, elevated, now)
    }

    /// Everyone who answers for an agent.
    fn behind(&self, agent: &AgentId, now: Timestamp) -> BTreeSet<PersonId> {
        let agent = self.agents.iter().filter(|known| &known.id == agent);
        agent.flat_map(|agent| closure::of_agent(agent, &Delegation::default(), now)).collect()
    }

    /// The standing, by digest, of what a change of people or agents is about; none where there is no such any more.
    pub fn standing(&self, subject: &GateSubject) -> Option<String> {
        match subject {
            GateSubject::Bundle | GateSubject::Target(_) => None,
            GateSubject::Person(id) => Standing::of_facts(id, self.people.persons.get(id)?).digest(),
            GateSubject::NewPerson(name) => {
                let taken = self.people.persons.values().any(|person| person.name.eq_ignore_ascii_case(name));
                Standing::Nobody { name }.digest().filter(|_| !taken)
            }
            GateSubject::Agent(id) => {
                let agent = self.agents.iter().find(|agent| &agent.id == id && agent.revoked_at.is_none())?;
                Standing::of_agent(agent).digest()
            }
        }
    }

    /// Whether one of two people enrolled or elevated the other lately, directly or through others.
    pub fn linked(&self, one: &PersonId, other: &PersonId, now: Timestamp) -> bool {
        let elevated = self.elevated.iter().map(|(person, elevations)| (person, elevations.as_slice()));
        let made_by = |by: &PersonId| closure::with_elevated(BTreeSet::from([by.clone()]), elevated.clone(), now);
        made_by(one).contains(other) || made_by(other).contains(one)
    }

    /// An agent with a key of it as the requester of actions: who asks, for whom, and who stands on its side.
    /// `None` when one of the people behind it is unknown, suspended, or has not accepted it: it does nothing then.
    pub fn requester(&self, agent: &Agent, key: &AgentKey, now: Timestamp) -> Option<Side> {
        agent.accepted_at?;
        let side = closure::of_agent(agent, &key.delegation, now);
        let live = |person: &PersonId| self.people.persons.get(person).filter(|facts| !facts.suspended);
        let name =
            |person: &PersonId| live(person).map(|facts| PersonRef { id: person.clone(), name: facts.name.clone() });
        let owner = name(&agent.owner)?;
        let on_behalf_of = match &key.delegation.on_behalf_of {
            Some(person) => name(person)?,
            None => owner.clone(),
        };
        let job = Job::new(&key.delegation.claims).map(Box::new);
        key.delegation.through.iter().all(|person| live(person).is_some()).then(|| Side {
            requester: Requester::Agent { id: agent.id.clone(), name: agent.name.clone(), owner, job },
            on_behalf_of,
            closure: side,
        })
    }
}

/// The requester's side of a session, frozen when it begins.
#[derive(Debug, Clone)]
pub struct Side {
    /// Who asks.
    pub requester: Requester,
    /// For whom.
    pub on_behalf_of: PersonRef,
    /// None of these may approve.
    pub closure: BTreeSet<PersonId>,
}

/// The snapshot in force.
pub struct Roster {
    directory: Arc<dyn Directory>,
    current: ArcSwap<Snapshot>,
    changes: watch::Sender<()>,
}

impl Roster {
    /// Reads the directory.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(directory: Arc<dyn Directory>) -> Result<Self, StoreError> {
        let roster = Self { directory, current: ArcSwap::default(), changes: watch::Sender::new(()) };
        roster.refresh().await?;
        Ok(roster)
    }

    /// Reads it again; called after every change, before the change is answered.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let duties = self.directory.duties(Timestamp::from_seconds(0)).await?;
        let snapshot = Snapshot::new(self.directory.people().await?, self.directory.agents().await?, duties);
        self.current.store(Arc::new(snapshot));
        self.changes.send_replace(());
        Ok(())
    }

    /// Tells of every change from now on.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// The snapshot.
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// The same, for a moment: who holds many of these, or holds one for long, makes the others slow.
    pub fn peek(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }
}
