//! Slack: one message a review and conversation, with buttons that decide (Block Kit, Web API, interactivity).

mod blocks;
mod events;
mod home;
mod inbound;
mod interactions;
mod pauses;
mod signature;
mod socket;

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Channel, Failure, Happening, Notice, pause};
use crate::fetch::{self, Fetch};
use crate::gate::Gate;
use crate::ports::{Account, Person, SLACK_ACCOUNTS, SLACK_BOT_TOKEN, Vault};
use interactions::Desk;
use pauses::Pauses;

/// The largest request: a click carries the message that it was made in.
const REQUEST_BYTES_MAX: usize = 256 * 1024;

/// What Slack says when trying again does not help.
const FINAL: &[&str] = &[
    "channel_not_found",
    "invalid_blocks",
    "invalid_blocks_format",
    "is_archived",
    "message_not_found",
    "msg_blocks_too_long",
    "msg_too_long",
    "not_in_channel",
    "restricted_action",
    "user_disabled",
    "user_not_found",
];

/// The app.
pub(super) struct Slack {
    api: String,
    /// Whether Slack posts to the gateway, signed.
    inbound: bool,
    /// Whether the gateway listens at Slack.
    socket: bool,
    vault: Arc<dyn Vault>,
    fetch: Fetch,
    pauses: Pauses,
}

/// What every method of the Web API answers; the rest depends on the method.
#[derive(Deserialize)]
struct Answer {
    ok: bool,
    #[serde(default)]
    error: String,
    /// A conversation: its id, or what is known of it.
    #[serde(default)]
    channel: Value,
    #[serde(default)]
    ts: String,
    #[serde(default)]
    url: String,
}

impl Slack {
    /// None where none is configured.
    ///
    /// # Errors
    /// No client can be made.
    pub(super) fn new(gate: &Gate) -> Result<Option<Self>, fetch::Error> {
        let Some(config) = &gate.config.slack else { return Ok(None) };
        let (api, vault) = (config.api.clone(), gate.vault.clone());
        let (inbound, socket) = (config.signing_secret.is_some(), config.app_token.is_some());
        Ok(Some(Self {
            api,
            inbound,
            socket,
            vault,
            fetch: Fetch::new(fetch::Limits::default())?,
            pauses: Pauses::default(),
        }))
    }

    /// Calls a method of the Web API as the bot.
    async fn call(&self, method: &str, arguments: &Value) -> Result<Answer, Failure> {
        self.call_as(SLACK_BOT_TOKEN, method, arguments).await
    }

    /// Calls a method of the Web API with a token, by what the vault calls it.
    async fn call_as(&self, token: &str, method: &str, arguments: &Value) -> Result<Answer, Failure> {
        let away = |why: String| Failure::Away { why, after: None };
        let place = arguments["channel"].as_str().unwrap_or_default();
        self.pauses.check(method, place)?;
        let token = self.vault.secret(token).await.map_err(|error| away(error.to_string()))?;
        let request = http::Request::post(format!("{}/{method}", self.api))
            .header(http::header::AUTHORIZATION, format!("Bearer {}", token.expose_secret()))
            .header(http::header::CONTENT_TYPE, "application/json; charset=utf-8")
            .body(arguments.to_string().into_bytes())
            .map_err(|error| Failure::Never(error.to_string()))?;
        let answer = self.fetch.clone().send(request).await.map_err(|error| away(error.to_string()))?;
        if answer.status() == http::StatusCode::TOO_MANY_REQUESTS {
            return Err(self.pauses.keep(method, place, pause(&answer)));
        }
        if !answer.status().is_success() {
            return Err(away(format!("Slack answers {}", answer.status())));
        }
        let answer: Answer = serde_json::from_slice(answer.body()).map_err(|error| away(error.to_string()))?;
        match answer.error.as_str() {
            _ if answer.ok => Ok(answer),
            error if FINAL.contains(&error) => Err(Failure::Never(format!("Slack says `{error}`"))),
            error => Err(Failure::Later(format!("Slack says `{error}`"))),
        }
    }

    /// The conversation that a place is: a person's own is opened first.
    async fn conversation(&self, place: &str) -> Result<String, Failure> {
        if !is_person(place) {
            return Ok(place.to_owned());
        }
        let Answer { channel, .. } = self.call("conversations.open", &json!({"users": place})).await?;
        let id = channel["id"].as_str().filter(|id| !id.is_empty()).map(str::to_owned);
        id.ok_or_else(|| Failure::Later("Slack does not say which conversation it opened".to_owned()))
    }

    /// Says something to one person alone, where they clicked.
    async fn whisper(&self, conversation: &str, user: &str, text: &str) {
        let arguments = json!({"channel": conversation, "user": user, "text": text});
        if let Err(failure) = self.call("chat.postEphemeral", &arguments).await {
            tracing::warn!(%failure, "somebody who clicked in Slack could not be told what came of it");
        }
    }
}

#[async_trait]
impl Channel for Slack {
    fn name(&self) -> &'static str {
        "slack"
    }

    fn render(&self, notice: &Notice) -> Value {
        blocks::message(notice)
    }

    fn render_burst(&self, notice: &Notice, waiting: usize) -> Value {
        blocks::burst(notice, waiting)
    }

    /// A message is found again as `CONVERSATION/TS`.
    async fn tell(&self, place: &str, message: Option<&str>, body: &Value) -> Result<String, Failure> {
        let mut arguments = body.clone();
        let method = match message.and_then(|message| message.split_once('/')) {
            Some((conversation, ts)) => {
                arguments["channel"] = json!(conversation);
                arguments["ts"] = json!(ts);
                "chat.update"
            }
            None => {
                arguments["channel"] = json!(self.conversation(place).await?);
                arguments["unfurl_links"] = json!(false); // what is updated keeps what it was posted with
                "chat.postMessage"
            }
        };
        let Answer { channel, ts, .. } = self.call(method, &arguments).await?;
        let channel = channel.as_str().unwrap_or_default();
        if channel.is_empty() || ts.is_empty() {
            return Err(Failure::Later("Slack does not say where the message stands".to_owned()));
        }
        Ok(format!("{channel}/{ts}"))
    }

    fn router(self: Arc<Self>, gate: Arc<Gate>) -> Router {
        if self.inbound { inbound::router(gate, self) } else { Router::new() }
    }

    async fn listen(self: Arc<Self>, gate: Arc<Gate>) {
        match self.socket {
            true => socket::listen(&Desk::new(gate, self)).await,
            false => std::future::pending().await,
        }
    }

    /// The account that was linked last.
    fn personal(&self, _: &Person, accounts: &[&Account]) -> Option<String> {
        let own = accounts.iter().filter(|account| account.provider == SLACK_ACCOUNTS);
        let newest = own.max_by_key(|account| account.linked_at)?;
        let user = newest.subject.rsplit_once('/')?.1;
        is_person(user).then(|| user.to_owned())
    }

    fn threads(&self) -> bool {
        true
    }

    async fn reply(&self, _: &str, message: &str, _: &Notice, happening: &Happening) -> Result<(), Failure> {
        let Some((conversation, ts)) = message.split_once('/') else { return Ok(()) };
        let mut arguments = blocks::reply(happening);
        arguments["channel"] = json!(conversation);
        arguments["thread_ts"] = json!(ts);
        self.call("chat.postMessage", &arguments).await.map(drop)
    }
}

/// Whether a place is somebody's id (`U…`, or `W…` in an organization) rather than a conversation.
fn is_person(place: &str) -> bool {
    let is_id = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    place.starts_with(['U', 'W']) && place.len() >= 6 && place.chars().all(is_id)
}
