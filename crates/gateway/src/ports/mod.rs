//! The traits through which the line reaches the outside world; adapters live in `store`, `ledger`, `vault`.
//!
//! `pipeline`, `resolve`, `api`, `console` and the channels know these and the core, never an adapter. Every failure of a
//! port is a refusal (invariant I4): none of the methods here may report success for something that did not happen.

use async_trait::async_trait;
use countersign_core::action::Timestamp;
use countersign_core::record::{Event, Record};

use crate::config::CredentialSource;

mod attention;
mod bundles;
mod conversations;
mod describer;
mod directory;
mod disclosures;
mod duties;
mod follow_ups;
mod incidents;
mod journal;
mod log;
mod outbox;
mod passkeys;
mod patterns;
mod provisioning;
mod seal;
mod store;
mod tallies;
mod targets;

pub use attention::*;
pub use bundles::*;
pub use conversations::*;
pub use describer::*;
pub use directory::*;
pub use disclosures::*;
pub use duties::*;
pub use follow_ups::*;
pub use incidents::*;
pub use journal::*;
pub use log::*;
pub use outbox::*;
pub use passkeys::*;
pub use patterns::*;
pub use provisioning::*;
pub use seal::*;
pub use store::*;
pub use tallies::*;
pub use targets::*;

/// The time, never earlier than what was last recorded.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Why the store did not do what was asked. Nothing of it happened then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database failed; after a failed commit the store refuses until a restart.
    #[error("the store failed: {0}")]
    Unavailable(String),
    /// Something else got there first.
    #[error("somebody else changed it first")]
    Conflict,
    /// There is no such thing.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// The name is taken.
    #[error("the name `{0}` is taken")]
    NameTaken(String),
}

/// What the vault calls the secret of the identity provider's client; no target can have this name.
pub const OIDC_CLIENT_SECRET: &str = "oidc:client_secret";
/// What the vault calls the token of the Slack app's bot.
pub const SLACK_BOT_TOKEN: &str = "slack:bot_token";
/// What the vault calls the secret that Slack signs its requests with.
pub const SLACK_SIGNING_SECRET: &str = "slack:signing_secret";
/// What the vault calls the token by which the Slack app listens.
pub const SLACK_APP_TOKEN: &str = "slack:app_token";
/// What the vault calls the secret by which the Slack app asks who somebody is.
pub const SLACK_CLIENT_SECRET: &str = "slack:client_secret";
/// What the accounts of people in Slack are linked as; their ids are `TEAM/USER`.
pub const SLACK_ACCOUNTS: &str = "slack";
/// What the vault calls the secret of the Teams app.
pub const TEAMS_CLIENT_SECRET: &str = "teams:client_secret";
/// What the vault calls the password to the mail server.
pub const MAIL_PASSWORD: &str = "mail:password";
/// What the vault calls the secret that a webhook's events are signed with.
pub fn webhook_secret(name: &str) -> String {
    format!("webhook:{name}")
}
/// What the vault calls the token of the identity provider's provisioning client.
pub const SCIM_TOKEN: &str = "scim:token";

/// The credential of an upstream; leaves the vault only where a permit is executed.
#[async_trait]
pub trait Vault: Send + Sync {
    /// The secret of a target, or of another service by its reserved name.
    ///
    /// # Errors
    /// [`VaultError`]; the action is refused.
    async fn secret(&self, target: &str) -> Result<secrecy::SecretString, VaultError>;
    /// The secret of a target from where the form of it that is in force says.
    ///
    /// # Errors
    /// As [`Vault::secret`].
    async fn credential(&self, target: &str, source: &CredentialSource) -> Result<secrecy::SecretString, VaultError>;
}

/// The vault has no secret for a target, or cannot read it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the credential of target `{target}` cannot be read: {detail}")]
pub struct VaultError {
    /// The target.
    pub target: String,
    /// What went wrong, without the secret.
    pub detail: String,
}

/// Makes a record of an event, now, by this gateway.
#[derive(Clone)]
pub struct Scribe {
    clock: std::sync::Arc<dyn Clock>,
    node: String,
}

impl Scribe {
    /// For one gateway.
    pub fn new(clock: std::sync::Arc<dyn Clock>, node: String) -> Self {
        Self { clock, node }
    }

    /// The record.
    pub fn record(&self, event: Event) -> Record {
        Record { at: self.clock.now(), node: self.node.clone(), event }
    }

    /// The clock behind it.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// This gateway's name.
    pub fn node(&self) -> &str {
        &self.node
    }
}
