//! The policies: which bundle is in force, and whether the files on disk are that bundle.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use countersign_core::policy::Source;
use serde::Serialize;
use utoipa::ToSchema;

use super::Shared;
use super::extract::Human;
use super::problem::Problem;
use crate::config::Config;
use crate::policies;

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
    }))
}

/// Reads and validates the files; blocks.
fn on_disk(config: &Config) -> OnDisk {
    let digest = policies::load(config).map(|bundle| bundle.digest().to_string()).map_err(|error| error.to_string());
    OnDisk { sources: policies::sources(&config.policies).unwrap_or_default(), digest }
}
