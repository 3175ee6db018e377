//! The listener: accepts clients, lets them log in, and serves each in a task of its own.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use subtle::ConstantTimeEq;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::cancel::Cancel;
use super::connection::{Connection, End, Opened};
use super::describe::STACK_BYTES;
use super::describer::Describer;
use super::doors::{Door, Doors};
use super::duplex::Side;
use super::login::{Entered, Entering, LoggedIn, enter};
use super::mask::{Key, KeyError};
use super::scram::MockSecret;
use super::target::{TargetError, Upstream};
use super::wire::startup::{CancelKey, ProtocolVersion, Startup};
use super::wire::{TransactionStatus, backend};
use super::{refuse, settings};
use crate::codes::Code;
use crate::config::Protocol;
use crate::gate::Gate;
use crate::identity::keys;
use crate::lanes::Lanes;
use crate::refusal::Refusal;
use crate::spool::Spools;
use crate::tls::{ServerTls, TlsError};

/// How long a client may take to log in.
const LOGIN_TIME_MAX: Duration = Duration::from_secs(30);
/// Clients that are logging in at once; one more is closed without a word.
const ENTERING_MAX: usize = 1_024;
/// How long a cancel request may take to reach the upstream.
const CANCEL_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a turned-away client may take to read why.
const GOODBYE_TIME_MAX: Duration = Duration::from_secs(5);

/// Why the listener cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The certificate or its key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A target.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The key of masks.
    #[error(transparent)]
    MaskKey(#[from] KeyError),
    /// The address.
    #[error("cannot listen on `{address}`: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The threads that connections live on.
    #[error("cannot start the threads for connections")]
    Lanes(#[source] std::io::Error),
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] keys::NoRandomness),
}

/// What a client was told when it was let in: its cancel key, and the server's settings.
type Greeted = (CancelKey, BTreeMap<String, String>);

/// What every connection shares.
pub struct Listener {
    pub(super) gate: Arc<Gate>,
    pub(super) tls: ServerTls,
    pub(super) mock_secret: MockSecret,
    /// Those that somebody connected to, each in the form that was in force then.
    upstreams: Mutex<BTreeMap<String, Arc<Upstream>>>,
    describer: Arc<Describer>,
    cancels: Mutex<HashMap<u32, (Bytes, Arc<Cancel>)>>,
    doors: Doors,
    places: Arc<Semaphore>,
    spools: Arc<Spools>,
    mask_key: Arc<Key>,
    socket: TcpListener,
}

impl Listener {
    /// Reads certificates and targets, and listens. Must run inside the runtime.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn open(gate: Arc<Gate>, address: SocketAddr) -> Result<Self, Error> {
        let tls = match &gate.config.postgres.tls {
            Some(files) => ServerTls::load(&files.cert, &files.key)?,
            None => ServerTls::load_or_create(&gate.config.data_dir, None)?,
        };
        let in_force = gate.targets.current();
        let targets = gate.config.targets.iter().chain(in_force.values());
        for target in targets.filter(|target| target.protocol == Protocol::Postgres) {
            Upstream::new(target.clone())?; // what cannot be used is told at the start
        }
        let socket = TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
        Ok(Self {
            mock_secret: MockSecret::new(keys::random()?),
            doors: Doors::new(ENTERING_MAX, gate.config.postgres.logins_per_address_max),
            places: Arc::new(Semaphore::new(gate.config.postgres.connections_max)),
            spools: Arc::new(Spools::new(gate.config.data_dir.clone(), gate.config.postgres.copy_bytes_max)),
            mask_key: Arc::new(Key::load_or_create(&gate.config.data_dir)?),
            gate,
            tls,
            upstreams: Mutex::default(),
            describer: Arc::default(),
            cancels: Mutex::default(),
            socket,
        })
    }

    /// Accepts clients until the future is dropped, which ends them.
    ///
    /// # Errors
    /// [`Error::Lanes`], before anybody was accepted.
    pub async fn serve(self) -> Result<(), Error> {
        let lanes = Lanes::open("postgres", STACK_BYTES).map_err(Error::Lanes)?;
        let listener = Arc::new(self);
        loop {
            match listener.socket.accept().await {
                Ok((socket, peer)) => {
                    let listener = listener.clone();
                    // out of the accepting runtime's event loop, and into the lane's
                    if let Ok(socket) = socket.into_std() {
                        lanes.spawn(move || async move {
                            if let Ok(socket) = TcpStream::from_std(socket) {
                                listener.client(socket, peer).await;
                            }
                        });
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(Duration::from_millis(100)).await; // out of files, most likely
                }
            }
        }
    }

    async fn client(&self, socket: TcpStream, peer: SocketAddr) {
        let _ = socket.set_nodelay(true); // speed only
        let Some(door) = self.doors.enter(peer.ip()) else { return };
        let entered = tokio::time::timeout(LOGIN_TIME_MAX, enter(self, socket, peer)).await;
        match entered {
            Ok(Ok(Entered::Cancel(key))) => self.cancel(&key).await,
            Ok(Ok(Entered::Client(entering, startup))) => self.start(entering, startup, door).await,
            Ok(Err(_)) | Err(_) => {}
        }
    }

    async fn start(&self, mut entering: Entering, startup: Startup, door: Door<'_>) {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            let refusal = Refusal::new(Code::TooManyConnections, "too many connections to the gateway");
            return goodbye(entering, End::Fatal(Box::new(refuse::fatal(&refusal)))).await;
        };
        let logged_in = match tokio::time::timeout(LOGIN_TIME_MAX, entering.log_in(self, &startup)).await {
            Ok(Ok(logged_in)) => logged_in,
            Ok(Err(end)) => return goodbye(entering, end).await,
            Err(_) => return,
        };
        let mut greeting = BytesMut::new();
        let (key, told) = match self.greet(&logged_in, &startup, &mut greeting).await {
            Ok(greeted) => greeted,
            Err(refusal) => return goodbye(entering, End::Fatal(Box::new(refuse::fatal(&refusal)))).await,
        };
        drop(door);
        let cancel = Arc::new(Cancel::default());
        self.cancels().insert(key.process_id, (key.secret.clone(), cancel.clone()));
        let mut client = Side::new(entering.stream, entering.input);
        client.output = greeting;
        let LoggedIn { subject, target } = logged_in;
        let Ok(decoy) = keys::random() else { return };
        let (gate, spools, startup) = (self.gate.clone(), self.spools.clone(), startup.settings);
        let describer = self.describer.clone();
        let mask_key = self.mask_key.clone();
        let opened =
            Opened { gate, subject, target, startup, told, client, cancel, spools, mask_key, describer, decoy };
        Connection::new(opened).run().await;
        self.cancels().remove(&key.process_id);
        drop(place);
    }

    /// What a client is told once it is in: the upstream's settings with its own on top, and its cancel key.
    async fn greet(&self, to: &LoggedIn, startup: &Startup, out: &mut BytesMut) -> Result<Greeted, Refusal> {
        let parameters = to.target.parameters(&*self.gate.vault).await?;
        backend::authentication_ok(out);
        let broken = |error: super::wire::WireError| Refusal::new(Code::ProtocolViolation, error.to_string());
        let mut told = BTreeMap::new();
        for (name, value) in parameters {
            let own = startup.settings.iter().find(|(own, _)| own.eq_ignore_ascii_case(&name));
            let value = own.map_or(value, |(_, own)| settings::as_reported(&name, own));
            backend::parameter_status(out, &name, &value).map_err(broken)?;
            told.insert(name, value);
        }
        let key = self.new_key(startup.spoken())?;
        backend::backend_key_data(out, &key).map_err(broken)?;
        backend::ready_for_query(out, TransactionStatus::Idle);
        Ok((key, told))
    }

    /// A cancel key of our own: the upstream's never leaves the gateway.
    fn new_key(&self, version: ProtocolVersion) -> Result<CancelKey, Refusal> {
        let fail = |error: keys::NoRandomness| Refusal::new(Code::RecordUnavailable, error.to_string());
        let long: [u8; 32] = keys::random().map_err(fail)?;
        let secret = if version >= ProtocolVersion::V3_2 { &long[..] } else { &long[..4] };
        let secret = Bytes::copy_from_slice(secret);
        loop {
            let process_id = u32::from_be_bytes(keys::random().map_err(fail)?) & 0x7fff_ffff;
            if !self.cancels().contains_key(&process_id) {
                return Ok(CancelKey { process_id, secret });
            }
        }
    }

    /// Raises a cancel request. The connection that brought it is closed once it was passed on, as a server closes it:
    /// clients take that for the sign that what they send next is not meant.
    async fn cancel(&self, key: &CancelKey) {
        let found = self.cancels().get(&key.process_id).cloned();
        if let Some((secret, cancel)) = found
            && bool::from(secret.ct_eq(&key.secret))
        {
            cancel.raise(CANCEL_TIME_MAX).await;
        }
    }

    /// The upstream of a target as it is in force.
    ///
    /// # Errors
    /// [`Refusal`]: there is none, or it waits for people.
    pub(super) fn upstream(&self, name: &str) -> Result<Arc<Upstream>, Refusal> {
        let in_force = self.gate.targets.current();
        let target = self.gate.targets.spoken(&in_force, name, |protocol| protocol == Protocol::Postgres);
        let target = target.map_err(|refusal| match refusal.code {
            Code::UnknownTarget => {
                let there = refusal.hint.unwrap_or_default();
                Refusal { hint: Some(format!("the database name is the target's; {there}")), ..refusal }
            }
            _ => refusal,
        })?;
        let mut upstreams = self.upstreams.lock().unwrap_or_else(PoisonError::into_inner); // valid after any panic
        if let Some(known) = upstreams.get(name).filter(|known| known.config == *target) {
            return Ok(known.clone());
        }
        let new = Upstream::new(target.clone());
        let new = new.map_err(|error| Refusal::new(Code::UpstreamUnavailable, error.to_string()))?;
        let new = Arc::new(new);
        upstreams.insert(name.to_owned(), new.clone());
        Ok(new)
    }

    fn cancels(&self) -> std::sync::MutexGuard<'_, HashMap<u32, (Bytes, Arc<Cancel>)>> {
        self.cancels.lock().unwrap_or_else(PoisonError::into_inner) // the map is valid after any panic
    }
}

async fn goodbye(mut entering: Entering, end: End) {
    let End::Fatal(notice) = end else { return };
    let mut out = BytesMut::new();
    notice.put_error(&mut out);
    let told = async {
        entering.stream.write_all(&out).await?;
        entering.stream.shutdown().await
    };
    let _ = tokio::time::timeout(GOODBYE_TIME_MAX, told).await; // it may have left
}
