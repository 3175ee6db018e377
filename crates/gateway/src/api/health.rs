//! For those who operate the gateway: whether the process is up, whether it can do its work, and a few numbers.
//!
//! None of it needs a token and none of it names anyone.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use countersign_core::action::ActionId;
use serde::Serialize;
use utoipa::ToSchema;

use super::events::LISTENERS_MAX;
use super::problem::Problem;
use super::{Api, Shared};
use crate::codes::Code;
use crate::ports::ReviewFilter;

/// How long the store may take to answer before it counts as silent.
const STORE_SECONDS_MAX: u64 = 5;
/// Open reviews are counted up to here: a page of numbers must not read the whole store.
const COUNT_MAX: u32 = 1_000;
/// How long a count serves, however often it is asked for.
const COUNT_SECONDS: u64 = 5;
/// The text format of Prometheus.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A count, and when it was made.
pub(super) struct Counted {
    reviews: usize,
    at: Instant,
}

/// That all is well.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Is the process up?
#[utoipa::path(get, path = "/healthz", operation_id = "healthz", tag = "operation", security(()),
    responses((status = 200, description = "It is", body = Health)))]
pub(super) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Can it do its work?
///
/// The store answers, and the journal and the log take records. A policy bundle is always in force: without one the
/// gateway does not start, and a bad one never replaces a good one.
#[utoipa::path(get, path = "/readyz", operation_id = "readyz", tag = "operation", security(()),
    responses(
        (status = 200, description = "It can", body = Health),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn readyz(State(api): State<Shared>) -> Result<Json<Health>, Problem> {
    if let Err(error) = api.gate.log.health() {
        tracing::error!(%error, "not ready");
        return Err(Problem::new(Code::RecordUnavailable, "the log takes no records; the gateway's log says why"));
    }
    let id = ActionId::new("readyz"); // no attempt has this id: the question is whether there is an answer
    let asked = tokio::time::timeout(Duration::from_secs(STORE_SECONDS_MAX), api.gate.store.attempt(&id));
    match asked.await {
        Ok(answer) => drop(answer?),
        Err(_) => return Err(Problem::new(Code::RecordUnavailable, "the store does not answer in time")),
    }
    Ok(Json(Health { status: "ok" }))
}

/// Numbers for Prometheus
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "operation", security(()),
    responses(
        (status = 200, description = "Gauges in Prometheus' text format", body = String, content_type = "text/plain"),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn metrics(State(api): State<Shared>) -> Result<Response, Problem> {
    let gate = &api.gate;
    let flag = |set: bool| u64::from(set);
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let listeners = LISTENERS_MAX.saturating_sub(api.listeners.available_permits());
    let gauges = [
        ("waiting_calls", "Calls that wait for a review.", count(gate.waiting.len())),
        ("open_reviews", "Open reviews, counted up to 1,000.", count(open_reviews(&api).await?)),
        ("log_size", "Leaves in the published log.", gate.log.size().await?),
        ("log_healthy", "1 while the journal and the log take records.", flag(gate.log.health().is_ok())),
        (
            "policy_files_in_force",
            "1 while the policy files on disk are in force.",
            flag(gate.policies.problem().is_none()),
        ),
        ("event_listeners", "Listeners of the event stream.", count(listeners)),
    ];
    let mut text = format!("# TYPE countersign_build_info gauge\n{} 1\n", build_info());
    for (name, help, value) in gauges {
        text.push_str(&format!(
            "# HELP countersign_{name} {help}\n# TYPE countersign_{name} gauge\ncountersign_{name} {value}\n"
        ));
    }
    Ok(([(CONTENT_TYPE, METRICS_TYPE)], text).into_response())
}

fn build_info() -> String {
    format!("countersign_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))
}

/// Counts open reviews, one caller at a time and at most once in [`COUNT_SECONDS`].
async fn open_reviews(api: &Api) -> Result<usize, Problem> {
    let mut counted = api.counted.lock().await;
    match &*counted {
        Some(count) if count.at.elapsed() < Duration::from_secs(COUNT_SECONDS) => Ok(count.reviews),
        Some(_) | None => {
            let reviews = api.gate.store.reviews(ReviewFilter::Open, COUNT_MAX).await?.len();
            *counted = Some(Counted { reviews, at: Instant::now() });
            Ok(reviews)
        }
    }
}
