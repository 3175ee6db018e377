//! `countersign review …`: the command line as a place to decide, over the API.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Context;
use super::card::{self, plain, suffices};
use super::disclose;
use super::follow_up::{self, Judgement};
use super::output::{self, Coded, FAILED, Paint, REFUSED, USAGE};
use super::watch;

/// How long one stream of changes is listened to; the gateway ends it sooner.
const EVENTS_MAX: Duration = Duration::from_secs(2 * 60 * 60);

#[derive(Debug, Subcommand)]
pub(super) enum ReviewCommand {
    /// List reviews
    List {
        /// open, closed or all
        #[arg(long, default_value = "open")]
        state: String,
    },
    /// Watch the open reviews live, and decide with a key; a line a change where there is no terminal
    Watch(watch::WatchArgs),
    /// Show a review's whole card
    Show {
        /// The review
        id: String,
    },
    /// Approve what a review shows now
    Approve {
        /// The review
        id: String,
        /// Why
        #[arg(long)]
        reason: Option<String>,
        /// Approve the like of it too: how far values may vary, as in `1=any,2=10..20`; `same` for none
        #[arg(long, value_name = "VALUES")]
        pattern: Option<String>,
        /// At most so many executions of the pattern, this one included
        #[arg(long, requires = "pattern")]
        uses: Option<u32>,
        /// For how long, as in `30m`
        #[arg(long = "for", requires = "pattern", value_name = "TIME")]
        time: Option<String>,
    },
    /// Show what a card hides; the record says that you looked
    Reveal {
        /// The review
        id: String,
        /// Which placeholders, as in `email 1`; all of them when none is named
        marks: Vec<String>,
    },
    /// Compare what a card hides with what you expect; five times for one value
    Compare {
        /// The review
        id: String,
        /// Which placeholder, as in `email 1`
        mark: String,
        /// What it should be; read from standard input when it is not given
        expected: Option<String>,
    },
    /// Reject it
    Reject {
        /// The review
        id: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Break the glass: let the action run alone, where policy makes that exception; everybody who was asked is told
    BreakGlass {
        /// The review
        id: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// List broken glass that somebody has to look at
    FollowUps {
        /// Those that are done as well
        #[arg(long)]
        all: bool,
    },
    /// Sign off a broken glass, for a group that had been asked
    SignOff {
        /// The review
        id: String,
        /// What you found
        judgement: Judgement,
        /// What you looked at
        #[arg(long)]
        note: String,
    },
    /// Take your own vote back, as long as nothing has come of it
    Retract {
        /// The review
        id: String,
    },
    /// Take a review back (the requester's side)
    Withdraw {
        /// The review
        id: String,
    },
}

pub(super) async fn run(context: &Context, command: ReviewCommand) -> anyhow::Result<ExitCode> {
    let api = Api::from_env()?;
    match command {
        ReviewCommand::List { state } => {
            let list = api.call(Method::GET, &format!("reviews?state={state}"), None).await?;
            if context.json { output::json(&list)? } else { print_list(&list) }
        }
        ReviewCommand::Watch(args) => return watch::run(context, api, &args).await,
        ReviewCommand::Show { id } => {
            let review = api.call(Method::GET, &path(&id, "")?, None).await?;
            if context.json { output::json(&review)? } else { card::print(&review) }
        }
        ReviewCommand::Approve { id, reason, pattern, uses, time } => {
            let values = pattern.map(|values| if values == "same" { String::new() } else { values });
            let wish = values.map(|values| super::pattern::wish(&values, uses, time.as_deref())).transpose()?;
            return vote(context, &api, &id, Said { verdict: "approve", reason, pattern: wish }).await;
        }
        ReviewCommand::Reveal { id, marks } => return disclose::reveal(context, &api, &id, marks).await,
        ReviewCommand::Compare { id, mark, expected } => {
            return disclose::compare(context, &api, &id, mark, expected).await;
        }
        ReviewCommand::Reject { id, reason } => {
            let said = Said { verdict: "reject", reason: Some(reason), pattern: None };
            return vote(context, &api, &id, said).await;
        }
        ReviewCommand::BreakGlass { id, reason } => return follow_up::break_glass(context, &api, &id, reason).await,
        ReviewCommand::FollowUps { all } => return follow_up::list(context, &api, all).await,
        ReviewCommand::SignOff { id, judgement, note } => {
            return follow_up::sign_off(context, &api, &id, judgement, note).await;
        }
        ReviewCommand::Retract { id } => {
            let review = api.call(Method::DELETE, &path(&id, "/votes")?, None).await?;
            told(context, &review)?;
        }
        ReviewCommand::Withdraw { id } => {
            let review = api.call(Method::POST, &path(&id, "/withdraw")?, None).await?;
            told(context, &review)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn whoami(context: &Context) -> anyhow::Result<ExitCode> {
    let me = Api::from_env()?.call(Method::GET, "whoami", None).await?;
    if context.json {
        output::json(&me)?;
    } else {
        for (key, value) in me.as_object().into_iter().flatten() {
            output::line(&format!("{key:<10} {}", plain(value)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What somebody says of a review.
struct Said {
    verdict: &'static str,
    reason: Option<String>,
    pattern: Option<Value>,
}

/// Votes on what the review shows at this moment: both digests are those of the card just read.
async fn vote(context: &Context, api: &Api, id: &str, said: Said) -> anyhow::Result<ExitCode> {
    let seen = api.call(Method::GET, &path(id, "")?, None).await?;
    let body = json!({
        "verdict": said.verdict,
        "reason": said.reason,
        "pattern": said.pattern,
        "action_digest": seen["action_digest"],
        "card_digest": seen["card_digest"],
    });
    let cast = api.call(Method::POST, &path(id, "/votes")?, Some(body)).await;
    let review = cast.map_err(|error| where_to_sign(error, &seen))?;
    told(context, &review)?;
    Ok(ExitCode::SUCCESS)
}

/// A passkey is a browser's to use: where one is asked for, the review's page is named.
pub(super) fn where_to_sign(error: anyhow::Error, review: &Value) -> anyhow::Error {
    match error.downcast::<Coded>() {
        Ok(coded) if coded.code == "passkey_required" => {
            let message = format!("{}; open {}", coded.message, text(review, "url"));
            Coded { message, ..coded }.into()
        }
        Ok(coded) => coded.into(),
        Err(error) => error,
    }
}

pub(super) fn told(context: &Context, review: &Value) -> anyhow::Result<()> {
    if context.json {
        return output::json(review);
    }
    let state = text(review, "state");
    output::line(&format!("review {} is {}", text(review, "id"), state_painted(&state)));
    if state == "open" {
        output::line(&format!("still needed: {}", suffices(review)));
    }
    Ok(())
}

pub(super) fn path(id: &str, rest: &str) -> anyhow::Result<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if id.is_empty() || !id.chars().all(plain) {
        let message = format!("`{id}` is not the id of a review; `countersign review list` shows them");
        return Err(Coded { exit: USAGE, code: "bad_request".to_owned(), message }.into());
    }
    Ok(format!("reviews/{id}{rest}"))
}

/// The API, by `COUNTERSIGN_URL` and `COUNTERSIGN_TOKEN`.
pub(super) struct Api {
    client: reqwest::Client,
    url: String,
    token: String,
}

impl Api {
    pub(super) fn from_env() -> anyhow::Result<Self> {
        let url = std::env::var("COUNTERSIGN_URL").unwrap_or_else(|_| "http://127.0.0.1:8470".to_owned());
        let token = std::env::var("COUNTERSIGN_TOKEN").map_err(|_| Coded {
            exit: USAGE,
            code: "unauthenticated".to_owned(),
            message: "COUNTERSIGN_TOKEN is not set; mint one with `countersign person token create NAME`".to_owned(),
        })?;
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { client, url: url.trim_end_matches('/').to_owned(), token })
    }

    /// The stream of changes; it lasts as long as the gateway lets it.
    pub(super) async fn events(&self) -> anyhow::Result<reqwest::Response> {
        let url = format!("{}/api/v1/events", self.url);
        let request = self.client.get(&url).bearer_auth(&self.token).timeout(EVENTS_MAX);
        let response =
            request.send().await.with_context(|| format!("the gateway at `{}` does not answer", self.url))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let problem = response.json().await.unwrap_or(Value::Null); // its status says enough
        Err(refused(status, &problem).into())
    }

    pub(super) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let url = format!("{}/api/v1/{path}", self.url);
        let mut request = self.client.request(method, &url).bearer_auth(&self.token);
        if let Some(body) = &body {
            request = request.json(body);
        }
        let response =
            request.send().await.with_context(|| format!("the gateway at `{}` does not answer", self.url))?;
        let status = response.status();
        if status == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        let value: Value = response.json().await.with_context(|| format!("`{url}` answered {status} without JSON"))?;
        if status.is_success() { Ok(value) } else { Err(refused(status, &value).into()) }
    }
}

/// A problem of the API, with the exit code that scripts rely on.
fn refused(status: StatusCode, problem: &Value) -> Coded {
    let code = text(problem, "code");
    let exit = match (status, code.as_str()) {
        (StatusCode::FORBIDDEN, _) => REFUSED,
        (StatusCode::BAD_REQUEST, _) => USAGE,
        _ => FAILED,
    };
    let detail = text(problem, "detail");
    Coded { exit, message: format!("{detail} ({code}, {})", status.as_u16()), code }
}

pub(super) fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).map(output::safe).unwrap_or_default()
}

pub(super) fn state_painted(state: &str) -> String {
    let paint = match state {
        "approved" => Paint::Good,
        "open" => Paint::Waiting,
        _ => Paint::Bad,
    };
    output::painted(paint, state)
}

fn print_list(list: &Value) {
    let reviews = list.as_array().or_else(|| list["reviews"].as_array()).or_else(|| list["items"].as_array());
    let reviews = reviews.cloned().unwrap_or_default();
    if reviews.is_empty() {
        output::line("no reviews");
        return;
    }
    let rows: Vec<Vec<String>> = reviews
        .iter()
        .map(|review| {
            let statement = text(review, "statement").replace(['\n', '\t'], " ");
            let short: String = statement.chars().take(60).collect();
            let short = if short.len() < statement.len() { format!("{short}…") } else { short };
            let who = format!("{} for {}", text(&review["requester"], "name"), text(review, "on_behalf_of"));
            vec![text(review, "id"), text(review, "state"), who, text(review, "target"), suffices(review), short]
        })
        .collect();
    output::table(&["ID", "STATE", "REQUESTER", "TARGET", "SUFFICES", "STATEMENT"], &rows);
}
