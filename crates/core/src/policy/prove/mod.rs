//! What is to be proved about a bundle: goals for a solver, and what its counterexamples mean.
//!
//! A [`Plan`] holds policy sets and the questions about them, one for each kind of request the schema knows (its *request
//! environments*). It is pure: the solver is a process, and so is the gateway's. A counterexample that a solver reports
//! counts only after Cedar's own evaluator, asked with it, has given the answer that must not be ([`Plan::confirm`]).
//!
//! Proofs are about all policies together as Cedar's evaluator reads them, over closed entity stores; that decisions ask
//! only the policies whose scope can match changes no answer (see [`super::index`]). A forbid that fails to evaluate is
//! skipped by Cedar and refuses here: one goal is that no policy fails. Cedar's symbolic compiler:
//! <https://docs.rs/cedar-policy-symcc>.

mod build;
mod counterexample;
mod facts;
mod invariant;
mod rewrite;
mod situation;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use cedar_policy::{Authorizer, Policy, PolicySet, Schema};
use serde::Serialize;

pub use cedar_policy::RequestEnv as Environment;

pub use build::PlanError;
pub use counterexample::{Counterexample, Fact, Unconfirmed};
pub use invariant::{INVARIANTS_MAX, Invariant};

use crate::action::BundleDigest;

/// One of a plan's policy sets, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetId(usize);

/// One of a plan's single policies, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyRef(usize);

/// What must have no answer: a request, in one environment, for which the claim does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Allowed by both sets.
    AllowedByBoth(SetId, SetId),
    /// Allowed by the first set and not by the second.
    AllowedByFirstOnly(SetId, SetId),
    /// The policy fails to evaluate.
    Fails(PolicyRef),
}

/// A question in an environment.
#[derive(Debug, Clone)]
pub struct Check {
    /// For which kind of request.
    pub environment: Environment,
    /// What must have no answer there.
    pub question: Question,
}

/// Where a goal comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Compiled in: asked of every bundle.
    Core,
    /// A file of invariants, by its name.
    File(String),
    /// The comparison with another bundle.
    Comparison,
}

/// One claim about a bundle.
#[derive(Debug, Clone)]
pub struct Goal {
    /// Its name.
    pub id: String,
    /// What is claimed, in words.
    pub text: String,
    /// Who claims it.
    pub origin: Origin,
    /// The claim holds if none of these has an answer.
    pub checks: Vec<Check>,
    /// The situations it speaks of; a claim about nothing is no claim. None where it speaks of every request.
    pub about: Option<SetId>,
    /// Why the claim cannot be put to a solver.
    pub obstacle: Option<String>,
}

/// Everything to be proved about a bundle.
#[derive(Debug)]
pub struct Plan {
    schema: Schema,
    bundle: BundleDigest,
    sets: Vec<PolicySet>,
    /// For each set, the kinds of requests that a permit of it can match.
    opened: Vec<BTreeSet<Environment>>,
    policies: Vec<Policy>,
    goals: Vec<Goal>,
    /// What the gateway guarantees, as the permit of what it may ask.
    given: PolicySet,
    listed: situation::Listed,
    authorizer: Authorizer,
}

impl Plan {
    /// The goals, in the order of their importance.
    pub fn goals(&self) -> &[Goal] {
        &self.goals
    }

    /// The plan with one goal alone; none if there is no such goal.
    pub fn only(mut self, id: &str) -> Option<Self> {
        self.goals.retain(|goal| goal.id == id);
        if self.goals.is_empty() { None } else { Some(self) }
    }

    /// What the questions are asked under.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The bundle it is about.
    pub fn bundle(&self) -> BundleDigest {
        self.bundle
    }

    /// A policy set of a question.
    pub fn set(&self, id: SetId) -> &PolicySet {
        &self.sets[id.0] // ids are made with the sets
    }

    /// The policy of a question.
    pub fn policy(&self, id: PolicyRef) -> &Policy {
        &self.policies[id.0] // ids are made with the policies
    }

    /// Whether a question has no answer because its first set, whose permits are as the validator saw them, has none for
    /// such a request: no solver need be asked.
    pub fn is_settled(&self, check: &Check) -> bool {
        match check.question {
            Question::AllowedByBoth(first, _) | Question::AllowedByFirstOnly(first, _) => {
                !self.opened[first.0].contains(&check.environment) // made with the sets
            }
            Question::Fails(_) => false,
        }
    }

    /// Every kind of request, in order.
    pub fn environments(&self) -> Vec<Environment> {
        environments(&self.schema)
    }
}

fn environments(schema: &Schema) -> Vec<Environment> {
    let mut all: Vec<Environment> = schema.request_envs().collect();
    all.sort();
    all
}
