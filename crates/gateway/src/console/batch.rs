//! Several reviews decided on one page, each shown whole and voted on by itself.
//!
//! What cannot be shown whole here is not offered: a long or cut statement, data of a COPY, placeholders that imitate ours, a
//! card that is not the one the review was opened with, a vote that needs a passkey or a reason. Those are decided on
//! their own page.

use askama::Template;
use axum::Extension;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use countersign_core::action::ReviewId;
use countersign_core::card::Card;
use countersign_core::review::{Review, Verdict};

use super::Console;
use super::inbox::{Which, effect, object, unfolded, verbs};
use super::page::{Failure, Frame, render};
use super::session::Session;
use super::show::{Html, Statement, block, line, when};
use crate::gate::Moment;
use crate::ports::ReviewFilter;
use crate::resolve::{self, Standing, VoteRequest};

/// Open reviews that are looked through, the oldest first.
const READ_MAX: u32 = 1_000;
/// Reviews on the page: more are not read but clicked through.
const SHOWN_MAX: usize = 12;
/// The longest statement that is shown here, in bytes.
const STATEMENT_BYTES_MAX: usize = 2_000;

#[derive(Template)]
#[template(path = "batch.html")]
struct BatchPage {
    frame: Frame,
    /// The review whose burst is shown; none shows all.
    like: Option<String>,
    rows: Vec<Row>,
    /// Reviews that wait for the reader and are decided on their own page.
    apart: usize,
    done: Vec<Done>,
}

struct Row {
    id: String,
    who: Html,
    for_whom: Html,
    /// Whether the gate itself would change.
    is_gate: bool,
    verbs: Html,
    object: Html,
    effect: &'static str,
    target: Html,
    environment: String,
    statement: Statement,
    /// In the requester's own words.
    reason: Option<Html>,
    in_transaction: bool,
    impact: Vec<String>,
    policies: Vec<Html>,
    opened: Html,
    /// The review and both digests of what is shown.
    seen: String,
}

/// What became of one vote.
struct Done {
    id: String,
    words: String,
    refused: Option<Html>,
}

/// Shows what can be decided together.
pub(super) async fn page(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    Query(which): Query<Which>,
) -> Result<Response, Failure> {
    show(&console, &session, which, Vec::new()).await
}

/// Casts a vote for each that was chosen.
pub(super) async fn decide(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    Query(which): Query<Which>,
    form: Result<Form<Vec<(String, String)>>, FormRejection>,
) -> Result<Response, Failure> {
    let Ok(Form(fields)) = form else { return Err(Failure::bad_request("the form is not that of a batch")) };
    let value = |key: &str| fields.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let verdict = match value("verdict") {
        Some("approve") => Verdict::Approve,
        Some("reject") => Verdict::Reject,
        _ => return Err(Failure::bad_request("the form has no verdict")),
    };
    let reason = value("reason").map(|reason| reason.replace("\r\n", "\n")).filter(|reason| !reason.trim().is_empty());
    let chosen: Vec<&str> = fields.iter().filter(|(name, _)| name == "seen").map(|(_, seen)| seen.as_str()).collect();
    if chosen.len() > SHOWN_MAX {
        return Err(Failure::bad_request("more reviews were chosen than the page shows"));
    }
    let mut done = Vec::with_capacity(chosen.len());
    for seen in chosen {
        let (id, request) = parse(seen, verdict, reason.clone())?;
        done.push(cast(&console, &session, &id, request).await);
    }
    show(&console, &session, which, done).await
}

/// The review and both digests, as the page wrote them.
fn parse(seen: &str, verdict: Verdict, reason: Option<String>) -> Result<(ReviewId, VoteRequest), Failure> {
    let malformed = || Failure::bad_request("the form names no review with its digests");
    let mut parts = seen.split(' ');
    let (Some(id), Some(action), Some(card), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(malformed());
    };
    let action = action.parse().map_err(|_| malformed())?;
    let card = card.parse().map_err(|_| malformed())?;
    Ok((
        ReviewId::new(id),
        VoteRequest { verdict, reason, action, card, pattern: None, assertion: None, callback: None },
    ))
}

async fn cast(console: &Console, session: &Session, id: &ReviewId, request: VoteRequest) -> Done {
    let verdict = request.verdict;
    match resolve::cast(&console.gate, id, &session.caller(), request).await {
        Ok(review) => {
            let said = if verdict == Verdict::Approve { "approved by you" } else { "rejected by you" };
            Done { id: id.to_string(), words: format!("{said}; it is {} now", review.state()), refused: None }
        }
        Err(denied) => Done { id: id.to_string(), words: denied.message, refused: Some(line(denied.code.name())) },
    }
}

async fn show(console: &Console, session: &Session, which: Which, done: Vec<Done>) -> Result<Response, Failure> {
    let open = console.gate.store.reviews(ReviewFilter::Open, READ_MAX).await?;
    let moment = console.gate.moment();
    let who = &session.signed_in;
    let (of, like) = unfolded(&open, which.like.as_deref());
    let live = of.into_iter().filter(|review| review.matter().expires_at > moment.now);
    let mine: Vec<&Review> = live.filter(|review| Standing::could_decide(&moment, review, who)).collect();
    // what a passkey must sign is decided on its own page, one by one
    let unsigned = mine.iter().filter(|review| !review.matter().terms.obligations.passkey);
    let whole = unsigned.filter(|review| Standing::of(&moment, review, who).decides());
    let rows: Vec<Row> = whole.filter_map(|review| row(&moment, review)).take(SHOWN_MAX).collect();
    let page = BatchPage {
        frame: Frame::new("Decide several", "/", session),
        apart: mine.len().saturating_sub(rows.len()),
        like,
        rows,
        done,
    };
    Ok(render(StatusCode::OK, &page))
}

/// A review as a row; `None` for one that this page cannot show whole, or that needs more than a click.
fn row(moment: &Moment, review: &Review) -> Option<Row> {
    let matter = review.matter();
    let card = Card::new(&matter.described, matter.action, &matter.terms);
    let statement = Statement::of(&card);
    let whole = card.statement.cut_bytes == 0
        && card.statement.text.len() <= STATEMENT_BYTES_MAX
        && card.statement.parameters.is_empty()
        && card.statement.stream.is_none()
        && card.settings.is_empty()
        && card.statement.replaces.is_empty()
        && !statement.imitated
        && card.statement.decisive().next().is_none()
        && card.digest().ok() == Some(matter.card);
    let one_click = !matter.terms.obligations.justify && !matter.terms.obligations.passkey;
    (whole && one_click).then(|| Row {
        id: matter.id.to_string(),
        who: line(&card.requester.name),
        for_whom: line(&card.on_behalf_of),
        is_gate: card.changes().is_some(),
        verbs: verbs(&card.resource.verbs),
        object: object(&card),
        effect: effect(&card.resource.class),
        target: line(&card.target),
        environment: card.environment.clone(),
        statement,
        reason: card.reason.as_deref().map(block),
        in_transaction: card.in_transaction,
        impact: card.impact.words(),
        policies: card.policies.iter().map(|note| line(&note.text)).collect(),
        opened: when(matter.opened_at, moment.now),
        seen: format!("{} {} {}", matter.id, matter.action, matter.card),
    })
}
