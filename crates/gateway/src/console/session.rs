//! A person's session with the console: its cookie, its form token, and the middleware without which there is no page.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Form, FromRequest as _, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use super::incidents::Notice;
use super::page::Failure;
use super::{Console, FORM_BYTES_MAX, incidents, login};
use crate::config::{Config, PolicyChanges};
use crate::identity::{Browser, Caller, Error, SignedIn};
use crate::ports::{Role, Scope};

/// How long a session lasts: 12 hours, a working day.
const SESSION_SECONDS: i64 = 12 * 60 * 60;

/// The person behind a request, and the token their forms carry.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) signed_in: SignedIn,
    pub(super) csrf: String,
    /// Incidents that go on, for the top of each page.
    pub(super) incidents: Vec<Notice>,
}

impl Session {
    /// As a vote is cast by.
    pub(super) fn caller(&self) -> Caller {
        Caller::Person(Box::new(self.signed_in.clone()))
    }

    /// Whether changes of the gate are proposed here, and the person may.
    pub(super) fn may_propose(&self, config: &Config) -> bool {
        let auditor = self.signed_in.person.roles.contains(&Role::Auditor);
        config.changes == PolicyChanges::Review && self.signed_in.scope >= Scope::ReviewVote && !auditor
    }
}

/// Lets only requests with a live session pass and, when they could change something, only with the session's token.
pub(super) async fn require(State(console): State<Console>, mut request: Request, next: Next) -> Response {
    let Some(secret) = secret(&console, request.headers()) else {
        return login::needed(&console, &request);
    };
    let session = match authenticate(&console, &secret, &browser(request.headers())).await {
        Ok(session) => session,
        Err(Error::Unknown) => return login::needed(&console, &request),
        Err(Error::Store(error)) => return Failure::from(error).into_response(),
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        request = match with_token(request, &session.csrf).await {
            Ok(request) => request,
            Err(failure) => return failure.into_response(),
        };
    }
    request.extensions_mut().insert(session);
    next.run(request).await
}

/// Lets only people pass who may read what others asked for.
pub(super) async fn require_reader(request: Request, next: Next) -> Response {
    match request.extensions().get::<Session>() {
        Some(session) if session.signed_in.reads_all() => next.run(request).await,
        Some(_) | None => Failure::not_yours().into_response(),
    }
}

async fn authenticate(console: &Console, secret: &str, browser: &Browser) -> Result<Session, Error> {
    let signed_in = console.authenticator.session(secret, browser, console.gate.scribe.now()).await?;
    Ok(Session { signed_in, csrf: token(secret), incidents: incidents::notices(&console.gate) })
}

/// Whether a session still stands; for pages that stay open.
pub(super) async fn stands(console: &Console, headers: &HeaderMap) -> bool {
    match secret(console, headers) {
        Some(secret) => authenticate(console, &secret, &browser(headers)).await.is_ok(),
        None => false,
    }
}

/// What the browser calls itself.
pub(super) fn browser(headers: &HeaderMap) -> Browser {
    Browser::new(headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default())
}

/// Bound to the session by its secret, and no help in finding it.
fn token(secret: &str) -> String {
    let digest = Sha256::new().chain_update(b"countersign/csrf/v1\0").chain_update(secret.as_bytes()).finalize();
    hex::encode(digest)
}

#[derive(Deserialize)]
struct Token {
    csrf: String,
}

/// Checks the form's token and gives the request back whole.
async fn with_token(request: Request, expected: &str) -> Result<Request, Failure> {
    let (parts, body) = request.into_parts();
    let bytes: Bytes =
        to_bytes(body, FORM_BYTES_MAX).await.map_err(|_| Failure::bad_request("the form is too large"))?;
    let copy = Request::from_parts(parts.clone(), Body::from(bytes.clone()));
    let given = Form::<Token>::from_request(copy, &()).await.map_err(|_| Failure::cross_site())?;
    match given.csrf.as_bytes().ct_eq(expected.as_bytes()).into() {
        true => Ok(Request::from_parts(parts, Body::from(bytes))),
        false => Err(Failure::cross_site()),
    }
}

/// The session's secret in its cookie.
pub(super) fn secret(console: &Console, headers: &HeaderMap) -> Option<String> {
    the_one_cookie(cookie_name(console), headers)
}

/// A cookie's value; a name that stands there twice is somebody's trick, and counts as none.
pub(super) fn the_one_cookie(name: &str, headers: &HeaderMap) -> Option<String> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut found = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut named = found.by_ref().filter(|(given, _)| *given == name).map(|(_, value)| value.to_owned());
    let first = named.next()?;
    named.next().is_none().then_some(first)
}

/// The header that gives a browser its session, or takes it away when `secret` is empty.
pub(super) fn cookie(console: &Console, secret: &str) -> String {
    let age = if secret.is_empty() { 0 } else { session_seconds(console) };
    set_cookie(console, cookie_name(console), secret, age, "Strict")
}

/// How long a session lasts: as configured with the identity provider.
pub(super) fn session_seconds(console: &Console) -> i64 {
    console.gate.config.oidc.as_ref().map_or(SESSION_SECONDS, |oidc| i64::from(oidc.session_seconds))
}

/// A header that sets a cookie for this host alone, which no script reads.
pub(super) fn set_cookie(console: &Console, name: &str, secret: &str, age: i64, same_site: &str) -> String {
    let secure = if is_https(console) { "; Secure" } else { "" };
    format!("{name}={secret}; Path=/; Max-Age={age}; HttpOnly; SameSite={same_site}{secure}")
}

/// `__Host-` (RFC 6265bis, section 4.1.3.2) keeps other hosts and paths from setting it; browsers take it over TLS only.
fn cookie_name(console: &Console) -> &'static str {
    if is_https(console) { "__Host-countersign_session" } else { "countersign_session" }
}

pub(super) fn is_https(console: &Console) -> bool {
    console.gate.config.public_url.starts_with("https://")
}
