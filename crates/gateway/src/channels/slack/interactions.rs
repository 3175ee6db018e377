//! What people click in Slack, as votes.
//!
//! How it arrived, and that it is from Slack, is [`inbound`](super::inbound)'s and [`socket`](super::socket)'s. Whoever clicked is
//! found by the ids of team and user alone; one who is linked to nobody is told how to be. The vote names the digests that
//! stood in the message, and says `chat`: what that is worth is policy's to say.

use std::sync::Arc;

use countersign_core::action::ReviewId;
use countersign_core::review::{REASON_BYTES_MAX, Verdict};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Door, person_behind};
use super::{Slack, blocks};
use crate::codes::Code;
use crate::gate::Gate;
use crate::identity::Caller;
use crate::ports::SLACK_ACCOUNTS;
use crate::resolve::{self, Denied, VoteRequest};

/// What is needed to handle what people do in Slack, by whichever way it arrives.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) gate: Arc<Gate>,
    pub(super) slack: Arc<Slack>,
    pub(super) door: Door,
}

impl Desk {
    pub(super) fn new(gate: Arc<Gate>, slack: Arc<Slack>) -> Self {
        Self { gate, slack, door: Door::new("slack") }
    }
}

/// A click, or a form that was sent.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Interaction {
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
pub(super) struct User {
    pub(super) id: String,
    pub(super) team_id: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Team {
    pub(super) id: String,
}

#[derive(Deserialize)]
pub(super) struct Container {
    channel_id: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Action {
    action_id: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
pub(super) struct View {
    callback_id: String,
    #[serde(default)]
    private_metadata: String,
    state: Value,
}

/// Handles what somebody did. Returns what Slack is to be answered, where that is more than that it arrived.
///
/// Slack wants an answer within three seconds; a vote takes a few milliseconds.
pub(super) async fn handle(desk: &Desk, interaction: Interaction) -> Option<Value> {
    match interaction {
        Interaction::BlockActions { user, team, container, trigger_id, actions } => {
            let place = container.and_then(|container| container.channel_id);
            clicked(desk, &(user, team), place, trigger_id, &actions).await;
            None
        }
        Interaction::ViewSubmission { user, team, view } => submitted(desk, &(user, team), &view).await,
        Interaction::Other => None,
    }
}

/// A button. What came of it is told to the one who clicked; what changed stands in the message anyway.
async fn clicked(
    desk: &Desk,
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
    // a rejection may say why: it is asked, and where the form cannot be opened the click alone counts
    if verdict == Verdict::Reject && ask(desk, trigger.as_deref(), &action.value, verdict).await {
        return;
    }
    let denied = match vote(desk, who, &action.value, verdict, None).await {
        Ok(()) => return,
        Err(denied) => denied,
    };
    if denied.code == Code::ReasonInvalid && ask(desk, trigger.as_deref(), &action.value, verdict).await {
        return;
    }
    if let Some(place) = place {
        desk.slack.whisper(&place, &who.0.id, &told(desk, &action.value, &denied)).await;
    }
}

/// Opens the form that asks why. Returns whether it stands there.
async fn ask(desk: &Desk, trigger: Option<&str>, subject: &str, verdict: Verdict) -> bool {
    let Some(trigger) = trigger else { return false };
    let arguments = json!({"trigger_id": trigger, "view": blocks::form(subject, verdict)});
    match desk.slack.call("views.open", &arguments).await {
        Ok(_) => true,
        Err(failure) => {
            tracing::warn!(%failure, "a form could not be opened in Slack");
            false
        }
    }
}

/// The form with a reason.
async fn submitted(desk: &Desk, who: &(User, Option<Team>), view: &View) -> Option<Value> {
    let reason = view.state.pointer("/values/why/reason/value").and_then(Value::as_str).unwrap_or_default();
    let reason = Some(reason.to_owned()).filter(|reason| !reason.trim().is_empty());
    let verdict = match view.callback_id.as_str() {
        "approve" => Verdict::Approve,
        "reject" => Verdict::Reject,
        _ => return None,
    };
    let denied = match reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
        true => Denied::new(Code::ReasonInvalid, format!("a reason has at most {REASON_BYTES_MAX} bytes")),
        false => match vote(desk, who, &view.private_metadata, verdict, reason).await {
            Ok(()) => return None,
            Err(denied) => denied,
        },
    };
    let told = told(desk, &view.private_metadata, &denied);
    Some(json!({"response_action": "errors", "errors": {"why": told}}))
}

/// Why it was not done, and what to do.
fn told(desk: &Desk, subject: &str, denied: &Denied) -> String {
    let id = subject.split(' ').next().unwrap_or_default();
    let url = format!("{}/reviews/{id}", desk.gate.config.public_url);
    format!("Not done: {} ({}). {url}", denied.message, denied.code)
}

/// Casts the vote of whoever clicked.
async fn vote(
    desk: &Desk,
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
    let caller = match caller(desk, user, team.as_ref()).await {
        Ok(caller) => caller,
        Err(denied) => {
            desk.door.refused(&desk.gate, denied.code).await;
            return Err(denied);
        }
    };
    let request = VoteRequest { verdict, reason, action, card, pattern: None, assertion: None, callback: None };
    resolve::cast(&desk.gate, &ReviewId::new(id), &caller, request).await.map(|_| ())
}

/// The person behind a Slack account.
pub(super) async fn caller(desk: &Desk, user: &User, team: Option<&Team>) -> Result<Caller, Denied> {
    let account = match user.team_id.as_deref().or(team.map(|team| team.id.as_str())) {
        Some(team) => desk.gate.directory.account(SLACK_ACCOUNTS, &format!("{team}/{}", user.id)).await?,
        None => None,
    };
    let how = match &desk.gate.linking {
        Some(_) => format!("link it on your own page, {}/me", desk.gate.config.public_url),
        None => "whoever runs the gateway links it with `countersign person link`, or decide in the console".to_owned(),
    };
    person_behind(&desk.gate, account, &format!("your Slack account is linked to nobody here; {how}")).await
}
