//! Policies turned into other policies, through Cedar's own JSON form of them.
//!
//! A goal asks about policies that nobody wrote: with a condition before their own, with the opposite effect, with the
//! approvals replaced by all there are. What cannot be turned faithfully is an error, and its goal is not proved.
//! The JSON form: <https://docs.cedarpolicy.com/policies/json-format.html>.

use std::collections::BTreeSet;

use cedar_policy::{Effect, Policy, PolicyId};
use serde_json::{Value, json};

use super::super::decision::Quorum;

/// A policy that cannot be turned into what a goal needs.
#[derive(Debug, thiserror::Error)]
pub(super) enum RewriteError {
    /// Cedar refuses to write or to read the JSON form.
    #[error("policy `{0}` cannot be rewritten: {1}")]
    Json(String, String),
    /// The approvals may be reached through the context as a whole.
    #[error("policy `{0}` uses `context` as a whole: name what it reads, as in `context.approvals`")]
    WholeContext(String),
}

/// The condition of the one policy in a text of ours.
pub(super) fn condition(text: &str) -> Result<Value, RewriteError> {
    let fail = |error: String| RewriteError::Json("core:facts".to_owned(), error);
    let policy = Policy::parse(None, text).map_err(|error| fail(error.to_string()))?;
    let mut whole = policy.to_json().map_err(|error| fail(error.to_string()))?;
    Ok(whole["conditions"][0]["body"].take())
}

/// The policy where `given` holds; elsewhere it does not match and cannot fail.
pub(super) fn only_where(policy: &Policy, given: &Value, effect: Effect) -> Result<Policy, RewriteError> {
    let mut whole = to_json(policy)?;
    let mut conditions = vec![json!({"kind": "when", "body": given})];
    conditions.extend(whole["conditions"].as_array().into_iter().flatten().cloned());
    whole["conditions"] = Value::Array(conditions);
    whole["effect"] = json!(match effect {
        Effect::Permit => "permit",
        Effect::Forbid => "forbid",
    });
    from_json(policy, whole)
}

/// A forbid of everything this policy matches, except where `given` holds.
pub(super) fn unless(policy: &Policy, given: &Value) -> Result<Policy, RewriteError> {
    let mut whole = to_json(policy)?;
    whole["effect"] = json!("forbid");
    whole["conditions"] = json!([{"kind": "unless", "body": given}]);
    from_json(policy, whole)
}

/// The policy as it would be with these quorums reached.
pub(super) fn with_approvals(policy: &Policy, approvals: &BTreeSet<Quorum>) -> Result<Policy, RewriteError> {
    let tokens =
        approvals.iter().map(|quorum| json!({"Value": {"__entity": {"type": "Quorum", "id": quorum.to_string()}}}));
    let all = json!({"Set": tokens.collect::<Vec<_>>()});
    let mut whole = to_json(policy)?;
    for condition in whole["conditions"].as_array_mut().into_iter().flatten() {
        if !replace(&mut condition["body"], &all) {
            return Err(RewriteError::WholeContext(id(policy)));
        }
    }
    from_json(policy, whole)
}

/// Puts `all` in the place of every `context.approvals`. False if the context is used in any other way than by name.
fn replace(expression: &mut Value, all: &Value) -> bool {
    match expression {
        Value::Object(parts) => {
            if parts.get("Var").is_some_and(|name| name == "context") {
                return false;
            }
            if let Some(attribute) = of_context(parts.get(".")) {
                if attribute == "approvals" {
                    *expression = all.clone();
                }
                return true;
            }
            of_context(parts.get("has")).is_some() || parts.values_mut().all(|part| replace(part, all))
        }
        Value::Array(parts) => parts.iter_mut().all(|part| replace(part, all)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// The attribute, if it is one of the context itself.
fn of_context(access: Option<&Value>) -> Option<&str> {
    let access = access?;
    if access["left"]["Var"] == "context" { access["attr"].as_str() } else { None }
}

fn to_json(policy: &Policy) -> Result<Value, RewriteError> {
    policy.to_json().map_err(|error| RewriteError::Json(id(policy), error.to_string()))
}

fn from_json(like: &Policy, whole: Value) -> Result<Policy, RewriteError> {
    let same: PolicyId = like.id().clone();
    Policy::from_json(Some(same), whole).map_err(|error| RewriteError::Json(id(like), error.to_string()))
}

fn id(policy: &Policy) -> String {
    AsRef::<str>::as_ref(policy.id()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(condition: &str) -> Result<String, RewriteError> {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        let policy = Policy::parse(None, text).expect("it is a policy");
        let quorum = Quorum::try_from("dba:1".to_owned()).expect("well formed");
        with_approvals(&policy, &[quorum].into()).map(|policy| policy.to_string())
    }

    #[test]
    fn approvals_are_replaced_wherever_they_are_read() {
        for condition in [
            "context.approvals.contains(Quorum::\"dba:1\")",
            "[context[\"approvals\"]].isEmpty()",
            "if true then { Var: context.approvals }.Var.isEmpty() else false",
            "!(1 == 2 || context.approvals == [])",
        ] {
            let text = rewritten(condition).expect("nothing uses the whole context");
            assert!(!text.contains("context") && text.contains("dba:1"), "{condition}: {text}");
        }
    }

    #[test]
    fn other_facts_stay() {
        let text = rewritten("context.sql.approvals && context has approvals && principal.approvals").expect("by name");
        assert!(!text.contains("dba:1"), "{text}");
    }

    #[test]
    fn the_context_as_a_whole_is_not_rewritten() {
        for condition in ["context == principal", "[context].contains(context)", "{ a: context }.a.approvals.isEmpty()"]
        {
            assert!(matches!(rewritten(condition), Err(RewriteError::WholeContext(_))), "{condition}");
        }
    }

    #[test]
    fn a_condition_comes_first_and_the_effect_is_as_asked() {
        let policy = Policy::parse(None, "forbid (principal, action, resource) unless { principal.a };");
        let given = condition("permit (principal, action, resource) when { resource.b };").expect("one condition");
        let policy = only_where(&policy.expect("it is a policy"), &given, Effect::Permit).expect("it can be written");
        let whole = policy.to_json().expect("it can be told");
        let kinds: Vec<&Value> = whole["conditions"].as_array().into_iter().flatten().map(|c| &c["kind"]).collect();
        assert_eq!((&whole["effect"], kinds), (&json!("permit"), vec![&json!("when"), &json!("unless")]));
    }
}
