//! Who and what there is: the caller, agents and their owners, targets. Keys and upstream addresses stay inside.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Shared;
use super::extract::{Human, Known};
use super::problem::Problem;
use super::views::{self, TargetView};
use crate::identity::Caller;
use crate::ports::Scope;

/// The caller, as the gateway knows them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Whoami {
    /// `person` or `agent`.
    kind: &'static str,
    name: String,
    /// The person who answers for an agent; a person's own name.
    owner: String,
    groups: Vec<String>,
    /// `review:read` or `review:vote`; absent for an agent, who never votes.
    #[schema(required = true)]
    scope: Option<&'static str>,
    /// How a vote would be marked; absent for an agent.
    #[schema(required = true)]
    method: Option<&'static str>,
}

/// A list of agents.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Agents {
    agents: Vec<AgentView>,
}

/// An agent; its key is shown once, where it is made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Agent)]
pub(super) struct AgentView {
    name: String,
    /// The person who answers for it.
    owner: String,
    groups: Vec<String>,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339; absent while it may log in.
    #[schema(required = true)]
    revoked_at: Option<String>,
}

/// A list of targets.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Targets {
    targets: Vec<TargetView>,
}

/// Who am I?
#[utoipa::path(get, path = "/api/v1/whoami", operation_id = "whoami", tag = "directory",
    security(("token" = []), ("session" = [])),
    responses(
        (status = 200, description = "The caller", body = Whoami),
        (status = 401, response = super::document::Unauthenticated),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn whoami(State(api): State<Shared>, Known(caller): Known) -> Result<Json<Whoami>, Problem> {
    Ok(Json(match caller {
        Caller::Person(signed_in) => Whoami {
            kind: "person",
            owner: signed_in.person.name.clone(),
            name: signed_in.person.name,
            groups: signed_in.person.groups.into_iter().collect(),
            scope: Some(match signed_in.scope {
                Scope::ReviewRead => "review:read",
                Scope::ReviewVote => "review:vote",
            }),
            method: Some(signed_in.method.name()),
        },
        Caller::Agent(agent) => Whoami {
            kind: "agent",
            owner: names(&api).await?.remove(agent.owner.as_str()).unwrap_or_else(|| agent.owner.to_string()),
            name: agent.name,
            groups: agent.groups.into_iter().collect(),
            scope: None,
            method: None,
        },
    }))
}

/// List agents
#[utoipa::path(get, path = "/api/v1/agents", operation_id = "list_agents", tag = "directory",
    security(("token" = []), ("session" = [])),
    responses(
        (status = 200, description = "Agents, revoked ones included", body = Agents),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, response = super::document::Forbidden),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn agents(State(api): State<Shared>, _: Human) -> Result<Json<Agents>, Problem> {
    let names = names(&api).await?;
    let agents = api.gate.directory.agents().await?.into_iter().map(|agent| AgentView {
        name: agent.name,
        owner: names.get(agent.owner.as_str()).cloned().unwrap_or_else(|| agent.owner.to_string()),
        groups: agent.groups.into_iter().collect(),
        created_at: agent.created_at.to_string(),
        revoked_at: agent.revoked_at.map(|at| at.to_string()),
    });
    Ok(Json(Agents { agents: agents.collect() }))
}

/// List targets
#[utoipa::path(get, path = "/api/v1/targets", operation_id = "list_targets", tag = "directory",
    security(("token" = []), ("session" = [])),
    responses(
        (status = 200, description = "Targets, as configured", body = Targets),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, response = super::document::Forbidden),
    ))]
pub(super) async fn targets(State(api): State<Shared>, _: Human) -> Json<Targets> {
    Json(Targets { targets: api.gate.config.targets.iter().map(views::target).collect() })
}

/// Everyone's name by their handle.
async fn names(api: &Shared) -> Result<BTreeMap<String, String>, Problem> {
    let people = api.gate.directory.people().await?;
    Ok(people.into_iter().map(|person| (person.id.to_string(), person.name)).collect())
}
