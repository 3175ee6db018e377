//! Linking one's account in a chat service: by signing in there, from the session in which one is signed in here.
//!
//! What the service proves is that whoever sits at this browser commands the account; the session says who they are here.
//! Both come together in one request of that browser, so that neither an address that somebody is sent nor a code that
//! somebody else obtained links anything. An account that is somebody's stays theirs until it is taken from them.
//!
//! Specification: *Sign in with Slack* (OpenID Connect), whose claims name the account by the ids that clicks carry.

use std::sync::Arc;

use countersign_core::action::PersonId;
use countersign_core::record::{Event, Record};
use countersign_core::review::Method;
use serde_json::Value;

use super::SignedIn;
use super::flow::Flow;
use super::relying::{self, Registration, Relying};
use super::stewardship::FRESH_SECONDS;
use crate::codes::Code;
use crate::config::SlackSignIn;
use crate::ports::{Account, Directory, SLACK_ACCOUNTS, SLACK_CLIENT_SECRET, Scribe, StoreError, Vault};

/// The claims of Slack that name an account (*Sign in with Slack*, ID token).
const USER_CLAIM: &str = "https://slack.com/user_id";
const TEAM_CLAIM: &str = "https://slack.com/team_id";
/// The longest id that is taken, in bytes; Slack's have about eleven.
const ID_BYTES_MAX: usize = 64;

/// What says that an account was proved at the service, in a session that an identity provider had begun.
pub const PROVED: &str = "slack";
/// What says that the session was one that the gateway's host had begun: worth what else the host makes.
pub const PROVED_LOCALLY: &str = "host";

/// Why an account was not linked, or not taken away.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service proved nothing.
    #[error(transparent)]
    Unproved(#[from] relying::Error),
    /// What it proved is not an account that is taken here.
    #[error("{0}")]
    Unusable(&'static str),
    /// The session is too old, or may not.
    #[error("{message}")]
    Refused {
        /// The stable code.
        code: Code,
        /// For the person.
        message: &'static str,
    },
    /// It is somebody else's already.
    #[error("this Slack account is linked to somebody else here; an administrator can take it from them")]
    Taken,
    /// They have no such account.
    #[error("there is no such account that is yours")]
    NotYours,
    /// The directory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Links accounts in one workspace.
pub struct Linking {
    relying: Relying,
    team: Option<String>,
    /// Whether people sign in here with an identity provider.
    proves_people: bool,
    directory: Arc<dyn Directory>,
    scribe: Scribe,
}

impl Linking {
    /// As registered at the service, which sends people back to under `public_url`. Asks nothing yet.
    ///
    /// # Errors
    /// [`relying::Error::Provider`] when no HTTP client can be made.
    pub fn new(
        config: &SlackSignIn,
        (public_url, proves_people): (&str, bool),
        vault: Arc<dyn Vault>,
        (directory, scribe): (Arc<dyn Directory>, Scribe),
    ) -> Result<Self, relying::Error> {
        let registration = Registration {
            issuer: config.issuer.clone(),
            client_id: config.client_id.clone(),
            secret: Some(SLACK_CLIENT_SECRET),
            scopes: ["openid", "profile"].map(str::to_owned).into(),
            redirect: format!("{public_url}/login/slack/callback"),
        };
        let relying = Relying::new(registration, vault)?;
        Ok(Self { relying, team: config.team.clone(), proves_people, directory, scribe })
    }

    /// Where the browser is sent to.
    ///
    /// # Errors
    /// [`relying::Error::Provider`].
    pub async fn authorization_url(&self, flow: &Flow) -> Result<String, relying::Error> {
        self.relying.authorization_url(flow, None).await
    }

    /// Whether somebody may link an account now. A link lets a click speak for them for good, so that a session of long ago, or
    /// a token, does not make one.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn may(&self, by: &SignedIn) -> Result<(), Error> {
        let refused = |code, message| Err(Error::Refused { code, message });
        match by.method {
            Method::Console | Method::Passkey => {}
            Method::Local if !self.proves_people => {}
            Method::Local => {
                let message = "a session that the gateway's own host began links nothing; sign in with the provider";
                return refused(Code::LocalCredential, message);
            }
            Method::Api | Method::Cli | Method::Chat | Method::Webhook => {
                return refused(Code::Forbidden, "sign in to the console to link an account");
            }
        }
        if by.age_seconds > FRESH_SECONDS {
            let message = "an account is linked within 15 minutes of signing in; sign in again";
            return refused(Code::SignInAgain, message);
        }
        Ok(())
    }

    /// Links the account that the service proves in exchange for a code. One that is theirs already is confirmed.
    ///
    /// # Errors
    /// [`Error`]; nothing was linked.
    pub async fn link(&self, by: &SignedIn, flow: &Flow, code: String) -> Result<(), Error> {
        self.may(by)?;
        let answered = self.relying.exchange(flow, code).await?;
        let claims = &answered.claims.additional_claims().all;
        let id = |claim: &str| claims.get(claim).and_then(Value::as_str).filter(|id| is_id(id)).map(str::to_owned);
        let (Some(team), Some(user)) = (id(TEAM_CLAIM), id(USER_CLAIM)) else {
            return Err(Error::Unusable("the answer names no Slack account"));
        };
        if self.team.as_ref().is_some_and(|own| *own != team) {
            return Err(Error::Unusable("this account is in another Slack workspace"));
        }
        let name =
            answered.claims.name().and_then(|name| name.get(None)).map_or(&*user, |name| name.as_str()).to_owned();
        self.keep(by, format!("{team}/{user}"), name).await
    }

    async fn keep(&self, by: &SignedIn, subject: String, label: String) -> Result<(), Error> {
        let person = &by.person.id;
        let local = by.method == Method::Local;
        let proof = if local { PROVED_LOCALLY } else { PROVED };
        let record = self.record(person, "linked", local);
        match self.directory.account(SLACK_ACCOUNTS, &subject).await? {
            Some(account) if account.person != *person => return Err(Error::Taken),
            Some(account) if local || account.proof != PROVED_LOCALLY => return Ok(()),
            Some(_) => {
                // what the host said of it is replaced by what they proved
                let gone = vec![self.record(person, "removed", local)];
                self.directory.unlink_account((SLACK_ACCOUNTS, &subject), person, gone).await?;
            }
            None => {}
        }
        let (provider, linked_at) = (SLACK_ACCOUNTS.to_owned(), self.scribe.now());
        let account = Account { provider, subject, person: person.clone(), label, proof: proof.to_owned(), linked_at };
        match self.directory.link_account(account, vec![record]).await {
            Err(StoreError::NameTaken(_)) => Err(Error::Taken),
            done => Ok(done?),
        }
    }

    /// Takes an account from oneself.
    ///
    /// # Errors
    /// [`Error::NotYours`].
    pub async fn unlink(&self, by: &SignedIn, subject: &str) -> Result<(), Error> {
        let local = by.method == Method::Local;
        let records = vec![self.record(&by.person.id, "removed", local)];
        match self.directory.unlink_account((SLACK_ACCOUNTS, subject), &by.person.id, records).await {
            Err(StoreError::NotFound(_)) => Err(Error::NotYours),
            done => Ok(done?),
        }
    }

    fn record(&self, person: &PersonId, change: &str, local: bool) -> Record {
        self.scribe.record(Event::IdentityEnrolled {
            what: "account".to_owned(),
            id: SLACK_ACCOUNTS.to_owned(),
            person: Some(person.clone()),
            change: change.to_owned(),
            local,
            passkey: None,
        })
    }
}

/// Ids of Slack are capital letters and digits.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= ID_BYTES_MAX && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_what_slack_makes() {
        for good in ["T0123456", "U0456789", "E0A"] {
            assert!(is_id(good), "{good}");
        }
        for bad in ["", "t0123", "T0/U0", "T 1", "T0\n", &"T".repeat(65)] {
            assert!(!is_id(bad), "{bad}");
        }
    }
}
