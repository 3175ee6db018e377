//! Who is who: people, agents, their secrets, and how a caller is authenticated.

use std::sync::Arc;

use countersign_core::action::Timestamp;
use countersign_core::review::Method;

use crate::ports::{Agent, Credential, CredentialKind, Directory, Person, Scope, SecretHash, StoreError};

pub mod closure;
pub mod jwks;
pub mod jwt;
pub mod keys;
pub mod people;

/// A person who proved who they are, and how.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Who.
    pub person: Person,
    /// What their credential may do.
    pub scope: Scope,
    /// How a vote of theirs is marked.
    pub method: Method,
    /// Whether a second factor is fresh.
    pub mfa: bool,
    /// How long ago they authenticated, in seconds.
    pub age_seconds: i64,
}

/// A caller of the API.
#[derive(Debug, Clone)]
pub enum Caller {
    /// A person.
    Person(Box<SignedIn>),
    /// An agent, by its own key. Agents never vote.
    Agent(Agent),
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

/// Authenticates callers against the directory, freshly each time.
#[derive(Clone)]
pub struct Authenticator {
    directory: Arc<dyn Directory>,
}

impl Authenticator {
    /// Over a directory.
    pub fn new(directory: Arc<dyn Directory>) -> Self {
        Self { directory }
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
            Some(keys::Kind::LoginLink | keys::Kind::Session) | None => Err(Error::Unknown),
        }
    }

    /// A console session's cookie.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn session(&self, secret: &str, now: Timestamp) -> Result<SignedIn, Error> {
        if keys::kind(secret) != Some(keys::Kind::Session) {
            return Err(Error::Unknown);
        }
        let credential = self.directory.credential(CredentialKind::Session, &keys::hash(secret), now).await?;
        self.signed_in(credential.ok_or(Error::Unknown)?, now).await
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
        // what the gateway's own host minted counts as a fresh second factor and says `local`
        let (method, age_seconds) = if credential.local {
            (Method::Local, 0)
        } else {
            (credential.method, now.seconds_since(credential.authenticated_at))
        };
        let mfa = credential.local || credential.mfa;
        Ok(SignedIn { person, scope: credential.scope, method, mfa, age_seconds })
    }
}
