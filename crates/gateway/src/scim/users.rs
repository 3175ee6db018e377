//! `/Users`: people, as a provisioning client says they are.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use countersign_core::action::PersonId;
use serde_json::{Map, Value, json};

use super::json::{self as wire, Body, Scim};
use super::list::{Wish, meta};
use super::patch::{self, Shape, Shapes};
use super::refusal::Refusal;
use super::schemas::USER;
use super::{Shared, groups, provisioner, unbroken};
use crate::ports::{Email, ScimGroup, ScimUser, UserAttributes};

/// The parts of a name that are kept.
pub(super) const NAME_PARTS: [&str; 6] =
    ["formatted", "familyName", "givenName", "middleName", "honorificPrefix", "honorificSuffix"];
/// The most addresses of one user.
const EMAILS_MAX: usize = 20;

const SHAPES: Shapes = &[
    ("userName", Shape::Plain),
    ("externalId", Shape::Plain),
    ("displayName", Shape::Plain),
    ("active", Shape::Plain),
    ("name", Shape::Complex),
    ("emails", Shape::Multi { grows: true }),
    ("id", Shape::ReadOnly),
    ("meta", Shape::ReadOnly),
    ("schemas", Shape::ReadOnly),
    ("groups", Shape::ReadOnly),
];

pub(super) async fn list(State(gate): State<Shared>, wish: Wish) -> Result<Scim, Refusal> {
    Ok(Scim(wish.page(all(&gate).await?.into_iter())))
}

/// The same, with what is asked in a body (RFC 7644 §3.4.3).
pub(super) async fn search(State(gate): State<Shared>, Body(body): Body) -> Result<Scim, Refusal> {
    Ok(Scim(Wish::of_search(&body)?.page(all(&gate).await?.into_iter())))
}

/// Every user as answers tell them.
pub(super) async fn all(gate: &Shared) -> Result<Vec<Value>, Refusal> {
    let provisioner = provisioner(gate)?;
    let (users, groups) = (provisioner.users().await?, provisioner.groups().await?);
    Ok(users.iter().map(|user| shown(user, &groups, &gate.config.public_url)).collect())
}

pub(super) async fn show(State(gate): State<Shared>, Path(id): Path<String>, wish: Wish) -> Result<Scim, Refusal> {
    let users = provisioner(&gate)?.users().await?;
    let user = users.into_iter().find(|user| user.person.as_str() == id).ok_or_else(Refusal::absent)?;
    Ok(Scim(wish.shown(of(&gate, &user).await?)))
}

pub(super) async fn create(State(gate): State<Shared>, wish: Wish, Body(body): Body) -> Result<Response, Refusal> {
    unbroken(async move {
        let attributes = attributes(&body, true, None)?;
        let user = provisioner(&gate)?.create_user(attributes).await?;
        let location = location(&gate.config.public_url, &user.person);
        let body = Scim(wish.shown(of(&gate, &user).await?));
        Ok((StatusCode::CREATED, [(LOCATION, location)], body).into_response())
    })
    .await
}

/// Replaces everything but what is absent and decides who somebody is and whether they count: `externalId`, `active`.
pub(super) async fn put(
    State(gate): State<Shared>,
    Path(id): Path<String>,
    wish: Wish,
    Body(body): Body,
) -> Result<Scim, Refusal> {
    unbroken(async move {
        let change = |now: &UserAttributes| attributes(&body, now.active, now.external_id.as_deref());
        let user = provisioner(&gate)?.change_user(&PersonId::new(id), change).await?;
        Ok(Scim(wish.shown(of(&gate, &user).await?)))
    })
    .await
}

pub(super) async fn patch(
    State(gate): State<Shared>,
    Path(id): Path<String>,
    wish: Wish,
    Body(body): Body,
) -> Result<Scim, Refusal> {
    unbroken(async move {
        let change = |now: &UserAttributes| patched(now, &body);
        let user = provisioner(&gate)?.change_user(&PersonId::new(id), change).await?;
        Ok(Scim(wish.shown(of(&gate, &user).await?)))
    })
    .await
}

pub(super) async fn delete(State(gate): State<Shared>, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    unbroken(async move {
        provisioner(&gate)?.delete_user(&PersonId::new(id)).await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// What a PATCH makes of a user.
pub(super) fn patched(now: &UserAttributes, body: &Map<String, Value>) -> Result<UserAttributes, Refusal> {
    let mut resource = told(now);
    patch::apply(&mut resource, body, SHAPES)?;
    attributes(&resource, now.active, None)
}

/// What a body says of a user; `active` and `externalId` where it says nothing of them.
pub(super) fn attributes(
    body: &Map<String, Value>,
    active: bool,
    external_id: Option<&str>,
) -> Result<UserAttributes, Refusal> {
    Ok(UserAttributes {
        user_name: wire::text(body, "userName")?.ok_or_else(|| Refusal::value("`userName` is missing"))?,
        external_id: wire::text(body, "externalId")?.or_else(|| external_id.map(str::to_owned)),
        display_name: wire::text(body, "displayName")?,
        name: name(body)?,
        emails: emails(body)?,
        active: wire::boolean(body, "active")?.unwrap_or(active),
    })
}

fn name(body: &Map<String, Value>) -> Result<BTreeMap<String, String>, Refusal> {
    let name = match wire::get(body, "name") {
        None => return Ok(BTreeMap::new()),
        Some(name) => name.as_object().ok_or_else(|| Refusal::value("`name` is no object"))?,
    };
    let mut parts = BTreeMap::new();
    for part in NAME_PARTS {
        if let Some(text) = wire::text(name, part)? {
            parts.insert(part.to_owned(), text);
        }
    }
    Ok(parts)
}

fn emails(body: &Map<String, Value>) -> Result<Vec<Email>, Refusal> {
    let mut emails: Vec<Email> = Vec::new();
    for object in wire::objects(body, "emails", EMAILS_MAX)? {
        // one without an address says nothing
        let Some(value) = wire::text(object, "value")? else { continue };
        let primary = wire::boolean(object, "primary")?.unwrap_or(false) && !emails.iter().any(|email| email.primary);
        let email = Email { value, kind: wire::text(object, "type")?, primary };
        if !emails.iter().any(|other| (&other.value, &other.kind) == (&email.value, &email.kind)) {
            emails.push(email);
        }
    }
    Ok(emails)
}

/// What the client said, as it says it.
fn told(user: &UserAttributes) -> Map<String, Value> {
    let mut told = Map::new();
    wire::set(&mut told, "userName", json!(user.user_name));
    wire::set(&mut told, "active", json!(user.active));
    for (key, text) in [("externalId", &user.external_id), ("displayName", &user.display_name)] {
        if let Some(text) = text {
            wire::set(&mut told, key, json!(text));
        }
    }
    if !user.name.is_empty() {
        wire::set(&mut told, "name", json!(user.name));
    }
    if !user.emails.is_empty() {
        wire::set(&mut told, "emails", user.emails.iter().map(email).collect());
    }
    told
}

fn email(email: &Email) -> Value {
    let mut object = json!({"value": email.value, "primary": email.primary});
    if let Some(kind) = &email.kind {
        object["type"] = json!(kind);
    }
    object
}

fn location(public_url: &str, id: &PersonId) -> String {
    format!("{public_url}/scim/v2/Users/{id}")
}

async fn of(gate: &Shared, user: &ScimUser) -> Result<Value, Refusal> {
    Ok(shown(user, &provisioner(gate)?.groups().await?, &gate.config.public_url))
}

/// A user as an answer tells them.
pub(super) fn shown(user: &ScimUser, groups: &[ScimGroup], public_url: &str) -> Value {
    let mut resource = told(&user.attributes);
    let id = user.person.as_str();
    let theirs = groups.iter().filter(|group| group.attributes.members.contains(&user.person));
    let theirs: Vec<Value> = theirs
        .map(|group| {
            let address = groups::location(public_url, &group.id);
            json!({"value": group.id, "display": group.attributes.display_name, "$ref": address, "type": "direct"})
        })
        .collect();
    let location = location(public_url, &user.person);
    wire::set(&mut resource, "schemas", json!([USER]));
    wire::set(&mut resource, "id", json!(id));
    if !theirs.is_empty() {
        wire::set(&mut resource, "groups", Value::Array(theirs));
    }
    let meta = meta("User", &location, user.created_at, user.changed_at);
    wire::set(&mut resource, "meta", Value::Object(meta));
    Value::Object(resource)
}
