//! Policies by action: for each action, only those whose scope can match it.
//!
//! Sound, because a policy whose scope does not match contributes nothing to an answer and cannot fail to evaluate. An
//! index by principal and resource as well pays from some hundred policies on; it would live here.

use std::collections::HashMap;

use cedar_policy::{ActionConstraint, Entities, EntityUid, Policy, PolicySet, PolicySetError, Schema};

/// The policies that can have a say on each action.
#[derive(Debug)]
pub(super) struct Index {
    by_action: HashMap<EntityUid, PolicySet>,
    /// For an action the schema does not know: nothing permits it.
    none: PolicySet,
}

impl Index {
    /// Sorts policies by the actions of the schema, given with their hierarchy.
    pub(super) fn new(
        policies: &PolicySet,
        schema: &Schema,
        hierarchy: &Entities,
    ) -> Result<Self, Box<PolicySetError>> {
        let mut by_action = HashMap::new();
        for action in schema.actions() {
            let matching = policies.policies().filter(|policy| concerns(policy, action, hierarchy)).cloned();
            by_action.insert(action.clone(), PolicySet::from_policies(matching)?);
        }
        Ok(Self { by_action, none: PolicySet::new() })
    }

    /// The policies to ask about an action.
    pub(super) fn policies(&self, action: Option<&EntityUid>) -> &PolicySet {
        action.and_then(|action| self.by_action.get(action)).unwrap_or(&self.none)
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

#[cfg(test)]
mod tests {
    use cedar_policy::{Authorizer, Context, Request};

    use super::super::protocol;
    use super::super::vocabulary::Vocabulary;
    use super::*;

    #[test]
    fn leaving_policies_out_changes_no_answer() {
        let text = Vocabulary::starter().schema_text(protocol::SCHEMAS);
        let (schema, _) = Schema::from_cedarschema_str(&text).expect("the schema is valid");
        let hierarchy = schema.action_entities().expect("the hierarchy is valid");
        let authorizer = Authorizer::new();
        let names: Vec<String> = schema.actions().map(EntityUid::to_string).collect();
        for (a, b) in names.iter().flat_map(|a| names.iter().map(move |b| (a, b))) {
            for scope in ["".to_owned(), format!("== {a}"), format!("in {a}"), format!("in [{a}, {b}]")] {
                let text = format!("permit (principal, action {scope}, resource);");
                let policies: PolicySet = text.parse().expect("it is a policy");
                let index = Index::new(&policies, &schema, &hierarchy).expect("ids are unique");
                for action in schema.actions() {
                    let (user, db) = ("User::\"u\"".parse(), "Database::\"d\"".parse());
                    let (user, db) = (user.expect("a uid"), db.expect("a uid"));
                    let request = Request::new(user, action.clone(), db, Context::empty(), None).expect("no schema");
                    let all = authorizer.is_authorized(&request, &policies, &hierarchy).decision();
                    let some = authorizer.is_authorized(&request, index.policies(Some(action)), &hierarchy).decision();
                    assert_eq!(all, some, "{scope} {action}");
                }
            }
        }
    }
}
