//! `countersign target …`: what agents reach, and what waits for people, over the API.

use std::process::ExitCode;

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::output::{self, Coded, FAILED};
use super::review::{Api, text};
use super::{Context, propose};

#[derive(Debug, Subcommand)]
pub(super) enum TargetCommand {
    /// List targets, and which of them wait for people
    List,
    /// Propose a target as the configuration has it, where people are asked about that
    Propose {
        /// Which
        name: String,
        /// Why, for those who decide on it
        #[arg(long)]
        reason: Option<String>,
    },
}

pub(super) async fn run(context: &Context, command: TargetCommand) -> anyhow::Result<ExitCode> {
    let api = Api::from_env()?;
    let answer = api.call(Method::GET, "targets", None).await?;
    match command {
        TargetCommand::List if context.json => output::json(&answer["targets"])?,
        TargetCommand::List => list(&answer),
        TargetCommand::Propose { name, reason } => {
            let digest = waiting(&answer, &name)?;
            let body = json!({"target": name, "digest": digest, "reason": reason});
            let proposed = api.call(Method::POST, "targets/proposals", Some(body)).await?;
            return propose::tell(context, &proposed);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(answer: &Value) {
    let rows = answer["targets"].as_array().into_iter().flatten().map(|target| {
        let state = match (target["in_force"] == true, target["waits"].is_string()) {
            (true, false) => "in force",
            (true, true) => "in force; a change waits for people",
            (false, _) => "waits for people",
        };
        let cell = |key: &str| text(target, key);
        vec![cell("name"), cell("protocol"), cell("environment"), cell("sensitivity"), state.to_owned()]
    });
    output::table(&["NAME", "PROTOCOL", "ENVIRONMENT", "SENSITIVITY", "STATE"], &rows.collect::<Vec<_>>());
}

fn waiting<'a>(answer: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    let mut targets = answer["targets"].as_array().into_iter().flatten();
    let found = targets.find(|target| target["name"] == name);
    let digest = found.and_then(|target| target["waits"].as_str());
    digest.ok_or_else(|| {
        let (code, message) = match found {
            Some(_) => ("bad_request", format!("the target `{name}` is in force as it is configured")),
            None => ("unknown_target", format!("there is no target `{name}`")),
        };
        Coded { exit: FAILED, code: code.to_owned(), message }.into()
    })
}
