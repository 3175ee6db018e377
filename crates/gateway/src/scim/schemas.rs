//! What is supported here, in the standard's own documents (RFC 7643 §5 to §7).

use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::Shared;
use super::json::Scim;
use super::list::{PAGE_MAX, Wish};
use super::refusal::Refusal;
use super::users::NAME_PARTS;

/// The schema of users.
pub(super) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// The schema of groups.
pub(super) const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

pub(super) async fn service_provider(State(gate): State<Shared>) -> Scim {
    let unsupported = || json!({"supported": false});
    Scim(json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": {"supported": true},
        "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": true, "maxResults": PAGE_MAX},
        "changePassword": unsupported(), "sort": unsupported(), "etag": unsupported(),
        "authenticationSchemes": [{
            "type": "oauthbearertoken", "name": "Bearer token", "primary": true,
            "description": "The token that the gateway's configuration names (scim.token)",
        }],
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": format!("{}/scim/v2/ServiceProviderConfig", gate.config.public_url),
        },
    }))
}

pub(super) async fn resource_types(State(gate): State<Shared>, wish: Wish) -> Scim {
    Scim(wish.page(types(&gate.config.public_url).into_iter()))
}

pub(super) async fn resource_type(State(gate): State<Shared>, Path(id): Path<String>) -> Result<Scim, Refusal> {
    one(types(&gate.config.public_url), &id)
}

pub(super) async fn schemas(State(gate): State<Shared>, wish: Wish) -> Scim {
    Scim(wish.page(all(&gate.config.public_url).into_iter()))
}

pub(super) async fn schema(State(gate): State<Shared>, Path(id): Path<String>) -> Result<Scim, Refusal> {
    one(all(&gate.config.public_url), &id)
}

fn one(of: Vec<Value>, id: &str) -> Result<Scim, Refusal> {
    of.into_iter().find(|value| value["id"] == id).map(Scim).ok_or_else(Refusal::absent)
}

fn types(public_url: &str) -> Vec<Value> {
    let kind = |name: &str, endpoint: &str, schema: &str| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
            "id": name, "name": name, "endpoint": endpoint, "schema": schema,
            "meta": {"resourceType": "ResourceType", "location": format!("{public_url}/scim/v2/ResourceTypes/{name}")},
        })
    };
    vec![kind("User", "/Users", USER), kind("Group", "/Groups", GROUP)]
}

fn all(public_url: &str) -> Vec<Value> {
    let schema = |id: &str, name: &str, attributes: Value| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
            "id": id, "name": name, "description": name, "attributes": attributes,
            "meta": {"resourceType": "Schema", "location": format!("{public_url}/scim/v2/Schemas/{id}")},
        })
    };
    vec![schema(USER, "User", user()), schema(GROUP, "Group", group())]
}

fn user() -> Value {
    let name: Vec<Value> = NAME_PARTS.iter().map(|part| text(part)).collect();
    let parts = vec![text("value"), text("type"), plain("primary", "boolean")];
    let of_group = ["value", "display", "type"].map(|part| but(text(part), "mutability", json!("readOnly")));
    let reference = but(reference("$ref", &["Group"]), "mutability", json!("readOnly"));
    let groups: Vec<Value> = of_group.into_iter().chain([reference]).collect();
    let required = but(text("userName"), "required", json!(true));
    json!([
        but(required, "uniqueness", json!("server")),
        text("displayName"),
        plain("active", "boolean"),
        but(plain("name", "complex"), "subAttributes", json!(name)),
        but(but(plain("emails", "complex"), "multiValued", json!(true)), "subAttributes", json!(parts)),
        but(
            but(but(plain("groups", "complex"), "multiValued", json!(true)), "mutability", json!("readOnly")),
            "subAttributes",
            json!(groups)
        ),
    ])
}

fn group() -> Value {
    let fixed = |attribute: Value| but(attribute, "mutability", json!("immutable"));
    let parts = vec![
        fixed(text("value")),
        fixed(reference("$ref", &["User"])),
        fixed(but(text("type"), "canonicalValues", json!(["User"]))),
    ];
    let name = but(but(text("displayName"), "required", json!(true)), "uniqueness", json!("server"));
    json!([name, but(but(plain("members", "complex"), "multiValued", json!(true)), "subAttributes", json!(parts)),])
}

fn plain(name: &str, kind: &str) -> Value {
    json!({
        "name": name, "type": kind, "multiValued": false, "description": name, "required": false,
        "mutability": "readWrite", "returned": "default",
    })
}

fn text(name: &str) -> Value {
    but(but(plain(name, "string"), "caseExact", json!(false)), "uniqueness", json!("none"))
}

fn reference(name: &str, to: &[&str]) -> Value {
    but(but(plain(name, "reference"), "caseExact", json!(true)), "referenceTypes", json!(to))
}

fn but(mut attribute: Value, key: &str, value: Value) -> Value {
    attribute[key] = value;
    attribute
}
