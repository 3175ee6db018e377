//! `countersign policy propose` and `proposals`: changes of the policies as actions, over the API.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Value, json};

use super::Context;
use super::output::{self, Coded, FAILED};
use super::review::{Api, state_painted, suffices, text};

/// Proposes the files in the gateway's policies folder, as they are at this moment.
pub(super) async fn propose(context: &Context, reason: Option<String>) -> anyhow::Result<ExitCode> {
    let api = Api::from_env()?;
    let seen = api.call(Method::GET, "policies", None).await?;
    let Some(files) = seen["files_digest"].as_str() else {
        let problem = text(&seen, "problem");
        return Err(Coded { exit: FAILED, code: "bad_request".to_owned(), message: problem }.into());
    };
    let body = json!({"files_digest": files, "reason": reason});
    let proposed = api.call(Method::POST, "policies/proposals", Some(body)).await?;
    if context.json {
        output::json(&proposed)?;
    } else {
        told(&proposed);
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
