//! `/Groups`: who is in which group of the provider.

use std::collections::BTreeSet;

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
use super::schemas::GROUP;
use super::{Shared, provisioner, unbroken};
use crate::ports::{GroupAttributes, ScimGroup};

/// The most members that one request makes of a group; a body holds fewer.
const MEMBERS_MAX: usize = 25_000;

const SHAPES: Shapes = &[
    ("displayName", Shape::Plain),
    ("externalId", Shape::Plain),
    ("members", Shape::Multi { grows: false }),
    ("id", Shape::ReadOnly),
    ("meta", Shape::ReadOnly),
    ("schemas", Shape::ReadOnly),
];

pub(super) async fn list(State(gate): State<Shared>, wish: Wish) -> Result<Scim, Refusal> {
    Ok(Scim(wish.page(all(&gate).await?.into_iter())))
}

/// The same, with what is asked in a body (RFC 7644 §3.4.3).
pub(super) async fn search(State(gate): State<Shared>, Body(body): Body) -> Result<Scim, Refusal> {
    Ok(Scim(Wish::of_search(&body)?.page(all(&gate).await?.into_iter())))
}

/// Every group as answers tell it.
pub(super) async fn all(gate: &Shared) -> Result<Vec<Value>, Refusal> {
    let groups = provisioner(gate)?.groups().await?;
    Ok(groups.iter().map(|group| shown(group, &gate.config.public_url)).collect())
}

pub(super) async fn show(State(gate): State<Shared>, Path(id): Path<String>, wish: Wish) -> Result<Scim, Refusal> {
    let groups = provisioner(&gate)?.groups().await?;
    let group = groups.into_iter().find(|group| group.id == id).ok_or_else(Refusal::absent)?;
    Ok(Scim(wish.shown(shown(&group, &gate.config.public_url))))
}

pub(super) async fn create(State(gate): State<Shared>, wish: Wish, Body(body): Body) -> Result<Response, Refusal> {
    unbroken(async move {
        let group = provisioner(&gate)?.create_group(attributes(&body, None)?).await?;
        let location = location(&gate.config.public_url, &group.id);
        let body = Scim(wish.shown(shown(&group, &gate.config.public_url)));
        Ok((StatusCode::CREATED, [(LOCATION, location)], body).into_response())
    })
    .await
}

pub(super) async fn put(
    State(gate): State<Shared>,
    Path(id): Path<String>,
    wish: Wish,
    Body(body): Body,
) -> Result<Scim, Refusal> {
    unbroken(async move {
        let change = |now: &GroupAttributes| attributes(&body, now.external_id.as_deref());
        let group = provisioner(&gate)?.change_group(&id, change).await?;
        Ok(Scim(wish.shown(shown(&group, &gate.config.public_url))))
    })
    .await
}

/// Answers without the group, which may have many members.
pub(super) async fn patch(
    State(gate): State<Shared>,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<StatusCode, Refusal> {
    unbroken(async move {
        provisioner(&gate)?.change_group(&id, |now| patched(now, &body)).await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

pub(super) async fn delete(State(gate): State<Shared>, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    unbroken(async move {
        provisioner(&gate)?.delete_group(&id).await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// What a PATCH makes of a group.
pub(super) fn patched(now: &GroupAttributes, body: &Map<String, Value>) -> Result<GroupAttributes, Refusal> {
    let mut resource = told(now);
    wire::set(&mut resource, "members", now.members.iter().map(|member| json!({"value": member})).collect());
    patch::apply(&mut resource, body, SHAPES)?;
    attributes(&resource, None)
}

/// What a body says of a group; `externalId` where it says nothing of it.
pub(super) fn attributes(body: &Map<String, Value>, external_id: Option<&str>) -> Result<GroupAttributes, Refusal> {
    let display_name = wire::text(body, "displayName")?.ok_or_else(|| Refusal::value("`displayName` is missing"))?;
    let mut members = BTreeSet::new();
    for member in wire::objects(body, "members", MEMBERS_MAX)? {
        if wire::text(member, "type")?.is_some_and(|kind| !kind.eq_ignore_ascii_case("User")) {
            return Err(Refusal::value("members are users; groups in groups are not known here"));
        }
        let id = wire::text(member, "value")?.ok_or_else(|| Refusal::value("a member has no `value`"))?;
        members.insert(PersonId::new(id));
    }
    let external_id = wire::text(body, "externalId")?.or_else(|| external_id.map(str::to_owned));
    Ok(GroupAttributes { display_name, external_id, members })
}

fn told(group: &GroupAttributes) -> Map<String, Value> {
    let mut told = Map::new();
    wire::set(&mut told, "displayName", json!(group.display_name));
    if let Some(id) = &group.external_id {
        wire::set(&mut told, "externalId", json!(id));
    }
    told
}

/// Where a group is.
pub(super) fn location(public_url: &str, id: &str) -> String {
    format!("{public_url}/scim/v2/Groups/{id}")
}

/// A group as an answer tells it.
pub(super) fn shown(group: &ScimGroup, public_url: &str) -> Value {
    let mut resource = told(&group.attributes);
    let member =
        |id: &PersonId| json!({"value": id, "type": "User", "$ref": format!("{public_url}/scim/v2/Users/{id}")});
    let members: Vec<Value> = group.attributes.members.iter().map(member).collect();
    wire::set(&mut resource, "schemas", json!([GROUP]));
    wire::set(&mut resource, "id", json!(group.id));
    if !members.is_empty() {
        wire::set(&mut resource, "members", Value::Array(members));
    }
    let location = location(public_url, &group.id);
    let meta = meta("Group", &location, group.created_at, group.changed_at);
    wire::set(&mut resource, "meta", Value::Object(meta));
    Value::Object(resource)
}
