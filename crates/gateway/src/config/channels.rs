//! `[slack]`: where people are asked besides the console. Where a review is told of is said here and by policies, never by
//! who asks.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::raw::{Check, CredentialSource};
use super::{Config, Error};
use crate::ports::Destination;

/// Where Slack's Web API is.
const SLACK_API: &str = "https://slack.com/api";
/// The longest name of a place, in bytes.
const PLACE_BYTES_MAX: usize = 80;

/// A Slack app.
#[derive(Debug, Clone)]
pub struct Slack {
    /// Where its Web API is, without a trailing slash.
    pub api: String,
    /// The bot's token (`xoxb-…`).
    pub bot_token: CredentialSource,
    /// The secret that Slack signs its requests with.
    pub signing_secret: CredentialSource,
    /// Where reviews are told of whose policies name no place in Slack.
    pub channel: Option<String>,
    /// Where the people of a group are told of what they are asked, as well.
    pub groups: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSlack {
    #[serde(default = "slack_api")]
    api: String,
    bot_token: CredentialSource,
    signing_secret: CredentialSource,
    channel: Option<String>,
    #[serde(default)]
    groups: BTreeMap<String, String>,
}

fn slack_api() -> String {
    SLACK_API.to_owned()
}

pub(super) fn slack(check: &Check<'_>, raw: RawSlack, groups: &BTreeSet<String>) -> Result<Slack, Error> {
    let api = raw.api.trim_end_matches('/').to_owned();
    let loopback = api.starts_with("http://127.0.0.1:") || api.starts_with("http://[::1]:");
    if !api.starts_with("https://") && !loopback {
        return check.fail("slack.api", format!("is `{api}`; write an `https://` address"));
    }
    if let Some(group) = raw.groups.keys().find(|group| !groups.contains(*group)) {
        return check.fail("slack.groups", format!("names `{group}`, which `policy.groups` does not"));
    }
    for name in raw.channel.iter().chain(raw.groups.values()) {
        let plain = name.chars().all(|c| !c.is_whitespace() && !c.is_control());
        if name.is_empty() || name.len() > PLACE_BYTES_MAX || !plain {
            return check.fail("slack.channel", format!("is `{name}`; write `#name`, or the id of a conversation"));
        }
    }
    Ok(Slack {
        api,
        bot_token: check.source(raw.bot_token),
        signing_secret: check.source(raw.signing_secret),
        channel: raw.channel,
        groups: raw.groups,
    })
}

impl Config {
    /// Where a review is told of: the places that its policies name, and those of this configuration for the channels that
    /// they say nothing of.
    pub fn places<'a>(&self, named: &BTreeSet<String>, asked: impl Iterator<Item = &'a str>) -> BTreeSet<Destination> {
        // policies were checked at load: every name is a place
        let mut places: BTreeSet<Destination> = named.iter().filter_map(|name| name.parse().ok()).collect();
        let Some(slack) = self.slack.as_ref().filter(|_| !places.iter().any(|place| place.channel() == "slack")) else {
            return places;
        };
        let of_groups = asked.filter_map(|group| slack.groups.get(group));
        places.extend(slack.channel.iter().chain(of_groups).map(|name| Destination::new("slack", name)));
        places
    }

    /// Where the people of a group are told of what they are asked.
    pub fn place_of(&self, group: &str) -> Option<Destination> {
        Some(Destination::new("slack", self.slack.as_ref()?.groups.get(group)?))
    }
}
