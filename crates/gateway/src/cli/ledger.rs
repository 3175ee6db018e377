//! `countersign ledger …`: verify the record, prove one leaf of it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::output::{self, Coded, FAILED, Paint};
use super::{Context, identity};
use crate::admin::Request;
use crate::ledger::verify::{self, Against, Report};

#[derive(Debug, Subcommand)]
pub(super) enum LedgerCommand {
    /// Verify every entry, hash and checkpoint
    Verify(VerifyArgs),
    /// Print the inclusion proof of one leaf (`.tlog-proof`)
    Prove {
        /// The leaf's index
        index: u64,
        /// The data directory; the configuration's when absent
        #[arg(long)]
        data: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The data directory; the configuration's when absent
    #[arg(long, conflicts_with = "url")]
    data: Option<PathBuf>,
    /// A gateway's address, such as https://countersign.example.org
    #[arg(long)]
    url: Option<String>,
    /// The log's verifier key, from a place you trust
    #[arg(long)]
    key: Option<String>,
    /// A checkpoint saved earlier: the log must have grown from it
    #[arg(long)]
    since: Option<PathBuf>,
}

pub(super) async fn run(context: &Context, command: LedgerCommand) -> anyhow::Result<ExitCode> {
    match command {
        LedgerCommand::Verify(args) => verify_log(context, args).await,
        LedgerCommand::Prove { index, data } => {
            let data = data_dir(context, data).await?;
            let proof = tokio::task::spawn_blocking(move || verify::prove(&data, index)).await?;
            output::line(proof.map_err(not_verified)?.trim_end());
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The directory, and when it is the configured one, everything recorded so far published in it.
async fn data_dir(context: &Context, data: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    if let Some(data) = data {
        return Ok(data);
    }
    let config = context.load()?;
    if config.admin_socket().exists() {
        identity::administer(&config, Request::LedgerFlush).await?;
    }
    Ok(config.data_dir)
}

async fn verify_log(context: &Context, args: VerifyArgs) -> anyhow::Result<ExitCode> {
    let since = args
        .since
        .map(|path| std::fs::read(&path).with_context(|| format!("cannot read the checkpoint `{}`", path.display())));
    let key = args.key.map(|key| key.trim().parse().map_err(|e| anyhow::anyhow!("--key is not a verifier key: {e}")));
    let against = Against { key: key.transpose()?, since: since.transpose()? };
    let report = match args.url {
        Some(url) => tokio::task::spawn_blocking(move || verify::verify_url(&url, against)).await?,
        None => {
            let data = data_dir(context, args.data).await?;
            tokio::task::spawn_blocking(move || verify::verify_dir(&data, against)).await?
        }
    };
    match report {
        Ok(report) => {
            print(context, &report)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(refusal) if context.json => {
            output::json(&serde_json::json!({"verified": false, "problem": refusal}))?;
            Ok(ExitCode::from(FAILED))
        }
        Err(refusal) => Err(not_verified(refusal)),
    }
}

fn not_verified(refusal: verify::Refusal) -> anyhow::Error {
    let place = match (refusal.first_bad_leaf, &refusal.range) {
        (Some(leaf), _) => format!("\nfirst bad leaf: {leaf}"),
        (None, Some(range)) => format!("\nfirst bad leaf: among {} to {}", range.start, range.end.saturating_sub(1)),
        (None, None) => String::new(),
    };
    let message = format!("NOT VERIFIED: {}{place}", refusal.message);
    Coded { exit: FAILED, code: refusal.code.to_owned(), message }.into()
}

fn print(context: &Context, report: &Report) -> anyhow::Result<()> {
    if context.json {
        let mut value = serde_json::to_value(report)?;
        if let Some(value) = value.as_object_mut() {
            value.insert("verified".to_owned(), true.into());
        }
        return output::json(&value);
    }
    let verified = &report.verified;
    output::line(&format!("{} {} records in {}", painted_verified(), verified.size, report.log));
    output::line(&format!("  origin   {}", verified.origin));
    output::line(&format!("  root     {}", verified.root));
    output::line(&format!("  key      {}", report.verifier_key));
    let (signed, attested) = (verified.signed_votes, verified.attested_votes);
    output::line(&format!(
        "  votes    {signed} signed by passkeys, each verified; {attested} on the gateway's word alone"
    ));
    let (signed, attested) = (verified.signed_breakings, verified.attested_breakings);
    if signed + attested > 0 {
        output::line(&format!(
            "  glass    broken {signed} times signed by passkeys, each verified; {attested} on the gateway's word alone"
        ));
    }
    if !report.key_given {
        output::line("           found beside the log; give --key from a place you trust to exclude its replacement");
    }
    for (kind, count) in &verified.kinds {
        output::line(&format!("  {count:>8}  {}", output::safe(kind)));
    }
    if !verified.witnessed {
        output::line(&output::painted(Paint::Waiting, "  UNWITNESSED: no third party has cosigned this checkpoint"));
    }
    Ok(())
}

fn painted_verified() -> String {
    output::painted(Paint::Good, "VERIFIED")
}
