//! Arbitrary requests to an API server: describing and showing them never panics, and a second opinion agrees.
//!
//! The input is a request: `METHOD TARGET`, a line with the media type, and the body. The second opinion is the server's own
//! `RequestInfoFactory`, written down again here as it stands there (`requestinfo.go`), without the describer's care: whatever
//! the describer takes for clear, the server's rules must read alike.

use countersign_core::action::redact::{Rules, SHOWN_BYTES_MAX};
use countersign_core::action::request::{KubernetesFacts, RequestClass};
use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use crate::kubernetes::{describe::describe, shown::shown};
use crate::relay::dialect::{Content, Rehearsed};
use crate::relay::head::Head;

/// Holds what is written above.
///
/// # Panics
/// It does not hold.
pub fn body(data: &[u8]) {
    let Some((head, content)) = request(data) else { return };
    let facts = describe(&head, Content::Whole(content));
    assert_eq!(facts, describe(&head, Content::Whole(content)));
    let _ = describe(&head, Content::Unread);
    let rules = Rules::default();
    let card = shown(&head, Content::Whole(content), &rules, None).expect("what was not rehearsed can be shown");
    assert!(card.shown.text.len() <= SHOWN_BYTES_MAX);
    let found = Rehearsed { before: Some(content.to_vec()), after: Some(b"{}".to_vec()) };
    let _ = shown(&head, Content::Whole(content), &rules, Some(&found));
    if facts.class == RequestClass::Opaque {
        return;
    }
    let reads = head.method == Method::GET || head.method == Method::HEAD;
    let question = facts.resource.ends_with("reviews") && facts.group.starts_with("auth");
    assert!(facts.class != RequestClass::Read || reads || question, "{facts:?} only reads");
    assert!(facts.resource != "secrets" || facts.class != RequestClass::Read, "{facts:?} reads Secrets");
    assert!(!facts.dry_run || !reads, "{facts:?} persists nothing anyway");
    if !facts.resource.is_empty() {
        compare(&head, &facts);
    }
}

fn request(data: &[u8]) -> Option<(Head, &[u8])> {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let (line, media) = (std::str::from_utf8(parts.next()?).ok()?, parts.next()?);
    let (method, target) = line.split_once(' ')?;
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let mut headers = HeaderMap::new();
    if !media.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_bytes(media).ok()?);
    }
    let head = Head::new(Method::from_bytes(method.as_bytes()).ok()?, path, query, headers).ok()?;
    Some((head, parts.next().unwrap_or_default()))
}

/// What `NewRequestInfo` fills in.
#[derive(Debug, Default, PartialEq, Eq)]
struct Info {
    verb: &'static str,
    group: String,
    version: String,
    namespace: String,
    resource: String,
    subresource: String,
    name: String,
}

fn compare(head: &Head, facts: &KubernetesFacts) {
    let Some(info) = info(head) else { panic!("{facts:?} is no resource to the server") };
    let told = (&facts.group, &facts.version, &facts.namespace, &facts.resource, &facts.subresource);
    let there = (&info.group, &info.version, &info.namespace, &info.resource, &info.subresource);
    assert_eq!(told, there, "{}", head.target());
    let verb = match (info.verb, info.name.is_empty()) {
        ("get", true) => ["list", "watch"].contains(&facts.verb.as_str()),
        ("delete", true) => facts.verb == "deletecollection",
        (verb, _) => facts.verb == verb,
    };
    assert!(verb, "{} is {facts:?}", head.target());
    assert!(info.name.is_empty() || info.name == facts.name, "{} is {facts:?}", head.target());
}

/// The server's reading of a path, step by step.
fn info(head: &Head) -> Option<Info> {
    let path = head.segments().join("/");
    let mut parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    if parts.len() < 3 || !["api", "apis"].contains(&parts[0]) {
        return None;
    }
    let mut info = Info::default();
    let grouped = parts.remove(0) == "apis";
    if grouped {
        if parts.len() < 3 {
            return None;
        }
        info.group = parts.remove(0).to_owned();
    }
    info.version = parts.remove(0).to_owned();
    info.verb = match parts[0] {
        "proxy" => "proxy",
        "watch" => "watch",
        _ => match head.method.as_str() {
            "POST" => "create",
            "GET" | "HEAD" => "get",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" => "delete",
            _ => "",
        },
    };
    if ["proxy", "watch"].contains(&info.verb) {
        parts.remove(0);
    }
    if parts.first() == Some(&"namespaces") && parts.len() > 1 {
        info.namespace = parts[1].to_owned();
        if parts.len() > 2 && !["status", "finalize"].contains(&parts[2]) {
            parts.drain(..2);
        }
    }
    info.resource = parts.first()?.to_string();
    info.name = parts.get(1).copied().unwrap_or_default().to_owned();
    if info.verb != "proxy" {
        info.subresource = parts.get(2).copied().unwrap_or_default().to_owned();
    }
    Some(info)
}
