//! What cards hide: revealed to whoever could decide, or compared with what they expect. [`resolve`] decides about both.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use countersign_core::action::ReviewId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Shared;
use super::extract::{Id, JsonBody, Known};
use super::problem::{Problem, ProblemBody};
use super::views::HiddenView;
use crate::resolve::{self, Revealed};

/// Which hidden values to show.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewReveal)]
pub(super) struct RevealBody {
    /// The placeholders' marks, such as `email 1`; all of the card's when there is none.
    #[serde(default)]
    marks: BTreeSet<String>,
}

/// Hidden values, shown to the caller.
#[derive(Serialize, ToSchema)]
#[schema(as = Revealed)]
pub(super) struct RevealedBody {
    values: Vec<RevealedView>,
}

/// One hidden value, shown to the caller.
#[derive(Serialize, ToSchema)]
#[schema(as = RevealedValue)]
pub(super) struct RevealedView {
    #[serde(flatten)]
    hidden: HiddenView,
    /// The value, as the statement has it.
    value: String,
}

/// What a hidden value is expected to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewComparison)]
pub(super) struct CompareBody {
    /// The placeholder's mark, such as `email 1`.
    mark: String,
    /// What it should be, to the last character; at most 16 KiB.
    expected: String,
}

/// Whether a hidden value is what was expected.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Comparison)]
pub(super) struct ComparedBody {
    mark: String,
    equal: bool,
}

/// Reveal what a card hides
///
/// To somebody who could decide the review; never to the requester's side. The record says who was shown which placeholders,
/// not what stood behind them.
#[utoipa::path(post, path = "/api/v1/reviews/{id}/reveal", operation_id = "reveal", tag = "reviews",
    params(("id" = String, Path, description = "The review's id")),
    request_body = RevealBody,
    security(("token" = [])),
    responses(
        (status = 200, description = "The values, in this answer alone", body = RevealedBody),
        (status = 400, response = super::document::BadRequest),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, description = "`self_approval`, `not_a_reviewer`, `passkey_required`, `forbidden`",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, response = super::document::NotFound),
        (status = 409, description = "`review_closed`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn reveal(
    State(api): State<Shared>,
    Known(caller): Known,
    Id(id): Id,
    JsonBody(body): JsonBody<RevealBody>,
) -> Result<Json<RevealedBody>, Problem> {
    let revealed = resolve::reveal(&api.gate, &ReviewId::new(id), &caller, &body.marks).await?;
    let view = |Revealed { hidden, value }: &Revealed| RevealedView {
        hidden: HiddenView::from(hidden),
        value: value.to_string(),
    };
    Ok(Json(RevealedBody { values: revealed.iter().map(view).collect() }))
}

/// Compare what a card hides with what is expected
///
/// Five times for one value and person; only an equal answer stands for having looked at it. Recorded, without the values.
#[utoipa::path(post, path = "/api/v1/reviews/{id}/compare", operation_id = "compare", tag = "reviews",
    params(("id" = String, Path, description = "The review's id")),
    request_body = CompareBody,
    security(("token" = [])),
    responses(
        (status = 200, description = "Whether it is the same", body = ComparedBody),
        (status = 400, response = super::document::BadRequest),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, description = "`self_approval`, `not_a_reviewer`, `passkey_required`, `forbidden`",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, response = super::document::NotFound),
        (status = 409, description = "`review_closed`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "`compared_too_often`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn compare(
    State(api): State<Shared>,
    Known(caller): Known,
    Id(id): Id,
    JsonBody(body): JsonBody<CompareBody>,
) -> Result<Json<ComparedBody>, Problem> {
    let CompareBody { mark, expected } = body;
    let equal = resolve::compare(&api.gate, &ReviewId::new(id), &caller, &mark, &expected).await?;
    Ok(Json(ComparedBody { mark, equal }))
}
