//! Signing in by OpenID Connect: the authorization code flow with PKCE, as a confidential or a public client.
//!
//! Nothing secret of a sign-in under way is kept here: the browser holds one random secret in a cookie, and `state`, `nonce`
//! and the PKCE verifier are all derived from it. What is kept is that this `state` may come back once. So an answer is
//! good only in the browser that asked, once, and within ten minutes.
//!
//! Specification: OpenID Connect Core 1.0, Discovery 1.0; RFC 6749, RFC 7636, RFC 9207.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_core::action::Timestamp;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreClientAuthMethod, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreResponseType, CoreRevocableToken,
    CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, AuthType, AuthenticationFlow, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken,
    EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, IdTokenClaims, IdTokenFields, IssuerUrl,
    OAuth2TokenResponse as _, PkceCodeChallenge, ProviderMetadataWithLogout, RedirectUrl, Scope, StandardErrorResponse,
    StandardTokenResponse, TokenResponse as _, UserInfoClaims,
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use super::flow::Flow;
use super::jwks::{self, Keys, Source};
use crate::config::Oidc;
use crate::fetch::{self, Fetch};
use crate::ports::{OIDC_CLIENT_SECRET, Vault};

/// How long a provider's metadata and keys are believed.
const METADATA_LIFE: Duration = Duration::from_secs(60 * 60);
/// How soon they may be asked for again when a token names a key that is not among them.
const METADATA_REST: Duration = Duration::from_secs(5);
/// How far the provider's clock may be from ours, in seconds.
const SKEW_SECONDS: i64 = 60;
/// Pages of groups that are read for one person.
const GROUP_PAGES_MAX: usize = 20;
/// The most groups that are looked at for one person.
const GROUPS_MAX: usize = 10_000;

/// The claims of a provider that OpenID Connect itself does not name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct OtherClaims {
    #[serde(flatten)]
    all: Map<String, Value>,
}

impl AdditionalClaims for OtherClaims {}

type Claims = IdTokenClaims<OtherClaims, CoreGenderClaim>;
type Tokens = StandardTokenResponse<
    IdTokenFields<
        OtherClaims,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;
type Relying = Client<
    OtherClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Why somebody could not be signed in. None of the texts holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The provider cannot be reached or answers nonsense.
    #[error("the identity provider does not answer as it should: {0}")]
    Provider(String),
    /// The provider says no, or the person did.
    #[error("the identity provider refused: {0}")]
    Refused(String),
    /// What it answered is not for this sign-in, or not from it.
    #[error("the identity provider's answer is not valid: {0}")]
    Invalid(String),
}

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

/// What a provider says of itself, and when it said so.
struct Known {
    metadata: ProviderMetadataWithLogout,
    asked_at: Instant,
}

/// A client of one provider.
pub struct Provider {
    config: Oidc,
    redirect: String,
    vault: Arc<dyn Vault>,
    fetch: Fetch,
    keys: Keys,
    known: Mutex<Option<Arc<Known>>>,
}

impl Provider {
    /// A client that the provider sends people back to under `public_url`. Asks nothing yet.
    ///
    /// # Errors
    /// [`Error::Provider`] when no HTTP client can be made.
    pub fn new(config: Oidc, public_url: &str, vault: Arc<dyn Vault>) -> Result<Self, Error> {
        let fetch = Fetch::new(fetch::Limits::default()).map_err(|error| Error::Provider(error.to_string()))?;
        let redirect = format!("{public_url}/login/oidc/callback");
        let client = jwks::client(Vec::new()).map_err(|error| Error::Provider(error.to_string()))?;
        let keys = Keys::new(client, Source::Discovery(config.issuer.clone()));
        Ok(Self { config, redirect, vault, fetch, keys, known: Mutex::new(None) })
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
        let client = self.client(&*self.metadata(false).await?).await?;
        let (state, nonce) = (flow.state(), flow.nonce());
        let code = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&flow.verifier());
        let mut request = client.authorize_url(code, move || CsrfToken::new(state), move || nonce);
        request = request.set_pkce_challenge(challenge);
        for scope in self.config.scopes.iter().filter(|scope| *scope != "openid") {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        // naming an age makes providers say when the person authenticated (Core, section 3.1.2.1)
        let max_age = wish.max_age_seconds.unwrap_or(self.config.session_seconds);
        request = request.set_max_age(Duration::from_secs(max_age.into()));
        Ok(request.url().0.to_string())
    }

    /// What the provider proves in exchange for a code.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn exchange(&self, flow: &Flow, code: String) -> Result<Verified, Error> {
        let known = self.metadata(false).await?;
        let client = self.client(&known).await?;
        let request = client.exchange_code(AuthorizationCode::new(code));
        let request = request.map_err(|error| Error::Provider(error.to_string()))?.set_pkce_verifier(flow.verifier());
        let tokens = request.request_async(&self.http()).await.map_err(|error| match error {
            openidconnect::RequestTokenError::ServerResponse(refusal) => Error::Refused(refusal.to_string()),
            other => Error::Provider(other.to_string()),
        })?;
        let claims = self.verified(&tokens, flow, known).await?;
        let others = self.others(&client, &tokens, &claims).await?;
        self.proved(&claims, &others, tokens.access_token().secret()).await
    }

    /// Its keys, for tokens that it sends by itself.
    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Where people end their session at the provider too, if it says so.
    pub async fn end_session_url(&self) -> Option<String> {
        let known = self.metadata(false).await.ok()?;
        let end = known.metadata.additional_metadata().end_session_endpoint.as_ref()?;
        let mut url = end.url().clone();
        url.query_pairs_mut().append_pair("client_id", &self.config.client_id);
        Some(url.to_string())
    }

    /// The token's claims, once its signature, issuer, audience, time and nonce are right. A key that is not known makes
    /// the provider's keys be asked for anew, once.
    async fn verified(&self, tokens: &Tokens, flow: &Flow, known: Arc<Known>) -> Result<Claims, Error> {
        let invalid = |error: openidconnect::ClaimsVerificationError| Error::Invalid(error.to_string());
        let token = tokens.id_token().ok_or_else(|| Error::Invalid("there is no ID token in it".to_owned()))?;
        let client = self.client(&known).await?;
        match token.claims(&client.id_token_verifier(), &flow.nonce()) {
            Ok(claims) => return Ok(claims.clone()),
            Err(openidconnect::ClaimsVerificationError::SignatureVerification(_)) => {}
            Err(error) => return Err(invalid(error)),
        }
        let renewed = self.client(&*self.metadata(true).await?).await?;
        token.claims(&renewed.id_token_verifier(), &flow.nonce()).cloned().map_err(invalid)
    }

    /// The claims beside the standard ones: the token's, and the user info's where the token does not name the groups.
    async fn others(&self, client: &Relying, tokens: &Tokens, claims: &Claims) -> Result<Map<String, Value>, Error> {
        let mut all = claims.additional_claims().all.clone();
        let named = |key: &str| all.contains_key(key);
        if named(&self.config.groups_claim) || named("_claim_names") {
            return Ok(all);
        }
        let subject = Some(claims.subject().clone());
        let Ok(request) = client.user_info(tokens.access_token().clone(), subject) else { return Ok(all) };
        let info: UserInfoClaims<OtherClaims, CoreGenderClaim> =
            request.request_async(&self.http()).await.map_err(|error| Error::Provider(error.to_string()))?;
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

    async fn client(&self, known: &Known) -> Result<Relying, Error> {
        let secret = match &self.config.client_secret {
            None => None,
            Some(_) => {
                let secret = self.vault.secret(OIDC_CLIENT_SECRET).await;
                let secret = secret.map_err(|error| Error::Provider(error.to_string()))?;
                Some(ClientSecret::new(secret.expose_secret().to_owned()))
            }
        };
        let metadata = known.metadata.clone();
        let methods = metadata.token_endpoint_auth_methods_supported();
        let in_body = methods.is_some_and(|methods| !methods.contains(&CoreClientAuthMethod::ClientSecretBasic));
        let redirect = RedirectUrl::new(self.redirect.clone()).map_err(|error| Error::Provider(error.to_string()))?;
        let client = Relying::from_provider_metadata(metadata, ClientId::new(self.config.client_id.clone()), secret);
        let how = if in_body { AuthType::RequestBody } else { AuthType::BasicAuth };
        Ok(client.set_redirect_uri(redirect).set_auth_type(how))
    }

    /// What the provider says of itself; asked for again when it is old, or when `anew` and not just asked for.
    async fn metadata(&self, anew: bool) -> Result<Arc<Known>, Error> {
        let mut known = self.known.lock().await;
        let life = if anew { METADATA_REST } else { METADATA_LIFE };
        if let Some(known) = known.as_ref().filter(|known| known.asked_at.elapsed() < life) {
            return Ok(Arc::clone(known));
        }
        let unusable = |error: String| Error::Provider(error);
        let issuer = IssuerUrl::new(self.config.issuer.clone()).map_err(|error| unusable(error.to_string()))?;
        let asked = ProviderMetadataWithLogout::discover_async(issuer, &self.http()).await;
        let metadata = asked.map_err(|error| unusable(described(&error)))?;
        let fresh = Arc::new(Known { metadata, asked_at: Instant::now() });
        *known = Some(Arc::clone(&fresh));
        Ok(fresh)
    }

    fn http(&self) -> impl Fn(openidconnect::HttpRequest) -> fetch::Answering + '_ {
        |request| self.fetch.clone().send(request)
    }
}

/// An error with its causes: the libraries' own texts say only "request failed".
fn described(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// When the person last proved who they are; a time in the future is nonsense, and no time is the beginning of time.
fn authenticated_at(claims: &Claims) -> Result<Timestamp, Error> {
    let Some(at) = claims.auth_time() else { return Ok(Timestamp::from_seconds(0)) };
    if at > chrono::Utc::now() + chrono::TimeDelta::seconds(SKEW_SECONDS) {
        return Err(Error::Invalid("it says that the person authenticated in the future".to_owned()));
    }
    Ok(Timestamp::from_micros(at.timestamp_micros()))
}
