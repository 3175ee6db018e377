//! `countersign secrets …`: the master key, and the keys it wraps.

use std::process::ExitCode;

use clap::Subcommand;

use super::{Context, identity, output};
use crate::admin::Request;
use crate::vault::master;

#[derive(Debug, Subcommand)]
pub(super) enum SecretsCommand {
    /// Print a new master key, for a file of mode 600 or a secret manager
    Generate,
    /// Seal everything with a new key, wrapped by the master key as it is now; a running server goes on meanwhile
    Rotate,
}

pub(super) async fn run(context: &Context, command: SecretsCommand) -> anyhow::Result<ExitCode> {
    match command {
        SecretsCommand::Generate => {
            let key = master::generate()?;
            match context.json {
                true => output::json(&serde_json::json!({"master_key": key.trim_end()}))?,
                false => output::line(key.trim_end()),
            }
            Ok(ExitCode::SUCCESS)
        }
        SecretsCommand::Rotate => identity::answer(context, Request::SecretsRotate).await,
    }
}
