//! What was attempted: actions with effect, reviewed ones and refusals. Reads are in the log only.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use countersign_core::action::{ActionId, BundleDigest, Described, ReviewId};
use countersign_core::card::Card;
use countersign_core::policy::{Obligations, Quorum, Terms};
use countersign_core::review::{Review, Verdict, tokens};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;
use utoipa::{IntoParams, ToSchema};

use super::Shared;
use super::extract::{Id, Known, Params};
use super::problem::Problem;
use super::reviews::{LOOK_THROUGH_MAX, limit};
use super::views::{RequesterView, ResourceView, requester, resource};
use crate::codes::Code;
use crate::gate::Gate;
use crate::identity::Caller;
use crate::ports::Attempt;

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

/// The longest that a question about one action waits, in seconds: shorter than an answer may take.
const WAIT_SECONDS_MAX: u32 = 25;
/// The status of an action that hangs on an open review.
const WAITING: &str = "waiting";

/// For how long.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WaitQuery {
    /// Wait at most so many seconds for people to decide, 0 to 25; 0 when absent.
    #[param(minimum = 0, maximum = 25)]
    wait: Option<u32>,
}

/// A list of actions.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Actions {
    /// Newest first.
    actions: Vec<ActionView>,
}

/// An attempt at an action.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Action)]
pub(super) struct ActionView {
    id: String,
    /// `running`, `refused`, `succeeded`, `uncommitted`, `failed`, `rolled_back`, `not_executed` or `unknown`; of one that
    /// hangs on a review `waiting`, or how that ended: `approved` (it has not run yet), `rejected`, `expired`, `withdrawn`.
    status: String,
    /// The stable code of a refusal, or the upstream's error class.
    #[schema(required = true)]
    code: Option<String>,
    requester: RequesterView,
    /// The person for whom it was done.
    on_behalf_of: String,
    /// The target's name.
    target: String,
    /// `dev`, `staging` or `production`.
    environment: String,
    #[schema(example = "sql:write")]
    action: String,
    resource: ResourceView,
    /// The statement, redacted.
    statement: String,
    /// How many bytes at the statement's end are not shown.
    statement_cut_bytes: usize,
    /// The requester's stated reason: its own words, unchecked.
    #[schema(required = true)]
    reason: Option<String>,
    /// The action by meaning.
    action_digest: String,
    /// The grant it used, if people approved it.
    #[schema(required = true)]
    grant: Option<String>,
    /// The pattern that it took a use of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
    /// The review it hung on, where it was found by that.
    #[serde(skip_serializing_if = "Option::is_none")]
    review: Option<HungOn>,
    /// When it was captured, RFC 3339.
    at: String,
}

/// The review that an action hangs on, as far as its requester needs it to wait, or to ask for something else.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HungOn {
    id: String,
    /// The smallest sets of quorums of which any one suffices, as `group:people`.
    #[schema(example = json!([["dba:1"]]))]
    asked: Vec<Vec<String>>,
    /// Those of these quorums that the approvals so far make up.
    approvals: Vec<String>,
    /// Since when, RFC 3339.
    since: String,
    /// Until when people may decide, RFC 3339.
    until: String,
    /// What policy says of why people were asked.
    policies: Vec<String>,
    /// What was said against it.
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected_because: Option<String>,
    /// From when on the same may be asked again after a rejection, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    again_at: Option<String>,
    /// Where people decide.
    url: String,
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
    Ok(Json(Actions { actions: mine.map(view).collect() }))
}

/// Look at an action
///
/// By its id, or by that of the review it hangs on: who was asked, since when and until when, and what became of it. An
/// agent waits by this for what it asked, and reads why it was refused; who the reviewers are is not told to it here. With
/// `wait`, the answer comes as soon as the action no longer waits, or after so many seconds.
#[utoipa::path(get, path = "/api/v1/actions/{id}", operation_id = "show_action", tag = "actions",
    params(("id" = String, Path, description = "The action's id, or its review's"), WaitQuery),
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
    Params(query): Params<WaitQuery>,
) -> Result<Json<ActionView>, Problem> {
    let seconds = query.wait.unwrap_or(0);
    if seconds > WAIT_SECONDS_MAX {
        let detail = format!("`wait` is 0 to {WAIT_SECONDS_MAX} seconds");
        return Err(Problem::new(Code::BadRequest, detail));
    }
    let until = tokio::time::Instant::now() + Duration::from_secs(u64::from(seconds));
    let mut changes = api.gate.changes.listen();
    loop {
        let found = look(&api.gate, &caller, &id).await?;
        if found.status != WAITING {
            return Ok(Json(found));
        }
        // a listener that is behind looks again all the same
        match tokio::time::timeout_at(until, changes.recv()).await {
            Ok(Ok(_) | Err(RecvError::Lagged(_))) => {}
            Ok(Err(RecvError::Closed)) | Err(_) => return Ok(Json(found)),
        }
    }
}

async fn look(gate: &Gate, caller: &Caller, id: &str) -> Result<ActionView, Problem> {
    if let Some(attempt) = gate.store.attempt(&ActionId::new(id)).await? {
        return Some(view(&attempt))
            .filter(|_| caller.reads(&attempt.described))
            .ok_or_else(|| Problem::absent("action", id));
    }
    let found = gate.store.review(&ReviewId::new(id)).await?.map(|found| found.review);
    let review = found.filter(|review| caller.reads(&review.matter().described));
    let review = review.ok_or_else(|| Problem::absent("action", id))?;
    let ran = ran(gate, &review).await?;
    let view = ran
        .map_or_else(|| hung(gate, &review), |ran| ActionView { review: Some(hung_on(gate, &review)), ..view(&ran) });
    Ok(view)
}

/// What ran of a review's action: the call that waited and went on, or the one that came again once it was approved.
async fn ran(gate: &Gate, review: &Review) -> Result<Option<Attempt>, Problem> {
    let matter = review.matter();
    let waited = gate.store.attempt(&matter.described.id).await?;
    let gave_up = [Code::HoldEnded, Code::Cancelled].map(|code| Some(code.name().to_owned()));
    if waited.as_ref().is_none_or(|attempt| !gave_up.contains(&attempt.code)) {
        return Ok(waited);
    }
    let Review::Closed(_) = review else { return Ok(None) };
    let later = gate.store.attempts(LOOK_THROUGH_MAX).await?;
    Ok(later.into_iter().find(|attempt| attempt.digest == matter.action && attempt.grant.is_some()))
}

/// An action that hangs on a review, or hung on one and never ran.
fn hung(gate: &Gate, review: &Review) -> ActionView {
    let matter = review.matter();
    let status = match review {
        Review::Open(_) => WAITING,
        Review::Closed(closed) if closed.outcome().grants() => "approved",
        Review::Closed(_) => review.state(),
    };
    let attempt = Attempt {
        id: ActionId::new(matter.id.as_str()),
        digest: matter.action,
        described: matter.described.clone(),
        status: status.to_owned(),
        code: None,
        grant: None,
        pattern: None,
        at: matter.described.at,
    };
    ActionView { review: Some(hung_on(gate, review)), ..view(&attempt) }
}

fn hung_on(gate: &Gate, review: &Review) -> HungOn {
    let matter = review.matter();
    let asked = matter.terms.suffices.iter().flatten().cloned().collect();
    let no = review.votes().iter().find(|vote| vote.verdict == Verdict::Reject);
    let wait = i64::from(gate.config.limits.rejected_wait_seconds);
    HungOn {
        id: matter.id.to_string(),
        asked: matter.terms.suffices.iter().map(|set| set.iter().map(Quorum::to_string).collect()).collect(),
        approvals: tokens(review.votes()).intersection(&asked).map(Quorum::to_string).collect(),
        since: matter.opened_at.to_string(),
        until: matter.expires_at.to_string(),
        policies: matter.terms.policies.iter().map(|note| note.text.clone()).filter(|text| !text.is_empty()).collect(),
        rejected_because: no.and_then(|vote| vote.reason.clone()),
        again_at: no.map(|vote| vote.at.plus_seconds(wait).to_string()),
        url: format!("{}/reviews/{}", gate.config.public_url, matter.id),
    }
}

/// An attempt, as recorded.
pub(super) fn view(attempt: &Attempt) -> ActionView {
    let card = bare_card(&attempt.described, attempt);
    ActionView {
        id: attempt.id.to_string(),
        status: attempt.status.clone(),
        code: attempt.code.clone(),
        requester: requester(&card),
        on_behalf_of: card.on_behalf_of,
        target: card.target,
        environment: card.environment,
        action: card.action,
        resource: resource(card.resource),
        statement: card.statement.text,
        statement_cut_bytes: card.statement.cut_bytes,
        reason: card.reason,
        action_digest: attempt.digest.to_string(),
        grant: attempt.grant.as_ref().map(ToString::to_string),
        pattern: attempt.pattern.as_ref().map(ToString::to_string),
        review: None,
        at: attempt.at.to_string(),
    }
}

/// The card of an attempt: nobody was asked, so it has no terms.
fn bare_card(described: &Described, attempt: &Attempt) -> Card {
    let (policies, suffices, bundle) = (Vec::new(), Vec::new(), BundleDigest::of(b""));
    Card::new(described, attempt.digest, &Terms { policies, suffices, obligations: Obligations::default(), bundle })
}
