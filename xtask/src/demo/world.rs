//! The demo's small world: a directory, something to reach, a gateway, people. Made in order, swept away at the end.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use xtask::loopback::{free_port, random_secret};
use xtask::repository;
use xtask::sweeper::Sweeper;
use xtask::trouble::{Doing, Result};

use super::gateway::Gateway;
use super::people::{People, enrol};
use super::scene::Scene;
use super::{Upstream, database, shop};
use crate::voice::Voice;

/// Everything that runs for the demo.
#[derive(Debug)]
pub(super) struct World {
    pub(super) dir: PathBuf,
    pub(super) scene: Box<dyn Scene>,
    pub(super) gateway: Gateway,
    pub(super) people: People,
    pub(super) sweeper: Sweeper,
    keep: bool,
}

/// Where it is, and what only the gateway and its upstream know.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) dir: PathBuf,
    /// Ports of the gateway.
    pub(super) http: u16,
    pub(super) postgres: u16,
    /// The upstream's.
    pub(super) password: String,
}

impl World {
    pub(super) fn create(upstream: Upstream, voice: Voice, keep: bool) -> Result<Self> {
        let place = Place { dir: directory()?, http: free_port()?, postgres: free_port()?, password: random_secret()? };
        let sweeper = Sweeper::start(&place.dir)?;
        if keep {
            sweeper.keep();
        }
        policies(&place.dir)?;
        let (gateway, people, scene): (_, _, Box<dyn Scene>) = match upstream {
            Upstream::Postgres => {
                let prepared = database::Prepared::start(&place, &sweeper, voice)?;
                let (gateway, people) = served(&place, &prepared.configuration(&place)?, &sweeper)?;
                let (url, port) = (gateway.url(), place.postgres);
                voice.good(&format!("the gateway serves {url} and PostgreSQL clients on port {port}"));
                let scene = prepared.scene(&place, people.agent_key.clone());
                (gateway, people, Box::new(scene))
            }
            Upstream::Http => {
                let prepared = shop::Prepared::start(&place, voice)?;
                let (gateway, people) = served(&place, &prepared.configuration(&place), &sweeper)?;
                voice.good(&format!("the gateway serves {}", gateway.url()));
                let scene = prepared.scene(&place, people.agent_key.clone());
                (gateway, people, Box::new(scene))
            }
        };
        voice.good("people: ada (a DBA, owner of the agent `coder`), dora and finn (DBAs)");
        Ok(Self { dir: place.dir, scene, gateway, people, sweeper, keep })
    }

    /// The gateway's last words, for somebody who has to find out what went wrong.
    pub(super) fn gateway_log(&self) -> String {
        self.gateway.log()
    }

    /// Stops everything and removes the directory, unless it is to be kept.
    pub(super) fn close(mut self, voice: Voice) {
        self.gateway.stop(&self.sweeper);
        self.scene.stop();
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

/// A gateway with these targets, and everybody who takes part.
fn served(place: &Place, targets: &str, sweeper: &Sweeper) -> Result<(Gateway, People)> {
    let http = place.http;
    let config = format!(
        r#"# Written by `cargo demo`.
[server]
listen     = "127.0.0.1:{http}"
public_url = "http://127.0.0.1:{http}"
data_dir   = "./data"
policies   = "./policies"
{targets}"#
    );
    fs::write(place.dir.join("countersign.toml"), config).doing("writing the configuration")?;
    let mut gateway = Gateway::new(&place.dir, http);
    gateway.serve(&place.password, sweeper)?;
    let people = enrol(&gateway)?;
    Ok((gateway, people))
}

/// The starter policies as they are in the repository.
fn policies(dir: &Path) -> Result<()> {
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
