//! Signing in and out. A login link is single use, and only a button uses it: a GET shows whose it is and no more.

use askama::Template;
use axum::Extension;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use countersign_core::action::PersonId;
use countersign_core::record::{Event, Record};
use serde::Deserialize;

use super::Console;
use super::page::{Failure, Frame, render};
use super::session::{self, Session};
use super::show::{Html, line};
use crate::identity::{Browser, keys};
use crate::ports::{Credential, CredentialKind, Person, StoreError};

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    name: Html,
    secret: String,
}

#[derive(Template)]
#[template(path = "login_needed.html")]
struct NeededPage {
    frame: Frame,
    /// The identity provider, where one is configured.
    provider: Option<Html>,
    /// Whether links made on the gateway's host still work.
    links: bool,
    /// Where signing in leads to.
    back: String,
    /// Where to try again at once, when the browser withheld the cookie only because another site's link led here.
    again: Option<String>,
}

#[derive(Template)]
#[template(path = "login_gone.html")]
struct GonePage {
    frame: Frame,
}

/// The link's secret, posted by the button.
#[derive(Deserialize)]
pub(super) struct Secret {
    secret: String,
}

impl NeededPage {
    fn new(console: &Console, back: &str, again: Option<String>) -> Self {
        let oidc = console.gate.config.oidc.as_ref();
        let host = |issuer: &str| issuer.split("//").last().unwrap_or(issuer).split('/').next().map(line);
        Self {
            frame: Frame::open("Sign in"),
            provider: oidc.and_then(|oidc| host(&oidc.issuer)),
            links: oidc.is_none_or(|oidc| oidc.login_links),
            back: back.to_owned(),
            again,
        }
    }
}

/// How to get in.
pub(super) async fn explain(State(console): State<Console>) -> Response {
    render(StatusCode::OK, &NeededPage::new(&console, "/", None))
}

/// The answer to anyone without a session.
///
/// Browsers withhold a `SameSite=Strict` cookie when a link of another site (a chat message) leads here. The page then
/// loads the same address again by itself, which counts as our own request.
pub(super) fn needed(console: &Console, request: &Request) -> Response {
    let from_elsewhere = request.headers().get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    let address = request.uri().path();
    let ours = request.method() == Method::GET && address.starts_with('/') && !address.starts_with("//");
    let again = (from_elsewhere && ours).then(|| address.to_owned());
    let back = if ours { address } else { "/" };
    render(StatusCode::UNAUTHORIZED, &NeededPage::new(console, back, again))
}

/// Shows the button of a login link; the link stays good.
pub(super) async fn confirm(State(console): State<Console>, Path(secret): Path<String>) -> Result<Response, Failure> {
    let Some((_, person)) = look_up(&console, &secret).await? else { return Ok(gone()) };
    let frame = Frame::open("Sign in");
    Ok(render(StatusCode::OK, &LoginPage { frame, name: line(&person.name), secret }))
}

/// Uses a login link: ends it, and begins a session under a secret that nobody has seen before.
pub(super) async fn sign_in(
    State(console): State<Console>,
    headers: HeaderMap,
    form: Result<Form<Secret>, FormRejection>,
) -> Result<Response, Failure> {
    let Ok(Form(Secret { secret })) = form else { return Err(Failure::bad_request("the form has no login link")) };
    let Some((link, _)) = look_up(&console, &secret).await? else { return Ok(gone()) };
    let used = enrolled(&console, "login_link", &link, "used");
    let (now, hash) = (console.gate.scribe.now(), keys::hash(&secret));
    let taken = console.gate.directory.take_credential(CredentialKind::LoginLink, &hash, now, Some(used));
    let Some(link) = taken.await? else { return Ok(gone()) }; // somebody was faster
    end_session(&console, &headers).await?;
    let browser = session::browser(&headers);
    let id = uuid::Uuid::now_v7().to_string();
    let seconds = session::session_seconds(&console);
    let local = Credential::local(id, link.person.clone(), link.scope, now, seconds);
    let cookie = begin_session(&console, local, browser).await?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response())
}

/// Ends the session.
pub(super) async fn sign_out(
    State(console): State<Console>,
    Extension(_): Extension<Session>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    end_session(&console, &headers).await?;
    let cookie = session::cookie(&console, "");
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/login")).into_response())
}

/// A link that can be used, and the person it is for.
async fn look_up(console: &Console, secret: &str) -> Result<Option<(Credential, Person)>, StoreError> {
    if keys::kind(secret) != Some(keys::Kind::LoginLink) {
        return Ok(None);
    }
    let (directory, now) = (&console.gate.directory, console.gate.scribe.now());
    let Some(link) = directory.credential(CredentialKind::LoginLink, &keys::hash(secret), now).await? else {
        return Ok(None);
    };
    let person = directory.people().await?.into_iter().find(|person| person.id == link.person && !person.suspended);
    Ok(person.map(|person| (link, person)))
}

/// Begins a session under a secret that nobody has seen before, for this browser alone.
pub(super) async fn begin_session(
    console: &Console,
    credential: Credential,
    browser: Browser,
) -> Result<String, Failure> {
    let secret = keys::make(keys::Kind::Session).map_err(Failure::unavailable)?;
    let credential = Credential { browser: Some(browser.digest), label: browser.label, ..credential };
    let record = enrolled(console, "session", &credential, "added");
    let added =
        console.gate.directory.add_credential(CredentialKind::Session, keys::hash(&secret), credential, Some(record));
    added.await?;
    Ok(session::cookie(console, &secret))
}

/// Ends the session that the browser came with, if any: signing in never continues an older one.
pub(super) async fn end_session(console: &Console, headers: &HeaderMap) -> Result<(), StoreError> {
    let Some(secret) = session::secret(console, headers) else { return Ok(()) };
    let (directory, hash, now) = (&console.gate.directory, keys::hash(&secret), console.gate.scribe.now());
    let Some(old) = directory.credential(CredentialKind::Session, &hash, now).await? else { return Ok(()) };
    let record = enrolled(console, "session", &old, "revoked");
    directory.take_credential(CredentialKind::Session, &hash, now, Some(record)).await.map(drop)
}

fn enrolled(console: &Console, what: &str, credential: &Credential, change: &str) -> Record {
    let person: PersonId = credential.person.clone();
    console.gate.scribe.record(Event::IdentityEnrolled {
        what: what.to_owned(),
        id: credential.id.clone(),
        person: Some(person),
        change: change.to_owned(),
        local: credential.local,
        passkey: None,
    })
}

fn gone() -> Response {
    render(StatusCode::GONE, &GonePage { frame: Frame::open("This link is used up") })
}
