//! Channels: the places besides the console where people are told of reviews and decide on them.
//!
//! A channel is a folder here and a line in [`Registry::new`]. It puts a [`Notice`] into its own words and brings one message up
//! to date; what is told where, how often it is tried, and when it is given up is [`delivery`]'s. A click in a channel becomes
//! a vote by [`resolve::cast`](crate::resolve::cast), as everywhere; a channel knows no rules.

mod clicker;
mod delivery;
mod excerpt;
mod notice;
mod slack;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use serde_json::Value;

use crate::fetch;
use crate::gate::Gate;

use clicker::{Door, person_behind};
pub use delivery::deliver_all;
use excerpt::{Excerpt, Room, cut, open_words};
use notice::Notice;

/// Why a message was not brought up to date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Failure {
    /// The place cannot be told anything just now; it may be tried again, at the earliest after this time if one is given.
    #[error("{why}")]
    Away {
        /// Why.
        why: String,
        /// What the service asks for.
        after: Option<Duration>,
    },
    /// This message was not taken; it may be tried again.
    #[error("{0}")]
    Later(String),
    /// Trying again does not help: there is no such place, or the message is refused.
    #[error("{0}")]
    Never(String),
}

/// One kind of place.
#[async_trait]
trait Channel: Send + Sync {
    /// What policies and the configuration call it: the part of a place before its colon.
    fn name(&self) -> &'static str;
    /// A notice in its words, within its limits. What does not fit is counted there, never cut silently.
    fn render(&self, notice: &Notice) -> Value;
    /// Whether bursts are folded there.
    fn folds(&self) -> bool {
        true
    }
    /// The message that tells of the reviews of a burst, of which so many wait; `notice` is one of them.
    fn render_burst(&self, notice: &Notice, waiting: usize) -> Value;
    /// Posts a message, or changes the one that stands there. Returns how to find it again.
    async fn tell(&self, place: &str, message: Option<&str>, body: &Value) -> Result<String, Failure>;
}

/// The channels that are configured.
pub struct Registry {
    channels: Vec<Arc<dyn Channel>>,
    slack: Option<Arc<slack::Slack>>,
}

impl Registry {
    /// # Errors
    /// No client for their services can be made.
    pub fn new(gate: &Gate) -> Result<Self, fetch::Error> {
        let slack = gate.config.slack.as_ref().map(|config| slack::Slack::new(config, gate.vault.clone()));
        let slack = slack.transpose()?.map(Arc::new);
        let webhooks = webhook::Webhooks::new(&gate.config, gate.vault.clone(), gate.scribe.clone())?;
        let mut channels: Vec<Arc<dyn Channel>> = vec![Arc::new(webhooks)];
        channels.extend(slack.iter().map(|slack| Arc::clone(slack) as Arc<dyn Channel>));
        Ok(Self { channels, slack })
    }

    fn named(&self, name: &str) -> Option<&dyn Channel> {
        self.channels.iter().map(|channel| &**channel).find(|channel| channel.name() == name)
    }
}

/// How long a service asks to be left alone (RFC 9110 §10.2.3, in seconds); bounded, whatever it says.
fn pause(answer: &http::Response<Vec<u8>>) -> Duration {
    const PAUSE_DEFAULT: u64 = 30;
    const PAUSE_MAX: u64 = 15 * 60;
    let said = answer.headers().get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(said.unwrap_or(PAUSE_DEFAULT).min(PAUSE_MAX))
}

/// Where the services of the channels tell the gateway what people clicked.
pub fn router(gate: Arc<Gate>, registry: &Registry) -> Router {
    registry.slack.as_ref().map_or_else(Router::new, |slack| slack::router(gate, slack.clone()))
}
