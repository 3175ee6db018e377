//! Who is who: people, agents, their secrets, and how a caller is authenticated.

use std::sync::Arc;

use countersign_core::action::{Described, Timestamp};
use countersign_core::review::Method;

use crate::config::Config;
use crate::ports::{Agent, Credential, CredentialKind, Directory, Person, Scope, SecretHash, StoreError};

pub mod changes;
pub mod closure;
pub mod duties;
pub mod flow;
pub mod jwks;
pub mod jwt;
pub mod keys;
pub mod linking;
pub mod logout;
pub mod minting;
pub mod oidc;
pub mod passkeys;
pub mod people;
pub mod provisioning;
pub mod refusals;
pub mod relying;
pub mod sign_in;
pub mod standing;
pub mod stewardship;
mod told;
pub mod workload;

/// A person who proved who they are, and how.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Who.
    pub person: Person,
    /// The handle of their credential.
    pub credential: String,
    /// What their credential may do.
    pub scope: Scope,
    /// How a vote of theirs is marked.
    pub method: Method,
    /// Whether a second factor is fresh.
    pub mfa: bool,
    /// How long ago they authenticated, in seconds.
    pub age_seconds: i64,
}

impl SignedIn {
    /// How long ago they proved who they are. A provider that does not say counts as the beginning of time.
    pub fn known_age(&self) -> Option<i64> {
        const NO_SESSION_LASTS_SO_LONG: i64 = 366 * 24 * 60 * 60;
        (self.age_seconds < NO_SESSION_LASTS_SO_LONG).then_some(self.age_seconds)
    }

    /// Whether they may read what others asked for: reviewers, auditors and administrators may. Others read what their
    /// own side asks.
    pub fn reads_all(&self) -> bool {
        self.method == Method::Local || !self.person.groups.is_empty() || !self.person.roles.is_empty()
    }

    /// Whether they may read this request.
    pub fn reads(&self, request: &Described) -> bool {
        let own = request.closure.contains(&self.person.id) || request.on_behalf_of.id == self.person.id;
        own || self.reads_all()
    }
}

/// What a browser calls itself. It proves nothing; but a session that shows up in another browser was carried there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Browser {
    /// Its `User-Agent`, cut to what a list can show.
    pub label: String,
    /// The hash of all of it.
    pub digest: String,
}

impl Browser {
    /// By its `User-Agent`.
    pub fn new(user_agent: &str) -> Self {
        let label = user_agent.chars().filter(|c| !c.is_control()).take(120).collect();
        Self { label, digest: hex::encode(keys::hash(user_agent)) }
    }
}

/// A caller of the API.
#[derive(Debug, Clone)]
pub enum Caller {
    /// A person.
    Person(Box<SignedIn>),
    /// An agent, by its own key. Agents never vote.
    Agent(Agent),
}

impl Caller {
    /// Whether they may read what was asked: all of it, or what their own side asked. An agent reads its own.
    pub fn reads(&self, request: &Described) -> bool {
        match self {
            Caller::Person(signed_in) => signed_in.reads(request),
            Caller::Agent(agent) => request.requester.handle() == agent.id.as_str(),
        }
    }

    /// Whether they may read what others asked for.
    pub fn reads_all(&self) -> bool {
        matches!(self, Caller::Person(signed_in) if signed_in.reads_all())
    }
}

/// Why a caller is not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The secret is unknown, has ended, or its person is suspended. Which of them is not told.
    #[error("the token is unknown, has expired, or was revoked")]
    Unknown,
    /// The directory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What credentials minted on the gateway's own host are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Local {
    /// No identity provider is configured: they count as a fresh second factor, and say `local`.
    Full,
    /// One is: they sign people in, without a second factor.
    Weak,
    /// They do nothing.
    Off,
}

/// Authenticates callers against the directory, freshly each time.
#[derive(Clone)]
pub struct Authenticator {
    directory: Arc<dyn Directory>,
    local: Local,
}

impl Authenticator {
    /// Over a directory.
    pub fn new(directory: Arc<dyn Directory>, config: &Config) -> Self {
        let local = match &config.oidc {
            None => Local::Full,
            Some(oidc) if oidc.login_links => Local::Weak,
            Some(_) => Local::Off,
        };
        Self { directory, local }
    }

    /// A bearer secret: a person's token, or an agent's key.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn bearer(&self, secret: &str, now: Timestamp) -> Result<Caller, Error> {
        let hash = keys::hash(secret);
        match keys::kind(secret) {
            Some(keys::Kind::Token) => {
                let credential = self.directory.credential(CredentialKind::Token, &hash, now).await?;
                Ok(Caller::Person(Box::new(self.signed_in(credential.ok_or(Error::Unknown)?, now).await?)))
            }
            Some(keys::Kind::AgentKey) => Ok(Caller::Agent(self.agent(&hash, now).await?)),
            Some(keys::Kind::LoginLink | keys::Kind::Session | keys::Kind::SignIn) | None => Err(Error::Unknown),
        }
    }

    /// A console session's cookie, in the browser that it was made for.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn session(&self, secret: &str, browser: &Browser, now: Timestamp) -> Result<SignedIn, Error> {
        if keys::kind(secret) != Some(keys::Kind::Session) {
            return Err(Error::Unknown);
        }
        let credential = self.directory.credential(CredentialKind::Session, &keys::hash(secret), now).await?;
        let credential = credential.ok_or(Error::Unknown)?;
        if credential.browser.as_ref().is_some_and(|own| *own != browser.digest) {
            return Err(Error::Unknown);
        }
        self.signed_in(credential, now).await
    }

    async fn agent(&self, key: &SecretHash, now: Timestamp) -> Result<Agent, Error> {
        let (agent, _) = self.directory.agent_by_key(key, now).await?.ok_or(Error::Unknown)?;
        Ok(agent)
    }

    async fn signed_in(&self, credential: Credential, now: Timestamp) -> Result<SignedIn, Error> {
        let person = self.directory.person(&credential.person).await?.ok_or(Error::Unknown)?;
        if person.suspended {
            return Err(Error::Unknown);
        }
        if credential.local && self.local == Local::Off {
            return Err(Error::Unknown);
        }
        let (method, age_seconds) = if credential.local {
            (Method::Local, 0)
        } else {
            (credential.method, now.seconds_since(credential.authenticated_at))
        };
        let mfa = if credential.local { self.local == Local::Full } else { credential.mfa };
        let (credential, scope) = (credential.id, credential.scope);
        Ok(SignedIn { person, credential, scope, method, mfa, age_seconds })
    }
}
