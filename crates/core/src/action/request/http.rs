//! A request to an HTTP API, as an operation of its OpenAPI document.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::RequestClass;

/// The most typed facts of one request; one with more is not described, and opaque.
pub const TYPED_MAX: usize = 256;

/// One value of a request, by the type that policies compare with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Typed {
    /// A text.
    Text(String),
    /// A whole number. One with a fraction is rounded away from zero, one out of range is the nearest there is, so that
    /// "more than" never misses it.
    Number(i64),
    /// True or false.
    Flag(bool),
    /// Several texts; their order and how often each comes are no part of it.
    List(BTreeSet<String>),
}

/// What a request to an HTTP API means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpFacts {
    /// How dangerous it is.
    pub class: RequestClass,
    /// The document's name and the operation's id: `github:pulls/merge`. Absent where no document has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The method in capitals.
    pub method: String,
    /// The operation's path as the document writes it, `/repos/{owner}/{repo}`; without an operation, the request's own,
    /// its secrets replaced.
    pub path: String,
    /// The values of its parameters and body by place and name: `path.owner`, `query.page`, `header.x-mode`, `body.amount`,
    /// `body.address.city`. Those that must not be kept in clear are in `hidden` instead.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Typed>,
    /// The names of values that look like secrets or personal data: they are part of the action, and no facts.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub hidden: BTreeSet<String>,
    /// Whether every value of the request is among `values` and `hidden`: false where the body was not read, or is not
    /// of a kind that can be taken apart.
    pub complete: bool,
}

impl HttpFacts {
    /// A request that nothing is known of.
    pub fn opaque(method: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            class: RequestClass::Opaque,
            operation: None,
            method: method.into(),
            path: path.into(),
            values: BTreeMap::new(),
            hidden: BTreeSet::new(),
            complete: false,
        }
    }

    /// What a person would call it: the operation, or the method.
    pub fn verb(&self) -> &str {
        self.operation.as_deref().unwrap_or(&self.method)
    }
}
