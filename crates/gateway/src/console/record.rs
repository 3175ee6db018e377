//! The record: its newest leaves in words and as they are, the checkpoint over them, and how to check it without us.

use std::collections::BTreeMap;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use countersign_core::action::Timestamp;
use countersign_core::record::{ActionSummary, Event, Record};
use countersign_core::review::Verdict;
use serde::Deserialize;

use super::Console;
use super::page::{Failure, Frame, render};
use super::session::Session;
use super::show::{Html, line, when};
use crate::ports::{LogEntry, LogError};

/// Leaves on a page.
const SHOWN_MAX: u64 = 40;

#[derive(Template)]
#[template(path = "record.html")]
struct RecordPage {
    frame: Frame,
    size: u64,
    root: Html,
    checkpoint: Html,
    verifier_key: Html,
    public_url: Html,
    leaves: Vec<LeafView>,
    /// Where the next older page begins.
    older: Option<u64>,
    newest: bool,
}

struct LeafView {
    index: u64,
    kind: Html,
    words: Html,
    at: Option<Html>,
    leaf: Html,
}

#[derive(Deserialize)]
pub(super) struct Paging {
    before: Option<u64>,
}

/// The page; `before` is the index below which leaves are shown.
pub(super) async fn page(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    Query(paging): Query<Paging>,
) -> Result<Response, Failure> {
    let log = &console.gate.log;
    let (size, checkpoint) = match log.checkpoint().await {
        Ok(checkpoint) => (log.size().await?, checkpoint),
        Err(LogError::Absent(_)) => (0, String::new()), // nothing is published in the first second
        Err(error) => return Err(error.into()),
    };
    let end = paging.before.unwrap_or(size).min(size);
    let start = end.saturating_sub(SHOWN_MAX);
    let entries = if start < end { log.entries(start..end).await? } else { Vec::new() };
    let (names, now) = (names(&console).await?, console.gate.scribe.now());
    let page = RecordPage {
        frame: Frame::new("Record", "/record", &session),
        size,
        root: line(checkpoint.lines().nth(2).unwrap_or_default()),
        checkpoint: super::show::block(&checkpoint),
        verifier_key: line(&log.verifier_key()),
        public_url: line(&console.gate.config.public_url),
        leaves: entries.iter().rev().map(|entry| leaf_view(entry, &names, now)).collect(),
        older: (start > 0).then_some(start),
        newest: end == size,
    };
    Ok(render(StatusCode::OK, &page))
}

/// One leaf, byte for byte, as a file.
pub(super) async fn leaf(State(console): State<Console>, Path(index): Path<String>) -> Result<Response, Failure> {
    let index = parse(&index)?;
    let end = index.checked_add(1).ok_or_else(|| Failure::not_found("entry in the record"))?;
    let found = console.gate.log.entries(index..end).await?.into_iter().next();
    let entry = found.ok_or_else(|| Failure::not_found("entry in the record"))?;
    Ok(file("application/json", format!("leaf-{index}.json"), entry.leaf))
}

/// The proof that one leaf is in the record, as a file.
pub(super) async fn proof(State(console): State<Console>, Path(index): Path<String>) -> Result<Response, Failure> {
    let index = parse(&index)?;
    let proof = console.gate.log.prove(index).await?;
    Ok(file("text/plain; charset=utf-8", format!("leaf-{index}.tlog-proof"), proof))
}

/// The proof that the record only grew since it had so many entries, with its checkpoint.
pub(super) async fn growth(State(console): State<Console>, Path(size): Path<String>) -> Result<Response, Failure> {
    let size = parse(&size)?;
    let proof = console.gate.log.growth(size).await?;
    Ok(file("text/plain; charset=utf-8", format!("since-{size}.txt"), proof))
}

fn parse(index: &str) -> Result<u64, Failure> {
    index.parse().map_err(|_| Failure::not_found("entry in the record"))
}

fn file(media_type: &'static str, name: String, text: String) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    ([(header::CONTENT_TYPE, media_type.to_owned()), (header::CONTENT_DISPOSITION, disposition)], text).into_response()
}

/// Names of people and agents by their handles; the record itself has handles only.
async fn names(console: &Console) -> Result<BTreeMap<String, String>, Failure> {
    let (people, agents) = (console.gate.directory.people().await?, console.gate.directory.agents().await?);
    let people = people.into_iter().map(|person| (person.id.to_string(), person.name));
    Ok(people.chain(agents.into_iter().map(|agent| (agent.id.to_string(), agent.name))).collect())
}

fn leaf_view(entry: &LogEntry, names: &BTreeMap<String, String>, now: Timestamp) -> LeafView {
    let record = serde_json::from_str::<Record>(&entry.leaf).ok();
    let value = serde_json::from_str::<serde_json::Value>(&entry.leaf).ok();
    let kind = value.as_ref().and_then(|value| value.get("kind")?.as_str()).unwrap_or("unreadable");
    let words = record.as_ref().map(|record| words(&record.event, names)).unwrap_or_default();
    LeafView {
        index: entry.index,
        kind: line(kind),
        words: line(&words),
        at: record.map(|record| when(record.at, now)),
        leaf: line(&entry.leaf),
    }
}

/// A record in words. What it says of digests and policies is in the leaf below.
fn words(event: &Event, names: &BTreeMap<String, String>) -> String {
    let name = |handle: &str| names.get(handle).cloned().unwrap_or_else(|| short(handle));
    let action =
        |of: &ActionSummary| format!("{} on {} ({}) by {}", of.action, of.target, of.environment, name(&of.requester));
    match event {
        Event::ActionIntent { action: of, pattern: Some(pattern), .. } => {
            format!("about to run {}, the like of what was approved as pattern {}", action(of), short(pattern.as_str()))
        }
        Event::ActionIntent { action: of, grant: None, .. } => format!("about to run {}", action(of)),
        Event::ActionIntent { action: of, broken_by: Some(by), .. } => {
            format!("about to run {}, by glass that {} broke", action(of), name(by.as_str()))
        }
        Event::ActionIntent { action: of, grant: Some(_), .. } => format!("about to run {}, approved", action(of)),
        Event::ActionRead { action: of, .. } => action(of),
        Event::ActionRefused { action: of, code, .. } => format!("{code}: {}", action(of)),
        Event::ActionOutcome { status, rows, .. } => {
            let rows = rows.map(|rows| format!(", {rows} rows")).unwrap_or_default();
            format!("{status:?}{rows}").to_lowercase()
        }
        Event::ReviewOpened { action: of, .. } => format!("people are asked about {}", action(of)),
        Event::ReviewVote { person, verdict, signed, pattern_digest, deputy_for, .. } => {
            let said = match verdict {
                Verdict::Approve => "approved",
                Verdict::Reject => "rejected",
            };
            let how = if signed.is_some() { ", signed by passkey" } else { "" };
            let like = if pattern_digest.is_some() { " this and the like of it" } else { "" };
            let of: Vec<String> = deputy_for.iter().map(|of| name(of.as_str())).collect();
            let of = if of.is_empty() { String::new() } else { format!(" for {}", of.join(", ")) };
            format!("{} {said}{like}{of}{how}", name(person.as_str()))
        }
        Event::ReviewEscalated { review, group } => {
            format!("review {} is escalated to {group}", short(review.as_str()))
        }
        Event::ReviewRevealed { person, review, count, .. } => {
            let values = if *count == 1 { "value" } else { "values" };
            format!("{} was shown {count} hidden {values} of review {}", name(person.as_str()), short(review.as_str()))
        }
        Event::ReviewCompared { person, review, mark, equal, .. } => {
            let found = if *equal { "as expected" } else { "not as expected" };
            format!("{} found {mark} of review {} {found}", name(person.as_str()), short(review.as_str()))
        }
        Event::ReviewRetracted { person, .. } => format!("{} took their vote back", name(person.as_str())),
        Event::ReviewGlassBroken { person, review, .. } => {
            format!("{} broke the glass on review {}", name(person.as_str()), short(review.as_str()))
        }
        Event::ReviewFollowedUp { person, review, judgement, .. } => {
            let found = judgement.name().replace('_', " ");
            format!("{} found the broken glass on review {} {found}", name(person.as_str()), short(review.as_str()))
        }
        Event::ReviewRefused { by, code, .. } => {
            format!(
                "what {} wanted of a review was not accepted: {code}",
                by.as_deref().map_or_else(|| "nobody known".to_owned(), name)
            )
        }
        Event::ReviewClosed { review, outcome } => format!("review {} is {}", short(review.as_str()), outcome.name()),
        Event::GrantIssued { grant, .. } => format!("grant {} may be used once", short(grant.as_str())),
        Event::GrantConsumed { grant, .. } => format!("grant {} was used", short(grant.as_str())),
        Event::GrantRevoked { grant, reason } => format!("grant {} was voided: {reason}", short(grant.as_str())),
        Event::PatternIssued { pattern, uses_max, .. } => {
            format!("pattern {} may be used {uses_max} times", short(pattern.as_str()))
        }
        Event::PatternUsed { pattern, number, .. } => format!("use {number} of pattern {}", short(pattern.as_str())),
        Event::PatternRevoked { pattern, by, reason } => {
            let by = by.as_deref().map(|by| format!(" by {}", name(by))).unwrap_or_default();
            format!("pattern {} was ended{by}: {reason}", short(pattern.as_str()))
        }
        Event::DutyGiven { of, deputy, groups, .. } => {
            let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
            format!("{} gave their duty for {} to {}", name(of.as_str()), groups.join(", "), name(deputy.as_str()))
        }
        Event::DutyEnded { by, .. } => format!("{} ended a duty that was given away", name(by.as_str())),
        Event::IncidentDeclared { by, until, .. } => {
            format!("{} declared an incident until {until}", name(by.as_str()))
        }
        Event::IncidentEnded { by: Some(by), .. } => format!("{} ended an incident", name(by.as_str())),
        Event::IncidentEnded { by: None, .. } => "an incident ended by itself".to_owned(),
        Event::IncidentRefused { by, what, code } => {
            let by = by.as_deref().map_or_else(|| "nobody known".to_owned(), name);
            format!("{by} could not {what} an incident: {code}")
        }
        Event::PolicyActivated { bundle, why, .. } => {
            let why = why.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
            format!("bundle {} is in force{why}", short(&bundle.to_string()))
        }
        Event::GateChanged { step, subject, by, why, .. } => {
            let subject = names.get(subject).unwrap_or(subject); // a target has its name for a handle
            let step = step.replace('_', " ");
            match by {
                Some(by) => format!("{subject}: {step}, as {} proposed and others approved", name(by.as_str())),
                None => format!("{subject}: {step} ({why})"),
            }
        }
        Event::ConfigChanged { what } => what.clone(),
        Event::IdentityEnrolled { what, change, person, .. } => {
            let whose = person.as_ref().map(|person| format!(" of {}", name(person.as_str()))).unwrap_or_default();
            format!("{} {change}{whose}", what.replace('_', " "))
        }
        Event::IdentityRefused { what, code, issuer, more } => {
            let issuer = issuer.as_ref().map(|issuer| format!(" of {issuer}")).unwrap_or_default();
            let more = more.map(|more| format!("; {more} others before it")).unwrap_or_default();
            format!("a {}{issuer} was refused: {code}{more}", what.replace('_', " "))
        }
        Event::SessionOpened { requester, target } => format!("{} logged in to {target}", name(requester)),
        Event::SystemStarted { version, closed_unknown } => {
            format!("gateway {version} started; {closed_unknown} intents closed as unknown")
        }
        Event::SystemAlarm { code, detail } => format!("{code}: {detail}"),
    }
}

/// The end of a handle, which is its random part, or the whole when it is short.
fn short(handle: &str) -> String {
    const TAIL_CHARS: usize = 8;
    let count = handle.chars().count();
    if count <= 2 * TAIL_CHARS {
        return handle.to_owned();
    }
    std::iter::once('…').chain(handle.chars().skip(count - TAIL_CHARS)).collect()
}
