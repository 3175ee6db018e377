//! Requests over HTTP in policy's words, one dialect after the other: which action a request is, and its facts.
//!
//! The typed values of a request to an HTTP API are tags of four entities, one a type, that live as long as the question:
//! Cedar's records have fixed names, and its tags have not.

use std::collections::{BTreeSet, HashMap, HashSet};

use cedar_policy::{Entity, EntityId, EntityUid, RestrictedExpression as Value};

use crate::action::request::{AwsFacts, HttpFacts, KubernetesFacts, RequestClass, Typed};

use super::protocol::Ask;
use super::world::WorldError;

pub(super) const HTTP_SCHEMA: &str = include_str!("schema/http.cedarschema");
pub(super) const KUBERNETES_SCHEMA: &str = include_str!("schema/kubernetes.cedarschema");
pub(super) const AWS_SCHEMA: &str = include_str!("schema/aws.cedarschema");

pub(super) const SERVICE: &str = "Service";
pub(super) const CLUSTER: &str = "Cluster";
pub(super) const ACCOUNT: &str = "Account";

/// The entities' id: there is one question at a time.
const THIS: &str = "this request";
const TEXTS: &str = "HttpTexts";
const NUMBERS: &str = "HttpNumbers";
const FLAGS: &str = "HttpFlags";
const LISTS: &str = "HttpLists";

/// The one question that a request to an HTTP API is.
pub(super) fn http(facts: &HttpFacts) -> Ask {
    let HttpFacts { class, operation, method, path, values: _, hidden, complete } = facts;
    let action = match class {
        RequestClass::Read => "http:read",
        RequestClass::Write => "http:write",
        RequestClass::Exec => "http:exec",
        RequestClass::Reveal => "http:reveal",
        RequestClass::Admin => "http:admin",
        RequestClass::Opaque => "http:opaque",
    };
    let typed = |kind: &str| uid(kind).map(Value::new_entity_uid);
    let mut group = vec![
        ("operation".to_owned(), text(operation.as_deref().unwrap_or_default())),
        ("known".to_owned(), Value::new_bool(operation.is_some())),
        ("method".to_owned(), text(method)),
        ("path".to_owned(), text(path)),
        ("hidden".to_owned(), texts(hidden)),
        ("complete".to_owned(), Value::new_bool(*complete)),
    ];
    for (name, kind) in [("texts", TEXTS), ("numbers", NUMBERS), ("flags", FLAGS), ("lists", LISTS)] {
        // without it the question does not fit the schema, and is refused
        group.extend(typed(kind).map(|value| (name.to_owned(), value)));
    }
    Ask { action, label: facts.verb().to_owned(), group: "http", sees_incidents: true, facts: group }
}

/// The entities that a request's typed values are tags of.
pub(super) fn entities(facts: &HttpFacts) -> Result<Vec<Entity>, WorldError> {
    let mut tags: [HashMap<String, Value>; 4] = Default::default();
    let [of_texts, of_numbers, of_flags, of_lists] = &mut tags;
    for (name, value) in &facts.values {
        let (tags, value) = match value {
            Typed::Text(value) => (&mut *of_texts, text(value)),
            Typed::Number(value) => (&mut *of_numbers, Value::new_long(*value)),
            Typed::Flag(value) => (&mut *of_flags, Value::new_bool(*value)),
            Typed::List(values) => (&mut *of_lists, texts(values)),
        };
        tags.insert(name.clone(), value);
    }
    let entity = |(kind, tags): (&str, HashMap<String, Value>)| {
        let uid = uid(kind).ok_or_else(|| WorldError::facts(kind))?;
        Entity::new_with_tags(uid, [], HashSet::new(), tags).map_err(WorldError::facts)
    };
    [TEXTS, NUMBERS, FLAGS, LISTS].into_iter().zip(tags).map(entity).collect()
}

/// The one question that a request to an API server is.
pub(super) fn kubernetes(facts: &KubernetesFacts) -> Ask {
    let KubernetesFacts { class, verb, group, version, resource, subresource, namespace, name, path, dry_run } = facts;
    let action = match class {
        RequestClass::Read => "k8s:read",
        RequestClass::Write => "k8s:write",
        RequestClass::Exec => "k8s:exec",
        RequestClass::Reveal => "k8s:reveal",
        RequestClass::Admin => "k8s:admin",
        RequestClass::Opaque => "k8s:opaque",
    };
    let words = [
        ("verb", verb),
        ("group", group),
        ("version", version),
        ("resource", resource),
        ("subresource", subresource),
        ("ns", namespace),
        ("name", name),
        ("path", path),
    ];
    let mut facts: Vec<(String, Value)> = words.map(|(name, value)| (name.to_owned(), text(value))).into();
    facts.push(("dryRun".to_owned(), Value::new_bool(*dry_run)));
    facts.push(("known".to_owned(), Value::new_bool(*class != RequestClass::Opaque)));
    Ask { action, label: verb.clone(), group: "k8s", sees_incidents: true, facts }
}

/// The one question that a request to AWS is.
pub(super) fn aws(facts: &AwsFacts) -> Ask {
    let AwsFacts { class, service, action: named, region, resources, dry_run } = facts;
    let action = match class {
        RequestClass::Read => "aws:read",
        RequestClass::Write => "aws:write",
        RequestClass::Exec => "aws:exec",
        RequestClass::Reveal => "aws:reveal",
        RequestClass::Admin => "aws:admin",
        RequestClass::Opaque => "aws:opaque",
    };
    let group = vec![
        ("service".to_owned(), text(service)),
        ("action".to_owned(), text(named)),
        ("region".to_owned(), text(region)),
        ("resources".to_owned(), texts(resources)),
        ("dryRun".to_owned(), Value::new_bool(*dry_run)),
        ("known".to_owned(), Value::new_bool(*class != RequestClass::Opaque)),
    ];
    Ask { action, label: named.clone(), group: "aws", sees_incidents: true, facts: group }
}

fn uid(kind: &str) -> Option<EntityUid> {
    Some(EntityUid::from_type_name_and_id(kind.parse().ok()?, EntityId::new(THIS)))
}

fn text(value: &str) -> Value {
    Value::new_string(value.to_owned())
}

fn texts(values: &BTreeSet<String>) -> Value {
    Value::new_set(values.iter().map(|value| text(value)))
}
