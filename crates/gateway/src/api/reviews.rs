//! Reviews: list, look, vote, withdraw. Votes go through [`resolve`] and nothing here decides about them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use countersign_core::action::{ActionDigest, CardDigest, ReviewId, Timestamp};
use countersign_core::review::attention::Attention;
use countersign_core::review::{Review, Verdict};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Shared;
use super::extract::{Id, JsonBody, Known, Params};
use super::problem::{Problem, ProblemBody};
use super::views::{self, ReviewView};
use crate::codes::Code;
use crate::gate::Gate;
use crate::identity::passkeys::{Assertion, RequestOptions};
use crate::ports::{ReviewFilter, Versioned};
use crate::resolve::{self, Denied, VoteRequest};

/// The most reviews in one answer.
const LIST_MAX: u32 = 500;
/// Reviews in one answer when nothing is said.
const LIST_DEFAULT: u32 = 100;
/// How many reviews are looked through for those of one agent.
pub(super) const LOOK_THROUGH_MAX: u32 = 2_000;

/// Which reviews.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// `open` (the default; oldest first), `closed` or `all` (newest first).
    #[serde(default)]
    #[param(inline)]
    state: StateFilter,
    /// At most so many, 1 to 500; 100 when absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// Reviews by state.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum StateFilter {
    #[default]
    Open,
    Closed,
    All,
}

/// A list of reviews.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Reviews {
    reviews: Vec<ReviewView>,
}

/// What a reviewer says, and about what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewVote)]
pub(super) struct VoteBody {
    verdict: VerdictBody,
    /// Why; at most 2,000 bytes. Some policies require one.
    reason: Option<String>,
    /// The `action_digest` of the review that was looked at.
    #[schema(example = "sha256:…")]
    action_digest: String,
    /// The `card_digest` of the review that was looked at.
    #[schema(example = "sha256:…")]
    card_digest: String,
    /// Approve the like of it too, where policy allows it: the review's `pattern` says what may vary.
    pattern: Option<super::patterns::WishBody>,
    /// A passkey's signature over exactly this vote: what the browser's `PublicKeyCredential.toJSON()` gave for the
    /// challenge. Some policies require one.
    #[schema(value_type = Option<Object>)]
    assertion: Option<Box<Assertion>>,
}

/// What must be signed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VoteChallenge {
    /// For `PublicKeyCredential.parseRequestOptionsFromJSON()`.
    #[schema(value_type = Object)]
    public_key: RequestOptions,
    /// Until when the signed vote must have arrived.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

impl From<resolve::Asked> for VoteChallenge {
    fn from(asked: resolve::Asked) -> Self {
        Self { public_key: asked.options, expires_at: asked.expires_at }
    }
}

/// Let it run, or stop it.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Verdict)]
pub(super) enum VerdictBody {
    Approve,
    Reject,
}

impl From<VerdictBody> for Verdict {
    fn from(said: VerdictBody) -> Self {
        match said {
            VerdictBody::Approve => Verdict::Approve,
            VerdictBody::Reject => Verdict::Reject,
        }
    }
}

/// List reviews
///
/// Reviewers, auditors and administrators read all of them; other people those of their own side, an agent's key its own.
#[utoipa::path(get, path = "/api/v1/reviews", operation_id = "list_reviews", tag = "reviews", params(ListQuery),
    security(("token" = []), ("session" = [])),
    responses(
        (status = 200, description = "Reviews", body = Reviews),
        (status = 400, response = super::document::BadRequest),
        (status = 401, response = super::document::Unauthenticated),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn list(
    State(api): State<Shared>,
    Known(caller): Known,
    Params(query): Params<ListQuery>,
) -> Result<Json<Reviews>, Problem> {
    let limit = limit(query.limit, LIST_DEFAULT, LIST_MAX)?;
    let filter = match query.state {
        StateFilter::Open => ReviewFilter::Open,
        StateFilter::Closed => ReviewFilter::Closed,
        StateFilter::All => ReviewFilter::All,
    };
    let read = if caller.reads_all() { limit } else { LOOK_THROUGH_MAX };
    let found = api.gate.store.reviews(filter, read).await?;
    let mine = found.iter().filter(|review| caller.reads(&review.matter().described)).take(limit as usize);
    let mine: Vec<&Review> = mine.collect();
    let moment = api.gate.moment();
    let views = views(&api.gate, &mine).await?.into_iter().zip(&mine);
    Ok(Json(Reviews { reviews: views.map(|(view, review)| view.told_to(&moment, review, &caller)).collect() }))
}

/// Look at a review
#[utoipa::path(get, path = "/api/v1/reviews/{id}", operation_id = "show_review", tag = "reviews",
    params(("id" = String, Path, description = "The review's id")),
    security(("token" = []), ("session" = [])),
    responses(
        (status = 200, description = "The review", body = ReviewView),
        (status = 401, response = super::document::Unauthenticated),
        (status = 404, response = super::document::NotFound),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn show(
    State(api): State<Shared>,
    Known(caller): Known,
    Id(id): Id,
) -> Result<Json<ReviewView>, Problem> {
    let found = find(&api.gate, &id).await?.filter(|found| caller.reads(&found.review.matter().described));
    let found = found.ok_or_else(|| Problem::absent("review", &id))?;
    let view = view(&api.gate, &found.review).await?;
    Ok(Json(view.told_to(&api.gate.moment(), &found.review, &caller)))
}

/// Vote on a review
///
/// The digests are those of the review that was looked at; a vote on anything else is refused. Nobody on the requester's
/// side can vote, by any account or token. A vote that is not accepted is recorded.
#[utoipa::path(post, path = "/api/v1/reviews/{id}/votes", operation_id = "vote", tag = "reviews",
    params(("id" = String, Path, description = "The review's id")),
    request_body = VoteBody,
    security(("token" = [])),
    responses(
        (status = 201, description = "The vote counts; the review as it stands now", body = ReviewView),
        (status = 400, description = "`bad_request`, `reason_invalid`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, description = "`self_approval`, `not_a_reviewer`, `passkey_required`, `passkey_refused`,
            `pattern_refused`, `forbidden`",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, response = super::document::NotFound),
        (status = 409, description = "`review_closed`, `voted_already`, `digest_mismatch`, `challenge_void`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 413, description = "`too_large`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "`bad_request`: the body is not JSON", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn vote(
    State(api): State<Shared>,
    Known(caller): Known,
    Id(id): Id,
    JsonBody(body): JsonBody<VoteBody>,
) -> Result<(StatusCode, Json<ReviewView>), Problem> {
    let vote = parse(body)?;
    let id = ReviewId::new(id);
    let gate = Arc::clone(&api.gate);
    let review = finish(async move { resolve::cast(&gate, &id, &caller, vote).await }).await?;
    Ok((StatusCode::CREATED, Json(view(&api.gate, &review).await?)))
}

/// Ask what a passkey must sign for a vote
///
/// The challenge is the SHA-256 of a statement of exactly this vote: person, review, verdict, digests, reason. It is good
/// for one vote, for two minutes. Send the same body to `votes` with the browser's answer as `assertion`.
#[utoipa::path(post, path = "/api/v1/reviews/{id}/votes/challenge", operation_id = "vote_challenge", tag = "reviews",
    params(("id" = String, Path, description = "The review's id")),
    request_body = VoteBody,
    security(("token" = [])),
    responses(
        (status = 200, description = "What to sign", body = VoteChallenge),
        (status = 400, description = "`bad_request`, `reason_invalid`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, description = "`self_approval`, `not_a_reviewer`, `passkey_required`, `forbidden`",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, response = super::document::NotFound),
        (status = 409, description = "`review_closed`, `voted_already`, `digest_mismatch`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 413, description = "`too_large`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "`bad_request`: the body is not JSON", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 501, description = "`passkeys_unavailable`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn challenge(
    State(api): State<Shared>,
    Known(caller): Known,
    Id(id): Id,
    JsonBody(body): JsonBody<VoteBody>,
) -> Result<Json<VoteChallenge>, Problem> {
    let asked = resolve::challenge(&api.gate, &ReviewId::new(id), &caller, &parse(body)?).await?;
    Ok(Json(VoteChallenge::from(asked)))
}

/// Withdraw a review
///
/// The requester, or the person behind it, takes it back; the waiting call is refused. A body is not read.
#[utoipa::path(post, path = "/api/v1/reviews/{id}/withdraw", operation_id = "withdraw_review", tag = "reviews",
    params(("id" = String, Path, description = "The review's id")),
    security(("token" = [])),
    responses(
        (status = 200, description = "The review, withdrawn", body = ReviewView),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, response = super::document::Forbidden),
        (status = 404, response = super::document::NotFound),
        (status = 409, description = "`review_closed`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn withdraw(
    State(api): State<Shared>,
    Known(caller): Known,
    Id(id): Id,
) -> Result<Json<ReviewView>, Problem> {
    let id = ReviewId::new(id);
    let gate = Arc::clone(&api.gate);
    let review = finish(async move { resolve::withdraw(&gate, &id, &caller).await }).await?;
    Ok(Json(view(&api.gate, &review).await?))
}

/// Take one's vote back
///
/// While the review is open, one may vote again. An approval that was not used is voided.
#[utoipa::path(delete, path = "/api/v1/reviews/{id}/votes", operation_id = "retract_vote", tag = "reviews",
    params(("id" = String, Path, description = "The review's id")),
    security(("token" = [])),
    responses(
        (status = 200, description = "The review, without the vote or with its approval voided", body = ReviewView),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, response = super::document::Forbidden),
        (status = 404, response = super::document::NotFound),
        (status = 409, description = "`review_closed`: something came of it already", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn retract(
    State(api): State<Shared>,
    Known(caller): Known,
    Id(id): Id,
) -> Result<Json<ReviewView>, Problem> {
    let id = ReviewId::new(id);
    let gate = Arc::clone(&api.gate);
    let review = finish(async move { resolve::retract(&gate, &id, &caller).await }).await?;
    Ok(Json(view(&api.gate, &review).await?))
}

/// Runs a change to its end even when the caller leaves: one that is stored must also wake those who wait for it.
pub(super) async fn finish(
    change: impl Future<Output = Result<Review, Denied>> + Send + 'static,
) -> Result<Review, Problem> {
    match tokio::spawn(change).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(Problem::internal()), // it panicked: the panic hook has logged it
    }
}

fn parse(body: VoteBody) -> Result<VoteRequest, Problem> {
    let (action, card) = digests(&body.action_digest, &body.card_digest)?;
    let verdict = body.verdict.into();
    let pattern = body.pattern.map(TryInto::try_into).transpose()?;
    Ok(VoteRequest { verdict, reason: body.reason, action, card, pattern, assertion: body.assertion, callback: None })
}

/// The digests of what was looked at.
pub(super) fn digests(action: &str, card: &str) -> Result<(ActionDigest, CardDigest), Problem> {
    let malformed = |field: &str| {
        let detail =
            format!("`{field}` is not a digest: write `sha256:` and 64 hexadecimal digits, as the review shows it");
        Problem::new(Code::BadRequest, detail)
    };
    let action = action.parse().map_err(|_| malformed("action_digest"))?;
    Ok((action, card.parse().map_err(|_| malformed("card_digest"))?))
}

async fn find(gate: &Gate, id: &str) -> Result<Option<Versioned>, Problem> {
    Ok(gate.store.review(&ReviewId::new(id)).await?)
}

/// A review, as it stands.
pub(super) async fn view(gate: &Gate, review: &Review) -> Result<ReviewView, Problem> {
    shown(gate, review, &resolve::attention(gate, &review.matter().id).await?)
}

/// Several of them.
pub(super) async fn views(gate: &Gate, reviews: &[&Review]) -> Result<Vec<ReviewView>, Problem> {
    let ids = reviews.iter().map(|review| review.matter().id.clone()).collect();
    let attentions = gate.store.attentions(ids).await?;
    let none = Attention::default();
    reviews.iter().map(|review| shown(gate, review, attentions.get(&review.matter().id).unwrap_or(&none))).collect()
}

fn shown(gate: &Gate, review: &Review, attention: &Attention) -> Result<ReviewView, Problem> {
    views::review(gate, review, attention).map_err(|error| Problem::new(Code::RecordUnavailable, error.to_string()))
}

/// A limit within its range.
pub(super) fn limit(given: Option<u32>, default: u32, max: u32) -> Result<u32, Problem> {
    match given {
        None => Ok(default),
        Some(limit) if (1..=max).contains(&limit) => Ok(limit),
        Some(limit) => Err(Problem::new(Code::BadRequest, format!("`limit` is {limit}; use 1 to {max}"))),
    }
}
