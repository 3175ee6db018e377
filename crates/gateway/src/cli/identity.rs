//! `countersign person …` and `countersign agent …`: through the running server, or straight into the store.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::Value;

use super::{Context, output, token};
use crate::admin::{self, Admin, Request, TOKEN_DAYS_DEFAULT};
use crate::app::{make_data_dir, open_sealer};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::ledger::{self, keys::KeyFile};
use crate::ports::{Scope, Scribe, Seal};
use crate::store::sqlite::SqliteStore;

#[derive(Debug, Subcommand)]
pub(super) enum PersonCommand {
    /// Add a person
    Add {
        /// The name they are known by
        name: String,
        /// Their address
        #[arg(long)]
        email: Option<String>,
        /// Their groups, separated by commas
        #[arg(long, value_delimiter = ',')]
        groups: Vec<String>,
    },
    /// List people
    List,
    /// Suspend a person: their credentials and unused votes stop counting
    Suspend {
        /// Who
        name: String,
    },
    /// Lift a suspension
    Restore {
        /// Who
        name: String,
    },
    /// Link an account somewhere else to a person, by the id it has there
    Link {
        /// Who
        name: String,
        /// Whose id it is: github, the name of an issuer, an issuer's address
        #[arg(long)]
        provider: String,
        /// The id there: never a name, which others may take over
        #[arg(long)]
        subject: String,
        /// What it is called there, for people
        #[arg(long)]
        label: Option<String>,
    },
    /// Tokens for the API and the command line
    #[command(subcommand)]
    Token(TokenCommand),
    /// Print a link that signs a person in to the console, once, within 15 minutes
    LoginLink {
        /// Who
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Mint a token and print it, once
    Create {
        /// For whom
        name: String,
        /// What it may do: review:read or review:vote
        #[arg(long, default_value = "review:vote", value_parser = scope)]
        scope: Scope,
        /// For how many days
        #[arg(long, default_value_t = TOKEN_DAYS_DEFAULT)]
        days: u32,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum AgentCommand {
    /// Create an agent and print its key, once
    Create {
        /// What it logs in as
        name: String,
        /// The person who answers for it
        #[arg(long)]
        owner: String,
        /// Its groups, separated by commas
        #[arg(long, value_delimiter = ',')]
        groups: Vec<String>,
    },
    /// List agents
    List,
    /// Keys that act for you (COUNTERSIGN_URL, COUNTERSIGN_TOKEN)
    #[command(subcommand)]
    Key(KeyCommand),
    /// Revoke an agent: its key stops working
    Revoke {
        /// Which
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a key of an agent that acts for you, and print it, once
    Create {
        /// The agent
        name: String,
        /// For how many hours, 1 to 24
        #[arg(long, default_value_t = 8)]
        hours: u32,
    },
}

fn scope(text: &str) -> Result<Scope, String> {
    match text {
        "review:read" => Ok(Scope::ReviewRead),
        "review:vote" => Ok(Scope::ReviewVote),
        other => Err(format!("`{other}` is not a scope; use review:read or review:vote")),
    }
}

pub(super) async fn person(context: &Context, command: PersonCommand) -> anyhow::Result<ExitCode> {
    let request = match command {
        PersonCommand::Add { name, email, groups } => Request::PersonAdd { name, email, groups: set(groups) },
        PersonCommand::List => Request::PersonList,
        PersonCommand::Suspend { name } => Request::PersonSuspend { name, suspended: true },
        PersonCommand::Restore { name } => Request::PersonSuspend { name, suspended: false },
        PersonCommand::Link { name, provider, subject, label } => {
            Request::PersonLink { name, provider, subject, label }
        }
        PersonCommand::Token(TokenCommand::Create { name, scope, days }) => {
            Request::TokenCreate { person: name, scope, days }
        }
        PersonCommand::LoginLink { name } => Request::LoginLink { person: name },
    };
    answer(context, request).await
}

pub(super) async fn agent(context: &Context, command: AgentCommand) -> anyhow::Result<ExitCode> {
    let request = match command {
        AgentCommand::Create { name, owner, groups } => Request::AgentCreate { name, owner, groups: set(groups) },
        AgentCommand::List => Request::AgentList,
        AgentCommand::Key(KeyCommand::Create { name, hours }) => return token::create_key(context, &name, hours).await,
        AgentCommand::Revoke { name } => Request::AgentRevoke { name },
    };
    answer(context, request).await
}

fn set(groups: Vec<String>) -> BTreeSet<String> {
    groups.into_iter().map(|group| group.trim().to_owned()).filter(|group| !group.is_empty()).collect()
}

pub(super) async fn answer(context: &Context, request: Request) -> anyhow::Result<ExitCode> {
    let value = administer(&context.load()?, request.clone()).await?;
    if context.json {
        output::json(&value)?;
    } else {
        print(&request, &value);
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks the running server; without one, opens the store, which only one process can.
pub(super) async fn administer(config: &Config, request: Request) -> anyhow::Result<Value> {
    if let Some(answer) = admin::ask(&config.admin_socket(), &request).await {
        return Ok(answer?);
    }
    make_data_dir(&config.data_dir)?;
    let seal: Arc<dyn Seal> = Arc::new(open_sealer(config)?);
    let store = SqliteStore::open(&config.data_dir, seal.clone())
        .context("no server answers at `admin.sock`, and the store cannot be opened beside it")?;
    let scribe = Scribe::new(Arc::new(SystemClock::default()), config.node.clone());
    let config = Arc::new(config.clone());
    let store = Arc::new(store);
    let key_file = KeyFile::new(ledger::folder(&config.data_dir), seal.clone());
    let secrets = admin::Secrets { seal, sealed: vec![store.clone(), Arc::new(key_file)] };
    let admin = Admin { config, directory: store.clone(), store, secrets, scribe, roster: None, log: None };
    Ok(admin.execute(request).await?)
}

fn print(request: &Request, value: &Value) {
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(output::safe).unwrap_or_default();
    match request {
        Request::PersonAdd { .. } => output::line(&format!("added {} ({})", text("name"), groups(value))),
        Request::PersonSuspend { suspended: true, .. } => output::line(&format!("suspended {}", text("name"))),
        Request::PersonSuspend { suspended: false, .. } => output::line(&format!("restored {}", text("name"))),
        Request::PersonLink { .. } => {
            output::line(&format!("linked {} of {} to {}", text("subject"), text("provider"), text("person")));
        }
        Request::TokenCreate { .. } => output::line(&text("token")),
        Request::LoginLink { .. } => output::line(&text("url")),
        Request::AgentCreate { .. } => output::line(&text("key")),
        Request::AgentRevoke { .. } => output::line(&format!("revoked {}", text("name"))),
        Request::PersonList => people(value),
        Request::AgentList => agents(value),
        Request::Attempts { .. } => {} // `policy replay` tells what it makes of them
        Request::LedgerFlush => output::line("flushed"),
        Request::SecretsRotate => output::line(&format!("everything is sealed with the new key {}", text("key"))),
    }
}

fn groups(value: &Value) -> String {
    let names = value.get("groups").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "no groups".to_owned() } else { names.join(", ") }
}

fn cell(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).map(output::safe).unwrap_or_default()
}

fn people(value: &Value) {
    let rows: Vec<Vec<String>> = value
        .as_array()
        .into_iter()
        .flatten()
        .map(|person| {
            let suspended = person.get("suspended").and_then(Value::as_bool).unwrap_or_default();
            let state = if suspended { "suspended" } else { "active" };
            vec![cell(person, "name"), cell(person, "email"), groups(person), state.to_owned()]
        })
        .collect();
    output::table(&["NAME", "EMAIL", "GROUPS", "STATE"], &rows);
}

fn agents(value: &Value) {
    let rows: Vec<Vec<String>> = value
        .as_array()
        .into_iter()
        .flatten()
        .map(|agent| {
            let state = if cell(agent, "revoked_at").is_empty() { "active" } else { "revoked" };
            vec![cell(agent, "name"), cell(agent, "owner"), groups(agent), state.to_owned()]
        })
        .collect();
    output::table(&["NAME", "OWNER", "GROUPS", "STATE"], &rows);
}
