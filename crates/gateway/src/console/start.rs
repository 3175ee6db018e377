//! The first run: what is still missing before people review anything, each with the exact command.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::Console;
use super::page::{Failure, Frame, render};
use super::session::Session;
use super::show::{Html, line};
use crate::ports::ReviewFilter;

/// Policies that are compiled in begin with it.
const CORE_PREFIX: &str = "core:";

#[derive(Template)]
#[template(path = "start.html")]
struct StartPage {
    frame: Frame,
    steps: Vec<Step>,
    done: usize,
}

/// Something that has to be there.
pub(super) struct Step {
    pub(super) done: bool,
    name: &'static str,
    /// Why, or what is there.
    words: String,
    /// What to type, and where.
    command: Option<(&'static str, Html)>,
    link: Option<(&'static str, &'static str)>,
}

/// The page.
pub(super) async fn page(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
) -> Result<Response, Failure> {
    let steps = steps(&console, &session).await?;
    let done = steps.iter().filter(|step| step.done).count();
    Ok(render(StatusCode::OK, &StartPage { frame: Frame::new("First steps", "/start", &session), steps, done }))
}

/// All of them, in the order in which they are done.
pub(super) async fn steps(console: &Console, session: &Session) -> Result<Vec<Step>, Failure> {
    let (gate, me) = (&console.gate, &session.signed_in.person);
    let targets = gate.targets.current();
    let agents = gate.directory.agents().await?;
    let agents = agents.iter().filter(|agent| agent.revoked_at.is_none()).count();
    let reviewers = gate.directory.people().await?;
    let reviewers = reviewers.iter().filter(|person| !person.suspended && !person.groups.is_empty()).count();
    let policies = gate.policies.current();
    let policies = policies.policy_ids().filter(|id| !id.starts_with(CORE_PREFIX)).count();
    let passkeys = gate.directory.passkeys(&me.id).await?.len();
    let reviews = !gate.store.reviews(ReviewFilter::All, 1).await?.is_empty();
    let first = targets.keys().next().map_or("orders", String::as_str);
    Ok(vec![
        target(targets.len()),
        policy(policies),
        Step {
            done: agents > 0,
            name: "An agent that asks",
            words: counted(agents, "agent", "agents", "Its owner answers for it, and can never approve what it asks."),
            command: Some((
                "on the gateway’s host",
                line(&format!("countersign agent create coder --owner {}", me.name)),
            )),
            link: Some(("/agents", "Agents")),
        },
        Step {
            done: reviewers > 1,
            name: "A second person who decides",
            words: counted(
                reviewers,
                "person in a group",
                "people in groups",
                "Nobody approves their own side’s actions, so that one person alone decides nothing.",
            ),
            command: Some((
                "on the gateway’s host",
                line("countersign person add dora --email dora@example.org --groups dba"),
            )),
            link: Some(("/people", "People")),
        },
        Step {
            done: passkeys > 0,
            name: "A passkey of yours",
            words: counted(passkeys, "passkey", "passkeys", "A vote that it signs proves itself in the record."),
            command: None,
            link: Some(("/me/passkeys", "Your passkeys")),
        },
        Step {
            done: reviews,
            name: "A first review",
            words: if reviews {
                "Done.".to_owned()
            } else {
                "Send something that a policy asks people about; it waits in the inbox.".to_owned()
            },
            command: Some(("wherever the agent runs", line(&format!("countersign connect {first} --agent coder")))),
            link: Some(("/", "Inbox")),
        },
    ])
}

fn target(count: usize) -> Step {
    let text = "[[target]]\nname        = \"orders\"\nprotocol    = \"postgres\"\nupstream    = \"postgres://app@127.0.0.1:5432/orders\"\n\
                credential  = { env = \"ORDERS_PASSWORD\" }\nenvironment = \"production\"";
    Step {
        done: count > 0,
        name: "A target that agents reach",
        words: counted(count, "target", "targets", "What stands behind the gateway. Restart it after the change."),
        command: Some(("in countersign.toml", super::show::block(text))),
        link: Some(("/targets", "Targets")),
    }
}

fn policy(count: usize) -> Step {
    Step {
        done: count > 0,
        name: "Policies that ask people",
        words: counted(
            count,
            "policy",
            "policies",
            "Without one nothing is permitted. The starter policies are a safe first day.",
        ),
        command: Some(("on the gateway’s host", line("countersign policy check"))),
        link: Some(("/policies", "Policies")),
    }
}

/// How many there are, or why one is needed.
fn counted(count: usize, one: &str, many: &str, why: &str) -> String {
    match count {
        0 => why.to_owned(),
        1 if one.starts_with("person") => format!("One {one} so far. {why}"),
        1 => format!("One {one} is there."),
        _ => format!("{count} {many} are there."),
    }
}
