//! Secrets: upstream credentials, read here when an upstream is connected and going nowhere else (invariant I6); and the keys
//! that seal what the gateway has to store ([`Sealer`]).

use std::collections::BTreeMap;

use async_trait::async_trait;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::config::{Config, CredentialSource};
use crate::ports::{
    MAIL_PASSWORD, OIDC_CLIENT_SECRET, SCIM_TOKEN, SLACK_APP_TOKEN, SLACK_BOT_TOKEN, SLACK_CLIENT_SECRET,
    SLACK_SIGNING_SECRET, TEAMS_CLIENT_SECRET, Vault, VaultError, webhook_secret,
};

pub mod master;
mod sealer;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

pub use sealer::{MASTER_FILE, Sealer};

/// The longest secret that is read from a file: 64 KiB.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Secrets from environment variables and files, read anew each time so that a rotation needs no restart.
#[derive(Debug, Default)]
pub struct LocalVault {
    sources: BTreeMap<String, CredentialSource>,
}

impl LocalVault {
    /// The sources of all targets that have one, of the identity provider's client, of its provisioning client, of the
    /// Slack app, of the Teams app, of the mail server, and of webhooks.
    pub fn new(config: &Config) -> Self {
        let of_targets = config.targets.iter().filter_map(|t| Some((t.name.clone(), t.credential.clone()?)));
        let client = config.oidc.as_ref().and_then(|oidc| oidc.client_secret.clone());
        let of_client = client.map(|source| (OIDC_CLIENT_SECRET.to_owned(), source));
        let of_scim = config.scim.as_ref().map(|scim| (SCIM_TOKEN.to_owned(), scim.token.clone()));
        let of_slack = config.slack.iter().flat_map(|slack| {
            let token = (SLACK_BOT_TOKEN.to_owned(), slack.bot_token.clone());
            let client = slack.sign_in.as_ref().map(|client| client.client_secret.clone());
            let optional = [
                (SLACK_SIGNING_SECRET, slack.signing_secret.clone()),
                (SLACK_APP_TOKEN, slack.app_token.clone()),
                (SLACK_CLIENT_SECRET, client),
            ];
            let configured = optional.into_iter().filter_map(|(name, source)| Some((name.to_owned(), source?)));
            std::iter::once(token).chain(configured)
        });
        let of_teams = config.teams.as_ref().map(|teams| (TEAMS_CLIENT_SECRET.to_owned(), teams.client_secret.clone()));
        let of_mail = config.mail.as_ref().and_then(|mail| mail.password.clone());
        let of_mail = of_mail.map(|source| (MAIL_PASSWORD.to_owned(), source));
        let of_webhooks = config.webhooks.iter().map(|webhook| (webhook_secret(&webhook.name), webhook.secret.clone()));
        Self {
            sources: of_targets
                .chain(of_client)
                .chain(of_scim)
                .chain(of_slack)
                .chain(of_teams)
                .chain(of_mail)
                .chain(of_webhooks)
                .collect(),
        }
    }
}

#[async_trait]
impl Vault for LocalVault {
    async fn secret(&self, target: &str) -> Result<SecretString, VaultError> {
        match self.sources.get(target) {
            None => Err(VaultError { target: target.to_owned(), detail: "the target has no `credential`".to_owned() }),
            Some(source) => self.credential(target, source).await,
        }
    }

    async fn credential(&self, target: &str, source: &CredentialSource) -> Result<SecretString, VaultError> {
        let fail = |detail: String| VaultError { target: target.to_owned(), detail };
        match source {
            CredentialSource::Env(name) => std::env::var(name)
                .map(SecretString::from)
                .map_err(|_| fail(format!("the environment variable `{name}` is not set, or not text"))),
            CredentialSource::File(path) => {
                let length = std::fs::metadata(path).map_err(|e| fail(format!("`{}`: {e}", path.display())))?.len();
                if length > SECRET_BYTES_MAX {
                    return Err(fail(format!("`{}` is longer than {SECRET_BYTES_MAX} bytes", path.display())));
                }
                let text = std::fs::read_to_string(path).map_err(|e| fail(format!("`{}`: {e}", path.display())))?;
                let text = Zeroizing::new(text);
                Ok(SecretString::from(text.trim_end_matches(['\r', '\n']).to_owned()))
            }
        }
    }
}
