//! A request and its entities as plain data: to be varied, and to be told in words.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, EvalResult, Request, RestrictedExpression, Schema,
};

/// The most facts of one counterexample that are varied; those beyond are shown as they are.
const FACTS_VARIED_MAX: usize = 256;
/// Moments to try: a working day, and long before and after.
const MOMENTS: [&str; 3] =
    ["datetime(\"2026-01-05T12:00:00Z\")", "datetime(\"1970-01-01\")", "datetime(\"2999-12-31\")"];

/// Every entity of the types that have a list of them.
pub(super) type Listed = BTreeMap<EntityTypeName, Vec<EntityUid>>;

/// What a varied situation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    /// As good a counterexample.
    Same,
    /// None.
    Different,
    /// Nothing that the gateway would ask.
    Impossible,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Term {
    Bool(bool),
    Long(i64),
    Text(String),
    Entity(EntityUid),
    Set(Vec<Term>),
    Record(BTreeMap<String, Term>),
    /// Anything else, in Cedar's syntax.
    Other(String),
}

/// One entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Thing {
    pub(super) attributes: BTreeMap<String, Term>,
    pub(super) parents: BTreeSet<EntityUid>,
}

/// A request with everything it can see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Situation {
    pub(super) principal: EntityUid,
    pub(super) action: EntityUid,
    pub(super) resource: EntityUid,
    pub(super) context: BTreeMap<String, Term>,
    pub(super) things: BTreeMap<EntityUid, Thing>,
}

/// Where a fact is: of the context or of an entity, by the names that lead to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Context(Vec<String>),
    Attribute(EntityUid, Vec<String>),
    Parent(EntityUid, EntityUid),
}

impl Situation {
    pub(super) fn of(request: &Request, entities: &Entities, schema: &Schema) -> Result<Self, String> {
        let known = |uid: Option<&EntityUid>| uid.cloned().ok_or("the request is not complete".to_owned());
        let context = request.context().ok_or("the request has no context")?;
        let mut named = BTreeMap::new();
        for (name, _) in context.clone() {
            let value = context.get(&name).ok_or("a fact of the context has no value")?;
            named.insert(name, Term::of(&value));
        }
        let actions = schema.action_entities().map_err(|error| error.to_string())?;
        let mut things = BTreeMap::new();
        for entity in entities.iter().filter(|entity| actions.get(&entity.uid()).is_none()) {
            things.insert(entity.uid(), Thing::of(entity)?);
        }
        Ok(Self {
            principal: known(request.principal())?,
            action: known(request.action())?,
            resource: known(request.resource())?,
            context: named,
            things,
        })
    }

    /// The question, checked against the schema.
    pub(super) fn question(&self, schema: &Schema) -> Result<(Request, Entities), String> {
        let context = self.context.iter().map(|(name, term)| Ok((name.clone(), term.expression()?)));
        let context = Context::from_pairs(context.collect::<Result<Vec<_>, String>>()?).map_err(|e| e.to_string())?;
        let (principal, resource) = (self.principal.clone(), self.resource.clone());
        let request = Request::new(principal, self.action.clone(), resource, context, Some(schema));
        let mut entities = Vec::with_capacity(self.things.len());
        for (uid, thing) in &self.things {
            let attributes = thing.attributes.iter().map(|(name, term)| Ok((name.clone(), term.expression()?)));
            let attributes: HashMap<String, RestrictedExpression> = attributes.collect::<Result<_, String>>()?;
            let entity = Entity::new(uid.clone(), attributes, thing.parents.iter().cloned().collect());
            entities.push(entity.map_err(|error| error.to_string())?);
        }
        let actions = schema.action_entities().map_err(|error| error.to_string())?;
        let entities = actions.add_entities(entities, Some(schema)).map_err(|error| error.to_string())?;
        Ok((request.map_err(|error| error.to_string())?, entities))
    }

    /// The entities in the form of policy tests; actions are in the schema.
    pub(super) fn entities(&self, schema: &Schema) -> Result<serde_json::Value, String> {
        let (_, entities) = self.question(schema)?;
        let own = entities.iter().filter(|entity| self.things.contains_key(&entity.uid()));
        own.map(|entity| entity.to_json_value().map_err(|error| error.to_string())).collect()
    }

    /// Every single fact; records are told by what is in them.
    pub(super) fn facts(&self) -> Vec<(Place, Term)> {
        let mut facts = Vec::new();
        for (name, term) in &self.context {
            term.leaves(vec![name.clone()], &mut |path, term| facts.push((Place::Context(path), term.clone())));
        }
        for (uid, thing) in &self.things {
            for (name, term) in &thing.attributes {
                let mut keep = |path, term: &Term| facts.push((Place::Attribute(uid.clone(), path), term.clone()));
                term.leaves(vec![name.clone()], &mut keep);
            }
            for parent in &thing.parents {
                facts.push((Place::Parent(uid.clone(), parent.clone()), Term::Entity(parent.clone())));
            }
        }
        facts
    }

    /// The same with another value in one place; a parent is taken away.
    fn with(&self, place: &Place, term: Term) -> Self {
        let mut other = self.clone();
        match place {
            Place::Context(path) => put(&mut other.context, path, term),
            Place::Attribute(uid, path) => {
                if let Some(thing) = other.things.get_mut(uid) {
                    put(&mut thing.attributes, path, term);
                }
            }
            Place::Parent(uid, parent) => {
                if let Some(thing) = other.things.get_mut(uid) {
                    thing.parents.remove(parent);
                }
            }
        }
        other
    }

    /// The same with entities renamed to what they are: `User::"user"`, `User::"user-2"`. Names of `listed` types stay.
    pub(super) fn renamed(&self, listed: &Listed) -> Self {
        let mut names: BTreeMap<EntityUid, EntityUid> = BTreeMap::new();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let free = self.things.keys().filter(|uid| !listed.contains_key(uid.type_name()));
        let parties = [&self.principal, &self.resource].into_iter().filter(|uid| !listed.contains_key(uid.type_name()));
        for uid in parties.chain(free) {
            if names.contains_key(uid) {
                continue;
            }
            let kind = uid.type_name().basename().to_lowercase();
            let count = counts.entry(kind.clone()).or_insert(0);
            *count += 1;
            let name = if *count == 1 { kind } else { format!("{kind}-{count}") };
            names.insert(uid.clone(), EntityUid::from_type_name_and_id(uid.type_name().clone(), EntityId::new(name)));
        }
        let new = |uid: &EntityUid| names.get(uid).unwrap_or(uid).clone();
        let things = self.things.iter().map(|(uid, thing)| {
            let attributes = thing.attributes.iter().map(|(name, term)| (name.clone(), term.renamed(&new)));
            let parents = thing.parents.iter().map(&new).collect();
            (new(uid), Thing { attributes: attributes.collect(), parents })
        });
        Self {
            principal: new(&self.principal),
            action: self.action.clone(),
            resource: new(&self.resource),
            context: self.context.iter().map(|(name, term)| (name.clone(), term.renamed(&new))).collect(),
            things: things.collect(),
        }
    }

    /// Puts plain values wherever the situation stays what it is, and tells the facts without which it would not be.
    pub(super) fn simplified(mut self, listed: &Listed, judge: impl Fn(&Self) -> Judged) -> (Self, BTreeSet<Place>) {
        let renamed = self.renamed(listed);
        if judge(&renamed) == Judged::Same {
            self = renamed;
        }
        for (place, term) in self.facts().into_iter().take(FACTS_VARIED_MAX) {
            let Some(plain) = term.plain() else { continue };
            let plainer = self.with(&place, plain);
            if judge(&plainer) == Judged::Same {
                self = plainer;
            }
        }
        let matters =
            |(place, _): &(Place, Term)| self.others(place, listed).any(|other| judge(&other) == Judged::Different);
        let mut facts = self.facts();
        let beyond = facts.split_off(facts.len().min(FACTS_VARIED_MAX));
        let places = facts.into_iter().filter(matters).chain(beyond).map(|(place, _)| place).collect();
        (self, places)
    }

    /// Situations that differ in one fact.
    fn others<'a>(&'a self, place: &'a Place, listed: &'a Listed) -> Box<dyn Iterator<Item = Self> + 'a> {
        let term = match place {
            Place::Parent(..) => return Box::new(std::iter::once(self.with(place, Term::Bool(false)))),
            Place::Context(path) => term_at(&self.context, path),
            Place::Attribute(uid, path) => self.things.get(uid).and_then(|thing| term_at(&thing.attributes, path)),
        };
        let Some(term) = term else { return Box::new(std::iter::empty()) };
        match term {
            Term::Entity(uid) if !listed.contains_key(uid.type_name()) => {
                let twin = EntityUid::from_type_name_and_id(uid.type_name().clone(), EntityId::new("somebody else"));
                let mut other = self.with(place, Term::Entity(twin.clone()));
                if let Some(thing) = self.things.get(uid).cloned() {
                    other.things.insert(twin, thing);
                }
                Box::new(std::iter::once(other))
            }
            term => Box::new(self.values(term, listed).into_iter().map(|value| self.with(place, value))),
        }
    }

    /// Values that may stand in the place of one; those of another type make no question and do not count.
    fn values(&self, term: &Term, listed: &Listed) -> Vec<Term> {
        let entities = |uids: &[EntityUid]| uids.iter().cloned().map(Term::Entity).collect::<Vec<_>>();
        let all = match term {
            Term::Bool(value) => vec![Term::Bool(!value)],
            Term::Long(_) => [0, 1, 7, 1_000_000, i64::MAX].map(Term::Long).to_vec(),
            Term::Text(_) => ["", "something"].map(|text| Term::Text(text.to_owned())).to_vec(),
            Term::Entity(uid) => listed.get(uid.type_name()).map(|uids| entities(uids)).unwrap_or_default(),
            Term::Set(_) => {
                let text = Term::Set(vec![Term::Text("something".to_owned())]);
                let whole = listed.values().map(|uids| Term::Set(entities(uids)));
                let single = self.things.keys().map(|uid| Term::Set(vec![Term::Entity(uid.clone())]));
                [Term::Set(Vec::new()), text].into_iter().chain(whole).chain(single).collect()
            }
            Term::Other(_) => MOMENTS.map(|text| Term::Other(text.to_owned())).to_vec(),
            Term::Record(_) => Vec::new(),
        };
        all.into_iter().filter(|other| other != term).collect()
    }
}

fn term_at<'a>(among: &'a BTreeMap<String, Term>, path: &[String]) -> Option<&'a Term> {
    let (name, rest) = path.split_first()?;
    match (among.get(name)?, rest) {
        (term, []) => Some(term),
        (Term::Record(fields), rest) => term_at(fields, rest),
        _ => None,
    }
}

fn put(into: &mut BTreeMap<String, Term>, path: &[String], term: Term) {
    match path {
        [] => {}
        [name] => drop(into.insert(name.clone(), term)),
        [name, rest @ ..] => {
            if let Some(Term::Record(fields)) = into.get_mut(name) {
                put(fields, rest, term);
            }
        }
    }
}

impl Place {
    /// The entity it is of.
    pub(super) fn entity(&self) -> Option<&EntityUid> {
        match self {
            Place::Context(_) => None,
            Place::Attribute(uid, _) | Place::Parent(uid, _) => Some(uid),
        }
    }
}

impl Thing {
    fn of(entity: &Entity) -> Result<Self, String> {
        let (_, names, parents) = entity.clone().into_inner();
        let mut attributes = BTreeMap::new();
        for name in names.into_keys() {
            let value = entity.attr(&name).ok_or("an attribute has no value")?.map_err(|error| error.to_string())?;
            attributes.insert(name, Term::of(&value));
        }
        Ok(Self { attributes, parents: parents.into_iter().collect() })
    }
}

impl Term {
    fn of(value: &EvalResult) -> Self {
        match value {
            EvalResult::Bool(value) => Term::Bool(*value),
            EvalResult::Long(value) => Term::Long(*value),
            EvalResult::String(value) => Term::Text(value.clone()),
            EvalResult::EntityUid(uid) => Term::Entity(uid.clone()),
            EvalResult::Set(set) => Term::Set(set.iter().map(Term::of).collect()),
            EvalResult::Record(record) => {
                Term::Record(record.iter().map(|(name, value)| (name.clone(), Term::of(value))).collect())
            }
            EvalResult::ExtensionValue(text) => Term::Other(text.clone()),
        }
    }

    fn expression(&self) -> Result<RestrictedExpression, String> {
        Ok(match self {
            Term::Bool(value) => RestrictedExpression::new_bool(*value),
            Term::Long(value) => RestrictedExpression::new_long(*value),
            Term::Text(value) => RestrictedExpression::new_string(value.clone()),
            Term::Entity(uid) => RestrictedExpression::new_entity_uid(uid.clone()),
            Term::Set(terms) => {
                RestrictedExpression::new_set(terms.iter().map(Term::expression).collect::<Result<Vec<_>, _>>()?)
            }
            Term::Record(fields) => {
                let fields = fields.iter().map(|(name, term)| Ok((name.clone(), term.expression()?)));
                let fields: Vec<_> = fields.collect::<Result<_, String>>()?;
                RestrictedExpression::new_record(fields).map_err(|error| error.to_string())?
            }
            Term::Other(text) => {
                text.parse().map_err(|error: cedar_policy::RestrictedExpressionParseError| error.to_string())?
            }
        })
    }

    fn leaves(&self, path: Vec<String>, keep: &mut impl FnMut(Vec<String>, &Term)) {
        match self {
            Term::Record(fields) => {
                for (name, term) in fields {
                    let deeper = path.iter().chain([name]).cloned().collect();
                    term.leaves(deeper, keep);
                }
            }
            leaf => keep(path, leaf),
        }
    }

    /// The least remarkable value of its type, if there is one.
    fn plain(&self) -> Option<Term> {
        match self {
            Term::Bool(_) => Some(Term::Bool(false)),
            Term::Long(_) => Some(Term::Long(0)),
            Term::Text(_) => Some(Term::Text(String::new())),
            Term::Set(_) => Some(Term::Set(Vec::new())),
            Term::Other(_) => Some(Term::Other(MOMENTS[0].to_owned())),
            Term::Entity(_) | Term::Record(_) => None,
        }
    }

    fn renamed(&self, new: &impl Fn(&EntityUid) -> EntityUid) -> Term {
        match self {
            Term::Entity(uid) => Term::Entity(new(uid)),
            Term::Set(terms) => Term::Set(terms.iter().map(|term| term.renamed(new)).collect()),
            Term::Record(fields) => {
                Term::Record(fields.iter().map(|(name, term)| (name.clone(), term.renamed(new))).collect())
            }
            Term::Bool(_) | Term::Long(_) | Term::Text(_) | Term::Other(_) => self.clone(),
        }
    }

    /// Whether it names one of these entities.
    pub(super) fn is_one_of(&self, uids: &BTreeSet<&EntityUid>) -> bool {
        matches!(self, Term::Entity(uid) if uids.contains(uid))
    }

    /// In Cedar's syntax.
    pub(super) fn words(&self) -> String {
        match self {
            Term::Bool(value) => value.to_string(),
            Term::Long(value) => value.to_string(),
            Term::Text(text) => format!("{text:?}"),
            Term::Entity(uid) => uid.to_string(),
            Term::Set(terms) => format!("[{}]", terms.iter().map(Term::words).collect::<Vec<_>>().join(", ")),
            Term::Record(fields) => {
                let fields = fields.iter().map(|(name, term)| format!("{name}: {}", term.words()));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
            }
            Term::Other(text) => text.clone(),
        }
    }
}
