//! Which operation a request calls, and with which parameters, by the protocol it speaks.

use std::collections::{BTreeMap, BTreeSet};

use crate::relay::dialect::Content;
use crate::relay::head::Head;
use crate::relay::json::Json;
use crate::relay::page::media;

use super::scope::Service;

/// The most values of one call's parameters.
pub(super) const VALUES_MAX: usize = 4_096;

/// An operation and its parameters by name, those of lists together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) operation: String,
    pub(super) parameters: BTreeMap<String, BTreeSet<String>>,
    /// Whether `DryRun` is true.
    pub(super) dry_run: bool,
}

/// A protocol, and what it names the operation by.
enum Spoken<'a> {
    Query { in_form: bool },
    Json { target: &'a str },
    Cbor { operation: &'a str },
}

/// The call of a service that speaks no REST; nothing where none, or more than one, can be made out.
pub(super) fn of(service: &Service, head: &Head, content: Content<'_>) -> Option<Call> {
    match spoken(head)? {
        Spoken::Query { in_form } if service.speaks("query") => query(head, content, in_form),
        Spoken::Json { target } if service.speaks("json") => {
            let (prefix, operation) = target.rsplit_once('.')?;
            (service.has_target(prefix) && head.path() == "/").then_some(())?;
            json(operation, content, Json::parse)
        }
        Spoken::Cbor { operation } if service.speaks("cbor") => json(operation, content, Json::from_cbor),
        Spoken::Query { .. } | Spoken::Json { .. } | Spoken::Cbor { .. } => None,
    }
}

/// The one protocol that a request speaks.
fn spoken(head: &Head) -> Option<Spoken<'_>> {
    let target = head.headers.contains_key("x-amz-target");
    let smithy = head.headers.contains_key("smithy-protocol");
    let in_query = head.query_pairs().iter().any(|(name, _)| name.eq_ignore_ascii_case("action"));
    let form = media(head).is_some_and(|kind| kind == "application/x-www-form-urlencoded");
    match (target, smithy, in_query, form) {
        (true, false, false, false) if head.method == http::Method::POST => {
            Some(Spoken::Json { target: head.header("x-amz-target")? })
        }
        (false, true, false, false) => {
            (head.header("smithy-protocol")? == "rpc-v2-cbor" && head.method == http::Method::POST).then_some(())?;
            let [first, _, second, operation] = head.segments() else { return None };
            (first == "service" && second == "operation").then_some(Spoken::Cbor { operation })
        }
        (false, false, false, true) if head.method == http::Method::POST => Some(Spoken::Query { in_form: true }),
        (false, false, true, _) => Some(Spoken::Query { in_form: false }),
        _ => None,
    }
}

fn query(head: &Head, content: Content<'_>, in_form: bool) -> Option<Call> {
    let body = content.bytes()?;
    let outer = head.query_pairs();
    let pairs: Vec<(String, String)> = if in_form {
        // parameters in both are read from one of them, and which is the service's affair
        outer.iter().all(|(name, _)| presigned(name)).then_some(())?;
        url::form_urlencoded::parse(body).into_owned().collect()
    } else {
        body.is_empty().then_some(())?;
        outer.into_iter().filter(|(name, _)| !presigned(name)).collect()
    };
    (pairs.len() <= VALUES_MAX && head.path() == "/").then_some(())?;
    let mut seen = BTreeSet::new();
    let mut call = Call::default();
    for (name, value) in pairs {
        // a name that comes twice, in any spelling, is read in one way here and in another there
        seen.insert(name.to_ascii_lowercase()).then_some(())?;
        match name.as_str() {
            "Action" => call.operation = value,
            "DryRun" => call.dry_run = value == "true",
            _ => {
                call.parameters.entry(plain(&name).to_owned()).or_default().insert(value);
            }
        }
    }
    is_operation(&call.operation).then_some(call)
}

/// `InstanceId.1`, `Names.member.2` and `Filter.1.Value.1` without their numbers.
fn plain(name: &str) -> &str {
    let end = name.find('.').unwrap_or(name.len());
    name.get(..end).unwrap_or(name)
}

/// Whether a parameter of the query is part of a signature.
pub(super) fn presigned(name: &str) -> bool {
    name.to_ascii_lowercase().starts_with("x-amz-")
}

fn json(operation: &str, content: Content<'_>, parse: fn(&[u8]) -> Option<Json>) -> Option<Call> {
    is_operation(operation).then_some(())?;
    let mut call = Call { operation: operation.to_owned(), ..Call::default() };
    match content.bytes()? {
        [] => Some(call),
        bytes => {
            let json = parse(bytes).filter(|json| !json.repeats())?;
            call.dry_run = json.get("DryRun") == Some(&Json::Flag(true));
            call.parameters = members(&json)?;
            Some(call)
        }
    }
}

/// The texts of an object's members, and those of lists of texts in it.
pub(super) fn members(json: &Json) -> Option<BTreeMap<String, BTreeSet<String>>> {
    let Json::Object(members) = json else { return None };
    let texts = |value: &Json| -> BTreeSet<String> {
        match value {
            Json::Text(text) => [text.clone()].into(),
            Json::List(items) => items.iter().filter_map(Json::text).map(str::to_owned).collect(),
            Json::Null | Json::Flag(_) | Json::Number(_) | Json::Object(_) => BTreeSet::new(),
        }
    };
    Some(members.iter().map(|(name, value)| (name.clone(), texts(value))).collect())
}

fn is_operation(name: &str) -> bool {
    !name.is_empty() && name.len() <= 128 && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
