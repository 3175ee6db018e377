//! What a change would do to one object, as the API server itself computed it: the object before, and what a server-side
//! dry run answers, line by line.
//!
//! The pure part: which request to send, and what to make of both objects. Sending is the relay's. What the server keeps
//! for itself (managed fields, versions, times) is left out, Secrets show which values differ and none of them, and the
//! rest goes through the same redactor as the card, so that equal values read equal.
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run>

use countersign_core::action::redact::Redactor;
use countersign_core::action::request::{KubernetesFacts, RequestClass};
use countersign_core::card::difference;

use super::pretty::Pretty;
use super::secret::Hide;
use super::value::{Value, json};
use crate::relay::dialect::Rehearsal;
use crate::relay::head::Head;

/// The groups that the API server itself serves, which keep dry runs free of effects. Whoever serves another group may not
/// know the parameter, and do it.
const SERVED_BY_ITSELF: [&str; 20] = [
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// How a request can be rehearsed; `None` where it cannot: it is not about one object, or already persists nothing.
pub fn rehearsal(head: &Head, facts: &KubernetesFacts) -> Option<Rehearsal> {
    match facts.class {
        RequestClass::Write | RequestClass::Admin => {}
        RequestClass::Read | RequestClass::Exec | RequestClass::Reveal | RequestClass::Opaque => return None,
    }
    if !SERVED_BY_ITSELF.contains(&facts.group.as_str()) {
        return None;
    }
    // what is created below an object (an eviction, a binding) is no object that could be compared
    if facts.dry_run || head.query().is_some_and(|query| query.contains("dryRun")) {
        return None;
    }
    let before = Some(head.path().to_owned());
    let after = Some(match head.query() {
        Some(query) if !query.is_empty() => format!("{}?{query}&dryRun=All", head.path()),
        _ => format!("{}?dryRun=All", head.path()),
    });
    match facts.verb.as_str() {
        "create" if facts.subresource.is_empty() => Some(Rehearsal { before: None, after }),
        "update" | "patch" => Some(Rehearsal { before, after }),
        "delete" => Some(Rehearsal { before, after: None }),
        _ => None,
    }
}

/// What changes, line by line: `- ` goes, `+ ` comes, `  ` stays, `==` counts what is left out. Nothing where neither differs;
/// `None` where an object cannot be read. An absent object is one that is not there before, or not any more.
pub fn changes(
    redactor: &mut Redactor<'_>,
    facts: &KubernetesFacts,
    before: Option<&[u8]>,
    after: Option<&[u8]>,
) -> Option<Vec<String>> {
    let secret = facts.resource == "secrets";
    let (before, after) = (read(before)?, read(after)?);
    let old = before.as_ref().map(|tree| Hide::against(secret, after.as_ref(), "a value").tree(tree));
    let new = after.as_ref().map(|tree| Hide::against(secret, before.as_ref(), "another value").tree(tree));
    let mut text = |tree: Option<Value>| {
        let mut pretty = Pretty::new(redactor);
        if let Some(tree) = tree {
            pretty.tree(&tree);
        }
        pretty.finish()
    };
    let (old, new) = (text(old), text(new));
    Some(difference::hunks(&old, &new))
}

/// What the server keeps in an object's metadata for itself.
const OWN_METADATA: [&str; 6] =
    ["managedFields", "resourceVersion", "generation", "uid", "selfLink", "creationTimestamp"];

fn read(object: Option<&[u8]>) -> Option<Option<Value>> {
    match object {
        Some(bytes) => json(bytes).filter(|value| value.members().is_some()).map(|tree| Some(cleared(tree))),
        None => Some(None),
    }
}

/// An object without what is the server's own, its members in the order of their keys.
fn cleared(mut object: Value) -> Value {
    if let Value::Map(members) = &mut object
        && let Some((_, Value::Map(metadata))) = members.iter_mut().find(|(key, _)| key == "metadata")
    {
        metadata.retain(|(key, _)| !OWN_METADATA.contains(&key.as_str()));
    }
    sort(&mut object);
    object
}

fn sort(value: &mut Value) {
    match value {
        Value::Map(members) => {
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            members.iter_mut().for_each(|(_, value)| sort(value));
        }
        Value::List(elements) => elements.iter_mut().for_each(sort),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Bytes(_) | Value::Note(_) => {}
    }
}
