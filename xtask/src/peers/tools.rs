//! The suites themselves, in the versions that `xtask/peers` pins: fetched and unpacked once under `target/peers`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use xtask::needs::Need;
use xtask::trouble::{Doing, Result};
use xtask::{repository, target_dir};

use crate::test::tools::{carry_out, remember, system, up_to_date};

/// Where the suites are kept.
pub(super) fn home() -> PathBuf {
    target_dir().join("peers")
}

/// Lists of versions and our own small programs.
pub(super) fn data() -> PathBuf {
    repository().join("xtask/peers")
}

/// The Python that has every driver and the runner of the suites.
pub(super) fn python() -> PathBuf {
    home().join("python/bin/python")
}

/// The runner of the suites; as a program, so that it does not take the sources for what it tests.
pub(super) fn pytest() -> PathBuf {
    home().join("python/bin/pytest")
}

/// The unpacked source of a Python package.
pub(super) fn source(package: &str) -> Result<PathBuf> {
    let sources = home().join("sources");
    let wanted = format!("{package}-");
    let found = fs::read_dir(&sources).doing(format!("reading {}", sources.display()))?.flatten();
    let mut found = found.filter(|entry| entry.path().is_dir());
    let found = found.find(|entry| entry.file_name().to_string_lossy().starts_with(&wanted));
    found.map(|entry| entry.path()).doing(format!("`{package}` is not under {}", sources.display()))
}

/// What every suite but the regression tests needs.
pub(super) fn install(install: bool) -> Result<()> {
    system(&[Need::CCompiler, Need::Libclang, Need::Postgres, Need::Openssl, Need::Python], install)?;
    drivers(install)?;
    sources(install)
}

fn drivers(install: bool) -> Result<()> {
    let (wanted, place) = (data().join("requirements.txt"), home().join("python"));
    if up_to_date(&wanted, &place) {
        return Ok(());
    }
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--clear"]).arg(&place);
    let mut fill = Command::new(place.join("bin/pip"));
    fill.args(["install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", "-r"]).arg(&wanted);
    carry_out(&mut [venv, fill], install)?;
    remember(&wanted, &place)
}

/// Wheels have no tests: the sources have, and are checked against their pinned digests. Nothing in them is built; the
/// build tools in the virtual environment are there because pip asks each source for its name.
fn sources(install: bool) -> Result<()> {
    let (wanted, place) = (data().join("sdists.txt"), home().join("sources"));
    if up_to_date(&wanted, &place) {
        return Ok(());
    }
    if install {
        let _ = fs::remove_dir_all(&place); // what an older list brought
        fs::create_dir_all(&place).doing(format!("creating {}", place.display()))?;
    }
    let mut fetch = Command::new(python());
    fetch.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-build-isolation",
    ]);
    fetch.args(["--no-binary", ":all:", "--require-hashes", "--dest"]).arg(&place).arg("-r").arg(&wanted);
    carry_out(&mut [fetch], install)?;
    unpack(&place)?;
    remember(&wanted, &place)
}

fn unpack(place: &Path) -> Result<()> {
    for entry in fs::read_dir(place).doing(format!("reading {}", place.display()))?.flatten() {
        let archive = entry.path();
        if archive.extension().is_some_and(|extension| extension == "gz") {
            let mut tar = Command::new("tar");
            tar.arg("-xzf").arg(&archive).arg("-C").arg(place);
            carry_out(&mut [tar], true)?;
            fs::remove_file(&archive).doing(format!("removing {}", archive.display()))?;
        }
    }
    Ok(())
}
