//! `countersign review break-glass`, `follow-ups` and `sign-off`: the exception, and what has to follow it.

use std::process::ExitCode;

use clap::ValueEnum;
use reqwest::Method;
use serde_json::{Value, json};

use super::Context;
use super::output::{self, Paint};
use super::review::{self, Api, path, text, told};

/// What a follow-up found.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Judgement {
    /// Breaking the glass was right
    Justified,
    /// It was not
    NotJustified,
}

/// Breaks the glass on what the review shows at this moment.
pub(super) async fn break_glass(context: &Context, api: &Api, id: &str, reason: String) -> anyhow::Result<ExitCode> {
    let seen = api.call(Method::GET, &path(id, "")?, None).await?;
    let body = json!({
        "reason": reason,
        "action_digest": seen["action_digest"],
        "card_digest": seen["card_digest"],
    });
    let broken = api.call(Method::POST, &path(id, "/break-glass")?, Some(body)).await;
    let review = broken.map_err(|error| review::where_to_sign(error, &seen))?;
    told(context, &review)?;
    if !context.json {
        output::line("everybody who was asked is told; somebody of them has to sign it off");
    }
    Ok(ExitCode::SUCCESS)
}

/// Lists broken glass.
pub(super) async fn list(context: &Context, api: &Api, all: bool) -> anyhow::Result<ExitCode> {
    let state = if all { "all" } else { "open" };
    let found = api.call(Method::GET, &format!("follow-ups?state={state}"), None).await?;
    if context.json {
        output::json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let follow_ups = found["follow_ups"].as_array().cloned().unwrap_or_default();
    if follow_ups.is_empty() {
        output::line("no follow-ups");
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = follow_ups.iter().map(row).collect();
    output::table(&["REVIEW", "STATE", "BROKEN BY", "AT", "APPROVAL", "TARGET", "REASON"], &rows);
    Ok(ExitCode::SUCCESS)
}

fn row(found: &Value) -> Vec<String> {
    let review = &found["review"];
    let broken = &review["glass_broken"];
    let reason = text(broken, "reason").replace(['\n', '\t'], " ");
    vec![
        text(review, "id"),
        text(found, "state"),
        text(broken, "person"),
        text(broken, "at"),
        text(found, "approval"),
        text(review, "target"),
        reason,
    ]
}

/// Signs one off.
pub(super) async fn sign_off(
    context: &Context,
    api: &Api,
    id: &str,
    judgement: Judgement,
    note: String,
) -> anyhow::Result<ExitCode> {
    let verdict = match judgement {
        Judgement::Justified => "justified",
        Judgement::NotJustified => "not_justified",
    };
    path(id, "")?; // only what can be an id goes into the address
    let body = json!({ "verdict": verdict, "note": note });
    let done = api.call(Method::POST, &format!("follow-ups/{id}"), Some(body)).await?;
    if context.json {
        output::json(&done)?;
    } else {
        let paint = if verdict == "justified" { Paint::Good } else { Paint::Bad };
        output::line(&format!(
            "the broken glass on review {id} was found {}",
            output::painted(paint, &text(&done, "state"))
        ));
    }
    Ok(ExitCode::SUCCESS)
}
