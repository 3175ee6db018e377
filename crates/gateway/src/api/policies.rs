//! The policies: which bundle is in force, whether the files on disk are that bundle, and proposing those that are not.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use countersign_core::policy::Source;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Shared;
use super::extract::{Human, JsonBody, Known};
use super::problem::{Problem, ProblemBody};
use super::views::ReviewView;
use crate::codes::Code;
use crate::config::Config;
use crate::identity::Caller;
use crate::policies;
use crate::proposals::{self, Proposed, Wish};

/// The policies in force and on disk.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Policies)]
pub(super) struct PoliciesView {
    /// The bundle in force: its digest over schema, vocabulary and every text.
    digest: String,
    /// The ids of the policies in force, those compiled into the gateway (`core:…`) included.
    policies: Vec<String>,
    /// Whether the files below are the bundle in force.
    files_in_force: bool,
    /// Why the files are not in force, if they are not.
    #[schema(required = true)]
    problem: Option<String>,
    /// The files on disk.
    files: Vec<FileView>,
    /// How changes are accepted: `file` takes the files as they are, `review` asks people about those that permit more.
    changes: &'static str,
    /// The digest that the files have as a bundle; `null` where they are none. Propose them by it.
    #[schema(required = true, example = "sha256:…")]
    files_digest: Option<String>,
    /// What the files would mean in the place of the bundle in force, in words: what they newly permit, and how they
    /// differ. `null` where they are in force, or have not been looked at yet.
    #[schema(required = true)]
    files_effect: Option<String>,
}

/// A policy file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PolicyFile)]
pub(super) struct FileView {
    name: String,
    /// In Cedar's syntax.
    text: String,
}

/// What stands on disk: its texts, and the digest they would have, or why they would not load.
struct OnDisk {
    sources: Vec<Source>,
    digest: Result<String, String>,
}

/// Show the policies
#[utoipa::path(get, path = "/api/v1/policies", operation_id = "show_policies", tag = "policies",
    security(("token" = []), ("session" = [])),
    responses(
        (status = 200, description = "The policies", body = PoliciesView),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, response = super::document::Forbidden),
    ))]
pub(super) async fn show(State(api): State<Shared>, _: Human) -> Result<Json<PoliciesView>, Problem> {
    let config = Arc::clone(&api.gate.config);
    let disk = tokio::task::spawn_blocking(move || on_disk(&config)).await.map_err(|_| Problem::internal())?;
    let bundle = api.gate.policies.current();
    let digest = bundle.digest().to_string();
    let problem = match &disk.digest {
        Ok(found) if *found == digest => None,
        Ok(_) => Some(api.gate.policies.problem().unwrap_or_else(|| "the files changed a moment ago".to_owned())),
        Err(error) => Some(error.clone()),
    };
    let file = |source: Source| FileView { name: source.name, text: source.text };
    Ok(Json(PoliciesView {
        policies: bundle.policy_ids().map(str::to_owned).collect(),
        files_in_force: problem.is_none(),
        files: disk.sources.into_iter().map(file).collect(),
        digest,
        problem,
        changes: api.gate.config.changes.name(),
        files_effect: effect(&api, disk.digest.as_ref().ok()),
        files_digest: disk.digest.ok(),
    }))
}

/// What is known of the files with this digest.
fn effect(api: &Shared, files: Option<&String>) -> Option<String> {
    let examined = api.gate.policies.examined()?;
    (Some(&examined.bundle.digest().to_string()) == files).then(|| examined.effect.words())
}

/// A change of the policies.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewProposal)]
pub(super) struct ProposalBody {
    /// The `files_digest` that was looked at.
    #[schema(example = "sha256:…")]
    files_digest: String,
    /// Why; at most 2,000 bytes. Reviewers read it as the author's own words.
    reason: Option<String>,
}

/// What became of a proposal.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Proposal)]
pub(super) struct ProposalView {
    /// Whether it is in force already, because it permits nothing more.
    in_force: bool,
    /// The review in which people decide, where they are asked.
    #[schema(required = true)]
    review: Option<ReviewView>,
}

/// Propose the files in the policies folder
///
/// Whoever proposes them is their author, and can never approve them. They come into force at once where they are proved
/// to permit nothing more; otherwise people are asked by the policies in force. The solver may take some 20 seconds.
#[utoipa::path(post, path = "/api/v1/policies/proposals", operation_id = "propose_policies", tag = "policies",
    request_body = ProposalBody,
    security(("token" = [])),
    responses(
        (status = 200, description = "They are in force", body = ProposalView),
        (status = 202, description = "People are asked", body = ProposalView),
        (status = 400, response = super::document::BadRequest),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, description = "`forbidden`, `no_permit`, `policy_denied`, `policy_error`, `rejected_recently`",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`digest_mismatch`, `proposals_off`, `proposal_stale`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 413, description = "`too_large`", body = ProblemBody, content_type = "application/problem+json"),
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
    let malformed = |_| {
        let detail =
            "`files_digest` is not a digest: write `sha256:` and 64 hexadecimal digits, as the policies show it";
        Problem::new(Code::BadRequest, detail)
    };
    let wish = Wish::Policies(body.files_digest.parse().map_err(malformed)?);
    proposed(&api, caller, wish, body.reason).await
}

/// Proposes a change of the gate, whichever part of it.
pub(super) async fn proposed(
    api: &Shared,
    caller: Caller,
    wish: Wish,
    reason: Option<String>,
) -> Result<(StatusCode, Json<ProposalView>), Problem> {
    let gate = Arc::clone(&api.gate);
    // to its end even when the caller leaves: what is in force must be what the store says
    let proposed = tokio::spawn(async move { proposals::propose(&gate, &caller, wish, reason).await });
    match proposed.await.map_err(|_| Problem::internal())?? {
        Proposed::InForce => Ok((StatusCode::OK, Json(ProposalView { in_force: true, review: None }))),
        Proposed::Waits(review) => {
            let review = super::reviews::view(&api.gate, &review).await?;
            Ok((StatusCode::ACCEPTED, Json(ProposalView { in_force: false, review: Some(review) })))
        }
    }
}

/// Reads and validates the files; blocks.
fn on_disk(config: &Config) -> OnDisk {
    let digest = policies::load(config).map(|bundle| bundle.digest().to_string()).map_err(|error| error.to_string());
    OnDisk { sources: policies::sources(&config.policies).unwrap_or_default(), digest }
}
