//! SCIM 2.0 (RFC 7643, 7644): how an identity provider tells who is there, and withdraws them.
//!
//! Only the holder of the configured token is answered; what agents and people hold opens nothing here. Handlers parse, hand
//! over to [`Provisioner`], and answer in the standard's shapes, errors included: its clients know no problems of RFC 9457,
//! and its documents are described by `/Schemas` rather than by OpenAPI.
//!
//! Deliberately absent: bulk requests, sorting, ETags, passwords, `/Me`; `/ServiceProviderConfig` says so.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post};
use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;
use tower_http::catch_panic::CatchPanicLayer;

use crate::gate::Gate;
use crate::identity::keys;
use crate::identity::provisioning::Provisioner;
use crate::ports::{SCIM_TOKEN, Vault};

mod filter;
mod groups;
mod json;
mod list;
mod patch;
mod refusal;
mod schemas;
#[cfg(test)]
mod tests;
mod users;

use refusal::Refusal;

/// The shortest token, in bytes.
const TOKEN_BYTES_MIN: usize = 32;
/// How long a request may take until its answer begins. What was begun is finished all the same.
const REQUEST_MAX: Duration = Duration::from_secs(30);

const HEADERS: [(HeaderName, &str); 2] = [(X_CONTENT_TYPE_OPTIONS, "nosniff"), (CACHE_CONTROL, "no-store")];

/// What every handler may use.
type Shared = Arc<Gate>;

/// The routes, to be merged with those of the API and the console; none when no provisioning client is configured.
pub fn router(gate: Arc<Gate>) -> Router {
    if gate.provisioner.is_none() {
        return Router::new();
    }
    let routes = Router::new()
        .route("/scim/v2/Users", get(users::list).post(users::create))
        .route("/scim/v2/Users/{id}", get(users::show).put(users::put).patch(users::patch).delete(users::delete))
        .route("/scim/v2/Users/.search", post(users::search))
        .route("/scim/v2/Groups/.search", post(groups::search))
        .route("/scim/v2/.search", post(list::search))
        .route("/scim/v2/Groups", get(groups::list).post(groups::create))
        .route("/scim/v2/Groups/{id}", get(groups::show).put(groups::put).patch(groups::patch).delete(groups::delete))
        .route("/scim/v2/ServiceProviderConfig", get(schemas::service_provider))
        .route("/scim/v2/ResourceTypes", get(schemas::resource_types))
        .route("/scim/v2/ResourceTypes/{id}", get(schemas::resource_type))
        .route("/scim/v2/Schemas", get(schemas::schemas))
        .route("/scim/v2/Schemas/{id}", get(schemas::schema))
        .route("/scim/v2", any(not_found))
        .route("/scim/v2/{*rest}", any(not_found))
        .method_not_allowed_fallback(not_allowed);
    routes
        .layer(from_fn_with_state(gate.clone(), authenticate))
        .layer(from_fn(in_time))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(map_response(headers))
        .with_state(gate)
}

fn provisioner(gate: &Gate) -> Result<&Provisioner, Refusal> {
    gate.provisioner.as_ref().ok_or_else(Refusal::absent)
}

/// Does it to the end even when the client has gone: nobody stays in the roster whose withdrawal was recorded.
async fn unbroken<T: Send + 'static>(
    work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) => {
            tracing::error!(%error, "a provisioning request failed inside");
            Err(Refusal::internal())
        }
    }
}

/// Whether the configured token is there and long enough.
///
/// # Errors
/// Why it is not.
pub async fn check_token(vault: &dyn Vault) -> anyhow::Result<()> {
    let token = vault.secret(SCIM_TOKEN).await?;
    let length = token.expose_secret().len();
    anyhow::ensure!(length >= TOKEN_BYTES_MIN, "it has {length} bytes; make one of at least {TOKEN_BYTES_MIN}");
    Ok(())
}

/// Nothing is read, parsed or looked up for somebody without the token.
async fn authenticate(State(gate): State<Shared>, request: Request, next: Next) -> Response {
    match is_client(&gate, request.headers()).await {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

async fn is_client(gate: &Gate, headers: &HeaderMap) -> Result<(), Refusal> {
    let given = bearer(headers).ok_or_else(Refusal::unauthenticated)?;
    let token = gate.vault.secret(SCIM_TOKEN).await.map_err(|error| {
        tracing::error!(%error, "the provisioning client's token cannot be read");
        Refusal::unavailable()
    })?;
    let token = token.expose_secret();
    // hashes have one length, so that the comparison tells nothing of the token's
    let same = bool::from(keys::hash(given).ct_eq(&keys::hash(token)));
    if same && token.len() >= TOKEN_BYTES_MIN { Ok(()) } else { Err(Refusal::unauthenticated()) }
}

/// The secret of the one `Authorization` header (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (first, None) = (given.next()?, given.next()) else { return None };
    let (scheme, secret) = first.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

async fn in_time(request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(REQUEST_MAX, next.run(request)).await;
    answer.unwrap_or_else(|_| Refusal::unavailable().into_response())
}

async fn headers(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    Refusal::internal().into_response()
}

async fn not_found() -> Refusal {
    Refusal::absent()
}

async fn not_allowed() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this does not take such a request")
}
