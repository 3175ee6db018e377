//! A private, throw-away PostgreSQL on a loopback port: TLS and SCRAM only, run by an unprivileged user.

mod account;
mod binaries;
mod files;

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::loopback::free_port;
use crate::process::{Finished, run, signal, wait, wait_until};
use crate::trouble::{Doing, Result};

pub use account::Account;
pub use binaries::Binaries;

const STATEMENT_BOUND: Duration = Duration::from_secs(60);
const START_BOUND: Duration = Duration::from_secs(30);
const STOP_BOUND: Duration = Duration::from_secs(10);
const START_TRIES_MAX: u32 = 3;

/// The superuser that `initdb` makes. The gateway never logs in as this one.
pub const SUPERUSER: &str = "postgres";

/// What a cluster is made of.
#[derive(Debug, Clone)]
pub struct Recipe<'a> {
    /// An existing directory that other users may traverse; the cluster lives in `postgres` inside it.
    pub dir: &'a Path,
    /// Where PostgreSQL's programs are.
    pub binaries: Binaries,
    /// A directory where an initialised cluster is kept, so that the next one is a copy.
    pub template: Option<PathBuf>,
    /// Whether commits wait for the disk.
    pub fsync: bool,
}

/// A running cluster; stopped when dropped.
#[derive(Debug)]
pub struct Cluster {
    home: PathBuf,
    binaries: Binaries,
    account: Account,
    fsync: bool,
    password: String,
    port: u16,
    server: Option<Child>,
}

impl Cluster {
    /// Makes a cluster and starts it.
    ///
    /// # Errors
    /// Any of `initdb`, the certificate and the start may fail; the message has the program's own words.
    pub fn start(recipe: Recipe<'_>) -> Result<Self> {
        let account = Account::for_servers()?;
        let home = recipe.dir.join("postgres");
        let password = match &recipe.template {
            Some(template) => files::copy_of_template(&home, template, &recipe.binaries, &account)?,
            None => files::initialise(&home, &recipe.binaries, &account)?,
        };
        let Recipe { binaries, fsync, .. } = recipe;
        let mut cluster = Self { home, binaries, account, fsync, password, port: free_port()?, server: None };
        for attempt in 1..=START_TRIES_MAX {
            match cluster.start_server() {
                Ok(()) => break,
                Err(error) if attempt == START_TRIES_MAX => return Err(error),
                Err(_) => cluster.port = free_port()?,
            }
        }
        Ok(cluster)
    }

    /// Starts the server again on its port after [`Cluster::stop`].
    ///
    /// # Errors
    /// It does not come up within its bound.
    pub fn start_server(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log()).doing("opening the server's log")?;
        let mut command = self.account.command(&self.binaries.server("postgres"));
        command.arg("-D").arg(self.home.join("data")).args(["-p", &self.port.to_string()]);
        command.args(["-c", if self.fsync { "fsync=on" } else { "fsync=off" }]).current_dir(&self.home);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut server = command.spawn().doing("starting `postgres`")?;
        let ready = wait_until("PostgreSQL to answer", START_BOUND, || {
            let ended = server.try_wait().ok().flatten().is_some();
            (ended || self.psql(SUPERUSER, &self.password, "postgres", "SELECT 1").is_ok_and(|f| f.ok()))
                .then_some(!ended)
        });
        self.server = Some(server);
        match ready {
            Ok(true) => Ok(()),
            Ok(false) => crate::fail!("PostgreSQL did not start: {}", self.last_words()),
            Err(error) => Err(error).doing(self.last_words()),
        }
    }

    fn log(&self) -> PathBuf {
        self.home.join("log")
    }

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }

    /// Stops the server at once, sessions included.
    pub fn stop(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        signal(server.id(), "INT");
        if wait(&mut server, STOP_BOUND).is_err() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// The loopback port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's process.
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Child::id)
    }

    /// Copies the certificate to trust, in PEM, into a directory that clients can read. Returns the copy's path.
    ///
    /// # Errors
    /// The copy cannot be made.
    pub fn certificate_for_clients(&self, dir: &Path) -> Result<PathBuf> {
        let copy = dir.join("upstream.crt");
        std::fs::copy(self.home.join("server.crt"), &copy).doing("copying the server's certificate")?;
        std::fs::set_permissions(&copy, Permissions::from_mode(0o644)).doing("opening the certificate")?;
        Ok(copy)
    }

    /// Where its programs are.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Runs SQL as the superuser.
    ///
    /// # Errors
    /// The SQL failed; the message has PostgreSQL's words.
    pub fn admin(&self, database: &str, sql: &str) -> Result<String> {
        self.psql(SUPERUSER, &self.password, database, sql)?.success("the set-up SQL").map(|out| out.trim().to_owned())
    }

    /// Runs SQL by `psql`, unaligned and without headings, straight to this server.
    ///
    /// # Errors
    /// `psql` is missing or does not end.
    pub fn psql(&self, user: &str, password: &str, database: &str, sql: &str) -> Result<Finished> {
        let mut command = self.psql_command(user, password, database);
        command.args(["-v", "ON_ERROR_STOP=1", "-c", sql]);
        run(&mut command, STATEMENT_BOUND)
    }

    /// A `psql` of the superuser that reads its SQL from its standard input, not yet started.
    pub fn admin_shell(&self, database: &str) -> Command {
        self.psql_command(SUPERUSER, &self.password, database)
    }

    fn psql_command(&self, user: &str, password: &str, database: &str) -> Command {
        let mut command = Command::new(self.binaries.psql());
        command.args(["-X", "-q", "-A", "-t"]);
        for (name, value) in [("PGUSER", user), ("PGPASSWORD", password), ("PGDATABASE", database)] {
            command.env(name, value);
        }
        command.env("PGHOST", "127.0.0.1").env("PGPORT", self.port.to_string()).env("PGSSLMODE", "require");
        command.env("PGCONNECT_TIMEOUT", "10");
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}
