//! Changes of people and agents that permit more: what each would come to, planned before anybody is asked and again before
//! it is made.
//!
//! Whether people have to be asked first is the callers' to know: [`admin`](crate::admin) makes them for the gateway's host,
//! [`proposals`](crate::proposals) once people approved them.

use std::collections::BTreeSet;

use countersign_core::action::gate::{GateStep, GateSubject};
use countersign_core::action::{PersonId, Timestamp};
use countersign_core::record::Record;
use serde::{Deserialize, Serialize};

use super::closure::LOOK_BACK_SECONDS;
use super::standing::Standing;
use super::stewardship::{Error, check_name};
use crate::ports::{Account, Agent, Directory, Elevation, Person, StoreError};

/// The longest provider, id and label of an account, and the longest address, in bytes.
const TEXT_BYTES_MAX: usize = 512;

/// A change that permits more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// Adds a person.
    AddPerson {
        /// Their name.
        name: String,
        /// Their address.
        email: Option<String>,
        /// Their groups.
        groups: BTreeSet<String>,
    },
    /// Gives a person groups.
    AddGroups {
        /// Who.
        person: String,
        /// Which.
        groups: BTreeSet<String>,
    },
    /// Lifts a person's suspension.
    Restore {
        /// Who.
        person: String,
    },
    /// Links an account somewhere else to a person.
    LinkAccount {
        /// Who.
        person: String,
        /// Whose ids these are.
        provider: String,
        /// The id there; never a name.
        subject: String,
        /// What it is called there.
        label: String,
    },
    /// Gives an agent groups.
    AddAgentGroups {
        /// Which.
        agent: String,
        /// Which groups.
        groups: BTreeSet<String>,
    },
}

/// What a change would come to.
#[derive(Debug, Clone)]
pub struct Planned {
    /// In what way it permits more.
    pub step: GateStep,
    /// Who would gain.
    pub subject: GateSubject,
    /// Their name.
    pub name: String,
    /// Their standing as it is.
    pub from: String,
    /// Their standing as it would be.
    pub to: String,
    /// The groups that somebody would come to speak or act for.
    pub gained: BTreeSet<String>,
    effect: Effect,
}

#[derive(Debug, Clone)]
enum Effect {
    Add(Box<Person>),
    Person { before: Box<Person>, after: Box<Person>, account: Option<Account> },
    Agent { before: Box<Agent>, after: Box<Agent> },
}

/// Plans changes.
#[derive(Clone, Copy)]
pub struct Planner<'a> {
    /// Where people and agents are.
    pub directory: &'a dyn Directory,
    /// The groups there are.
    pub groups: &'a BTreeSet<String>,
    /// The time.
    pub now: Timestamp,
}

impl Planner<'_> {
    /// What a change would come to, as things are.
    ///
    /// # Errors
    /// [`Error`]: there is no such person or agent, or nothing would change.
    pub async fn plan(&self, change: &Change) -> Result<Planned, Error> {
        match change {
            Change::AddPerson { name, email, groups } => self.add(name, email.as_deref(), groups).await,
            Change::AddGroups { person, groups } => self.give(person, groups).await,
            Change::Restore { person } => self.restore(person).await,
            Change::LinkAccount { person, provider, subject, label } => {
                self.link(person, (provider, subject), label).await
            }
            Change::AddAgentGroups { agent, groups } => self.give_agent(agent, groups).await,
        }
    }

    async fn add(&self, name: &str, email: Option<&str>, groups: &BTreeSet<String>) -> Result<Planned, Error> {
        check_name(name)?;
        self.known(groups)?;
        email.map_or(Ok(()), |email| plain("address", email))?;
        if self.people().await?.iter().any(|person| person.name.eq_ignore_ascii_case(name)) {
            return Err(Error::Store(StoreError::NameTaken(name.to_owned())));
        }
        let id = PersonId::new(format!("p_{}", uuid::Uuid::new_v4().simple()));
        let person = Person::new(id, name.to_owned(), email.map(str::to_owned), groups.clone(), self.now);
        Ok(Planned {
            step: GateStep::PersonAdded,
            subject: GateSubject::NewPerson(name.to_owned()),
            name: name.to_owned(),
            from: digest(&Standing::Nobody { name })?,
            to: digest(&Standing::New { name, email, groups })?,
            gained: groups.clone(),
            effect: Effect::Add(Box::new(person)),
        })
    }

    async fn give(&self, name: &str, groups: &BTreeSet<String>) -> Result<Planned, Error> {
        self.known(groups)?;
        let before = self.person(name).await?;
        if before.managed || before.confirmed_at.is_some() {
            let message = format!("the groups of {} come from the identity provider; change them there", before.name);
            return Err(Error::Invalid(message));
        }
        let gained: BTreeSet<String> = groups.difference(&before.groups).cloned().collect();
        if gained.is_empty() {
            return Err(Error::Invalid(format!("{} has these groups already", before.name)));
        }
        let after = Person { groups: before.groups.union(groups).cloned().collect(), ..before.clone() };
        person_change(GateStep::GroupsGiven, before, after, gained, None)
    }

    async fn restore(&self, name: &str) -> Result<Planned, Error> {
        let before = self.person(name).await?;
        if !before.suspended {
            return Err(Error::Invalid(format!("{} is not suspended", before.name)));
        }
        let (after, gained) = (Person { suspended: false, ..before.clone() }, before.groups.clone());
        person_change(GateStep::PersonRestored, before, after, gained, None)
    }

    async fn link(&self, name: &str, (provider, subject): (&str, &str), label: &str) -> Result<Planned, Error> {
        plain("provider", provider)?;
        plain("subject", subject)?;
        if !label.is_empty() {
            plain("label", label)?;
        }
        let before = self.person(name).await?;
        if self.directory.account(provider, subject).await?.is_some() {
            return Err(Error::Store(StoreError::NameTaken(format!("{provider} {subject}"))));
        }
        let account = Account {
            provider: provider.to_owned(),
            subject: subject.to_owned(),
            person: before.id.clone(),
            label: label.to_owned(),
            proof: "review".to_owned(),
            linked_at: self.now,
        };
        let gained = before.groups.clone();
        person_change(GateStep::AccountLinked, before.clone(), before, gained, Some(account))
    }

    async fn give_agent(&self, name: &str, groups: &BTreeSet<String>) -> Result<Planned, Error> {
        self.known(groups)?;
        let agents = self.directory.agents().await?;
        let found = agents.into_iter().find(|agent| agent.name == name && agent.revoked_at.is_none());
        let before = found.ok_or_else(|| Error::Invalid(format!("there is no agent `{name}`")))?;
        let gained: BTreeSet<String> = groups.difference(&before.groups).cloned().collect();
        if gained.is_empty() {
            return Err(Error::Invalid(format!("{name} has these groups already")));
        }
        let after = Agent { groups: before.groups.union(groups).cloned().collect(), ..before.clone() };
        Ok(Planned {
            step: GateStep::AgentGroupsGiven,
            subject: GateSubject::Agent(before.id.clone()),
            name: name.to_owned(),
            from: digest(&Standing::of_agent(&before))?,
            to: digest(&Standing::of_agent(&after))?,
            gained,
            effect: Effect::Agent { before: Box::new(before), after: Box::new(after) },
        })
    }

    async fn people(&self) -> Result<Vec<Person>, StoreError> {
        self.directory.people().await
    }

    async fn person(&self, name: &str) -> Result<Person, Error> {
        let found = self.people().await?.into_iter().find(|person| person.name.eq_ignore_ascii_case(name));
        found.ok_or_else(|| Error::Invalid(format!("there is no person `{name}`")))
    }

    fn known(&self, groups: &BTreeSet<String>) -> Result<(), Error> {
        let Some(unknown) = groups.iter().find(|group| !self.groups.contains(*group)) else { return Ok(()) };
        let known: Vec<&str> = self.groups.iter().map(String::as_str).collect();
        let known = known.join(", ");
        let message = format!("there is no group `{unknown}`; the configuration knows {known} (see `policy.groups`)");
        Err(Error::Invalid(message))
    }
}

fn person_change(
    step: GateStep,
    before: Person,
    after: Person,
    gained: BTreeSet<String>,
    account: Option<Account>,
) -> Result<Planned, Error> {
    let linked = account.as_ref().map(|account| (account.provider.as_str(), account.subject.as_str()));
    Ok(Planned {
        step,
        subject: GateSubject::Person(before.id.clone()),
        name: before.name.clone(),
        from: digest(&standing(&before, None))?,
        to: digest(&standing(&after, linked))?,
        gained,
        effect: Effect::Person { before: Box::new(before), after: Box::new(after), account },
    })
}

fn standing<'a>(person: &'a Person, account: Option<(&'a str, &'a str)>) -> Standing<'a> {
    Standing::Person { id: &person.id, groups: &person.groups, suspended: person.suspended, account }
}

fn digest(standing: &Standing<'_>) -> Result<String, Error> {
    standing.digest().ok_or_else(|| Error::Invalid("this cannot be described".to_owned()))
}

fn plain(what: &str, text: &str) -> Result<(), Error> {
    if text.is_empty() || text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
        let message = format!("a {what} has 1 to {TEXT_BYTES_MAX} bytes, none of them a control character");
        return Err(Error::Invalid(message));
    }
    Ok(())
}

impl Planned {
    /// Whose vote cannot count on it besides the author's: who would gain, or answers for the agent that would.
    pub fn gainers(&self) -> BTreeSet<PersonId> {
        match &self.effect {
            Effect::Add(_) => BTreeSet::new(), // whoever that is has no vote yet
            Effect::Person { before, .. } => BTreeSet::from([before.id.clone()]),
            Effect::Agent { before, .. } => before.created_by.iter().chain([&before.owner]).cloned().collect(),
        }
    }

    /// The handle of who gains, once they have one.
    pub fn handle(&self) -> String {
        match &self.effect {
            Effect::Add(person) => person.id.to_string(),
            Effect::Person { before, .. } => before.id.to_string(),
            Effect::Agent { before, .. } => before.id.to_string(),
        }
    }

    /// The groups they have as it is.
    pub fn groups(&self) -> &BTreeSet<String> {
        const NONE: &BTreeSet<String> = &BTreeSet::new();
        match &self.effect {
            Effect::Add(_) => NONE,
            Effect::Person { before, .. } => &before.groups,
            Effect::Agent { before, .. } => &before.groups,
        }
    }

    /// The address of a person who would be new, and the account that would be linked.
    pub fn details(&self) -> (Option<&str>, Option<&Account>) {
        match &self.effect {
            Effect::Add(person) => (person.email.as_deref(), None),
            Effect::Person { account, .. } => (None, account.as_ref()),
            Effect::Agent { .. } => (None, None),
        }
    }

    /// How the record calls what was enrolled: what it is, for whom, and what happened.
    pub fn enrolled(&self) -> (&'static str, Option<PersonId>, &'static str) {
        let person = match &self.effect {
            Effect::Add(person) => person.id.clone(),
            Effect::Person { before, .. } => before.id.clone(),
            Effect::Agent { before, .. } => before.owner.clone(),
        };
        let (what, change) = match self.step {
            GateStep::PersonAdded => ("person", "added"),
            GateStep::PersonRestored => ("person", "restored"),
            GateStep::AccountLinked => ("account", "linked"),
            GateStep::AgentGroupsGiven => ("agent", "groups"),
            GateStep::GroupsGiven | GateStep::Policies | GateStep::TargetAdded | GateStep::TargetChanged => {
                ("person", "groups")
            }
        };
        (what, Some(person), change)
    }

    /// Makes it, with the records, all or nothing. For 30 days none of those it is `by` profits from the vote of the person
    /// who gained by it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when they are no longer as they were when this was planned.
    pub async fn make(
        self,
        directory: &dyn Directory,
        by: &BTreeSet<PersonId>,
        now: Timestamp,
        records: Vec<Record>,
    ) -> Result<(), StoreError> {
        let what = self.what();
        let elevated = |mut person: Box<Person>| {
            let (what, id) = (what.clone(), person.id.clone());
            person.elevations.retain(|earlier| now.seconds_since(earlier.at) <= LOOK_BACK_SECONDS);
            let by = by.iter().filter(|by| **by != id).cloned();
            person.elevations.extend(by.map(|by| Elevation { by, what: what.clone(), at: now }));
            *person
        };
        match self.effect {
            Effect::Add(person) => directory.add_person(elevated(person), None, records).await,
            Effect::Person { before, after, account: None } => {
                directory.update_person(*before, elevated(after), records).await
            }
            Effect::Person { before, after, account: Some(account) } => {
                directory.give_account((*before, elevated(after)), account, records).await
            }
            Effect::Agent { before, after } => directory.replace_agent(*before, *after, records).await,
        }
    }

    fn what(&self) -> String {
        match self.step {
            GateStep::AccountLinked => "account".to_owned(),
            GateStep::PersonRestored => "restored".to_owned(),
            _ => self.gained.iter().cloned().collect::<Vec<_>>().join(", "),
        }
    }
}
