//! What was attempted: actions with effect, reviewed ones and refusals. Reads are in the log only.

use axum::Json;
use axum::extract::State;
use countersign_core::action::ActionId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Shared;
use super::extract::{Id, Known, Params};
use super::problem::Problem;
use super::reviews::{LOOK_THROUGH_MAX, limit};
use super::views::{self, ActionView};

/// The most actions in one answer.
const LIST_MAX: u32 = 500;
/// Actions in one answer when nothing is said.
const LIST_DEFAULT: u32 = 100;

/// How many.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// At most so many, 1 to 500; 100 when absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// A list of actions.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Actions {
    /// Newest first.
    actions: Vec<ActionView>,
}

/// List actions
///
/// Attempts with effect, reviewed ones and refusals, newest first. Reviewers, auditors and administrators
/// read all of them; other people those of their own side, an agent's key its own.
#[utoipa::path(get, path = "/api/v1/actions", operation_id = "list_actions", tag = "actions", params(ListQuery),
    security(("token" = []), ("session" = [])),
    responses(
        (status = 200, description = "Actions", body = Actions),
        (status = 400, response = super::document::BadRequest),
        (status = 401, response = super::document::Unauthenticated),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn list(
    State(api): State<Shared>,
    Known(caller): Known,
    Params(query): Params<ListQuery>,
) -> Result<Json<Actions>, Problem> {
    let limit = limit(query.limit, LIST_DEFAULT, LIST_MAX)?;
    let read = if caller.reads_all() { limit } else { LOOK_THROUGH_MAX };
    let found = api.gate.store.attempts(read).await?;
    let mine = found.iter().filter(|attempt| caller.reads(&attempt.described)).take(limit as usize);
    Ok(Json(Actions { actions: mine.map(views::action).collect() }))
}

/// Look at an action
#[utoipa::path(get, path = "/api/v1/actions/{id}", operation_id = "show_action", tag = "actions",
    params(("id" = String, Path, description = "The action's id")),
    security(("token" = []), ("session" = [])),
    responses(
        (status = 200, description = "The action", body = ActionView),
        (status = 401, response = super::document::Unauthenticated),
        (status = 404, response = super::document::NotFound),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn show(
    State(api): State<Shared>,
    Known(caller): Known,
    Id(id): Id,
) -> Result<Json<ActionView>, Problem> {
    let found = api.gate.store.attempt(&ActionId::new(id.as_str())).await?;
    let found =
        found.filter(|attempt| caller.reads(&attempt.described)).ok_or_else(|| Problem::absent("action", &id))?;
    Ok(Json(views::action(&found)))
}
