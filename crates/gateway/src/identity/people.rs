//! The people and agents there are, as policy sees them; refreshed whenever the directory changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use countersign_core::action::{Described, PersonId, Requester};
use countersign_core::policy::{AgentFacts, People, PersonFacts};

use crate::ports::{Agent, Directory, Person, StoreError};

/// A snapshot of the directory.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// What policy is asked with.
    pub people: People,
    agents: Vec<Agent>,
}

impl Snapshot {
    fn new(persons: Vec<Person>, agents: Vec<Agent>) -> Self {
        let persons =
            persons.into_iter().map(|p| (p.id, PersonFacts { name: p.name, groups: p.groups, suspended: p.suspended }));
        let facts = agents.iter().filter(|agent| agent.revoked_at.is_none());
        let facts = facts.map(|agent| (agent.id.clone(), AgentFacts { groups: agent.groups.clone() }));
        Self { people: People { persons: persons.collect(), agents: facts.collect() }, agents }
    }

    /// Who answers for the requester as of now, besides those frozen in the request.
    pub fn linked_now(&self, request: &Described) -> BTreeSet<PersonId> {
        match &*request.requester {
            Requester::Person { .. } => BTreeSet::new(),
            Requester::Agent { id, .. } => {
                self.agents.iter().filter(|agent| &agent.id == id).map(|agent| agent.owner.clone()).collect()
            }
        }
    }
}

/// The snapshot in force.
pub struct Roster {
    directory: Arc<dyn Directory>,
    current: ArcSwap<Snapshot>,
}

impl Roster {
    /// Reads the directory.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(directory: Arc<dyn Directory>) -> Result<Self, StoreError> {
        let roster = Self { directory, current: ArcSwap::default() };
        roster.refresh().await?;
        Ok(roster)
    }

    /// Reads it again; called after every change, before the change is answered.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let snapshot = Snapshot::new(self.directory.people().await?, self.directory.agents().await?);
        self.current.store(Arc::new(snapshot));
        Ok(())
    }

    /// The snapshot.
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }
}
