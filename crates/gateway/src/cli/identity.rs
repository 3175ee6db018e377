//! `countersign person …` and `countersign agent …`: through the running server, or straight into the store.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Value, json};

use super::{Context, output, propose, token};
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
        /// Why, for those who decide on it
        #[arg(long)]
        reason: Option<String>,
    },
    /// Give a person groups, or take them
    #[command(subcommand)]
    Group(GroupCommand),
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
        /// Why, for those who decide on it
        #[arg(long)]
        reason: Option<String>,
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
        /// Why, for those who decide on it
        #[arg(long)]
        reason: Option<String>,
    },
    /// Take an account from a person: it speaks for nobody then
    Unlink {
        /// Who
        name: String,
        /// Whose id it is
        #[arg(long)]
        provider: String,
        /// The id there
        #[arg(long)]
        subject: String,
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

/// With `changes = "review"` it takes other people to give; whoever has COUNTERSIGN_TOKEN set proposes it to them.
#[derive(Debug, Subcommand)]
pub(super) enum GroupCommand {
    /// Give groups
    Add {
        /// To whom
        name: String,
        /// Which
        #[arg(required = true)]
        groups: Vec<String>,
        /// Why, for those who decide on it
        #[arg(long)]
        reason: Option<String>,
    },
    /// Take groups away, at once
    Remove {
        /// From whom
        name: String,
        /// Which
        #[arg(required = true)]
        groups: Vec<String>,
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
    /// Give an agent groups, or take them
    #[command(subcommand)]
    Group(GroupCommand),
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
    let (request, reason) = match command {
        PersonCommand::Add { name, email, groups, reason } => {
            (Request::PersonAdd { name, email, groups: set(groups) }, reason)
        }
        PersonCommand::Group(GroupCommand::Add { name, groups, reason }) => {
            (Request::PersonGroups { name, groups: set(groups), give: true }, reason)
        }
        PersonCommand::Group(GroupCommand::Remove { name, groups }) => {
            (Request::PersonGroups { name, groups: set(groups), give: false }, None)
        }
        PersonCommand::List => (Request::PersonList, None),
        PersonCommand::Suspend { name } => (Request::PersonSuspend { name, suspended: true }, None),
        PersonCommand::Restore { name, reason } => (Request::PersonSuspend { name, suspended: false }, reason),
        PersonCommand::Link { name, provider, subject, label, reason } => {
            (Request::PersonLink { name, provider, subject, label }, reason)
        }
        PersonCommand::Unlink { name, provider, subject } => (Request::PersonUnlink { name, provider, subject }, None),
        PersonCommand::Token(TokenCommand::Create { name, scope, days }) => {
            (Request::TokenCreate { person: name, scope, days }, None)
        }
        PersonCommand::LoginLink { name } => (Request::LoginLink { person: name }, None),
    };
    change(context, request, reason).await
}

pub(super) async fn agent(context: &Context, command: AgentCommand) -> anyhow::Result<ExitCode> {
    let (request, reason) = match command {
        AgentCommand::Create { name, owner, groups } => {
            (Request::AgentCreate { name, owner, groups: set(groups) }, None)
        }
        AgentCommand::Group(GroupCommand::Add { name, groups, reason }) => {
            (Request::AgentGroups { name, groups: set(groups), give: true }, reason)
        }
        AgentCommand::Group(GroupCommand::Remove { name, groups }) => {
            (Request::AgentGroups { name, groups: set(groups), give: false }, None)
        }
        AgentCommand::List => (Request::AgentList, None),
        AgentCommand::Key(KeyCommand::Create { name, hours }) => return token::create_key(context, &name, hours).await,
        AgentCommand::Revoke { name } => (Request::AgentRevoke { name }, None),
    };
    change(context, request, reason).await
}

/// Whoever has a token proposes what gives somebody more; without one it is the host that asks.
async fn change(context: &Context, request: Request, reason: Option<String>) -> anyhow::Result<ExitCode> {
    match proposal(&request).filter(|_| propose::as_person()) {
        Some(change) => propose::people(context, change, reason).await,
        None => answer(context, request).await,
    }
}

/// A change that a person can propose, as the API takes it.
fn proposal(request: &Request) -> Option<Value> {
    Some(match request {
        Request::PersonAdd { name, email, groups } => {
            json!({"do": "add_person", "name": name, "email": email, "groups": groups})
        }
        Request::PersonGroups { name, groups, give: true } => {
            json!({"do": "add_groups", "person": name, "groups": groups})
        }
        Request::PersonGroups { name, groups, give: false } => {
            json!({"do": "remove_groups", "person": name, "groups": groups})
        }
        Request::PersonSuspend { name, suspended: false } => json!({"do": "restore_person", "person": name}),
        Request::PersonLink { name, provider, subject, label } => {
            let label = label.clone().unwrap_or_default();
            json!({"do": "link_account", "person": name, "provider": provider, "subject": subject, "label": label})
        }
        Request::AgentGroups { name, groups, give: true } => {
            json!({"do": "add_agent_groups", "agent": name, "groups": groups})
        }
        Request::AgentGroups { name, groups, give: false } => {
            json!({"do": "remove_agent_groups", "agent": name, "groups": groups})
        }
        _ => return None,
    })
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
        Request::PersonGroups { .. } | Request::AgentGroups { .. } => {
            output::line(&format!("{} is in {}", text("name"), groups(value)));
        }
        Request::PersonSuspend { suspended: true, .. } => output::line(&format!("suspended {}", text("name"))),
        Request::PersonSuspend { suspended: false, .. } => output::line(&format!("restored {}", text("name"))),
        Request::PersonLink { .. } => {
            output::line(&format!("linked {} of {} to {}", text("subject"), text("provider"), text("person")));
        }
        Request::PersonUnlink { .. } => {
            output::line(&format!("{} of {} speaks for nobody now", text("subject"), text("provider")));
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
