//! The demo's small world: a directory, a PostgreSQL, a gateway, people. Made in order, swept away at the end.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use xtask::cluster::{Binaries, Cluster, Recipe};
use xtask::loopback::{free_port, random_secret};
use xtask::repository;
use xtask::sweeper::Sweeper;
use xtask::trouble::{Doing, Result};

use super::agent::Agent;
use super::gateway::Gateway;
use super::people::{People, enrol};
use super::sample::{self, DATABASE, Ports};
use crate::voice::Voice;

/// Everything that runs for the demo.
#[derive(Debug)]
pub(super) struct World {
    pub(super) dir: PathBuf,
    pub(super) cluster: Cluster,
    pub(super) gateway: Gateway,
    pub(super) people: People,
    pub(super) agent: Agent,
    pub(super) sweeper: Sweeper,
    keep: bool,
}

impl World {
    pub(super) fn create(voice: Voice, keep: bool) -> Result<Self> {
        let dir = directory()?;
        let sweeper = Sweeper::start(&dir)?;
        if keep {
            sweeper.keep();
        }
        let password = random_secret()?;
        let cluster = database(&dir, &password, &sweeper, voice)?;
        let ports = Ports { http: free_port()?, postgres: free_port()?, upstream: cluster.port() };
        write_files(&dir, ports, &cluster)?;
        let mut gateway = Gateway::new(&dir, ports.http);
        gateway.serve(&password, &sweeper)?;
        voice.good(&format!("the gateway serves {} and PostgreSQL clients on port {}", gateway.url(), ports.postgres));
        let people = enrol(&gateway)?;
        voice.good("people: ada (a DBA, owner of the agent `coder`), dora and finn (DBAs)");
        let agent = Agent { psql: cluster.binaries().psql(), port: ports.postgres, key: people.agent_key.clone() };
        Ok(Self { dir, cluster, gateway, people, agent, sweeper, keep })
    }

    /// What the database really holds, read behind the gateway's back.
    pub(super) fn truth(&self, sql: &str) -> Result<String> {
        self.cluster.admin(DATABASE, sql)
    }

    /// The gateway's last words, for somebody who has to find out what went wrong.
    pub(super) fn gateway_log(&self) -> String {
        self.gateway.log()
    }

    /// Stops everything and removes the directory, unless it is to be kept.
    pub(super) fn close(mut self, voice: Voice) {
        self.gateway.stop(&self.sweeper);
        self.cluster.stop();
        self.sweeper.finish();
        if self.keep {
            voice.say(&format!("kept: {}", self.dir.display()));
        }
    }
}

/// A new directory that PostgreSQL's user may pass through and nobody else can list.
fn directory() -> Result<PathBuf> {
    let dir = std::env::temp_dir().join(format!("countersign-demo-{}", random_secret()?));
    fs::create_dir(&dir).doing(format!("creating {}", dir.display()))?;
    fs::set_permissions(&dir, Permissions::from_mode(0o711)).doing("opening the demo's directory")?;
    Ok(dir)
}

fn database(dir: &Path, password: &str, sweeper: &Sweeper, voice: Voice) -> Result<Cluster> {
    let binaries = Binaries::find().doing("PostgreSQL's programs have gone")?;
    let version = binaries.version().to_owned();
    let cluster = Cluster::start(Recipe { dir, binaries, template: None, fsync: true })?;
    if let Some(pid) = cluster.pid() {
        sweeper.watch(pid);
    }
    sample::fill(&cluster, password)?;
    voice.good(&format!("a throw-away PostgreSQL {version} runs on port {}, TLS and SCRAM only", cluster.port()));
    Ok(cluster)
}

/// The configuration, and the starter policies as they are in the repository.
fn write_files(dir: &Path, ports: Ports, cluster: &Cluster) -> Result<()> {
    let config = sample::configuration(ports, &cluster.certificate_for_clients(dir)?);
    fs::write(dir.join("countersign.toml"), config).doing("writing the configuration")?;
    let (from, to) = (repository().join("policies"), dir.join("policies"));
    fs::create_dir(&to).doing("creating the policies")?;
    for entry in fs::read_dir(&from).doing("reading the policies")?.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "cedar") {
            fs::copy(&path, to.join(entry.file_name())).doing(format!("copying {}", path.display()))?;
        }
    }
    Ok(())
}
