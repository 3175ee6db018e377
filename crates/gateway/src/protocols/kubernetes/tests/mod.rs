//! What the describer makes of requests: rules in tables, and what `kubectl` really sends.

mod class;
mod kubectl;
mod names;
mod paths;
mod shown;

use countersign_core::action::request::{KubernetesFacts, RequestClass};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::describe::describe;
use crate::relay::dialect::Content;
use crate::relay::head::Head;

/// A request's head: `GET /api/v1/pods?watch=1`, and its headers.
pub(super) fn head(line: &str, headers: &[(&str, &str)]) -> Head {
    let (method, target) = line.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    Head::new(Method::from_bytes(method.as_bytes()).unwrap(), path, query, map).unwrap()
}

/// The facts of a request with a body in JSON.
fn facts(line: &str, body: &str) -> KubernetesFacts {
    sent(line, "application/json", body.as_bytes())
}

/// The facts of a request with a body of this type.
fn sent(line: &str, media: &str, body: &[u8]) -> KubernetesFacts {
    describe(&head(line, &[("content-type", media)]), Content::Whole(body))
}

/// Facts in one line: `write create deployments.apps/scale shop/web dry`.
pub(super) fn line(facts: &KubernetesFacts) -> String {
    let dry = if facts.dry_run { " dry" } else { "" };
    match facts.class {
        RequestClass::Opaque => "opaque".to_owned(),
        class if facts.resource.is_empty() => format!("{} {} {}{dry}", class.name(), facts.verb, facts.path),
        class => {
            let (kind, namespace, name) = (facts.kind(), &facts.namespace, &facts.name);
            format!("{} {} {kind} {namespace}/{name}{dry}", class.name(), facts.verb)
        }
    }
}

/// A request with an object `{"metadata":{}}`, where it changes something.
fn check(request: &str, expected: &str) {
    let changes = ["POST", "PUT", "PATCH"].iter().any(|method| request.starts_with(method));
    let body = if changes { r#"{"metadata":{}}"# } else { "" };
    assert_eq!(line(&facts(request, body)), expected, "{request}");
}
