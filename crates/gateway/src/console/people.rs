//! People and agents: who decides, who asks, whose owner has left; and what an administrator may end.
//!
//! An administrator ends things here and starts none: what permits more (a group, a person) comes from the identity provider,
//! from the gateway's host, or, where people are asked about it, from a proposal that others approved.

use std::collections::BTreeMap;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use countersign_core::action::{PersonId, Timestamp};

use super::Console;
use super::page::{Failure, Frame, render};
use super::session::Session;
use super::show::{Html, line, when};
use crate::identity::stewardship::{Error, Maker, Steward};
use crate::ports::{Account, Agent, Person, Role};

/// People, and agents, on the page; the rest is counted.
const ROWS_MAX: usize = 200;

#[derive(Template)]
#[template(path = "people.html")]
struct PeoplePage {
    frame: Frame,
    /// Whether the reader may end things here.
    is_admin: bool,
    /// Whether what gives somebody more is proposed here, and the reader may.
    proposes: bool,
    /// The groups there are.
    groups: Vec<String>,
    provider: Option<Html>,
    people: Vec<PersonView>,
    people_more: usize,
    agents: Vec<AgentView>,
    agents_more: usize,
    orphans: usize,
}

struct PersonView {
    name: Html,
    address: String,
    groups: Vec<Html>,
    roles: Vec<&'static str>,
    accounts: Vec<Html>,
    suspended: bool,
    /// Whether an identity provider says what their groups are.
    provided: bool,
    is_me: bool,
    since: Html,
    confirmed: Option<Html>,
}

struct AgentView {
    name: Html,
    address: String,
    owner: Html,
    maker: Option<Html>,
    groups: Vec<Html>,
    /// Why it does nothing, if it does not.
    idle: Option<&'static str>,
    created: Html,
    revoked: Option<Html>,
}

/// Who decides, and who asks.
pub(super) async fn page(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
) -> Result<Response, Failure> {
    let directory = &console.gate.directory;
    let (all, agents) = (directory.people().await?, directory.agents().await?);
    let accounts = directory.accounts().await?;
    let now = console.gate.scribe.now();
    let by_id: BTreeMap<&PersonId, &Person> = all.iter().map(|person| (&person.id, person)).collect();
    let of_agent = |agent: &Agent| agent_view(agent, &by_id, now);
    let config = &console.gate.config;
    let page = PeoplePage {
        frame: Frame::new("People and agents", "/people", &session),
        is_admin: session.signed_in.person.roles.contains(&Role::Admin),
        proposes: session.may_propose(config),
        groups: config.groups.iter().cloned().collect(),
        provider: console.gate.config.oidc.as_ref().map(|oidc| line(&oidc.issuer)),
        people_more: all.len().saturating_sub(ROWS_MAX),
        people: all.iter().take(ROWS_MAX).map(|person| person_view(person, &accounts, &session, now)).collect(),
        agents_more: agents.len().saturating_sub(ROWS_MAX),
        orphans: agents.iter().filter(|agent| is_orphan(agent, &by_id)).count(),
        agents: agents.iter().take(ROWS_MAX).map(of_agent).collect(),
    };
    Ok(render(StatusCode::OK, &page))
}

/// Suspends a person.
pub(super) async fn suspend(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    Path(name): Path<String>,
) -> Result<Response, Failure> {
    let steward = Steward::new(&*console.gate.directory, &console.gate.scribe);
    let done = steward.suspend(&session.signed_in.person, &name).await;
    answer(&console, done).await
}

/// Revokes an agent, whoever owns it.
pub(super) async fn revoke_agent(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    Path(name): Path<String>,
) -> Result<Response, Failure> {
    let steward = Steward::new(&*console.gate.directory, &console.gate.scribe);
    let done = steward.revoke_agent(Maker::Person(&session.signed_in.person), &name).await;
    answer(&console, done).await
}

async fn answer(console: &Console, done: Result<(), Error>) -> Result<Response, Failure> {
    match done {
        Ok(()) => {
            console.gate.roster.refresh().await?;
            Ok(Redirect::to("/people").into_response())
        }
        Err(Error::Store(error)) => Err(error.into()),
        Err(Error::NotYours(what)) => Err(Failure::not_found(what)),
        Err(error) => Err(Failure::forbidden(error.to_string())),
    }
}

fn person_view(person: &Person, accounts: &[Account], session: &Session, now: Timestamp) -> PersonView {
    let own = accounts.iter().filter(|account| account.person == person.id);
    PersonView {
        name: line(&person.name),
        address: person.name.clone(),
        groups: person.groups.iter().map(|group| line(group)).collect(),
        roles: person.roles.iter().copied().map(Role::name).collect(),
        accounts: own.map(|account| line(&format!("{} at {}", account.label, account.provider))).collect(),
        suspended: person.suspended,
        provided: person.managed || person.confirmed_at.is_some(),
        is_me: person.id == session.signed_in.person.id,
        since: when(person.created_at, now),
        confirmed: person.confirmed_at.map(|at| when(at, now)),
    }
}

fn agent_view(agent: &Agent, people: &BTreeMap<&PersonId, &Person>, now: Timestamp) -> AgentView {
    let name = |id: &PersonId| line(people.get(id).map_or("?", |person| person.name.as_str()));
    let idle = match (agent.revoked_at, agent.accepted_at) {
        (Some(_), _) => None, // said by itself
        (None, _) if is_orphan(agent, people) => Some("its owner is suspended"),
        (None, None) => Some("waits for its owner"),
        (None, Some(_)) => None,
    };
    AgentView {
        name: line(&agent.name),
        address: agent.name.clone(),
        owner: name(&agent.owner),
        maker: agent.created_by.as_ref().filter(|maker| **maker != agent.owner).map(name),
        groups: agent.groups.iter().map(|group| line(group)).collect(),
        idle,
        created: when(agent.created_at, now),
        revoked: agent.revoked_at.map(|at| when(at, now)),
    }
}

/// Whether nobody answers for an agent any more.
fn is_orphan(agent: &Agent, people: &BTreeMap<&PersonId, &Person>) -> bool {
    agent.revoked_at.is_none() && people.get(&agent.owner).is_none_or(|owner| owner.suspended)
}
