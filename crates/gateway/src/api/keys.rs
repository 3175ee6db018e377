//! Keys of agents for one person's session: the agent acts for them, and they join its side.
//!
//! Who may: the agent's owner, and whoever shares a group with it. The key ends with the day at the latest; what is asked
//! with it is asked on behalf of whoever made it, and neither they nor the owner can approve it.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Shared;
use super::extract::{JsonBody, Known};
use super::problem::Problem;
use crate::codes::Code;
use crate::identity::{Caller, SignedIn, minting};
use crate::ports::{Agent, Delegation, Scope, StoreError};

/// How long a key is good for unless said otherwise, in hours.
const HOURS_DEFAULT: u32 = 8;
/// The longest, in hours.
const HOURS_MAX: u32 = 24;

/// What key is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewKey {
    /// For how many hours, 1 to 24; 8 when absent.
    #[schema(minimum = 1, maximum = 24)]
    hours: Option<u32>,
}

/// A key of an agent, shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AgentKeyMade {
    /// Its handle in the record.
    id: String,
    agent: String,
    /// The secret: the password for protocols with user names, and a bearer token for the API.
    key: String,
    /// What to log in as.
    #[schema(example = "coder+k7m2p9x4tqwz")]
    username: String,
    /// For whom the agent acts with it.
    on_behalf_of: String,
    /// RFC 3339.
    expires_at: String,
}

/// Make a key of an agent that acts for the caller
#[utoipa::path(post, path = "/api/v1/agents/{id}/keys", operation_id = "create_agent_key", tag = "directory",
    params(("id" = String, Path, description = "The agent's name")),
    request_body = NewKey,
    security(("token" = [])),
    responses(
        (status = 201, description = "The key", body = AgentKeyMade),
        (status = 400, response = super::document::BadRequest),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, response = super::document::Forbidden),
        (status = 404, response = super::document::NotFound),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn create(
    State(api): State<Shared>,
    Path(name): Path<String>,
    Known(caller): Known,
    JsonBody(wanted): JsonBody<NewKey>,
) -> Result<(StatusCode, Json<AgentKeyMade>), Problem> {
    let hours = wanted.hours.unwrap_or(HOURS_DEFAULT);
    if !(1..=HOURS_MAX).contains(&hours) {
        return Err(Problem::new(Code::BadRequest, format!("a key is good for 1 to {HOURS_MAX} hours")));
    }
    let person = voter(caller)?;
    let agents = api.gate.directory.agents().await?;
    let agent = agents.into_iter().find(|agent| agent.name == name && agent.revoked_at.is_none());
    let agent =
        agent.filter(|agent| may_use(&person, agent)).ok_or_else(|| Problem::absent("agent of yours", &name))?;
    if agent.accepted_at.is_none() {
        return Err(Problem::new(Code::Forbidden, "its owner has not accepted it"));
    }
    let handle = person.person.id.clone();
    let delegation =
        Delegation { on_behalf_of: Some(handle.clone()), through: BTreeSet::from([handle]), ..Delegation::default() };
    let expires_at = api.gate.scribe.now().plus_seconds(i64::from(hours) * 60 * 60);
    let gate = &api.gate;
    let minted = minting::agent_key(&*gate.directory, &gate.scribe, &agent, delegation, expires_at).await?;
    let made = AgentKeyMade {
        id: minted.key.id,
        agent: agent.name,
        key: minted.secret.to_string(),
        username: minted.key.login,
        on_behalf_of: person.person.name,
        expires_at: expires_at.to_string(),
    };
    Ok((StatusCode::CREATED, Json(made)))
}

fn voter(caller: Caller) -> Result<SignedIn, Problem> {
    match caller {
        Caller::Person(person) if person.scope == Scope::ReviewVote => Ok(*person),
        Caller::Person(_) => Err(Problem::new(Code::Forbidden, "the token may only read; mint one with `review:vote`")),
        Caller::Agent(_) => Err(Problem::new(Code::Forbidden, "an agent makes no keys")),
    }
}

/// Its owner, and those in a group with it; for others it is not there.
fn may_use(person: &SignedIn, agent: &Agent) -> bool {
    agent.owner == person.person.id || !agent.groups.is_disjoint(&person.person.groups)
}

impl From<minting::Error> for Problem {
    fn from(error: minting::Error) -> Self {
        match error {
            minting::Error::Store(StoreError::Conflict) => {
                Self::new(Code::TooManyConnections, "the agent has as many keys as it may have at once, or was revoked")
            }
            minting::Error::Store(error) => error.into(),
            minting::Error::Randomness(error) => Self::new(Code::RecordUnavailable, error.to_string()),
        }
    }
}
