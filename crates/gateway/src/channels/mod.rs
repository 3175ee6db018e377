//! Channels: the places besides the console where people are told of reviews and decide on them.
//!
//! A channel is a folder here and a line in [`ALL`]. It puts a [`Notice`] into its own words and brings one message up
//! to date; what is told where, how often it is tried, and when it is given up is [`delivery`]'s. A click in a channel becomes
//! a vote by [`resolve::cast`](crate::resolve::cast), as everywhere; a channel knows no rules.

mod clicker;
mod delivery;
mod excerpt;
mod mail;
mod notice;
mod personal;
mod slack;
mod teams;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use serde_json::Value;

use crate::fetch;
use crate::gate::Gate;
use crate::ports::{Account, Person};

use clicker::{Door, person_behind};
pub use delivery::deliver_all;
use excerpt::{Excerpt, Room, cut, open_words};
use notice::{Happening, Notice};
use personal::{Who, called, is_owners, owner};

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
    /// Its service asks for a pause of this kind of call: it may be tried again after it. Other messages need not wait.
    #[error("{why}")]
    Busy {
        /// Why.
        why: String,
        /// What the service asks for.
        after: Duration,
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
    /// What a person's own place is called there, if they have one.
    fn personal(&self, person: &Person, accounts: &[&Account]) -> Option<String> {
        let _ = (person, accounts);
        None
    }
    /// Whether it is told also of what was over before it could be told: programs keep books, people need not read it.
    fn tells_all(&self) -> bool {
        false
    }
    /// The message that tells of the reviews of a burst, of which so many wait; `notice` is one of them.
    fn render_burst(&self, notice: &Notice, waiting: usize) -> Value;
    /// Posts a message, or changes the one that stands there. Returns how to find it again.
    async fn tell(&self, place: &str, message: Option<&str>, body: &Value) -> Result<String, Failure>;
    /// Whether what happens afterwards is told beneath the message too, one by one.
    fn threads(&self) -> bool {
        false
    }
    /// Tells beneath a message that something happened.
    async fn reply(&self, place: &str, message: &str, notice: &Notice, happening: &Happening) -> Result<(), Failure> {
        let _ = (place, message, notice, happening);
        Ok(())
    }
    /// Where its service tells the gateway what people clicked, if it does.
    fn router(self: Arc<Self>, _gate: Arc<Gate>) -> Router {
        Router::new()
    }
    /// Listens at its service for what people click, where the gateway does that instead; never ends.
    async fn listen(self: Arc<Self>, _gate: Arc<Gate>) {
        std::future::pending().await
    }
}

/// Makes a channel, if it is configured.
type Make = fn(&Gate) -> Result<Option<Arc<dyn Channel>>, fetch::Error>;

/// Every channel there is, by name.
const ALL: [(&str, Make); 4] = [
    ("mail", |gate| Ok(mail::Mail::new(gate)?.map(|mail| Arc::new(mail) as Arc<dyn Channel>))),
    ("slack", |gate| Ok(slack::Slack::new(gate)?.map(|slack| Arc::new(slack) as Arc<dyn Channel>))),
    ("teams", |gate| Ok(teams::Teams::new(gate)?.map(|teams| Arc::new(teams) as Arc<dyn Channel>))),
    ("webhook", |gate| Ok(Some(Arc::new(webhook::Webhooks::new(gate)?)))),
];

/// The names of all channels, configured or not.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.into_iter().map(|(name, _)| name)
}

/// The channels that are configured.
pub struct Registry {
    channels: Vec<Arc<dyn Channel>>,
}

impl Registry {
    /// # Errors
    /// No client for their services can be made.
    pub fn new(gate: &Gate) -> Result<Self, fetch::Error> {
        let made = ALL.into_iter().map(|(_, make)| make(gate));
        Ok(Self { channels: made.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect() })
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
pub fn router(gate: &Arc<Gate>, registry: &Registry) -> Router {
    let routers = registry.channels.iter().map(|channel| Arc::clone(channel).router(gate.clone()));
    routers.fold(Router::new(), Router::merge)
}

/// Listens where services are listened at for what people clicked, until the future is dropped.
pub async fn listen_all(gate: &Arc<Gate>, registry: &Registry) {
    let all = registry.channels.iter().map(|channel| Arc::clone(channel).listen(gate.clone()));
    futures::future::join_all(all).await;
}
