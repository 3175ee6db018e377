//! Who is who: people with their accounts and credentials, agents with their keys.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use countersign_core::action::{AgentId, PersonId, PersonRef, Timestamp};
use countersign_core::record::Record;
use countersign_core::review::Method;
use serde::{Deserialize, Serialize};

use super::{Duties, Passkeys, StoreError};

/// What a person may do besides reviewing, which follows from their groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads everything, decides nothing by virtue of it.
    Auditor,
    /// Changes people, agents and configuration; decides nothing by virtue of it.
    Admin,
}

impl Role {
    /// The name in configuration, JSON and pages.
    pub fn name(self) -> &'static str {
        match self {
            Role::Auditor => "auditor",
            Role::Admin => "admin",
        }
    }
}

/// Somebody gave a person an account, a group or a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elevation {
    /// Who gave it.
    pub by: PersonId,
    /// What.
    pub what: String,
    /// When.
    pub at: Timestamp,
}

/// A person as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The random handle.
    pub id: PersonId,
    /// The name they are added, shown and asked for by; unique.
    pub name: String,
    /// Their address.
    pub email: Option<String>,
    /// The groups they belong to.
    pub groups: BTreeSet<String>,
    /// What else they may do.
    #[serde(default)]
    pub roles: BTreeSet<Role>,
    /// A suspended person neither signs in nor counts.
    pub suspended: bool,
    /// Who enrolled or elevated them, as far as a person did; none of these may profit from their vote for 30 days.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elevations: Vec<Elevation>,
    /// Whether a provisioning client (SCIM) says what their groups and roles are, rather than their sign-ins.
    #[serde(default)]
    pub managed: bool,
    /// When an identity provider last told their groups; absent for those that were given on the gateway's host.
    #[serde(default)]
    pub confirmed_at: Option<Timestamp>,
    /// When they were added.
    pub created_at: Timestamp,
}

impl Person {
    /// A person with nothing but groups.
    pub fn new(id: PersonId, name: String, email: Option<String>, groups: BTreeSet<String>, at: Timestamp) -> Self {
        Self {
            id,
            name,
            email,
            groups,
            roles: BTreeSet::new(),
            suspended: false,
            elevations: Vec::new(),
            managed: false,
            confirmed_at: None,
            created_at: at,
        }
    }

    /// As a request knows them.
    pub fn as_ref(&self) -> PersonRef {
        PersonRef { id: self.id.clone(), name: self.name.clone() }
    }
}

/// An account somewhere else that belongs to a person: found again by immutable ids only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Whose ids these are: an issuer's URL, `github`, `slack:T…`.
    pub provider: String,
    /// The id there; never a name or an address, which others may take over.
    pub subject: String,
    /// The person.
    pub person: PersonId,
    /// What it was called there when it was linked; shown, never compared.
    pub label: String,
    /// What proved that it is theirs: `oidc`, `verified_email`, `host`, `scim`.
    pub proof: String,
    /// When it was linked.
    pub linked_at: Timestamp,
}

/// An agent as stored; its keys are not among it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// The random handle.
    pub id: AgentId,
    /// Its name; unique.
    pub name: String,
    /// The person who answers for it.
    pub owner: PersonId,
    /// The groups it belongs to.
    pub groups: BTreeSet<String>,
    /// Who created it; absent when that was done on the gateway's host.
    #[serde(default)]
    pub created_by: Option<PersonId>,
    /// Who answered for it before, and until when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_owners: Vec<FormerOwner>,
    /// When its owner accepted it; until then it does nothing.
    #[serde(default)]
    pub accepted_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

impl Agent {
    /// An agent made on the gateway's host, which its owner need not accept.
    pub fn new(id: AgentId, name: String, owner: PersonId, groups: BTreeSet<String>, at: Timestamp) -> Self {
        Self {
            id,
            name,
            owner,
            groups,
            created_by: None,
            former_owners: Vec::new(),
            accepted_at: Some(at),
            created_at: at,
            revoked_at: None,
        }
    }
}

/// Somebody who answered for an agent before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerOwner {
    /// Who.
    pub person: PersonId,
    /// Until when.
    pub until: Timestamp,
}

/// Through whom and for whom an agent acts, as far as its key says so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegation {
    /// For whom; the owner when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<PersonId>,
    /// Everyone else it came through: the `act` chain, the CI actor, the author of a commit.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub through: BTreeSet<PersonId>,
    /// What a trusted issuer says of the job, by the names that policies use.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, String>,
}

/// A key of an agent as stored, without the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentKey {
    /// Its handle.
    pub id: String,
    /// Whose.
    pub agent: AgentId,
    /// What clients of protocols with user names log in as: the agent's name, or one of its own for a short-lived key.
    pub login: String,
    /// Through whom and for whom.
    #[serde(default)]
    pub delegation: Delegation,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends, if it does.
    pub expires_at: Option<Timestamp>,
}

impl AgentKey {
    /// A key of the agent's own, without end.
    pub fn own(id: String, agent: &Agent, at: Timestamp) -> Self {
        let (agent, login) = (agent.id.clone(), agent.name.clone());
        Self { id, agent, login, delegation: Delegation::default(), created_at: at, expires_at: None }
    }
}

impl AgentKey {
    /// When a session that it logged in ends. A job's key may be good for a few minutes, as its issuer's tokens are, and a
    /// review takes longer: its session lasts an hour. Any other session ends with its key.
    pub fn session_ends(&self) -> Option<Timestamp> {
        let ends = self.expires_at?;
        let of_a_job = !self.delegation.claims.is_empty();
        Some(if of_a_job { ends.max(self.created_at.plus_seconds(JOB_SESSION_SECONDS)) } else { ends })
    }
}

/// How long a session of a job lasts: an hour from when its key was made.
const JOB_SESSION_SECONDS: i64 = 60 * 60;

/// What PostgreSQL's SCRAM-SHA-256 needs to check a key without knowing it (RFC 5802 §3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScramVerifier {
    /// The random salt.
    pub salt: Vec<u8>,
    /// PBKDF2 rounds.
    pub iterations: u32,
    /// `H(ClientKey)`.
    pub stored_key: [u8; 32],
    /// The key the server proves itself with.
    pub server_key: [u8; 32],
}

/// A new key: what is kept of it, by all the ways in which it may be shown.
#[derive(Debug, Clone)]
pub struct NewAgentKey {
    /// The key's own facts.
    pub key: AgentKey,
    /// For logins by SCRAM.
    pub verifier: ScramVerifier,
    /// For bearers.
    pub hash: SecretHash,
}

/// What a person's token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    /// Read reviews, actions and the record.
    #[serde(rename = "review:read")]
    ReviewRead,
    /// The same, and vote.
    #[serde(rename = "review:vote")]
    ReviewVote,
}

/// A person's credential as stored: a token of the API, or a session of the console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Its handle.
    pub id: String,
    /// Whose it is.
    pub person: PersonId,
    /// What it may do.
    pub scope: Scope,
    /// Minted on the gateway's own host rather than proved to an identity provider.
    pub local: bool,
    /// How a vote by it is marked.
    #[serde(default = "by_api")]
    pub method: Method,
    /// Whether a second factor was used.
    #[serde(default)]
    pub mfa: bool,
    /// When its holder last authenticated.
    pub authenticated_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The session at the identity provider behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderSession>,
    /// What its browser calls itself, hashed; a session does not move to another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<String>,
    /// What it is called in lists: a name, or the browser's.
    #[serde(default)]
    pub label: String,
}

impl Credential {
    /// A credential minted on the gateway's own host, good for so many seconds from now.
    pub fn local(id: String, person: PersonId, scope: Scope, now: Timestamp, seconds: i64) -> Self {
        Self {
            id,
            person,
            scope,
            local: true,
            method: Method::Local,
            mfa: true,
            authenticated_at: now,
            expires_at: now.plus_seconds(seconds),
            provider: None,
            browser: None,
            label: String::new(),
        }
    }
}

fn by_api() -> Method {
    Method::Api
}

/// A person's session at an identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderSession {
    /// Its issuer.
    pub issuer: String,
    /// The subject there.
    pub subject: String,
    /// The session's id there, when it told one.
    pub sid: Option<String>,
}

/// What kind of secret a hash belongs to. Each kind is looked up only as itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// A bearer token of the API.
    Token,
    /// A single-use link that starts a console session.
    LoginLink,
    /// A console session's cookie.
    Session,
}

impl CredentialKind {
    /// The name in records and lists.
    pub fn name(self) -> &'static str {
        match self {
            CredentialKind::Token => "token",
            CredentialKind::LoginLink => "login_link",
            CredentialKind::Session => "session",
        }
    }
}

/// The SHA-256 of a secret that was made with 256 random bits; the secret itself is never stored.
pub type SecretHash = [u8; 32];

/// Something that may happen once: a sign-in under way, a challenge. Whoever takes it has it alone, on any gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// What it is for; each kind is taken only as itself.
    pub kind: &'static str,
    /// What it is found by.
    pub key: SecretHash,
    /// What was written down, without secrets.
    pub body: String,
    /// Until when.
    pub expires_at: Timestamp,
}

/// Who is who.
#[async_trait]
pub trait Directory: Passkeys + Duties {
    /// Adds a person, with the account they came by.
    async fn add_person(
        &self,
        person: Person,
        account: Option<Account>,
        records: Vec<Record>,
    ) -> Result<(), StoreError>;
    /// Replaces what is known of a person. One who is suspended by it loses every credential.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when they are no longer as they were read before.
    async fn update_person(&self, before: Person, after: Person, records: Vec<Record>) -> Result<(), StoreError>;
    /// Everyone.
    async fn people(&self) -> Result<Vec<Person>, StoreError>;
    /// One person.
    async fn person(&self, id: &PersonId) -> Result<Option<Person>, StoreError>;
    /// Links an account to a person.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] when it is linked already, to whomever.
    async fn link_account(&self, account: Account, records: Vec<Record>) -> Result<(), StoreError>;
    /// Takes an account from a person.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where they have no such account.
    async fn unlink_account(
        &self,
        account: (&str, &str),
        person: &PersonId,
        records: Vec<Record>,
    ) -> Result<(), StoreError>;
    /// Links an account to a person as they were read before, and replaces what is known of them.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when they are no longer that; [`StoreError::NameTaken`] when it is linked already.
    async fn give_account(
        &self,
        person: (Person, Person),
        account: Account,
        records: Vec<Record>,
    ) -> Result<(), StoreError>;
    /// The account with these ids.
    async fn account(&self, provider: &str, subject: &str) -> Result<Option<Account>, StoreError>;
    /// Every account.
    async fn accounts(&self) -> Result<Vec<Account>, StoreError>;
    /// Adds an agent with its first key.
    async fn add_agent(&self, agent: Agent, key: NewAgentKey, record: Record) -> Result<(), StoreError>;
    /// Adds a key to an agent that is not revoked.
    async fn add_agent_key(&self, key: NewAgentKey, record: Record) -> Result<(), StoreError>;
    /// Replaces what is known of an agent; a revoked one loses its keys.
    async fn update_agent(&self, agent: Agent, record: Record) -> Result<(), StoreError>;
    /// Replaces what is known of an agent that is not revoked.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it is no longer as it was read before.
    async fn replace_agent(&self, before: Agent, after: Agent, records: Vec<Record>) -> Result<(), StoreError>;
    /// Every agent, revoked ones included.
    async fn agents(&self) -> Result<Vec<Agent>, StoreError>;
    /// The agent that logs in by this name, with its key's facts and verifier.
    async fn agent_login(
        &self,
        login: &str,
        now: Timestamp,
    ) -> Result<Option<(Agent, AgentKey, ScramVerifier)>, StoreError>;
    /// The agent whose key hashes to this.
    async fn agent_by_key(&self, key: &SecretHash, now: Timestamp) -> Result<Option<(Agent, AgentKey)>, StoreError>;
    /// Adds a person's credential.
    async fn add_credential(
        &self,
        kind: CredentialKind,
        hash: SecretHash,
        credential: Credential,
        record: Option<Record>,
    ) -> Result<(), StoreError>;
    /// The credential with this hash, if it has not ended.
    async fn credential(
        &self,
        kind: CredentialKind,
        hash: &SecretHash,
        now: Timestamp,
    ) -> Result<Option<Credential>, StoreError>;
    /// Ends a credential and returns it: of two callers with the same link, one gets it.
    async fn take_credential(
        &self,
        kind: CredentialKind,
        hash: &SecretHash,
        now: Timestamp,
        record: Option<Record>,
    ) -> Result<Option<Credential>, StoreError>;
    /// The credentials that have not ended: one person's, or everyone's.
    async fn credentials(
        &self,
        person: Option<&PersonId>,
        now: Timestamp,
    ) -> Result<Vec<(CredentialKind, Credential)>, StoreError>;
    /// Ends credentials by their handles. Returns how many had not ended.
    async fn end_credentials(&self, ids: Vec<String>, records: Vec<Record>) -> Result<u64, StoreError>;
    /// Writes down something that may happen once.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] when it is there already, [`StoreError::Conflict`] when too many of its kind are.
    async fn put_once(&self, once: Once, now: Timestamp) -> Result<(), StoreError>;
    /// Takes it: of two callers, one gets it.
    async fn take_once(
        &self,
        kind: &'static str,
        key: &SecretHash,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError>;
}
