//! Lists (RFC 7644 §3.4.2): filtered, a page at a time, with the attributes that are wished for.

use axum::extract::{FromRequestParts, Query, State};
use axum::http::request::Parts;
use serde_json::{Map, Value, json};

use super::Shared;
use super::filter::Filter;
use super::json::{self as wire, Body, Scim};
use super::refusal::Refusal;
use super::{groups, users};

/// The schema of a list.
const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// How many resources an answer has at most, and unless said otherwise.
pub(super) const PAGE_MAX: usize = 500;
/// The most attributes that a request names.
const NAMES_MAX: usize = 100;

/// What is asked of a list, or of one resource.
#[derive(Debug, Default)]
pub(super) struct Wish {
    filter: Option<Filter>,
    start: usize,
    count: usize,
    only: Vec<String>,
    without: Vec<String>,
}

impl FromRequestParts<Shared> for Wish {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gate: &Shared) -> Result<Self, Refusal> {
        let query = Query::<Vec<(String, String)>>::from_request_parts(parts, gate).await;
        let Query(pairs) = query.map_err(|_| Refusal::value("the query is malformed"))?;
        Self::parse(&pairs)
    }
}

impl Wish {
    pub(super) fn parse(pairs: &[(String, String)]) -> Result<Self, Refusal> {
        let mut wish = Self { count: PAGE_MAX, start: 1, ..Self::default() };
        for (key, value) in pairs {
            match key.as_str() {
                "filter" => wish.filter = Some(Filter::parse(value)?),
                "startIndex" => wish.start = number(key, value)?.max(1),
                "count" => wish.count = number(key, value)?.min(PAGE_MAX),
                "attributes" => wish.only = names(value)?,
                "excludedAttributes" => wish.without = names(value)?,
                _ => {} // sorting and what else there may be is not supported, and says so
            }
        }
        Ok(wish)
    }

    /// What a body asks (RFC 7644 §3.4.3).
    pub(super) fn of_search(body: &Map<String, Value>) -> Result<Self, Refusal> {
        let mut pairs = Vec::new();
        for key in ["filter", "startIndex", "count", "attributes", "excludedAttributes"] {
            let text = match wire::get(body, key) {
                None => continue,
                Some(Value::String(text)) => text.clone(),
                Some(Value::Number(number)) => number.to_string(),
                Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
                Some(_) => return Err(Refusal::value(format!("`{key}` has a value of another kind"))),
            };
            pairs.push((key.to_owned(), text));
        }
        Self::parse(&pairs)
    }

    /// A page of what meets the filter.
    pub(super) fn page(&self, resources: impl Iterator<Item = Value>) -> Value {
        let meets = |resource: &Value| match (&self.filter, resource.as_object()) {
            (None, _) => true,
            (Some(filter), Some(object)) => filter.matches(object),
            (Some(_), None) => false,
        };
        let (mut total, mut page) = (0, Vec::new());
        for resource in resources.filter(meets) {
            total += 1;
            if total >= self.start && page.len() < self.count {
                page.push(self.shown(resource));
            }
        }
        json!({
            "schemas": [LIST], "totalResults": total, "startIndex": self.start, "itemsPerPage": page.len(),
            "Resources": page,
        })
    }

    /// A resource with the attributes that are wished for; its id and schemas are always told.
    pub(super) fn shown(&self, mut resource: Value) -> Value {
        let named = |names: &[String], key: &str| names.iter().any(|name| name.eq_ignore_ascii_case(key));
        if let Some(object) = resource.as_object_mut() {
            object.retain(|key, _| {
                let always = matches!(key.as_str(), "id" | "schemas");
                always || ((self.only.is_empty() || named(&self.only, key)) && !named(&self.without, key))
            });
        }
        resource
    }
}

/// Users and groups in one list, with what is asked in a body.
pub(super) async fn search(State(gate): State<Shared>, Body(body): Body) -> Result<Scim, Refusal> {
    let (users, groups) = (users::all(&gate).await?, groups::all(&gate).await?);
    Ok(Scim(Wish::of_search(&body)?.page(users.into_iter().chain(groups))))
}

/// A number; below zero is zero (RFC 7644 §3.4.2.4).
fn number(key: &str, text: &str) -> Result<usize, Refusal> {
    let number: i64 = text.parse().map_err(|_| Refusal::value(format!("`{key}` is no number")))?;
    Ok(usize::try_from(number.max(0)).unwrap_or(usize::MAX))
}

/// Attributes as a request names them: with the schema's prefix or none, and as a whole.
fn names(text: &str) -> Result<Vec<String>, Refusal> {
    let names: Vec<&str> = text.split(',').take(NAMES_MAX + 1).collect();
    if names.len() > NAMES_MAX {
        return Err(Refusal::too_many(format!("a request names at most {NAMES_MAX} attributes")));
    }
    let parsed = names.into_iter().filter_map(|name| super::filter::Attribute::parse(name.trim()));
    Ok(parsed.map(|attribute| attribute.name).collect())
}

/// `meta` of a resource (RFC 7643 §3.1).
pub(super) fn meta(kind: &str, location: &str, created: impl ToString, changed: impl ToString) -> Map<String, Value> {
    let mut meta = Map::new();
    wire::set(&mut meta, "resourceType", json!(kind));
    wire::set(&mut meta, "created", json!(created.to_string()));
    wire::set(&mut meta, "lastModified", json!(changed.to_string()));
    wire::set(&mut meta, "location", json!(location));
    meta
}
