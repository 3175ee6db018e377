//! `[slack]` and `[[webhook]]`: where people are asked besides the console, and which of the configured places a review is told
//! of at: it is said here and by policies, never by who asks.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::issuer::is_trustworthy;
use super::raw::{Check, CredentialSource};
use super::{Config, Error};
use crate::ports::Destination;

/// Where Slack's Web API is.
const SLACK_API: &str = "https://slack.com/api";
/// Who says whose account in Slack it is.
const SLACK_ISSUER: &str = "https://slack.com";
/// The longest name of a place, in bytes.
const PLACE_BYTES_MAX: usize = 80;

/// A Slack app.
#[derive(Debug, Clone)]
pub struct Slack {
    /// Where its Web API is, without a trailing slash.
    pub api: String,
    /// The bot's token (`xoxb-…`).
    pub bot_token: CredentialSource,
    /// The secret that Slack signs its requests with, where it posts them to the gateway.
    pub signing_secret: Option<CredentialSource>,
    /// The app's own token (`xapp-…`), where the gateway listens at Slack instead (Socket Mode).
    pub app_token: Option<CredentialSource>,
    /// Where reviews are told of whose policies name no place in Slack.
    pub channel: Option<String>,
    /// Where the people of a group are told of what they are asked, as well.
    pub groups: BTreeMap<String, String>,
    /// Whether people are told what became of what was asked on their behalf.
    pub owners: bool,
    /// How people link their accounts themselves.
    pub sign_in: Option<SlackSignIn>,
}

/// The app as people sign in to Slack with it, to link their accounts.
#[derive(Debug, Clone)]
pub struct SlackSignIn {
    /// Whose tokens say who they are.
    pub issuer: String,
    /// What Slack calls the app.
    pub client_id: String,
    /// The app's secret.
    pub client_secret: CredentialSource,
    /// The one workspace whose accounts are linked.
    pub team: Option<String>,
}

/// Where events about reviews are sent.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// What policies call it: `@channel("webhook:NAME")`.
    pub name: String,
    /// Where it listens.
    pub url: String,
    /// What its events are signed with: `whsec_…`.
    pub secret: CredentialSource,
    /// Whether it hears of every review, also of those whose policies do not name it.
    pub all: bool,
    /// The groups that it hears of when they are asked, also by escalation.
    pub groups: BTreeSet<String>,
}

impl Webhook {
    fn place(&self) -> Destination {
        Destination::new("webhook", &self.name)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWebhook {
    name: String,
    url: String,
    secret: CredentialSource,
    #[serde(default)]
    all: bool,
    #[serde(default)]
    groups: BTreeSet<String>,
}

pub(super) fn webhooks(
    check: &Check<'_>,
    raw: Vec<RawWebhook>,
    groups: &BTreeSet<String>,
) -> Result<Vec<Webhook>, Error> {
    let mut seen = BTreeSet::new();
    let validated = raw.into_iter().map(|raw| {
        check.name("webhook.name", &raw.name)?;
        if !seen.insert(raw.name.clone()) {
            return check.fail("webhook.name", format!("`{}` stands twice", raw.name));
        }
        let url = service(check, "webhook.url", raw.url)?;
        if let Some(group) = raw.groups.difference(groups).next() {
            return check.fail("webhook.groups", format!("names `{group}`, which `policy.groups` does not"));
        }
        let secret = check.source(raw.secret);
        Ok(Webhook { name: raw.name, url, secret, all: raw.all, groups: raw.groups })
    });
    validated.collect()
}

/// The address of a service: over TLS, unless it is on this host.
pub(super) fn service(check: &Check<'_>, key: &str, url: String) -> Result<String, Error> {
    match reqwest::Url::parse(&url).ok().filter(is_trustworthy) {
        Some(_) => Ok(url.trim_end_matches('/').to_owned()),
        None => check.fail(key, format!("is `{url}`; write an `https://` address")),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSlack {
    #[serde(default = "slack_api")]
    api: String,
    bot_token: CredentialSource,
    signing_secret: Option<CredentialSource>,
    app_token: Option<CredentialSource>,
    channel: Option<String>,
    #[serde(default)]
    groups: BTreeMap<String, String>,
    #[serde(default)]
    owners: bool,
    sign_in: Option<RawSlackSignIn>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSlackSignIn {
    #[serde(default = "slack_issuer")]
    issuer: String,
    client_id: String,
    client_secret: CredentialSource,
    team: Option<String>,
}

fn slack_issuer() -> String {
    SLACK_ISSUER.to_owned()
}

fn slack_sign_in(check: &Check<'_>, raw: RawSlackSignIn) -> Result<SlackSignIn, Error> {
    let issuer = service(check, "slack.sign_in.issuer", raw.issuer)?;
    if raw.client_id.is_empty() {
        return check.fail("slack.sign_in.client_id", "is empty; it stands under Basic Information of the app");
    }
    if let Some(team) = raw.team.as_ref().filter(|team| !team.starts_with(['T', 'E'])) {
        return check.fail("slack.sign_in.team", format!("is `{team}`; write a workspace's id, as in `T0123456`"));
    }
    let client_secret = check.source(raw.client_secret);
    Ok(SlackSignIn { issuer, client_id: raw.client_id, client_secret, team: raw.team })
}

fn slack_api() -> String {
    SLACK_API.to_owned()
}

pub(super) fn slack(check: &Check<'_>, raw: RawSlack, groups: &BTreeSet<String>) -> Result<Slack, Error> {
    let api = service(check, "slack.api", raw.api)?;
    if let Some(group) = raw.groups.keys().find(|group| !groups.contains(*group)) {
        return check.fail("slack.groups", format!("names `{group}`, which `policy.groups` does not"));
    }
    if raw.signing_secret.is_none() && raw.app_token.is_none() {
        let message =
            "has neither `signing_secret` (Slack posts to the gateway) nor `app_token` (the gateway listens at Slack)";
        return check.fail("slack", message);
    }
    for name in raw.channel.iter().chain(raw.groups.values()) {
        let plain = name.chars().all(|c| !c.is_whitespace() && !c.is_control());
        if name.is_empty() || name.len() > PLACE_BYTES_MAX || !plain {
            return check
                .fail("slack.channel", format!("is `{name}`; write `#name`, the id of a conversation, or `@group`"));
        }
    }
    Ok(Slack {
        api,
        bot_token: check.source(raw.bot_token),
        signing_secret: raw.signing_secret.map(|source| check.source(source)),
        app_token: raw.app_token.map(|source| check.source(source)),
        channel: raw.channel,
        groups: raw.groups,
        owners: raw.owners,
        sign_in: raw.sign_in.map(|raw| slack_sign_in(check, raw)).transpose()?,
    })
}

impl Config {
    /// Where a review is told of: the places that its policies name, and those of this configuration for the channels that
    /// they say nothing of.
    pub fn places<'a>(&self, named: &BTreeSet<String>, asked: impl Iterator<Item = &'a str>) -> BTreeSet<Destination> {
        // policies were checked at load: every name is a place
        let mut places: BTreeSet<Destination> = named.iter().filter_map(|name| name.parse().ok()).collect();
        let slack = self.slack.as_ref().filter(|slack| slack.owners).map(|_| "slack");
        let mail = self.mail.as_ref().filter(|mail| mail.owners).map(|_| "mail");
        places.extend(slack.into_iter().chain(mail).map(|channel| Destination::new(channel, "@owner")));
        let asked: Vec<&str> = asked.collect();
        let hears = |webhook: &&Webhook| webhook.all || asked.iter().any(|group| webhook.groups.contains(*group));
        places.extend(self.webhooks.iter().filter(hears).map(Webhook::place));
        for chat in self.chats().filter(|chat| !named.iter().any(|name| chat.has(name))) {
            let of_groups = asked.iter().filter_map(|group| chat.groups.get(*group));
            let names = chat.channel.into_iter().chain(of_groups);
            places.extend(names.map(|name| Destination::new(chat.name, name)));
        }
        places
    }

    /// Where the people of a group are told of what they are asked.
    pub fn places_of(&self, group: &str) -> impl Iterator<Item = Destination> {
        let chats = self.chats().filter_map(move |chat| Some(Destination::new(chat.name, chat.groups.get(group)?)));
        let hooks = self.webhooks.iter().filter(move |webhook| webhook.groups.contains(group));
        chats.chain(hooks.map(Webhook::place))
    }

    fn chats(&self) -> impl Iterator<Item = Chat<'_>> {
        let slack = self.slack.as_ref().map(|slack| Chat {
            name: "slack",
            channel: slack.channel.as_ref(),
            groups: &slack.groups,
        });
        let teams = self.teams.as_ref().map(|teams| Chat {
            name: "teams",
            channel: teams.channel.as_ref(),
            groups: &teams.groups,
        });
        let mail =
            self.mail.as_ref().map(|mail| Chat { name: "mail", channel: mail.to.as_ref(), groups: &mail.groups });
        slack.into_iter().chain(teams).chain(mail)
    }
}

/// Where a chat service, or mail, is told of reviews whose policies name no place there.
struct Chat<'a> {
    name: &'static str,
    channel: Option<&'a String>,
    groups: &'a BTreeMap<String, String>,
}

impl Chat<'_> {
    fn has(&self, place: &str) -> bool {
        place.split_once(':').is_some_and(|(channel, _)| channel == self.name)
    }
}
