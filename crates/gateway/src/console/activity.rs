//! Attempts at actions with an effect, and refusals, the newest first. Reads are in the record only.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use countersign_core::action::{Facts, Timestamp};

use super::Console;
use super::inbox::verbs;
use super::page::{Failure, Frame, render};
use super::session::Session;
use super::show::{Html, excerpt, line, when};
use crate::ports::Attempt;

/// Attempts on the page.
const SHOWN_MAX: u32 = 80;
/// Of a statement in a row, in characters.
const EXCERPT_CHARS: usize = 120;

#[derive(Template)]
#[template(path = "activity.html")]
struct ActivityPage {
    frame: Frame,
    rows: Vec<Row>,
    shown_max: u32,
}

struct Row {
    words: &'static str,
    tone: &'static str,
    code: Option<Html>,
    who: Html,
    target: Html,
    environment: &'static str,
    verbs: Html,
    statement: Html,
    is_excerpt: bool,
    reviewed: bool,
    at: Html,
}

/// The page.
pub(super) async fn page(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
) -> Result<Response, Failure> {
    let attempts = console.gate.store.attempts(SHOWN_MAX).await?;
    let now = console.gate.scribe.now();
    let seen = attempts.iter().filter(|attempt| session.signed_in.reads(&attempt.described));
    let page = ActivityPage {
        frame: Frame::new("Activity", "/activity", &session),
        rows: seen.map(|attempt| row(attempt, now)).collect(),
        shown_max: SHOWN_MAX,
    };
    Ok(render(StatusCode::OK, &page))
}

fn row(attempt: &Attempt, now: Timestamp) -> Row {
    let described = &attempt.described;
    let all: Vec<String> = match &*described.facts {
        Facts::Sql(facts) => facts.statements.iter().map(|statement| statement.verb.clone()).collect(),
        Facts::Gate(_) => vec!["CHANGE".to_owned()],
    };
    let (words, tone) = status_words(&attempt.status);
    let (statement, is_excerpt) = excerpt(&described.shown.text, EXCERPT_CHARS);
    Row {
        words,
        tone,
        code: attempt.code.as_deref().map(line),
        who: line(described.requester.name()),
        target: line(&described.target.name),
        environment: described.target.environment.name(),
        verbs: verbs(&all),
        statement,
        is_excerpt,
        reviewed: attempt.grant.is_some(),
        at: when(attempt.at, now),
    }
}

/// A status in words, and the tone it is shown in.
pub(super) fn status_words(status: &str) -> (&'static str, &'static str) {
    match status {
        "running" => ("Running", "wait"),
        "refused" => ("Refused", "bad"),
        "succeeded" => ("Succeeded", "good"),
        "uncommitted" => ("Ran, not committed yet", "wait"),
        "failed" => ("Failed", "bad"),
        "rolled_back" => ("Rolled back", "plain"),
        "not_executed" => ("Not executed", "plain"),
        _ => ("Outcome unknown", "bad"),
    }
}
