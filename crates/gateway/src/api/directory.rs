//! Who and what there is: the caller, agents and their owners, targets. Keys and upstream addresses stay inside.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Shared;
use super::extract::{Human, JsonBody, Known, Name};
use super::policies::{ProposalView, proposed};
use super::problem::{Problem, ProblemBody};
use super::views::{self, TargetView};
use crate::codes::Code;
use crate::config::PolicyChanges;
use crate::identity::stewardship::{Maker, Steward};
use crate::identity::{Caller, SignedIn};
use crate::ports::{Person, Role, Scope};
use crate::proposals::Wish;

/// The caller, as the gateway knows them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Whoami {
    /// `person` or `agent`.
    kind: &'static str,
    name: String,
    /// The person who answers for an agent; a person's own name.
    owner: String,
    groups: Vec<String>,
    /// `auditor`, `admin`.
    roles: Vec<&'static str>,
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
    /// RFC 3339; absent until its owner has accepted it.
    #[schema(required = true)]
    accepted_at: Option<String>,
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
            roles: signed_in.person.roles.into_iter().map(Role::name).collect(),
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
            roles: Vec::new(),
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
        accepted_at: agent.accepted_at.map(|at| at.to_string()),
        revoked_at: agent.revoked_at.map(|at| at.to_string()),
    });
    Ok(Json(Agents { agents: agents.collect() }))
}

/// A new agent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAgent {
    /// 1 to 63 letters, digits, `-`, `_`, `.`, `@`.
    name: String,
    /// The person who is to answer for it, by name; the caller when absent. Somebody else accepts it first.
    owner: Option<String>,
    /// Groups that policies may name; an administrator gives them.
    #[serde(default)]
    groups: BTreeSet<String>,
}

/// An agent that was made, and its key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MadeAgent {
    name: String,
    owner: String,
    /// Whether its owner has to accept it before it does anything.
    waits: bool,
    /// Shown this once.
    key: String,
}

/// Make an agent
///
/// People make agents that they answer for themselves; administrators make them for others too, who accept them first.
/// Whoever made an agent stands on its side, and approves nothing of it.
#[utoipa::path(post, path = "/api/v1/agents", operation_id = "create_agent", tag = "directory",
    request_body = NewAgent, security(("token" = [])),
    responses(
        (status = 201, description = "The agent, and its key", body = MadeAgent),
        (status = 400, response = super::document::BadRequest),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, response = super::document::Forbidden),
        (status = 404, response = super::document::NotFound),
        (status = 409, description = "`name_taken`, `proposal_needed`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn create_agent(
    State(api): State<Shared>,
    Known(caller): Known,
    JsonBody(wish): JsonBody<NewAgent>,
) -> Result<(StatusCode, Json<MadeAgent>), Problem> {
    let by = changes(caller)?;
    let is_admin = by.person.roles.contains(&Role::Admin);
    let owner = owner(&api, &by.person, wish.owner.as_deref()).await?;
    if !is_admin && (owner.id != by.person.id || !wish.groups.is_empty()) {
        let detail = "without the role `admin` one makes agents for oneself, without groups";
        return Err(Problem::new(Code::Forbidden, detail));
    }
    if let Some(unknown) = wish.groups.iter().find(|group| !api.gate.config.groups.contains(*group)) {
        return Err(Problem::new(Code::BadRequest, format!("there is no group `{unknown}` (policy.groups)")));
    }
    if !wish.groups.is_empty() && api.gate.config.changes == PolicyChanges::Review {
        let detail = "an agent's groups wait for people here: make it without, then propose them (`POST \
                      /api/v1/people/proposals`)";
        return Err(Problem::new(Code::ProposalNeeded, detail));
    }
    let steward = Steward::new(&*api.gate.directory, &api.gate.scribe);
    let key = steward.make_agent(Maker::Person(&by.person), &wish.name, &owner, wish.groups).await?;
    api.gate.roster.refresh().await?;
    let waits = owner.id != by.person.id;
    let made = MadeAgent { name: wish.name, owner: owner.name, waits, key: key.to_string() };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Accept an agent
///
/// From now on the caller answers for it. Until then an agent that somebody else made does nothing.
#[utoipa::path(post, path = "/api/v1/agents/{id}/accept", operation_id = "accept_agent", tag = "directory",
    params(("id" = String, Path, description = "The agent's name")),
    security(("token" = [])),
    responses(
        (status = 204, description = "Accepted"),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, response = super::document::Forbidden),
        (status = 404, response = super::document::NotFound),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn accept_agent(
    State(api): State<Shared>,
    Known(caller): Known,
    Name(name): Name,
) -> Result<StatusCode, Problem> {
    let by = changes(caller)?;
    Steward::new(&*api.gate.directory, &api.gate.scribe).accept_agent(&by.person, &name).await?;
    api.gate.roster.refresh().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who is to answer for an agent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewOwner {
    /// A person, by name.
    owner: String,
}

/// Give an agent to somebody else
///
/// Its owner or an administrator does. It does nothing until the new owner has accepted it; who had it in the last 30 days
/// approves nothing of it.
#[utoipa::path(put, path = "/api/v1/agents/{id}/owner", operation_id = "give_agent", tag = "directory",
    params(("id" = String, Path, description = "The agent's name")),
    request_body = NewOwner, security(("token" = [])),
    responses(
        (status = 204, description = "Given"),
        (status = 400, response = super::document::BadRequest),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, response = super::document::Forbidden),
        (status = 404, response = super::document::NotFound),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn give_agent(
    State(api): State<Shared>,
    Known(caller): Known,
    Name(name): Name,
    JsonBody(wish): JsonBody<NewOwner>,
) -> Result<StatusCode, Problem> {
    let by = changes(caller)?;
    let to = owner(&api, &by.person, Some(&wish.owner)).await?;
    let steward = Steward::new(&*api.gate.directory, &api.gate.scribe);
    steward.give_agent(Maker::Person(&by.person), &name, &to).await?;
    api.gate.roster.refresh().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A person whose credential may change something.
fn changes(caller: Caller) -> Result<Box<SignedIn>, Problem> {
    match caller {
        Caller::Person(by) if by.scope >= Scope::ReviewVote => Ok(by),
        Caller::Person(_) => Err(Problem::new(Code::Forbidden, "this token may read, and change nothing")),
        Caller::Agent(_) => Err(Problem::new(Code::Forbidden, "agents change no agents")),
    }
}

async fn owner(api: &Shared, by: &Person, name: Option<&str>) -> Result<Person, Problem> {
    let Some(name) = name else { return Ok(by.clone()) };
    let people = api.gate.directory.people().await?;
    let found = people.into_iter().find(|person| person.name.eq_ignore_ascii_case(name));
    found.ok_or_else(|| Problem::absent("person", name))
}

/// List targets
#[utoipa::path(get, path = "/api/v1/targets", operation_id = "list_targets", tag = "directory",
    security(("token" = []), ("session" = [])),
    responses(
        (status = 200, description = "Targets in force, and those that wait for people", body = Targets),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, response = super::document::Forbidden),
    ))]
pub(super) async fn targets(State(api): State<Shared>, _: Human) -> Json<Targets> {
    Json(Targets { targets: views::targets(&api.gate.targets, &api.gate.config) })
}

/// A target as the configuration has it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewTargetProposal)]
pub(super) struct TargetProposalBody {
    /// Its name.
    target: String,
    /// The digest under `waits` that was looked at.
    #[schema(example = "sha256:…")]
    digest: String,
    /// Why; at most 2,000 bytes. Reviewers read it as the author's own words.
    reason: Option<String>,
}

/// Propose a target as the configuration has it
///
/// With `changes = "review"` a target that is new in the configuration, or another than it was, is in force once people outside
/// the author's side approve it, by the policies in force (`gate:change` on `Gate::"targets"`).
#[utoipa::path(post, path = "/api/v1/targets/proposals", operation_id = "propose_target", tag = "directory",
    request_body = TargetProposalBody,
    security(("token" = [])),
    responses(
        (status = 200, description = "It is in force", body = ProposalView),
        (status = 202, description = "People are asked", body = ProposalView),
        (status = 400, response = super::document::BadRequest),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, description = "`forbidden`, `no_permit`, `policy_denied`, `policy_error`, `rejected_recently`",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "`unknown_target`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`digest_mismatch`, `proposals_off`, `proposal_stale`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 429, description = "`too_many_reviews`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn propose_target(
    State(api): State<Shared>,
    Known(caller): Known,
    JsonBody(body): JsonBody<TargetProposalBody>,
) -> Result<(StatusCode, Json<ProposalView>), Problem> {
    proposed(&api, caller, Wish::Target(body.target, body.digest), body.reason).await
}

/// Everyone's name by their handle.
async fn names(api: &Shared) -> Result<BTreeMap<String, String>, Problem> {
    let people = api.gate.directory.people().await?;
    Ok(people.into_iter().map(|person| (person.id.to_string(), person.name)).collect())
}
