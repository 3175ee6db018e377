//! Agents and jobs without a stored secret: a trusted issuer's token is exchanged for a key that ends within the hour
//! (RFC 8693), and everybody whom the token names joins the requester's side.
//!
//! A token is believed only when it is its issuer's, meant for this gateway, fresh, and not exchanged before. It stands for
//! the agent of the first rule that fits. Whoever started the job, and every actor of an `act` chain, must be a person with a
//! linked account or an agent of ours; one that is not known refuses the whole: a side with a hole in it would let somebody
//! approve their own action.
//!
//! Anybody may ask, so nothing is fetched for an issuer that is not configured, and few are served at a time. How a refusal
//! is said and recorded is the API's business.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use countersign_core::action::{PersonId, Timestamp};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::jwks::{self, Keys, Source};
use super::jwt::{self, Claims, Expectations, LEEWAY_SECONDS};
use super::minting::{self, Minted};
use super::people::Roster;
use super::{closure, keys};
use crate::codes::Code;
use crate::config::Config;
use crate::config::issuer::{AgentRule, Issuer, KeySource, PersonRule};
use crate::ports::{Agent, AgentKey, Delegation, Directory, Once, Person, Scribe, StoreError};

/// The longest life of a key for a job, in seconds: an hour.
pub const KEY_SECONDS_MAX: i64 = 60 * 60;
/// The most actors in a chain.
pub const ACTORS_MAX: usize = 8;
/// The longest attribute of a job, in bytes.
const ATTRIBUTE_BYTES_MAX: usize = 1024;
/// How many exchanges are made at a time.
const PLACES: usize = 16;
/// The kind of what is written down of a token that was exchanged.
const EXCHANGED: &str = "token_exchange";

/// Whose tokens are taken, and what is needed to take them.
pub struct Workloads {
    issuers: Vec<Trusted>,
    directory: Arc<dyn Directory>,
    roster: Arc<Roster>,
    scribe: Scribe,
    places: Semaphore,
}

struct Trusted {
    issuer: Issuer,
    keys: Keys,
}

/// An issuer cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// Its certificate cannot be read.
    #[error("cannot read the certificate `{path}` of an issuer: {source}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No client can be made.
    #[error("an issuer cannot be asked: {0}")]
    Certificates(#[from] reqwest::Error),
    /// No client for them can be made.
    #[error(transparent)]
    Client(#[from] crate::fetch::Error),
    /// Its keys cannot be had.
    #[error(transparent)]
    Keys(jwks::Error),
    /// Its address is none.
    #[error("an issuer's address is not valid: `{0}`")]
    Address(String),
}

/// Asks an issuer for its keys. Returns how many there are.
///
/// # Errors
/// There are none to be had.
pub async fn keys_of(issuer: &Issuer) -> Result<usize, Broken> {
    let keys = Keys::new(jwks::client(certificates(issuer)?)?, source(issuer)?);
    keys.count().await.map_err(Broken::Keys)
}

/// What is exchanged.
pub struct Offer<'a> {
    /// The job's token.
    pub subject: &'a str,
    /// The token of whoever acts for it, if somebody else does: a trusted issuer's, or an agent's key.
    pub actor: Option<&'a str>,
}

/// What it is exchanged for.
pub struct Exchanged {
    /// The key.
    pub minted: Minted,
    /// Whose.
    pub agent: Agent,
    /// For how long, in seconds.
    pub expires_in: i64,
}

/// Why nothing was exchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The stable code.
    pub code: Code,
    /// In words, for whoever runs the job.
    pub detail: String,
    /// The issuer, once it is known which.
    pub issuer: Option<String>,
}

impl Refused {
    fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), issuer: None }
    }

    fn of(mut self, issuer: &str) -> Self {
        self.issuer.get_or_insert_with(|| issuer.to_owned());
        self
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a token could not be exchanged");
        Self::new(Code::RecordUnavailable, "the store does not answer; the gateway's log says why")
    }
}

impl From<minting::Error> for Refused {
    fn from(error: minting::Error) -> Self {
        match error {
            minting::Error::Store(StoreError::Conflict) => {
                Self::new(Code::TooManyConnections, "the agent has as many keys as it may have at once, or was revoked")
            }
            minting::Error::Store(error) => error.into(),
            minting::Error::Randomness(error) => Self::new(Code::RecordUnavailable, error.to_string()),
        }
    }
}

impl From<jwt::Error> for Refused {
    fn from(error: jwt::Error) -> Self {
        let code = match &error {
            jwt::Error::Malformed(_) => Code::TokenMalformed,
            jwt::Error::Keys(jwks::Error::Unavailable(_)) => Code::IssuerUnavailable,
            jwt::Error::Keys(jwks::Error::UnknownKey) | jwt::Error::Signature | jwt::Error::Endorsement(_) => {
                Code::TokenSignature
            }
            jwt::Error::Issuer => Code::IssuerUnknown,
            jwt::Error::Audience(_) => Code::TokenAudience,
            jwt::Error::Time(_) => Code::TokenExpired,
        };
        // where the keys are is the operator's business: the log has it
        let detail = match &error {
            jwt::Error::Keys(jwks::Error::Unavailable(_)) => "the issuer's keys cannot be had".to_owned(),
            other => other.to_string(),
        };
        Self::new(code, detail)
    }
}

impl Workloads {
    /// For the issuers that are configured.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn new(
        config: &Config,
        directory: Arc<dyn Directory>,
        roster: Arc<Roster>,
        scribe: Scribe,
    ) -> Result<Self, Broken> {
        let issuers = config.issuers.iter().map(|issuer| {
            let client = jwks::client(certificates(issuer)?)?;
            Ok(Trusted { keys: Keys::new(client, source(issuer)?), issuer: issuer.clone() })
        });
        let issuers = issuers.collect::<Result<_, Broken>>()?;
        Ok(Self { issuers, directory, roster, scribe, places: Semaphore::new(PLACES) })
    }

    /// Exchanges a token for a key.
    ///
    /// # Errors
    /// [`Refused`]; there is no key then.
    pub async fn exchange(&self, offer: &Offer<'_>) -> Result<Exchanged, Refused> {
        self.taken(offer, keys::make(keys::Kind::AgentKey).map_err(minting::Error::from)?).await
    }

    /// Takes a token for a key itself, from now to its end: for clients that have nothing else to send.
    ///
    /// # Errors
    /// [`Refused`]; it is no key then.
    pub async fn adopt(&self, token: &str) -> Result<Exchanged, Refused> {
        self.taken(&Offer { subject: token, actor: None }, Zeroizing::new(token.to_owned())).await
    }

    async fn taken(&self, offer: &Offer<'_>, secret: Zeroizing<String>) -> Result<Exchanged, Refused> {
        let Ok(_place) = self.places.try_acquire() else {
            return Err(Refused::new(Code::TooManyConnections, "too many tokens are being exchanged; try again"));
        };
        let now = self.scribe.now();
        let (trusted, claims) = self.believed(offer.subject, now).await?;
        let exchanged = self.taken_believed(trusted, &claims, (offer, secret), now).await;
        exchanged.map_err(|refused| refused.of(&trusted.issuer.name))
    }

    async fn taken_believed(
        &self,
        trusted: &Trusted,
        claims: &Claims,
        (offer, secret): (&Offer<'_>, Zeroizing<String>),
        now: Timestamp,
    ) -> Result<Exchanged, Refused> {
        let rule = fitting(&trusted.issuer, claims).ok_or_else(|| unmatched(&trusted.issuer))?;
        let agent = self.agent(&rule.agent).await?;
        let mut delegation = Delegation { claims: attributes(&trusted.issuer, claims)?, ..Delegation::default() };
        if let Some(told) = &rule.person {
            let person = self.started_by(told, claims).await?;
            delegation.on_behalf_of = told.on_behalf_of.then(|| person.clone());
            delegation.through.insert(person);
        }
        delegation.through.extend(self.chain(trusted, claims.get("act"), now).await?);
        if let Some(actor) = offer.actor {
            delegation.through.extend(self.actor(actor, now).await?);
        }
        let ends = claims.expires_at().unwrap_or(now).min(now.plus_seconds(KEY_SECONDS_MAX));
        let expires_in = ends.seconds_since(now);
        if expires_in <= 0 {
            return Err(Refused::new(Code::TokenExpired, "the token is not in force: it has expired"));
        }
        // by the snapshot that logins use: a key that cannot log in is not handed out
        let key = AgentKey { delegation: delegation.clone(), ..AgentKey::own(String::new(), &agent, now) };
        if self.roster.current().requester(&agent, &key, now).is_none() {
            return Err(Refused::new(Code::DelegationRefused, "somebody who answers for the agent is suspended"));
        }
        self.spend(trusted, claims, offer.subject, now).await?;
        let minted = minting::with_secret(&*self.directory, &self.scribe, &agent, delegation, ends, secret).await?;
        Ok(Exchanged { minted, agent, expires_in })
    }

    /// The issuer of a token and its claims, checked.
    async fn believed(&self, token: &str, now: Timestamp) -> Result<(&Trusted, Claims), Refused> {
        let told = jwt::peek(token)?;
        let by_issuer = |trusted: &&Trusted| told.iss.as_deref() == Some(trusted.issuer.issuer.as_str());
        let by_domain = |trusted: &&Trusted| {
            let domain = trusted.issuer.trust_domain();
            domain.is_some_and(|domain| told.sub.as_deref().is_some_and(|sub| sub.starts_with(&domain)))
        };
        let trusted = self.issuers.iter().find(by_issuer).or_else(|| self.issuers.iter().find(by_domain));
        let Some(trusted) = trusted else {
            return Err(Refused::new(Code::IssuerUnknown, "no `[[issuer]]` of the gateway issues such tokens"));
        };
        let issuer = &trusted.issuer;
        let spiffe = issuer.trust_domain();
        let expected = Expectations {
            issuer: spiffe.is_none().then_some(issuer.issuer.as_str()),
            audience: &issuer.audience,
            algorithms: &issuer.algorithms,
            types: &["", "jwt", "at+jwt", "jose"],
            age_seconds_max: issuer.age_seconds_max.map(i64::from),
            leeway_seconds: LEEWAY_SECONDS,
            endorsement: None,
        };
        let claims = jwt::verify(&trusted.keys, token, &expected, now).await;
        let claims = claims.map_err(|error| Refused::from(error).of(&issuer.name))?;
        // what was peeked at is what was signed: the same text was read twice
        let in_domain = |domain: &String| claims.subject().is_some_and(|subject| subject.starts_with(domain));
        if !spiffe.iter().all(in_domain) {
            return Err(Refused::new(Code::IssuerUnknown, "the token is of another trust domain").of(&issuer.name));
        }
        Ok((trusted, claims))
    }

    /// An agent that may log in.
    async fn agent(&self, name: &str) -> Result<Agent, Refused> {
        let agents = self.directory.agents().await?;
        let agent = agents.into_iter().find(|agent| agent.name == name && agent.revoked_at.is_none());
        let agent = agent.filter(|agent| agent.accepted_at.is_some());
        agent.ok_or_else(|| {
            let detail = format!("the token stands for the agent `{name}`, which is not there or was not accepted");
            Refused::new(Code::JobUnmatched, detail)
        })
    }

    async fn started_by(&self, told: &PersonRule, claims: &Claims) -> Result<PersonId, Refused> {
        let Some(subject) = claims.text(&told.claim) else {
            let detail = format!("the token has no claim `{}`, which tells who started the job", told.claim);
            return Err(Refused::new(Code::DelegationRefused, detail));
        };
        match self.person(&told.provider, &subject).await? {
            Some(person) => live(&person),
            None => Err(unlinked(&told.provider, &subject)),
        }
    }

    /// The person whose account this is.
    async fn person(&self, provider: &str, subject: &str) -> Result<Option<Person>, Refused> {
        match self.directory.account(provider, subject).await? {
            Some(account) => Ok(self.directory.person(&account.person).await?),
            None => Ok(None),
        }
    }

    /// Everybody in an `act` claim (RFC 8693 §4.1), from the one who acts now to the one who did first.
    async fn chain(
        &self,
        trusted: &Trusted,
        act: Option<&Value>,
        now: Timestamp,
    ) -> Result<BTreeSet<PersonId>, Refused> {
        let (mut side, mut next) = (BTreeSet::new(), act);
        for _ in 0..ACTORS_MAX {
            let Some(actor) = next else { return Ok(side) };
            let Value::Object(actor) = actor else {
                return Err(Refused::new(Code::DelegationRefused, "an `act` claim is not an object"));
            };
            side.extend(self.link(trusted, actor, now).await?);
            next = actor.get("act");
        }
        match next {
            None => Ok(side),
            Some(_) => Err(Refused::new(Code::DelegationRefused, format!("more than {ACTORS_MAX} actors"))),
        }
    }

    /// Those who answer for one actor: the person with this account, or the owner of the agent that it is.
    async fn link(
        &self,
        trusted: &Trusted,
        actor: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<BTreeSet<PersonId>, Refused> {
        let text = |name: &str| actor.get(name).and_then(Value::as_str);
        let Some(subject) = text("sub") else {
            return Err(Refused::new(Code::DelegationRefused, "an actor has no subject"));
        };
        let told = text("iss").unwrap_or(&trusted.issuer.issuer);
        if let Some(issuer) = self.issuers.iter().find(|issuer| issuer.issuer.issuer == told) {
            return self.answering(issuer, &Claims::of(actor.clone()), subject, now).await;
        }
        // one whose tokens are not taken: where people sign in, say
        match self.person(told, subject).await? {
            Some(person) => Ok([live(&person)?].into()),
            None => Err(unlinked(told, subject)),
        }
    }

    /// Those who answer for whom a claim set speaks of.
    async fn answering(
        &self,
        trusted: &Trusted,
        claims: &Claims,
        subject: &str,
        now: Timestamp,
    ) -> Result<BTreeSet<PersonId>, Refused> {
        for provider in [&trusted.issuer.name, &trusted.issuer.issuer] {
            if let Some(person) = self.person(provider, subject).await? {
                return Ok([live(&person)?].into());
            }
        }
        match fitting(&trusted.issuer, claims) {
            Some(rule) => Ok(closure::of_agent(&self.agent(&rule.agent).await?, &Delegation::default(), now)),
            None => Err(unlinked(&trusted.issuer.name, subject)),
        }
    }

    /// Those who answer for the holder of an actor token: a trusted issuer's token, or an agent's key.
    async fn actor(&self, token: &str, now: Timestamp) -> Result<BTreeSet<PersonId>, Refused> {
        if keys::kind(token) == Some(keys::Kind::AgentKey) {
            let found = self.directory.agent_by_key(&keys::hash(token), now).await?;
            let (agent, key) =
                found.ok_or_else(|| Refused::new(Code::DelegationRefused, "the actor's key is not known"))?;
            return Ok(closure::of_agent(&agent, &key.delegation, now));
        }
        let (trusted, claims) = self.believed(token, now).await?;
        let subject = claims.subject().unwrap_or_default().to_owned();
        let mut side = self.answering(trusted, &claims, &subject, now).await?;
        side.extend(self.chain(trusted, claims.get("act"), now).await?);
        Ok(side)
    }

    /// Uses the token up: of two who offer the same, one gets a key.
    async fn spend(&self, trusted: &Trusted, claims: &Claims, token: &str, now: Timestamp) -> Result<(), Refused> {
        // what is signed names the token; its text can be written in more than one way
        let signed = token.rsplit_once('.').map_or(token, |(signed, _)| signed);
        let name = claims.id().map_or_else(|| keys::hash(signed), keys::hash);
        let ends = claims.expires_at().unwrap_or(now).plus_seconds(LEEWAY_SECONDS);
        for use_number in 0..trusted.issuer.exchanges_max {
            let key = keys::hash(&format!("{} {} {use_number}", trusted.issuer.issuer, hex::encode(name)));
            let once = Once { kind: EXCHANGED, key, body: String::new(), expires_at: ends };
            match self.directory.put_once(once, now).await {
                Ok(()) => return Ok(()),
                Err(StoreError::NameTaken(_)) => {}
                Err(StoreError::Conflict) => {
                    return Err(Refused::new(Code::TooManyConnections, "too many tokens were exchanged lately"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Refused::new(Code::TokenReplayed, "the token was exchanged before"))
    }
}

/// The first rule that a token fits.
fn fitting<'a>(issuer: &'a Issuer, claims: &Claims) -> Option<&'a AgentRule> {
    let fits = |rule: &&AgentRule| {
        rule.matches.iter().all(|(claim, pattern)| claims.text(claim).is_some_and(|text| pattern.fits(&text)))
    };
    issuer.rules.iter().find(fits)
}

/// What policies see of the job.
fn attributes(issuer: &Issuer, claims: &Claims) -> Result<BTreeMap<String, String>, Refused> {
    let told = issuer.claims.iter().filter_map(|(name, claim)| Some((name.clone(), claims.text(claim)?)));
    let mut attributes: BTreeMap<String, String> = told.filter(|(_, text)| !text.is_empty()).collect();
    let subject = claims.subject().filter(|subject| !subject.is_empty());
    let subject = subject.ok_or_else(|| Refused::new(Code::TokenMalformed, "the token has no subject"))?;
    attributes.insert("subject".to_owned(), subject.to_owned());
    attributes.insert("issuer".to_owned(), issuer.name.clone());
    match attributes.iter().find(|(_, text)| text.len() > ATTRIBUTE_BYTES_MAX) {
        None => Ok(attributes),
        Some((name, _)) => {
            let detail = format!("its {name} has more than {ATTRIBUTE_BYTES_MAX} bytes");
            Err(Refused::new(Code::TokenMalformed, detail))
        }
    }
}

fn unmatched(issuer: &Issuer) -> Refused {
    let rules: Vec<String> = issuer
        .rules
        .iter()
        .map(|rule| format!("`{}` by {}", rule.agent, rule.matches.keys().cloned().collect::<Vec<_>>().join(", ")))
        .collect();
    let rules = if rules.is_empty() { "it has none".to_owned() } else { rules.join("; ") };
    let detail = format!("the token fits no rule of the issuer `{}`: {rules}", issuer.name);
    Refused::new(Code::JobUnmatched, detail)
}

fn unlinked(provider: &str, subject: &str) -> Refused {
    let cut = |text: &str| text.chars().filter(|c| !c.is_control()).take(120).collect::<String>();
    let (provider, subject) = (cut(provider), cut(subject));
    let detail = format!(
        "nobody here has the account `{subject}` of `{provider}`; an administrator links it with \
         `countersign person link NAME --provider {provider} --subject {subject}`"
    );
    Refused::new(Code::AccountUnlinked, detail)
}

fn live(person: &Person) -> Result<PersonId, Refused> {
    if person.suspended {
        return Err(Refused::new(Code::DelegationRefused, format!("`{}` is suspended", person.name)));
    }
    Ok(person.id.clone())
}

fn certificates(issuer: &Issuer) -> Result<Vec<reqwest::Certificate>, Broken> {
    let Some(path) = &issuer.ca else { return Ok(Vec::new()) };
    let pem = std::fs::read(path).map_err(|source| Broken::Certificate { path: path.clone(), source })?;
    Ok(reqwest::Certificate::from_pem_bundle(&pem)?)
}

fn source(issuer: &Issuer) -> Result<Source, Broken> {
    Ok(match &issuer.keys {
        KeySource::Discovery => Source::Discovery(issuer.issuer.clone()),
        KeySource::Uri(uri) => Source::Uri(reqwest::Url::parse(uri).map_err(|_| Broken::Address(uri.clone()))?),
        KeySource::File(path) => Source::File(path.clone()),
    })
}

#[cfg(test)]
mod tests;
