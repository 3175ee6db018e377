//! PostgreSQL's own regression tests, as its `pg_regress` runs them against a server that is there.
//!
//! The tests are in PostgreSQL's source, which must be of the server's release; apt brings the very same.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use xtask::cluster::Binaries;
use xtask::process::find_in_path;
use xtask::trouble::{Doing, Result};

use super::results::{Outcome, Results, Test};
use super::suites::Job;
use super::tools;
use crate::test::tools::carry_out;

const DATABASE: &str = "regression";
/// What the suite's own runner sets when it makes the database itself.
const DATABASE_SETTINGS: [&str; 6] = [
    "lc_messages = 'C'",
    "timezone = 'PST8PDT'",
    "datestyle = 'Postgres, MDY'",
    "intervalstyle = 'postgres_verbose'",
    "bytea_output = 'hex'",
    "timezone_abbreviations = 'Default'",
];
/// Asks apt for sources with lists of its own, made from the machine's: the machine's own lists stay as they are.
const FETCH: &str = r#"
set -e
cd "$1"; major=$2
mkdir -p lists/partial cache/archives/partial
cat /etc/apt/sources.list.d/*.sources 2>/dev/null | sed 's/^Types:.*/Types: deb-src/' >from.sources
sed -n 's/^deb /deb-src /p' /etc/apt/sources.list /etc/apt/sources.list.d/*.list >from.list 2>/dev/null || true
[ -s from.sources ] && from=from.sources || from=from.list
lists() {
  apt-get -qq -o Dir::Etc::sourcelist="$PWD/$from" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::State::lists="$PWD/lists" -o Dir::Cache="$PWD/cache" "$@"
}
lists update
# The newest first; a mirror may not have the source of every release it once had.
for version in $(apt-cache -o Dir::Etc::sourcelist="$PWD/$from" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::State::lists="$PWD/lists" showsrc "postgresql-$major" | sed -n 's/^Version: //p' | sort -rVu); do
  lists source --download-only "postgresql-$major=$version" 2>/dev/null && break
done
tar -xf postgresql-*.orig.tar.* --wildcards '*/src/test/regress/*' '*/src/interfaces/libpq/*.h' '*/src/port/*.h'
mv postgresql-*/src/test/regress suite
rm -rf lists cache postgresql-*
"#;

fn home() -> PathBuf {
    tools::home().join("regress")
}

/// `pg_regress`, where Debian and PostgreSQL's own build put it.
fn runner(binaries: &Binaries) -> PathBuf {
    let beside = binaries.server("..").join("lib/pgxs/src/test/regress/pg_regress");
    if beside.exists() { beside } else { find_in_path("pg_regress").unwrap_or(beside) }
}

/// Fetches the tests and builds their C functions.
pub(super) fn install(install: bool) -> Result<()> {
    let binaries = Binaries::find().doing("PostgreSQL's server programs have gone")?;
    let release = binaries.version().to_owned();
    let mark = home().join("made-for");
    if fs::read_to_string(&mark).is_ok_and(|made_for| made_for == release) {
        return Ok(());
    }
    let major = release.split('.').next().unwrap_or_default().to_owned();
    if find_in_path("apt-get").is_none() {
        xtask::fail!(
            "the regression tests come from PostgreSQL's source package, which needs apt; leave the suite out"
        );
    }
    let headers = headers(&binaries);
    let mut commands = Vec::new();
    if !headers.join("postgres.h").exists() {
        let mut command = Command::new("apt-get");
        command.args(["install", "-qq", "--yes", "--no-install-recommends", &format!("postgresql-server-dev-{major}")]);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        commands.push(command);
    }
    let mut fetch = Command::new("bash");
    fetch.args(["-c", FETCH, "fetch"]).arg(home()).arg(&major);
    commands.push(fetch);
    commands.push(compile(&headers));
    if install {
        let _ = fs::remove_dir_all(home()); // of another release
        fs::create_dir_all(home()).doing(format!("creating {}", home().display()))?;
    }
    carry_out(&mut commands, install)?;
    fs::write(&mark, release).doing("noting what was installed")
}

fn headers(binaries: &Binaries) -> PathBuf {
    let said = Command::new("pg_config").arg("--includedir-server").output();
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let major = binaries.version().split('.').next().unwrap_or_default();
    if said.is_empty() { PathBuf::from(format!("/usr/include/postgresql/{major}/server")) } else { said.into() }
}

/// `regress.so`: functions that the tests call.
fn compile(headers: &Path) -> Command {
    let suite = home().join("suite");
    let mut command = Command::new("cc");
    command.args(["-O1", "-fPIC", "-shared", "-w", "-I"]).arg(headers).arg("-I").arg(&suite);
    command.arg("-o").arg(suite.join("regress.so")).arg(suite.join("regress.c"));
    command
}

/// The parallel schedule. A test that fails on both sides must have said the same on both.
pub(super) fn run(job: &Job<'_>) -> Result<Results> {
    for setting in DATABASE_SETTINGS {
        job.prepare("template1", &format!("ALTER DATABASE {DATABASE} SET {setting}"))?;
    }
    let suite = home().join("suite");
    let out = job.dir.join("out");
    fs::create_dir_all(out.join("results")).doing("making a place for what the tests say")?;
    let mut open = Command::new("chmod");
    open.args(["-R", "a+rwX"]).arg(&out);
    carry_out(&mut [open], true)?; // the server writes files there as well
    let mut command = job.command(runner(job.stage.binaries()));
    let option = |name: &str, value: &Path| format!("--{name}={}", value.display());
    command.args([option("inputdir", &suite), option("outputdir", &out), option("dlpath", &suite)]);
    command.arg(option("bindir", &job.stage.binaries().server("")));
    command.arg(option("schedule", &suite.join("parallel_schedule")));
    command.args(["--use-existing", "--host=127.0.0.1", "--user=postgres", "--max-connections=10"]);
    command.arg(format!("--port={}", job.side.port)).arg(format!("--dbname={DATABASE}"));
    let finished = job.carry_out(&mut command)?;
    let results = read(&finished.stdout, &out);
    if results.is_empty() {
        xtask::fail!("pg_regress ran nothing: {}{}", finished.stdout, finished.stderr);
    }
    Ok(results)
}

/// Lines such as `     boolean                      ... ok           52 ms` and `test tablespace … FAILED`.
fn read(said: &str, out: &Path) -> Results {
    let one = |line: &str| {
        let (name, end) = line.split_once(" ... ")?;
        let name = name.trim_start_matches("test ").trim();
        let failed = end.contains("FAILED");
        let outcome = if failed { Outcome::Failed } else { Outcome::Passed };
        let answer = failed.then(|| digest(&out.join("results").join(format!("{name}.out"))));
        Some((name.to_owned(), Test { outcome, said: end.trim().to_owned(), answer }))
    };
    said.lines().filter_map(one).collect()
}

/// What a test said, in short enough a form to compare.
fn digest(path: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    fs::read(path).unwrap_or_default().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_line_are_read() {
        let said = "parallel group (2 tests):  a b\n     a    ... ok      5 ms\n     b    ... FAILED   7 ms\ntest c  ... ok  9 ms\n";
        let results = read(said, Path::new("/nonexistent"));
        let ends: Vec<_> = results.iter().map(|(name, test)| (name.as_str(), test.outcome)).collect();
        assert_eq!(ends, [("a", Outcome::Passed), ("b", Outcome::Failed), ("c", Outcome::Passed)]);
    }
}
