//! What a request's body says about the object it is for, by its media type.
//!
//! The media types are the API server's: JSON, YAML, CBOR, its protobuf, and the kinds of patches
//! (<https://kubernetes.io/docs/reference/using-api/api-concepts/>). A body of another type, or one that does not read as
//! its type says, has no meaning here.

use super::protobuf::{self, Envelope};
use super::value::{self, Value};
use super::yaml::yaml;
use crate::relay::head::Head;

/// A body that was read.
#[derive(Debug)]
pub(super) enum Body {
    /// There is none.
    Empty,
    /// A tree.
    Tree(Value),
    /// A list of operations (RFC 6902).
    Operations(Value),
    /// An object in protobuf, of which little can be read.
    Protobuf(Envelope),
}

/// The names that a body gives its object; empty where it gives none.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) namespace: String,
}

/// The notations of bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notation {
    Json,
    Yaml,
    Cbor,
    Protobuf,
    Operations,
}

/// Reads a body.
pub(super) fn read(head: &Head, bytes: &[u8]) -> Option<Body> {
    if bytes.is_empty() {
        return Some(Body::Empty);
    }
    if head.headers.contains_key(http::header::CONTENT_ENCODING) {
        return None;
    }
    match notation(head)? {
        Notation::Json => value::json(bytes).map(Body::Tree),
        Notation::Yaml => yaml(bytes).map(Body::Tree),
        Notation::Cbor => value::cbor(bytes).map(Body::Tree),
        Notation::Operations => value::json(bytes).filter(|value| value.elements().is_some()).map(Body::Operations),
        Notation::Protobuf => protobuf::envelope(bytes).map(Body::Protobuf),
    }
}

/// By the media type; one that is absent is JSON, as it is for the server.
fn notation(head: &Head) -> Option<Notation> {
    if !head.headers.contains_key(http::header::CONTENT_TYPE) {
        return Some(Notation::Json);
    }
    let media = head.header("content-type")?;
    let media = media.split(';').next().unwrap_or_default().trim();
    match media.to_ascii_lowercase().as_str() {
        "application/json" | "application/merge-patch+json" | "application/strategic-merge-patch+json" => {
            Some(Notation::Json)
        }
        "application/yaml" | "application/apply-patch+yaml" => Some(Notation::Yaml),
        "application/cbor" | "application/apply-patch+cbor" => Some(Notation::Cbor),
        "application/json-patch+json" => Some(Notation::Operations),
        "application/vnd.kubernetes.protobuf" => Some(Notation::Protobuf),
        _ => None,
    }
}

impl Body {
    /// The names in its metadata; `None` where they are no texts.
    pub(super) fn named(&self) -> Option<Named> {
        match self {
            Body::Empty | Body::Operations(_) => Some(Named::default()),
            Body::Tree(value) => {
                value.members()?;
                let Some(metadata) = present(value, "metadata") else { return Some(Named::default()) };
                Some(Named { name: word(metadata, "name")?, namespace: word(metadata, "namespace")? })
            }
            Body::Protobuf(envelope) => {
                let metadata = envelope.metadata()?;
                Some(Named { name: metadata.name, namespace: metadata.namespace })
            }
        }
    }

    /// Whether the options of a deletion ask for no effect; `None` where they are not clear.
    pub(super) fn deletes_dry(&self) -> Option<bool> {
        match self {
            Body::Empty => Some(false),
            Body::Tree(value) => tree_is_dry(value),
            Body::Protobuf(envelope) => is_dry(&envelope.dry_run()?),
            Body::Operations(_) => None,
        }
    }

    /// Whether the options within an eviction ask for no effect; `Some(None)` where it has no options.
    pub(super) fn evicts_dry(&self) -> Option<Option<bool>> {
        match self {
            Body::Tree(value) => match present(value, "deleteOptions") {
                Some(options) => tree_is_dry(options).map(Some),
                None => Some(None),
            },
            Body::Protobuf(envelope) => match envelope.eviction_dry_run()? {
                Some(values) => is_dry(&values).map(Some),
                None => Some(None),
            },
            Body::Empty | Body::Operations(_) => None,
        }
    }

    /// Whether the options of a deletion make it wait for dependents, or leave them alone.
    pub(super) fn propagates(&self) -> Option<bool> {
        match self {
            Body::Empty => Some(false),
            Body::Tree(value) => {
                let policy = word(value, "propagationPolicy")?;
                let in_background = policy.is_empty() || policy == "Background";
                Some(!in_background || present(value, "orphanDependents").is_some())
            }
            Body::Protobuf(envelope) => envelope.propagates(),
            Body::Operations(_) => None,
        }
    }
}

/// A member that is there and is not null.
fn present<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    value.get(key).filter(|value| **value != Value::Null)
}

/// A member that is a text; empty where it is absent or null.
fn word(value: &Value, key: &str) -> Option<String> {
    value.members()?;
    match present(value, key) {
        Some(value) => value.text().map(str::to_owned),
        None => Some(String::new()),
    }
}

fn tree_is_dry(options: &Value) -> Option<bool> {
    options.members()?;
    let Some(values) = present(options, "dryRun") else { return Some(false) };
    let values: Vec<String> = values.elements()?.iter().map(|v| v.text().map(str::to_owned)).collect::<Option<_>>()?;
    is_dry(&values)
}

/// `dryRun` is a list; there is one value that it may have.
fn is_dry(values: &[String]) -> Option<bool> {
    match values {
        [] => Some(false),
        [value] if value == "All" => Some(true),
        _ => None,
    }
}
