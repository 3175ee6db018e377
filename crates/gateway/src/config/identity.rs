//! `[oidc]`: how people sign in.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::Error;
use super::raw::{Check, CredentialSource};

/// The identity provider that people sign in with.
#[derive(Debug, Clone)]
pub struct Oidc {
    /// Its issuer, exactly as its discovery document and its tokens name it.
    pub issuer: String,
    /// What the provider calls the gateway.
    pub client_id: String,
    /// The client's secret; a public client has none, and PKCE in any case.
    pub client_secret: Option<CredentialSource>,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// The claim that lists a person's groups.
    pub groups_claim: String,
    /// The provider's names of groups, and the policies' names for them. A group of policies stands for itself too.
    pub groups: BTreeMap<String, String>,
    /// A claim that is the same in all accounts of one human, and never another's.
    pub person_claim: Option<String>,
    /// The provider's groups whose members are administrators.
    pub admins: BTreeSet<String>,
    /// The provider's groups whose members are auditors.
    pub auditors: BTreeSet<String>,
    /// The values of `amr` or `acr` that stand for a second factor.
    pub mfa: BTreeSet<String>,
    /// Where a person's groups are asked for when a token has no room for them (Entra ID's overage).
    pub groups_endpoint: String,
    /// Whether a person added before by name is found by an address that the provider has verified.
    pub link_verified_email: bool,
    /// Whether somebody unknown who signs in is added.
    pub provision: bool,
    /// Whether links and tokens minted on the gateway's host still sign people in.
    pub login_links: bool,
    /// How long a session lasts, in seconds.
    pub session_seconds: u32,
    /// How old what is known of a person's groups may be when they vote, in seconds.
    pub groups_max_age_seconds: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOidc {
    issuer: String,
    client_id: String,
    client_secret: Option<CredentialSource>,
    #[serde(default = "scopes")]
    scopes: Vec<String>,
    #[serde(default = "groups_claim")]
    groups_claim: String,
    #[serde(default)]
    groups: BTreeMap<String, String>,
    person_claim: Option<String>,
    #[serde(default)]
    admins: BTreeSet<String>,
    #[serde(default)]
    auditors: BTreeSet<String>,
    #[serde(default = "mfa")]
    mfa: BTreeSet<String>,
    #[serde(default = "groups_endpoint")]
    groups_endpoint: String,
    #[serde(default = "yes")]
    link_verified_email: bool,
    #[serde(default = "yes")]
    provision: bool,
    #[serde(default = "yes")]
    login_links: bool,
    #[serde(default = "session_seconds")]
    session_seconds: u32,
    #[serde(default = "groups_max_age_seconds")]
    groups_max_age_seconds: u32,
}

fn scopes() -> Vec<String> {
    ["openid", "profile", "email", "groups"].map(str::to_owned).into()
}

fn groups_claim() -> String {
    "groups".to_owned()
}

/// What RFC 8176 calls more than one factor, or one that holds two, and what Okta and Entra ID send.
fn mfa() -> BTreeSet<String> {
    ["mfa", "hwk", "phr", "phrh", "http://schemas.openid.net/pape/policies/2007/06/multi-factor"]
        .map(str::to_owned)
        .into()
}

/// Microsoft Graph's list of every group a person is in, nested ones included.
fn groups_endpoint() -> String {
    "https://graph.microsoft.com/v1.0/me/transitiveMemberOf/microsoft.graph.group?$select=id&$top=999".to_owned()
}

fn yes() -> bool {
    true
}

fn session_seconds() -> u32 {
    12 * 60 * 60
}

fn groups_max_age_seconds() -> u32 {
    15 * 60
}

/// How an identity provider's provisioning client (SCIM 2.0) tells who is there.
#[derive(Debug, Clone)]
pub struct Scim {
    /// The client's bearer token.
    pub token: CredentialSource,
    /// Which attribute of a user says who they are to the provider.
    pub subject: Subject,
    /// Which claim of a sign-in says the same: `sub`, or `oidc.person_claim`.
    pub claim: String,
}

/// An attribute of a provisioned user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum Subject {
    /// The id at the provider.
    #[default]
    #[serde(rename = "externalId")]
    ExternalId,
    /// The user name, where it is the subject of sign-ins and never another's.
    #[serde(rename = "userName")]
    UserName,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawScim {
    token: CredentialSource,
    #[serde(default)]
    subject: Subject,
    #[serde(default = "sub")]
    claim: String,
}

fn sub() -> String {
    "sub".to_owned()
}

pub(super) fn scim(check: &Check<'_>, raw: RawScim, oidc: Option<&Oidc>) -> Result<Scim, Error> {
    let Some(oidc) = oidc else {
        return check.fail("scim", "needs `[oidc]`: those who are provisioned sign in there");
    };
    if raw.claim != "sub" && oidc.person_claim.as_ref() != Some(&raw.claim) {
        return check.fail("scim.claim", format!("is `{}`; write `sub`, or what `oidc.person_claim` is", raw.claim));
    }
    Ok(Scim { token: check.source(raw.token), subject: raw.subject, claim: raw.claim })
}

pub(super) fn validated(check: &Check<'_>, raw: RawOidc, groups: &BTreeSet<String>) -> Result<Oidc, Error> {
    issuer_url(check, "oidc.issuer", &raw.issuer)?;
    issuer_url(check, "oidc.groups_endpoint", &raw.groups_endpoint)?;
    if raw.client_id.is_empty() {
        return check.fail("oidc.client_id", "is empty; the provider gives one when the gateway is registered there");
    }
    if !raw.scopes.iter().any(|scope| scope == "openid") {
        return check.fail("oidc.scopes", "must name `openid`");
    }
    if let Some(unknown) = raw.groups.values().find(|group| !groups.contains(*group)) {
        return check.fail("oidc.groups", format!("names `{unknown}`, which is not among `policy.groups`"));
    }
    let session_seconds = check.wait("oidc.session_seconds", raw.session_seconds)?;
    let groups_max_age_seconds = check.wait("oidc.groups_max_age_seconds", raw.groups_max_age_seconds)?;
    Ok(Oidc {
        issuer: raw.issuer,
        client_id: raw.client_id,
        client_secret: raw.client_secret.map(|source| check.source(source)),
        scopes: raw.scopes,
        groups_claim: raw.groups_claim,
        groups: raw.groups,
        person_claim: raw.person_claim,
        admins: raw.admins,
        auditors: raw.auditors,
        mfa: raw.mfa,
        groups_endpoint: raw.groups_endpoint,
        link_verified_email: raw.link_verified_email,
        provision: raw.provision,
        login_links: raw.login_links,
        session_seconds,
        groups_max_age_seconds,
    })
}

/// Tokens and keys travel to and from it, so it is reached by TLS, or on this machine.
fn issuer_url(check: &Check<'_>, key: &str, url: &str) -> Result<(), Error> {
    let (secure, local) = (url.strip_prefix("https://"), url.strip_prefix("http://"));
    let host = |rest: &str| rest.split(['/', '?']).next().unwrap_or_default().to_owned();
    let loopback = |host: &str| {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        matches!(name, "127.0.0.1" | "localhost" | "[::1]")
    };
    match (secure.map(host), local.map(host)) {
        (Some(host), _) if !host.is_empty() && !host.contains('@') => Ok(()),
        (_, Some(host)) if loopback(&host) => Ok(()),
        _ => check.fail(key, format!("is `{url}`; write an address with `https://` (`http://` on loopback only)")),
    }
}
