//! Programs in Go, built from one file with what Debian packages.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use xtask::needs::GOPATH;
use xtask::process::run;

/// How long a build may take on a busy machine.
const BUILD_TIME_MAX: Duration = Duration::from_secs(180);

/// The program of `tests/clients/NAME.go`, built under `dir`.
pub(crate) fn built(dir: &Path, name: &str) -> PathBuf {
    let program = dir.join(name);
    let mut build = Command::new("go");
    build.args(["build", "-o"]).arg(&program).arg(format!("{}/tests/clients/{name}.go", env!("CARGO_MANIFEST_DIR")));
    build.env("GO111MODULE", "off").env("GOPATH", GOPATH).env("GOFLAGS", "").env("GOCACHE", dir.join("go"));
    run(&mut build, BUILD_TIME_MAX).unwrap().success("`go build`").unwrap();
    program
}
