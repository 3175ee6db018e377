//! Reviews that are over, the newest first.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use countersign_core::card::Card;
use countersign_core::review::{Closed, Review};

use super::Console;
use super::inbox::{object, verbs};
use super::page::{Failure, Frame, render};
use super::session::Session;
use super::show::{Html, excerpt, line, when};
use crate::gate::Moment;
use crate::ports::ReviewFilter;

/// Reviews on the page.
const SHOWN_MAX: u32 = 60;
/// Of a statement in a row, in characters.
const EXCERPT_CHARS: usize = 120;

#[derive(Template)]
#[template(path = "history.html")]
struct HistoryPage {
    frame: Frame,
    rows: Vec<Row>,
    shown_max: u32,
}

struct Row {
    id: String,
    outcome: &'static str,
    /// The outcome in words.
    words: String,
    broken_by: Option<Html>,
    who: Html,
    object: Html,
    target: Html,
    environment: String,
    /// Whether the gate itself would change.
    is_gate: bool,
    verbs: Html,
    statement: Html,
    is_excerpt: bool,
    voters: Html,
    nobody: bool,
    closed: Html,
}

/// The page.
pub(super) async fn page(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
) -> Result<Response, Failure> {
    let reviews = console.gate.store.reviews(ReviewFilter::Closed, SHOWN_MAX).await?;
    let moment = console.gate.moment();
    let seen = reviews.iter().filter(|review| session.signed_in.reads(&review.matter().described));
    let closed = seen.filter_map(|review| match review {
        Review::Open(_) => None,
        Review::Closed(closed) => Some(row(&moment, review, closed)),
    });
    let page = HistoryPage {
        frame: Frame::new("History", "/history", &session),
        rows: closed.collect(),
        shown_max: SHOWN_MAX,
    };
    Ok(render(StatusCode::OK, &page))
}

fn row(moment: &Moment, review: &Review, closed: &Closed) -> Row {
    let matter = review.matter();
    let card = Card::new(&matter.described, matter.action, &matter.terms);
    let (statement, is_excerpt) = excerpt(&card.statement.text, EXCERPT_CHARS);
    let voters: Vec<&str> = review.votes().iter().map(|vote| vote.name.as_str()).collect();
    Row {
        id: matter.id.to_string(),
        outcome: closed.outcome().name(),
        words: closed.outcome().name().replace('_', " "),
        broken_by: closed.breaking().map(|breaking| line(&breaking.name)),
        who: line(&card.requester.name),
        object: object(&card),
        target: line(&card.target),
        environment: card.environment.clone(),
        is_gate: card.changes().is_some(),
        verbs: verbs(&card.resource.verbs),
        statement,
        is_excerpt: is_excerpt || card.statement.cut_bytes > 0,
        nobody: voters.is_empty(),
        voters: line(&voters.join(", ")),
        closed: when(closed.closed_at(), moment.now),
    }
}
