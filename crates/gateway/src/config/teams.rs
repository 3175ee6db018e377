//! `[teams]`: the bot by which people are asked in Microsoft Teams. Sovereign clouds have addresses of their own; the defaults
//! are those of the public one.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Url;
use serde::Deserialize;
use uuid::Uuid;

use super::Error;
use super::channels::service;
use super::issuer::is_trustworthy;
use super::raw::{Check, CredentialSource};

/// Where the keys are told of that Bot Framework signs its tokens with.
const METADATA: &str = "https://login.botframework.com/v1/.well-known/openidconfiguration";
/// Who issues those tokens.
const ISSUER: &str = "https://api.botframework.com";
/// Where the bot's own tokens come from.
const LOGIN: &str = "https://login.microsoftonline.com";
/// What they are for.
const SCOPE: &str = "https://api.botframework.com/.default";
/// Where conversations are written to of which nothing was heard yet.
const SERVICE_URL: &str = "https://smba.trafficmanager.net/teams";
/// The longest name of a place, in bytes.
const PLACE_BYTES_MAX: usize = 200;

/// A Teams app with a bot.
#[derive(Debug, Clone)]
pub struct Teams {
    /// What Entra ID calls the bot's app.
    pub app_id: String,
    /// The app's secret.
    pub client_secret: CredentialSource,
    /// The tenant of the people: what comes from another is refused.
    pub tenant: String,
    /// Where reviews are told of whose policies name no place in Teams.
    pub channel: Option<String>,
    /// Where the people of a group are told of what they are asked, as well.
    pub groups: BTreeMap<String, String>,
    /// Where the keys are told of that what comes in is signed with.
    pub metadata: Url,
    /// Who signs it.
    pub issuer: String,
    /// Where the bot's tokens come from.
    pub token_endpoint: String,
    /// What they are for.
    pub scope: String,
    /// Where conversations are written to of which nothing was heard yet, without a trailing slash.
    pub service_url: String,
    /// The hosts that are ever written to, with the bot's token.
    pub service_hosts: BTreeSet<String>,
}

impl Teams {
    /// Whether the bot's token may be shown to whoever is at an address.
    pub fn takes(&self, service_url: &str) -> bool {
        let url = Url::parse(service_url).ok().filter(is_trustworthy);
        url.and_then(|url| host(&url)).is_some_and(|host| self.service_hosts.contains(&host))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTeams {
    app_id: String,
    client_secret: CredentialSource,
    tenant: String,
    channel: Option<String>,
    #[serde(default)]
    groups: BTreeMap<String, String>,
    metadata: Option<String>,
    issuer: Option<String>,
    token_endpoint: Option<String>,
    scope: Option<String>,
    service_url: Option<String>,
    #[serde(default)]
    service_hosts: BTreeSet<String>,
}

pub(super) fn teams(check: &Check<'_>, raw: RawTeams, groups: &BTreeSet<String>) -> Result<Teams, Error> {
    let (app_id, tenant) = (id(check, "teams.app_id", &raw.app_id)?, id(check, "teams.tenant", &raw.tenant)?);
    if let Some(group) = raw.groups.keys().find(|group| !groups.contains(*group)) {
        return check.fail("teams.groups", format!("names `{group}`, which `policy.groups` does not"));
    }
    for name in raw.channel.iter().chain(raw.groups.values()) {
        place(check, name)?;
    }
    let metadata = service(check, "teams.metadata", raw.metadata.unwrap_or_else(|| METADATA.to_owned()))?;
    let Ok(metadata) = Url::parse(&metadata) else {
        return check.fail("teams.metadata", format!("is `{metadata}`, which is no address"));
    };
    let endpoint = raw.token_endpoint.unwrap_or_else(|| format!("{LOGIN}/{tenant}/oauth2/v2.0/token"));
    let service_url = service(check, "teams.service_url", raw.service_url.unwrap_or_else(|| SERVICE_URL.to_owned()))?;
    let mut service_hosts = raw.service_hosts;
    service_hosts.extend(Url::parse(&service_url).ok().and_then(|url| host(&url)));
    Ok(Teams {
        app_id,
        client_secret: check.source(raw.client_secret),
        tenant,
        channel: raw.channel,
        groups: raw.groups,
        metadata,
        issuer: raw.issuer.unwrap_or_else(|| ISSUER.to_owned()),
        token_endpoint: service(check, "teams.token_endpoint", endpoint)?,
        scope: raw.scope.unwrap_or_else(|| SCOPE.to_owned()),
        service_url,
        service_hosts,
    })
}

/// The host of an address, with its port where that is not the usual one.
fn host(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

fn id(check: &Check<'_>, key: &str, text: &str) -> Result<String, Error> {
    match Uuid::parse_str(text) {
        Ok(id) => Ok(id.hyphenated().to_string()),
        Err(_) => check.fail(key, format!("is `{text}`; write an id as Entra ID shows it")),
    }
}

/// The id of a channel or a group chat, or of a person.
fn place(check: &Check<'_>, name: &str) -> Result<(), Error> {
    let plain = name.chars().all(|c| c.is_ascii_graphic());
    let is_one = name.starts_with("19:") || Uuid::parse_str(name).is_ok();
    if plain && is_one && name.len() <= PLACE_BYTES_MAX {
        return Ok(());
    }
    check.fail(
        "teams.channel",
        format!("is `{name}`; write a channel's id (`19:…@thread.tacv2`) or a person's object id"),
    )
}
