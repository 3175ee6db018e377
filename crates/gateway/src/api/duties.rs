//! Duties: who reviews in whose place while they are away.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use countersign_core::action::{PersonId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Shared;
use super::extract::{Id, JsonBody, Known};
use super::problem::Problem;
use crate::codes::Code;
use crate::gate::Gate;
use crate::identity::duties::{self, Error, Wish};
use crate::identity::{Caller, SignedIn};
use crate::ports::{Duty, Scope};

/// The most groups in one request: more than anyone is in.
const GROUPS_MAX: usize = 100;

/// What is given to whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewDuty {
    /// The name of whoever shall review in the caller's place.
    deputy: String,
    /// For which groups; all of the caller's when absent.
    #[serde(default)]
    groups: BTreeSet<String>,
    /// From when, RFC 3339; from now on when absent.
    from: Option<String>,
    /// Until when, RFC 3339; at most 30 days later.
    until: String,
}

/// A list of duties.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DutyList {
    /// The one that ends first first.
    duties: Vec<DutyView>,
}

/// A reviewer's duty, given to somebody else for a time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Duty)]
pub(super) struct DutyView {
    id: String,
    /// Whose it is.
    of: String,
    /// Who does it.
    deputy: String,
    groups: BTreeSet<String>,
    /// RFC 3339.
    from: String,
    /// RFC 3339.
    until: String,
    /// Whether it is in force now.
    in_force: bool,
}

/// List duties
///
/// Those that the caller gave or does; administrators and auditors see all.
#[utoipa::path(get, path = "/api/v1/duties", operation_id = "list_duties", tag = "directory",
    security(("token" = []), ("session" = [])),
    responses(
        (status = 200, description = "Duties", body = DutyList),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, response = super::document::Forbidden),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn list(State(api): State<Shared>, Known(caller): Known) -> Result<Json<DutyList>, Problem> {
    let person = person(caller)?.person;
    let now = api.gate.scribe.now();
    let theirs = |duty: &Duty| duty.of == person.id || duty.deputy == person.id || !person.roles.is_empty();
    let found = api.gate.directory.duties(now).await?;
    let duties = found.iter().filter(|duty| theirs(duty)).map(|duty| view(&api.gate, duty, now)).collect();
    Ok(Json(DutyList { duties }))
}

/// Give one's duty as a reviewer
///
/// For at most 30 days, for groups that the caller is in. It takes a sign-in by two factors of the last 15 minutes; a token
/// that was made in the console gives none. What a requester's side gave counts for nothing on what that side asks.
#[utoipa::path(post, path = "/api/v1/duties", operation_id = "give_duty", tag = "directory", request_body = NewDuty,
    security(("token" = [])),
    responses(
        (status = 201, description = "The duty", body = DutyView),
        (status = 400, response = super::document::BadRequest),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, description = "`sign_in_again`, `forbidden`", body = super::problem::ProblemBody,
            content_type = "application/problem+json"),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn give(
    State(api): State<Shared>,
    Known(caller): Known,
    JsonBody(body): JsonBody<NewDuty>,
) -> Result<(StatusCode, Json<DutyView>), Problem> {
    let by = voter(caller)?;
    let gate = &api.gate;
    let duty = duties::give(&*gate.directory, &gate.scribe, &by, wish(body)?).await?;
    gate.roster.refresh().await?;
    Ok((StatusCode::CREATED, Json(view(gate, &duty, gate.scribe.now()))))
}

/// End a duty
///
/// For whoever gave it, whoever does it, and administrators.
#[utoipa::path(delete, path = "/api/v1/duties/{id}", operation_id = "end_duty", tag = "directory",
    params(("id" = String, Path, description = "The duty's id")),
    security(("token" = [])),
    responses(
        (status = 204, description = "It has ended"),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, response = super::document::Forbidden),
        (status = 404, response = super::document::NotFound),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn end(State(api): State<Shared>, Known(caller): Known, Id(id): Id) -> Result<StatusCode, Problem> {
    let by = voter(caller)?;
    let gate = &api.gate;
    duties::end(&*gate.directory, &gate.scribe, &by.person, &id).await?;
    gate.roster.refresh().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn person(caller: Caller) -> Result<SignedIn, Problem> {
    match caller {
        Caller::Person(person) => Ok(*person),
        Caller::Agent(_) => Err(Problem::new(Code::Forbidden, "an agent has no duty")),
    }
}

fn voter(caller: Caller) -> Result<SignedIn, Problem> {
    let person = person(caller)?;
    match person.scope {
        Scope::ReviewVote => Ok(person),
        Scope::ReviewRead => Err(Problem::new(Code::Forbidden, "the token may only read; mint one with `review:vote`")),
    }
}

fn wish(body: NewDuty) -> Result<Wish, Problem> {
    let time = |name: &str, text: &str| -> Result<Timestamp, Problem> {
        let malformed = |_| Problem::new(Code::BadRequest, format!("`{name}` is no time; write RFC 3339"));
        text.parse().map_err(malformed)
    };
    if body.groups.len() > GROUPS_MAX {
        return Err(Problem::new(Code::BadRequest, format!("at most {GROUPS_MAX} groups")));
    }
    let from = body.from.as_deref().map(|text| time("from", text)).transpose()?;
    Ok(Wish { deputy: body.deputy, groups: body.groups, from, until: time("until", &body.until)? })
}

fn view(gate: &Gate, duty: &Duty, now: Timestamp) -> DutyView {
    let people = gate.roster.current();
    let name = |id: &PersonId| people.people.persons.get(id).map_or_else(|| id.to_string(), |facts| facts.name.clone());
    DutyView {
        id: duty.id.clone(),
        of: name(&duty.of),
        deputy: name(&duty.deputy),
        groups: duty.groups.clone(),
        from: duty.from.to_string(),
        until: duty.until.to_string(),
        in_force: duty.from <= now && now < duty.until,
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Invalid(_) => Code::BadRequest,
            Error::Stale => Code::SignInAgain,
            Error::NotYours => Code::NotFound,
            Error::Store(_) => Code::RecordUnavailable,
        };
        Self::new(code, error.to_string())
    }
}
