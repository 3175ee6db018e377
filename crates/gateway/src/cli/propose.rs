//! Changes of the gate as actions, over the API: `countersign policy propose` and `proposals`, and what gives people and
//! agents more, for those who have a token.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Value, json};

use super::Context;
use super::card::suffices;
use super::output::{self, Coded, FAILED};
use super::review::{Api, state_painted, text};

/// Proposes the files in the gateway's policies folder, as they are at this moment.
pub(super) async fn propose(context: &Context, reason: Option<String>) -> anyhow::Result<ExitCode> {
    let api = Api::from_env()?;
    let seen = api.call(Method::GET, "policies", None).await?;
    let Some(files) = seen["files_digest"].as_str() else {
        let problem = text(&seen, "problem");
        return Err(Coded { exit: FAILED, code: "bad_request".to_owned(), message: problem }.into());
    };
    let body = json!({"files_digest": files, "reason": reason});
    tell(context, &api.call(Method::POST, "policies/proposals", Some(body)).await?)
}

/// Whether somebody's token is at hand: then they are whom a change is by, and not whoever commands the gateway's host.
pub(super) fn as_person() -> bool {
    std::env::var_os("COUNTERSIGN_TOKEN").is_some_and(|token| !token.is_empty())
}

/// Proposes a change of people or agents.
pub(super) async fn people(context: &Context, change: Value, reason: Option<String>) -> anyhow::Result<ExitCode> {
    let body = json!({"change": change, "reason": reason});
    tell(context, &Api::from_env()?.call(Method::POST, "people/proposals", Some(body)).await?)
}

pub(super) fn tell(context: &Context, proposed: &Value) -> anyhow::Result<ExitCode> {
    if context.json {
        output::json(proposed)?;
    } else {
        told(proposed);
    }
    Ok(ExitCode::SUCCESS)
}

/// Lists changes of the policies, newest first.
pub(super) async fn list(context: &Context) -> anyhow::Result<ExitCode> {
    let api = Api::from_env()?;
    let reviews = api.call(Method::GET, "reviews?state=all&limit=500", None).await?;
    let all = reviews["reviews"].as_array().into_iter().flatten();
    let changes: Vec<&Value> = all.filter(|review| review["action"] == "gate:change").collect();
    let policies = api.call(Method::GET, "policies", None).await?;
    if context.json {
        let (in_force, problem) = (&policies["files_in_force"], &policies["problem"]);
        output::json(&json!({"proposals": changes, "files_in_force": in_force, "problem": problem}))?;
        return Ok(ExitCode::SUCCESS);
    }
    for change in changes {
        let (state, author) = (text(change, "state"), text(&change["requester"], "name"));
        output::line(&format!(
            "{}  {}  by {author}  {}",
            text(change, "id"),
            state_painted(&state),
            text(change, "opened_at")
        ));
    }
    if policies["files_in_force"] == false {
        output::line(&format!("the files in the policies folder are not in force: {}", text(&policies, "problem")));
    }
    Ok(ExitCode::SUCCESS)
}

fn told(proposed: &Value) {
    if proposed["in_force"] == true {
        return output::line("in force: it permits nothing more than before");
    }
    let review = &proposed["review"];
    for line in review["statement"].as_str().unwrap_or_default().lines() {
        output::line(&output::safe(line));
    }
    output::line(&format!("review {} is {}", text(review, "id"), state_painted(&text(review, "state"))));
    output::line(&format!("needed: {}; not you, who proposed it", suffices(review)));
    output::line(&text(review, "url"));
}
