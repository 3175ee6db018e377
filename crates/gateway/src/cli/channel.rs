//! `countersign channel …`: what could not be told where people read it, over the API.

use std::process::ExitCode;

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::Context;
use super::output;
use super::review::{Api, text};

#[derive(Debug, Subcommand)]
pub(super) enum ChannelCommand {
    /// List the messages about reviews that fail or were given up, and why
    Undelivered,
    /// Try one again now
    Retry {
        /// The review
        review: String,
        /// The place, as `undelivered` shows it: slack:#approvals
        place: String,
    },
}

pub(super) async fn run(context: &Context, command: ChannelCommand) -> anyhow::Result<ExitCode> {
    let api = Api::from_env()?;
    match command {
        ChannelCommand::Undelivered => {
            let list = api.call(Method::GET, "undelivered", None).await?;
            let rows: Vec<Vec<String>> = list["undelivered"].as_array().into_iter().flatten().map(row).collect();
            match (context.json, rows.is_empty()) {
                (true, _) => output::json(&list)?,
                (false, true) => output::line("everything was told"),
                (false, false) => output::table(&["REVIEW", "PLACE", "FAILED", "STATE", "WHY"], &rows),
            }
        }
        ChannelCommand::Retry { review, place } => {
            api.call(Method::POST, "undelivered/retry", Some(json!({"review": review, "place": place}))).await?;
            if context.json {
                output::json(&json!({"review": review, "place": place, "tried": true}))?;
            } else {
                output::line(&format!(
                    "{place} is told of {review} now; `countersign channel undelivered` says if it fails"
                ));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn row(one: &Value) -> Vec<String> {
    let state = if one["dead"] == true { "given up" } else { "trying" }.to_owned();
    let failed = one["failed"].as_u64().map_or_else(String::new, |failed| failed.to_string());
    [text(one, "review"), text(one, "place"), failed, state, text(one, "error")].to_vec()
}
