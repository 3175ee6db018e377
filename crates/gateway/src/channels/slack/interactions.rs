//! What people click in Slack, as votes.
//!
//! The signature is checked over the bytes as they came, before they are parsed. Whoever clicked is found by the ids of team
//! and user alone; one who is linked to nobody is told how to be. The vote names the digests that stood in the message, and
//! says `chat`: what that is worth is policy's to say.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use countersign_core::action::ReviewId;
use countersign_core::review::{REASON_BYTES_MAX, Verdict};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Door, person_behind};
use super::{Slack, blocks, signature};
use crate::codes::Code;
use crate::gate::Gate;
use crate::identity::Caller;
use crate::ports::{SLACK_ACCOUNTS, SLACK_SIGNING_SECRET};
use crate::resolve::{self, Denied, VoteRequest};

/// The largest request: a click carries the message that it was made in.
const REQUEST_BYTES_MAX: usize = 256 * 1024;

#[derive(Clone)]
struct Shared {
    gate: Arc<Gate>,
    slack: Arc<Slack>,
    door: Door,
}

/// The one address that Slack's interactivity posts to.
pub(super) fn router(gate: Arc<Gate>, slack: Arc<Slack>) -> Router {
    Router::new()
        .route("/channels/slack/interactions", post(receive))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(Shared { gate, slack, door: Door::new("slack") })
}

/// A click, or a form that was sent.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Interaction {
    BlockActions {
        user: User,
        team: Option<Team>,
        container: Option<Container>,
        trigger_id: Option<String>,
        actions: Vec<Action>,
    },
    ViewSubmission {
        user: User,
        team: Option<Team>,
        view: View,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct User {
    id: String,
    team_id: Option<String>,
}

#[derive(Deserialize)]
struct Team {
    id: String,
}

#[derive(Deserialize)]
struct Container {
    channel_id: Option<String>,
}

#[derive(Deserialize)]
struct Action {
    action_id: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct View {
    callback_id: String,
    #[serde(default)]
    private_metadata: String,
    state: Value,
}

/// Slack wants an answer within three seconds; a vote takes a few milliseconds.
async fn receive(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    match is_from_slack(&shared, &headers, &body).await {
        Ok(true) => {}
        Ok(false) => {
            shared.door.refused(&shared.gate, Code::Unauthenticated).await;
            return (StatusCode::UNAUTHORIZED, "not signed by Slack, or too old").into_response();
        }
        Err(problem) => {
            tracing::error!(problem, "requests from Slack cannot be checked");
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
    }
    let fields = url::form_urlencoded::parse(&body);
    let payload = fields.into_iter().find(|(name, _)| name == "payload").map(|(_, payload)| payload.into_owned());
    let interaction = payload.and_then(|payload| serde_json::from_str(&payload).ok());
    let Some(interaction) = interaction else {
        return (StatusCode::BAD_REQUEST, "this is no interaction").into_response();
    };
    match interaction {
        Interaction::BlockActions { user, team, container, trigger_id, actions } => {
            let place = container.and_then(|container| container.channel_id);
            clicked(&shared, &(user, team), place, trigger_id, &actions).await;
            StatusCode::OK.into_response()
        }
        Interaction::ViewSubmission { user, team, view } => submitted(&shared, &(user, team), &view).await,
        Interaction::Other => StatusCode::OK.into_response(),
    }
}

async fn is_from_slack(shared: &Shared, headers: &HeaderMap, body: &[u8]) -> Result<bool, String> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let secret = shared.gate.vault.secret(SLACK_SIGNING_SECRET).await.map_err(|error| error.to_string())?;
    let now = shared.gate.scribe.now().micros() / 1_000_000;
    let (timestamp, given) = (header("x-slack-request-timestamp"), header("x-slack-signature"));
    let secret = secret.expose_secret().as_bytes();
    Ok(!secret.is_empty() && signature::is_genuine(secret, now, timestamp, given, body))
}

/// A button. What came of it is told to the one who clicked; what changed stands in the message anyway.
async fn clicked(
    shared: &Shared,
    who: &(User, Option<Team>),
    place: Option<String>,
    trigger: Option<String>,
    actions: &[Action],
) {
    let [action] = actions else { return };
    let verdict = match action.action_id.as_str() {
        "approve" => Verdict::Approve,
        "reject" => Verdict::Reject,
        _ => return, // `open` is a link
    };
    let denied = match vote(shared, who, &action.value, verdict, None).await {
        Ok(()) => return,
        Err(denied) => denied,
    };
    if let (Code::ReasonInvalid, Some(trigger)) = (denied.code, trigger) {
        let arguments = json!({"trigger_id": trigger, "view": blocks::form(&action.value, true)});
        match shared.slack.call("views.open", &arguments).await {
            Ok(_) => return,
            Err(failure) => tracing::warn!(%failure, "a form could not be opened in Slack"),
        }
    }
    if let Some(place) = place {
        shared.slack.whisper(&place, &who.0.id, &told(shared, &action.value, &denied)).await;
    }
}

/// The form with a reason.
async fn submitted(shared: &Shared, who: &(User, Option<Team>), view: &View) -> Response {
    let reason = view.state.pointer("/values/why/reason/value").and_then(Value::as_str).unwrap_or_default();
    let reason = Some(reason.to_owned()).filter(|reason| !reason.trim().is_empty());
    if view.callback_id != "approve" {
        return StatusCode::OK.into_response();
    }
    let denied = match reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
        true => Denied::new(Code::ReasonInvalid, format!("a reason has at most {REASON_BYTES_MAX} bytes")),
        false => match vote(shared, who, &view.private_metadata, Verdict::Approve, reason).await {
            Ok(()) => return StatusCode::OK.into_response(),
            Err(denied) => denied,
        },
    };
    let told = told(shared, &view.private_metadata, &denied);
    axum::Json(json!({"response_action": "errors", "errors": {"why": told}})).into_response()
}

/// Why it was not done, and what to do.
fn told(shared: &Shared, subject: &str, denied: &Denied) -> String {
    let id = subject.split(' ').next().unwrap_or_default();
    let url = format!("{}/reviews/{id}", shared.gate.config.public_url);
    format!("Not done: {} ({}). {url}", denied.message, denied.code)
}

/// Casts the vote of whoever clicked.
async fn vote(
    shared: &Shared,
    (user, team): &(User, Option<Team>),
    subject: &str,
    verdict: Verdict,
    reason: Option<String>,
) -> Result<(), Denied> {
    let malformed = || Denied::new(Code::BadRequest, "the button names no review with its digests");
    let mut parts = subject.split(' ');
    let (Some(id), Some(action), Some(card), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(malformed());
    };
    let (action, card) = (action.parse().map_err(|_| malformed())?, card.parse().map_err(|_| malformed())?);
    let caller = match caller(shared, user, team.as_ref()).await {
        Ok(caller) => caller,
        Err(denied) => {
            shared.door.refused(&shared.gate, denied.code).await;
            return Err(denied);
        }
    };
    let request = VoteRequest { verdict, reason, action, card, pattern: None, assertion: None };
    resolve::cast(&shared.gate, &ReviewId::new(id), &caller, request).await.map(|_| ())
}

/// The person behind a Slack account.
async fn caller(shared: &Shared, user: &User, team: Option<&Team>) -> Result<Caller, Denied> {
    let account = match user.team_id.as_deref().or(team.map(|team| team.id.as_str())) {
        Some(team) => shared.gate.directory.account(SLACK_ACCOUNTS, &format!("{team}/{}", user.id)).await?,
        None => None,
    };
    let how = match &shared.gate.linking {
        Some(_) => format!("link it on your own page, {}/me", shared.gate.config.public_url),
        None => "whoever runs the gateway links it with `countersign person link`, or decide in the console".to_owned(),
    };
    person_behind(&shared.gate, account, &format!("your Slack account is linked to nobody here; {how}")).await
}
