//! Patterns: what may run without a review of its own, the form that approves one, and the button that ends it.

use std::collections::BTreeMap;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use countersign_core::action::{PatternId, Timestamp};
use countersign_core::pattern::{Bound, Choice, Wish};
use countersign_core::review::{Review, Verdict, Vote};

use super::Console;
use super::page::{Failure, Frame, render};
use super::session::Session;
use super::show::{Html, block, line, span, when};
use crate::gate::Moment;
use crate::ports::KeptPattern;
use crate::resolve::pattern as patterns;

/// Patterns looked through for the page.
const READ_MAX: u32 = 200;

#[derive(Template)]
#[template(path = "patterns.html")]
struct PatternsPage {
    frame: Frame,
    active: Vec<Row>,
    over: Vec<Row>,
}

/// A pattern on the page.
struct Row {
    id: String,
    review: String,
    who: Html,
    for_whom: Html,
    target: Html,
    environment: String,
    text: Html,
    values: Vec<(usize, Html, String)>,
    approvers: Html,
    used: u32,
    uses_max: u32,
    rows_max: Option<u64>,
    until: Html,
    state: &'static str,
    can_revoke: bool,
}

/// What a review's form offers besides an approval for once.
pub(super) struct Offered {
    pub(super) text: Html,
    pub(super) values: Vec<OfferedValue>,
    pub(super) uses_max: u32,
    pub(super) uses: u32,
    pub(super) longest: String,
    pub(super) time: String,
    /// Who approved already for once only: then it stays at that.
    pub(super) once_by: Option<Html>,
    /// Whether somebody approved a pattern already, whose choice the form shows.
    pub(super) agrees: bool,
}

/// One value in the form.
pub(super) struct OfferedValue {
    pub(super) number: usize,
    pub(super) shown: Html,
    pub(super) range: bool,
    pub(super) any: bool,
    /// What is chosen at first: `same`, `range` or `any`.
    pub(super) chosen: &'static str,
    pub(super) from: String,
    pub(super) to: String,
}

/// The page.
pub(super) async fn page(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
) -> Result<Response, Failure> {
    let moment = console.gate.moment();
    let (mut active, mut over) = (Vec::new(), Vec::new());
    for kept in console.gate.store.patterns(None, READ_MAX).await? {
        let found = console.gate.store.review(&kept.approved.review).await?;
        let seen = found.filter(|found| session.signed_in.reads(&found.review.matter().described));
        let Some(found) = seen else { continue };
        let row = row(&moment, &kept, &found.review, &session);
        if row.state == "active" { active.push(row) } else { over.push(row) }
    }
    over.truncate(20);
    let frame = Frame::new("Patterns", "/patterns", &session);
    Ok(render(StatusCode::OK, &PatternsPage { frame, active, over }))
}

/// Ends one.
pub(super) async fn revoke(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    patterns::revoke(&console.gate, &PatternId::new(id), &session.caller()).await?;
    Ok(Redirect::to("/patterns").into_response())
}

fn row(moment: &Moment, kept: &KeptPattern, review: &Review, session: &Session) -> Row {
    let (approved, request) = (&kept.approved, &review.matter().described);
    let state = kept.state(moment.now);
    let approvers: Vec<&str> = approvals(review).map(|vote| vote.name.as_str()).collect();
    let values = approved.shape.values.iter().zip(&approved.choice.bounds).enumerate();
    Row {
        id: approved.id.to_string(),
        review: approved.review.to_string(),
        who: line(request.requester.name()),
        for_whom: line(&request.on_behalf_of.name),
        target: line(&request.target.name),
        environment: request.target.environment.name().to_owned(),
        text: block(&approved.shape.text),
        values: values.map(|(at, (value, bound))| (at + 1, line(&value.shown), bound.words())).collect(),
        approvers: line(&approvers.join(", ")),
        used: kept.used,
        uses_max: approved.choice.limits.uses,
        rows_max: request.impact.rows_max,
        until: when(approved.expires_at, moment.now),
        state,
        can_revoke: state == "active" && patterns::may_revoke(moment, review, &session.caller()),
    }
}

fn approvals(review: &Review) -> impl Iterator<Item = &Vote> {
    review.votes().iter().filter(|vote| vote.verdict == Verdict::Approve)
}

/// What the form of a review offers, or why it offers nothing where policy would allow it.
pub(super) fn offered(moment: &Moment, review: &Review) -> Result<Offered, Option<Html>> {
    let (shape, most) = patterns::offered(moment, review).map_err(|because| because.map(line))?;
    let earlier = approvals(review).find_map(|vote| vote.pattern.as_ref());
    let limits = earlier.map_or(most, |choice| choice.limits.stricter(most));
    let value = |(at, value): (usize, &countersign_core::pattern::Value)| {
        let bound = earlier.and_then(|choice: &Choice| choice.bounds.get(at)).copied().unwrap_or_default();
        let reviewed = value.integer.map(|integer| integer.to_string()).unwrap_or_default();
        let (chosen, from, to) = match bound {
            Bound::Same => ("same", reviewed.clone(), reviewed),
            Bound::Range { from, to } => ("range", from.to_string(), to.to_string()),
            Bound::Any => ("any", String::new(), String::new()),
        };
        let (range, any) = (value.integer.is_some(), value.free);
        OfferedValue { number: at + 1, shown: line(&value.shown), range, any, chosen, from, to }
    };
    Ok(Offered {
        text: block(&shape.text),
        values: shape.values.iter().enumerate().map(value).collect(),
        uses_max: most.uses,
        uses: limits.uses,
        longest: span(i64::from(most.seconds)),
        time: written_time(limits.seconds),
        once_by: approvals(review).find(|vote| vote.pattern.is_none()).map(|vote| line(&vote.name)),
        agrees: earlier.is_some(),
    })
}

/// As policies write it, in the largest unit that fits.
fn written_time(seconds: u32) -> String {
    match seconds {
        hours if hours % 3_600 == 0 => format!("{}h", hours / 3_600),
        minutes if minutes % 60 == 0 => format!("{}m", minutes / 60),
        seconds => format!("{seconds}s"),
    }
}

/// A vote's pattern in words, for the timeline.
pub(super) fn words(choice: &Choice) -> String {
    let varying = choice.bounds.iter().enumerate().filter(|(_, bound)| **bound != Bound::Same);
    let varying: Vec<String> = varying.map(|(at, bound)| format!("‹{}› {}", at + 1, bound.words())).collect();
    let varying = if varying.is_empty() { String::new() } else { format!("{}; ", varying.join(", ")) };
    format!("{varying}up to {} times within {}", choice.limits.uses, span(i64::from(choice.limits.seconds)))
}

/// What a form says of a pattern. `like` is ticked; every value has a field `bound1`, and ranges `from1` and `to1`.
pub(super) fn wish(fields: &BTreeMap<String, String>) -> Result<Option<Wish>, Failure> {
    if !fields.contains_key("like") {
        return Ok(None);
    }
    let text = |name: &str| fields.get(name).map(|text| text.trim()).unwrap_or_default();
    let values = fields.iter().filter_map(|(name, bound)| {
        let number = name.strip_prefix("bound")?;
        let range = || format!("{}..{}", text(&format!("from{number}")), text(&format!("to{number}")));
        Some(format!("{number}={}", if bound == "range" { range() } else { bound.clone() }))
    });
    let values = values.collect::<Vec<_>>().join(",");
    patterns::read_wish(&values, text("uses"), text("time")).map(Some).map_err(|message| Failure::bad_request(&message))
}

/// How long it is until then, for people who look at a review whose pattern still lives.
pub(super) async fn of_review(console: &Console, review: &Review, now: Timestamp) -> Result<bool, Failure> {
    let kept = console.gate.store.pattern_from(&review.matter().id).await?;
    Ok(kept.is_some_and(|kept| kept.state(now) == "active"))
}
