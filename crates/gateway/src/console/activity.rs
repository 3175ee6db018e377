//! Attempts at actions with an effect, and refusals, the newest first. Reads are in the record only.

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use countersign_core::action::Timestamp;
use serde::Deserialize;

use super::Console;
use super::filter::{Choice, choices, given, words as sought_words};
use super::inbox::verbs;
use super::page::{Failure, Frame, render};
use super::session::Session;
use super::show::{Html, excerpt, line, when};
use super::trends::{Span, Trends};
use crate::ports::Attempt;

/// Attempts looked through.
const READ_MAX: u32 = 1_000;
/// Attempts on the page.
const SHOWN_MAX: usize = 40;
/// Of a statement in a row, in characters.
const EXCERPT_CHARS: usize = 120;

#[derive(Template)]
#[template(path = "activity.html")]
struct ActivityPage {
    frame: Frame,
    /// For people who may see what others ask.
    trends: Option<Trends>,
    spans: Vec<Choice>,
    sought: String,
    targets: Vec<Choice>,
    agents: Vec<Choice>,
    outcomes: Vec<Choice>,
    narrows: bool,
    rows: Vec<Row>,
    /// Those that match beyond the rows.
    more: usize,
    read_max: u32,
}

/// What is looked for; an empty field asks for nothing.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Wanted {
    q: Option<String>,
    target: Option<String>,
    agent: Option<String>,
    outcome: Option<String>,
    #[serde(default)]
    span: Span,
}

impl Wanted {
    fn narrows(&self) -> bool {
        [&self.q, &self.target, &self.agent, &self.outcome].into_iter().any(|field| given(field.as_deref()).is_some())
    }

    fn wants(&self, attempt: &Attempt, words: &[String]) -> bool {
        let described = &attempt.described;
        let is = |wanted: &Option<String>, value: &str| given(wanted.as_deref()).is_none_or(|wanted| wanted == value);
        let texts = [described.shown.text.as_str(), described.requester.name(), attempt.code.as_deref().unwrap_or("")];
        let texts = texts.map(|text| if words.is_empty() { String::new() } else { text.to_lowercase() });
        is(&self.target, &described.target.name)
            && is(&self.agent, described.requester.name())
            && is(&self.outcome, &attempt.status)
            && words.iter().all(|word| texts.iter().any(|text| text.contains(word)))
    }
}

struct Row {
    id: String,
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
    Query(wanted): Query<Wanted>,
) -> Result<Response, Failure> {
    let now = console.gate.scribe.now();
    let trends = match session.signed_in.reads_all() {
        true => Some(Trends::new(&console, wanted.span, now).await?),
        false => None,
    };
    let attempts = console.gate.store.attempts(READ_MAX).await?;
    let seen: Vec<&Attempt> = attempts.iter().filter(|attempt| session.signed_in.reads(&attempt.described)).collect();
    let words = sought_words(wanted.q.as_deref().unwrap_or_default());
    let found: Vec<&Attempt> = seen.iter().copied().filter(|attempt| wanted.wants(attempt, &words)).collect();
    let mut outcomes = choices(seen.iter().map(|attempt| attempt.status.as_str()), &wanted.outcome);
    outcomes.iter_mut().for_each(|choice| choice.label = line(status_words(&choice.value).0));
    let span =
        |span: Span| Choice { value: span.name().to_owned(), label: line(span.words()), chosen: span == wanted.span };
    let page = ActivityPage {
        frame: Frame::new("Activity", "/activity", &session),
        trends,
        spans: Span::ALL.map(span).into(),
        targets: choices(seen.iter().map(|attempt| attempt.described.target.name.as_str()), &wanted.target),
        agents: choices(seen.iter().map(|attempt| attempt.described.requester.name()), &wanted.agent),
        outcomes,
        narrows: wanted.narrows(),
        more: found.len().saturating_sub(SHOWN_MAX),
        rows: found.iter().take(SHOWN_MAX).map(|attempt| row(attempt, now)).collect(),
        sought: wanted.q.unwrap_or_default(),
        read_max: READ_MAX,
    };
    Ok(render(StatusCode::OK, &page))
}

fn row(attempt: &Attempt, now: Timestamp) -> Row {
    let described = &attempt.described;
    let all = described.facts.verbs();
    let (words, tone) = status_words(&attempt.status);
    let (statement, is_excerpt) = excerpt(&described.shown.text, EXCERPT_CHARS);
    Row {
        id: attempt.id.to_string(),
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
