//! Linking one's Slack account: from one's own page to Slack and back, and linked by a button of one's own page.
//!
//! Slack's answer comes back with a GET from another site, which the session's cookie does not go along with and which changes
//! nothing: a page leads on to one of ours, which says what would be linked to whom. Its button posts the answer with the
//! session's form token. The answer counts once, for the session it began in.

use askama::Template;
use axum::Extension;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::page::{Failure, Frame, render};
use super::session::{self, Session};
use super::show::{Html, line};
use super::{Console, me, oidc};
use crate::codes::Code;
use crate::identity::flow::{FLOW_SECONDS, Flow};
use crate::identity::linking::{Error, Linking};

/// Where an answer is shown, and posted to.
const ADDRESS: &str = "/me/accounts/slack";
/// The longest part of an answer that is taken along, in bytes.
const PART_BYTES_MAX: usize = 2_048;

#[derive(Template)]
#[template(path = "signed_in.html")]
struct OnwardPage {
    frame: Frame,
    then: String,
}

#[derive(Template)]
#[template(path = "link_account.html")]
struct LinkPage {
    frame: Frame,
    name: Html,
    code: String,
    state: String,
}

/// What Slack sends back.
#[derive(Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    code: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    error: String,
}

/// Which account is taken away.
#[derive(Deserialize)]
pub(super) struct Removal {
    subject: String,
}

/// Sends the browser to Slack.
pub(super) async fn begin(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
) -> Result<Response, Failure> {
    let linking = configured(&console)?;
    if let Err(error) = linking.may(&session.signed_in) {
        return refused(&console, &session, error).await;
    }
    let flow = Flow::begin(&page_of(&session), console.gate.scribe.now()).map_err(Failure::unavailable)?;
    let url = match linking.authorization_url(&flow).await {
        Ok(url) => url,
        Err(error) => return refused(&console, &session, error.into()).await,
    };
    // our own page leads to the form that posts the answer, so that the cookie need not go along with anybody else's requests
    let cookie = session::set_cookie(&console, cookie_name(&console), flow.cookie(), FLOW_SECONDS, "Strict");
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&url)).into_response())
}

/// Leads Slack's answer on to our own page; nothing is done with it here.
pub(super) async fn onward(State(console): State<Console>, Query(answer): Query<Answer>) -> Result<Response, Failure> {
    configured(&console)?;
    let Answer { code, state, error } = answer;
    let parts = [("code", code), ("state", state), ("error", error)];
    if parts.iter().any(|(_, part)| part.len() > PART_BYTES_MAX) {
        return Err(Failure::bad_request("this is no answer of Slack's"));
    }
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parts.iter().filter(|(_, part)| !part.is_empty()))
        .finish();
    let page = OnwardPage { frame: Frame::open("Signed in to Slack"), then: format!("{ADDRESS}?{query}") };
    Ok(render(StatusCode::OK, &page))
}

/// Says what would be linked to whom.
pub(super) async fn confirm(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    headers: HeaderMap,
    Query(answer): Query<Answer>,
) -> Result<Response, Failure> {
    configured(&console)?;
    if !answer.error.is_empty() || answer.code.is_empty() {
        let said = if answer.error.is_empty() { "no code".to_owned() } else { answer.error };
        let problem = (Code::SignInFailed, format!("Slack linked nothing: it says `{said}`"));
        return me::show(&console, &session, None, Some(problem)).await;
    }
    if begun(&console, &session, &headers, &answer.state).is_none() {
        return me::show(&console, &session, None, Some(foreign())).await;
    }
    let Answer { code, state, .. } = answer;
    let frame = Frame::new("Link your Slack account", "/me", &session);
    Ok(render(StatusCode::OK, &LinkPage { frame, name: line(&session.signed_in.person.name), code, state }))
}

/// Links it.
pub(super) async fn link(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    headers: HeaderMap,
    form: Result<Form<Answer>, FormRejection>,
) -> Result<Response, Failure> {
    let linking = configured(&console)?;
    let Ok(Form(answer)) = form else { return Err(Failure::bad_request("the form has no answer of Slack's")) };
    let Some(flow) = begun(&console, &session, &headers, &answer.state) else {
        return me::show(&console, &session, None, Some(foreign())).await;
    };
    if !oidc::is_first(&console, &flow).await? {
        return me::show(&console, &session, None, Some(foreign())).await;
    }
    match linking.link(&session.signed_in, &flow, answer.code).await {
        Ok(()) => {
            console.gate.roster.refresh().await?;
            let ended = session::set_cookie(&console, cookie_name(&console), "", 0, "Strict");
            Ok(([(header::SET_COOKIE, ended)], Redirect::to("/me")).into_response())
        }
        Err(error) => {
            let (store, scribe) = (&*console.gate.store, &console.gate.scribe);
            console.refusals.record(store, scribe, "linking", code(&error), None).await?;
            refused(&console, &session, error).await
        }
    }
}

/// Takes an account away.
pub(super) async fn remove(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    form: Result<Form<Removal>, FormRejection>,
) -> Result<Response, Failure> {
    let linking = configured(&console)?;
    let Ok(Form(Removal { subject })) = form else { return Err(Failure::bad_request("the form names no account")) };
    match linking.unlink(&session.signed_in, &subject).await {
        Ok(()) => {
            console.gate.roster.refresh().await?;
            Ok(Redirect::to("/me").into_response())
        }
        Err(error) => refused(&console, &session, error).await,
    }
}

/// The flow that this browser began in this session and that this answer belongs to.
fn begun(console: &Console, session: &Session, headers: &HeaderMap, state: &str) -> Option<Flow> {
    let cookie = session::the_one_cookie(cookie_name(console), headers)?;
    let flow = Flow::of_cookie(cookie, console.gate.scribe.now())?;
    (flow.answered_by(state) && flow.back() == page_of(session)).then_some(flow)
}

/// The page that a flow leads to names the session it began in: whoever signs in afterwards in the same browser is somebody else.
fn page_of(session: &Session) -> String {
    format!("{ADDRESS}?session={}", session.signed_in.credential)
}

fn foreign() -> (Code, String) {
    let text = "this answer of Slack's does not belong to what you began here, was used, or took too long; begin again";
    (Code::SignInFailed, text.to_owned())
}

async fn refused(console: &Console, session: &Session, error: Error) -> Result<Response, Failure> {
    match error {
        Error::Store(error) => Err(error.into()),
        error => {
            tracing::warn!(%error, "an account in Slack was not linked");
            me::show(console, session, None, Some((code(&error), error.to_string()))).await
        }
    }
}

fn code(error: &Error) -> Code {
    match error {
        Error::Unproved(_) | Error::Unusable(_) => Code::SignInFailed,
        Error::Refused { code, .. } => *code,
        Error::Taken => Code::Forbidden,
        Error::NotYours => Code::NotFound,
        Error::Store(_) => Code::RecordUnavailable,
    }
}

fn configured(console: &Console) -> Result<&Linking, Failure> {
    console.gate.linking.as_ref().ok_or_else(|| Failure::not_found("service to link accounts of"))
}

fn cookie_name(console: &Console) -> &'static str {
    if session::is_https(console) { "__Host-countersign_linking" } else { "countersign_linking" }
}
