//! The wiring: a configuration becomes a running gateway.
//!
//! The order matters. The ledger integrates what an earlier run recorded before open attempts are closed as unknown, and
//! only then anything listens.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use countersign_core::action::Timestamp;
use countersign_core::record::{Event, Record};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::task::AbortOnDropHandle;

use crate::admin::{self, Admin, Socket};
use crate::channels::{self, Registry};
use crate::clock::SystemClock;
use crate::config::{Config, PolicyChanges};
use crate::gate::{Changes, Declared, Gate};
use crate::host::Neighbours;
use crate::identity::linking::Linking;
use crate::identity::oidc::Provider;
use crate::identity::people::Roster;
use crate::identity::provisioning::Provisioner;
use crate::identity::sign_in::{Reception, SignIn};
use crate::identity::workload::Workloads;
use crate::lanes::PerLane;
use crate::ledger::keys::KeyFile;
use crate::ledger::{self, Ledger};
use crate::policies::Policies;
use crate::ports::{Bundles, Clock, Directory, Incidents, LogView as _, RecordSource, Scribe, Seal, Store, Vault};
use crate::protocols::postgres::describe::{ByText, STACK_BYTES};
use crate::protocols::postgres::serve::Listener;
use crate::relay::Relay;
use crate::store::sqlite::SqliteStore;
use crate::targets::Targets;
use crate::tls::{ServerTls, TlsError};
use crate::vault::{LocalVault, Sealer};
use crate::waiting::WaitingRoom;
use crate::{api, console, http, proposals, protocols, resolve, scim};

/// How often reviews are looked at for expiry.
const EXPIRE_EVERY: Duration = Duration::from_secs(1);
/// How long the last records may take at shutdown.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(10);

/// A gateway that is ready to listen.
pub struct App {
    gate: Arc<Gate>,
    ledger: Arc<Ledger>,
    admin: Arc<Admin>,
}

/// Makes the data directory, for its owner alone.
///
/// # Errors
/// It cannot be made.
pub fn make_data_dir(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make the data directory `{}`", path.display()))
}

/// The keys that seal what is stored.
///
/// # Errors
/// They cannot be unwrapped.
pub fn open_sealer(config: &Config) -> anyhow::Result<Sealer> {
    Sealer::open(&config.data_dir, &config.secrets)
        .context("cannot unwrap the keys of `keys.json` (secrets.master_key)")
}

impl App {
    /// Opens everything that a configuration names.
    ///
    /// # Errors
    /// Whatever is wrong, named; nothing listens then.
    pub async fn open(config: Config) -> anyhow::Result<Self> {
        let config = Arc::new(config);
        make_data_dir(&config.data_dir)?;
        let seal: Arc<dyn Seal> = Arc::new(open_sealer(&config)?);
        let store = SqliteStore::open(&config.data_dir, seal.clone()).context("cannot open the store")?;
        let sealed_store = Arc::new(store.clone());
        let journal = ledger::journal::Settings { durable: config.ledger.reads_durable, ..Default::default() };
        let settings = ledger::Settings { origin: config.ledger.origin.clone(), journal };
        let source: Arc<dyn RecordSource> = Arc::new(store.clone());
        let ledger = Ledger::open(&config.data_dir, settings, source, &*seal).await;
        let ledger = ledger.context("cannot open the ledger")?;
        let ledger = Arc::new(ledger);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::starting_at(last_record(&ledger).await));
        let scribe = Scribe::new(clock, config.node.clone());
        let bundles: Arc<dyn Bundles> = Arc::new(store.clone());
        let started = start(&store, &scribe).await?;
        let policies = Policies::open(config.clone(), bundles.clone(), &scribe, started);
        let policies = Arc::new(policies.await.context("the policies are not valid")?);
        if ledger.journal().torn_bytes() > 0 {
            let detail =
                format!("{} bytes of an unfinished record were cut off the journal", ledger.journal().torn_bytes());
            let alarm = Event::SystemAlarm { code: "journal_torn".to_owned(), detail };
            store.append(vec![scribe.record(alarm)]).await.context("cannot record an alarm")?;
        }

        let targets = Targets::open(config.clone(), Arc::new(store.clone()), &scribe).await;
        let targets = Arc::new(targets.context("cannot read which targets are in force")?);
        for target in &config.targets {
            if targets.waiting(&target.name).is_some() {
                tracing::warn!(target = %target.name, "the target is not in force as the configuration has it: somebody has to \
                    propose it (`countersign target propose`), and others to approve");
            }
        }
        let directory: Arc<dyn Directory> = Arc::new(store.clone());
        let roster = Arc::new(Roster::open(directory.clone()).await.context("cannot read the directory")?);
        let vault: Arc<dyn Vault> = Arc::new(LocalVault::new(&config));
        if config.scim.is_some() {
            scim::check_token(&*vault).await.context("the provisioning client (scim.token)")?;
        }
        let provisioner = Provisioner::new(config.clone(), Arc::new(store.clone()), roster.clone(), scribe.clone());
        if let Some(provisioner) = &provisioner {
            provisioner.reconcile().await.context("cannot bring provisioned people up to date")?;
        }
        let sign_in = config.oidc.clone().map(|oidc| -> anyhow::Result<SignIn> {
            let provider = Provider::new(oidc.clone(), &config.public_url, vault.clone())?;
            let reception = Reception::new(config.clone(), oidc, directory.clone(), scribe.clone());
            Ok(SignIn { provider, reception })
        });
        let linking = config.slack.as_ref().and_then(|slack| slack.sign_in.as_ref()).map(|client| {
            let (here, people) = ((&*config.public_url, config.oidc.is_some()), (directory.clone(), scribe.clone()));
            Linking::new(client, here, vault.clone(), people)
        });
        let incidents: Arc<dyn Incidents> = Arc::new(store.clone());
        let declared = Declared::open(&*incidents).await.context("cannot read the incidents")?;
        let gate = Arc::new(Gate {
            incidents,
            declared,
            store: Arc::new(store),
            bundles,
            directory: directory.clone(),
            journal: ledger.journal(),
            log: ledger.clone(),
            seal: seal.clone(),
            vault,
            sign_in: sign_in.transpose()?,
            linking: linking.transpose()?,
            workloads: Workloads::new(&config, directory.clone(), roster.clone(), scribe.clone())?,
            provisioner,
            policies,
            targets,
            roster: roster.clone(),
            scribe: scribe.clone(),
            waiting: WaitingRoom::default(),
            changes: Changes::default(),
            config: config.clone(),
        });
        let store = gate.store.clone();
        let key_file = KeyFile::new(ledger::folder(&config.data_dir), seal.clone());
        let secrets = admin::Secrets { seal, sealed: vec![sealed_store, Arc::new(key_file)] };
        let admin =
            Admin { config, directory, store, secrets, scribe, roster: Some(roster), log: Some(ledger.clone()) };
        Ok(Self { gate, ledger, admin: Arc::new(admin) })
    }

    /// Listens and serves until it is told to stop (SIGINT, SIGTERM).
    ///
    /// # Errors
    /// A listener cannot be opened, or ended by itself.
    pub async fn serve(self) -> anyhow::Result<()> {
        let gate = &self.gate;
        let config = &gate.config;
        let web = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("cannot listen on `{}` (server.listen)", config.listen))?;
        let postgres = match config.postgres.listen {
            Some(address) => Some(Listener::open(gate.clone(), address).await.context("PostgreSQL")?),
            None => None,
        };
        if let Some(warning) = Neighbours::look().as_ref().and_then(Neighbours::warning) {
            tracing::warn!("{warning}");
        }
        if config.changes == PolicyChanges::File {
            tracing::warn!(
                "changed policy files take effect as they are (policy.changes = \"file\"): whoever can write them decides what is permitted"
            );
        }
        let path = config.admin_socket();
        let socket = Socket::open(&path).with_context(|| format!("the socket `{}`", path.display()))?;
        tracing::info!(console = %config.public_url, "listening");
        if let Some(address) = config.postgres.listen {
            tracing::info!(%address, "listening for PostgreSQL clients");
        }
        let registry = Registry::new(gate).context("the channels")?;
        let router = api::router(gate.clone())
            .merge(scim::router(gate.clone()))
            .merge(console::router(gate.clone(), Arc::new(ByText)));
        let router = router.merge(channels::router(gate, &registry));
        let relay = Relay::new(gate.clone(), protocols::dialect).context("the targets over HTTP")?;
        let web = http::Listening {
            listener: web,
            handler: handler(router, PerLane::new(|| Arc::new(relay.beside()))),
            tls: tls(config).context("the HTTP listener")?.for_http(),
            connections_max: config.connections_max,
            stack_bytes: STACK_BYTES,
        };
        let postgres = async {
            match postgres {
                Some(listener) => listener.serve().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = http::serve(web) => match ended.context("the HTTP listener ended")? {},
            ended = postgres => ended.context("the PostgreSQL listener ended")?,
            () = admin::serve(self.admin.clone(), socket) => {}
            () = expire(gate) => {}
            () = gate.policies.watch(&*gate.store, &gate.scribe) => {}
            () = proposals::release_all(gate) => {}
            () = channels::deliver_all(gate, &registry) => {}
            () = channels::listen_all(gate, &registry) => {}
            stopped = stop() => stopped?,
        }
        tracing::info!("stopping");
        let _ = std::fs::remove_file(&path); // the next start would remove it too
        let ended = tokio::time::timeout(FLUSH_TIME_MAX, self.ledger.shutdown()).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("the last records are not in the log yet; the next start integrates them");
        }
        Ok(())
    }
}

/// What answers on the HTTP listener: targets first, which no route shadows; then console and API, on the runtime that this
/// is called on, so that no page that takes its time delays the requests of a lane.
fn handler(router: Router, relays: PerLane<Arc<Relay>>) -> http::Handler {
    let router = TowerToHyperService::new(router);
    let runtime = tokio::runtime::Handle::current();
    Arc::new(move |request| match relays.own().is_for(&request) {
        true => {
            let answering = relays.own().clone().handle(request);
            Box::pin(async move { answering.await.map(Body::new) })
        }
        false => {
            let answering = AbortOnDropHandle::new(runtime.spawn(router.call(request)));
            Box::pin(async move {
                match answering.await {
                    Ok(Ok(response)) => response,
                    Ok(Err(never)) => match never {},
                    Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(), // it panicked; the log has it
                }
            })
        }
    })
}

/// The listener's certificate.
fn tls(config: &Config) -> Result<ServerTls, TlsError> {
    match &config.tls {
        Some(files) => ServerTls::load(&files.cert, &files.key),
        None => ServerTls::load_or_create(&config.data_dir, None),
    }
}

/// The time of the newest leaf: the clock never goes behind it.
async fn last_record(ledger: &Ledger) -> Timestamp {
    let Ok(size) = ledger.size().await else { return Timestamp::from_micros(0) };
    let last = ledger.entries(size.saturating_sub(1)..size).await.unwrap_or_default();
    let at = last.first().and_then(|entry| {
        let leaf: serde_json::Value = serde_json::from_str(&entry.leaf).ok()?;
        leaf.get("at")?.as_str()?.parse().ok()
    });
    at.unwrap_or(Timestamp::from_micros(0))
}

/// The record of the start: what an earlier run left open is unknown. It commits with the policies that are in force then.
async fn start(store: &SqliteStore, scribe: &Scribe) -> anyhow::Result<Record> {
    let closed_unknown = store.close_unknown(scribe.node(), scribe.now()).await.context("cannot close old attempts")?;
    if closed_unknown > 0 {
        tracing::warn!(closed_unknown, "attempts of an earlier run have no known outcome");
    }
    let started = Event::SystemStarted { version: env!("CARGO_PKG_VERSION").to_owned(), closed_unknown };
    Ok(scribe.record(started))
}

/// Closes reviews whose time has run out, and brings the others to attention in theirs, until the future is dropped.
async fn expire(gate: &Gate) {
    loop {
        if let Err(error) = resolve::expire_due(gate).await {
            tracing::error!(%error, "reviews could not be expired; trying again");
        }
        if let Err(error) = resolve::incidents::end_due(gate).await {
            tracing::error!(%error, "incidents could not be ended; trying again");
        }
        if let Err(error) = resolve::attend_due(gate).await {
            tracing::error!(%error, "reviews could not be escalated; trying again");
        }
        tokio::time::sleep(EXPIRE_EVERY).await;
    }
}

async fn stop() -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
