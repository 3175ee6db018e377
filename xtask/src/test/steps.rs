//! The steps of a run, cheapest first, so that a slip is told early.

use std::path::PathBuf;
use std::process::Command;

use xtask::process::{as_typed, find_in_path};
use xtask::{repository, target_dir, test_tools_dir};

use super::{Wishes, tools};

/// How long each fuzz target runs in a smoke test.
const FUZZ_SECONDS: u32 = 10;

/// One step: a command, or the house rules when it has none.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: &'static str,
    words: Vec<String>,
    env: Vec<(&'static str, String)>,
}

impl Step {
    fn new(name: &'static str, line: &str) -> Self {
        Self { name, words: line.split_whitespace().map(str::to_owned).collect(), env: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// `None` for the house rules, which run inside this program.
    pub(super) fn command(&self) -> Option<Command> {
        let (program, args) = self.words.split_first()?;
        let mut command = Command::new(program);
        command.args(args).envs(self.env.iter().cloned()).current_dir(repository());
        Some(command)
    }

    /// As a person would type it.
    pub(super) fn shown(&self) -> String {
        self.command().map_or_else(|| "cargo xtask tidy".to_owned(), |command| as_typed(&command))
    }

    /// How to repeat it alone.
    pub(super) fn repeat(&self) -> String {
        let shown = self.env.iter().filter(|(name, _)| *name != "PATH");
        let env: Vec<String> = shown.map(|(name, value)| format!("{name}={value} ")).collect();
        format!("again, alone: {}{}", env.concat(), self.shown())
    }
}

/// Every step of a run. The fuzz targets are only checked unless asked for: building them takes as long as everything else.
pub(super) fn all(wishes: &Wishes) -> Vec<Step> {
    let Wishes { quick, install, fuzz: with_fuzz } = *wishes;
    let mut steps = vec![
        Step::new("format", "cargo fmt --all --check"),
        Step::new("house rules", ""),
        Step::new("lints", "cargo clippy --locked --workspace --all-targets -- -D warnings"),
    ];
    steps.extend(tests(quick));
    if quick {
        return steps;
    }
    // what other systems than this one would build is looked at too, and no build has fetched it
    steps.push(Step::new("packages", "cargo fetch --locked"));
    steps.push(Step::new("dependencies", &format!("{} --offline check licenses bans sources", cargo_deny().display())));
    // a workspace of its own, which nothing else would notice to be broken
    steps.push(Step::new("benches", "cargo clippy --locked --manifest-path benches/Cargo.toml -- -D warnings"));
    // one too, of the gateway's own files; what libFuzzer links needs no compiler for C++ to be checked
    let fuzz_targets = Step::new("fuzz targets", "cargo check --locked --manifest-path fuzz/Cargo.toml");
    steps.push(fuzz_targets.with("CUSTOM_LIBFUZZER_PATH", "target/none"));
    if with_fuzz {
        steps.extend(fuzz());
    }
    steps.push(Step::new("demo over HTTP", "cargo demo --auto --http"));
    steps.push(Step::new("demo", "cargo demo --auto"));
    let peers =
        if install { "cargo xtask peers postgres --quick" } else { "cargo xtask peers postgres --quick --no-install" };
    steps.push(Step::new("peers", peers));
    steps
}

/// Unit tests, documentation tests, then the end-to-end tests with real servers and clients.
fn tests(quick: bool) -> Vec<Step> {
    let nextest = find_in_path("cargo-nextest").is_some();
    let unit = match nextest {
        true => Step::new("unit tests", "cargo nextest run --locked --workspace --no-fail-fast -E not(binary(e2e))"),
        false => Step::new("unit tests", "cargo test --locked --workspace --lib --bins --no-fail-fast"),
    };
    if quick {
        return vec![unit];
    }
    let doc = Step::new("documentation tests", "cargo test --locked --workspace --doc");
    let e2e = match nextest {
        true => Step::new("end to end", "cargo nextest run --locked -p countersign --test e2e --no-fail-fast"),
        false => Step::new("end to end", "cargo test --locked -p countersign --test e2e --no-fail-fast"),
    };
    let rest =
        (!nextest).then(|| Step::new("other tests", "cargo test --locked -p countersign-core -p countersign-tlog"));
    let e2e = e2e.with("COUNTERSIGN_TEST_TOOLS", test_tools_dir().to_string_lossy());
    [Some(unit), rest, Some(doc), Some(e2e)].into_iter().flatten().collect()
}

/// Where the installed `cargo-deny` is.
fn cargo_deny() -> PathBuf {
    find_in_path("cargo-deny").unwrap_or_else(|| tools::cargo_tool("cargo-deny"))
}

/// A few seconds of every fuzz target, so that none rots. `RUSTC_BOOTSTRAP` lets the stable compiler build them; what is
/// found goes under `target`, never into the seeds.
fn fuzz() -> Vec<Step> {
    let path = tools::path_with_cargo_tools();
    let steps = tools::fuzz_targets().into_iter().map(|target| fuzz_target(&target));
    steps.map(|step| step.with("RUSTC_BOOTSTRAP", "1").with("PATH", path.to_string_lossy())).collect()
}

fn fuzz_target(target: &str) -> Step {
    let found = target_dir().join("fuzz-corpus").join(target);
    let _ = std::fs::create_dir_all(&found); // if this fails, libFuzzer says so
    let mut step =
        Step::new("fuzz smoke", &format!("cargo fuzz run --fuzz-dir fuzz --sanitizer none --all-features {target}"));
    step.words.push(found.to_string_lossy().into_owned());
    let rest =
        format!("fuzz/seeds/{target} -- -seed=1 -max_total_time={FUZZ_SECONDS} -verbosity=0 -print_final_stats=1");
    step.words.extend(rest.split_whitespace().map(str::to_owned));
    step
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(quick: bool) -> Wishes {
        Wishes { quick, install: true, fuzz: false }
    }

    #[test]
    fn a_quick_run_has_no_servers() {
        let names: Vec<_> = all(&wishes(true)).iter().map(|step| step.name).collect();
        assert_eq!(names, ["format", "house rules", "lints", "unit tests"]);
    }

    #[test]
    fn a_full_run_ends_with_real_clients() {
        let steps = all(&wishes(false));
        let names: Vec<_> = steps.iter().rev().take(3).map(|step| step.name).collect();
        assert_eq!(names, ["peers", "demo", "demo over HTTP"]);
        assert!(steps.iter().any(|step| step.name == "dependencies"));
    }

    #[test]
    fn a_step_can_be_repeated_by_hand() {
        let step = Step::new("x", "cargo nextest run -E binary(e2e)").with("A", "b");
        assert_eq!(step.repeat(), "again, alone: A=b cargo nextest run -E 'binary(e2e)'");
    }
}
