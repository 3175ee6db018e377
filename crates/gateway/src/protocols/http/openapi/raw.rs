//! As much of an OpenAPI document as is read: <https://spec.openapis.org/oas/v3.1.1.html>, and 3.0.
//!
//! Responses, examples and descriptions are skipped while the text is read, so that a document of many megabytes leaves
//! little behind. `x-multi-segment` is GitHub's own name for `x-countersign-multi-segment`.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Error, IgnoredAny, MapAccess, Unexpected, Visitor, value::MapAccessDeserializer};

/// Member → operation, for the methods that OpenAPI knows.
pub(super) const METHODS: [&str; 8] = ["GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"];

#[derive(Debug, Deserialize)]
pub(super) struct Document {
    pub(super) openapi: Option<String>,
    pub(super) swagger: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) servers: Vec<Server>,
    #[serde(default)]
    pub(super) paths: Paths,
    #[serde(default)]
    pub(super) components: Components,
}

#[derive(Debug, Deserialize)]
pub(super) struct Server {
    pub(super) url: String,
    #[serde(default)]
    pub(super) variables: BTreeMap<String, Variable>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Variable {
    pub(super) default: String,
}

/// Path templates; extensions beside them are left out.
#[derive(Debug, Default)]
pub(super) struct Paths(pub(super) BTreeMap<String, PathItem>);

#[derive(Debug, Default, Deserialize)]
pub(super) struct Components {
    #[serde(default)]
    pub(super) schemas: BTreeMap<String, Schema>,
    #[serde(default)]
    pub(super) parameters: BTreeMap<String, Parameter>,
    #[serde(default, rename = "requestBodies")]
    pub(super) bodies: BTreeMap<String, Body>,
    #[serde(default, rename = "pathItems")]
    pub(super) paths: BTreeMap<String, PathItem>,
}

#[derive(Debug, Default, Clone, Deserialize)]
pub(super) struct PathItem {
    #[serde(rename = "$ref")]
    pub(super) reference: Option<String>,
    #[serde(default)]
    pub(super) parameters: Vec<Parameter>,
    pub(super) servers: Option<Vec<ServerUrl>>,
    #[serde(rename = "x-countersign-class")]
    pub(super) class: Option<String>,
    get: Option<Operation>,
    put: Option<Operation>,
    post: Option<Operation>,
    delete: Option<Operation>,
    options: Option<Operation>,
    head: Option<Operation>,
    patch: Option<Operation>,
    trace: Option<Operation>,
}

impl PathItem {
    /// Its operations by method.
    pub(super) fn operations(&self) -> impl Iterator<Item = (&'static str, &Operation)> {
        let all = [&self.get, &self.put, &self.post, &self.delete, &self.options, &self.head, &self.patch, &self.trace];
        METHODS.into_iter().zip(all).filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct ServerUrl {
    pub(super) url: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Operation {
    #[serde(rename = "operationId")]
    pub(super) id: Option<String>,
    pub(super) summary: Option<String>,
    #[serde(default)]
    pub(super) tags: Vec<String>,
    #[serde(default)]
    pub(super) parameters: Vec<Parameter>,
    #[serde(rename = "requestBody")]
    pub(super) body: Option<Body>,
    pub(super) servers: Option<Vec<ServerUrl>>,
    #[serde(rename = "x-countersign-class")]
    pub(super) class: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Parameter {
    #[serde(rename = "$ref")]
    pub(super) reference: Option<String>,
    pub(super) name: Option<String>,
    #[serde(rename = "in")]
    pub(super) place: Option<String>,
    pub(super) schema: Option<Schema>,
    pub(super) style: Option<String>,
    pub(super) explode: Option<bool>,
    #[serde(default, rename = "x-countersign-multi-segment", alias = "x-multi-segment")]
    pub(super) multi_segment: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Body {
    #[serde(rename = "$ref")]
    pub(super) reference: Option<String>,
    #[serde(default)]
    pub(super) content: BTreeMap<String, Media>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Media {
    pub(super) schema: Option<Schema>,
}

/// What is kept of a schema: enough to type values and to know those that are secret.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::protocols::http) struct Schema {
    pub(super) reference: Option<String>,
    pub(super) kinds: Vec<String>,
    pub(super) secret: bool,
    pub(super) properties: BTreeMap<String, Schema>,
    pub(super) items: Option<Box<Schema>>,
    pub(super) parts: Vec<Schema>,
}

#[derive(Deserialize)]
struct Members {
    #[serde(rename = "$ref")]
    reference: Option<String>,
    #[serde(rename = "type")]
    kinds: Option<Kinds>,
    format: Option<String>,
    #[serde(default, rename = "writeOnly")]
    write_only: bool,
    #[serde(default)]
    properties: BTreeMap<String, Schema>,
    items: Option<Box<Schema>>,
    #[serde(default, rename = "allOf")]
    all: Vec<Schema>,
    #[serde(default, rename = "anyOf")]
    any: Vec<Schema>,
    #[serde(default, rename = "oneOf")]
    one: Vec<Schema>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Kinds {
    One(String),
    Several(Vec<String>),
}

impl From<Members> for Schema {
    fn from(members: Members) -> Self {
        let kinds = match members.kinds {
            None => Vec::new(),
            Some(Kinds::One(kind)) => vec![kind],
            Some(Kinds::Several(kinds)) => kinds,
        };
        let secret = members.write_only || members.format.as_deref() == Some("password");
        let parts = [members.all, members.any, members.one].concat();
        Self {
            reference: members.reference,
            kinds,
            secret,
            properties: members.properties,
            items: members.items,
            parts,
        }
    }
}

impl<'de> Deserialize<'de> for Schema {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SchemaVisitor)
    }
}

struct SchemaVisitor;

impl<'de> Visitor<'de> for SchemaVisitor {
    type Value = Schema;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a schema")
    }

    /// `true` and `false` are schemas in 3.1: of anything, and of nothing.
    fn visit_bool<E>(self, _: bool) -> Result<Schema, E> {
        Ok(Schema::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Schema, A::Error> {
        Members::deserialize(MapAccessDeserializer::new(members)).map(Schema::from)
    }
}

impl<'de> Deserialize<'de> for Paths {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PathsVisitor)
    }
}

struct PathsVisitor;

impl<'de> Visitor<'de> for PathsVisitor {
    type Value = Paths;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("path templates")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Paths, A::Error> {
        let mut paths = BTreeMap::new();
        while let Some(name) = members.next_key::<String>()? {
            if name.starts_with("x-") {
                members.next_value::<IgnoredAny>()?;
            } else if !name.starts_with('/') {
                return Err(A::Error::invalid_value(Unexpected::Str(&name), &"a path that begins with a slash"));
            } else if paths.insert(name.clone(), members.next_value()?).is_some() {
                return Err(A::Error::custom(format_args!("the path `{name}` comes twice")));
            }
        }
        Ok(Paths(paths))
    }
}
