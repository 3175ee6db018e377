//! What the demo and the end-to-end tests share: a private PostgreSQL, child processes that cannot be left behind, and the
//! list of tools that are needed. Only `std` and `serde_json`, so that `cargo demo` starts within seconds on a fresh machine.

pub mod cluster;
pub mod kubernetes;
pub mod loopback;
pub mod needs;
pub mod process;
pub mod sweeper;
pub mod trouble;

use std::path::{Path, PathBuf};

/// The root of the repository.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Where Cargo puts what it builds: `CARGO_TARGET_DIR`, or `target` in the repository.
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => repository().join(dir),
        None => repository().join("target"),
    }
}

/// Where `cargo xtask test` keeps the clients it installs.
pub fn test_tools_dir() -> PathBuf {
    target_dir().join("test-tools")
}
