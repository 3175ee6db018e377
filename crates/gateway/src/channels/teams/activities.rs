//! What Teams tells the bot: clicks, as votes, and the conversations that it is brought into or put out of.
//!
//! The sender is checked before the activity is parsed, and the activity against its sender. Whoever clicked is found by the
//! ids of tenant and user in Entra ID alone; one who is linked to nobody is told how to be, and is shown nothing. The vote
//! names the digests that stood in the card, and says `chat`: what that is worth is policy's to say.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use countersign_core::review::{REASON_BYTES_MAX, Review, Verdict, separation};
use serde::Deserialize;
use serde_json::{Value, json};

use super::card::{self, View};
use super::check::Refused;
use super::{Door, NAME, Notice, Teams, person_behind};
use crate::codes::Code;
use crate::gate::Gate;
use crate::identity::Caller;
use crate::ports::{Account, Conversation, Destination, StoreError};
use crate::resolve::{self, Denied, VoteRequest};

/// The largest activity: a click carries what the card's button held.
const ACTIVITY_BYTES_MAX: usize = 256 * 1024;
/// The longest id of a conversation that is remembered, in bytes.
const CONVERSATION_BYTES_MAX: usize = 500;

/// What the bot is told (Bot Framework, *Activity schema*), as far as it matters.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Activity {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    pub(super) channel_id: String,
    #[serde(default)]
    pub(super) service_url: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    from: Party,
    #[serde(default)]
    recipient: Party,
    #[serde(default)]
    conversation: Talk,
    #[serde(default)]
    members_added: Vec<Party>,
    #[serde(default)]
    members_removed: Vec<Party>,
    #[serde(default)]
    channel_data: ChannelData,
    #[serde(default)]
    value: Value,
}

impl Activity {
    /// The tenants that it names.
    pub(super) fn tenants(&self) -> impl Iterator<Item = &str> {
        let of_channel = self.channel_data.tenant.as_ref().and_then(|tenant| tenant.id.as_deref());
        self.conversation.tenant_id.as_deref().into_iter().chain(of_channel)
    }

    /// The place that it was said in.
    fn place(&self) -> Option<Destination> {
        let id = self.conversation.id.split(';').next().filter(|id| !id.is_empty())?;
        match self.conversation.conversation_type.as_deref() {
            Some("personal") => Some(Destination::new(NAME, self.from.aad_object_id.as_deref()?)),
            Some("channel" | "groupChat") if id.starts_with("19:") => Some(Destination::new(NAME, id)),
            Some(_) | None => None,
        }
    }

    fn is_about_the_bot(&self, members: &[Party]) -> bool {
        members.iter().any(|member| member.id == self.recipient.id)
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Party {
    #[serde(default)]
    id: String,
    aad_object_id: Option<String>,
    /// Of which organization the account is, where that is said.
    tenant_id: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Talk {
    #[serde(default)]
    id: String,
    conversation_type: Option<String>,
    tenant_id: Option<String>,
}

#[derive(Deserialize, Default)]
struct ChannelData {
    tenant: Option<Tenant>,
}

#[derive(Deserialize)]
struct Tenant {
    id: Option<String>,
}

/// What a button held.
#[derive(Deserialize, Default)]
struct Clicked {
    #[serde(default)]
    review: String,
    /// Why not, by the form of a rejection.
    #[serde(default)]
    reason: String,
    /// Why, by the form of an approval.
    #[serde(default)]
    why: String,
}

#[derive(Clone)]
struct Shared {
    gate: Arc<Gate>,
    teams: Arc<Teams>,
    door: Door,
}

/// The one address that Bot Framework posts to.
pub(super) fn router(gate: Arc<Gate>, teams: Arc<Teams>) -> Router {
    Router::new()
        .route("/channels/teams/messages", post(receive))
        .layer(DefaultBodyLimit::max(ACTIVITY_BYTES_MAX))
        .with_state(Shared { gate, teams, door: Door::new(NAME) })
}

async fn receive(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let now = shared.gate.scribe.now();
    let sender = match shared.teams.checker.sender(&headers, now).await {
        Ok(sender) => sender,
        Err(refused) => return turned_away(&shared, &refused).await,
    };
    let Ok(activity) = serde_json::from_slice::<Activity>(&body) else {
        return (StatusCode::BAD_REQUEST, "this is no activity").into_response();
    };
    let activity = match shared.teams.checker.activity(&sender, activity) {
        Ok(genuine) => genuine.into_inner(),
        Err(refused) => return turned_away(&shared, &refused).await,
    };
    match (activity.kind.as_str(), activity.name.as_str()) {
        ("invoke", "adaptiveCard/action") => Json(clicked(&shared, &activity).await).into_response(),
        ("invoke", _) => StatusCode::NOT_IMPLEMENTED.into_response(),
        _ => match listen(&shared, &activity).await {
            Ok(()) => StatusCode::OK.into_response(),
            Err(error) => {
                tracing::error!(%error, "what was heard from Teams cannot be kept");
                StatusCode::SERVICE_UNAVAILABLE.into_response() // it is told again
            }
        },
    }
}

async fn turned_away(shared: &Shared, refused: &Refused) -> Response {
    if let Refused::Unchecked(why) = refused {
        tracing::error!(why, "requests from Teams cannot be checked");
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    shared.door.refused(&shared.gate, Code::Unauthenticated).await;
    tracing::warn!(%refused, "a request that is not from Teams");
    (StatusCode::UNAUTHORIZED, refused.to_string()).into_response()
}

/// Remembers or forgets a conversation, and answers whoever writes.
async fn listen(shared: &Shared, activity: &Activity) -> Result<(), StoreError> {
    let Some(place) = activity.place() else { return Ok(()) };
    if activity.conversation.id.len() > CONVERSATION_BYTES_MAX {
        return Ok(());
    }
    let put_out = match activity.kind.as_str() {
        "installationUpdate" => activity.action.starts_with("remove"),
        "conversationUpdate" => activity.is_about_the_bot(&activity.members_removed),
        "message" => false,
        _ => return Ok(()),
    };
    if put_out {
        return shared.gate.store.forget(&place).await;
    }
    if let Some(object) = &activity.from.aad_object_id {
        shared.teams.connector.met(object, &activity.from.id).await;
    }
    learn(shared, activity, &place).await?;
    let arrives = activity.kind == "message" || activity.is_about_the_bot(&activity.members_added);
    if arrives {
        greet(shared, activity, &place).await;
    }
    Ok(())
}

async fn learn(shared: &Shared, activity: &Activity, place: &Destination) -> Result<(), StoreError> {
    let id = activity.conversation.id.split(';').next().unwrap_or_default().to_owned();
    let service_url = activity.service_url.clone();
    let known = shared.gate.store.conversation(place).await?;
    if known.is_some_and(|known| known.id == id && known.service_url == service_url) {
        return Ok(());
    }
    let conversation = Conversation { place: place.clone(), id, service_url, learned_at: shared.gate.scribe.now() };
    match shared.gate.store.learn(&conversation).await {
        Err(StoreError::Conflict) => {
            tracing::warn!(%place, "too many conversations in Teams are known; this one is not remembered");
            Ok(())
        }
        other => other,
    }
}

/// Says what the place is called, and how the one who writes is linked.
async fn greet(shared: &Shared, activity: &Activity, place: &Destination) {
    let whose = match activity.from.aad_object_id.as_deref() {
        Some(object) => format!(" Your account is {}/{object}.", shared.teams.config.tenant),
        None => String::new(),
    };
    let text = format!(
        "Countersign asks people here to approve what agents want to do. This place is {place}.{whose} \
         Reviews that wait: {}",
        shared.gate.config.public_url
    );
    let message = json!({"type": "message", "textFormat": "plain", "text": text});
    let said = shared.teams.connector.post(&activity.service_url, &activity.conversation.id, message).await;
    if let Err(failure) = said {
        tracing::warn!(%failure, "somebody who wrote in Teams could not be answered");
    }
}

/// A button. The answer is the card as it stands for the one who clicked, or why nothing came of it.
async fn clicked(shared: &Shared, activity: &Activity) -> Value {
    let action = &activity.value["action"];
    let data = serde_json::from_value::<Clicked>(action["data"].clone()).unwrap_or_default();
    let caller = match caller(shared, activity).await {
        Ok(caller) => caller,
        Err(denied) => {
            shared.door.refused(&shared.gate, denied.code).await;
            return said(&denied);
        }
    };
    let done = match action["verb"].as_str() {
        Some("approve") => vote(shared, &caller, Verdict::Approve, &data).await,
        Some("reject") => vote(shared, &caller, Verdict::Reject, &data).await,
        Some("refresh") => Ok(()),
        _ => Err(Denied::new(Code::BadRequest, "the card has no such button")),
    };
    match done {
        Ok(()) => shown(shared, &caller, &data, None).await,
        Err(denied) => shown(shared, &caller, &data, Some(denied)).await,
    }
}

/// The card for the one who clicked. What is not about a review that there is, and whoever may see nothing, gets words alone.
async fn shown(shared: &Shared, caller: &Caller, data: &Clicked, denied: Option<Denied>) -> Value {
    match (own_card(shared, caller, data, denied.as_ref()).await, denied) {
        (Ok(Some(card)), _) => {
            json!({"statusCode": 200, "type": "application/vnd.microsoft.card.adaptive", "value": card})
        }
        (Ok(None), Some(denied)) | (Err(_), Some(denied)) | (Err(denied), None) => said(&denied),
        (Ok(None), None) => said(&Denied::new(Code::NotFound, "there is no such review")),
    }
}

async fn own_card(
    shared: &Shared,
    caller: &Caller,
    data: &Clicked,
    denied: Option<&Denied>,
) -> Result<Option<Value>, Denied> {
    let gate = &shared.gate;
    let Caller::Person(person) = caller else { return Ok(None) };
    let Some(id) = card::review_of(&data.review).filter(|_| !person.person.suspended) else { return Ok(None) };
    let found = gate.store.review(&id).await?.map(|found| found.review);
    let Some(review) = found.filter(|review| person.reads(&review.matter().described)) else { return Ok(None) };
    let attention = resolve::attention(gate, &id).await?;
    let moment = gate.moment();
    let notice = Notice::new(&moment, &review, &attention, &gate.config.public_url);
    let words = denied.map(|denied| format!("Not done: {} ({}).", denied.message, denied.code));
    let view = match &words {
        Some(words) => View::Refused(words),
        None if is_of_the_side(&notice, &review, person) => View::Side,
        None => View::Shared,
    };
    Ok(Some(card::of(&notice, view)))
}

fn is_of_the_side(notice: &Notice, review: &Review, person: &crate::identity::SignedIn) -> bool {
    separation::independent(&person.person.id, &review.matter().described, &notice.side).is_err()
}

/// Why nothing came of a click.
fn said(denied: &Denied) -> Value {
    let text = format!("Not done: {} ({})", denied.message, denied.code);
    json!({"statusCode": 200, "type": "application/vnd.microsoft.activity.message", "value": text})
}

/// Casts the vote of whoever clicked.
async fn vote(shared: &Shared, caller: &Caller, verdict: Verdict, data: &Clicked) -> Result<(), Denied> {
    let malformed = || Denied::new(Code::BadRequest, "the button names no review with its digests");
    let mut parts = data.review.split(' ');
    let (Some(_), Some(action), Some(card), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(malformed());
    };
    let id = card::review_of(&data.review).ok_or_else(malformed)?;
    let (action, card) = (action.parse().map_err(|_| malformed())?, card.parse().map_err(|_| malformed())?);
    let reason = match verdict {
        Verdict::Approve => &data.why,
        Verdict::Reject => &data.reason,
    };
    if reason.len() > REASON_BYTES_MAX {
        return Err(Denied::new(Code::ReasonInvalid, format!("a reason has at most {REASON_BYTES_MAX} bytes")));
    }
    let reason = Some(reason.clone()).filter(|reason| !reason.trim().is_empty());
    let request = VoteRequest { verdict, reason, action, card, pattern: None, assertion: None, callback: None };
    resolve::cast(&shared.gate, &id, caller, request).await.map(|_| ())
}

/// The person behind an account in Teams. An account of another organization is nobody's here, whatever its id.
async fn caller(shared: &Shared, activity: &Activity) -> Result<Caller, Denied> {
    let (ours, from) = (&shared.teams.config.tenant, &activity.from);
    let tenant = from.tenant_id.as_ref().unwrap_or(ours);
    let subject = from.aad_object_id.as_deref().map(|object| format!("{tenant}/{object}"));
    let account: Option<Account> = match subject.as_deref().filter(|_| tenant == ours) {
        Some(subject) => shared.gate.directory.account(NAME, subject).await?,
        None => None,
    };
    let unlinked = format!(
        "your account in Teams ({}) is linked to nobody here; whoever runs the gateway links it with \
         `countersign person link`, or decide in the console",
        subject.unwrap_or_else(|| format!("{tenant}/…"))
    );
    person_behind(&shared.gate, account, &unlinked).await
}
