//! `countersign token exchange` and `countersign agent key create`: keys that end by themselves.
//!
//! A job runs one command: it takes the token that its platform gave it, or fetches GitHub's, and prints what a client needs
//! to connect. Nothing is stored.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::output::{self, Coded, FAILED, Paint, REFUSED, USAGE};
use super::review::Api;
use super::{Context, review};

/// The longest token that is read.
const TOKEN_BYTES_MAX: u64 = 16 * 1024;
/// How long the gateway, or GitHub, may take.
const TIME_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Exchange the token of a job for a key of its agent
    Exchange {
        /// The file with the token that a trusted issuer gave the job; `-` for standard input
        #[arg(long, conflicts_with = "github", required_unless_present = "github")]
        issuer_token: Option<PathBuf>,
        /// Ask GitHub Actions for the token; the job needs the permission `id-token: write`
        #[arg(long, requires = "audience")]
        github: bool,
        /// For whom GitHub's token is meant, as `audience` of `[[issuer]]` says
        #[arg(long)]
        audience: Option<String>,
        /// Print only this: `username` or `key`
        #[arg(long, value_parser = ["username", "key"])]
        only: Option<String>,
    },
}

pub(super) async fn run(context: &Context, command: TokenCommand) -> anyhow::Result<ExitCode> {
    let TokenCommand::Exchange { issuer_token, github: _, audience, only } = command;
    let client = reqwest::Client::builder().timeout(TIME_MAX).redirect(reqwest::redirect::Policy::none()).build()?;
    let token = match issuer_token {
        Some(path) => read(&path)?,
        None => of_github(&client, audience.as_deref().unwrap_or_default()).await?,
    };
    let made = exchange(&client, &token).await?;
    if context.json {
        output::json(&made)?;
    } else {
        print(&made, only.as_deref());
    }
    Ok(ExitCode::SUCCESS)
}

fn read(path: &PathBuf) -> anyhow::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    if path.as_os_str() == "-" {
        std::io::stdin().take(TOKEN_BYTES_MAX).read_to_string(&mut text)?;
    } else {
        let file = std::fs::File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        file.take(TOKEN_BYTES_MAX).read_to_string(&mut text)?;
    }
    Ok(Zeroizing::new(text.trim().to_owned()))
}

/// The job's token, from where GitHub Actions hands it out.
async fn of_github(client: &reqwest::Client, audience: &str) -> anyhow::Result<Zeroizing<String>> {
    let from = |name: &str| {
        std::env::var(name).map_err(|_| Coded {
            exit: USAGE,
            code: "bad_request".to_owned(),
            message: format!("{name} is not set: give the job `permissions: id-token: write`"),
        })
    };
    let (url, bearer) =
        (from("ACTIONS_ID_TOKEN_REQUEST_URL")?, Zeroizing::new(from("ACTIONS_ID_TOKEN_REQUEST_TOKEN")?));
    let request = client.get(url).query(&[("audience", audience)]).bearer_auth(bearer.as_str());
    let answer = request.send().await.context("GitHub does not answer")?.error_for_status()?;
    let answer: Value = answer.json().await.context("GitHub answered without JSON")?;
    let token = answer["value"].as_str().context("GitHub gave no token")?;
    Ok(Zeroizing::new(token.to_owned()))
}

async fn exchange(client: &reqwest::Client, token: &str) -> anyhow::Result<Value> {
    let url = std::env::var("COUNTERSIGN_URL").unwrap_or_else(|_| "http://127.0.0.1:8470".to_owned());
    let url = format!("{}/api/v1/token", url.trim_end_matches('/'));
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("subject_token", token),
    ];
    let body = reqwest::Url::parse_with_params("http://form", form)?;
    let request = client.post(&url).header("content-type", "application/x-www-form-urlencoded");
    let answer = request.body(body.query().unwrap_or_default().to_owned()).send().await;
    let answer = answer.with_context(|| format!("`{url}` does not answer"))?;
    let status = answer.status();
    let value: Value = answer.json().await.with_context(|| format!("`{url}` answered {status} without JSON"))?;
    if status.is_success() {
        return Ok(json!({"username": value["username"], "key": value["access_token"], "agent": value["agent"],
            "expires_in": value["expires_in"]}));
    }
    let (code, detail) = (review::text(&value, "code"), review::text(&value, "error_description"));
    let exit = if value["error"] == "invalid_grant" { REFUSED } else { FAILED };
    Err(Coded { exit, message: format!("{detail} ({code}, {})", status.as_u16()), code }.into())
}

/// What a client needs, for people and for `eval`.
fn print(made: &Value, only: Option<&str>) {
    let (username, key) = (review::text(made, "username"), review::text(made, "key"));
    match only {
        Some("username") => output::line(&username),
        Some(_) => output::line(&key),
        None => {
            output::line(&format!("export PGUSER='{username}'"));
            output::line(&format!("export PGPASSWORD='{key}'"));
            let until = match made["expires_in"].as_i64() {
                Some(seconds) => format!("for {seconds} seconds"),
                None => format!("until {}", review::text(made, "expires_at")),
            };
            let hint = format!("# good {until}; then: psql \"host=GATEWAY port=8471 dbname=TARGET sslmode=require\"");
            output::line(&output::painted(Paint::Quiet, &hint));
        }
    }
}

pub(super) async fn create_key(context: &Context, agent: &str, hours: u32) -> anyhow::Result<ExitCode> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    if agent.is_empty() || !agent.chars().all(plain) {
        let message = format!("`{agent}` is not the name of an agent");
        return Err(Coded { exit: USAGE, code: "bad_request".to_owned(), message }.into());
    }
    let body = json!({ "hours": hours });
    let made = Api::from_env()?.call(Method::POST, &format!("agents/{agent}/keys"), Some(body)).await?;
    if context.json {
        output::json(&made)?;
    } else {
        print(&made, None);
    }
    Ok(ExitCode::SUCCESS)
}
