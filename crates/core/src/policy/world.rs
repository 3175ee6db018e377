//! The facts policy is asked with: people, agents, targets and the moment, as Cedar entities and contexts.
//!
//! Every question gets a closed entity store: whatever an attribute or a parent refers to is in it, because in Cedar a
//! missing entity silently makes `in` and `has` false. The names, the action hierarchy and the groups are prepared once
//! with the bundle; a request adds its own few entities. No JSON on this path.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use cedar_policy::{Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression as Value, Schema};
use chrono::{DateTime, Datelike, Timelike};

use crate::action::impact::Impact;
use crate::action::{AgentId, Described, Environment, Job, PersonId, PersonRef, Requester, Timestamp};
use crate::review::Method;

use super::decision::Quorum;
use super::protocol;
use super::vocabulary::Vocabulary;

/// What policy knows of a person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PersonFacts {
    /// The name policies may use.
    pub name: String,
    /// Their groups, nested ones included; those outside the vocabulary are ignored.
    pub groups: BTreeSet<String>,
    /// Whether their account is suspended.
    pub suspended: bool,
}

/// What policy knows of an agent besides its request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentFacts {
    /// Its groups, nested ones included; those outside the vocabulary are ignored.
    pub groups: BTreeSet<String>,
}

/// The people and agents there are, as known at the moment of the decision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    /// Everyone a request or a vote may name.
    pub persons: BTreeMap<PersonId, PersonFacts>,
    /// Every agent that may ask.
    pub agents: BTreeMap<AgentId, AgentFacts>,
}

/// What a decision depends on besides the action.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// The moment.
    pub now: Timestamp,
    /// The organisation's time zone, minutes east of UTC: what `weekday` and `hour` are told in.
    pub utc_offset_minutes: i32,
    /// The quorums reached so far.
    pub approvals: &'a BTreeSet<Quorum>,
    /// Whether break-glass is in force for this action.
    pub break_glass: bool,
    /// Whether an incident is declared, as far as it counts here: never for those who declared it.
    pub incident: bool,
    /// Who there is.
    pub people: &'a People,
}

/// Facts that no question can be built from; always a refusal.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorldError {
    #[error("person `{0}` is not known")]
    UnknownPerson(String),
    #[error("agent `{0}` is not known")]
    UnknownAgent(String),
    #[error("the facts do not fit the schema: {0}")]
    Facts(String),
}

impl WorldError {
    pub(super) fn facts(error: impl std::fmt::Display) -> Self {
        Self::Facts(error.to_string())
    }
}

/// Names and entities that are the same for every question.
#[derive(Debug)]
pub(super) struct World {
    pub(super) schema: Schema,
    types: BTreeMap<&'static str, EntityTypeName>,
    actions: BTreeMap<String, EntityUid>,
    groups: BTreeMap<String, EntityUid>,
    quorums: BTreeMap<Quorum, Value>,
    /// Impact that was not measured reads as the worst there could be.
    unknown_impact: Value,
    /// The actions with their hierarchy, and the groups.
    fixed: Entities,
}

const TYPES: &[&str] = &["User", "Agent", "ApprovalRequest", "Group", "Quorum", "Env", "Method"];

impl World {
    pub(super) fn new(schema: Schema, vocabulary: &Vocabulary) -> Result<Self, WorldError> {
        let mut types = BTreeMap::new();
        for name in TYPES.iter().chain(protocol::RESOURCES) {
            types.insert(*name, name.parse::<EntityTypeName>().map_err(WorldError::facts)?);
        }
        let actions = schema.actions().map(|uid| (uid.id().unescaped().to_owned(), uid.clone())).collect();
        let fixed = schema.action_entities().map_err(WorldError::facts)?;
        let empty = Entities::empty();
        let (groups, quorums) = (BTreeMap::new(), BTreeMap::new());
        let unknown_impact = unknown_impact()?;
        let mut world = Self { schema, types, actions, groups, quorums, unknown_impact, fixed: empty };
        for group in vocabulary.groups() {
            world.groups.insert(group.clone(), world.uid("Group", group)?);
        }
        for quorum in vocabulary.quorums() {
            let value = Value::new_entity_uid(world.uid("Quorum", &quorum.to_string())?);
            world.quorums.insert(quorum, value);
        }
        let groups: Vec<Entity> = world.groups.values().cloned().map(Entity::with_uid).collect();
        world.fixed = fixed.add_entities(groups, Some(&world.schema)).map_err(WorldError::facts)?;
        Ok(world)
    }

    /// The schema to hold entities and contexts against: in debug builds, and so in every test. Their shape depends on
    /// this module's code alone and never on what is asked, so a release build need not pay for it with each question.
    pub(super) fn checked(&self) -> Option<&Schema> {
        cfg!(debug_assertions).then_some(&self.schema)
    }

    /// The actions with their groups.
    pub(super) fn hierarchy(&self) -> &Entities {
        &self.fixed
    }

    fn uid(&self, kind: &'static str, id: &str) -> Result<EntityUid, WorldError> {
        let name = self.types.get(kind).ok_or_else(|| WorldError::Facts(format!("no type `{kind}`")))?;
        Ok(EntityUid::from_type_name_and_id(name.clone(), EntityId::new(id)))
    }

    fn reference(&self, kind: &'static str, id: &str) -> Result<Value, WorldError> {
        Ok(Value::new_entity_uid(self.uid(kind, id)?))
    }

    pub(super) fn action(&self, id: &str) -> Result<EntityUid, WorldError> {
        self.actions.get(id).cloned().ok_or_else(|| WorldError::Facts(format!("no action `{id}`")))
    }

    pub(super) fn user_uid(&self, person: &PersonId) -> Result<EntityUid, WorldError> {
        self.uid("User", person.as_str())
    }

    pub(super) fn group_uid(&self, group: &str) -> Option<EntityUid> {
        self.groups.get(group).cloned()
    }

    pub(super) fn principal_uid(&self, requester: &Requester) -> Result<EntityUid, WorldError> {
        match requester {
            Requester::Person { person } => self.user_uid(&person.id),
            Requester::Agent { id, .. } => self.uid("Agent", id.as_str()),
        }
    }

    pub(super) fn resource_uid(&self, described: &Described) -> Result<EntityUid, WorldError> {
        self.uid(protocol::resource(&described.facts), &described.target.name)
    }

    pub(super) fn approval_uid(&self, described: &Described) -> Result<EntityUid, WorldError> {
        self.uid("ApprovalRequest", described.id.as_str())
    }

    /// The set of quorums as a context value; quorums outside the vocabulary count for nothing.
    pub(super) fn approvals(&self, quorums: &BTreeSet<Quorum>) -> Value {
        Value::new_set(quorums.iter().filter_map(|quorum| self.quorums.get(quorum).cloned()))
    }

    /// The store for a decision on an action: requester, owner, the person it is for, and the target.
    pub(super) fn for_action(&self, described: &Described, people: &People) -> Result<Entities, WorldError> {
        let mut new = self.requester_side(described, people, BTreeSet::new())?;
        new.push(self.resource(described)?);
        self.close(new)
    }

    /// The store for a vote: the requester's side, the voter and in whose place they vote, and the request they vote on.
    pub(super) fn for_approval(
        &self,
        described: &Described,
        people: &People,
        voters: BTreeSet<&PersonId>,
    ) -> Result<Entities, WorldError> {
        let mut new = self.requester_side(described, people, voters)?;
        let excluded = excluded(described);
        let named: BTreeSet<EntityUid> = new.iter().map(Entity::uid).collect();
        for person in &excluded {
            if !named.contains(&self.user_uid(person)?) {
                // Someone of the closure who is gone still may not approve; nothing else is known of them.
                let gone = PersonFacts { suspended: true, ..PersonFacts::default() };
                new.push(self.user(person, people.persons.get(person).unwrap_or(&gone))?);
            }
        }
        new.push(self.approval(described, &excluded)?);
        self.close(new)
    }

    fn close(&self, new: Vec<Entity>) -> Result<Entities, WorldError> {
        self.fixed.clone().add_entities(new, self.checked()).map_err(WorldError::facts)
    }

    fn requester_side(
        &self,
        described: &Described,
        people: &People,
        others: BTreeSet<&PersonId>,
    ) -> Result<Vec<Entity>, WorldError> {
        let mut persons = others;
        persons.insert(&described.on_behalf_of.id);
        persons.insert(&described.requester.owner().id);
        let mut new = Vec::with_capacity(persons.len() + 2);
        for person in persons {
            let facts = people.persons.get(person);
            let facts = facts.ok_or_else(|| WorldError::UnknownPerson(person.as_str().to_owned()))?;
            new.push(self.user(person, facts)?);
        }
        if let Requester::Agent { id, name, owner, job } = &*described.requester {
            let facts = people.agents.get(id).ok_or_else(|| WorldError::UnknownAgent(name.clone()))?;
            new.push(self.agent(id, name, owner, job.as_deref(), facts)?);
        }
        Ok(new)
    }

    fn user(&self, id: &PersonId, facts: &PersonFacts) -> Result<Entity, WorldError> {
        let attributes = [
            ("name".to_owned(), Value::new_string(facts.name.clone())),
            ("suspended".to_owned(), Value::new_bool(facts.suspended)),
        ];
        entity(self.user_uid(id)?, attributes, self.parents(&facts.groups))
    }

    fn agent(
        &self,
        id: &AgentId,
        name: &str,
        owner: &PersonRef,
        job: Option<&Job>,
        facts: &AgentFacts,
    ) -> Result<Entity, WorldError> {
        let mut attributes = vec![
            ("name".to_owned(), Value::new_string(name.to_owned())),
            ("owner".to_owned(), self.reference("User", owner.id.as_str())?),
        ];
        if let Some(job) = job {
            let facts = job.attributes().map(|(name, value)| (name.to_owned(), Value::new_string(value.to_owned())));
            attributes.push(("job".to_owned(), record(facts)?));
        }
        entity(self.uid("Agent", id.as_str())?, attributes, self.parents(&facts.groups))
    }

    fn resource(&self, described: &Described) -> Result<Entity, WorldError> {
        let target = &described.target;
        let attributes = [
            ("name".to_owned(), Value::new_string(target.name.clone())),
            ("env".to_owned(), self.env(target.environment)?),
            ("sensitivity".to_owned(), Value::new_long(target.sensitivity.level())),
        ];
        entity(self.resource_uid(described)?, attributes, HashSet::new())
    }

    fn approval(&self, described: &Described, excluded: &BTreeSet<PersonId>) -> Result<Entity, WorldError> {
        let excluded: Result<Vec<Value>, _> = excluded.iter().map(|id| self.reference("User", id.as_str())).collect();
        let mut attributes = vec![
            ("onBehalfOf".to_owned(), self.reference("User", described.on_behalf_of.id.as_str())?),
            ("excluded".to_owned(), Value::new_set(excluded?)),
            ("env".to_owned(), self.env(described.target.environment)?),
            ("admin".to_owned(), Value::new_bool(described.facts.is_admin())),
            ("sensitivity".to_owned(), Value::new_long(described.target.sensitivity.level())),
        ];
        match &*described.requester {
            Requester::Person { .. } => {}
            Requester::Agent { id, .. } => {
                attributes.push(("agent".to_owned(), self.reference("Agent", id.as_str())?));
            }
        }
        entity(self.approval_uid(described)?, attributes, HashSet::new())
    }

    fn impact(&self, impact: &Impact) -> Result<Value, WorldError> {
        match impact.rows.or(impact.objects) {
            Some(rows) if impact.known => record([
                ("known".to_owned(), Value::new_bool(true)),
                ("records".to_owned(), Value::new_long(i64::try_from(rows).unwrap_or(i64::MAX))),
                ("reversible".to_owned(), Value::new_bool(impact.rows_max.is_some())),
            ]),
            _ => Ok(self.unknown_impact.clone()),
        }
    }

    fn env(&self, environment: Environment) -> Result<Value, WorldError> {
        self.reference("Env", environment.name())
    }

    pub(super) fn method(&self, method: Method) -> Result<Value, WorldError> {
        self.reference("Method", method.name())
    }

    fn parents(&self, groups: &BTreeSet<String>) -> HashSet<EntityUid> {
        groups.iter().filter_map(|group| self.groups.get(group).cloned()).collect()
    }

    /// What every decision's context holds, except approvals, broken glass and the protocol's facts.
    pub(super) fn context(
        &self,
        described: &Described,
        circumstances: &Circumstances<'_>,
    ) -> Result<Vec<(String, Value)>, WorldError> {
        Ok(vec![
            ("onBehalfOf".to_owned(), self.reference("User", described.on_behalf_of.id.as_str())?),
            ("time".to_owned(), time(circumstances)?),
            ("impact".to_owned(), self.impact(&described.impact)?),
        ])
    }
}

/// Everyone on the requester's side, as far as the request names them.
fn excluded(described: &Described) -> BTreeSet<PersonId> {
    let mut excluded = BTreeSet::clone(&described.closure);
    excluded.insert(described.on_behalf_of.id.clone());
    excluded.insert(described.requester.owner().id.clone());
    excluded
}

fn entity(
    uid: EntityUid,
    attributes: impl IntoIterator<Item = (String, Value)>,
    parents: HashSet<EntityUid>,
) -> Result<Entity, WorldError> {
    Entity::new(uid, HashMap::from_iter(attributes), parents).map_err(WorldError::facts)
}

pub(super) fn record(fields: impl IntoIterator<Item = (String, Value)>) -> Result<Value, WorldError> {
    Value::new_record(fields).map_err(WorldError::facts)
}

/// The moment, with weekday and hour as the organisation's clocks show them.
pub(super) fn time(circumstances: &Circumstances<'_>) -> Result<Value, WorldError> {
    let out_of_range = || WorldError::Facts("the time is out of range".to_owned());
    let utc = DateTime::from_timestamp_micros(circumstances.now.micros()).ok_or_else(out_of_range)?;
    let offset = chrono::TimeDelta::minutes(i64::from(circumstances.utc_offset_minutes));
    let local = utc.checked_add_signed(offset).ok_or_else(out_of_range)?;
    record([
        ("now".to_owned(), Value::new_datetime(utc.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())),
        ("weekday".to_owned(), Value::new_long(i64::from(local.weekday().number_from_monday()))),
        ("hour".to_owned(), Value::new_long(i64::from(local.hour()))),
    ])
}

fn unknown_impact() -> Result<Value, WorldError> {
    record([
        ("known".to_owned(), Value::new_bool(false)),
        ("records".to_owned(), Value::new_long(i64::MAX)),
        ("reversible".to_owned(), Value::new_bool(false)),
    ])
}
