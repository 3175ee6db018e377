//! Patterns that people approved: list, look, end. Votes that name one are `reviews`' business.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use countersign_core::action::PatternId;
use countersign_core::pattern::{Bound, Choice, Limits, Shape, Wish};
use countersign_core::review::{Review, Verdict};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Shared;
use super::extract::{Id, Known, Params};
use super::problem::{Problem, ProblemBody};
use super::reviews::limit;
use crate::codes::Code;
use crate::gate::Gate;
use crate::identity::Caller;
use crate::ports::{Attempt, KeptPattern};
use crate::resolve::pattern as patterns;

/// The most patterns in one answer, and how many are looked through.
const LIST_MAX: u32 = 200;
/// Uses of one pattern in an answer: as many as one can have.
const USES_MAX: u32 = 1_000;

/// What of the like of an action a vote approves too.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPattern)]
pub(super) struct WishBody {
    /// At most so many executions, this one included; as many as policy allows when absent.
    uses: Option<u32>,
    /// For at most so many seconds; as long as policy allows when absent.
    seconds: Option<u32>,
    /// How far values may vary, by their number: `same`, `any`, or a range such as `10..20`. What is not named stays the same.
    #[serde(default)]
    #[schema(example = json!({"2": "10..20"}))]
    values: BTreeMap<u32, String>,
}

impl TryFrom<WishBody> for Wish {
    type Error = Problem;

    fn try_from(body: WishBody) -> Result<Self, Problem> {
        let read = |(number, text): (u32, String)| match patterns::read_bound(&text) {
            Some(bound) => Ok((number, bound)),
            None => {
                let detail = format!("`pattern.values.{number}` is `{text}`; write `same`, `any` or `10..20`");
                Err(Problem::new(Code::BadRequest, detail))
            }
        };
        let values = body.values.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { uses: body.uses, seconds: body.seconds, values })
    }
}

/// What of an action can be approved besides this once.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PatternOffer)]
pub(super) struct OfferView {
    /// The statement, a number in the place of each value: `‹1›`.
    text: String,
    values: Vec<OfferedValue>,
    /// The most executions that policy allows.
    uses_max: u32,
    /// The longest time that policy allows, in seconds.
    seconds_max: u32,
}

/// One value of a statement.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OfferedValue {
    number: usize,
    /// The value that was asked for, redacted.
    value: String,
    /// Whether it may be any integer of a range.
    range: bool,
    /// Whether it may be anything.
    any: bool,
}

impl OfferView {
    pub(super) fn new(shape: &Shape, most: Limits) -> Self {
        let value = |(at, value): (usize, &countersign_core::pattern::Value)| OfferedValue {
            number: at + 1,
            value: value.shown.clone(),
            range: value.integer.is_some(),
            any: value.free,
        };
        Self {
            text: shape.text.clone(),
            values: shape.values.iter().enumerate().map(value).collect(),
            uses_max: most.uses,
            seconds_max: most.seconds,
        }
    }
}

/// What a vote let vary.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PatternChoice)]
pub(super) struct ChoiceView {
    /// How far each value may vary, by its number: `same`, `any`, or a range such as `10..20`.
    values: BTreeMap<usize, String>,
    uses: u32,
    seconds: u32,
}

impl From<&Choice> for ChoiceView {
    fn from(choice: &Choice) -> Self {
        let values = choice.bounds.iter().enumerate().map(|(at, bound)| (at + 1, written(bound))).collect();
        Self { values, uses: choice.limits.uses, seconds: choice.limits.seconds }
    }
}

fn written(bound: &Bound) -> String {
    match bound {
        Bound::Same => "same".to_owned(),
        Bound::Range { from, to } => format!("{from}..{to}"),
        Bound::Any => "any".to_owned(),
    }
}

/// Which patterns.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// `true`: those that are over too.
    #[serde(default)]
    all: bool,
    /// At most so many, 1 to 200; 200 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// A list of patterns.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Patterns {
    /// Newest first.
    patterns: Vec<PatternView>,
}

/// A pattern that people approved.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Pattern)]
pub(super) struct PatternView {
    id: String,
    /// `active`, `revoked`, `used_up` or `expired`.
    #[schema(example = "active")]
    state: &'static str,
    /// The review it came from.
    review: String,
    requester: String,
    /// The person for whom it would be done.
    on_behalf_of: String,
    target: String,
    environment: String,
    /// The statement, a number in the place of each value.
    text: String,
    values: Vec<BoundView>,
    /// Who approved it.
    approved_by: Vec<String>,
    /// How often it was used.
    used: u32,
    uses_max: u32,
    /// The most rows that each use may change.
    #[schema(required = true)]
    rows_max: Option<u64>,
    /// RFC 3339.
    issued_at: String,
    /// RFC 3339.
    expires_at: String,
    /// What the votes name.
    #[schema(example = "sha256:…")]
    pattern_digest: String,
    /// What ran under it, oldest first; only when one pattern is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    uses: Option<Vec<UseView>>,
}

/// One value of a pattern.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PatternValue)]
pub(super) struct BoundView {
    number: usize,
    /// The value that was reviewed, redacted.
    value: String,
    /// `same`, `any`, or a range such as `10..20`.
    bound: String,
}

/// One use of a pattern.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PatternUse)]
pub(super) struct UseView {
    number: usize,
    /// The action that ran.
    action: String,
    status: String,
    /// RFC 3339.
    at: String,
}

/// List patterns
///
/// Those under which something may run now, newest first. Reviewers, auditors and administrators read all of them; other
/// people those of their own side, an agent's key its own.
#[utoipa::path(get, path = "/api/v1/patterns", operation_id = "list_patterns", tag = "reviews", params(ListQuery),
    security(("token" = []), ("session" = [])),
    responses(
        (status = 200, description = "Patterns", body = Patterns),
        (status = 400, response = super::document::BadRequest),
        (status = 401, response = super::document::Unauthenticated),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn list(
    State(api): State<Shared>,
    Known(caller): Known,
    Params(query): Params<ListQuery>,
) -> Result<Json<Patterns>, Problem> {
    let most = limit(query.limit, LIST_MAX, LIST_MAX)?;
    let good_at = (!query.all).then(|| api.gate.scribe.now());
    let mut seen = Vec::new();
    for kept in api.gate.store.patterns(good_at, LIST_MAX).await? {
        if let Some(review) = readable(&api.gate, &caller, &kept).await? {
            seen.push(view(&api.gate, &kept, &review, None));
        }
    }
    seen.truncate(most as usize);
    Ok(Json(Patterns { patterns: seen }))
}

/// Look at a pattern
#[utoipa::path(get, path = "/api/v1/patterns/{id}", operation_id = "show_pattern", tag = "reviews",
    params(("id" = String, Path, description = "The pattern's id")),
    security(("token" = []), ("session" = [])),
    responses(
        (status = 200, description = "The pattern, and what ran under it", body = PatternView),
        (status = 401, response = super::document::Unauthenticated),
        (status = 404, response = super::document::NotFound),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn show(
    State(api): State<Shared>,
    Known(caller): Known,
    Id(id): Id,
) -> Result<Json<PatternView>, Problem> {
    let pattern = PatternId::new(id.as_str());
    let absent = || Problem::absent("pattern", &id);
    let kept = api.gate.store.pattern(&pattern).await?.ok_or_else(absent)?;
    let review = readable(&api.gate, &caller, &kept).await?.ok_or_else(absent)?;
    let uses = api.gate.store.pattern_uses(&pattern, USES_MAX).await?;
    Ok(Json(view(&api.gate, &kept, &review, Some(uses))))
}

/// End a pattern
///
/// At once: nothing more runs under it. For whoever approved it, the requester's side, and administrators.
#[utoipa::path(delete, path = "/api/v1/patterns/{id}", operation_id = "revoke_pattern", tag = "reviews",
    params(("id" = String, Path, description = "The pattern's id")),
    security(("token" = [])),
    responses(
        (status = 200, description = "The pattern, ended", body = PatternView),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, response = super::document::Forbidden),
        (status = 404, response = super::document::NotFound),
        (status = 409, description = "`review_closed`: it is over already", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn revoke(
    State(api): State<Shared>,
    Known(caller): Known,
    Id(id): Id,
) -> Result<Json<PatternView>, Problem> {
    let kept = patterns::revoke(&api.gate, &PatternId::new(id.as_str()), &caller).await?;
    let review = readable(&api.gate, &caller, &kept).await?.ok_or_else(|| Problem::absent("pattern", &id))?;
    Ok(Json(view(&api.gate, &kept, &review, None)))
}

/// The review behind a pattern, if the caller may read it.
async fn readable(gate: &Gate, caller: &Caller, kept: &KeptPattern) -> Result<Option<Review>, Problem> {
    let review = gate.store.review(&kept.approved.review).await?.map(|found| found.review);
    Ok(review.filter(|review| caller.reads(&review.matter().described)))
}

fn view(gate: &Gate, kept: &KeptPattern, review: &Review, uses: Option<Vec<Attempt>>) -> PatternView {
    let (approved, request) = (&kept.approved, &review.matter().described);
    let bounds = approved.shape.values.iter().zip(&approved.choice.bounds).enumerate();
    let approvals = review.votes().iter().filter(|vote| vote.verdict == Verdict::Approve);
    PatternView {
        id: approved.id.to_string(),
        state: kept.state(gate.scribe.now()),
        review: approved.review.to_string(),
        requester: request.requester.name().to_owned(),
        on_behalf_of: request.on_behalf_of.name.clone(),
        target: request.target.name.clone(),
        environment: request.target.environment.name().to_owned(),
        text: approved.shape.text.clone(),
        values: bounds
            .map(|(at, (value, bound))| BoundView { number: at + 1, value: value.shown.clone(), bound: written(bound) })
            .collect(),
        approved_by: approvals.map(|vote| vote.name.clone()).collect(),
        used: kept.used,
        uses_max: approved.choice.limits.uses,
        rows_max: request.impact.rows_max,
        issued_at: approved.issued_at.to_string(),
        expires_at: approved.expires_at.to_string(),
        pattern_digest: approved.digest.to_string(),
        uses: uses.map(|uses| uses.iter().enumerate().map(use_view).collect()),
    }
}

fn use_view((at, attempt): (usize, &Attempt)) -> UseView {
    UseView {
        number: at + 1,
        action: attempt.id.to_string(),
        status: attempt.status.clone(),
        at: attempt.at.to_string(),
    }
}
