//! The arguments and what they ask for.

use std::path::{Path, PathBuf};

use clap::Parser;

/// Check a tamper-evident log, or the proof of one entry, with the log's public key.
///
/// The key must come from someone you trust, not from the place the log is in. Exit code: 0 verified, 1 not verified,
/// 2 the command line or a file could not be used.
#[derive(Debug, Parser)]
#[command(name = "countersign-verify", version)]
pub(crate) struct Args {
    /// The log's verifier key (`name+id+key`), or a file that holds it
    #[arg(long, value_name = "KEY|FILE")]
    pub(crate) key: String,

    /// A checkpoint you saved earlier: prove that the log still contains all it covered
    #[arg(long, value_name = "FILE", conflicts_with = "proof")]
    pub(crate) since: Option<PathBuf>,

    /// A witness's verifier key, or a file that holds it; may be repeated
    #[arg(long, value_name = "KEY|FILE")]
    pub(crate) witness: Vec<String>,

    /// How many of the given witnesses must have cosigned
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub(crate) witness_quorum: usize,

    /// The log's origin, if it is not the name of its key
    #[arg(long, value_name = "NAME")]
    pub(crate) origin: Option<String>,

    /// Print the verdict as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Check this `.tlog-proof` file instead of a whole log
    #[arg(long, value_name = "FILE", requires = "leaf", conflicts_with = "log")]
    proof: Option<PathBuf>,

    /// The entry the proof is for, byte for byte
    #[arg(long, value_name = "FILE", requires = "proof")]
    leaf: Option<PathBuf>,

    /// The log: a folder (or a data folder with a `ledger` in it), or an http:// or https:// address
    #[arg(value_name = "DIR|URL", required_unless_present = "proof")]
    log: Option<String>,
}

/// What there is to check.
pub(crate) enum Task<'a> {
    /// A whole log at this place.
    Log(&'a str),
    /// One entry.
    Proof {
        /// Its proof.
        proof: &'a Path,
        /// Its bytes.
        leaf: &'a Path,
    },
}

impl Args {
    pub(crate) fn task(&self) -> Task<'_> {
        match (&self.proof, &self.leaf) {
            (Some(proof), Some(leaf)) => Task::Proof { proof, leaf },
            _ => Task::Log(self.log.as_deref().unwrap_or(".")),
        }
    }
}
