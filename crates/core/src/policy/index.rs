//! Policies by action and scope: for each question, only those whose scope can match it.
//!
//! A policy lies in one drawer, named by what its scope says of the principal and of the resource: nothing, a type, or an
//! entity. A question opens the drawers of its action under each name its principal and its resource answer to: no name,
//! their types, themselves, their ancestors. Sound, because a policy whose scope does not match contributes nothing to an
//! answer and cannot fail to evaluate; the answers of several drawers are put together in [`super::decide`]. Policies that
//! name neither a principal nor a resource are asked every time.
//!
//! Each action also knows whether any policy about it reads something that changes from one moment to the next; see
//! [`super::steady`].

use std::collections::HashMap;

use cedar_policy::{
    ActionConstraint, Entities, EntityTypeName, EntityUid, Policy, PolicySet, PolicySetError, PrincipalConstraint,
    Request, ResourceConstraint, Schema,
};

/// What a scope says of a principal or a resource. `is T in E` lies with `in E`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Scope {
    Any,
    Type(EntityTypeName),
    Entity(EntityUid),
}

/// A scope's number, the same in every drawer; 0 is [`Scope::Any`].
type Name = u32;
const ANY: Name = 0;

/// The policies about one action.
#[derive(Debug, Default)]
struct Cabinet {
    /// By what their scopes say of the principal, and of the resource.
    drawers: HashMap<(Name, Name), PolicySet>,
    /// Whether all of them are steady.
    steady: bool,
}

/// The policies that can have a say on each question.
#[derive(Debug)]
pub(super) struct Index {
    names: HashMap<Scope, Name>,
    by_action: HashMap<EntityUid, Cabinet>,
}

impl Index {
    /// Sorts policies by the actions of the schema, given with their hierarchy, and by their scopes. `steady` says of each
    /// whether its answer changes by itself.
    pub(super) fn new(
        policies: &PolicySet,
        schema: &Schema,
        hierarchy: &Entities,
        steady: impl Fn(&Policy) -> bool,
    ) -> Result<Self, Box<PolicySetError>> {
        let mut index = Self { names: HashMap::from([(Scope::Any, ANY)]), by_action: HashMap::new() };
        for action in schema.actions() {
            index.by_action.insert(action.clone(), Cabinet { steady: true, ..Cabinet::default() });
        }
        for policy in policies.policies() {
            let drawer = (index.name(principal(policy)), index.name(resource(policy)));
            let steady = steady(policy);
            for (action, cabinet) in &mut index.by_action {
                if concerns(policy, action, hierarchy) {
                    cabinet.drawers.entry(drawer).or_default().add(policy.clone())?;
                    cabinet.steady &= steady;
                }
            }
        }
        Ok(index)
    }

    fn name(&mut self, scope: Scope) -> Name {
        let next = Name::try_from(self.names.len()).unwrap_or(ANY); // bounded by twice the policies
        *self.names.entry(scope).or_insert(next)
    }

    /// The policies to ask, each in one set. For an action the schema does not know there are none: nothing permits it.
    pub(super) fn policies<'a>(
        &'a self,
        request: &Request,
        entities: &Entities,
    ) -> impl Iterator<Item = &'a PolicySet> + use<'a> {
        let cabinet = request.action().and_then(|action| self.by_action.get(action));
        let principals = self.names_of(request.principal(), entities);
        let resources = self.names_of(request.resource(), entities);
        let pairs = principals.into_iter().flat_map(move |principal| {
            let resources = resources.clone();
            resources.into_iter().map(move |resource| (principal, resource))
        });
        cabinet.into_iter().flat_map(move |cabinet| pairs.clone().filter_map(|drawer| cabinet.drawers.get(&drawer)))
    }

    /// The names an entity answers to, as far as any policy uses them.
    fn names_of(&self, entity: Option<&EntityUid>, entities: &Entities) -> Vec<Name> {
        let mut names = vec![ANY];
        let Some(entity) = entity else { return names };
        names.extend(self.names.get(&Scope::Type(entity.type_name().clone())));
        let ancestors = entities.ancestors(entity).into_iter().flatten().filter(|ancestor| *ancestor != entity);
        let all = std::iter::once(entity).chain(ancestors);
        names.extend(all.filter_map(|entity| self.names.get(&Scope::Entity(entity.clone()))));
        names
    }

    /// Whether the answers to questions about this action stay the same as long as the parties, the target, the approvals
    /// and the protocol's facts do.
    pub(super) fn steady(&self, action: &EntityUid) -> bool {
        self.by_action.get(action).is_some_and(|cabinet| cabinet.steady)
    }
}

fn concerns(policy: &Policy, action: &EntityUid, hierarchy: &Entities) -> bool {
    let within = |group: &EntityUid| group == action || hierarchy.is_ancestor_of(group, action);
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(one) => one == *action,
        ActionConstraint::In(several) => several.iter().any(within),
    }
}

fn principal(policy: &Policy) -> Scope {
    match policy.principal_constraint() {
        PrincipalConstraint::Any => Scope::Any,
        PrincipalConstraint::Is(kind) => Scope::Type(kind),
        PrincipalConstraint::Eq(one) | PrincipalConstraint::In(one) | PrincipalConstraint::IsIn(_, one) => {
            Scope::Entity(one)
        }
    }
}

fn resource(policy: &Policy) -> Scope {
    match policy.resource_constraint() {
        ResourceConstraint::Any => Scope::Any,
        ResourceConstraint::Is(kind) => Scope::Type(kind),
        ResourceConstraint::Eq(one) | ResourceConstraint::In(one) | ResourceConstraint::IsIn(_, one) => {
            Scope::Entity(one)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use cedar_policy::{Authorizer, Context, Entity};

    use super::super::protocol;
    use super::super::vocabulary::Vocabulary;
    use super::*;

    fn uid(text: &str) -> EntityUid {
        text.parse().expect("a uid")
    }

    fn schema() -> (Schema, Entities) {
        let text = Vocabulary::starter().schema_text(protocol::SCHEMAS);
        let (schema, _) = Schema::from_cedarschema_str(&text).expect("the schema is valid");
        let hierarchy = schema.action_entities().expect("the hierarchy is valid");
        (schema, hierarchy)
    }

    /// Every policy of every scope there is, alone and all together: what is asked of the index and what of all policies
    /// have the same reasons.
    #[test]
    fn leaving_policies_out_changes_no_answer() {
        let (schema, hierarchy) = schema();
        let parents = |groups: &[&str]| groups.iter().map(|group| uid(group)).collect::<HashSet<_>>();
        let entities = [
            Entity::new_no_attrs(uid("Group::\"dba\""), HashSet::new()),
            Entity::new_no_attrs(uid("User::\"u\""), parents(&["Group::\"dba\""])),
            Entity::new_no_attrs(uid("Agent::\"a\""), HashSet::new()),
            Entity::new_no_attrs(uid("Database::\"d\""), HashSet::new()),
        ];
        let entities = hierarchy.clone().add_entities(entities, None).expect("they are entities");
        let actions: Vec<EntityUid> = schema.actions().cloned().collect();
        let groups = ["read", "write", "admin"].map(|group| uid(&format!("Action::\"{group}\"")));
        let mut scopes: Vec<String> = vec![String::new()];
        scopes.extend(actions.iter().chain(&groups).flat_map(|a| [format!("== {a}"), format!("in [{a}]")]));
        let principals =
            ["", "== User::\"u\"", "in Group::\"dba\"", "is Agent", "is User in Group::\"dba\"", "in User::\"u\""];
        let resources =
            ["", "== Database::\"d\"", "in Database::\"d\"", "is Database", "is ApprovalRequest", "== Database::\"e\""];
        let mut text = String::new();
        for action in &scopes {
            for principal in principals {
                for resource in resources {
                    text.push_str(&format!("permit (principal {principal}, action {action}, resource {resource});\n"));
                }
            }
        }
        let policies: PolicySet = text.parse().expect("they are policies");
        let index = Index::new(&policies, &schema, &hierarchy, |_| true).expect("ids are unique");
        let authorizer = Authorizer::new();
        for (action, principal) in
            actions.iter().flat_map(|a| ["User::\"u\"", "Agent::\"a\"", "User::\"x\""].map(|p| (a, p)))
        {
            let request = Request::new(uid(principal), action.clone(), uid("Database::\"d\""), Context::empty(), None);
            let request = request.expect("no schema");
            let reasons = |policies: &PolicySet| {
                let response = authorizer.is_authorized(&request, policies, &entities);
                response.diagnostics().reason().map(ToString::to_string).collect::<BTreeSet<_>>()
            };
            let some: BTreeSet<String> = index.policies(&request, &entities).flat_map(reasons).collect();
            assert_eq!(reasons(&policies), some, "{principal} {action}");
        }
    }
}
