//! A registered client of one OpenID provider: the authorization code flow with PKCE, as a confidential or a public client.
//!
//! Nothing secret of a flow under way is kept here: the browser holds one random secret in a cookie, and `state`, `nonce`
//! and the PKCE verifier are all derived from it. What is kept is that this `state` may come back once. So an answer is
//! good only in the browser that asked, once, and within ten minutes. What the proof is used for is not known here.
//!
//! Specification: OpenID Connect Core 1.0, Discovery 1.0; RFC 6749, RFC 7636, RFC 9207.

use std::sync::Arc;
use std::time::{Duration, Instant};

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
use crate::fetch::{self, Fetch};
use crate::ports::Vault;

/// How long a provider's metadata and keys are believed.
const METADATA_LIFE: Duration = Duration::from_secs(60 * 60);
/// How soon they may be asked for again when a token names a key that is not among them.
const METADATA_REST: Duration = Duration::from_secs(5);

/// The claims of a provider that OpenID Connect itself does not name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct OtherClaims {
    #[serde(flatten)]
    pub(super) all: Map<String, Value>,
}

impl AdditionalClaims for OtherClaims {}

/// What an ID token says.
pub(super) type Claims = IdTokenClaims<OtherClaims, CoreGenderClaim>;
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
type Registered = Client<
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

/// What a provider says of itself, and when it said so.
struct Known {
    metadata: ProviderMetadataWithLogout,
    asked_at: Instant,
}

/// As what the gateway is registered with a provider.
pub(super) struct Registration {
    /// The issuer, exactly as its discovery document and its tokens name it.
    pub(super) issuer: String,
    /// What the provider calls the gateway.
    pub(super) client_id: String,
    /// What the vault calls the client's secret; a public client has none.
    pub(super) secret: Option<&'static str>,
    /// What is asked for.
    pub(super) scopes: Vec<String>,
    /// Where people are sent back to.
    pub(super) redirect: String,
}

/// What a provider answered in exchange for a code, with its claims checked.
pub(super) struct Answered {
    pub(super) claims: Claims,
    tokens: Tokens,
    client: Registered,
}

impl Answered {
    /// The access token.
    pub(super) fn access_token(&self) -> &str {
        self.tokens.access_token().secret()
    }
}

/// A registered client.
pub(super) struct Relying {
    registration: Registration,
    vault: Arc<dyn Vault>,
    fetch: Fetch,
    known: Mutex<Option<Arc<Known>>>,
}

impl Relying {
    /// As registered. Asks nothing yet.
    ///
    /// # Errors
    /// [`Error::Provider`] when no HTTP client can be made.
    pub(super) fn new(registration: Registration, vault: Arc<dyn Vault>) -> Result<Self, Error> {
        let fetch = Fetch::new(fetch::Limits::default()).map_err(|error| Error::Provider(error.to_string()))?;
        Ok(Self { registration, vault, fetch, known: Mutex::new(None) })
    }

    /// Where the browser is sent to.
    ///
    /// # Errors
    /// [`Error::Provider`].
    pub(super) async fn authorization_url(&self, flow: &Flow, max_age_seconds: Option<u32>) -> Result<String, Error> {
        let client = self.client(&*self.metadata(false).await?).await?;
        let (state, nonce) = (flow.state(), flow.nonce());
        let code = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&flow.verifier());
        let mut request = client.authorize_url(code, move || CsrfToken::new(state), move || nonce);
        request = request.set_pkce_challenge(challenge);
        for scope in self.registration.scopes.iter().filter(|scope| *scope != "openid") {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        // naming an age makes providers say when the person authenticated (Core, section 3.1.2.1)
        if let Some(seconds) = max_age_seconds {
            request = request.set_max_age(Duration::from_secs(seconds.into()));
        }
        Ok(request.url().0.to_string())
    }

    /// What the provider says in exchange for a code, once its signature, issuer, audience, time and nonce are right.
    ///
    /// # Errors
    /// [`Error`].
    pub(super) async fn exchange(&self, flow: &Flow, code: String) -> Result<Answered, Error> {
        let known = self.metadata(false).await?;
        let client = self.client(&known).await?;
        let request = client.exchange_code(AuthorizationCode::new(code));
        let request = request.map_err(|error| Error::Provider(error.to_string()))?.set_pkce_verifier(flow.verifier());
        let tokens = request.request_async(&self.http()).await.map_err(|error| match error {
            openidconnect::RequestTokenError::ServerResponse(refusal) => Error::Refused(refusal.to_string()),
            other => Error::Provider(other.to_string()),
        })?;
        let claims = self.verified(&tokens, flow, known).await?;
        Ok(Answered { claims, tokens, client })
    }

    /// What the provider tells of them besides, where it has an address for that.
    ///
    /// # Errors
    /// [`Error::Provider`].
    pub(super) async fn user_info(
        &self,
        answered: &Answered,
    ) -> Result<Option<UserInfoClaims<OtherClaims, CoreGenderClaim>>, Error> {
        let subject = Some(answered.claims.subject().clone());
        let access = answered.tokens.access_token().clone();
        let Ok(request) = answered.client.user_info(access, subject) else { return Ok(None) };
        let info = request.request_async(&self.http()).await;
        info.map(Some).map_err(|error| Error::Provider(error.to_string()))
    }

    /// Where people end their session at the provider too, if it says so.
    pub(super) async fn end_session_url(&self) -> Option<String> {
        let known = self.metadata(false).await.ok()?;
        let end = known.metadata.additional_metadata().end_session_endpoint.as_ref()?;
        let mut url = end.url().clone();
        url.query_pairs_mut().append_pair("client_id", &self.registration.client_id);
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

    async fn client(&self, known: &Known) -> Result<Registered, Error> {
        let secret = match self.registration.secret {
            None => None,
            Some(name) => {
                let secret = self.vault.secret(name).await;
                let secret = secret.map_err(|error| Error::Provider(error.to_string()))?;
                Some(ClientSecret::new(secret.expose_secret().to_owned()))
            }
        };
        let metadata = known.metadata.clone();
        let methods = metadata.token_endpoint_auth_methods_supported();
        let in_body = methods.is_some_and(|methods| !methods.contains(&CoreClientAuthMethod::ClientSecretBasic));
        let redirect =
            RedirectUrl::new(self.registration.redirect.clone()).map_err(|error| Error::Provider(error.to_string()))?;
        let client =
            Registered::from_provider_metadata(metadata, ClientId::new(self.registration.client_id.clone()), secret);
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
        let issuer = IssuerUrl::new(self.registration.issuer.clone()).map_err(|error| unusable(error.to_string()))?;
        let asked = ProviderMetadataWithLogout::discover_async(issuer, &self.http()).await;
        let metadata = asked.map_err(|error| unusable(fetch::with_causes(&error)))?;
        let fresh = Arc::new(Known { metadata, asked_at: Instant::now() });
        *known = Some(Arc::clone(&fresh));
        Ok(fresh)
    }

    fn http(&self) -> impl Fn(openidconnect::HttpRequest) -> fetch::Answering + '_ {
        |request| self.fetch.clone().send(request)
    }
}
