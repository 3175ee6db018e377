//! The file's own shape, and its validation into [`Config`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use countersign_core::action::redact::{Redaction, Rules};
use countersign_core::action::{Environment, Sensitivity};
use serde::{Deserialize, Serialize};

use super::channels::{self, RawSlack, RawWebhook};
use super::http::{self, HttpTarget};
use super::identity::{self, RawOidc, RawScim};
use super::issuer::{self, RawIssuer};
use super::mail::{self, RawMail};
use super::secrets::{self, RawSecrets};
use super::teams::{self, RawTeams};
use super::{Config, Error, Ledger, PolicyChanges, Postgres, Protocol, Target, TlsFiles, Waits};
use crate::ports::ReviewLimits;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    #[serde(default)]
    server: Server,
    #[serde(default)]
    policy: Policy,
    postgres: Option<RawPostgres>,
    #[serde(default)]
    ledger: RawLedger,
    #[serde(default)]
    review: RawReview,
    oidc: Option<RawOidc>,
    scim: Option<RawScim>,
    #[serde(default)]
    secrets: RawSecrets,
    slack: Option<RawSlack>,
    teams: Option<RawTeams>,
    mail: Option<RawMail>,
    #[serde(default)]
    webhook: Vec<RawWebhook>,
    #[serde(default)]
    target: Vec<RawTarget>,
    #[serde(default)]
    issuer: Vec<RawIssuer>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Server {
    listen: SocketAddr,
    public_url: Option<String>,
    data_dir: PathBuf,
    policies: PathBuf,
    node: String,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    connections_max: usize,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8470)),
            public_url: None,
            data_dir: PathBuf::from("./data"),
            policies: PathBuf::from("./policies"),
            node: "gateway-1".to_owned(),
            tls_cert: None,
            tls_key: None,
            connections_max: connections_max(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Policy {
    groups: BTreeSet<String>,
    changes: PolicyChanges,
    utc_offset_minutes: i32,
}

impl Default for Policy {
    fn default() -> Self {
        let groups = ["dba", "security", "sre"].map(str::to_owned).into();
        Self { groups, changes: PolicyChanges::File, utc_offset_minutes: 0 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPostgres {
    #[serde(default = "postgres_listen")]
    listen: SocketAddr,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    #[serde(default = "connections_max")]
    connections_max: usize,
    #[serde(default = "logins_per_address_max")]
    logins_per_address_max: usize,
    #[serde(default = "copy_bytes_max")]
    copy_bytes_max: u64,
}

fn postgres_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8471))
}

fn connections_max() -> usize {
    20_000
}

/// A quarter of those who may be logging in at once.
fn logins_per_address_max() -> usize {
    256
}

fn copy_bytes_max() -> u64 {
    64 << 20
}

/// The largest `copy_bytes_max`: 16 GiB.
const COPY_BYTES_MAX: u64 = 16 << 30;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLedger {
    reads: Reads,
    origin: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reads {
    #[default]
    Journal,
    Durable,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawReview {
    hold_seconds: u32,
    hold_in_transaction_seconds: u32,
    expires_seconds: u32,
    grant_life_seconds: u32,
    open_per_owner_max: u32,
    open_max: u32,
    rejected_wait_seconds: u32,
}

impl Default for RawReview {
    fn default() -> Self {
        let waits = Waits::default();
        Self {
            hold_seconds: waits.hold,
            hold_in_transaction_seconds: waits.hold_in_transaction,
            expires_seconds: waits.expires,
            grant_life_seconds: waits.grant_life,
            open_per_owner_max: 100,
            open_max: 20_000,
            rejected_wait_seconds: 60 * 60,
        }
    }
}

/// Where an upstream's secret comes from: exactly one of these keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub enum CredentialSource {
    /// An environment variable of the gateway.
    Env(String),
    /// A file that only the gateway can read; a trailing newline is dropped.
    File(PathBuf),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTarget {
    name: String,
    protocol: Protocol,
    upstream: String,
    credential: Option<CredentialSource>,
    #[serde(default)]
    environment: Environment,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    redact: Redaction,
    http: Option<HttpTarget>,
}

/// The shortest and longest time anything may be told to wait: a second, and a week.
const WAIT_SECONDS: std::ops::RangeInclusive<u32> = 1..=7 * 24 * 60 * 60;

/// Collects what every check needs: the file's name for messages, its folder for relative paths.
pub(super) struct Check<'a> {
    path: &'a Path,
}

impl Check<'_> {
    pub(super) fn fail<T>(&self, key: &str, problem: impl Into<String>) -> Result<T, Error> {
        Err(Error::Value { path: self.path.to_owned(), key: key.to_owned(), problem: problem.into() })
    }

    pub(super) fn resolve(&self, path: PathBuf) -> PathBuf {
        match self.path.parent() {
            Some(folder) if path.is_relative() => folder.join(path),
            _ => path,
        }
    }

    pub(super) fn source(&self, source: CredentialSource) -> CredentialSource {
        match source {
            CredentialSource::File(path) => CredentialSource::File(self.resolve(path)),
            CredentialSource::Env(name) => CredentialSource::Env(name),
        }
    }

    pub(super) fn name(&self, key: &str, name: &str) -> Result<(), Error> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 63 || !name.chars().all(plain) {
            return self.fail(key, format!("is `{name}`; use 1 to 63 letters, digits, `-`, `_` or `.`"));
        }
        Ok(())
    }

    pub(super) fn wait(&self, key: &str, seconds: u32) -> Result<u32, Error> {
        if !WAIT_SECONDS.contains(&seconds) {
            return self.fail(key, format!("is {seconds}; use 1 to {} seconds", WAIT_SECONDS.end()));
        }
        Ok(seconds)
    }
}

pub(super) fn validate(path: &Path, raw: Raw) -> Result<Config, Error> {
    let check = Check { path };
    let Raw {
        server,
        policy,
        postgres,
        ledger,
        review,
        oidc,
        scim,
        secrets,
        slack,
        teams,
        mail,
        webhook,
        target,
        issuer,
    } = raw;
    check.name("server.node", &server.node)?;
    for group in &policy.groups {
        check.name("policy.groups", group)?;
        if group == "any" {
            return check.fail("policy.groups", "names `any`, which stands for people of any group");
        }
    }
    if !(-14 * 60..=14 * 60).contains(&policy.utc_offset_minutes) {
        return check.fail("policy.utc_offset_minutes", "must be between -840 and 840");
    }
    let public_url = public_url(&check, server.public_url, server.listen)?;
    let targets = targets(&check, target)?;
    hosts(&check, &targets, &public_url)?;
    if server.connections_max == 0 {
        return check.fail("server.connections_max", "is 0; nobody could connect");
    }
    let tls = tls_files(&check, "server", server.tls_cert, server.tls_key)?;
    let oidc = oidc.map(|raw| identity::validated(&check, raw, &policy.groups)).transpose()?;
    let slack = slack.map(|raw| channels::slack(&check, raw, &policy.groups)).transpose()?;
    let teams = teams.map(|raw| teams::teams(&check, raw, &policy.groups)).transpose()?;
    let mail = mail.map(|raw| mail::mail(&check, raw, &policy.groups)).transpose()?;
    let webhooks = channels::webhooks(&check, webhook, &policy.groups)?;
    let scim = scim.map(|raw| identity::scim(&check, raw, oidc.as_ref())).transpose()?;
    Ok(Config {
        path: path.to_owned(),
        listen: server.listen,
        tls,
        connections_max: server.connections_max,
        public_url,
        data_dir: check.resolve(server.data_dir),
        policies: check.resolve(server.policies),
        node: server.node,
        groups: policy.groups,
        changes: policy.changes,
        utc_offset_minutes: policy.utc_offset_minutes,
        postgres: listener(&check, postgres, &targets)?,
        ledger: Ledger { reads_durable: matches!(ledger.reads, Reads::Durable), origin: ledger.origin },
        waits: waits(&check, &review)?,
        limits: limits(&check, &review)?,
        oidc,
        scim,
        secrets: secrets::secrets(&check, secrets)?,
        slack,
        teams,
        mail,
        webhooks,
        targets,
        issuers: issuer::validate(&check, issuer)?,
    })
}

fn public_url(check: &Check<'_>, url: Option<String>, listen: SocketAddr) -> Result<String, Error> {
    let url = url.unwrap_or_else(|| format!("http://{listen}"));
    let url = url.trim_end_matches('/').to_owned();
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    match rest {
        Some(host) if !host.is_empty() && !host.contains(['@', '?', '#', ' ']) => Ok(url),
        _ => check.fail("server.public_url", format!("is `{url}`; write `https://host` or `http://127.0.0.1:8470`")),
    }
}

fn listener(check: &Check<'_>, raw: Option<RawPostgres>, targets: &[Target]) -> Result<Postgres, Error> {
    let wanted = targets.iter().any(|target| target.protocol == Protocol::Postgres);
    let Some(raw) = raw else {
        let listen = wanted.then(postgres_listen);
        return Ok(Postgres {
            listen,
            tls: None,
            connections_max: connections_max(),
            logins_per_address_max: logins_per_address_max(),
            copy_bytes_max: copy_bytes_max(),
        });
    };
    let tls = tls_files(check, "postgres", raw.tls_cert, raw.tls_key)?;
    if raw.connections_max == 0 {
        return check.fail("postgres.connections_max", "is 0; nobody could connect");
    }
    if raw.logins_per_address_max == 0 {
        return check.fail("postgres.logins_per_address_max", "is 0; nobody could log in");
    }
    if !(1..=COPY_BYTES_MAX).contains(&raw.copy_bytes_max) {
        return check.fail("postgres.copy_bytes_max", format!("must be 1 to {COPY_BYTES_MAX} bytes"));
    }
    Ok(Postgres {
        listen: Some(raw.listen),
        tls,
        connections_max: raw.connections_max,
        logins_per_address_max: raw.logins_per_address_max,
        copy_bytes_max: raw.copy_bytes_max,
    })
}

fn tls_files(
    check: &Check<'_>,
    section: &str,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Option<TlsFiles>, Error> {
    let missing = |which: &str, beside: &str| {
        check.fail(&format!("{section}.{which}"), format!("is missing beside `{section}.{beside}`"))
    };
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert: check.resolve(cert), key: check.resolve(key) })),
        (None, None) => Ok(None),
        (Some(_), None) => missing("tls_key", "tls_cert"),
        (None, Some(_)) => missing("tls_cert", "tls_key"),
    }
}

fn waits(check: &Check<'_>, review: &RawReview) -> Result<Waits, Error> {
    Ok(Waits {
        hold: check.wait("review.hold_seconds", review.hold_seconds)?,
        hold_in_transaction: check.wait("review.hold_in_transaction_seconds", review.hold_in_transaction_seconds)?,
        expires: check.wait("review.expires_seconds", review.expires_seconds)?,
        grant_life: check.wait("review.grant_life_seconds", review.grant_life_seconds)?,
    })
}

fn limits(check: &Check<'_>, review: &RawReview) -> Result<ReviewLimits, Error> {
    if review.open_per_owner_max == 0 || review.open_max == 0 {
        return check.fail("review.open_max", "and `review.open_per_owner_max` must be at least 1");
    }
    Ok(ReviewLimits {
        open_per_owner_max: review.open_per_owner_max,
        open_max: review.open_max,
        rejected_wait_seconds: review.rejected_wait_seconds,
    })
}

fn targets(check: &Check<'_>, raw: Vec<RawTarget>) -> Result<Vec<Target>, Error> {
    let mut seen = BTreeSet::new();
    raw.into_iter()
        .map(|target| {
            check.name("target.name", &target.name)?;
            if !seen.insert(target.name.clone()) {
                return check.fail("target.name", format!("`{}` stands twice", target.name));
            }
            validated(check, target)
        })
        .collect()
}

/// A name leads to one target, and never to one in the place of the gateway itself.
fn hosts(check: &Check<'_>, targets: &[Target], public_url: &str) -> Result<(), Error> {
    let own = public_url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let mut seen = BTreeMap::new();
    for target in targets {
        for host in target.http.iter().flat_map(|http| &http.hosts) {
            if host.eq_ignore_ascii_case(own) {
                let problem =
                    format!("of `{}` has `{host}`, which is the gateway's own (`server.public_url`)", target.name);
                return check.fail("target.http.hosts", problem);
            }
            if let Some(other) = seen.insert(host, &target.name) {
                let problem = format!("has `{host}` for both `{other}` and `{}`", target.name);
                return check.fail("target.http.hosts", problem);
            }
        }
    }
    Ok(())
}

fn validated(check: &Check<'_>, raw: RawTarget) -> Result<Target, Error> {
    let mut sensitivity = Sensitivity::default();
    for (label, value) in &raw.labels {
        sensitivity = match (label.as_str(), value.as_str()) {
            ("sensitivity", "none") => Sensitivity::None,
            ("sensitivity", "low") => Sensitivity::Low,
            ("sensitivity", "medium") => Sensitivity::Medium,
            ("sensitivity", "high") => Sensitivity::High,
            ("sensitivity", other) => {
                return check
                    .fail("target.labels", format!("has sensitivity `{other}`; use none, low, medium or high"));
            }
            (other, _) => return check.fail("target.labels", format!("has `{other}`; the label is `sensitivity`")),
        };
    }
    if let Err(error) = Rules::new(&raw.redact) {
        return check.fail("target.redact", format!("cannot be used: {error}"));
    }
    let credential = raw.credential.map(|source| check.source(source));
    let http = http::validated(check, raw.protocol, &raw.upstream, raw.http)?.map(Box::new);
    Ok(Target {
        name: raw.name,
        protocol: raw.protocol,
        upstream: raw.upstream,
        credential,
        environment: raw.environment,
        sensitivity,
        redact: raw.redact,
        http,
    })
}
