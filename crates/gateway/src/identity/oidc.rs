//! Signing in by OpenID Connect: what the identity provider proves of a person, with their groups.
//!
//! The flow itself is [`relying`](super::relying)'s; here is what is made of the answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use countersign_core::action::Timestamp;
use serde_json::{Map, Value};

use super::flow::Flow;
use super::jwks::{self, Keys, Source};
pub use super::relying::Error;
use super::relying::{Answered, Claims, Registration, Relying};
use crate::config::Oidc;
use crate::fetch::{self, Fetch};
use crate::ports::{OIDC_CLIENT_SECRET, Vault};

/// How far the provider's clock may be from ours, in seconds.
const SKEW_SECONDS: i64 = 60;
/// Pages of groups that are read for one person.
const GROUP_PAGES_MAX: usize = 20;
/// The most groups that are looked at for one person.
const GROUPS_MAX: usize = 10_000;

/// What a provider proved of somebody.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The issuer.
    pub issuer: String,
    /// The immutable id of the account there.
    pub subject: String,
    /// The value of the claim that all accounts of one human share, where one is configured.
    pub human: Option<String>,
    /// What they are called there.
    pub name: Option<String>,
    /// Their address.
    pub email: Option<String>,
    /// Whether the provider has verified it.
    pub email_verified: bool,
    /// Their groups, by the provider's names.
    pub groups: BTreeSet<String>,
    /// Whether a second factor was used.
    pub mfa: bool,
    /// When they authenticated; the beginning of time where the provider does not say.
    pub authenticated_at: Timestamp,
    /// Their session there.
    pub sid: Option<String>,
}

/// What a sign-in asks of the provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wish {
    /// The provider is to ask for proof again when the last is older than so many seconds.
    pub max_age_seconds: Option<u32>,
}

/// A client of one provider.
pub struct Provider {
    config: Oidc,
    relying: Relying,
    fetch: Fetch,
    keys: Keys,
}

impl Provider {
    /// A client that the provider sends people back to under `public_url`. Asks nothing yet.
    ///
    /// # Errors
    /// [`Error::Provider`] when no HTTP client can be made.
    pub fn new(config: Oidc, public_url: &str, vault: Arc<dyn Vault>) -> Result<Self, Error> {
        let fetch = Fetch::new(fetch::Limits::default()).map_err(|error| Error::Provider(error.to_string()))?;
        let registration = Registration {
            issuer: config.issuer.clone(),
            client_id: config.client_id.clone(),
            secret: config.client_secret.is_some().then_some(OIDC_CLIENT_SECRET),
            scopes: config.scopes.clone(),
            redirect: format!("{public_url}/login/oidc/callback"),
        };
        let client = jwks::client(Vec::new()).map_err(|error| Error::Provider(error.to_string()))?;
        let keys = Keys::new(client, Source::Discovery(config.issuer.clone()));
        Ok(Self { relying: Relying::new(registration, vault)?, config, fetch, keys })
    }

    /// The configuration.
    pub fn config(&self) -> &Oidc {
        &self.config
    }

    /// Where the browser is sent to.
    ///
    /// # Errors
    /// [`Error::Provider`].
    pub async fn authorization_url(&self, flow: &Flow, wish: Wish) -> Result<String, Error> {
        let max_age = wish.max_age_seconds.unwrap_or(self.config.session_seconds);
        self.relying.authorization_url(flow, Some(max_age)).await
    }

    /// What the provider proves in exchange for a code.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn exchange(&self, flow: &Flow, code: String) -> Result<Verified, Error> {
        let answered = self.relying.exchange(flow, code).await?;
        let others = self.others(&answered).await?;
        self.proved(&answered.claims, &others, answered.access_token()).await
    }

    /// Its keys, for tokens that it sends by itself.
    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Where people end their session at the provider too, if it says so.
    pub async fn end_session_url(&self) -> Option<String> {
        self.relying.end_session_url().await
    }

    /// The claims beside the standard ones: the token's, and the user info's where the token does not name the groups.
    async fn others(&self, answered: &Answered) -> Result<Map<String, Value>, Error> {
        let mut all = answered.claims.additional_claims().all.clone();
        let named = |key: &str| all.contains_key(key);
        if named(&self.config.groups_claim) || named("_claim_names") {
            return Ok(all);
        }
        let Some(info) = self.relying.user_info(answered).await? else { return Ok(all) };
        let standard = [
            ("email", info.email().map(|email| Value::from(email.as_str()))),
            ("email_verified", info.email_verified().map(Value::from)),
            ("preferred_username", info.preferred_username().map(|name| Value::from(name.as_str()))),
        ];
        let standard = standard.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        for (key, value) in info.additional_claims().all.clone().into_iter().chain(standard) {
            all.entry(key).or_insert(value); // what is signed counts before what is not
        }
        Ok(all)
    }

    async fn proved(&self, claims: &Claims, others: &Map<String, Value>, access: &str) -> Result<Verified, Error> {
        let text = |key: &str| others.get(key).and_then(Value::as_str).map(str::to_owned);
        let human = match &self.config.person_claim {
            None => None,
            Some(claim) => Some(text(claim).filter(|value| !value.is_empty()).ok_or_else(|| {
                Error::Invalid(format!(
                    "it has no claim `{claim}`, which tells whose account this is (oidc.person_claim)"
                ))
            })?),
        };
        let name = claims.preferred_username().map(|name| name.to_string());
        let verified = |key: &str| others.get(key) == Some(&Value::Bool(true));
        Ok(Verified {
            issuer: claims.issuer().to_string(),
            subject: claims.subject().to_string(),
            human,
            name: name.or_else(|| text("preferred_username")),
            email: claims.email().map(|email| email.to_string()).or_else(|| text("email")),
            email_verified: claims.email_verified().unwrap_or_else(|| verified("email_verified")),
            groups: self.groups(others, access).await?,
            mfa: self.second_factor(claims),
            authenticated_at: authenticated_at(claims)?,
            sid: text("sid"),
        })
    }

    /// The groups in the claims or, when there were too many for a token, those that the provider's directory lists.
    async fn groups(&self, claims: &Map<String, Value>, access: &str) -> Result<BTreeSet<String>, Error> {
        let claim = &self.config.groups_claim;
        let elsewhere =
            claims.get("_claim_names").and_then(Value::as_object).is_some_and(|names| names.contains_key(claim));
        if elsewhere {
            return self.listed_groups(access).await;
        }
        match claims.get(claim) {
            None | Some(Value::Null) => Ok(BTreeSet::new()),
            Some(Value::String(one)) => Ok([one.clone()].into()),
            Some(Value::Array(many)) if many.len() <= GROUPS_MAX => {
                Ok(many.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            }
            Some(_) => Err(Error::Invalid(format!("its claim `{claim}` is not a list of at most {GROUPS_MAX} names"))),
        }
    }

    /// Entra ID's overage: a token of somebody in many groups names a place instead. That place is not taken from the
    /// token but from the configuration, and every further page must be at the same host.
    async fn listed_groups(&self, access: &str) -> Result<BTreeSet<String>, Error> {
        let mut groups = BTreeSet::new();
        let mut next = Some(self.config.groups_endpoint.clone());
        for _ in 0..GROUP_PAGES_MAX {
            let Some(url) = next else { return Ok(groups) };
            if fetch::origin(&url) != fetch::origin(&self.config.groups_endpoint) {
                return Err(Error::Invalid("the list of groups goes on at another host".to_owned()));
            }
            let page = self.fetch.json(&url, Some(access)).await.map_err(|e| Error::Provider(e.to_string()))?;
            let listed = page.get("value").and_then(Value::as_array);
            let listed = listed.ok_or_else(|| Error::Invalid("the list of groups has no `value`".to_owned()))?;
            groups.extend(listed.iter().filter_map(|group| group.get("id")?.as_str()).map(str::to_owned));
            next = page.get("@odata.nextLink").and_then(Value::as_str).map(str::to_owned);
        }
        Err(Error::Invalid(format!("the list of groups has more than {GROUP_PAGES_MAX} pages")))
    }

    fn second_factor(&self, claims: &Claims) -> bool {
        let counts = |value: &str| self.config.mfa.contains(value);
        let methods = claims.auth_method_refs().into_iter().flatten();
        let methods = methods.map(|method| method.as_str()).collect::<Vec<_>>();
        methods.into_iter().any(counts) || claims.auth_context_ref().is_some_and(|context| counts(context.as_str()))
    }
}

/// When the person last proved who they are; a time in the future is nonsense, and no time is the beginning of time.
fn authenticated_at(claims: &Claims) -> Result<Timestamp, Error> {
    let Some(at) = claims.auth_time() else { return Ok(Timestamp::from_seconds(0)) };
    if at > chrono::Utc::now() + chrono::TimeDelta::seconds(SKEW_SECONDS) {
        return Err(Error::Invalid("it says that the person authenticated in the future".to_owned()));
    }
    Ok(Timestamp::from_micros(at.timestamp_micros()))
}
