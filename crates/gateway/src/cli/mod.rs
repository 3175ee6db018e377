//! The command line: arguments, and one folder-mate per group of commands.
//!
//! Exit codes: 0 done, 1 failed, 2 usage, 3 refused by policy, 4 rejected by a reviewer, 5 expired.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};

mod card;
mod channel;
mod connect;
mod describe;
mod disclose;
mod doctor;
mod duty;
mod follow_up;
mod identity;
mod incident;
mod ledger;
mod output;
mod pattern;
mod policy;
mod propose;
mod prove;
mod replay;
mod review;
mod secrets;
mod target;
mod token;
mod watch;

use crate::app::App;
use crate::config::Config;
use crate::host;
use crate::protocols::postgres::describe::STACK_BYTES;
use crate::telemetry;

/// A human's signature between an agent's intent and its execution.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    /// The configuration file
    #[arg(long, global = true, default_value = "countersign.toml", env = "COUNTERSIGN_CONFIG")]
    config: PathBuf,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway
    Serve,
    /// Check the configuration, the policies, the data directory and the upstreams
    Doctor,
    /// Show how a client connects to a target
    Connect(connect::Args),
    /// People who own agents and approve
    #[command(subcommand)]
    Person(identity::PersonCommand),
    /// Agents and their keys
    #[command(subcommand)]
    Agent(identity::AgentCommand),
    /// Targets: list, and propose those that wait for people (COUNTERSIGN_URL, COUNTERSIGN_TOKEN)
    #[command(subcommand)]
    Target(target::TargetCommand),
    /// Reviews: list, look, decide (COUNTERSIGN_URL, COUNTERSIGN_TOKEN)
    #[command(subcommand)]
    Review(review::ReviewCommand),
    /// Channels: what could not be told in Slack, and trying it again (COUNTERSIGN_URL, COUNTERSIGN_TOKEN)
    #[command(subcommand)]
    Channel(channel::ChannelCommand),
    /// Duties: who reviews in whose place while they are away (COUNTERSIGN_URL, COUNTERSIGN_TOKEN)
    #[command(subcommand)]
    Duty(duty::DutyCommand),
    /// Say that there is an incident, for a time
    #[command(subcommand)]
    Incident(incident::IncidentCommand),
    /// Patterns: what was approved for more than once (COUNTERSIGN_URL, COUNTERSIGN_TOKEN)
    #[command(subcommand)]
    Pattern(pattern::PatternCommand),
    /// Who the server takes you for (COUNTERSIGN_URL, COUNTERSIGN_TOKEN)
    Whoami,
    /// A job's own token for a key of its agent (COUNTERSIGN_URL)
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// The keys that seal what the gateway stores
    #[command(subcommand)]
    Secrets(secrets::SecretsCommand),
    /// Policies: check, test, explain, replay, prove, format, propose
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// The record: verify, prove
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
    /// What the gateway understands of a statement
    #[command(subcommand)]
    Describe(describe::DescribeCommand),
    /// Print the completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What every command is given.
struct Context {
    config: PathBuf,
    json: bool,
}

impl Context {
    fn load(&self) -> anyhow::Result<Config> {
        Ok(Config::load(&self.config)?)
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // two providers of cryptography may be linked; rustls must not have to guess
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default(); // fails only if done already
    let context = Context { config: cli.config, json: cli.json };
    match run(cli.command, &context) {
        Ok(code) => code,
        Err(error) => {
            output::error(&error, context.json);
            ExitCode::from(output::code_of(&error))
        }
    }
}

fn run(command: Command, context: &Context) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve => block_on(async {
            telemetry::start(context.json)?;
            host::guard_memory().context("cannot keep the memory from being dumped")?;
            App::open(context.load()?).await?.serve().await?;
            Ok(ExitCode::SUCCESS)
        }),
        Command::Doctor => block_on(doctor::run(context)),
        Command::Connect(args) => connect::run(context, &args),
        Command::Person(command) => block_on(identity::person(context, command)),
        Command::Agent(command) => block_on(identity::agent(context, command)),
        Command::Target(command) => block_on(target::run(context, command)),
        Command::Review(command) => block_on(review::run(context, command)),
        Command::Channel(command) => block_on(channel::run(context, command)),
        Command::Duty(command) => block_on(duty::run(context, command)),
        Command::Incident(command) => block_on(incident::run(context, command)),
        Command::Pattern(command) => block_on(pattern::run(context, command)),
        Command::Whoami => block_on(review::whoami(context)),
        Command::Token(command) => block_on(token::run(context, command)),
        Command::Secrets(command) => block_on(secrets::run(context, command)),
        Command::Policy(command) => block_on(policy::run(context, command)),
        Command::Ledger(command) => block_on(ledger::run(context, command)),
        Command::Describe(command) => describe::run(context, command),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "countersign", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn block_on(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().thread_stack_size(STACK_BYTES).build()?.block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
