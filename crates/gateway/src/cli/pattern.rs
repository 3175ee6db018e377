//! `countersign pattern …`: what people approved for more than once, over the API.

use std::process::ExitCode;

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::Context;
use super::output::{self, Coded, USAGE};
use super::review::{Api, text};
use crate::resolve::pattern::read_wish;

#[derive(Debug, Subcommand)]
pub(super) enum PatternCommand {
    /// List the patterns under which something may run now
    List {
        /// Those that are over too
        #[arg(long)]
        all: bool,
    },
    /// Show a pattern, and what ran under it
    Show {
        /// The pattern
        id: String,
    },
    /// End a pattern at once
    Revoke {
        /// The pattern
        id: String,
    },
}

pub(super) async fn run(context: &Context, command: PatternCommand) -> anyhow::Result<ExitCode> {
    let api = Api::from_env()?;
    match command {
        PatternCommand::List { all } => {
            let list = api.call(Method::GET, &format!("patterns?all={all}"), None).await?;
            if context.json { output::json(&list)? } else { print_list(&list) }
        }
        PatternCommand::Show { id } => {
            let pattern = api.call(Method::GET, &path(&id)?, None).await?;
            if context.json { output::json(&pattern)? } else { print(&pattern) }
        }
        PatternCommand::Revoke { id } => {
            let pattern = api.call(Method::DELETE, &path(&id)?, None).await?;
            let said = || output::line(&format!("pattern {} is {}", text(&pattern, "id"), text(&pattern, "state")));
            if context.json { output::json(&pattern)? } else { said() }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What `review approve` sends of a pattern.
pub(super) fn wish(values: &str, uses: Option<u32>, time: Option<&str>) -> anyhow::Result<Value> {
    let read = read_wish(values, "", time.unwrap_or_default());
    let wish = read.map_err(|message| Coded { exit: USAGE, code: "bad_request".to_owned(), message })?;
    let parts = values.split([',', ';']).filter_map(|part| part.split_once('='));
    let values: serde_json::Map<String, Value> =
        parts.map(|(number, bound)| (number.trim().to_owned(), json!(bound.trim()))).collect();
    Ok(json!({ "uses": uses, "seconds": wish.seconds, "values": values }))
}

fn path(id: &str) -> anyhow::Result<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if id.is_empty() || !id.chars().all(plain) {
        let message = format!("`{id}` is not the id of a pattern; `countersign pattern list` shows them");
        return Err(Coded { exit: USAGE, code: "bad_request".to_owned(), message }.into());
    }
    Ok(format!("patterns/{id}"))
}

fn left(pattern: &Value) -> String {
    format!("{} of {}", pattern["used"], pattern["uses_max"])
}

fn print_list(list: &Value) {
    let patterns = list["patterns"].as_array().cloned().unwrap_or_default();
    if patterns.is_empty() {
        output::line("no patterns");
        return;
    }
    let row = |pattern: &Value| {
        let short: String = text(pattern, "text").replace(['\n', '\t'], " ").chars().take(60).collect();
        let who = format!("{} for {}", text(pattern, "requester"), text(pattern, "on_behalf_of"));
        let (id, state) = (text(pattern, "id"), text(pattern, "state"));
        vec![id, state, who, text(pattern, "target"), left(pattern), text(pattern, "expires_at"), short]
    };
    let rows: Vec<Vec<String>> = patterns.iter().map(row).collect();
    output::table(&["ID", "STATE", "REQUESTER", "TARGET", "USED", "UNTIL", "STATEMENT"], &rows);
}

fn print(pattern: &Value) {
    let field = |name: &str, value: String| output::line(&format!("{name:<14} {value}"));
    field("pattern", format!("{}  {}", text(pattern, "id"), text(pattern, "state")));
    field("requester", format!("{} for {}", text(pattern, "requester"), text(pattern, "on_behalf_of")));
    field("target", format!("{} ({})", text(pattern, "target"), text(pattern, "environment")));
    field("statement", text(pattern, "text"));
    for value in pattern["values"].as_array().into_iter().flatten() {
        field("value", format!("{}: {} (reviewed: {})", value["number"], text(value, "bound"), text(value, "value")));
    }
    let names = pattern["approved_by"].as_array().into_iter().flatten().filter_map(Value::as_str);
    field("approved by", names.map(output::safe).collect::<Vec<_>>().join(", "));
    field("used", left(pattern));
    field("until", text(pattern, "expires_at"));
    field("review", text(pattern, "review"));
    field("digest", text(pattern, "pattern_digest"));
    for used in pattern["uses"].as_array().into_iter().flatten() {
        let (action, status) = (text(used, "action"), text(used, "status"));
        field("use", format!("{}: {} {action} {status}", used["number"], text(used, "at")));
    }
}
