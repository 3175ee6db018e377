//! From a bundle and invariants to goals.

use std::collections::BTreeSet;

use cedar_policy::{
    Authorizer, Effect, EntityId, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet, RequestEnv, Schema,
    SchemaFragment,
};
use serde_json::Value;

use super::super::bundle::Bundle;
use super::super::decision::Quorum;
use super::super::vocabulary::implied;
use super::rewrite::{self, RewriteError};
use super::situation::Listed;
use super::{Check, Goal, Invariant, Origin, Plan, PolicyRef, Question, SetId, environments, facts};

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// There is no such policy to leave out.
    #[error("there is no policy `{0}`")]
    UnknownPolicy(String),
    /// The bundles to compare name different groups.
    #[error("the two bundles have different schemas")]
    Schemas,
    /// A policy cannot be turned into what a goal needs.
    #[error("{0}")]
    Rewrite(String),
}

impl PlanError {
    fn rewrite(error: impl std::fmt::Display) -> Self {
        Self::Rewrite(error.to_string())
    }
}

impl From<RewriteError> for PlanError {
    fn from(error: RewriteError) -> Self {
        Self::Rewrite(error.to_string())
    }
}

impl Plan {
    /// What must hold of a bundle: the goals compiled in, and one for each invariant. `without` names policies that are
    /// taken as absent, to see what they are there for.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn new(bundle: &Bundle, invariants: &[Invariant], without: &[String]) -> Result<Self, PlanError> {
        let known: BTreeSet<&str> = bundle.policy_ids().collect();
        if let Some(unknown) = without.iter().find(|id| !known.contains(id.as_str())) {
            return Err(PlanError::UnknownPolicy(unknown.clone()));
        }
        let kept = |policy: &&Policy| !without.iter().any(|id| id.as_str() == AsRef::<str>::as_ref(policy.id()));
        let policies: Vec<Policy> = bundle.policies().policies().filter(kept).cloned().collect();
        let mentioned = invariants.iter().flat_map(|invariant| invariant.quorums.iter().cloned());
        let mut builder = Builder::new(bundle, mentioned)?;
        let all = builder.known(policies.iter().cloned())?;
        for invariant in invariants {
            builder.never(all, invariant)?;
        }
        let asked = policies.iter().chain(invariants.iter().map(|invariant| &invariant.policy));
        builder.never_fails(asked, &opened(&policies, &builder.plan.schema))?;
        builder.monotone(all, &policies, bundle.every_quorum())?;
        builder.default_deny(&policies)?;
        Ok(builder.plan)
    }

    /// What one bundle permits that another did not: a goal for each kind of request.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn against(new: &Bundle, old: &Bundle) -> Result<Self, PlanError> {
        if new.schema_text() != old.schema_text() {
            return Err(PlanError::Schemas);
        }
        let mut builder = Builder::new(new, old.every_quorum().iter().cloned())?;
        let after = builder.known(new.policies().policies().cloned())?;
        let before = builder.known(old.policies().policies().cloned())?;
        for environment in environments(&builder.plan.schema) {
            let (id, text) = (name(&environment), "permits nothing that the other policies refuse".to_owned());
            let checks = vec![Check { environment, question: Question::AllowedByFirstOnly(after, before) }];
            builder.plan.goals.push(Goal { id, text, origin: Origin::Comparison, checks, about: None, obstacle: None });
        }
        Ok(builder.plan)
    }
}

/// What says that nothing is newly permitted, as far as requests go.
impl Plan {
    /// As [`Plan::against`], for a bundle that is to take the other's place unseen: besides, no policy of the old one fails
    /// to evaluate. Where one does the gateway refuses, and Cedar, whose words the comparison is made in, skips it.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn tightening(new: &Bundle, old: &Bundle) -> Result<Self, PlanError> {
        let plan = Self::against(new, old)?;
        let mut builder = Builder::new(new, old.every_quorum().iter().cloned())?;
        builder.plan = plan;
        let opened = opened(old.policies().policies(), &builder.plan.schema);
        builder.never_fails(old.policies().policies(), &opened)?;
        Ok(builder.plan)
    }
}

/// `Agent sql:write Database`.
pub(super) fn name(environment: &RequestEnv) -> String {
    format!("{} {} {}", environment.principal(), environment.action().id().unescaped(), environment.resource())
}

fn everything(id: &str) -> Result<Policy, PlanError> {
    Policy::parse(Some(PolicyId::new(id)), "permit (principal, action, resource);").map_err(PlanError::rewrite)
}

/// The types whose entities the schema lists, with these.
fn listed(bundle: &Bundle) -> Result<Listed, PlanError> {
    let (fragment, _) = SchemaFragment::from_cedarschema_str(bundle.schema_text()).map_err(PlanError::rewrite)?;
    let schema = fragment.to_json_value().map_err(PlanError::rewrite)?;
    let mut listed = Listed::new();
    for (name, kind) in schema[""]["entityTypes"].as_object().into_iter().flatten() {
        let Some(ids) = kind["enum"].as_array() else { continue };
        let name: EntityTypeName = name.parse().map_err(PlanError::rewrite)?;
        let uid = |id: &str| EntityUid::from_type_name_and_id(name.clone(), EntityId::new(id));
        let uids = ids.iter().filter_map(Value::as_str).map(uid).collect();
        listed.insert(name, uids);
    }
    Ok(listed)
}

/// The kinds of requests that a permit can match, by Cedar's typechecker. Every other is refused, whatever its facts are.
fn opened<'a>(policies: impl IntoIterator<Item = &'a Policy>, schema: &Schema) -> BTreeSet<RequestEnv> {
    let permits = policies.into_iter().filter(|policy| policy.effect() == Effect::Permit);
    permits.flat_map(|permit| permit.get_valid_request_envs(schema)).collect()
}

struct Builder {
    plan: Plan,
    environments: Vec<RequestEnv>,
    /// What the gateway guarantees.
    given: Value,
}

impl Builder {
    fn new(bundle: &Bundle, mentioned: impl Iterator<Item = Quorum>) -> Result<Self, PlanError> {
        let quorums: BTreeSet<Quorum> = bundle.every_quorum().iter().cloned().chain(mentioned).collect();
        let given = rewrite::condition(&facts::text(&quorums))?;
        let schema: Schema = bundle.world.schema.clone();
        let environments = environments(&schema);
        let everything = everything("core:facts")?;
        let plan = Plan {
            listed: listed(bundle)?,
            given: PolicySet::from_policies([rewrite::only_where(&everything, &given, Effect::Permit)?])
                .map_err(PlanError::rewrite)?,
            schema,
            bundle: bundle.digest(),
            sets: Vec::new(),
            opened: Vec::new(),
            policies: Vec::new(),
            goals: Vec::new(),
            authorizer: Authorizer::new(),
        };
        Ok(Self { plan, environments, given })
    }

    fn set(&mut self, policies: impl IntoIterator<Item = Policy>) -> Result<SetId, PlanError> {
        let set = PolicySet::from_policies(policies).map_err(PlanError::rewrite)?;
        self.plan.opened.push(opened(set.policies(), &self.plan.schema));
        self.plan.sets.push(set);
        Ok(SetId(self.plan.sets.len() - 1))
    }

    /// The policies, for questions as the gateway asks them: what it would never ask is not allowed.
    fn known(&mut self, policies: impl Iterator<Item = Policy>) -> Result<SetId, PlanError> {
        let impossible = rewrite::unless(&everything("core:facts")?, &self.given)?;
        self.set(policies.chain([impossible]))
    }

    fn everywhere(&self, question: Question) -> Vec<Check> {
        let check = |environment: &RequestEnv| Check { environment: environment.clone(), question };
        self.environments.iter().map(check).collect()
    }

    fn goal(&mut self, id: &str, text: &str, checks: Vec<Check>) -> &mut Goal {
        let (id, text) = (id.to_owned(), text.to_owned());
        self.plan.goals.push(Goal { id, text, origin: Origin::Core, checks, about: None, obstacle: None });
        let last = self.plan.goals.len() - 1;
        &mut self.plan.goals[last]
    }

    fn never(&mut self, all: SetId, invariant: &Invariant) -> Result<(), PlanError> {
        let situation = rewrite::only_where(&invariant.policy, &self.given, Effect::Permit)?;
        let environments: Vec<RequestEnv> = invariant.policy.get_valid_request_envs(&self.plan.schema).collect();
        let situation = self.set([situation])?;
        let mut checks = self.everywhere(Question::AllowedByBoth(all, situation));
        checks.retain(|check| environments.contains(&check.environment));
        let goal = self.goal(&invariant.id, &invariant.text, checks);
        goal.about = Some(situation);
        if let Some(file) = &invariant.file {
            goal.origin = Origin::File(file.clone());
        }
        Ok(())
    }

    /// Each policy where it can match: elsewhere it is not evaluated. Invariants too: one that fails would match nothing.
    /// Where nothing is `opened` the request is refused whether a policy fails or not.
    fn never_fails<'a>(
        &mut self,
        policies: impl Iterator<Item = &'a Policy>,
        opened: &BTreeSet<RequestEnv>,
    ) -> Result<(), PlanError> {
        let mut checks = Vec::new();
        for policy in policies {
            self.plan.policies.push(rewrite::only_where(policy, &self.given, policy.effect())?);
            let question = Question::Fails(PolicyRef(self.plan.policies.len() - 1));
            let matched: BTreeSet<RequestEnv> = policy.get_valid_request_envs(&self.plan.schema).collect();
            let environments = matched.into_iter().filter(|environment| opened.contains(environment));
            checks.extend(environments.map(|environment| Check { environment, question }));
        }
        self.goal("core:no-errors", "no policy and no invariant fails to evaluate where anything is permitted", checks);
        Ok(())
    }

    /// Review is derived by asking with every quorum: complete only if what some approvals allow, all allow.
    fn monotone(&mut self, all: SetId, policies: &[Policy], every: &BTreeSet<Quorum>) -> Result<(), PlanError> {
        let text = "what is allowed with some approvals is allowed with all of them";
        let every = implied(every);
        let lifted: Result<Vec<Policy>, RewriteError> =
            policies.iter().map(|policy| rewrite::with_approvals(policy, &every)).collect();
        let lifted = match lifted {
            Ok(lifted) => self.set(lifted)?,
            Err(error) => {
                self.goal("core:monotone", text, Vec::new()).obstacle = Some(error.to_string());
                return Ok(());
            }
        };
        let checks = self.everywhere(Question::AllowedByFirstOnly(all, lifted));
        self.goal("core:monotone", text, checks);
        Ok(())
    }

    /// What is compiled in permits nothing, and neither does any number of forbids.
    fn default_deny(&mut self, policies: &[Policy]) -> Result<(), PlanError> {
        let own = |policy: &&Policy| {
            policy.effect() == Effect::Forbid || AsRef::<str>::as_ref(policy.id()).starts_with("core:")
        };
        let without_permits = self.set(policies.iter().filter(own).cloned())?;
        let everything = self.set([everything("everything")?])?;
        let checks = self.everywhere(Question::AllowedByBoth(without_permits, everything));
        self.goal("core:default-deny", "what no permit in the policy files names is refused", checks);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use cedar_policy::{Context, Entities, Request};

    use super::super::super::tests::bundle;
    use super::*;

    /// A permit compiled in would be an answer to the question of default deny; one in the files is none.
    #[test]
    fn only_a_permit_of_ours_would_break_default_deny() {
        let bundle = bundle("@id(\"p\") permit (principal, action, resource is Database);");
        let mut builder = Builder::new(&bundle, std::iter::empty()).expect("a plan");
        let files: Vec<Policy> = bundle.policies().policies().cloned().collect();
        builder.default_deny(&files).expect("a goal");
        let planted: Vec<Policy> = files.into_iter().chain([everything("core:planted").expect("a policy")]).collect();
        builder.default_deny(&planted).expect("a goal");
        let uid = |text: &str| text.parse().expect("a uid");
        let (agent, read, database) = (uid("Agent::\"a\""), uid("Action::\"sql:read\""), uid("Database::\"d\""));
        let request = Request::new(agent, read, database, Context::empty(), None).expect("no schema");
        let answers = |goal: usize| {
            let check = &builder.plan.goals[goal].checks[0];
            builder.plan.answers(check.question, &request, &Entities::empty())
        };
        assert!(!answers(0) && answers(1));
    }
}
