//! `countersign-verify`: checks a log, or one entry's proof, with nothing but the log's public key.
//!
//! For auditors and strangers: plain words, no configuration, no state. Exit code 0 means verified, 1 not verified, 2
//! that the command line or a file named on it could not be used.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    cli::run(&cli::Args::parse())
}
