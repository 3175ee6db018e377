//! Changes of people and agents: what gives somebody more is proposed and waits for others, what takes it away does not.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::Shared;
use super::extract::{JsonBody, Known};
use super::policies::{ProposalView, proposed};
use super::problem::{Problem, ProblemBody};
use crate::identity::changes::Change;
use crate::proposals::{Take, Wish};

/// A change of people or agents.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPeopleProposal)]
pub(super) struct ProposalBody {
    /// What is to change.
    change: ChangeBody,
    /// Why; at most 2,000 bytes. Reviewers read it as the author's own words.
    reason: Option<String>,
}

/// What is to change. People and agents are named.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = PeopleChange)]
enum ChangeBody {
    /// A new person.
    AddPerson {
        /// 1 to 63 letters, digits, `-`, `_`, `.`, `@`.
        name: String,
        email: Option<String>,
        #[serde(default)]
        groups: BTreeSet<String>,
    },
    /// More groups for a person.
    AddGroups { person: String, groups: BTreeSet<String> },
    /// Fewer groups for a person: in force at once. An administrator does that, and everybody for themselves.
    RemoveGroups { person: String, groups: BTreeSet<String> },
    /// The end of a suspension.
    RestorePerson { person: String },
    /// An account somewhere else that speaks as a person.
    LinkAccount {
        person: String,
        /// Whose ids these are: `github`, an issuer's address.
        provider: String,
        /// The id there; never a name.
        subject: String,
        /// What it is called there, for people.
        #[serde(default)]
        label: String,
    },
    /// More groups for an agent.
    AddAgentGroups { agent: String, groups: BTreeSet<String> },
    /// Fewer groups for an agent: in force at once. Its owner does that, or an administrator.
    RemoveAgentGroups { agent: String, groups: BTreeSet<String> },
}

impl From<ChangeBody> for Wish {
    fn from(body: ChangeBody) -> Self {
        match body {
            ChangeBody::AddPerson { name, email, groups } => Wish::People(Change::AddPerson { name, email, groups }),
            ChangeBody::AddGroups { person, groups } => Wish::People(Change::AddGroups { person, groups }),
            ChangeBody::RemoveGroups { person, groups } => Wish::Take(Take::Groups { person, groups }),
            ChangeBody::RestorePerson { person } => Wish::People(Change::Restore { person }),
            ChangeBody::LinkAccount { person, provider, subject, label } => {
                Wish::People(Change::LinkAccount { person, provider, subject, label })
            }
            ChangeBody::AddAgentGroups { agent, groups } => Wish::People(Change::AddAgentGroups { agent, groups }),
            ChangeBody::RemoveAgentGroups { agent, groups } => Wish::Take(Take::AgentGroups { agent, groups }),
        }
    }
}

/// Propose a change of people or agents
///
/// What gives somebody more (a person, a group, the end of a suspension, an account) waits for people outside the side of
/// whoever proposes it and of whoever gains, by the policies in force (`gate:change` on `Gate::"people"`). What takes groups
/// away is in force at once.
#[utoipa::path(post, path = "/api/v1/people/proposals", operation_id = "propose_people", tag = "directory",
    request_body = ProposalBody,
    security(("token" = [])),
    responses(
        (status = 200, description = "It is in force", body = ProposalView),
        (status = 202, description = "People are asked", body = ProposalView),
        (status = 400, response = super::document::BadRequest),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, description = "`forbidden`, `no_permit`, `policy_denied`, `policy_error`, `rejected_recently`",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, response = super::document::NotFound),
        (status = 409, description = "`name_taken`, `proposals_off`, `proposal_stale`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 415, description = "`bad_request`: the body is not JSON", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 429, description = "`too_many_reviews`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn propose(
    State(api): State<Shared>,
    Known(caller): Known,
    JsonBody(body): JsonBody<ProposalBody>,
) -> Result<(StatusCode, Json<ProposalView>), Problem> {
    proposed(&api, caller, body.change.into(), body.reason).await
}
