//! Where Slack posts to over HTTPS.
//!
//! The signature is checked over the bytes as they came, before they are parsed.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use secrecy::ExposeSecret as _;

use super::events;
use super::interactions::{self, Desk};
use super::{REQUEST_BYTES_MAX, Slack, signature};
use crate::codes::Code;
use crate::gate::Gate;
use crate::ports::SLACK_SIGNING_SECRET;

/// The addresses that Slack's interactivity and its events post to.
pub(in super::super) fn router(gate: Arc<Gate>, slack: Arc<Slack>) -> Router {
    Router::new()
        .route("/channels/slack/interactions", post(interaction))
        .route("/channels/slack/events", post(event))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(Desk::new(gate, slack))
}

async fn interaction(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> Response {
    if let Err(refused) = checked(&desk, &headers, &body).await {
        return refused;
    }
    let fields = url::form_urlencoded::parse(&body);
    let payload = fields.into_iter().find(|(name, _)| name == "payload").map(|(_, payload)| payload.into_owned());
    let Some(interaction) = payload.and_then(|payload| serde_json::from_str(&payload).ok()) else {
        return (StatusCode::BAD_REQUEST, "this is no interaction").into_response();
    };
    match interactions::handle(&desk, interaction).await {
        Some(answer) => axum::Json(answer).into_response(),
        None => StatusCode::OK.into_response(),
    }
}

async fn event(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> Response {
    if let Err(refused) = checked(&desk, &headers, &body).await {
        return refused;
    }
    let Ok(told) = serde_json::from_slice(&body) else {
        return (StatusCode::BAD_REQUEST, "this is no event").into_response();
    };
    match events::handle(&desk, told).await {
        Some(answer) => axum::Json(answer).into_response(),
        None => StatusCode::OK.into_response(),
    }
}

/// Whether it is from Slack; otherwise the answer.
async fn checked(desk: &Desk, headers: &HeaderMap, body: &[u8]) -> Result<(), Response> {
    match is_from_slack(desk, headers, body).await {
        Ok(true) => Ok(()),
        Ok(false) => {
            desk.door.refused(&desk.gate, Code::Unauthenticated).await;
            Err((StatusCode::UNAUTHORIZED, "not signed by Slack, or too old").into_response())
        }
        Err(problem) => {
            tracing::error!(problem, "requests from Slack cannot be checked");
            Err(StatusCode::SERVICE_UNAVAILABLE.into_response())
        }
    }
}

async fn is_from_slack(desk: &Desk, headers: &HeaderMap, body: &[u8]) -> Result<bool, String> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let secret = desk.gate.vault.secret(SLACK_SIGNING_SECRET).await.map_err(|error| error.to_string())?;
    let now = desk.gate.scribe.now().micros() / 1_000_000;
    let (timestamp, given) = (header("x-slack-request-timestamp"), header("x-slack-signature"));
    let secret = secret.expose_secret().as_bytes();
    Ok(!secret.is_empty() && signature::is_genuine(secret, now, timestamp, given, body))
}
