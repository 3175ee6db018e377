//! Incidents in the console: the page that declares and ends them, and what every page says while one goes on.

use askama::Template;
use axum::Extension;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use countersign_core::review::REASON_BYTES_MAX;
use serde::Deserialize;

use super::Console;
use super::page::{Failure, Frame, advice, render, status};
use super::session::Session;
use super::show::{Html, block, line, when};
use crate::gate::Gate;
use crate::resolve::Denied;
use crate::resolve::incidents;
use crate::resolve::pattern::read_seconds;

#[derive(Template)]
#[template(path = "incidents.html")]
struct IncidentsPage {
    frame: Frame,
    rows: Vec<Row>,
    /// Why the reader may declare and end none; absent when they may.
    barred: Option<Html>,
    refused: Option<Refused>,
    reason_bytes_max: usize,
}

struct Row {
    id: String,
    name: Html,
    reason: Html,
    at: Html,
    until: Html,
}

/// What was not done.
struct Refused {
    code: &'static str,
    message: Html,
    advice: &'static str,
}

/// An incident as the top of every page shows it.
#[derive(Clone)]
pub(super) struct Notice {
    pub(super) name: Html,
    pub(super) reason: Html,
    pub(super) until: Html,
}

/// The form that declares one.
#[derive(Deserialize)]
pub(super) struct DeclareForm {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    time: String,
}

/// Those that go on, for the top of a page.
pub(super) fn notices(gate: &Gate) -> Vec<Notice> {
    let now = gate.scribe.now();
    let found = incidents::going_on(gate);
    let notice = |incident: &crate::ports::Incident| Notice {
        name: line(&incident.name),
        reason: line(&incident.reason),
        until: when(incident.until, now),
    };
    found.iter().map(notice).collect()
}

/// The page.
pub(super) async fn page(State(console): State<Console>, Extension(session): Extension<Session>) -> Response {
    show(&console, &session, None)
}

/// Declares one.
pub(super) async fn declare(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    form: Result<Form<DeclareForm>, FormRejection>,
) -> Result<Response, Failure> {
    let Ok(Form(form)) = form else { return Err(Failure::bad_request("the form is not that of an incident")) };
    let seconds = match form.time.trim() {
        "" => None,
        time => Some(read_seconds(time).ok_or_else(|| Failure::bad_request("the form names no time"))?),
    };
    let reason = form.reason.replace("\r\n", "\n");
    let done = incidents::declare(&console.gate, &session.caller(), &reason, seconds).await;
    Ok(answer(&console, &session, done.map(drop)))
}

/// Ends one.
pub(super) async fn end(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    Path(id): Path<String>,
) -> Response {
    let done = incidents::end(&console.gate, &session.caller(), &id).await;
    answer(&console, &session, done)
}

fn answer(console: &Console, session: &Session, done: Result<(), Denied>) -> Response {
    match done {
        Ok(()) => Redirect::to("/incidents").into_response(),
        Err(denied) => show(console, session, Some(denied)),
    }
}

fn show(console: &Console, session: &Session, denied: Option<Denied>) -> Response {
    let now = console.gate.scribe.now();
    let row = |incident: crate::ports::Incident| Row {
        name: line(&incident.name),
        reason: block(&incident.reason),
        at: when(incident.declared_at, now),
        until: when(incident.until, now),
        id: incident.id,
    };
    let barred = incidents::may_declare(&console.gate, &session.caller()).err();
    let code = denied.as_ref().map_or(StatusCode::OK, |denied| status(denied.code));
    let refused = denied.map(|Denied { code, message }| Refused {
        code: code.name(),
        message: line(&message),
        advice: advice(code),
    });
    let page = IncidentsPage {
        frame: Frame::new("Incidents", "/incidents", session),
        rows: incidents::going_on(&console.gate).into_iter().map(row).collect(),
        barred: barred.map(|denied| line(&denied.message)),
        refused,
        reason_bytes_max: REASON_BYTES_MAX,
    };
    render(code, &page)
}
