//! Finds PostgreSQL's programs: in `PATH`, where `pg_config` says, and where distributions put them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::{find_in_path, is_program, run};

/// The oldest release that is supported.
const MAJOR_MIN: u32 = 13;
/// Parents of `VERSION/bin`, on Debian, Fedora, Homebrew and macOS installers.
const PARENTS: [&str; 5] =
    ["/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt", "/usr/local/opt", "/Library/PostgreSQL"];
const VERSION_BOUND: Duration = Duration::from_secs(10);

/// A directory with `initdb` and `postgres`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    dir: PathBuf,
    version: String,
}

impl Binaries {
    /// The newest that the machine has, from release 13 on.
    pub fn find() -> Option<Self> {
        let mut found: Vec<_> = directories().into_iter().filter_map(|dir| Self::at(&dir)).collect();
        found.sort_by_key(Self::major);
        found.pop().filter(|binaries| binaries.major() >= MAJOR_MIN)
    }

    fn at(dir: &Path) -> Option<Self> {
        if !is_program(&dir.join("initdb")) {
            return None;
        }
        let output = run(Command::new(dir.join("postgres")).arg("--version"), VERSION_BOUND).ok()?;
        Some(Self { dir: dir.to_path_buf(), version: version(&output.stdout)? })
    }

    /// Such as `15.20`.
    pub fn version(&self) -> &str {
        &self.version
    }

    fn major(&self) -> u32 {
        self.version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
    }

    /// One of the server's programs.
    pub fn server(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// `psql`, from beside the server or from `PATH`.
    pub fn psql(&self) -> PathBuf {
        let beside = self.dir.join("psql");
        if is_program(&beside) { beside } else { find_in_path("psql").unwrap_or_else(|| "psql".into()) }
    }
}

fn version(said: &str) -> Option<String> {
    let word = said.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
    Some(word[..end].to_owned())
}

fn directories() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> =
        std::env::var_os("PATH").map(|p| std::env::split_paths(&p).collect()).unwrap_or_default();
    if let Ok(said) = run(Command::new("pg_config").arg("--bindir"), VERSION_BOUND) {
        dirs.push(PathBuf::from(said.stdout.trim()));
    }
    for parent in PARENTS {
        let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
        dirs.extend(entries.map(|entry| entry.path().join("bin")));
    }
    dirs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_postgres_says() {
        assert_eq!(version("postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n").as_deref(), Some("15.20"));
        assert_eq!(version("postgres (PostgreSQL) 18beta1\n").as_deref(), Some("18"));
        assert_eq!(version("nothing"), None);
    }
}
