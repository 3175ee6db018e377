//! `[[issuer]]`: whose tokens jobs may log in with, and which agent a token stands for.
//!
//! What identifies a job must be what nobody else can become. So each rule compares at least one claim that its kind of
//! issuer never gives to another (an id, not a name) with one exact value; a `*` stands for what follows a separator, at the
//! end, and never in such a claim.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use countersign_core::action::Job;
use serde::Deserialize;

use super::Error;
use super::raw::Check;

/// How long ago a token may have been issued, in seconds, unless the issuer's table says otherwise: an hour.
const AGE_SECONDS_MAX_DEFAULT: u32 = 60 * 60;
/// The longest time that may be said: a day.
const AGE_SECONDS_MAX: u32 = 24 * 60 * 60;
/// How often a token may be exchanged where its issuer's tokens lie in files that several processes read.
const EXCHANGES_OF_A_FILE: u32 = 20;
/// The most exchanges of a token that may be allowed.
const EXCHANGES_MAX: u32 = 100;

/// An algorithm that a token may be signed with. All of them have a public key to check with; there is no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[expect(missing_docs, reason = "RFC 7518 §3.1 and RFC 8037 §3.1 name them")]
pub enum Signing {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

impl Signing {
    /// Every one of them.
    pub const ALL: [Signing; 9] = [
        Signing::RS256,
        Signing::RS384,
        Signing::RS512,
        Signing::PS256,
        Signing::PS384,
        Signing::PS512,
        Signing::ES256,
        Signing::ES384,
        Signing::EdDSA,
    ];
}

/// What is known beforehand of an issuer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Nothing.
    #[default]
    Jwt,
    /// GitHub Actions.
    Github,
    /// GitLab CI.
    Gitlab,
    /// Projected service account tokens of a cluster.
    Kubernetes,
    /// JWT-SVIDs of a SPIFFE trust domain.
    Spiffe,
}

/// Where an issuer's keys are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// Where its metadata says.
    Discovery,
    /// At this address.
    Uri(String),
    /// In a file.
    File(PathBuf),
}

/// A trusted issuer.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// Its name in records, policies and accounts.
    pub name: String,
    /// Itself, as its tokens name it; `spiffe://` and a trust domain for JWT-SVIDs.
    pub issuer: String,
    /// For whom its tokens must be meant.
    pub audience: String,
    /// Its keys.
    pub keys: KeySource,
    /// A certificate that is trusted besides the system's when its keys are fetched.
    pub ca: Option<PathBuf>,
    /// How its tokens may be signed.
    pub algorithms: Vec<Signing>,
    /// How old a token may be, in seconds; `None` for issuers that do not say when they issue.
    pub age_seconds_max: Option<u32>,
    /// How often one token may be exchanged.
    pub exchanges_max: u32,
    /// Which attribute of a job is which claim.
    pub claims: BTreeMap<String, String>,
    /// Which token stands for which agent; the first that fits.
    pub rules: Vec<AgentRule>,
}

impl Issuer {
    /// The trust domain with the slash after it, for an issuer of JWT-SVIDs.
    pub fn trust_domain(&self) -> Option<String> {
        self.issuer.starts_with("spiffe://").then(|| format!("{}/", self.issuer.trim_end_matches('/')))
    }
}

/// Which tokens stand for an agent.
#[derive(Debug, Clone)]
pub struct AgentRule {
    /// The agent's name.
    pub agent: String,
    /// What each of these claims must be.
    pub matches: BTreeMap<String, Pattern>,
    /// The person who started the job.
    pub person: Option<PersonRule>,
}

/// The claim that tells a person.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonRule {
    /// The claim.
    pub claim: String,
    /// The provider of the account whose id it is.
    pub provider: String,
    /// Whether the job acts for them, and not for the agent's owner.
    #[serde(default)]
    pub on_behalf_of: bool,
}

/// What a claim must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// This.
    Exactly(String),
    /// This, and something after it.
    Begins(String),
}

impl Pattern {
    /// Whether a claim is that.
    pub fn fits(&self, claim: &str) -> bool {
        match self {
            Pattern::Exactly(text) => claim == text,
            Pattern::Begins(text) => claim.strip_prefix(text.as_str()).is_some_and(|rest| !rest.is_empty()),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIssuer {
    name: String,
    #[serde(default)]
    kind: Kind,
    issuer: Option<String>,
    audience: String,
    jwks_uri: Option<String>,
    jwks_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    algorithms: Option<Vec<Signing>>,
    age_seconds_max: Option<u32>,
    exchanges_max: Option<u32>,
    claims: Option<BTreeMap<String, String>>,
    #[serde(default)]
    agent: Vec<RawRule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    name: String,
    #[serde(rename = "match")]
    matches: BTreeMap<String, String>,
    person: Option<PersonRule>,
}

impl Kind {
    fn issuer(self) -> Option<&'static str> {
        match self {
            Kind::Github => Some("https://token.actions.githubusercontent.com"),
            Kind::Gitlab => Some("https://gitlab.com"),
            Kind::Jwt | Kind::Kubernetes | Kind::Spiffe => None,
        }
    }

    fn algorithms(self) -> &'static [Signing] {
        match self {
            Kind::Github | Kind::Gitlab => &[Signing::RS256],
            Kind::Kubernetes => &[Signing::RS256, Signing::ES256, Signing::ES384],
            Kind::Jwt | Kind::Spiffe => &Signing::ALL,
        }
    }

    /// Attributes of a job by claim.
    fn claims(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Kind::Jwt | Kind::Spiffe => &[],
            Kind::Github => &[
                ("repository", "repository"),
                ("ref", "ref"),
                ("environment", "environment"),
                ("workflow", "job_workflow_ref"),
                ("event", "event_name"),
                ("runner", "runner_environment"),
            ],
            Kind::Gitlab => &[
                ("repository", "project_path"),
                ("ref", "ref_path"),
                ("environment", "environment"),
                ("workflow", "ci_config_ref_uri"),
                ("event", "pipeline_source"),
                ("runner", "runner_environment"),
            ],
            Kind::Kubernetes => {
                &[("environment", "kubernetes.io/namespace"), ("workflow", "kubernetes.io/serviceaccount/name")]
            }
        }
    }

    /// Claims that nobody else can come to have; empty where it is not known which these are.
    fn lasting(self) -> &'static [&'static str] {
        match self {
            Kind::Jwt => &[],
            Kind::Github => &["repository_id", "repository_owner_id", "enterprise_id"],
            Kind::Gitlab => &["project_id", "namespace_id"],
            Kind::Kubernetes => &["sub", "kubernetes.io/serviceaccount/uid"],
            Kind::Spiffe => &["sub"],
        }
    }

    /// JWT-SVIDs need not say when they were issued.
    fn says_when(self) -> bool {
        !matches!(self, Kind::Spiffe)
    }

    fn exchanges(self) -> u32 {
        match self {
            Kind::Jwt | Kind::Github | Kind::Gitlab => 1,
            Kind::Kubernetes | Kind::Spiffe => EXCHANGES_OF_A_FILE,
        }
    }
}

pub(super) fn validate(check: &Check<'_>, raw: Vec<RawIssuer>) -> Result<Vec<Issuer>, Error> {
    let (mut names, mut issuers) = (BTreeSet::new(), BTreeSet::new());
    raw.into_iter()
        .map(|raw| {
            check.name("issuer.name", &raw.name)?;
            let issuer = one(check, raw)?;
            if !names.insert(issuer.name.clone()) || !issuers.insert(issuer.issuer.clone()) {
                return check.fail("issuer.name", format!("or issuer of `{}` stands twice", issuer.name));
            }
            Ok(issuer)
        })
        .collect()
}

fn one(check: &Check<'_>, raw: RawIssuer) -> Result<Issuer, Error> {
    let kind = raw.kind;
    let issuer = raw.issuer.or_else(|| kind.issuer().map(str::to_owned));
    let Some(issuer) = issuer.filter(|issuer| !issuer.is_empty()) else {
        return check.fail("issuer.issuer", format!("is missing for `{}`", raw.name));
    };
    let spiffe = issuer.starts_with("spiffe://");
    if spiffe != matches!(kind, Kind::Spiffe) || (spiffe && issuer.len() <= "spiffe://".len()) {
        return check.fail("issuer.issuer", "is `spiffe://TRUST-DOMAIN` for the kind `spiffe`, and for no other");
    }
    if raw.audience.is_empty() {
        return check.fail("issuer.audience", "is empty; a token for anybody is a token for nobody");
    }
    let keys = match (raw.jwks_uri, raw.jwks_file) {
        (Some(uri), None) => KeySource::Uri(address(check, "issuer.jwks_uri", uri)?),
        (None, Some(file)) => KeySource::File(check.resolve(file)),
        (None, None) if spiffe => {
            return check.fail("issuer.jwks_uri", "or `issuer.jwks_file` is needed for a SPIFFE trust domain");
        }
        (None, None) => {
            address(check, "issuer.issuer", issuer.clone())?;
            KeySource::Discovery
        }
        (Some(_), Some(_)) => return check.fail("issuer.jwks_uri", "and `issuer.jwks_file` exclude each other"),
    };
    let age = raw.age_seconds_max.unwrap_or(AGE_SECONDS_MAX_DEFAULT);
    if !(1..=AGE_SECONDS_MAX).contains(&age) {
        return check.fail("issuer.age_seconds_max", format!("must be 1 to {AGE_SECONDS_MAX}"));
    }
    let exchanges_max = raw.exchanges_max.unwrap_or(kind.exchanges());
    if !(1..=EXCHANGES_MAX).contains(&exchanges_max) {
        return check.fail("issuer.exchanges_max", format!("must be 1 to {EXCHANGES_MAX}"));
    }
    let algorithms = raw.algorithms.unwrap_or_else(|| kind.algorithms().to_vec());
    if algorithms.is_empty() {
        return check.fail("issuer.algorithms", "is empty; no token could be checked");
    }
    Ok(Issuer {
        claims: claims(check, kind, raw.claims)?,
        rules: raw.agent.into_iter().map(|rule| agent(check, kind, rule)).collect::<Result<_, _>>()?,
        name: raw.name,
        issuer,
        audience: raw.audience,
        keys,
        ca: raw.ca.map(|file| check.resolve(file)),
        algorithms,
        age_seconds_max: (kind.says_when() || raw.age_seconds_max.is_some()).then_some(age),
        exchanges_max,
    })
}

/// Encrypted, or on this host: keys that anybody on the way can change are worth nothing.
fn address(check: &Check<'_>, key: &str, text: String) -> Result<String, Error> {
    let url = reqwest::Url::parse(&text).ok().filter(is_trustworthy);
    match url {
        Some(_) => Ok(text),
        None => check.fail(key, format!("is `{text}`; write an `https://` address (`http://` on loopback only)")),
    }
}

/// Whether an address may be asked for something that is then believed: encrypted, or on this host.
pub fn is_trustworthy(url: &reqwest::Url) -> bool {
    let loopback = match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback()),
        None => false,
    };
    let plain = url.username().is_empty() && url.password().is_none();
    plain && (url.scheme() == "https" || (url.scheme() == "http" && loopback))
}

fn claims(
    check: &Check<'_>,
    kind: Kind,
    own: Option<BTreeMap<String, String>>,
) -> Result<BTreeMap<String, String>, Error> {
    let preset = kind.claims().iter().map(|(attribute, claim)| ((*attribute).to_owned(), (*claim).to_owned()));
    let claims = own.unwrap_or_else(|| preset.collect());
    match claims.keys().find(|attribute| !Job::ATTRIBUTES.contains(&attribute.as_str())) {
        None => Ok(claims),
        Some(other) => {
            let known = Job::ATTRIBUTES.join(", ");
            check.fail("issuer.claims", format!("has `{other}`; the attributes of a job are {known}"))
        }
    }
}

fn agent(check: &Check<'_>, kind: Kind, raw: RawRule) -> Result<AgentRule, Error> {
    let key = "issuer.agent.match";
    if raw.name.is_empty() {
        return check.fail("issuer.agent.name", "is empty");
    }
    let mut matches = BTreeMap::new();
    for (claim, text) in raw.matches {
        matches.insert(claim.clone(), pattern(check, &claim, text)?);
    }
    let lasting = |claim: &String| kind.lasting().is_empty() || kind.lasting().contains(&claim.as_str());
    let exact = |(claim, pattern): (&String, &Pattern)| matches!(pattern, Pattern::Exactly(_)) && lasting(claim);
    if !matches.iter().any(exact) {
        let among = kind.lasting().join(" or ");
        let among = if among.is_empty() { "a claim" } else { &among };
        return check.fail(key, format!("of `{}` compares nothing that lasts: give {among} one exact value", raw.name));
    }
    Ok(AgentRule { agent: raw.name, matches, person: raw.person })
}

fn pattern(check: &Check<'_>, claim: &str, text: String) -> Result<Pattern, Error> {
    let key = "issuer.agent.match";
    if text.is_empty() {
        return check.fail(key, format!("has an empty `{claim}`"));
    }
    let Some((before, after)) = text.split_once('*') else { return Ok(Pattern::Exactly(text)) };
    if !after.is_empty() || !before.ends_with(['/', ':', '@']) {
        return check.fail(key, format!("has `{claim}` = `{text}`; a `*` stands at the end, after `/`, `:` or `@`"));
    }
    if claim.ends_with("_id") || claim.ends_with("uid") {
        return check.fail(key, format!("has a `*` in `{claim}`, which is an id"));
    }
    Ok(Pattern::Begins(before.to_owned()))
}
