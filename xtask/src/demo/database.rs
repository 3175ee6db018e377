//! The demo on a private PostgreSQL: the agent at its `psql`.

use xtask::cluster::{Binaries, Cluster, Recipe};
use xtask::sweeper::Sweeper;
use xtask::trouble::{Doing, Result};

use super::agent::Agent;
use super::sample::{self, DATABASE};
use super::scene::{Call, Scene, Script};
use super::world::Place;
use crate::voice::Voice;

const SCRIPT: Script = Script {
    target: DATABASE,
    introduction: "The agent has an ordinary psql and its own key. It never sees the database's password.",
    read: "SELECT id, name, credit_limit FROM customers ORDER BY id",
    read_shows: "customer 3",
    refused: ["DELETE FROM customers", "COPY customers TO PROGRAM 'cat > /tmp/customers'"],
    refused_shows: "42501",
    refused_words: "refused in PostgreSQL's own words; no byte of either reached the database",
    write: "/* reason: customer 3 paid in advance */ UPDATE customers SET credit_limit = 900 WHERE id = 3",
    notice: Some("NOTICE"),
    hangs: "psql hangs; the row is as it was",
    caller: "psql",
    write_shows: "UPDATE 1",
    secret: "a password the agent never had",
    rejected: "/* reason: nobody ordered it */ DELETE FROM orders WHERE id = 105",
};

/// A PostgreSQL, and the agent that reaches it through the gateway.
#[derive(Debug)]
pub(super) struct Database {
    cluster: Cluster,
    agent: Agent,
}

/// A PostgreSQL that nobody reaches yet.
#[derive(Debug)]
pub(super) struct Prepared {
    cluster: Cluster,
}

impl Prepared {
    /// Starts it and fills it.
    pub(super) fn start(place: &Place, sweeper: &Sweeper, voice: Voice) -> Result<Self> {
        let binaries = Binaries::find().doing("PostgreSQL's programs have gone")?;
        let version = binaries.version().to_owned();
        let cluster = Cluster::start(Recipe { dir: &place.dir, binaries, template: None, fsync: true })?;
        if let Some(pid) = cluster.pid() {
            sweeper.watch(pid);
        }
        sample::fill(&cluster, &place.password)?;
        voice.good(&format!("a throw-away PostgreSQL {version} runs on port {}, TLS and SCRAM only", cluster.port()));
        Ok(Self { cluster })
    }

    /// The lines of the gateway's configuration for it.
    pub(super) fn configuration(&self, place: &Place) -> Result<String> {
        let certificate = self.cluster.certificate_for_clients(&place.dir)?;
        Ok(sample::configuration(place.postgres, self.cluster.port(), &certificate))
    }

    /// With the agent in front.
    pub(super) fn scene(self, place: &Place, key: String) -> Database {
        let agent = Agent { psql: self.cluster.binaries().psql(), port: place.postgres, key };
        Database { cluster: self.cluster, agent }
    }
}

impl Scene for Database {
    fn script(&self) -> &'static Script {
        &SCRIPT
    }

    fn show(&self, asked: &str, voice: Voice) {
        voice.typed("coder", &Agent::typed(asked));
    }

    fn send(&self, asked: &str, sweeper: &Sweeper) -> Result<Call> {
        self.agent.send(asked, sweeper)
    }

    fn credit_limit(&self) -> Result<String> {
        self.cluster.admin(DATABASE, "SELECT credit_limit FROM customers WHERE id = 3")
    }

    fn counts(&self) -> Result<String> {
        let sql =
            "SELECT (SELECT count(*) FROM customers) || ' customers, ' || (SELECT count(*) FROM orders) || ' orders'";
        self.cluster.admin(DATABASE, sql)
    }

    fn reached(&self) -> Option<u64> {
        None // the gateway itself asks the server's catalog
    }

    fn invitation(&self) -> String {
        format!("psql \"{}\"", self.agent.url())
    }

    fn stop(&mut self) {
        self.cluster.stop();
    }
}
