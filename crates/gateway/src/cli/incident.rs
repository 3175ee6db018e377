//! `countersign incident …`: that something is badly wrong, as policies see it, over the API.

use std::process::ExitCode;

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::Context;
use super::output::{self, Coded, USAGE};
use super::review::{Api, text};
use crate::resolve::pattern::read_seconds;

#[derive(Debug, Subcommand)]
pub(super) enum IncidentCommand {
    /// Say that there is an incident: policies that name it ask for less, except of your own side
    Declare {
        /// What is going on; everybody reads it
        #[arg(long)]
        reason: String,
        /// For how long, at most 4 hours: `30m`, `2h`
        #[arg(long = "for", value_name = "TIME", default_value = "1h")]
        time: String,
    },
    /// End one, whoever declared it; the only one there is when none is named
    End {
        /// The incident
        id: Option<String>,
    },
    /// List those that go on
    List,
}

pub(super) async fn run(context: &Context, command: IncidentCommand) -> anyhow::Result<ExitCode> {
    let api = Api::from_env()?;
    match command {
        IncidentCommand::Declare { reason, time } => {
            let wrong = || usage(format!("`{time}` is no time; write `30m` or `2h`"));
            let seconds = read_seconds(&time).ok_or_else(wrong)?;
            let body = json!({"reason": reason, "seconds": seconds});
            let incident = api.call(Method::POST, "incidents", Some(body)).await?;
            if context.json { output::json(&incident)? } else { output::line(&words(&incident)) }
        }
        IncidentCommand::End { id } => {
            let id = match id {
                Some(id) => id,
                None => the_only_one(&api).await?,
            };
            api.call(Method::DELETE, &path(&id)?, None).await?;
            output::line(&format!("incident {id} has ended"));
        }
        IncidentCommand::List => {
            let list = api.call(Method::GET, "incidents", None).await?;
            let incidents = list["incidents"].as_array().cloned().unwrap_or_default();
            match (context.json, incidents.is_empty()) {
                (true, _) => output::json(&list)?,
                (false, true) => output::line("no incident is declared"),
                (false, false) => incidents.iter().for_each(|incident| output::line(&words(incident))),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn the_only_one(api: &Api) -> anyhow::Result<String> {
    let list = api.call(Method::GET, "incidents", None).await?;
    match list["incidents"].as_array().map(Vec::as_slice) {
        Some([one]) => Ok(text(one, "id")),
        Some([]) | None => Err(usage("no incident is declared".to_owned())),
        Some(_) => Err(usage("several are declared; name one, `countersign incident list` shows them".to_owned())),
    }
}

fn path(id: &str) -> anyhow::Result<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if id.is_empty() || !id.chars().all(plain) {
        let message = format!("`{id}` is not the id of an incident; `countersign incident list` shows them");
        return Err(usage(message));
    }
    Ok(format!("incidents/{id}"))
}

fn usage(message: String) -> anyhow::Error {
    Coded { exit: USAGE, code: "bad_request".to_owned(), message }.into()
}

fn words(incident: &Value) -> String {
    let (id, by, until) = (text(incident, "id"), text(incident, "declared_by"), text(incident, "until"));
    let reason = text(incident, "reason").replace(['\n', '\t'], " ");
    format!("{id}  declared by {by} until {until}: {reason}")
}
