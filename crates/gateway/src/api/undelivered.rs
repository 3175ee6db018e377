//! What could not be told at the places where it should stand, and asking for another try.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use countersign_core::action::ReviewId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Shared;
use super::extract::{JsonBody, Known};
use super::problem::Problem;
use crate::codes::Code;
use crate::gate::Change;
use crate::identity::Caller;
use crate::ports::{Destination, Posting, Scope, StoreError};

/// The most that are listed.
const LISTED_MAX: u32 = 500;

/// What fails or was given up.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UndeliveredList {
    /// Those of the newest reviews first; at most 500.
    undelivered: Vec<UndeliveredView>,
}

/// A review that could not be told of, or not as it stands now, at one place.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Undelivered)]
pub(super) struct UndeliveredView {
    review: String,
    /// Where: `slack:#approvals`.
    place: String,
    /// Attempts that failed in a row.
    failed: u32,
    /// Why the last one did.
    error: Option<String>,
    /// Given up: nothing is tried any more until somebody asks for it.
    dead: bool,
    /// Whether an older state of the review stands there.
    stands: bool,
}

/// What to try again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Retry {
    /// The review's id.
    review: String,
    /// The place.
    place: String,
}

/// List what could not be told
///
/// Messages about reviews that fail, or were given up after two hours. The reviews themselves wait in the console. For
/// people who read what others asked for.
#[utoipa::path(get, path = "/api/v1/undelivered", operation_id = "list_undelivered", tag = "operation",
    security(("token" = []), ("session" = [])),
    responses(
        (status = 200, description = "What fails", body = UndeliveredList),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, response = super::document::Forbidden),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn list(State(api): State<Shared>, Known(caller): Known) -> Result<Json<UndeliveredList>, Problem> {
    reader(&caller)?;
    let undelivered = api.gate.store.undelivered(LISTED_MAX).await?.into_iter().map(view).collect();
    Ok(Json(UndeliveredList { undelivered }))
}

/// Try to tell it again
///
/// At once, as often as any other: it brings the message up to date and decides nothing.
#[utoipa::path(post, path = "/api/v1/undelivered/retry", operation_id = "retry_undelivered", tag = "operation",
    request_body = Retry, security(("token" = [])),
    responses(
        (status = 204, description = "It is tried"),
        (status = 400, response = super::document::BadRequest),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, response = super::document::Forbidden),
        (status = 404, response = super::document::NotFound),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn retry(
    State(api): State<Shared>,
    Known(caller): Known,
    JsonBody(body): JsonBody<Retry>,
) -> Result<StatusCode, Problem> {
    reader(&caller)?;
    if matches!(&caller, Caller::Person(person) if person.scope < Scope::ReviewVote) {
        return Err(Problem::new(Code::Forbidden, "the token may only read; mint one with `review:vote`"));
    }
    let place: Destination = body.place.parse().map_err(|error: String| Problem::new(Code::BadRequest, error))?;
    match api.gate.store.retry(&ReviewId::new(&*body.review), &place).await {
        Ok(()) => {
            api.gate.changes.tell(Change::Review);
            Ok(StatusCode::NO_CONTENT)
        }
        Err(StoreError::NotFound(_)) => {
            Err(Problem::new(Code::NotFound, format!("review `{}` is not told of at `{place}`", body.review)))
        }
        Err(error) => Err(error.into()),
    }
}

fn reader(caller: &Caller) -> Result<(), Problem> {
    match caller.reads_all() {
        true => Ok(()),
        false => Err(Problem::new(Code::Forbidden, "only who reads what others asked for sees what could not be told")),
    }
}

fn view(posting: Posting) -> UndeliveredView {
    UndeliveredView {
        review: posting.review.to_string(),
        place: posting.place.to_string(),
        failed: posting.failed,
        error: posting.error,
        dead: posting.dead,
        stands: posting.message.is_some(),
    }
}
