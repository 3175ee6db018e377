//! Webhooks: each change of a review as a signed event, for whatever has no channel of its own.
//!
//! The envelope is that of CloudEvents 1.0 (structured mode), the signature that of Standard Webhooks 1.0. An event's id follows
//! from what it says, so that one that is sent again is known as the same. What a receiver may do with it is hand on what a person
//! decided, with that person's own token: by the event's callback ([`Callback`](crate::resolve::Callback)), or as any vote over
//! the API. The event itself decides nothing.

mod event;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Channel, Failure, Notice, pause};
use crate::fetch::{self, Fetch};
use crate::gate::Gate;
use crate::ports::{Destination, Scribe, Seal, Vault, webhook_secret};

/// What the channel is called.
pub(super) const NAME: &str = "webhook";
/// How long a receiver may take (Standard Webhooks asks for 15 to 30 seconds).
const LIMITS: fetch::Limits = fetch::Limits { time: Duration::from_secs(15), bytes: 64 * 1024 };
/// The lengths of a signing key (Standard Webhooks): 24 to 64 bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// All webhooks that are configured, by name.
pub(super) struct Webhooks {
    urls: BTreeMap<String, String>,
    public_url: String,
    vault: Arc<dyn Vault>,
    seal: Arc<dyn Seal>,
    scribe: Scribe,
    fetch: Fetch,
}

impl Webhooks {
    /// # Errors
    /// No client can be made.
    pub(super) fn new(gate: &Gate) -> Result<Self, fetch::Error> {
        let (config, vault, scribe) = (&gate.config, gate.vault.clone(), gate.scribe.clone());
        let seal = gate.seal.clone();
        let urls = config.webhooks.iter().map(|webhook| (webhook.name.clone(), webhook.url.clone())).collect();
        Ok(Self { urls, public_url: config.public_url.clone(), vault, seal, scribe, fetch: Fetch::new(LIMITS)? })
    }

    async fn send(&self, url: &str, name: &str, id: &str, body: Vec<u8>) -> Result<(), Failure> {
        let away = |why: String| Failure::Away { why, after: None };
        let secret = self.vault.secret(&webhook_secret(name)).await.map_err(|error| away(error.to_string()))?;
        let key = key(&secret).ok_or_else(|| away("its secret is no `whsec_…` of 24 to 64 bytes".to_owned()))?;
        let timestamp = (self.scribe.now().micros() / 1_000_000).to_string();
        let request = http::Request::post(url)
            .header(http::header::CONTENT_TYPE, "application/cloudevents+json; charset=utf-8")
            .header("webhook-id", id)
            .header("webhook-timestamp", &timestamp)
            .header("webhook-signature", signature(&key, id, &timestamp, &body))
            .body(body)
            .map_err(|error| Failure::Never(error.to_string()))?;
        let answer = self.fetch.clone().send(request).await.map_err(|error| away(error.to_string()))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            StatusCode::GONE => Err(Failure::Never("the receiver wants no more events (410)".to_owned())),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Err(Failure::Away { why: format!("it answers {}", answer.status()), after: Some(pause(&answer)) })
            }
            status => Err(Failure::Later(format!("it answers {status}"))),
        }
    }
}

#[async_trait]
impl Channel for Webhooks {
    fn name(&self) -> &'static str {
        NAME
    }

    fn render(&self, notice: &Notice) -> Value {
        event::of(notice, &self.public_url)
    }

    /// Programs read each by itself: nothing is folded for them.
    fn render_burst(&self, notice: &Notice, _: usize) -> Value {
        self.render(notice)
    }

    fn folds(&self) -> bool {
        false
    }

    fn tells_all(&self) -> bool {
        true
    }

    /// An event is not changed but followed by another; it is found again by its id.
    async fn tell(&self, place: &str, _: Option<&str>, body: &Value) -> Result<String, Failure> {
        let url = self.urls.get(place).ok_or_else(|| Failure::Never(format!("no webhook `{place}` is configured")))?;
        let (id, mut event) = event::stamped(body, self.scribe.now());
        if let Some(callback) = event::callback(body, &id, Destination::new(NAME, place)) {
            // sealed anew each time, so it is no part of what the event is known by
            let token = callback.token(&*self.seal).map_err(|error| Failure::Later(error.to_string()))?;
            event["data"]["decision"]["token"] = token.into();
        }
        self.send(url, place, &id, event.to_string().into_bytes()).await?;
        Ok(id)
    }
}

/// `whsec_` and the key in base64.
fn key(secret: &SecretString) -> Option<Zeroizing<Vec<u8>>> {
    let key = Zeroizing::new(STANDARD.decode(secret.expose_secret().strip_prefix("whsec_")?).ok()?);
    KEY_BYTES.contains(&key.len()).then_some(key)
}

/// `v1,` and HMAC-SHA256 of `id.timestamp.body` in base64.
fn signature(key: &[u8], id: &str, timestamp: &str, body: &[u8]) -> String {
    // HMAC takes keys of any length; one that it did not take would sign nothing that anybody accepts
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}
