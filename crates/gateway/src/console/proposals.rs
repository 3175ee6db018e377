//! Proposing a change of the gate: the files in the policies folder, from the page that shows what they would mean; and what
//! gives a person or an agent more, from the page of people.

use std::collections::BTreeSet;

use axum::Extension;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::Console;
use super::page::Failure;
use super::session::Session;
use crate::identity::changes::Change;
use crate::proposals::{self, Proposed, Take, Wish};
use crate::resolve::Denied;

/// The form: the files that were looked at, and why.
#[derive(Deserialize)]
pub(super) struct ProposalForm {
    files_digest: String,
    #[serde(default)]
    reason: String,
}

/// Proposes, and shows the review, or the policies where they are in force already.
pub(super) async fn propose(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    form: Result<Form<ProposalForm>, FormRejection>,
) -> Result<Response, Failure> {
    let Ok(Form(form)) = form else { return Err(Failure::bad_request("the form is not that of a proposal")) };
    let files = form.files_digest.parse().map_err(|_| Failure::bad_request("the form names no digest"))?;
    answer(&console, &session, (Wish::Policies(files), why(&form.reason)), "/policies").await
}

/// The form of a target: as it was looked at, and why.
#[derive(Deserialize)]
pub(super) struct TargetForm {
    target: String,
    digest: String,
    #[serde(default)]
    reason: String,
}

/// Proposes a target as the configuration has it.
pub(super) async fn propose_target(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    form: Result<Form<TargetForm>, FormRejection>,
) -> Result<Response, Failure> {
    let Ok(Form(form)) = form else { return Err(Failure::bad_request("the form is not that of a proposal")) };
    let wish = Wish::Target(form.target, form.digest);
    answer(&console, &session, (wish, why(&form.reason)), "/targets").await
}

/// The form of a change of people or agents; each change uses the fields it needs.
#[derive(Deserialize)]
pub(super) struct PeopleForm {
    change: String,
    who: String,
    #[serde(default)]
    group: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    provider: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    label: String,
    #[serde(default)]
    reason: String,
}

/// Proposes what gives a person or an agent more, or takes a group away.
pub(super) async fn propose_people(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    form: Result<Form<PeopleForm>, FormRejection>,
) -> Result<Response, Failure> {
    let Ok(Form(form)) = form else { return Err(Failure::bad_request("the form is not that of a proposal")) };
    let reason = why(&form.reason);
    let wish = wish(form).ok_or_else(|| Failure::bad_request("the form names no change"))?;
    answer(&console, &session, (wish, reason), "/people").await
}

fn wish(form: PeopleForm) -> Option<Wish> {
    let PeopleForm { change, who, group, email, provider, subject, label, reason: _ } = form;
    let who = who.trim().to_owned();
    let groups: BTreeSet<String> = Some(group).filter(|group| !group.is_empty()).into_iter().collect();
    let email = Some(email.trim().to_owned()).filter(|email| !email.is_empty());
    let more = match change.as_str() {
        "add_person" => Change::AddPerson { name: who, email, groups },
        "add_groups" => Change::AddGroups { person: who, groups },
        "restore_person" => Change::Restore { person: who },
        "link_account" => Change::LinkAccount { person: who, provider, subject, label },
        "add_agent_groups" => Change::AddAgentGroups { agent: who, groups },
        "remove_groups" => return Some(Wish::Take(Take::Groups { person: who, groups })),
        "remove_agent_groups" => return Some(Wish::Take(Take::AgentGroups { agent: who, groups })),
        _ => return None,
    };
    Some(Wish::People(more))
}

fn why(reason: &str) -> Option<String> {
    Some(reason.replace("\r\n", "\n")).filter(|reason| !reason.trim().is_empty())
}

/// The review that opened, or the page on which the change is seen.
async fn answer(
    console: &Console,
    session: &Session,
    (wish, reason): (Wish, Option<String>),
    page: &str,
) -> Result<Response, Failure> {
    let (gate, caller) = (console.gate.clone(), session.caller());
    // to its end even when the browser leaves: what is in force must be what the store says
    let proposed = tokio::spawn(async move { proposals::propose(&gate, &caller, wish, reason).await });
    match proposed.await.map_err(Failure::unavailable)? {
        Ok(Proposed::InForce) => Ok(Redirect::to(page).into_response()),
        Ok(Proposed::Waits(review)) => Ok(Redirect::to(&format!("/reviews/{}", review.matter().id)).into_response()),
        Err(refusal) => Err(Denied::new(refusal.code, refusal.message).into()),
    }
}
