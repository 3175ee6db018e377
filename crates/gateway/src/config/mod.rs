//! `countersign.toml`: parsed strictly, validated once, and handed around as [`Config`].
//!
//! Unknown keys are errors: a misspelt setting must not silently mean its default. Relative paths are relative to the
//! configuration file. What is absent means the safer thing: a target without an environment is production.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use countersign_core::action::redact::Redaction;
use countersign_core::action::{Environment, Sensitivity};
use countersign_core::grant::GRANT_LIFE_SECONDS_DEFAULT;
use countersign_core::review;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

mod channels;
mod http;
mod identity;
pub mod issuer;
mod mail;
mod pinned;
mod raw;
mod secrets;
mod teams;
#[cfg(test)]
mod tests;

pub use self::http::{Auth, HttpTarget, OpenApi, address};
use crate::ports::ReviewLimits;
pub use channels::{Slack, SlackSignIn, Webhook};
pub use identity::{Oidc, Scim, Subject};
pub use mail::{Mail, MailTls};
pub use pinned::{NotPinned, Pinned};
pub use raw::CredentialSource;
pub use secrets::{MasterKeySource, Secrets};
pub use teams::Teams;

/// Everything the gateway was told, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it was read from.
    pub path: PathBuf,
    /// The HTTP listener: console, API, and targets over HTTP.
    pub listen: SocketAddr,
    /// Its certificate and key; the self-signed pair of `data_dir/tls` when absent.
    pub tls: Option<TlsFiles>,
    /// Its connections at once.
    pub connections_max: usize,
    /// How people reach it; without a trailing slash.
    pub public_url: String,
    /// Where state lives.
    pub data_dir: PathBuf,
    /// Where policy files are.
    pub policies: PathBuf,
    /// This gateway's name in records.
    pub node: String,
    /// The groups that policies may name.
    pub groups: BTreeSet<String>,
    /// How changes of the policies are accepted.
    pub changes: PolicyChanges,
    /// Minutes east of UTC for `context.time.hour` and `weekday`.
    pub utc_offset_minutes: i32,
    /// The PostgreSQL listener.
    pub postgres: Postgres,
    /// The ledger.
    pub ledger: Ledger,
    /// How long things wait.
    pub waits: Waits,
    /// Bounds on open reviews.
    pub limits: ReviewLimits,
    /// The identity provider; without one, people sign in by what the gateway's host mints.
    pub oidc: Option<Oidc>,
    /// How the provider provisions people; without it, they are told by their sign-ins.
    pub scim: Option<Scim>,
    /// How stored secrets are kept.
    pub secrets: Secrets,
    /// The Slack app that people are asked by.
    pub slack: Option<Slack>,
    /// The Teams app that people are asked by.
    pub teams: Option<Teams>,
    /// The server by which people are told by mail.
    pub mail: Option<Mail>,
    /// Where events about reviews are sent.
    pub webhooks: Vec<Webhook>,
    /// The upstreams.
    pub targets: Vec<Target>,
    /// Whose tokens jobs may log in with.
    pub issuers: Vec<issuer::Issuer>,
}

/// How changes of the policies are accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PolicyChanges {
    /// The files are taken as they are: whoever can write them decides what is permitted.
    #[default]
    File,
    /// A change that is not proved to permit nothing more waits until people outside its author's side have approved it.
    Review,
}

impl PolicyChanges {
    /// The name used in the configuration and in records.
    pub fn name(self) -> &'static str {
        match self {
            PolicyChanges::File => "file",
            PolicyChanges::Review => "review",
        }
    }
}

/// The PostgreSQL listener.
#[derive(Debug, Clone)]
pub struct Postgres {
    /// Where it listens; `None` when no `[postgres]` section and no PostgreSQL target is there.
    pub listen: Option<SocketAddr>,
    /// The certificate and its key; a self-signed pair is made in `data_dir/tls` when absent.
    pub tls: Option<TlsFiles>,
    /// Clients at once.
    pub connections_max: usize,
    /// Clients of one address that are logging in at once.
    pub logins_per_address_max: usize,
    /// The most data of a `COPY` that waits for a review, in bytes.
    pub copy_bytes_max: u64,
}

/// A certificate and its key, as PEM files.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// The ledger's settings.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// Whether reads wait for the disk too.
    pub reads_durable: bool,
    /// The log's name in checkpoints; made at first start when absent.
    pub origin: Option<String>,
}

/// How long things wait, in seconds, unless a policy says otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// A live call.
    pub hold: u32,
    /// A live call inside an open transaction.
    pub hold_in_transaction: u32,
    /// An open review.
    pub expires: u32,
    /// An unused grant.
    pub grant_life: u32,
}

/// One upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its name; the database name that clients give.
    pub name: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// Its address, as a URL without a password.
    pub upstream: String,
    /// Where its secret comes from; `None` when the upstream asks for none.
    pub credential: Option<CredentialSource>,
    /// Its environment.
    pub environment: Environment,
    /// Its sensitivity.
    pub sensitivity: Sensitivity,
    /// What its cards hide besides what every target's do, and what they show all the same.
    #[serde(default, skip_serializing_if = "is_default")]
    pub redact: Redaction,
    /// How it is spoken to over HTTP; there for every target that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<Box<HttpTarget>>,
}

fn is_default(redaction: &Redaction) -> bool {
    *redaction == Redaction::default()
}

impl Target {
    /// Which generation of address and credential source is configured. It is part of every action's digest, so that
    /// pointing a target elsewhere voids what was approved for it.
    pub fn generation(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.upstream.as_bytes());
        hash.update([0]);
        match &self.credential {
            None => hash.update(b"none"),
            Some(CredentialSource::Env(name)) => hash.update(format!("env {name}").as_bytes()),
            Some(CredentialSource::File(path)) => hash.update(format!("file {}", path.display()).as_bytes()),
        }
        if let Some(http) = &self.http {
            hash.update(b"http");
            // of these two, what the credential is and who is believed to be the upstream
            hash.update(format!("{:?} {:?}", http.auth, http.ca).as_bytes());
        }
        hex::encode(&hash.finalize()[..8])
    }
}

/// What a target speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// PostgreSQL 13 or later.
    Postgres,
    /// An HTTP API.
    Http,
    /// A Kubernetes API server.
    Kubernetes,
    /// AWS, or what speaks its protocols.
    Aws,
}

impl Protocol {
    /// The name used in configuration and cards.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Postgres => "postgres",
            Protocol::Http => "http",
            Protocol::Kubernetes => "kubernetes",
            Protocol::Aws => "aws",
        }
    }

    /// Whether it is spoken over HTTP, at `/t/<target>`.
    pub fn is_http(self) -> bool {
        match self {
            Protocol::Postgres => false,
            Protocol::Http | Protocol::Kubernetes | Protocol::Aws => true,
        }
    }
}

/// Why a configuration was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error(
        "cannot read the configuration `{path}`: {source}; name another with --config, or write one (docs/guide/configuration.md)"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not TOML, or holds something unknown.
    #[error("the configuration `{path}` is not valid:\n{detail}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        detail: String,
    },
    /// A value is out of range or does not fit another.
    #[error("the configuration `{path}` is not valid: `{key}` {problem}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`Error`], which names the file, the key and what would be right.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    /// Checks a text as if it had been read from `path`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let raw: raw::Raw =
            toml::from_str(text).map_err(|e| Error::Parse { path: path.to_owned(), detail: e.to_string() })?;
        raw::validate(path, raw)
    }

    /// A target by name.
    pub fn target(&self, name: &str) -> Option<&Target> {
        self.targets.iter().find(|target| target.name == name)
    }

    /// The socket for administration.
    pub fn admin_socket(&self) -> PathBuf {
        self.data_dir.join("admin.sock")
    }
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            hold: review::HOLD_SECONDS_DEFAULT,
            hold_in_transaction: review::HOLD_IN_TRANSACTION_SECONDS_DEFAULT,
            expires: review::EXPIRY_SECONDS_DEFAULT,
            grant_life: GRANT_LIFE_SECONDS_DEFAULT,
        }
    }
}
