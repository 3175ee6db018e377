//! Oneself: accounts, sessions and tokens, agents one answers for, and how one reviews.

use askama::Template;
use axum::Extension;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use countersign_core::action::Timestamp;
use countersign_core::review::{Method, Review, Verdict};
use serde::Deserialize;

use super::Console;
use super::duties::{self, DutyView};
use super::page::{Failure, Frame, render};
use super::session::Session;
use super::show::{Html, line, span, when};
use crate::codes::Code;
use crate::identity::stewardship::{Error, Maker, Steward};
use crate::ports::{Account, Agent, Credential, CredentialKind, ReviewFilter, Role, SLACK_ACCOUNTS, Scope};

/// Reviews looked through for one's own votes.
const REVIEWS_MAX: u32 = 2_000;
/// How far back one's own votes are counted: 30 days.
const LOOK_BACK_SECONDS: i64 = 30 * 24 * 60 * 60;
/// Votes that are looked at for how long one takes.
const VOTES_MAX: usize = 500;

#[derive(Template)]
#[template(path = "me.html")]
struct MePage {
    frame: Frame,
    name: Html,
    email: Option<Html>,
    groups: Vec<Html>,
    roles: Vec<&'static str>,
    may_vote: bool,
    method: &'static str,
    mfa: bool,
    /// How long ago they proved who they are; none where the provider does not say.
    age: Option<String>,
    local: bool,
    /// The address to sign in again at, where there is a provider.
    sign_in: Option<&'static str>,
    accounts: Vec<AccountView>,
    /// Whether accounts in Slack are linked here.
    links_slack: bool,
    credentials: Vec<CredentialView>,
    agents: Vec<AgentView>,
    duties: Vec<DutyView>,
    habits: Option<Habits>,
    /// A token that was made a moment ago; shown once.
    token: Option<String>,
    problem: Option<Html>,
}

struct AccountView {
    provider: Html,
    label: Html,
    subject: Html,
    proof: &'static str,
    linked: Html,
    /// Its id, where they may take it away themselves.
    removable: Option<String>,
}

struct CredentialView {
    id: String,
    kind: &'static str,
    label: Html,
    votes: bool,
    local: bool,
    is_this: bool,
    since: Html,
    until: Html,
}

struct AgentView {
    name: Html,
    address: String,
    waits: bool,
    groups: Vec<Html>,
    since: Html,
}

/// How somebody reviews: what would show that they click without reading.
struct Habits {
    votes: usize,
    approved: usize,
    approved_percent: usize,
    median: String,
    quick: usize,
}

/// What makes a token.
#[derive(Deserialize)]
pub(super) struct TokenForm {
    label: String,
    scope: Scope,
    days: u32,
}

/// The page.
pub(super) async fn page(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
) -> Result<Response, Failure> {
    show(&console, &session, None, None).await
}

/// Makes a token and shows it, once.
pub(super) async fn make_token(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    form: Result<Form<TokenForm>, FormRejection>,
) -> Result<Response, Failure> {
    let Ok(Form(form)) = form else { return Err(Failure::bad_request("the form is not that of a token")) };
    let made = steward(&console).make_token(&session.signed_in, &form.label, form.scope, form.days).await;
    match made {
        Ok(token) => show(&console, &session, Some(token.to_string()), None).await,
        Err(error) => answer(&console, &session, Err(error)).await,
    }
}

/// Ends a session or a token.
pub(super) async fn end_credential(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let done = steward(&console).end_credential(&session.signed_in.person, &id).await;
    answer(&console, &session, done).await
}

/// Accepts an agent.
pub(super) async fn accept_agent(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    Path(name): Path<String>,
) -> Result<Response, Failure> {
    let done = steward(&console).accept_agent(&session.signed_in.person, &name).await;
    answer(&console, &session, done).await
}

/// Revokes an agent.
pub(super) async fn revoke_agent(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    Path(name): Path<String>,
) -> Result<Response, Failure> {
    let done = steward(&console).revoke_agent(Maker::Person(&session.signed_in.person), &name).await;
    answer(&console, &session, done).await
}

fn steward(console: &Console) -> Steward<'_> {
    Steward::new(&*console.gate.directory, &console.gate.scribe)
}

async fn answer(console: &Console, session: &Session, done: Result<(), Error>) -> Result<Response, Failure> {
    match done {
        Ok(()) => {
            console.gate.roster.refresh().await?;
            Ok(Redirect::to("/me").into_response())
        }
        Err(Error::Store(error)) => Err(error.into()),
        Err(Error::Randomness(error)) => Err(Failure::unavailable(error)),
        Err(error) => {
            let code = match &error {
                Error::NotYours(_) => Code::NotFound,
                Error::Invalid(_) => Code::BadRequest,
                _ => Code::Forbidden,
            };
            show(console, session, None, Some((code, error.to_string()))).await
        }
    }
}

pub(super) async fn show(
    console: &Console,
    session: &Session,
    token: Option<String>,
    problem: Option<(Code, String)>,
) -> Result<Response, Failure> {
    let (who, now) = (&session.signed_in, console.gate.scribe.now());
    let links_slack = console.gate.linking.is_some();
    let directory = &console.gate.directory;
    let accounts = directory.accounts().await?;
    let credentials = directory.credentials(Some(&who.person.id), now).await?;
    let agents = directory.agents().await?;
    let own = agents.iter().filter(|agent| agent.owner == who.person.id && agent.revoked_at.is_none());
    let status = problem.as_ref().map_or(StatusCode::OK, |(code, _)| super::page::status(*code));
    let page = MePage {
        frame: Frame::new("You", "/me", session),
        name: line(&who.person.name),
        email: who.person.email.as_deref().map(line),
        groups: who.person.groups.iter().map(|group| line(group)).collect(),
        roles: who.person.roles.iter().copied().map(Role::name).collect(),
        may_vote: who.scope >= Scope::ReviewVote && !who.person.roles.contains(&Role::Auditor),
        method: who.method.name(),
        mfa: who.mfa,
        age: who.known_age().map(span),
        local: who.method == Method::Local,
        sign_in: console.gate.sign_in.is_some().then_some("/login/oidc?again=true&return=/me"),
        accounts: accounts.iter().filter(|a| a.person == who.person.id).map(|a| account(a, links_slack, now)).collect(),
        links_slack,
        credentials: credentials.iter().map(|(kind, c)| credential(*kind, c, &who.credential, now)).collect(),
        agents: own.map(|agent| agent_view(agent, now)).collect(),
        duties: duties::of(console, session).await?,
        habits: habits(console, session, now).await?,
        token,
        problem: problem.map(|(_, text)| line(&text)),
    };
    Ok(render(status, &page))
}

fn account(account: &Account, links_slack: bool, now: Timestamp) -> AccountView {
    AccountView {
        provider: line(&account.provider),
        label: line(&account.label),
        subject: line(&account.subject),
        proof: match account.proof.as_str() {
            "oidc" => "proved by signing in",
            "verified_email" => "found by an address that the provider has verified",
            "scim" => "told by the provider",
            "slack" => "proved by signing in to Slack",
            "review" => "approved by others",
            _ => "linked on the gateway's host",
        },
        linked: when(account.linked_at, now),
        removable: (links_slack && account.provider == SLACK_ACCOUNTS).then(|| account.subject.clone()),
    }
}

fn credential(kind: CredentialKind, credential: &Credential, this: &str, now: Timestamp) -> CredentialView {
    CredentialView {
        id: credential.id.clone(),
        kind: match kind {
            CredentialKind::Token => "Token",
            CredentialKind::LoginLink => "Login link",
            CredentialKind::Session => "Session",
        },
        label: line(&credential.label),
        votes: credential.scope >= Scope::ReviewVote,
        local: credential.local,
        is_this: credential.id == this,
        since: when(credential.authenticated_at, now),
        until: when(credential.expires_at, now),
    }
}

fn agent_view(agent: &Agent, now: Timestamp) -> AgentView {
    AgentView {
        name: line(&agent.name),
        address: agent.name.clone(),
        waits: agent.accepted_at.is_none(),
        groups: agent.groups.iter().map(|group| line(group)).collect(),
        since: when(agent.created_at, now),
    }
}

/// One's own votes of the last 30 days, among the newest reviews: how many, how many approvals, and how long one took.
async fn habits(console: &Console, session: &Session, now: Timestamp) -> Result<Option<Habits>, Failure> {
    let reviews = console.gate.store.reviews(ReviewFilter::All, REVIEWS_MAX).await?;
    let since = now.plus_seconds(-LOOK_BACK_SECONDS);
    let own = |review: &Review| {
        let opened = review.matter().opened_at;
        let vote = review.votes().iter().find(|vote| vote.person == session.signed_in.person.id && vote.at >= since)?;
        Some((vote.verdict, vote.at.seconds_since(opened)))
    };
    let mut votes: Vec<(Verdict, i64)> = reviews.iter().filter_map(own).take(VOTES_MAX).collect();
    votes.sort_by_key(|(_, seconds)| *seconds);
    let Some((_, median)) = votes.get(votes.len() / 2) else { return Ok(None) };
    let approved = votes.iter().filter(|(verdict, _)| *verdict == Verdict::Approve).count();
    Ok(Some(Habits {
        votes: votes.len(),
        approved,
        approved_percent: approved * 100 / votes.len().max(1),
        median: span(*median),
        quick: votes.iter().filter(|(_, seconds)| *seconds < QUICK_SECONDS).count(),
    }))
}

/// A decision sooner than this after a review opened can hardly have been read: 5 seconds.
const QUICK_SECONDS: i64 = 5;
