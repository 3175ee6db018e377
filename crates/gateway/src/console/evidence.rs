//! Evidence: what somebody who audits can take along today, for which question, and what there is none for yet.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use countersign_core::action::Timestamp;
use countersign_core::card::{Card, verbs};
use countersign_core::review::{Closed, Method, Review};

use super::Console;
use super::page::{Failure, Frame, render};
use super::session::Session;
use super::show::{Html, line};
use crate::config::PolicyChanges;
use crate::ports::{LogError, ReviewFilter};

/// Reviews in one file, the newest first.
const REVIEWS_MAX: u32 = 2_000;
/// What the page's counts are over: 30 days.
const LOOK_BACK_SECONDS: i64 = 30 * 24 * 60 * 60;
/// Follow-ups counted.
const FOLLOW_UPS_MAX: u32 = 1_000;

#[derive(Template)]
#[template(path = "evidence.html")]
struct EvidencePage {
    frame: Frame,
    size: u64,
    verifier_key: Html,
    public_url: Html,
    counts: Counts,
    /// Broken glass: all, and not signed off yet.
    broken: usize,
    pending: usize,
    /// Whether changes of the gate wait for people.
    by_review: bool,
    reviews_max: u32,
}

/// What people decided in 30 days.
#[derive(Default)]
struct Counts {
    closed: usize,
    approved: usize,
    votes: usize,
    signed: usize,
}

/// The page.
pub(super) async fn page(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
) -> Result<Response, Failure> {
    let (log, now) = (&console.gate.log, console.gate.scribe.now());
    let size = match log.size().await {
        Ok(size) => size,
        Err(LogError::Absent(_)) => 0, // nothing is published in the first second
        Err(error) => return Err(error.into()),
    };
    let followed = console.gate.store.follow_ups(true, now, FOLLOW_UPS_MAX).await?;
    let page = EvidencePage {
        frame: Frame::new("Evidence", "/evidence", &session),
        size,
        verifier_key: line(&log.verifier_key()),
        public_url: line(&console.gate.config.public_url),
        counts: counts(&console, now).await?,
        broken: followed.len(),
        pending: followed.iter().filter(|follow_up| follow_up.done.is_none()).count(),
        by_review: console.gate.config.changes == PolicyChanges::Review,
        reviews_max: REVIEWS_MAX,
    };
    Ok(render(StatusCode::OK, &page))
}

async fn counts(console: &Console, now: Timestamp) -> Result<Counts, Failure> {
    let since = now.plus_seconds(-LOOK_BACK_SECONDS);
    let mut counts = Counts::default();
    for review in console.gate.store.reviews(ReviewFilter::Closed, REVIEWS_MAX).await? {
        let Review::Closed(closed) = &review else { continue };
        if closed.closed_at() < since {
            continue;
        }
        counts.closed += 1;
        counts.approved += usize::from(closed.outcome().grants());
        counts.votes += review.votes().len();
        counts.signed += review.votes().iter().filter(|vote| vote.method == Method::Passkey).count();
    }
    Ok(counts)
}

/// The newest closed reviews as a table (RFC 4180).
pub(super) async fn reviews(State(console): State<Console>) -> Result<Response, Failure> {
    let reviews = console.gate.store.reviews(ReviewFilter::Closed, REVIEWS_MAX).await?;
    let mut table = row(&[
        "review",
        "opened",
        "closed",
        "outcome",
        "requester",
        "answered for by",
        "for",
        "target",
        "environment",
        "action",
        "verbs",
        "aimed at",
        "votes",
        "policies",
        "action digest",
        "card digest",
    ]);
    for review in &reviews {
        if let Review::Closed(closed) = review {
            table.push_str(&told(review, closed));
        }
    }
    let head = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"countersign-reviews.csv\""),
    ];
    Ok((head, table).into_response())
}

fn told(review: &Review, closed: &Closed) -> String {
    let matter = review.matter();
    let card = Card::new(&matter.described, matter.action, &matter.terms);
    let vote = |vote: &countersign_core::review::Vote| {
        let groups: Vec<&str> = vote.groups.iter().map(String::as_str).collect();
        let (verdict, method) = (vote.verdict.name(), vote.method.name());
        format!("{} {verdict} for {} by {method} at {}", vote.name, groups.join("+"), vote.at)
    };
    let votes: Vec<String> = review.votes().iter().map(vote).collect();
    let policies: Vec<&str> = card.policies.iter().map(|note| note.id.as_str()).collect();
    row(&[
        matter.id.as_str(),
        &matter.opened_at.to_string(),
        &closed.closed_at().to_string(),
        closed.outcome().name(),
        &card.requester.name,
        &card.requester.owner,
        &card.on_behalf_of,
        &card.target,
        &card.environment,
        &card.action,
        &verbs(&card.resource.verbs),
        &card.aimed_at(),
        &votes.join("; "),
        &policies.join("; "),
        &card.action_digest.to_string(),
        &matter.card.to_string(),
    ])
}

/// One line. A cell that a spreadsheet would take for a formula begins with an apostrophe.
fn row(cells: &[&str]) -> String {
    let cell = |text: &&str| {
        let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
        let guard = if is_formula { "'" } else { "" };
        format!("\"{guard}{}\"", text.replace('"', "\"\""))
    };
    let cells: Vec<String> = cells.iter().map(cell).collect();
    format!("{}\r\n", cells.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_text_whatever_stands_in_it() {
        assert_eq!(row(&["a", "b\"c", "d,e\nf"]), "\"a\",\"b\"\"c\",\"d,e\nf\"\r\n");
        assert_eq!(row(&["=1+1", "+1", "-1", "@x"]), "\"'=1+1\",\"'+1\",\"'-1\",\"'@x\"\r\n");
    }
}
