//! Break-glass, and what has to follow it: who broke the glass, and who looked at it afterwards.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use countersign_core::action::ReviewId;
use countersign_core::review::{Judgement, Review, SignOff};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Shared;
use super::extract::{Id, JsonBody, Known, Params};
use super::problem::{Problem, ProblemBody};
use super::reviews::{self, LOOK_THROUGH_MAX};
use super::views::ReviewView;
use crate::identity::passkeys::Assertion;
use crate::ports::{FollowUp, Use};
use crate::resolve::{self, BreakRequest};

/// The most follow-ups in one answer.
const LIST_MAX: u32 = 500;
/// Follow-ups in one answer when nothing is said.
const LIST_DEFAULT: u32 = 100;

/// Why the glass is broken, and on what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewBreakGlass)]
pub(super) struct BreakBody {
    /// Why; at most 2,000 bytes. Everybody who was asked reads it.
    reason: String,
    /// The `action_digest` of the review that was looked at.
    #[schema(example = "sha256:…")]
    action_digest: String,
    /// The `card_digest` of the review that was looked at.
    #[schema(example = "sha256:…")]
    card_digest: String,
    /// A passkey's signature over exactly this: what the browser's `PublicKeyCredential.toJSON()` gave for the challenge.
    /// Some policies require one.
    #[schema(value_type = Option<Object>)]
    assertion: Option<Box<Assertion>>,
}

/// Which follow-ups.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// `open` (the default; those to be done, oldest first) or `all` (newest first).
    #[serde(default)]
    #[param(inline)]
    state: StateFilter,
    /// At most so many, 1 to 500; 100 when absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// Follow-ups by state.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = FollowUpState)]
pub(super) enum StateFilter {
    #[default]
    Open,
    All,
}

/// A list of follow-ups.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FollowUps {
    follow_ups: Vec<FollowUpView>,
}

/// A broken glass, and what was found of it since.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FollowUp)]
pub(super) struct FollowUpView {
    /// `open` while it is to be done, then `justified` or `not_justified`.
    #[schema(example = "open")]
    state: &'static str,
    /// What became of the approval: `unused`, `used`, `voided` or `ended`.
    approval: &'static str,
    /// The attempt that used it.
    #[schema(required = true)]
    used_by: Option<String>,
    /// The sign-off, once there is one.
    #[schema(required = true)]
    sign_off: Option<SignOffView>,
    /// The review whose glass was broken; `glass_broken` in it says by whom and why.
    review: ReviewView,
}

/// Who looked at it, and what they found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SignOff)]
pub(super) struct SignOffView {
    /// Their name.
    person: String,
    /// `justified` or `not_justified`.
    verdict: &'static str,
    note: String,
    /// RFC 3339.
    at: String,
}

/// What somebody found.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSignOff)]
pub(super) struct SignOffBody {
    verdict: JudgementBody,
    /// What was looked at and found; at most 2,000 bytes.
    note: String,
}

/// Right, or not.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Judgement)]
pub(super) enum JudgementBody {
    Justified,
    NotJustified,
}

/// Break the glass on a review
///
/// One person lets the action run once, without those who were asked, where a policy makes that exception
/// (`context.breakGlass`) and another lets this person use it (`Action::"break-glass"`). It takes a second factor of the
/// last 15 minutes. Everybody who was asked is told, and somebody of them has to look at it afterwards (`follow-ups`).
#[utoipa::path(post, path = "/api/v1/reviews/{id}/break-glass", operation_id = "break_glass", tag = "reviews",
    params(("id" = String, Path, description = "The review's id")),
    request_body = BreakBody,
    security(("token" = [])),
    responses(
        (status = 201, description = "The glass is broken; the review as it stands now", body = ReviewView),
        (status = 400, description = "`bad_request`, `reason_invalid`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, description = "`self_approval`, `no_break_glass`, `sign_in_again`, `passkey_required`,
            `passkey_refused`, `forbidden`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, response = super::document::NotFound),
        (status = 409, description = "`review_closed`, `digest_mismatch`, `challenge_void`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn break_glass(
    State(api): State<Shared>,
    Known(caller): Known,
    Id(id): Id,
    JsonBody(body): JsonBody<BreakBody>,
) -> Result<(StatusCode, Json<ReviewView>), Problem> {
    let (action, card) = reviews::digests(&body.action_digest, &body.card_digest)?;
    let (id, gate) = (ReviewId::new(id), Arc::clone(&api.gate));
    let request = BreakRequest { reason: body.reason, action, card, assertion: body.assertion };
    let review = reviews::finish(async move { resolve::break_glass(&gate, &id, &caller, &request).await }).await?;
    Ok((StatusCode::CREATED, Json(reviews::view(&api.gate, &review).await?)))
}

/// Ask what a passkey must sign to break the glass
///
/// The challenge is the SHA-256 of a statement of exactly this: person, review, `break`, digests, reason. It is good once,
/// for two minutes. Send the same body to `break-glass` with the browser's answer as `assertion`.
#[utoipa::path(post, path = "/api/v1/reviews/{id}/break-glass/challenge", operation_id = "break_glass_challenge",
    tag = "reviews", params(("id" = String, Path, description = "The review's id")),
    request_body = BreakBody,
    security(("token" = [])),
    responses(
        (status = 200, description = "What to sign", body = reviews::VoteChallenge),
        (status = 400, description = "`bad_request`, `reason_invalid`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, description = "`self_approval`, `no_break_glass`, `sign_in_again`, `passkey_required`, `forbidden`",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, response = super::document::NotFound),
        (status = 409, description = "`review_closed`, `digest_mismatch`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 501, description = "`passkeys_unavailable`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn challenge(
    State(api): State<Shared>,
    Known(caller): Known,
    Id(id): Id,
    JsonBody(body): JsonBody<BreakBody>,
) -> Result<Json<reviews::VoteChallenge>, Problem> {
    let (action, card) = reviews::digests(&body.action_digest, &body.card_digest)?;
    let request = BreakRequest { reason: body.reason, action, card, assertion: None };
    let asked = resolve::break_challenge(&api.gate, &ReviewId::new(id), &caller, &request).await?;
    Ok(Json(reviews::VoteChallenge::from(asked)))
}

/// List broken glass that has to be looked at
///
/// One is there from the moment the glass is broken, whether or not anything ever ran.
#[utoipa::path(get, path = "/api/v1/follow-ups", operation_id = "list_follow_ups", tag = "reviews", params(ListQuery),
    security(("token" = []), ("session" = [])),
    responses(
        (status = 200, description = "Follow-ups", body = FollowUps),
        (status = 400, response = super::document::BadRequest),
        (status = 401, response = super::document::Unauthenticated),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn list(
    State(api): State<Shared>,
    Known(caller): Known,
    Params(query): Params<ListQuery>,
) -> Result<Json<FollowUps>, Problem> {
    let limit = reviews::limit(query.limit, LIST_DEFAULT, LIST_MAX)?;
    let all = matches!(query.state, StateFilter::All);
    let read = if caller.reads_all() { limit } else { LOOK_THROUGH_MAX };
    let found = api.gate.store.follow_ups(all, api.gate.scribe.now(), read).await?;
    let mine = found.iter().filter(|found| caller.reads(&found.review.matter().described)).take(limit as usize);
    let mine: Vec<&FollowUp> = mine.collect();
    let reviews: Vec<&Review> = mine.iter().map(|found| &found.review).collect();
    let reviews = reviews::views(&api.gate, &reviews).await?;
    Ok(Json(FollowUps {
        follow_ups: mine.into_iter().zip(reviews).map(|(found, review)| view(found, review)).collect(),
    }))
}

/// Sign off a broken glass
///
/// By somebody of a group that had been asked, who neither broke it nor stands on the requester's side.
#[utoipa::path(post, path = "/api/v1/follow-ups/{id}", operation_id = "sign_off", tag = "reviews",
    params(("id" = String, Path, description = "The review's id")),
    request_body = SignOffBody,
    security(("token" = [])),
    responses(
        (status = 200, description = "The follow-up, done", body = FollowUpView),
        (status = 400, description = "`bad_request`, `reason_invalid`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, description = "`self_approval`, `not_a_reviewer`, `forbidden`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 404, response = super::document::NotFound),
        (status = 409, description = "`follow_up_done`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn sign_off(
    State(api): State<Shared>,
    Known(caller): Known,
    Id(id): Id,
    JsonBody(body): JsonBody<SignOffBody>,
) -> Result<Json<FollowUpView>, Problem> {
    let judgement = match body.verdict {
        JudgementBody::Justified => Judgement::Justified,
        JudgementBody::NotJustified => Judgement::NotJustified,
    };
    let done = resolve::sign_off(&api.gate, &ReviewId::new(id), &caller, judgement, &body.note).await?;
    let review = reviews::view(&api.gate, &done.review).await?;
    Ok(Json(view(&done, review)))
}

fn view(found: &FollowUp, review: ReviewView) -> FollowUpView {
    let used_by = match &found.used {
        Use::Used(action) => Some(action.to_string()),
        Use::Unused | Use::Voided | Use::Ended => None,
    };
    FollowUpView {
        state: found.done.as_ref().map_or("open", |done| done.judgement.name()),
        approval: found.used.name(),
        used_by,
        sign_off: found.done.as_ref().map(sign_off_view),
        review,
    }
}

fn sign_off_view(done: &SignOff) -> SignOffView {
    SignOffView {
        person: done.name.clone(),
        verdict: done.judgement.name(),
        note: done.note.clone(),
        at: done.at.to_string(),
    }
}
