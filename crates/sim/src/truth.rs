//! What is really so: who is who, which bundles there are, and what each asks for, in words of its own.
//!
//! The invariants hold what the core does against this module, so nothing here calls the core's decisions: the table of
//! [`Need`]s is written by hand from the policy texts, and people are counted here a second time.

use std::collections::{BTreeMap, BTreeSet};

use countersign_core::action::sql::SqlClass;
use countersign_core::action::{AgentId, BundleDigest, Described, Environment, PersonId, PersonRef, Requester};
use countersign_core::policy::{AgentFacts, Bundle, LoadError, People, PersonFacts, Source, Vocabulary};

/// The people: name and groups. Some are in two groups, one in none.
const PEOPLE: [(&str, &[&str]); 8] = [
    ("ada", &["dba"]),
    ("bo", &["dba", "sre"]),
    ("cy", &["dba", "security"]),
    ("dora", &["sre"]),
    ("eve", &["security", "sre"]),
    ("finn", &["dba"]),
    ("gil", &[]),
    ("hal", &["security"]),
];

/// The agents, with their owners' places: one of somebody outside every group, two of reviewers.
const AGENTS: [(&str, usize); 3] = [("coder", 6), ("janitor", 0), ("deployer", 1)];

/// People who ask themselves, by place: one reviewer, one other.
const ASKING_PEOPLE: [usize; 2] = [5, 6];

/// How many requesters there are: agents first, then people.
pub(crate) const REQUESTERS: usize = AGENTS.len() + ASKING_PEOPLE.len();
/// How many agents there are.
pub(crate) const AGENT_COUNT: usize = AGENTS.len();
/// How many people there are.
pub(crate) const PERSON_COUNT: usize = PEOPLE.len();

const STARTER: &str = include_str!("../../../policies/starter.cedar");
const SECOND_PAIR: &str = include_str!("../policies/second-pair.cedar");
const AND_OR: &str = include_str!("../policies/and-or.cedar");
const FREEZE: &str = include_str!("../policies/freeze.cedar");
const LOOSE: &str = include_str!("../policies/loose.cedar");

/// The policy bundles nodes switch between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum BundleName {
    Starter,
    SecondPair,
    AndOr,
    Freeze,
    Loose,
}

impl BundleName {
    pub(crate) const ALL: [BundleName; 5] =
        [BundleName::Starter, BundleName::SecondPair, BundleName::AndOr, BundleName::Freeze, BundleName::Loose];

    /// The one at a place of [`BundleName::ALL`].
    pub(crate) fn at(place: u8) -> Option<Self> {
        Self::ALL.get(usize::from(place)).copied()
    }

    fn texts(self) -> &'static [&'static str] {
        match self {
            BundleName::Starter => &[STARTER],
            BundleName::SecondPair => &[STARTER, SECOND_PAIR],
            BundleName::AndOr => &[AND_OR],
            BundleName::Freeze => &[STARTER, FREEZE],
            BundleName::Loose => &[LOOSE],
        }
    }

    /// Whether a vote counts only with a second factor.
    pub(crate) fn wants_mfa(self) -> bool {
        match self {
            BundleName::Starter | BundleName::SecondPair | BundleName::Freeze => true,
            BundleName::AndOr | BundleName::Loose => false,
        }
    }

    /// What it asks for.
    pub(crate) fn need(self, class: SqlClass, environment: Environment) -> Need {
        let production = environment == Environment::Production;
        let changes = class > SqlClass::Session;
        match self {
            _ if !changes => Need::Free,
            _ if class == SqlClass::Admin => Need::Never,
            BundleName::Freeze => Need::Never,
            BundleName::Loose => Need::Free,
            BundleName::Starter if production => starter(class),
            BundleName::SecondPair if production && class == SqlClass::Write => Need::AnyOf(SECOND_PAIR_WRITE),
            BundleName::SecondPair if production => starter(class),
            BundleName::Starter | BundleName::SecondPair => Need::Free,
            BundleName::AndOr => and_or(class, environment),
        }
    }
}

fn starter(class: SqlClass) -> Need {
    if class == SqlClass::Write { Need::AnyOf(&[&[("dba", 1)]]) } else { Need::AnyOf(&[&[("dba", 2)]]) }
}

const SECOND_PAIR_WRITE: &[&[(&str, usize)]] =
    &[&[("dba", 1), ("sre", 1)], &[("dba", 1), ("security", 1)], &[("dba", 1), ("any", 2)]];

fn and_or(class: SqlClass, environment: Environment) -> Need {
    match (class, environment) {
        (SqlClass::Write, Environment::Production) => Need::AnyOf(&[&[("dba", 2)], &[("security", 1), ("sre", 1)]]),
        (SqlClass::Write, Environment::Staging) => Need::AnyOf(&[&[("any", 1)]]),
        (SqlClass::Ddl, Environment::Production | Environment::Staging) => Need::AnyOf(&[&[("any", 3)]]),
        (SqlClass::Opaque, _) => Need::AnyOf(&[&[("dba", 1), ("sre", 1), ("any", 2)]]),
        (SqlClass::Admin, _) => Need::Never,
        (SqlClass::Read | SqlClass::Session | SqlClass::Write | SqlClass::Ddl, _) => Need::Free,
    }
}

/// What must be there before an action may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing.
    Free,
    /// It never runs.
    Never,
    /// One of these sets of quorums, each group and how many of its people; `any` counts people of any group.
    AnyOf(&'static [&'static [(&'static str, usize)]]),
}

impl Need {
    /// Whether these people are enough.
    pub(crate) fn met(self, approvers: &BTreeMap<PersonId, BTreeSet<String>>) -> bool {
        let count = |group: &str| approvers.values().filter(|groups| group == "any" || groups.contains(group)).count();
        match self {
            Need::Free => true,
            Need::Never => false,
            Need::AnyOf(sets) => sets.iter().any(|set| set.iter().all(|(group, people)| count(group) >= *people)),
        }
    }
}

/// Every bundle, loaded once and shared by all runs.
#[derive(Debug)]
pub(crate) struct Bundles(Vec<(BundleName, Bundle)>);

impl Bundles {
    pub(crate) fn load() -> Result<Self, LoadError> {
        let load = |name: BundleName| {
            let texts = name.texts().iter().enumerate();
            let sources = texts.map(|(at, text)| Source { name: format!("{at}.cedar"), text: (*text).to_owned() });
            Ok((name, Bundle::load(sources.collect(), Vocabulary::starter())?))
        };
        BundleName::ALL.into_iter().map(load).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn get(&self, name: BundleName) -> Option<&Bundle> {
        self.0.iter().find(|(other, _)| *other == name).map(|(_, bundle)| bundle)
    }

    pub(crate) fn named(&self, digest: BundleDigest) -> Option<BundleName> {
        self.0.iter().find(|(_, bundle)| bundle.digest() == digest).map(|(name, _)| *name)
    }
}

/// The directory of the moment.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) people: People,
    /// The owner of each agent, by place.
    pub(crate) owners: Vec<usize>,
}

impl Directory {
    pub(crate) fn new() -> Self {
        let persons = PEOPLE.iter().map(|(name, groups)| {
            let groups = groups.iter().map(|group| (*group).to_owned()).collect();
            (PersonId::new(*name), PersonFacts { name: (*name).to_owned(), groups, suspended: false })
        });
        let agents = AGENTS.iter().map(|(name, _)| (AgentId::new(*name), AgentFacts::default()));
        let people = People { persons: persons.collect(), agents: agents.collect() };
        Self { people, owners: AGENTS.iter().map(|(_, owner)| *owner).collect() }
    }

    /// A person, by place.
    pub(crate) fn person(place: usize) -> PersonRef {
        let name = PEOPLE.get(place).map_or("nobody", |(name, _)| name);
        PersonRef { id: PersonId::new(name), name: name.to_owned() }
    }

    /// A requester by place, as of now, and for whom it always acts.
    pub(crate) fn requester(&self, place: usize) -> Option<(Requester, PersonRef)> {
        if let Some((name, first_owner)) = AGENTS.get(place) {
            let owner = Self::person(self.owners.get(place).copied().unwrap_or(*first_owner));
            let requester = Requester::Agent { id: AgentId::new(*name), name: (*name).to_owned(), owner, job: None };
            return Some((requester, Self::person(*first_owner)));
        }
        let person = Self::person(*ASKING_PEOPLE.get(place.checked_sub(AGENTS.len())?)?);
        Some((Requester::Person { person: person.clone() }, person))
    }

    /// Who answers for the requester as of now, besides those frozen in the request.
    pub(crate) fn linked_now(&self, request: &Described) -> BTreeSet<PersonId> {
        let place = AGENTS.iter().position(|(name, _)| *name == request.requester.handle());
        match &*request.requester {
            Requester::Person { .. } => BTreeSet::new(),
            Requester::Agent { .. } => {
                let owner = place.and_then(|place| self.owners.get(place));
                owner.map(|owner| Self::person(*owner).id).into_iter().collect()
            }
        }
    }

    /// Everyone on the requester's side, frozen and of the moment: none of them may count.
    pub(crate) fn side(&self, request: &Described) -> BTreeSet<PersonId> {
        let mut side = self.linked_now(request);
        side.extend(request.closure.iter().cloned());
        side.insert(request.on_behalf_of.id.clone());
        side.insert(request.requester.owner().id.clone());
        side
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bundle_loads() {
        let bundles = Bundles::load().expect("the policies are valid");
        for name in BundleName::ALL {
            let bundle = bundles.get(name).expect("loaded");
            assert_eq!(bundles.named(bundle.digest()), Some(name));
        }
    }

    #[test]
    fn people_are_counted_once_a_group() {
        let eve = |groups: &[&str]| {
            let groups = groups.iter().map(|group| (*group).to_owned()).collect();
            BTreeMap::from([(PersonId::new("eve"), groups)])
        };
        assert!(Need::AnyOf(&[&[("security", 1), ("sre", 1)]]).met(&eve(&["security", "sre"])));
        assert!(!Need::AnyOf(&[&[("sre", 2)]]).met(&eve(&["security", "sre"])));
        assert!(!Need::AnyOf(&[&[("any", 2)]]).met(&eve(&["security", "sre"])));
        assert!(!Need::Never.met(&eve(&["sre"])));
    }
}
