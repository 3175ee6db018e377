//! A real API server to test with: Debian's source, built once a machine and kept in the user's cache, never in the repository.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::repository;

/// What `apt` has.
const VERSION: &str = "1.20.2";

/// Where the API server is, once it was built.
pub fn api_server() -> PathBuf {
    home().join("kube-apiserver")
}

/// What builds it: six minutes of one processor.
pub fn build() -> Command {
    let mut command = Command::new("sh");
    command.arg(repository().join("xtask/kubernetes/build.sh")).arg(home());
    command
}

/// `$XDG_CACHE_HOME/countersign/…`, or the same under `~/.cache`.
fn home() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let of_user = || Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    cache.unwrap_or_else(of_user).join("countersign").join(format!("kubernetes-{VERSION}"))
}
