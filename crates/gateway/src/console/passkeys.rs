//! A person's own passkeys: listed, added with the browser's help, named, removed.
//!
//! Adding takes two requests: one for what the browser is to make, one with what it made. Both want a session whose holder
//! signed in a short while ago. Who enrolled is recorded with the key in one transaction.

use askama::Template;
use axum::Extension;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::{Json, response};
use countersign_core::record::{Event, Record};
use countersign_core::review::Method;
use serde::Deserialize;
use serde_json::json;

use super::Console;
use super::page::{Failure, Frame, advice, render, status};
use super::session::Session;
use super::show::{Html, block, line, when};
use crate::codes::Code;
use crate::identity::passkeys::{Creation, EnrolError, LABEL_BYTES_MAX, PASSKEYS_MAX, RelyingParty, Unavailable};
use crate::ports::{Once, Passkey, StoreError};
use crate::resolve::Denied;

/// What enrolments under way are kept as.
const KIND: &str = "passkey";
/// How long after signing in one may be begun: 15 minutes.
const RECENT_SECONDS: i64 = 15 * 60;
/// How long one may take: the browser's own 2 minutes, and a little for the way.
const PENDING_SECONDS: i64 = 150;

#[derive(Template)]
#[template(path = "passkeys.html")]
struct PasskeysPage {
    frame: Frame,
    passkeys: Vec<PasskeyView>,
    max: usize,
    label_bytes_max: usize,
    local: bool,
    stale: bool,
    unavailable: Option<Html>,
    rp_id: String,
    origin: String,
    refused: Option<(&'static str, Html, &'static str)>,
}

struct PasskeyView {
    id: String,
    label: Html,
    raw_label: String,
    local: bool,
    synced: bool,
    attestation: Html,
    added: Html,
    used: Option<Html>,
}

/// What the form of a new or renamed passkey holds.
#[derive(Deserialize)]
pub(super) struct Fields {
    label: String,
    #[serde(default)]
    credential: String,
}

/// The page.
pub(super) async fn page(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
) -> Result<Response, Failure> {
    show(&console, &session, None).await
}

/// What the browser is to make, as JSON for the page's script.
pub(super) async fn challenge(State(console): State<Console>, Extension(session): Extension<Session>) -> Response {
    match start(&console, &session).await {
        Ok(options) => Json(json!({ "publicKey": options })).into_response(),
        Err(denied) => refusal(&denied),
    }
}

/// A refusal for the page's script.
pub(super) fn refusal(denied: &Denied) -> Response {
    let body = json!({"code": denied.code, "message": denied.message, "advice": help(denied.code)});
    (status(denied.code), Json(body)).into_response()
}

/// What a person can do; where no vote is concerned, in other words.
fn help(code: Code) -> &'static str {
    match code {
        Code::SignInAgain => "Sign out and in again, and repeat it within 15 minutes.",
        Code::NotFound => "Load this page again.",
        other => advice(other),
    }
}

/// Adds what the browser made.
pub(super) async fn add(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    form: Result<Form<Fields>, FormRejection>,
) -> Result<Response, Failure> {
    let Ok(Form(fields)) = form else { return Err(Failure::bad_request("the form is not that of a passkey")) };
    answer(&console, &session, finish(&console, &session, fields).await).await
}

/// Names one.
pub(super) async fn rename(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    Path(id): Path<String>,
    form: Result<Form<Fields>, FormRejection>,
) -> Result<Response, Failure> {
    let Ok(Form(fields)) = form else { return Err(Failure::bad_request("the form has no name")) };
    let done = match label(&fields.label) {
        Ok(label) => {
            console.gate.directory.rename_passkey(&session.signed_in.person.id, &id, label).await.map_err(gone)
        }
        Err(denied) => Err(denied),
    };
    answer(&console, &session, done).await
}

/// Removes one.
pub(super) async fn remove(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let person = &session.signed_in.person.id;
    let record = record(&console, &session, &id, None);
    let done = console.gate.directory.remove_passkey(person, &id, record).await.map_err(gone);
    answer(&console, &session, done).await
}

async fn answer(console: &Console, session: &Session, done: Result<(), Denied>) -> Result<Response, Failure> {
    match done {
        Ok(()) => Ok(Redirect::to("/me/passkeys").into_response()),
        Err(denied) => show(console, session, Some(denied)).await,
    }
}

async fn show(console: &Console, session: &Session, refused: Option<Denied>) -> Result<response::Response, Failure> {
    let now = console.gate.scribe.now();
    let passkeys = console.gate.directory.passkeys(&session.signed_in.person.id).await?;
    let view = |passkey: Passkey| PasskeyView {
        synced: passkey.as_used().synced,
        id: passkey.id,
        label: line(&passkey.label),
        raw_label: passkey.label,
        local: passkey.local,
        attestation: line(&passkey.enrolled.attestation),
        added: when(passkey.added_at, now),
        used: passkey.used_at.map(|at| when(at, now)),
    };
    let party = RelyingParty::of(&console.gate.config.public_url);
    let code = refused.as_ref().map_or(StatusCode::OK, |denied| status(denied.code));
    let page = PasskeysPage {
        frame: Frame::new("Your passkeys", "/me", session),
        passkeys: passkeys.into_iter().map(view).collect(),
        max: PASSKEYS_MAX as usize,
        label_bytes_max: LABEL_BYTES_MAX,
        local: is_local(session),
        stale: session.signed_in.age_seconds > RECENT_SECONDS,
        unavailable: party.as_ref().err().map(|error: &Unavailable| line(&error.to_string())),
        rp_id: party.as_ref().map(|party| party.rp_id().to_owned()).unwrap_or_default(),
        origin: party.as_ref().map(|party| party.origin().to_owned()).unwrap_or_default(),
        refused: refused.map(|denied| (denied.code.name(), block(&denied.message), help(denied.code))),
    };
    Ok(render(code, &page))
}

async fn start(console: &Console, session: &Session) -> Result<impl serde::Serialize + use<>, Denied> {
    let party = may_enrol(console, session)?;
    let (directory, now) = (&console.gate.directory, console.gate.scribe.now());
    let person = &session.signed_in.person;
    let have = directory.passkeys(&person.id).await?;
    if have.len() >= PASSKEYS_MAX as usize {
        return Err(too_many());
    }
    let started = party.start(person, is_local(session), &have).map_err(|error| not_enrolled(&error))?;
    let expires_at = now.plus_seconds(PENDING_SECONDS);
    let once = Once { kind: KIND, key: started.challenge, body: started.state, expires_at };
    directory.put_once(once, now).await?;
    Ok(started.options)
}

async fn finish(console: &Console, session: &Session, fields: Fields) -> Result<(), Denied> {
    let party = may_enrol(console, session)?;
    let (directory, now) = (&console.gate.directory, console.gate.scribe.now());
    let person = &session.signed_in.person.id;
    let label = label(&fields.label)?;
    let unread = || Denied::new(Code::BadRequest, "the browser's answer cannot be read");
    let creation: Creation = serde_json::from_str(&fields.credential).map_err(|_| unread())?;
    let challenge = creation.challenge().ok_or_else(unread)?;
    let void = || Denied::new(Code::ChallengeVoid, "this enrolment took too long, or was ended before");
    let state = directory.take_once(KIND, &challenge, now).await?.ok_or_else(void)?;
    let passkey = party.finish(person, &state, &creation, label, now).map_err(|error| not_enrolled(&error))?;
    if passkey.local != is_local(session) {
        return Err(void()); // begun in another session of theirs
    }
    let record = record(console, session, &passkey.id, Some(&passkey));
    directory.add_passkey(passkey, PASSKEYS_MAX, record).await.map_err(|error| match error {
        StoreError::Conflict => too_many(),
        StoreError::NameTaken(_) => Denied::new(Code::PasskeyRefused, "this passkey was enrolled before"),
        other => other.into(),
    })
}

/// Only a fresh sign-in enrols, and only where browsers have passkeys.
fn may_enrol(console: &Console, session: &Session) -> Result<RelyingParty, Denied> {
    if session.signed_in.age_seconds > RECENT_SECONDS {
        return Err(Denied::new(Code::SignInAgain, "you signed in too long ago to add a passkey"));
    }
    RelyingParty::of(&console.gate.config.public_url)
        .map_err(|error| Denied::new(Code::PasskeysUnavailable, error.to_string()))
}

fn is_local(session: &Session) -> bool {
    session.signed_in.method == Method::Local
}

fn label(given: &str) -> Result<String, Denied> {
    let label = given.trim();
    if label.is_empty() || label.len() > LABEL_BYTES_MAX {
        let message = format!("a passkey's name has 1 to {LABEL_BYTES_MAX} bytes");
        return Err(Denied::new(Code::BadRequest, message));
    }
    Ok(label.to_owned())
}

fn too_many() -> Denied {
    Denied::new(Code::TooManyPasskeys, format!("a person has at most {PASSKEYS_MAX} passkeys"))
}

fn gone(error: StoreError) -> Denied {
    match error {
        StoreError::NotFound(_) => Denied::new(Code::NotFound, "there is no such passkey of yours"),
        other => other.into(),
    }
}

fn not_enrolled(error: &EnrolError) -> Denied {
    let code = match error {
        EnrolError::Refused(_) => Code::PasskeyRefused,
        EnrolError::Internal(_) => Code::RecordUnavailable,
    };
    Denied::new(code, error.to_string())
}

fn record(console: &Console, session: &Session, id: &str, added: Option<&Passkey>) -> Record {
    console.gate.scribe.record(Event::IdentityEnrolled {
        what: "passkey".to_owned(),
        id: id.to_owned(),
        person: Some(session.signed_in.person.id.clone()),
        change: if added.is_some() { "added" } else { "removed" }.to_owned(),
        local: is_local(session),
        passkey: added.map(|passkey| Box::new(passkey.enrolled.clone())),
    })
}
