//! What the policies in force answer to an action: one that somebody makes up, or one that was attempted. Nothing is sent, and
//! nothing is let through by it.

use std::collections::BTreeSet;

use askama::Template;
use axum::Extension;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use countersign_core::action::{ActionId, AgentId, Described, Facts, PersonId, PersonRef, ReviewId, Target};
use countersign_core::policy::{
    AgentFacts, Circumstances, Determining, Explanation, Obligations, Outcome, PersonFacts, Quorum,
};
use serde::Deserialize;

use crate::config;
use crate::console::Console;
use crate::console::page::{Failure, Frame, render};
use crate::console::session::Session;
use crate::console::show::{Html, block, line};
use crate::policies::hypothesis::Hypothesis;
use crate::ports::Agent;

/// The longest text that is tried, in bytes.
const TEXT_BYTES_MAX: usize = 20_000;
/// The handle of the agent that is made up, and of its owner; real ones are random.
const NOBODY: &str = "nobody";
/// Agents to choose from.
const AGENTS_MAX: usize = 200;

#[derive(Template)]
#[template(path = "policy_trial.html")]
struct TrialPage {
    frame: Frame,
    form: TrialForm,
    targets: Vec<Choice>,
    agents: Vec<Choice>,
    text_bytes_max: usize,
    /// The action that was attempted, if one is asked about.
    past: Option<Past>,
    answer: Option<Answer>,
    problem: Option<Html>,
}

struct Choice {
    name: String,
    chosen: bool,
}

struct Past {
    who: Html,
    target: Html,
    statement: Html,
}

/// The answer in words.
struct Answer {
    word: &'static str,
    tone: &'static str,
    sentence: &'static str,
    code: Option<String>,
    policies: Vec<Note>,
    suffices: Vec<String>,
    demands: Vec<String>,
    statements: Vec<Statement>,
    bundle: String,
}

struct Note {
    id: Html,
    effect: String,
    text: Html,
}

struct Statement {
    verb: Html,
    action: Html,
    word: &'static str,
    tone: &'static str,
    policies: Vec<Note>,
}

/// What is tried.
#[derive(Default, Clone, Deserialize)]
pub(in crate::console) struct TrialForm {
    #[serde(default)]
    text: String,
    #[serde(default)]
    target: String,
    #[serde(default)]
    agent: String,
    /// Quorums taken as reached: `dba:1, security:2`.
    #[serde(default)]
    approvals: String,
    #[serde(default)]
    incident: Option<String>,
    #[serde(default)]
    break_glass: Option<String>,
}

/// Which action is asked about.
#[derive(Deserialize)]
pub(in crate::console) struct About {
    #[serde(default)]
    action: Option<String>,
}

/// The page: empty, or about an action that was attempted.
pub(in crate::console) async fn page(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    about: Result<Query<About>, QueryRejection>,
) -> Result<Response, Failure> {
    let Ok(Query(about)) = about else { return Err(Failure::bad_request("the address names no action")) };
    let Some(id) = about.action else { return show(&console, &session, TrialForm::default(), None, None).await };
    let found = attempted(&console, &id).await?.filter(|described| session.signed_in.reads(described));
    let described = found.ok_or_else(|| Failure::not_found("action"))?;
    let none = BTreeSet::new();
    let moment = console.gate.moment();
    let explanation = moment.bundle.explain(&described, &moment.with(&described, &none));
    let past = Past {
        who: line(described.requester.name()),
        target: line(&described.target.name),
        statement: block(&described.shown.text),
    };
    show(&console, &session, TrialForm::default(), Some(past), Some(Ok(explanation))).await
}

/// What was attempted under this id, or waits under this review.
async fn attempted(console: &Console, id: &str) -> Result<Option<Described>, Failure> {
    if let Some(attempt) = console.gate.store.attempt(&ActionId::new(id)).await? {
        return Ok(Some(attempt.described));
    }
    let review = console.gate.store.review(&ReviewId::new(id)).await?;
    Ok(review.map(|found| found.review.matter().described.clone()))
}

/// Tries what the form says.
pub(in crate::console) async fn answer(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    form: Result<Form<TrialForm>, FormRejection>,
) -> Result<Response, Failure> {
    let Ok(Form(form)) = form else { return Err(Failure::bad_request("the form is not that of a trial")) };
    let agents = console.gate.directory.agents().await?;
    let tried = trial(&console, &form, &agents).await;
    show(&console, &session, form, None, Some(tried)).await
}

/// The explanation, or what is wrong with the form.
async fn trial(console: &Console, form: &TrialForm, agents: &[Agent]) -> Result<Explanation, String> {
    if form.text.trim().is_empty() {
        return Err("Write a statement to try.".to_owned());
    }
    if form.text.len() > TEXT_BYTES_MAX {
        return Err(format!("At most {TEXT_BYTES_MAX} bytes are tried here; `countersign policy explain` takes more."));
    }
    let targets = console.gate.targets.current();
    let target = targets.get(&form.target).ok_or("Choose a target that is in force.")?;
    let agent = match form.agent.as_str() {
        "" => None,
        name => Some(agents.iter().find(|agent| agent.name == name).ok_or("There is no such agent any more.")?),
    };
    let given = form.approvals.split(',').map(str::trim).filter(|quorum| !quorum.is_empty());
    let approvals: Result<BTreeSet<Quorum>, _> = given.map(|quorum| Quorum::try_from(quorum.to_owned())).collect();
    let approvals = approvals.map_err(|error| format!("Approvals are written as `dba:1, security:2`: {error}."))?;
    let (describer, text) = (console.describer.clone(), form.text.clone());
    let facts = tokio::task::spawn_blocking(move || describer.describe(&text)).await;
    let facts = facts.map_err(|_| "The statement could not be described.".to_owned())?;
    let moment = console.gate.moment();
    let described = hypothetical(form, facts, target, agent, moment.now);
    let mut people = moment.people.people.clone();
    if agent.is_none() {
        people.persons.insert(PersonId::new(NOBODY), PersonFacts::default());
        people.agents.insert(AgentId::new(NOBODY), AgentFacts::default());
    }
    let circumstances = Circumstances {
        people: &people,
        break_glass: form.break_glass.is_some(),
        incident: form.incident.is_some(),
        ..moment.with(&described, &approvals)
    };
    Ok(moment.bundle.explain(&described, &circumstances))
}

/// The action as an agent would ask for it; without one chosen, an agent in no group.
fn hypothetical(
    form: &TrialForm,
    facts: Facts,
    target: &config::Target,
    agent: Option<&Agent>,
    at: countersign_core::action::Timestamp,
) -> Described {
    let (id, name) = match agent {
        Some(agent) => (agent.id.clone(), agent.name.clone()),
        None => (AgentId::new(NOBODY), "an agent in no group".to_owned()),
    };
    let owner = agent.map_or_else(|| PersonId::new(NOBODY), |agent| agent.owner.clone());
    let owner = PersonRef { name: owner.to_string(), id: owner };
    let target = Target {
        name: target.name.clone(),
        environment: target.environment,
        sensitivity: target.sensitivity,
        generation: target.generation(),
    };
    Hypothesis { agent: (id, name), owner, job: None, target, text: &form.text, facts, at }.described()
}

async fn show(
    console: &Console,
    session: &Session,
    form: TrialForm,
    past: Option<Past>,
    tried: Option<Result<Explanation, String>>,
) -> Result<Response, Failure> {
    let (answer, problem) = match tried {
        Some(Ok(explanation)) => (Some(Answer::from(explanation)), None),
        Some(Err(problem)) => (None, Some(line(&problem))),
        None => (None, None),
    };
    let targets = console.gate.targets.current();
    let agents = console.gate.directory.agents().await?;
    let live = agents.into_iter().filter(|agent| agent.revoked_at.is_none()).take(AGENTS_MAX);
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = TrialPage {
        frame: Frame::new("Try the policies", "/policies", session),
        targets: targets.keys().map(|name| Choice { chosen: *name == form.target, name: name.clone() }).collect(),
        agents: live.map(|agent| Choice { chosen: agent.name == form.agent, name: agent.name }).collect(),
        form,
        text_bytes_max: TEXT_BYTES_MAX,
        past,
        answer,
        problem,
    };
    Ok(render(status, &page))
}

impl From<Explanation> for Answer {
    fn from(explanation: Explanation) -> Self {
        let (word, tone, sentence) = words(explanation.outcome);
        let set = |set: &BTreeSet<Quorum>| set.iter().map(Quorum::to_string).collect::<Vec<_>>().join(" and ");
        let statements = explanation.statements.into_iter().map(|statement| {
            let (word, tone, _) = words(statement.outcome);
            let policies = statement.policies.into_iter().chain(statement.errors).map(note).collect();
            Statement { verb: line(&statement.verb), action: line(&statement.action), word, tone, policies }
        });
        Self {
            word,
            tone,
            sentence,
            code: explanation.code,
            policies: explanation.policies.into_iter().map(note).collect(),
            suffices: explanation.suffices.iter().map(set).collect(),
            demands: explanation.obligations.as_ref().map(demands).unwrap_or_default(),
            statements: statements.collect(),
            bundle: explanation.bundle.to_string(),
        }
    }
}

fn words(outcome: Outcome) -> (&'static str, &'static str, &'static str) {
    match outcome {
        Outcome::Permit => ("permit", "approved", "It runs at once; nobody is asked."),
        Outcome::Review => ("review", "open", "It waits until the people below approve."),
        Outcome::Deny => ("deny", "rejected", "It is refused, whoever approves."),
    }
}

fn note(policy: Determining) -> Note {
    Note { id: line(&policy.id), effect: policy.effect, text: line(&policy.text) }
}

/// What the policies ask of a review besides people.
fn demands(obligations: &Obligations) -> Vec<String> {
    let time = |what: &str, seconds: Option<u32>| seconds.map(|seconds| format!("{what} {}", span(seconds)));
    let said = [
        time("stays open for", obligations.expires_seconds),
        time("the call itself waits for", obligations.hold_seconds),
        obligations.justify.then(|| "an approval needs a reason".to_owned()),
        obligations.passkey.then(|| "an approval must be signed by a passkey".to_owned()),
    ];
    let told = obligations.channels.iter().map(|place| format!("told in {place}"));
    let escalates =
        obligations.escalate.iter().map(|(after, group)| format!("asks {group} too after {}", span(*after)));
    said.into_iter().flatten().chain(told).chain(escalates).collect()
}

fn span(seconds: u32) -> String {
    match seconds {
        seconds if seconds % 3_600 == 0 => format!("{} h", seconds / 3_600),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}
