//! `cargo xtask screens`: every page of the console in a real Chromium with data on it, as pictures under `docs/screens`, and what
//! axe and Lighthouse find.

use std::process::{Command, ExitCode};

use xtask::repository;
use xtask::trouble::{Doing, Result};

use crate::test::tools;
use crate::voice::Voice;

const FOLDER: &str = "docs/screens";

/// Takes the pictures; with `lighthouse`, asks it too, which takes minutes.
pub(crate) fn run(lighthouse: bool, install: bool) -> Result<ExitCode> {
    tools::for_everything(install, false, Voice::new())?;
    let folder = repository().join(FOLDER);
    std::fs::create_dir_all(&folder).doing(format!("creating {}", folder.display()))?;
    let looks = nextest(&["no_page_is_heavy_or_flawed"], &folder)?;
    let scores = if lighthouse { nextest(&["lighthouse", "--run-ignored", "only"], &folder)? } else { true };
    Ok(if looks && scores { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn nextest(args: &[&str], folder: &std::path::Path) -> Result<bool> {
    let mut command = Command::new("cargo");
    command.args(["nextest", "run", "--locked", "-p", "countersign", "--test", "e2e", "--no-capture"]).args(args);
    command.current_dir(repository()).env("COUNTERSIGN_SCREENS", folder);
    Ok(command.status().doing("starting `cargo nextest`")?.success())
}
