//! Two private PostgreSQL servers, made alike: one that clients reach directly, one that they reach through the gateway.
//!
//! Both know one role under one password, which is the agent's key, so that a suite's settings differ in the port alone.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use xtask::cluster::{Binaries, Cluster, Recipe, SUPERUSER};
use xtask::loopback::{free_port, random_secret};
use xtask::process::as_typed;
use xtask::sweeper::Sweeper;
use xtask::trouble::{Doing, Result};
use xtask::{repository, test_tools_dir};

use crate::demo::gateway::Gateway;

/// The database that suites use when they name none: that of the role.
pub(super) const DATABASE: &str = "postgres";
/// The side without the gateway.
pub(super) const DIRECT: &str = "direct";
/// The side through it.
pub(super) const GATEWAY: &str = "gateway";
/// Every database that a suite may connect to; each is a target of the gateway.
const DATABASES: [&str; 3] = [DATABASE, "regression", "restored"];
/// What the suites need of their server, beyond its defaults.
const SETTINGS: [&str; 4] =
    ["max_prepared_transactions = 20", "max_connections = 100", "wal_level = logical", "log_min_messages = fatal"];

/// What a client is told: where to connect, and as whom.
#[derive(Debug, Clone)]
pub(super) struct Side {
    /// [`DIRECT`] or [`GATEWAY`].
    pub(super) name: &'static str,
    pub(super) port: u16,
    pub(super) key: String,
}

impl Side {
    /// Hands it to a program that reads libpq's variables.
    pub(super) fn tell(&self, command: &mut Command) {
        let port = self.port.to_string();
        let settings = [("PGHOST", "127.0.0.1"), ("PGPORT", &port), ("PGUSER", SUPERUSER), ("PGPASSWORD", &self.key)];
        command.envs(settings).env("PGDATABASE", DATABASE).env("PGSSLMODE", "prefer");
    }
}

/// Both servers and the gateway; everything ends with it.
pub(super) struct Stage {
    direct: Cluster,
    behind: Cluster,
    gateway: Gateway,
    key: String,
    gateway_port: u16,
    sweeper: Sweeper,
    // Removes the gateway's state, which is elsewhere.
    state: Sweeper,
}

impl Stage {
    pub(super) fn set() -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("countersign-peers-{}", random_secret()?));
        fs::create_dir(&dir).doing(format!("creating {}", dir.display()))?;
        fs::set_permissions(&dir, Permissions::from_mode(0o711)).doing("opening the directory of the run")?;
        let sweeper = Sweeper::start(&dir)?;
        let (direct, behind) = (server(&dir, "direct", &sweeper)?, server(&dir, "behind", &sweeper)?);
        let (http, gateway_port) = (free_port()?, free_port()?);
        let certificate = behind.certificate_for_clients(&dir)?;
        let (data, state) = state()?;
        configure(&dir, &data, (http, gateway_port), (behind.port(), &certificate))?;
        let mut gateway = Gateway::new(&dir, http);
        gateway.serve("", &sweeper)?;
        gateway.administer(&["person", "add", "ada", "--email", "ada@example.org", "--groups", "dba"])?;
        let key = gateway.administer(&["agent", "create", SUPERUSER, "--owner", "ada"])?;
        fs::write(dir.join("password"), &key).doing("writing the upstream's password")?;
        for cluster in [&direct, &behind] {
            cluster.admin("template1", &format!("ALTER ROLE {SUPERUSER} PASSWORD '{key}'"))?;
        }
        Ok(Self { direct, behind, gateway, key, gateway_port, sweeper, state })
    }

    pub(super) fn sides(&self) -> [Side; 2] {
        let side = |name, port| Side { name, port, key: self.key.clone() };
        [side(DIRECT, self.direct.port()), side(GATEWAY, self.gateway_port)]
    }

    /// PostgreSQL's programs.
    pub(super) fn binaries(&self) -> &Binaries {
        self.direct.binaries()
    }

    /// The gateway's process.
    pub(super) fn gateway_pid(&self) -> Option<u32> {
        self.gateway.pid()
    }

    /// The gateway's last words.
    pub(super) fn gateway_log(&self) -> String {
        self.gateway.log()
    }

    /// Makes every database anew, on both servers.
    pub(super) fn reset(&self) -> Result<()> {
        for cluster in [&self.direct, &self.behind] {
            for name in DATABASES {
                self.run(cluster, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))?;
                self.run(cluster, &format!("CREATE DATABASE {name} TEMPLATE template0"))?;
            }
        }
        Ok(())
    }

    /// Runs SQL on a side's server, behind the gateway's back.
    pub(super) fn prepare(&self, side: &Side, database: &str, sql: &str) -> Result<()> {
        let cluster = if side.name == DIRECT { &self.direct } else { &self.behind };
        cluster.psql(SUPERUSER, &self.key, database, sql)?.success("the set-up SQL").map(drop)
    }

    fn run(&self, cluster: &Cluster, sql: &str) -> Result<()> {
        cluster.psql(SUPERUSER, &self.key, "template1", sql)?.success("making the databases anew").map(drop)
    }

    pub(super) fn strike(mut self) {
        self.gateway.stop(&self.sweeper);
        self.direct.stop();
        self.behind.stop();
        self.sweeper.finish();
        self.state.finish();
    }
}

/// Builds the gateway as it is now.
pub(super) fn build() -> Result<()> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--locked", "--package", "countersign", "--bin", "countersign"]).current_dir(repository());
    let status = command.status().doing("starting cargo")?;
    if status.success() { Ok(()) } else { xtask::fail!("`{}` ended with {status}", as_typed(&command)) }
}

/// A server with the suites' settings that lets clients in without TLS too, as some suites insist on it.
fn server(parent: &Path, name: &str, sweeper: &Sweeper) -> Result<Cluster> {
    let dir = parent.join(name);
    fs::create_dir(&dir).doing(format!("creating {}", dir.display()))?;
    fs::set_permissions(&dir, Permissions::from_mode(0o711)).doing("opening a server's directory")?;
    let binaries = Binaries::find().doing("PostgreSQL's server programs have gone")?;
    let template = Some(test_tools_dir().join("clusters"));
    let mut cluster = Cluster::start(Recipe { dir: &dir, binaries, template, fsync: false })?;
    for setting in SETTINGS {
        cluster.admin("postgres", &format!("ALTER SYSTEM SET {setting}"))?;
    }
    let hba = cluster.admin("postgres", "SHOW hba_file")?;
    let rule = "host all all 127.0.0.1/32 scram-sha-256";
    cluster.admin("postgres", &format!("COPY (SELECT '{rule}') TO '{hba}'"))?;
    cluster.stop();
    cluster.start_server()?;
    if let Some(pid) = cluster.pid() {
        sweeper.watch(pid);
    }
    Ok(cluster)
}

/// Where the gateway keeps its state: in memory, if the system has such a place. What is compared is the protocol, and
/// thousands of small writes that each wait for the disk would take longer than everything else together.
fn state() -> Result<(PathBuf, Sweeper)> {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
    let dir = parent.join(format!("countersign-peers-{}", random_secret()?));
    fs::create_dir(&dir).doing(format!("creating {}", dir.display()))?;
    let sweeper = Sweeper::start(&dir)?;
    Ok((dir, sweeper))
}

fn configure(
    dir: &Path,
    data: &Path,
    (http, postgres): (u16, u16),
    (upstream, certificate): (u16, &Path),
) -> Result<()> {
    let (certificate, password) = (certificate.display(), dir.join("password"));
    let mut config = format!(
        r#"# Written by `cargo xtask peers`.
[server]
listen     = "127.0.0.1:{http}"
public_url = "http://127.0.0.1:{http}"
data_dir   = "{}/data"
policies   = "./policies"

[postgres]
listen = "127.0.0.1:{postgres}"
"#,
        data.display()
    );
    for name in DATABASES {
        config.push_str(&format!(
            r#"
[[target]]
name        = "{name}"
protocol    = "postgres"
upstream    = "postgres://{SUPERUSER}@127.0.0.1:{upstream}/{name}?sslmode=verify-full&sslrootcert={certificate}"
credential  = {{ file = "{}" }}
environment = "dev"
"#,
            password.display()
        ));
    }
    fs::write(dir.join("countersign.toml"), config).doing("writing the configuration")?;
    fs::create_dir(dir.join("policies")).doing("creating the policies")?;
    let policy = repository().join("xtask/peers/permissive.cedar");
    fs::copy(&policy, dir.join("policies/permissive.cedar")).doing(format!("copying {}", policy.display()))?;
    fs::write(&password, "").doing("writing the upstream's password")?;
    fs::set_permissions(&password, Permissions::from_mode(0o600)).doing("closing the upstream's password")
}
