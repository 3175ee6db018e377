//! What people do with what is theirs: end sessions and tokens, make tokens, accept, make and revoke agents.
//!
//! Each function is told who does it, checks that it is theirs to do, and records it together with the change. An owner
//! accepts an agent that somebody else made before it does anything: nobody makes another person answer for an agent.

use std::collections::BTreeSet;

use countersign_core::action::{AgentId, PersonId};
use countersign_core::record::{Event, Record};
use countersign_core::review::Method;
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::keys::{self, NoRandomness};
use super::{SignedIn, closure};
use crate::ports::{
    Agent, AgentKey, Credential, CredentialKind, Directory, FormerOwner, NewAgentKey, Person, Role, Scope,
    ScramVerifier, Scribe, StoreError,
};

/// The longest name of a person or agent, in bytes.
pub const NAME_BYTES_MAX: usize = 63;
/// The longest a token may be good for, in days.
pub const TOKEN_DAYS_MAX: u32 = 366;
/// How fresh a sign-in must be to make a token that votes, in seconds: 15 minutes.
pub(super) const FRESH_SECONDS: i64 = 15 * 60;
/// The longest label of a token, in bytes.
const LABEL_BYTES_MAX: usize = 100;

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such thing, or it is somebody else's.
    #[error("there is no {0} of this name that is yours")]
    NotYours(&'static str),
    /// It cannot be done so.
    #[error("{0}")]
    Invalid(String),
    /// Only others, or with a stronger sign-in.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The directory failed, or the name is taken.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing secret can be made.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

/// Who makes an agent.
#[derive(Debug, Clone, Copy)]
pub enum Maker<'a> {
    /// Whoever commands the gateway's host.
    Host,
    /// A person.
    Person(&'a Person),
}

/// Does it, and records it.
#[derive(Clone, Copy)]
pub struct Steward<'a> {
    directory: &'a dyn Directory,
    scribe: &'a Scribe,
}

impl<'a> Steward<'a> {
    /// Over a directory.
    pub fn new(directory: &'a dyn Directory, scribe: &'a Scribe) -> Self {
        Self { directory, scribe }
    }

    /// Ends a session or token of one's own; an administrator, anybody's.
    ///
    /// # Errors
    /// [`Error::NotYours`].
    pub async fn end_credential(&self, by: &Person, id: &str) -> Result<(), Error> {
        let found = self.directory.credentials(None, self.scribe.now()).await?;
        let theirs = |credential: &Credential| credential.person == by.id || by.roles.contains(&Role::Admin);
        let found = found.into_iter().find(|(_, credential)| credential.id == id && theirs(credential));
        let (kind, credential) = found.ok_or(Error::NotYours("session or token"))?;
        let record = self.enrolled(kind.name(), id, &credential.person, "revoked", credential.local);
        self.directory.end_credentials(vec![id.to_owned()], vec![record]).await?;
        Ok(())
    }

    /// Makes a token of one's own. One that votes needs a sign-in by two factors a moment ago, and proves no more than it.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn make_token(
        &self,
        by: &SignedIn,
        label: &str,
        scope: Scope,
        days: u32,
    ) -> Result<Zeroizing<String>, Error> {
        if !(1..=TOKEN_DAYS_MAX).contains(&days) {
            return Err(Error::Invalid(format!("a token is good for 1 to {TOKEN_DAYS_MAX} days")));
        }
        let label = label.trim();
        if label.is_empty() || label.len() > LABEL_BYTES_MAX || label.chars().any(char::is_control) {
            return Err(Error::Invalid(format!("call the token something, in at most {LABEL_BYTES_MAX} bytes")));
        }
        if by.method == Method::Api {
            return Err(Error::Forbidden("a token makes no tokens; sign in to the console"));
        }
        let strong = by.mfa && by.age_seconds <= FRESH_SECONDS;
        if scope == Scope::ReviewVote && !strong {
            return Err(Error::Forbidden(
                "a token that votes is made within 15 minutes of signing in with a second factor; sign in again",
            ));
        }
        let (secret, now) = (keys::make(keys::Kind::Token)?, self.scribe.now());
        let local = by.method == Method::Local;
        let id = uuid::Uuid::now_v7().to_string();
        let credential = Credential {
            local,
            method: if local { Method::Local } else { Method::Api },
            mfa: by.mfa,
            authenticated_at: now.plus_seconds(-by.age_seconds),
            label: label.to_owned(),
            ..Credential::local(id, by.person.id.clone(), scope, now, i64::from(days) * 24 * 60 * 60)
        };
        let record = self.enrolled("token", &credential.id, &by.person.id, "added", local);
        let hash = keys::hash(&secret);
        self.directory.add_credential(CredentialKind::Token, hash, credential, Some(record)).await?;
        Ok(secret)
    }

    /// Makes an agent and its key. It is in force at once when its owner, or the host, makes it.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn make_agent(
        &self,
        by: Maker<'_>,
        name: &str,
        owner: &Person,
        groups: BTreeSet<String>,
    ) -> Result<Zeroizing<String>, Error> {
        check_name(name)?;
        let key = keys::make(keys::Kind::AgentKey)?;
        let verifier = ScramVerifier::generate(&SecretString::from(key.to_string())).map_err(NoRandomness::from)?;
        let id = AgentId::new(format!("a_{}", uuid::Uuid::new_v4().simple()));
        let now = self.scribe.now();
        let mut agent = Agent::new(id, name.to_owned(), owner.id.clone(), groups, now);
        if let Maker::Person(maker) = by {
            agent.created_by = Some(maker.id.clone());
            agent.accepted_at = (maker.id == owner.id).then_some(now);
        }
        let own = AgentKey::own(format!("k_{}", uuid::Uuid::now_v7().simple()), &agent, now);
        let record = self.enrolled("agent", agent.id.as_str(), &owner.id, "added", matches!(by, Maker::Host));
        self.directory.add_agent(agent, NewAgentKey { key: own, verifier, hash: keys::hash(&key) }, record).await?;
        Ok(key)
    }

    /// Accepts an agent that somebody else made: from now on one answers for it.
    ///
    /// # Errors
    /// [`Error::NotYours`].
    pub async fn accept_agent(&self, by: &Person, name: &str) -> Result<(), Error> {
        let agent = self.agent(name).await?;
        if agent.owner != by.id || agent.accepted_at.is_some() {
            return Err(Error::NotYours("agent that waits to be accepted"));
        }
        let record = self.enrolled("agent", agent.id.as_str(), &by.id, "accepted", false);
        let agent = Agent { accepted_at: Some(self.scribe.now()), ..agent };
        Ok(self.directory.update_agent(agent, record).await?)
    }

    /// Gives an agent to somebody else, who accepts it before it does anything again: its owner, an administrator, or the
    /// host. Whoever had it stays on its side for a while.
    ///
    /// # Errors
    /// [`Error::NotYours`].
    pub async fn give_agent(&self, by: Maker<'_>, name: &str, to: &Person) -> Result<(), Error> {
        let agent = self.agent(name).await?;
        self.may_manage(by, &agent)?;
        if agent.owner == to.id {
            return Err(Error::Invalid(format!("{} has it already", to.name)));
        }
        let now = self.scribe.now();
        let record = self.enrolled("agent", agent.id.as_str(), &to.id, "given", matches!(by, Maker::Host));
        let mut next = Agent { owner: to.id.clone(), accepted_at: None, ..agent.clone() };
        next.former_owners.retain(|former| now.seconds_since(former.until) <= closure::LOOK_BACK_SECONDS);
        next.former_owners.push(FormerOwner { person: agent.owner, until: now });
        Ok(self.directory.update_agent(next, record).await?)
    }

    /// Revokes an agent: its owner, an administrator, or the host.
    ///
    /// # Errors
    /// [`Error::NotYours`].
    pub async fn revoke_agent(&self, by: Maker<'_>, name: &str) -> Result<(), Error> {
        let agent = self.agent(name).await?;
        self.may_manage(by, &agent)?;
        let local = matches!(by, Maker::Host);
        let record = self.enrolled("agent", agent.id.as_str(), &agent.owner, "revoked", local);
        Ok(self.directory.update_agent(Agent { revoked_at: Some(self.scribe.now()), ..agent }, record).await?)
    }

    /// Suspends a person: an administrator does, and not themselves. Their sessions and tokens end, their unused votes fall,
    /// and their agents stop.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn suspend(&self, by: &Person, name: &str) -> Result<(), Error> {
        if !by.roles.contains(&Role::Admin) {
            return Err(Error::Forbidden("only an administrator suspends people"));
        }
        if by.name.eq_ignore_ascii_case(name) {
            return Err(Error::Forbidden("nobody suspends themselves"));
        }
        let people = self.directory.people().await?;
        let person = people.into_iter().find(|person| person.name.eq_ignore_ascii_case(name));
        let person = person.ok_or(Error::NotYours("person"))?;
        let record = self.enrolled("person", person.id.as_str(), &person.id, "suspended", false);
        let suspended = Person { suspended: true, ..person.clone() };
        Ok(self.directory.update_person(person, suspended, vec![record]).await?)
    }

    /// Takes groups from a person: themselves, an administrator, or the host.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn take_groups(&self, by: Maker<'_>, name: &str, groups: &BTreeSet<String>) -> Result<Person, Error> {
        let people = self.directory.people().await?;
        let person = people.into_iter().find(|person| person.name.eq_ignore_ascii_case(name));
        let person = person.ok_or_else(|| Error::Invalid(format!("there is no person `{name}`")))?;
        if matches!(by, Maker::Person(by) if by.id != person.id && !by.roles.contains(&Role::Admin)) {
            return Err(Error::Forbidden("only an administrator takes groups from others"));
        }
        if person.groups.is_disjoint(groups) {
            return Err(Error::Invalid(format!("{} is in none of these groups", person.name)));
        }
        let record = self.enrolled("person", person.id.as_str(), &person.id, "groups", matches!(by, Maker::Host));
        let after = Person { groups: person.groups.difference(groups).cloned().collect(), ..person.clone() };
        self.directory.update_person(person, after.clone(), vec![record]).await?;
        Ok(after)
    }

    /// Takes groups from an agent: its owner, an administrator, or the host.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn take_agent_groups(
        &self,
        by: Maker<'_>,
        name: &str,
        groups: &BTreeSet<String>,
    ) -> Result<Agent, Error> {
        let agent = self.agent(name).await?;
        self.may_manage(by, &agent)?;
        if agent.groups.is_disjoint(groups) {
            return Err(Error::Invalid(format!("{name} is in none of these groups")));
        }
        let record = self.enrolled("agent", agent.id.as_str(), &agent.owner, "groups", matches!(by, Maker::Host));
        let after = Agent { groups: agent.groups.difference(groups).cloned().collect(), ..agent.clone() };
        self.directory.replace_agent(agent, after.clone(), vec![record]).await?;
        Ok(after)
    }

    fn may_manage(&self, by: Maker<'_>, agent: &Agent) -> Result<(), Error> {
        match by {
            Maker::Host => Ok(()),
            Maker::Person(person) if agent.owner == person.id || person.roles.contains(&Role::Admin) => Ok(()),
            Maker::Person(_) => Err(Error::NotYours("agent")),
        }
    }

    async fn agent(&self, name: &str) -> Result<Agent, Error> {
        let agents = self.directory.agents().await?;
        let found = agents.into_iter().find(|agent| agent.name == name && agent.revoked_at.is_none());
        found.ok_or(Error::NotYours("agent"))
    }

    fn enrolled(&self, what: &str, id: &str, person: &PersonId, change: &str, local: bool) -> Record {
        let (what, change) = (what.to_owned(), change.to_owned());
        self.scribe.record(Event::IdentityEnrolled {
            what,
            id: id.to_owned(),
            person: Some(person.clone()),
            change,
            local,
            passkey: None,
        })
    }
}

/// Checks the name of a person or an agent.
///
/// # Errors
/// [`Error::Invalid`].
pub fn check_name(name: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(plain) {
        let message = format!("`{name}` is not a name; use 1 to {NAME_BYTES_MAX} letters, digits, `-`, `_`, `.`, `@`");
        return Err(Error::Invalid(message));
    }
    Ok(())
}
