//! What one connection was permitted before, so that the same effect-free read is not asked about twice.
//!
//! A decision is a function of values: the bundle; the requester, whom they act for, and the target; what is known of these
//! people and of the agent; the approvals; the protocol's facts; and the moment. A [`Memo`] keeps the values and compares
//! them, all of them, every time. A bundle that was replaced, a person who was suspended or has changed groups, an agent
//! that was revoked: none of these is equal to what it was, and policy is asked again at once. Nothing is ever told to
//! forget, so nothing can be forgotten to be told.
//!
//! The moment cannot be equal, so a permit is kept only where no policy about its actions reads it ([`super::index`] tells,
//! conservatively, when the bundle is loaded); and only where nobody has approved anything, since an approval is a fact
//! of its own. What has an effect is never kept.
//!
//! The digest stays bound: [`Bundle::decide_again`] makes a [`Permitted`] for the request before it and no other, here, after
//! the comparison. What is kept is no proof and leaves this module in no form.

use std::collections::VecDeque;
use std::sync::Arc;

use cedar_policy::Entities;

use crate::action::{ActionRequest, AgentId, BundleDigest, Described, Facts, PersonId, PersonRef, Requester, Target};

use super::bundle::Bundle;
use super::decide::Broken;
use super::decision::{Decision, Permitted, PolicyNote};
use super::mask::Masks;
use super::world::{AgentFacts, Circumstances, People, PersonFacts};

/// The most permits a memo keeps: the statements that one connection repeats.
pub const PERMITS_MAX: usize = 64;
/// The longest message whose permit is kept, in statements.
const STATEMENTS_MAX: usize = 16;

/// What one connection was permitted before. Starts empty.
#[derive(Debug, Default)]
pub struct Memo {
    side: Option<Side>,
    /// The last used first.
    permits: VecDeque<Kept>,
    /// How often policy was spared.
    #[cfg(test)]
    pub(super) recalled: usize,
}

/// The most names in a message whose permit is kept.
const NAMES_MAX: usize = 256;

/// Who asks for what where, as it was when the entities were built.
#[derive(Debug)]
struct Side {
    bundle: BundleDigest,
    requester: Arc<Requester>,
    on_behalf_of: Arc<PersonRef>,
    target: Arc<Target>,
    known: Known,
    entities: Arc<Entities>,
}

/// What is known of the parties.
#[derive(Debug, PartialEq, Eq)]
struct Known {
    persons: [(PersonId, PersonFacts); 2],
    agent: Option<(AgentId, AgentFacts)>,
}

/// Facts that were permitted, by which policies, and what of the answer these mask.
#[derive(Debug)]
struct Kept {
    facts: Arc<Facts>,
    policies: Arc<[PolicyNote]>,
    masks: Masks,
}

/// Whether facts are small enough to be kept.
fn is_small(facts: &Facts) -> bool {
    let names: usize = match facts {
        Facts::Sql(facts) => {
            let names = facts.statements.iter().map(|statement| {
                let tables = statement.tables.read.len() + statement.tables.write.len();
                tables + statement.functions.len() + statement.code.len()
            });
            names.sum()
        }
        Facts::Http(facts) => facts.values.len() + facts.hidden.len(),
        Facts::Kubernetes(_) => 0,
        Facts::Aws(facts) => facts.resources.len(),
        Facts::Gate(_) => return false, // asked once in a while
    };
    names <= NAMES_MAX
}

/// Whether two are equal; what is shared is, without a look.
fn same<T: PartialEq>(one: &Arc<T>, other: &Arc<T>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

impl Known {
    /// The owner, the person it is for, and the agent; `None` where one of them is not known.
    fn of(described: &Described, people: &People) -> Option<Self> {
        let person = |id: &PersonId| Some((id.clone(), people.persons.get(id)?.clone()));
        let agent = match &*described.requester {
            Requester::Person { .. } => None,
            Requester::Agent { id, .. } => Some((id.clone(), people.agents.get(id)?.clone())),
        };
        Some(Self { persons: [person(&described.requester.owner().id)?, person(&described.on_behalf_of.id)?], agent })
    }

    /// Whether all of it still holds. The ids are those of the same parties: [`Side::holds`] compared them.
    fn holds(&self, people: &People) -> bool {
        let persons = self.persons.iter().all(|(id, facts)| people.persons.get(id) == Some(facts));
        persons && self.agent.iter().all(|(id, facts)| people.agents.get(id) == Some(facts))
    }
}

impl Side {
    fn holds(&self, bundle: &Bundle, described: &Described, people: &People) -> bool {
        self.bundle == bundle.digest()
            && same(&self.requester, &described.requester)
            && same(&self.on_behalf_of, &described.on_behalf_of)
            && same(&self.target, &described.target)
            && self.known.holds(people)
    }
}

impl Memo {
    /// The entities of a question, from before if nothing about them has changed. Forgets the permits if something has.
    fn entities(
        &mut self,
        bundle: &Bundle,
        described: &Described,
        circumstances: &Circumstances<'_>,
    ) -> Result<Arc<Entities>, Broken> {
        if let Some(side) = &self.side
            && side.holds(bundle, described, circumstances.people)
        {
            return Ok(side.entities.clone());
        }
        self.side = None;
        self.permits.clear();
        let entities = Arc::new(bundle.world.for_action(described, circumstances.people)?);
        self.side = Known::of(described, circumstances.people).map(|known| Side {
            bundle: bundle.digest(),
            requester: described.requester.clone(),
            on_behalf_of: described.on_behalf_of.clone(),
            target: described.target.clone(),
            known,
            entities: entities.clone(),
        });
        Ok(entities)
    }

    /// What is kept of these facts, to be looked at first next time.
    fn recall(&mut self, facts: &Arc<Facts>) -> Option<&Kept> {
        let at = self.permits.iter().position(|kept| same(&kept.facts, facts))?;
        if at > 0 {
            let kept = self.permits.remove(at)?;
            self.permits.push_front(kept);
        }
        self.permits.front()
    }

    fn keep(&mut self, kept: Kept) {
        self.permits.truncate(PERMITS_MAX - 1);
        self.permits.push_front(kept);
    }
}

impl Bundle {
    /// Decides as [`Bundle::decide`] does, and does not ask policy again about an effect-free read that it permitted while
    /// everything that the answer can depend on was the same. Whose memo it is does not matter for the answer.
    pub fn decide_again(
        &self,
        request: &ActionRequest,
        circumstances: &Circumstances<'_>,
        memo: &mut Memo,
    ) -> Decision {
        let described = request.described();
        let facts = &described.facts;
        let entities = match memo.entities(self, described, circumstances) {
            Ok(entities) => entities,
            Err(broken) => return self.broken(broken),
        };
        let plain = facts.effect_free() && circumstances.approvals.is_empty() && !circumstances.break_glass;
        if plain && let Some(kept) = memo.recall(facts) {
            let (policies, masks) = (kept.policies.clone(), kept.masks.clone());
            #[cfg(test)]
            {
                memo.recalled += 1;
            }
            return Decision::Permit(Permitted::new(request.digest(), self.digest(), policies, masks));
        }
        let decision = self.decide_among(described, request.digest(), circumstances, &entities);
        let decision = decision.unwrap_or_else(|broken| self.broken(broken));
        if let Decision::Permit(permitted) = &decision
            && plain
            && memo.side.is_some()
            && is_small(facts)
            && self.steady(facts, STATEMENTS_MAX)
        {
            let (policies, masks) = (permitted.shared_policies(), permitted.masks().clone());
            memo.keep(Kept { facts: facts.clone(), policies, masks });
        }
        decision
    }
}
