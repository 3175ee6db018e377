//! Logs to standard error, by `RUST_LOG`; never a statement, a name, a key or a token.
//!
//! They go to a descriptor of their own: the SQL parser redirects the process's standard error while it parses, and what
//! other threads write there meanwhile would be lost.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;

/// Starts logging; `json` for machines. Called before anything is parsed.
///
/// # Errors
/// Standard error cannot be duplicated, or logging was started already.
pub fn start(json: bool) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let own = Mutex::new(File::from(std::io::stderr().as_fd().try_clone_to_owned()?));
    let colour = std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(own).with_ansi(colour);
    let started = if json { builder.json().try_init() } else { builder.with_target(false).try_init() };
    started.map_err(|error| anyhow::anyhow!("logging cannot start: {error}"))
}
