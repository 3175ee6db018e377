//! The token endpoint: a job's token in, a key of an agent out (RFC 8693), in OAuth's own words.
//!
//! It is open to anybody, as the token is the proof. What is refused is recorded, but not without bound ([`Refusals`]).

use axum::Json;
use axum::body::Body;
use axum::extract::{Form, FromRequest as _, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderValue, PRAGMA};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Shared;
use super::extract::read;
use crate::codes::Code;
use crate::identity::workload::{Exchanged, Offer, Refused};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// What a subject token may say that it is: all of these are signed tokens here.
const SUBJECT_TYPES: [&str; 3] =
    ["urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token", ACCESS_TOKEN];

/// An exchange as asked for (RFC 8693 §2.1); what else it says is of no concern here.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct TokenExchange {
    /// `urn:ietf:params:oauth:grant-type:token-exchange`
    grant_type: String,
    /// The token that a trusted issuer gave the job.
    subject_token: String,
    /// `urn:ietf:params:oauth:token-type:jwt` or `…:id_token`
    subject_token_type: String,
    /// The token of whoever acts for the subject: a trusted issuer's, or an agent's key.
    actor_token: Option<String>,
    /// What the actor token is; needed beside it.
    actor_token_type: Option<String>,
    /// `urn:ietf:params:oauth:token-type:access_token`, if anything.
    requested_token_type: Option<String>,
    /// What the key is for: the gateway's own address, or the name of a target.
    audience: Option<String>,
}

/// A key of the agent that the token stands for (RFC 8693 §2.2.1).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenExchanged {
    /// The key: the password for protocols with user names, and a bearer token for the API.
    access_token: String,
    /// `urn:ietf:params:oauth:token-type:access_token`
    issued_token_type: &'static str,
    /// `Bearer`
    token_type: &'static str,
    /// Seconds.
    expires_in: i64,
    /// What to log in as where a protocol asks for a user.
    #[schema(example = "deployer+k7m2p9x4tqwz")]
    username: String,
    /// The agent.
    agent: String,
}

/// Why not (RFC 6749 §5.2).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenError {
    /// OAuth's word: `invalid_request`, `invalid_grant`, `invalid_target`, `unsupported_grant_type`,
    /// `temporarily_unavailable`.
    error: &'static str,
    /// What happened this time.
    error_description: String,
    /// The stable code; `docs/errors/<code>.md` says what to do.
    code: &'static str,
}

struct No {
    error: &'static str,
    code: Code,
    detail: String,
}

impl No {
    fn request(detail: impl Into<String>) -> Self {
        Self { error: "invalid_request", code: Code::BadRequest, detail: detail.into() }
    }
}

impl From<Refused> for No {
    fn from(refused: Refused) -> Self {
        let error = match refused.code {
            Code::TooManyConnections | Code::RecordUnavailable | Code::IssuerUnavailable => "temporarily_unavailable",
            _ => "invalid_grant",
        };
        Self { error, code: refused.code, detail: refused.detail }
    }
}

impl IntoResponse for No {
    fn into_response(self) -> Response {
        let unavailable = self.error == "temporarily_unavailable";
        let too_large = self.code == Code::TooLarge;
        let status = if unavailable || too_large { self.code.status() } else { StatusCode::BAD_REQUEST };
        let body = TokenError { error: self.error, error_description: self.detail, code: self.code.name() };
        uncached((status, Json(body)).into_response())
    }
}

/// RFC 6749 §5.1
fn uncached(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// Exchange a job's token for a key of an agent
#[utoipa::path(post, path = "/api/v1/token", operation_id = "exchange_token", tag = "directory",
    request_body(content = TokenExchange, content_type = "application/x-www-form-urlencoded"),
    security(()),
    responses(
        (status = 200, description = "A key that ends within the hour, and not after the token", body = TokenExchanged),
        (status = 400, description = "The token is not taken", body = TokenError),
        (status = 413, description = "The request is too large", body = TokenError),
        (status = 503, description = "The issuer's keys cannot be had, or there is no room", body = TokenError),
    ))]
pub(super) async fn exchange(State(api): State<Shared>, request: Request) -> Response {
    match asked(&api, request).await {
        Ok(answer) => uncached(Json(answer).into_response()),
        Err(no) => no.into_response(),
    }
}

async fn asked(api: &Shared, request: Request) -> Result<TokenExchanged, No> {
    let asked = form(request).await?;
    check(api, &asked)?;
    let offer = Offer { subject: &asked.subject_token, actor: asked.actor_token.as_deref() };
    match api.gate.workloads.exchange(&offer).await {
        Ok(exchanged) => Ok(answer(exchanged)),
        Err(refused) => {
            record(api, &refused).await;
            Err(refused.into())
        }
    }
}

async fn form(request: Request) -> Result<TokenExchange, No> {
    let (parts, body) = request.into_parts();
    let bytes = read(body).await.map_err(|_| No {
        error: "invalid_request",
        code: Code::TooLarge,
        detail: "the body broke off, or is too large".to_owned(),
    })?;
    let form = Form::<TokenExchange>::from_request(Request::from_parts(parts, Body::from(bytes)), &()).await;
    form.map(|Form(asked)| asked).map_err(|error| No::request(format!("the form is not valid: {error}")))
}

fn check(api: &Shared, asked: &TokenExchange) -> Result<(), No> {
    if asked.grant_type != EXCHANGE {
        let (error, code) = ("unsupported_grant_type", Code::BadRequest);
        return Err(No { error, code, detail: format!("the grant type is `{EXCHANGE}`") });
    }
    if !SUBJECT_TYPES.contains(&asked.subject_token_type.as_str()) {
        return Err(No::request(format!("the subject token's type is one of {}", SUBJECT_TYPES.join(", "))));
    }
    let actor_type = asked.actor_token_type.as_deref();
    if asked.actor_token.is_some() != actor_type.is_some()
        || !actor_type.is_none_or(|kind| SUBJECT_TYPES.contains(&kind))
    {
        return Err(No::request("an actor token comes with its type, which is one of those of subject tokens"));
    }
    if asked.requested_token_type.as_deref().is_some_and(|wanted| wanted != ACCESS_TOKEN) {
        return Err(No::request(format!("what is issued is a `{ACCESS_TOKEN}`")));
    }
    let config = &api.gate.config;
    let known = |audience: &str| audience == config.public_url || config.target(audience).is_some();
    if !asked.audience.as_deref().is_none_or(known) {
        let detail = "the audience is the gateway's own address or the name of a target".to_owned();
        return Err(No { error: "invalid_target", code: Code::UnknownTarget, detail });
    }
    Ok(())
}

fn answer(exchanged: Exchanged) -> TokenExchanged {
    TokenExchanged {
        access_token: exchanged.minted.secret.to_string(),
        issued_token_type: ACCESS_TOKEN,
        token_type: "Bearer",
        expires_in: exchanged.expires_in,
        username: exchanged.minted.key.login,
        agent: exchanged.agent.name,
    }
}

async fn record(api: &Shared, refused: &Refused) {
    tracing::info!(code = %refused.code, issuer = refused.issuer, detail = refused.detail, "a token was not exchanged");
    let Refused { code, issuer, .. } = refused;
    let (store, scribe) = (&*api.gate.store, &api.gate.scribe);
    let noted = api.refusals.record(store, scribe, "token_exchange", *code, issuer.clone()).await;
    if let Err(error) = noted {
        tracing::error!(%error, "a refusal could not be recorded");
    }
}
