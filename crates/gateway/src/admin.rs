//! Administration: people, agents and their credentials, by whoever may open `data_dir/admin.sock`.
//!
//! While a server runs the command line speaks to it through the socket, one JSON line each way; without one it opens the
//! store itself, which the store's lock makes exclusive. What is minted here is marked `local` in the record: it proves
//! access to the host, not an identity.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::action::redact::Shown;
use countersign_core::action::{PersonId, SessionFacts};
use countersign_core::record::{Event, Record};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::codes::Code;
use crate::config::{Config, PolicyChanges};
use crate::identity::changes::{Change, Planner};
use crate::identity::keys;
use crate::identity::people::Roster;
use crate::identity::stewardship::{self, Maker, Steward, TOKEN_DAYS_MAX, check_name};
use crate::ports::{
    Account, Credential, CredentialKind, Directory, LogView, Person, Scope, Scribe, Seal, SealError, Sealed, Store,
    StoreError,
};

/// The most actions that are listed.
pub const ATTEMPTS_MAX: u32 = 5_000;
/// The longest request line.
const REQUEST_BYTES_MAX: u64 = 64 * 1024;
/// How long one exchange may take.
const EXCHANGE_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a login link is good for: 15 minutes.
const LOGIN_LINK_SECONDS: i64 = 15 * 60;
/// How long a token is good for unless said otherwise: 30 days.
pub const TOKEN_DAYS_DEFAULT: u32 = 30;
/// The longest provider and id of an account, in bytes.
const ACCOUNT_BYTES_MAX: usize = 512;

/// What can be asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do", deny_unknown_fields)]
pub enum Request {
    /// Adds a person.
    PersonAdd {
        /// Their name.
        name: String,
        /// Their address.
        email: Option<String>,
        /// Their groups.
        groups: BTreeSet<String>,
    },
    /// Lists people.
    PersonList,
    /// Suspends a person, or lifts it.
    PersonSuspend {
        /// Who.
        name: String,
        /// Whether they are suspended from now on.
        suspended: bool,
    },
    /// Links an account somewhere else to a person.
    PersonLink {
        /// Who.
        name: String,
        /// Whose ids these are: `github`, the name of an issuer.
        provider: String,
        /// The id there; never a name.
        subject: String,
        /// What it is called there.
        label: Option<String>,
    },
    /// Gives a person groups, or takes them.
    PersonGroups {
        /// Who.
        name: String,
        /// Which.
        groups: BTreeSet<String>,
        /// Whether they are given; taken otherwise.
        give: bool,
    },
    /// Takes an account from a person: it speaks for nobody then.
    PersonUnlink {
        /// Who.
        name: String,
        /// Whose id it is.
        provider: String,
        /// The id there.
        subject: String,
    },
    /// Mints a token.
    TokenCreate {
        /// For whom.
        person: String,
        /// What it may do.
        scope: Scope,
        /// For how long.
        days: u32,
    },
    /// Mints a login link for the console.
    LoginLink {
        /// For whom.
        person: String,
    },
    /// Creates an agent and its key.
    AgentCreate {
        /// Its name.
        name: String,
        /// Who answers for it.
        owner: String,
        /// Its groups.
        groups: BTreeSet<String>,
    },
    /// Gives an agent groups, or takes them.
    AgentGroups {
        /// Which.
        name: String,
        /// Which groups.
        groups: BTreeSet<String>,
        /// Whether they are given; taken otherwise.
        give: bool,
    },
    /// Lists agents.
    AgentList,
    /// Revokes an agent.
    AgentRevoke {
        /// Which.
        name: String,
    },
    /// Lists actions, newest first, with what policy was asked about them.
    Attempts {
        /// How many of the newest are left out.
        skip: u32,
        /// How many at most.
        limit: u32,
    },
    /// Publishes everything recorded so far.
    LedgerFlush,
    /// Seals everything with a new key, wrapped by the master key as it is now.
    SecretsRotate,
}

/// Why it was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The stable code.
    pub code: String,
    /// In words.
    pub message: String,
}

impl Failure {
    fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code: code.name().to_owned(), message: message.into() }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::NameTaken(_) => Code::NameTaken,
            StoreError::NotFound(_) => Code::NotFound,
            StoreError::Conflict | StoreError::Unavailable(_) => Code::RecordUnavailable,
        };
        Self::new(code, error.to_string())
    }
}

impl From<stewardship::Error> for Failure {
    fn from(error: stewardship::Error) -> Self {
        match error {
            stewardship::Error::Store(error) => error.into(),
            stewardship::Error::Randomness(error) => error.into(),
            stewardship::Error::NotYours(_) => Self::new(Code::NotFound, error.to_string()),
            stewardship::Error::Invalid(_) => Self::new(Code::BadRequest, error.to_string()),
            stewardship::Error::Forbidden(_) => Self::new(Code::Forbidden, error.to_string()),
        }
    }
}

impl From<SealError> for Failure {
    fn from(error: SealError) -> Self {
        Self::new(Code::RecordUnavailable, error.to_string())
    }
}

impl From<keys::NoRandomness> for Failure {
    fn from(error: keys::NoRandomness) -> Self {
        Self::new(Code::RecordUnavailable, error.to_string())
    }
}

type Answer = Result<Value, Failure>;

/// Does what is asked, in the server or beside it.
pub struct Admin {
    /// The configuration.
    pub config: Arc<Config>,
    /// Where people and agents are.
    pub directory: Arc<dyn Directory>,
    /// Where actions are.
    pub store: Arc<dyn Store>,
    /// How secrets are kept.
    pub secrets: Secrets,
    /// Makes records.
    pub scribe: Scribe,
    /// Refreshed after every change, when a server runs.
    pub roster: Option<Arc<Roster>>,
    /// The log, when a server runs.
    pub log: Option<Arc<dyn LogView>>,
}

/// How stored secrets are kept.
pub struct Secrets {
    /// The keys.
    pub seal: Arc<dyn Seal>,
    /// Everything that they seal.
    pub sealed: Vec<Arc<dyn Sealed>>,
}

/// A key management service may be asked, which takes a while.
async fn blocking<T: Send + 'static>(
    seal: &Arc<dyn Seal>,
    work: impl FnOnce(&dyn Seal) -> Result<T, SealError> + Send + 'static,
) -> Result<T, Failure> {
    let seal = Arc::clone(seal);
    let done = tokio::task::spawn_blocking(move || work(&*seal)).await;
    let failed = |error: tokio::task::JoinError| Failure::new(Code::RecordUnavailable, error.to_string());
    Ok(done.map_err(failed)??)
}

impl Admin {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`]; nothing was changed.
    pub async fn execute(&self, request: Request) -> Answer {
        if let Some(instead) = self.held(&request) {
            return Err(Failure::new(Code::ProposalNeeded, instead));
        }
        let answer = match request {
            Request::PersonAdd { name, email, groups } => self.person_add(name, email, groups).await,
            Request::PersonList => Ok(json!(self.directory.people().await?)),
            Request::PersonSuspend { name, suspended } => self.person_suspend(&name, suspended).await,
            Request::PersonUnlink { name, provider, subject } => self.person_unlink(&name, &provider, &subject).await,
            Request::PersonLink { name, provider, subject, label } => {
                self.person_link(&name, provider, subject, label.unwrap_or_default()).await
            }
            Request::PersonGroups { name, groups, give } => self.person_groups(name, groups, give).await,
            Request::TokenCreate { person, scope, days } => self.token_create(&person, scope, days).await,
            Request::LoginLink { person } => self.login_link(&person).await,
            Request::AgentCreate { name, owner, groups } => self.agent_create(name, &owner, groups).await,
            Request::AgentGroups { name, groups, give } => self.agent_groups(name, groups, give).await,
            Request::AgentList => self.agent_list().await,
            Request::AgentRevoke { name } => self.agent_revoke(&name).await,
            Request::Attempts { skip, limit } => return self.attempts(skip, limit).await,
            Request::LedgerFlush => return self.flush().await,
            Request::SecretsRotate => return self.rotate().await,
        };
        if let (Ok(_), Some(roster)) = (&answer, &self.roster) {
            roster.refresh().await?;
        }
        answer
    }

    /// What to do instead, where people are asked about what permits more: whoever commands the host is nobody's author.
    fn held(&self, request: &Request) -> Option<String> {
        let changes = self.config.changes == PolicyChanges::Review;
        let instead = match request {
            Request::PersonAdd { .. } => "a new person",
            Request::PersonSuspend { suspended: false, .. } => "lifting a suspension",
            Request::PersonLink { .. } => "an account that would speak as a person",
            Request::PersonGroups { give: true, .. } | Request::AgentGroups { give: true, .. } => "giving groups",
            Request::AgentCreate { groups, .. } if !groups.is_empty() => {
                "an agent's groups (make it without, then `countersign agent group add`)"
            }
            _ => return None,
        };
        changes.then(|| {
            format!(
                "{instead} waits for people here (`changes = \"review\"` under `[policy]`): somebody proposes it with a \
                 token of theirs in COUNTERSIGN_TOKEN, or in the console"
            )
        })
    }

    async fn person_groups(&self, name: String, groups: BTreeSet<String>, give: bool) -> Answer {
        if !give {
            return Ok(json!(self.steward().take_groups(Maker::Host, &name, &groups).await?));
        }
        self.make(Change::AddGroups { person: name.clone(), groups }).await?;
        Ok(json!(self.person(&name).await?))
    }

    async fn agent_groups(&self, name: String, groups: BTreeSet<String>, give: bool) -> Answer {
        if give {
            self.make(Change::AddAgentGroups { agent: name.clone(), groups }).await?;
        } else {
            self.steward().take_agent_groups(Maker::Host, &name, &groups).await?;
        }
        let agents = self.directory.agents().await?;
        let agent = agents.into_iter().find(|agent| agent.name == name);
        Ok(json!({"name": name, "groups": agent.map(|agent| agent.groups).unwrap_or_default()}))
    }

    /// Makes a change that nobody has to be asked about; it has no author whom anybody would be elevated by.
    async fn make(&self, change: Change) -> Result<(), Failure> {
        let now = self.scribe.now();
        let planner = Planner { directory: &*self.directory, groups: &self.config.groups, now };
        let planned = planner.plan(&change).await?;
        let (what, person, change) = planned.enrolled();
        let record = self.enrolled(what, &planned.handle(), person.as_ref(), change);
        Ok(planned.make(&*self.directory, &BTreeSet::new(), now, vec![record]).await?)
    }

    async fn person_add(&self, name: String, email: Option<String>, groups: BTreeSet<String>) -> Answer {
        check_name(&name)?;
        self.check_groups(&groups)?;
        let id = PersonId::new(format!("p_{}", uuid::Uuid::new_v4().simple()));
        let person = Person::new(id.clone(), name, email, groups, self.scribe.now());
        let record = self.enrolled("person", id.as_str(), Some(&id), "added");
        let answer = json!(person);
        self.directory.add_person(person, None, vec![record]).await?;
        Ok(answer)
    }

    async fn person_suspend(&self, name: &str, suspended: bool) -> Answer {
        let before = self.person(name).await?;
        let person = Person { suspended, ..before.clone() };
        let change = if suspended { "suspended" } else { "restored" };
        let record = self.enrolled("person", person.id.as_str(), Some(&person.id), change);
        let answer = json!(person);
        self.directory.update_person(before, person, vec![record]).await?;
        Ok(answer)
    }

    async fn person_link(&self, name: &str, provider: String, subject: String, label: String) -> Answer {
        let person = self.person(name).await?;
        for (what, text) in [("provider", &provider), ("subject", &subject)] {
            if text.is_empty() || text.len() > ACCOUNT_BYTES_MAX || text.chars().any(char::is_control) {
                let message = format!("a {what} has 1 to {ACCOUNT_BYTES_MAX} bytes, none of them a control character");
                return Err(Failure::new(Code::BadRequest, message));
            }
        }
        let linked_at = self.scribe.now();
        let (owner, proof) = (person.id.clone(), "host".to_owned());
        let account = Account { provider, subject, person: owner.clone(), label, proof, linked_at };
        let answer = json!({"person": person.name, "provider": account.provider, "subject": account.subject});
        let record = self.enrolled("account", &account.provider, Some(&owner), "added");
        self.directory.link_account(account, vec![record]).await?;
        Ok(answer)
    }

    async fn person_unlink(&self, name: &str, provider: &str, subject: &str) -> Answer {
        let person = self.person(name).await?;
        let record = self.enrolled("account", provider, Some(&person.id), "removed");
        self.directory.unlink_account((provider, subject), &person.id, vec![record]).await?;
        Ok(json!({"person": person.name, "provider": provider, "subject": subject, "removed": true}))
    }

    async fn token_create(&self, name: &str, scope: Scope, days: u32) -> Answer {
        if !(1..=TOKEN_DAYS_MAX).contains(&days) {
            return Err(Failure::new(Code::BadRequest, format!("a token is good for 1 to {TOKEN_DAYS_MAX} days")));
        }
        let person = self.person(name).await?;
        let secret = keys::make(keys::Kind::Token)?;
        let credential = self.credential(&person, scope, i64::from(days) * 24 * 60 * 60);
        let record = self.enrolled("token", &credential.id, Some(&person.id), "added");
        let answer = json!({"token": *secret, "id": credential.id, "person": person.name, "scope": scope,
            "expires_at": credential.expires_at});
        self.directory.add_credential(CredentialKind::Token, keys::hash(&secret), credential, Some(record)).await?;
        Ok(answer)
    }

    async fn login_link(&self, name: &str) -> Answer {
        let person = self.person(name).await?;
        let secret = keys::make(keys::Kind::LoginLink)?;
        let credential = self.credential(&person, Scope::ReviewVote, LOGIN_LINK_SECONDS);
        let record = self.enrolled("login_link", &credential.id, Some(&person.id), "added");
        let url = format!("{}/login/{}", self.config.public_url, *secret);
        let answer = json!({"url": url, "person": person.name, "expires_at": credential.expires_at});
        self.directory.add_credential(CredentialKind::LoginLink, keys::hash(&secret), credential, Some(record)).await?;
        Ok(answer)
    }

    async fn agent_create(&self, name: String, owner: &str, groups: BTreeSet<String>) -> Answer {
        self.check_groups(&groups)?;
        let owner = self.person(owner).await?;
        let key = self.steward().make_agent(Maker::Host, &name, &owner, groups).await?;
        Ok(json!({"name": name, "owner": owner.name, "key": *key}))
    }

    async fn agent_list(&self) -> Answer {
        let people = self.directory.people().await?;
        let agents = self.directory.agents().await?.into_iter().map(|agent| {
            let owner = people.iter().find(|person| person.id == agent.owner).map(|person| person.name.as_str());
            json!({"id": agent.id, "name": agent.name, "owner": owner, "groups": agent.groups,
                "created_at": agent.created_at, "revoked_at": agent.revoked_at})
        });
        Ok(agents.collect())
    }

    async fn agent_revoke(&self, name: &str) -> Answer {
        self.steward().revoke_agent(Maker::Host, name).await.map_err(|error| match error {
            stewardship::Error::NotYours(_) => Failure::new(Code::NotFound, format!("there is no agent `{name}`")),
            other => other.into(),
        })?;
        Ok(json!({"name": name, "revoked": true}))
    }

    fn steward(&self) -> Steward<'_> {
        Steward::new(&*self.directory, &self.scribe)
    }

    /// What people wrote and what a session was is left out: policy does not ask about it, and it may be long.
    async fn attempts(&self, skip: u32, limit: u32) -> Answer {
        if skip.saturating_add(limit) > ATTEMPTS_MAX {
            return Err(Failure::new(Code::BadRequest, format!("only the newest {ATTEMPTS_MAX} actions are listed")));
        }
        let attempts = self.store.attempts(skip + limit).await?.into_iter().skip(skip as usize);
        let stripped = attempts.map(|mut attempt| {
            attempt.described.shown = Shown::default();
            attempt.described.session = SessionFacts::default().into();
            attempt.described.reason = None;
            attempt
        });
        Ok(json!(stripped.collect::<Vec<_>>()))
    }

    async fn flush(&self) -> Answer {
        match &self.log {
            Some(log) => {
                log.flush().await.map_err(|error| Failure::new(Code::RecordUnavailable, error.to_string()))?;
                Ok(json!({"flushed": true}))
            }
            None => Ok(json!({"flushed": false})),
        }
    }

    /// What older keys sealed opens all the while; they are forgotten only once nothing needs them, so that a crash at any
    /// point loses nothing: doing it again ends it.
    async fn rotate(&self) -> Answer {
        let Secrets { seal, sealed } = &self.secrets;
        let what = "stored secrets are being sealed with a new key".to_owned();
        self.store.append(vec![self.scribe.record(Event::ConfigChanged { what })]).await?; // no change without a record
        let key = blocking(seal, |seal| seal.renew()).await?;
        for place in sealed {
            place.seal_anew().await?;
        }
        blocking(seal, |seal| seal.forget_older()).await?;
        let what = format!("stored secrets are sealed with the new key {key}");
        self.store.append(vec![self.scribe.record(Event::ConfigChanged { what })]).await?;
        Ok(json!({"key": key}))
    }

    async fn person(&self, name: &str) -> Result<Person, Failure> {
        let people = self.directory.people().await?;
        people
            .into_iter()
            .find(|person| person.name.eq_ignore_ascii_case(name))
            .ok_or_else(|| Failure::new(Code::NotFound, format!("there is no person `{name}`; add one first")))
    }

    fn credential(&self, person: &Person, scope: Scope, seconds: i64) -> Credential {
        let id = uuid::Uuid::now_v7().to_string();
        Credential::local(id, person.id.clone(), scope, self.scribe.now(), seconds)
    }

    fn check_groups(&self, groups: &BTreeSet<String>) -> Result<(), Failure> {
        match groups.iter().find(|group| !self.config.groups.contains(*group)) {
            None => Ok(()),
            Some(group) => {
                let known: Vec<&str> = self.config.groups.iter().map(String::as_str).collect();
                let message = format!(
                    "there is no group `{group}`; the configuration knows {} (see `policy.groups`)",
                    known.join(", ")
                );
                Err(Failure::new(Code::BadRequest, message))
            }
        }
    }

    fn enrolled(&self, what: &str, id: &str, person: Option<&PersonId>, change: &str) -> Record {
        self.scribe.record(Event::IdentityEnrolled {
            what: what.to_owned(),
            id: id.to_owned(),
            person: person.cloned(),
            change: change.to_owned(),
            local: true,
            passkey: None,
        })
    }
}

/// The socket, open to its owner and to root.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    /// The owner.
    own: u32,
}

impl Socket {
    /// Listens; whoever connects from here on is answered once [`serve`] runs. Must run inside the runtime.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        if path.exists() {
            std::fs::remove_file(path)?; // left by a former run: the store's lock says that nobody serves it
        }
        let listener = UnixListener::bind(path)?;
        let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(path, owner_only)?;
        let own = std::fs::metadata(path).map(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata))?;
        Ok(Self { listener, own })
    }
}

/// Serves the socket until the future is dropped. Only the gateway's own user, and root, are answered.
pub async fn serve(admin: Arc<Admin>, Socket { listener, own }: Socket) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await; // out of files, most likely
            continue;
        };
        let trusted = stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0);
        if trusted {
            let admin = admin.clone();
            tokio::spawn(async move { tokio::time::timeout(EXCHANGE_TIME_MAX, exchange(&admin, stream)).await });
        }
    }
}

async fn exchange(admin: &Admin, stream: UnixStream) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(REQUEST_BYTES_MAX)).read_line(&mut line).await?;
    let answer = match serde_json::from_str(&line) {
        Ok(request) => admin.execute(request).await,
        Err(error) => Err(Failure::new(Code::BadRequest, format!("not a request: {error}"))),
    };
    let answer = match answer {
        Ok(value) => json!({"ok": value}),
        Err(failure) => json!({"error": failure}),
    };
    write.write_all(format!("{answer}\n").as_bytes()).await
}

/// Asks a running server; `None` when none listens.
///
/// # Errors
/// The server's [`Failure`], or that it did not answer.
pub async fn ask(path: &Path, request: &Request) -> Option<Answer> {
    let stream = UnixStream::connect(path).await.ok()?;
    let answered = tokio::time::timeout(EXCHANGE_TIME_MAX, converse(stream, request)).await;
    let failed = |detail: String| Failure::new(Code::RecordUnavailable, format!("the server did not answer: {detail}"));
    Some(match answered {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed("it took too long".to_owned())),
    })
}

async fn converse(stream: UnixStream, request: &Request) -> std::io::Result<Answer> {
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Reply {
        Ok(Value),
        Error(Failure),
    }
    let (read, mut write) = stream.into_split();
    let line = serde_json::to_string(request).map_err(std::io::Error::other)?;
    write.write_all(format!("{line}\n").as_bytes()).await?;
    let mut answer = String::new();
    BufReader::new(read).read_line(&mut answer).await?;
    match serde_json::from_str(&answer).map_err(std::io::Error::other)? {
        Reply::Ok(value) => Ok(Ok(value)),
        Reply::Error(failure) => Ok(Err(failure)),
    }
}
