//! The agents, how they fare lately, and who answers for each. What an administrator may end stands on the page of people.

use std::collections::BTreeMap;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use countersign_core::action::{PersonId, Timestamp};

use super::Console;
use super::activity::status_words;
use super::page::{Failure, Frame, render};
use super::session::Session;
use super::show::{Html, line, when};
use crate::ports::{Agent, Attempt, Person, ReviewFilter};

/// Agents on the page; the rest is counted.
const ROWS_MAX: usize = 200;
/// Attempts that their health is judged by.
const ATTEMPTS_MAX: u32 = 1_000;
/// Open reviews looked at.
const REVIEWS_MAX: u32 = 1_000;

#[derive(Template)]
#[template(path = "agents.html")]
struct AgentsPage {
    frame: Frame,
    rows: Vec<Row>,
    more: usize,
    attempts_max: u32,
}

struct Row {
    name: Html,
    /// For addresses.
    handle: String,
    owner: Html,
    groups: Vec<Html>,
    /// What is wrong with it, or how it is.
    state: &'static str,
    tone: &'static str,
    lately: Lately,
}

/// What an agent did lately.
#[derive(Default)]
pub(super) struct Lately {
    pub(super) ran: usize,
    pub(super) failed: usize,
    pub(super) refused: usize,
    pub(super) waiting: usize,
    /// When, and what came of it.
    pub(super) last: Option<(Html, &'static str, &'static str)>,
}

impl Lately {
    /// Adds an attempt; the newest comes first.
    pub(super) fn add(&mut self, attempt: &Attempt, now: Timestamp) {
        match attempt.status.as_str() {
            "succeeded" => self.ran += 1,
            "refused" => self.refused += 1,
            "running" | "uncommitted" => {}
            _ => self.failed += 1,
        }
        if self.last.is_none() {
            let (words, tone) = status_words(&attempt.status);
            self.last = Some((when(attempt.at, now), words, tone));
        }
    }
}

/// The page.
pub(super) async fn page(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
) -> Result<Response, Failure> {
    let (directory, now) = (&console.gate.directory, console.gate.scribe.now());
    let (people, agents) = (directory.people().await?, directory.agents().await?);
    let people: BTreeMap<&PersonId, &Person> = people.iter().map(|person| (&person.id, person)).collect();
    let mut lately = lately(&console, now).await?;
    let mut rows: Vec<Row> = agents.iter().map(|agent| row(agent, &people, &mut lately)).collect();
    let more = rows.len().saturating_sub(ROWS_MAX);
    rows.truncate(ROWS_MAX);
    let frame = Frame::new("Agents", "/agents", &session);
    Ok(render(StatusCode::OK, &AgentsPage { frame, rows, more, attempts_max: ATTEMPTS_MAX }))
}

/// What each agent did lately, by its name.
async fn lately(console: &Console, now: Timestamp) -> Result<BTreeMap<String, Lately>, Failure> {
    let mut each: BTreeMap<String, Lately> = BTreeMap::new();
    for attempt in console.gate.store.attempts(ATTEMPTS_MAX).await? {
        let requester = &attempt.described.requester;
        if requester.kind() == "agent" {
            each.entry(requester.name().to_owned()).or_default().add(&attempt, now);
        }
    }
    for review in console.gate.store.reviews(ReviewFilter::Open, REVIEWS_MAX).await? {
        let matter = review.matter();
        if matter.described.requester.kind() == "agent" && matter.expires_at > now {
            each.entry(matter.described.requester.name().to_owned()).or_default().waiting += 1;
        }
    }
    Ok(each)
}

fn row(agent: &Agent, people: &BTreeMap<&PersonId, &Person>, lately: &mut BTreeMap<String, Lately>) -> Row {
    let owner = people.get(&agent.owner);
    let (state, tone) = match agent.revoked_at {
        Some(_) => ("revoked", "plain"),
        None if owner.is_none_or(|owner| owner.suspended) => ("its owner is suspended: it can do nothing", "bad"),
        None if agent.accepted_at.is_none() => ("waits for its owner to accept it", "wait"),
        None => ("works", "good"),
    };
    Row {
        name: line(&agent.name),
        handle: agent.name.clone(),
        owner: line(owner.map_or("?", |owner| owner.name.as_str())),
        groups: agent.groups.iter().map(|group| line(group)).collect(),
        state,
        tone,
        lately: lately.remove(&agent.name).unwrap_or_default(),
    }
}
