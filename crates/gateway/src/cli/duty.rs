//! `countersign duty …`: who reviews in whose place while they are away, over the API.

use std::process::ExitCode;

use chrono::{NaiveDate, NaiveTime};
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::Context;
use super::output::{self, Coded, USAGE};
use super::review::{Api, text};

#[derive(Debug, Subcommand)]
pub(super) enum DutyCommand {
    /// Have somebody review in your place for a time
    Give {
        /// Who
        deputy: String,
        /// Until when: a day (`2026-12-24`, its end in UTC) or a time (RFC 3339)
        #[arg(long)]
        until: String,
        /// From when; from now on when absent
        #[arg(long)]
        from: Option<String>,
        /// For which of your groups; all of them when absent
        #[arg(long, value_delimiter = ',')]
        groups: Vec<String>,
    },
    /// List the duties that you gave or do
    List,
    /// End one
    End {
        /// The duty
        id: String,
    },
}

pub(super) async fn run(context: &Context, command: DutyCommand) -> anyhow::Result<ExitCode> {
    let api = Api::from_env()?;
    match command {
        DutyCommand::Give { deputy, until, from, groups } => {
            let from = from.map(|from| time(&from, NaiveTime::MIN)).transpose()?;
            let until = time(&until, last_second())?;
            let body = json!({"deputy": deputy, "groups": groups, "from": from, "until": until});
            let duty = api.call(Method::POST, "duties", Some(body)).await?;
            if context.json { output::json(&duty)? } else { output::line(&words(&duty)) }
        }
        DutyCommand::List => {
            let list = api.call(Method::GET, "duties", None).await?;
            let duties = list["duties"].as_array().cloned().unwrap_or_default();
            match (context.json, duties.is_empty()) {
                (true, _) => output::json(&list)?,
                (false, true) => output::line("no duties"),
                (false, false) => duties.iter().for_each(|duty| output::line(&words(duty))),
            }
        }
        DutyCommand::End { id } => {
            api.call(Method::DELETE, &path(&id)?, None).await?;
            output::line(&format!("duty {id} has ended"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn last_second() -> NaiveTime {
    NaiveTime::from_hms_opt(23, 59, 59).unwrap_or(NaiveTime::MIN)
}

/// A day's given time in UTC, or a time as it stands.
fn time(given: &str, at: NaiveTime) -> anyhow::Result<String> {
    if let Ok(day) = given.parse::<NaiveDate>() {
        return Ok(day.and_time(at).and_utc().to_rfc3339());
    }
    match chrono::DateTime::parse_from_rfc3339(given) {
        Ok(time) => Ok(time.to_rfc3339()),
        Err(_) => {
            let message = format!("`{given}` is neither a day such as `2026-12-24` nor a time in RFC 3339");
            Err(Coded { exit: USAGE, code: "bad_request".to_owned(), message }.into())
        }
    }
}

fn path(id: &str) -> anyhow::Result<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if id.is_empty() || !id.chars().all(plain) {
        let message = format!("`{id}` is not the id of a duty; `countersign duty list` shows them");
        return Err(Coded { exit: USAGE, code: "bad_request".to_owned(), message }.into());
    }
    Ok(format!("duties/{id}"))
}

fn words(duty: &Value) -> String {
    let groups = duty["groups"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let groups = groups.map(output::safe).collect::<Vec<_>>().join(", ");
    let (id, of, deputy) = (text(duty, "id"), text(duty, "of"), text(duty, "deputy"));
    let when = format!("from {} until {}", text(duty, "from"), text(duty, "until"));
    let state = if duty["in_force"] == true { "in force" } else { "not yet in force" };
    format!("{id}  {deputy} reviews for {of} ({groups}), {when}, {state}")
}
