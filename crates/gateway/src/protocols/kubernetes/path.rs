//! A request's path, as the API server's `RequestInfoFactory` reads it.
//!
//! The rules are those of `k8s.io/apiserver/pkg/endpoints/request/requestinfo.go`; what it and the server's router could
//! read differently (empty segments, an encoded slash, a slash at the end) has no meaning here.

use http::Method;

/// A path of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place<'a> {
    /// What stands before the resource, for old clients.
    pub(super) prefix: Prefix,
    pub(super) group: &'a str,
    pub(super) version: &'a str,
    pub(super) namespace: &'a str,
    pub(super) resource: &'a str,
    pub(super) name: &'a str,
    pub(super) subresource: &'a str,
    /// Whether more stands behind the subresource.
    pub(super) goes_on: bool,
    /// Whether it ends with a slash.
    pub(super) slash: bool,
}

/// The verb that a path itself has, which newer clients say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefix {
    /// None.
    Plain,
    /// `/api/v1/watch/…`
    Watch,
    /// `/api/v1/proxy/…`
    Proxy,
}

/// What a path is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path<'a> {
    /// A resource.
    Resource(Place<'a>),
    /// Something else that is read.
    Other,
}

/// Reads the segments of a path; `None` where it could be read in two ways, or is not known.
pub(super) fn read(segments: &[String]) -> Option<Path<'_>> {
    let (parts, slash) = match segments {
        [parts @ .., last] if last.is_empty() && !parts.is_empty() => (parts, true),
        [last] if last.is_empty() => return Some(Path::Other),
        parts => (parts, false),
    };
    let odd = |part: &String| part.is_empty() || part.contains(['/', '%']);
    if parts.iter().any(odd) {
        return None;
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => {
            (*version == "v1").then_some(())?;
            resource("", version, rest, slash).map(Path::Resource)
        }
        ["apis", group, version, rest @ ..] if !rest.is_empty() => {
            (is_dns(group) && is_dns(version)).then_some(())?;
            resource(group, version, rest, slash).map(Path::Resource)
        }
        parts => (!slash && is_known(parts)).then_some(Path::Other),
    }
}

fn resource<'a>(group: &'a str, version: &'a str, rest: &[&'a str], slash: bool) -> Option<Place<'a>> {
    let (prefix, rest) = match rest {
        ["watch", rest @ ..] => (Prefix::Watch, rest),
        ["proxy", rest @ ..] => (Prefix::Proxy, rest),
        rest => (Prefix::Plain, rest),
    };
    let (namespace, rest) = match rest {
        ["namespaces", name] => (*name, rest),
        // the subresources of a namespace, not resources in it
        ["namespaces", name, "status" | "finalize", ..] => (*name, rest),
        ["namespaces", name, rest @ ..] => (*name, rest),
        rest => ("", rest),
    };
    let (resource, name, subresource, goes_on) = match (prefix, rest) {
        (_, []) => return None,
        (_, [resource]) => (*resource, "", "", false),
        (_, [resource, name]) => (*resource, *name, "", false),
        (Prefix::Proxy, [resource, name, ..]) => (*resource, *name, "", true),
        (Prefix::Plain | Prefix::Watch, [resource, name, subresource, more @ ..]) => {
            (*resource, *name, *subresource, !more.is_empty())
        }
    };
    let clear = (namespace.is_empty() || is_dns(namespace)) && is_word(resource) && is_word(subresource);
    let place = Place { prefix, group, version, namespace, resource, name, subresource, goes_on, slash };
    clear.then_some(place)
}

/// What the server answers besides resources and only reads: discovery, documents, health, its own metrics and logs.
fn is_known(parts: &[&str]) -> bool {
    matches!(
        parts,
        ["api" | "apis" | "version" | "swagger.json" | "swaggerapi"]
            | ["api", _]
            | ["apis", _]
            | ["apis", _, _]
            | ["openapi", "v2"]
            | ["openapi", "v3", ..]
            | ["openid", "v1", "jwks"]
            | [".well-known", "openid-configuration"]
            | ["healthz" | "livez" | "readyz" | "metrics" | "logs", ..]
    )
}

/// Whether a segment is a DNS name, as groups, versions and namespaces are.
fn is_dns(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
}

/// Whether a segment can be a resource or subresource; those of external metrics are names of metrics.
fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// What a request does by its method, before its parameters are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
    Proxy,
}

impl Verb {
    /// The server's name for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "deletecollection",
            Verb::Proxy => "proxy",
        }
    }

    /// Whether it only reads, unless the subresource says otherwise.
    pub(super) fn reads(self) -> bool {
        match self {
            Verb::Get | Verb::List | Verb::Watch => true,
            Verb::Create | Verb::Update | Verb::Patch | Verb::Delete | Verb::DeleteCollection | Verb::Proxy => false,
        }
    }

    /// The verb of a request; `watch` is whether its parameters ask to watch.
    pub(super) fn of(method: &Method, place: &Place<'_>, watch: bool) -> Option<Self> {
        let verb = match *method {
            Method::GET | Method::HEAD if !place.name.is_empty() => Verb::Get,
            Method::GET | Method::HEAD if watch => Verb::Watch,
            Method::GET | Method::HEAD => Verb::List,
            Method::POST => Verb::Create,
            Method::PUT => Verb::Update,
            Method::PATCH => Verb::Patch,
            Method::DELETE if place.name.is_empty() => Verb::DeleteCollection,
            Method::DELETE => Verb::Delete,
            _ => return None,
        };
        match place.prefix {
            Prefix::Plain => Some(verb),
            Prefix::Watch => (*method == Method::GET).then_some(Verb::Watch),
            Prefix::Proxy => Some(Verb::Proxy),
        }
    }
}
