//! The callback of a webhook's event: what a person decided, handed on by whoever received the event.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use countersign_core::action::ReviewId;
use serde::Deserialize;
use utoipa::ToSchema;

use super::Shared;
use super::extract::{Id, JsonBody, Known};
use super::problem::{Problem, ProblemBody};
use super::reviews::{VerdictBody, finish, view};
use super::views::ReviewView;
use crate::resolve;

/// What somebody decided on an event.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewDecision)]
pub(super) struct DecisionBody {
    /// `data.decision.token` of the event, as it came.
    token: String,
    verdict: VerdictBody,
    /// Why; at most 2,000 bytes. Some policies require one.
    reason: Option<String>,
}

/// Decide by the callback of an event
///
/// For receivers of webhooks: the bearer token is that of the person who decided, the event's token says what they were shown. The
/// vote is judged as any other; of those that name one event, one counts.
#[utoipa::path(post, path = "/api/v1/reviews/{id}/decision", operation_id = "decide_by_callback", tag = "reviews",
    params(("id" = String, Path, description = "The review's id")),
    request_body = DecisionBody,
    security(("token" = [])),
    responses(
        (status = 201, description = "The vote counts; the review as it stands now", body = ReviewView),
        (status = 400, description = "`bad_request`, `reason_invalid`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, description = "`callback_invalid`, `self_approval`, `not_a_reviewer`, `passkey_required`, `forbidden`",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, response = super::document::NotFound),
        (status = 409, description = "`callback_used`, `review_closed`, `voted_already`, `digest_mismatch`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 410, description = "`callback_expired`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "`too_large`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "`bad_request`: the body is not JSON", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn decide(
    State(api): State<Shared>,
    Known(caller): Known,
    Id(id): Id,
    JsonBody(body): JsonBody<DecisionBody>,
) -> Result<(StatusCode, Json<ReviewView>), Problem> {
    let (id, gate) = (ReviewId::new(id), Arc::clone(&api.gate));
    let DecisionBody { token, verdict, reason } = body;
    let said = (verdict.into(), reason);
    let review = finish(async move { resolve::answer(&gate, &id, caller, &token, said).await }).await?;
    Ok((StatusCode::CREATED, Json(view(&api.gate, &review).await?)))
}
