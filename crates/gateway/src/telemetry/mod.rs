//! Logs to standard error, by `RUST_LOG`; never a statement, a name, a key or a token.

use tracing_subscriber::EnvFilter;

/// Starts logging; `json` for machines.
pub fn start(json: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if json { builder.json().try_init() } else { builder.with_target(false).try_init() };
    if let Err(error) = started {
        eprintln!("logging was started already: {error}");
    }
}
