//! Writing to conversations: the Bot Connector's REST API, with the app's own token (client credentials).
//!
//! The token is kept until shortly before it ends, and is shown to no host but those of the configuration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::super::{Failure, pause};
use crate::config;
use crate::fetch::{self, Fetch, Limits};
use crate::ports::{TEAMS_CLIENT_SECRET, Vault};

/// How long before its end a token is no longer used: 5 minutes, the skew that Bot Framework allows clocks.
const SPARE: Duration = Duration::from_secs(5 * 60);
/// The longest that a token is kept, whatever is said of it: an hour.
const KEPT_SECONDS_MAX: u64 = 60 * 60;
/// The most ids of members that are remembered.
const MEMBERS_MAX: usize = 10_000;

/// The bot's way out.
pub(super) struct Connector {
    config: config::Teams,
    vault: Arc<dyn Vault>,
    fetch: Fetch,
    token: Mutex<Option<(SecretString, Instant)>>,
    /// What Teams calls people, by their object ids; the bot hears the same name everywhere.
    members: Mutex<BTreeMap<String, String>>,
}

impl Connector {
    /// # Errors
    /// No client can be made.
    pub(super) fn new(config: config::Teams, vault: Arc<dyn Vault>) -> Result<Self, fetch::Error> {
        let fetch = Fetch::new(Limits::default())?;
        Ok(Self { config, vault, fetch, token: Mutex::default(), members: Mutex::default() })
    }

    /// Posts an activity. Returns its id.
    pub(super) async fn post(&self, service: &str, conversation: &str, activity: Value) -> Result<String, Failure> {
        let path = format!("v3/conversations/{}/activities", segment(conversation));
        let said = self.call(service, Method::POST, &path, Some(self.addressed(conversation, activity))).await?;
        match said["id"].as_str() {
            Some(id) if !id.is_empty() && !id.contains(' ') => Ok(id.to_owned()),
            _ => Err(Failure::Later("Teams does not say which message it is".to_owned())),
        }
    }

    /// Replaces an activity.
    pub(super) async fn change(
        &self,
        service: &str,
        conversation: &str,
        id: &str,
        activity: Value,
    ) -> Result<(), Failure> {
        let path = format!("v3/conversations/{}/activities/{}", segment(conversation), segment(id));
        let mut activity = self.addressed(conversation, activity);
        activity["id"] = json!(id);
        self.call(service, Method::PUT, &path, Some(activity)).await.map(|_| ())
    }

    fn addressed(&self, conversation: &str, mut activity: Value) -> Value {
        activity["from"] = json!({"id": format!("28:{}", self.config.app_id), "name": "Countersign"});
        activity["conversation"] = json!({"id": conversation});
        activity
    }

    /// What Teams calls somebody, if they are in a conversation.
    pub(super) async fn member(
        &self,
        service: &str,
        conversation: &str,
        object: &str,
    ) -> Result<Option<String>, Failure> {
        if let Some(known) = self.members.lock().await.get(object) {
            return Ok(Some(known.clone()));
        }
        let path = format!("v3/conversations/{}/members/{}", segment(conversation), segment(object));
        match self.call(service, Method::GET, &path, None).await {
            Ok(member) => {
                let id = member["id"].as_str().map(str::to_owned);
                if let Some(id) = &id {
                    self.met(object, id).await;
                }
                Ok(id)
            }
            Err(Failure::Never(_)) => Ok(None), // they are not there
            Err(failure) => Err(failure),
        }
    }

    /// Remembers what Teams calls somebody.
    pub(super) async fn met(&self, object: &str, id: &str) {
        let mut members = self.members.lock().await;
        if members.len() < MEMBERS_MAX || members.contains_key(object) {
            members.insert(object.to_owned(), id.to_owned());
        }
    }

    async fn call(&self, service: &str, method: Method, path: &str, body: Option<Value>) -> Result<Value, Failure> {
        let away = |why: String| Failure::Away { why, after: None };
        if !self.config.takes(service) {
            return Err(Failure::Never(format!("`{service}` is not one of `teams.service_hosts`")));
        }
        let token = self.token().await?;
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}/{path}", service.trim_end_matches('/')))
            .header(header::AUTHORIZATION, format!("Bearer {}", token.expose_secret()))
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .body(body.map(|body| body.to_string().into_bytes()).unwrap_or_default())
            .map_err(|error| Failure::Never(error.to_string()))?;
        let answer = self.fetch.clone().send(request).await.map_err(|error| away(error.to_string()))?;
        match answer.status() {
            // what is updated is answered with nothing, or with its id
            status if status.is_success() => Ok(serde_json::from_slice(answer.body()).unwrap_or_default()),
            status => Err(self.failure(status, &answer).await),
        }
    }

    /// What a failure means. Teams asks for another attempt after 412, 429, 502 and 504 (*Rate limiting*).
    async fn failure(&self, status: StatusCode, answer: &http::Response<Vec<u8>>) -> Failure {
        let why = format!("Teams answers {status}{}", named(answer.body()));
        match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Failure::Away { why, after: Some(pause(answer)) }
            }
            StatusCode::UNAUTHORIZED => {
                *self.token.lock().await = None; // it may have been taken back
                Failure::Away { why, after: None }
            }
            StatusCode::BAD_REQUEST
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::GONE
            | StatusCode::PAYLOAD_TOO_LARGE => Failure::Never(why),
            status if status.is_server_error() => Failure::Away { why, after: None },
            _ => Failure::Later(why),
        }
    }

    async fn token(&self) -> Result<SecretString, Failure> {
        let mut kept = self.token.lock().await;
        if let Some((token, _)) = kept.as_ref().filter(|(_, until)| Instant::now() < *until) {
            return Ok(token.clone());
        }
        let (token, good_for) = self.new_token().await?;
        *kept = Some((token.clone(), Instant::now() + good_for));
        Ok(token)
    }

    async fn new_token(&self) -> Result<(SecretString, Duration), Failure> {
        #[derive(Deserialize)]
        struct Granted {
            access_token: String,
            expires_in: u64,
        }
        let away = |why: String| Failure::Away { why, after: None };
        let secret = self.vault.secret(TEAMS_CLIENT_SECRET).await.map_err(|error| away(error.to_string()))?;
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", &self.config.app_id)
            .append_pair("client_secret", secret.expose_secret())
            .append_pair("scope", &self.config.scope)
            .finish();
        let request = http::Request::post(&self.config.token_endpoint)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.into_bytes())
            .map_err(|error| Failure::Never(error.to_string()))?;
        let answer = self.fetch.clone().send(request).await.map_err(|error| away(error.to_string()))?;
        if !answer.status().is_success() {
            let after = (answer.status() == StatusCode::TOO_MANY_REQUESTS).then(|| pause(&answer));
            let why = format!("no token for the bot: {}{}", answer.status(), named(answer.body()));
            return Err(Failure::Away { why, after });
        }
        let granted: Granted = serde_json::from_slice(answer.body())
            .map_err(|_| away("no token for the bot: the answer holds none".to_owned()))?;
        let seconds = Duration::from_secs(granted.expires_in.min(KEPT_SECONDS_MAX));
        Ok((granted.access_token.into(), seconds.saturating_sub(SPARE)))
    }
}

/// What a service calls its refusal: `{"error": {"code": …}}`, or `{"error": …}` (RFC 6749 §5.2).
fn named(body: &[u8]) -> String {
    const NAME_CHARS_MAX: usize = 80;
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return String::new() };
    let name = body.pointer("/error/code").or(body.get("error")).and_then(Value::as_str);
    name.map_or_else(String::new, |name| {
        let name: String = name.chars().filter(|c| c.is_ascii_graphic()).take(NAME_CHARS_MAX).collect();
        format!(" (`{name}`)")
    })
}

/// A segment of a path.
fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
