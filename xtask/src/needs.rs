//! What a machine must have, how to see whether it does, and the one line that installs it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cluster::Binaries;
use crate::kubernetes::api_server;
use crate::process::{as_typed, find_in_path, is_root};
use crate::trouble::{Doing, Result};

/// Something that Cargo does not bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A C compiler and linker: SQLite, the SQL parser and the TLS library have C in them.
    CCompiler,
    /// libclang with its headers: the SQL parser's bindings are made with it.
    Libclang,
    /// PostgreSQL's server programs and `psql`, release 13 or newer.
    Postgres,
    /// The `openssl` program: certificates of throw-away servers.
    Openssl,
    /// Java and PostgreSQL's JDBC driver.
    Jdbc,
    /// Go with packages of Debian's: an independent verifier of the record, and a kubelet that speaks SPDY.
    GoPackages,
    /// Python with `venv` and `pip`.
    Python,
    /// Node and npm.
    Node,
    /// A Chromium that runs without a display.
    Chromium,
    /// The solver that proves policies.
    Cvc5,
    /// GitHub's command line.
    Gh,
    /// What an API server keeps its objects in.
    Etcd,
    /// What builds an API server where there is none yet.
    ApiServerBuild,
}

/// For building the gateway.
pub const BUILD: [Need; 2] = [Need::CCompiler, Need::Libclang];
/// For `cargo demo` on PostgreSQL, besides.
pub const DEMO_POSTGRES: [Need; 2] = [Need::Postgres, Need::Openssl];
/// For `cargo xtask test`.
pub const TEST: [Need; 13] = [
    Need::CCompiler,
    Need::Libclang,
    Need::Postgres,
    Need::Openssl,
    Need::Jdbc,
    Need::GoPackages,
    Need::Python,
    Need::Node,
    Need::Chromium,
    Need::Cvc5,
    Need::Gh,
    Need::Etcd,
    Need::ApiServerBuild,
];

/// The driver's archive, as Debian lays it out.
pub const JDBC_JAR: &str = "/usr/share/java/postgresql.jar";
/// Go sources packaged by Debian.
pub const GOPATH: &str = "/usr/share/gocode";

/// Those of them that tests are built with.
const GO_PACKAGES: [&str; 3] = ["golang.org/x/mod/sumdb", "golang.org/x/net/websocket", "github.com/docker/spdystream"];
/// A package of it that replaces one of Kubernetes' own.
const REFLECT2: &str = "src/github.com/modern-go/reflect2";

const LIBRARY_DIRS: [&str; 8] = [
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/opt/homebrew/opt/llvm/lib",
    "/usr/local/opt/llvm/lib",
    "/Library/Developer/CommandLineTools/usr/lib",
];

impl Need {
    /// What a person calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::CCompiler => "a C compiler",
            Self::Libclang => "libclang (for the SQL parser)",
            Self::Postgres => "PostgreSQL server programs, 13 or newer",
            Self::Openssl => "openssl",
            Self::Jdbc => "Java with PostgreSQL's JDBC driver",
            Self::GoPackages => "Go with golang.org/x/mod, golang.org/x/net and spdystream",
            Self::Python => "Python with venv",
            Self::Node => "Node with npm",
            Self::Chromium => "Chromium",
            Self::Cvc5 => "cvc5 (a solver)",
            Self::Gh => "gh (GitHub's command line)",
            Self::Etcd => "etcd",
            Self::ApiServerBuild => "what builds kube-apiserver from Debian's source",
        }
    }

    /// Whether the machine has it.
    pub fn met(self) -> bool {
        match self {
            Self::CCompiler => any_program(&["cc", "gcc", "clang"]),
            Self::Libclang => libclang().is_some(),
            Self::Postgres => Binaries::find().is_some(),
            Self::Openssl => any_program(&["openssl"]),
            Self::Jdbc => any_program(&["java"]) && Path::new(JDBC_JAR).exists(),
            Self::GoPackages => {
                any_program(&["go"])
                    && GO_PACKAGES.iter().all(|package| Path::new(GOPATH).join("src").join(package).exists())
            }
            Self::Python => any_program(&["python3"]) && python_has_venv(),
            Self::Node => any_program(&["node"]) && any_program(&["npm"]),
            Self::Chromium => chromium().is_some(),
            Self::Cvc5 => any_program(&["cvc5"]),
            Self::Gh => any_program(&["gh"]),
            Self::Etcd => any_program(&["etcd"]),
            Self::ApiServerBuild => {
                let programs = ["go", "make", "rsync", "dpkg-source"].iter().all(|name| any_program(&[name]));
                api_server().exists() || (programs && Path::new(GOPATH).join(REFLECT2).exists())
            }
        }
    }

    fn packages(self, manager: Manager) -> &'static [&'static str] {
        match (manager, self) {
            (Manager::Apt, Self::CCompiler) => &["gcc", "libc6-dev"],
            (Manager::Apt, Self::Libclang) => &["libclang-dev"],
            (Manager::Apt, Self::Postgres) => &["postgresql"],
            (Manager::Apt, Self::Jdbc) => &["default-jdk-headless", "libpostgresql-jdbc-java"],
            (Manager::Apt, Self::GoPackages) => &[
                "golang-go",
                "golang-golang-x-mod-dev",
                "golang-golang-x-net-dev",
                "golang-github-docker-spdystream-dev",
            ],
            (Manager::Apt, Self::Python) => &["python3", "python3-venv"],
            (Manager::Apt | Manager::Dnf, Self::Node) => &["nodejs", "npm"],
            (Manager::Dnf, Self::CCompiler) => &["gcc"],
            (Manager::Dnf, Self::Libclang) => &["clang-devel"],
            (Manager::Dnf, Self::Postgres) => &["postgresql-server"],
            (Manager::Dnf, Self::Jdbc) => &["java-latest-openjdk-devel", "postgresql-jdbc"],
            (Manager::Dnf, Self::GoPackages) => &["golang", "golang-x-mod-devel"],
            (Manager::Dnf, Self::Python) => &["python3"],
            (Manager::Brew, Self::CCompiler | Self::Libclang) => &["llvm"],
            (Manager::Brew, Self::Postgres) => &["postgresql@17"],
            (Manager::Brew, Self::Jdbc) => &["openjdk"],
            (Manager::Brew, Self::GoPackages) => &["go"],
            (Manager::Brew, Self::Python) => &["python"],
            (Manager::Brew, Self::Node) => &["node"],
            (Manager::Apt, Self::Etcd) => &["etcd-server"],
            (Manager::Apt, Self::ApiServerBuild) => {
                &["golang-go", "golang-github-modern-go-reflect2-dev", "make", "rsync", "dpkg-dev"]
            }
            (_, Self::Gh) => &["gh"],
            (_, Self::Etcd) => &["etcd"],
            // the source is Debian's
            (_, Self::ApiServerBuild) => &[],
            (_, Self::Openssl) => &["openssl"],
            (_, Self::Chromium) => &["chromium"],
            (_, Self::Cvc5) => &["cvc5"],
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manager {
    Apt,
    Dnf,
    Brew,
}

impl Manager {
    fn of_this_machine() -> Option<Self> {
        let known = [("apt-get", Self::Apt), ("dnf", Self::Dnf), ("brew", Self::Brew)];
        known.into_iter().find(|(program, _)| find_in_path(program).is_some()).map(|(_, manager)| manager)
    }

    fn install(self, packages: &[&str]) -> Command {
        let words: &[&str] = match self {
            Self::Apt => &["apt-get", "install", "--yes", "--no-install-recommends"],
            Self::Dnf => &["dnf", "install", "--assumeyes"],
            Self::Brew => &["brew", "install"],
        };
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(packages);
        command
    }
}

/// What of `needs` is missing here.
pub fn missing(needs: &[Need]) -> Vec<Need> {
    needs.iter().copied().filter(|need| !need.met()).collect()
}

/// The names of needs, for a sentence.
pub fn names(needs: &[Need]) -> String {
    needs.iter().map(|need| need.name()).collect::<Vec<_>>().join(", ")
}

/// The line a person types to install them, if this machine's package manager is known.
pub fn line(needs: &[Need]) -> Option<String> {
    let manager = Manager::of_this_machine()?;
    let sudo = if is_root() || manager == Manager::Brew { "" } else { "sudo " };
    Some(format!("{sudo}{}", as_typed(&manager.install(&packages(manager, needs)))))
}

fn packages(manager: Manager, needs: &[Need]) -> Vec<&'static str> {
    let mut packages = Vec::new();
    for package in needs.iter().flat_map(|need| need.packages(manager)) {
        if !packages.contains(package) {
            packages.push(*package);
        }
    }
    packages
}

/// Whether [`install`] can be tried: root, and a machine with apt.
pub fn installable() -> bool {
    is_root() && Manager::of_this_machine() == Some(Manager::Apt)
}

/// Installs by apt; its output goes to the terminal.
///
/// # Errors
/// apt fails, or something is still missing afterwards.
pub fn install(needs: &[Need]) -> Result<()> {
    let mut update = Command::new("apt-get");
    update.args(["update", "-qq"]);
    // A stale list may still do: what counts is whether the packages can be installed.
    let _ = update.status();
    let mut command = Manager::Apt.install(&packages(Manager::Apt, needs));
    command.arg("-qq").env("DEBIAN_FRONTEND", "noninteractive");
    let status = command.status().doing("starting `apt-get`")?;
    let left = missing(needs);
    if !status.success() || !left.is_empty() {
        crate::fail!("`{}` did not bring {}", as_typed(&command), names(if left.is_empty() { needs } else { &left }));
    }
    Ok(())
}

fn any_program(names: &[&str]) -> bool {
    names.iter().any(|name| find_in_path(name).is_some())
}

/// Chromium by any of its names.
pub fn chromium() -> Option<PathBuf> {
    ["chromium", "chromium-browser", "google-chrome"].iter().find_map(|name| find_in_path(name))
}

fn python_has_venv() -> bool {
    let check = Command::new("python3").args(["-c", "import venv, ensurepip"]).output();
    check.is_ok_and(|output| output.status.success())
}

/// A directory with libclang, as the bindings' generator would find it.
fn libclang() -> Option<PathBuf> {
    let mut dirs: Vec<PathBuf> = std::env::var_os("LIBCLANG_PATH").map(PathBuf::from).into_iter().collect();
    dirs.extend(LIBRARY_DIRS.iter().map(PathBuf::from));
    let versions = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let versions = versions.filter(|entry| entry.file_name().to_string_lossy().starts_with("llvm"));
    dirs.extend(versions.map(|entry| entry.path().join("lib")));
    dirs.into_iter().find(|dir| has_libclang(dir) && (has_headers(dir) || cfg!(target_os = "macos")))
}

fn has_libclang(dir: &Path) -> bool {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.any(|name| name.starts_with("libclang.") || name.starts_with("libclang-") && !name.contains("cpp"))
}

/// clang's own headers (`stddef.h`), without which generated bindings fail.
fn has_headers(dir: &Path) -> bool {
    let parents = [dir.join("clang"), PathBuf::from("/usr/lib/clang"), PathBuf::from("/usr/lib64/clang")];
    let versions = parents.iter().flat_map(|parent| std::fs::read_dir(parent).into_iter().flatten().flatten());
    versions.into_iter().any(|version| version.path().join("include/stddef.h").exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_once() {
        assert_eq!(packages(Manager::Brew, &[Need::CCompiler, Need::Libclang]), ["llvm"]);
    }

    #[test]
    fn every_need_has_a_package_on_apt() {
        for need in TEST {
            assert!(!need.packages(Manager::Apt).is_empty(), "{need:?}");
            assert!(!need.name().is_empty());
        }
    }

    #[test]
    fn the_line_names_the_manager_and_its_packages() {
        let line = as_typed(&Manager::Apt.install(&["postgresql"]));
        assert_eq!(line, "apt-get install --yes --no-install-recommends postgresql");
    }
}
