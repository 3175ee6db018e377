//! One client's connection after its login: messages in, the line for whatever wants to run, answers out.
//!
//! The state is in [`Session`]; this module moves bytes and asks. [`client`] takes the client's messages, [`upstream`] the
//! server's, [`call`] walks the pipeline.

mod bounded;
mod call;
mod client;
mod copy;
mod hold;
mod mask;
mod names;
mod own;
mod upstream;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use countersign_core::action::PayloadDigest;
use countersign_core::policy::Memo;
use tokio::task::JoinHandle;

use self::hold::{DEFAULT_READ_ONLY, Hold};
use self::mask::Masking;
use self::names::Names;
use super::cancel::Cancel;
use super::capture::{Before, Subject};
use super::catalog::Disturbance;
use super::describer::Describer;
use super::duplex::{Event, Side, pump};
use super::mask::{Columns, Key};
use super::session::{Prepared, Running, Session};
use super::target::Upstream;
use super::wire::frame::{Limits, Scanner, next_frame};
use super::wire::frontend::Parse;
use super::wire::notice::Notice;
use super::wire::startup::CancelKey;
use super::wire::{WireError, backend, frontend};
use super::{refuse, settings};
use crate::codes::Code;
use crate::gate::Gate;
use crate::pipeline;
use crate::ports::Receipt;
use crate::refusal::Refusal;
use crate::spool::Spools;

/// The largest client message: statements, parameters, COPY chunks.
const CLIENT_LIMITS: Limits = Limits::frontend(64 << 20);
/// How far a client may send ahead of what is processed: one largest message and its header.
const INPUT_BYTES_MAX: usize = (64 << 20) + 5;
/// How long the last words to either side may take.
const GOODBYE_TIME_MAX: Duration = Duration::from_secs(10);

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// The client left or said goodbye.
    Left,
    /// The server ended the session with words of its own, which the client has.
    Told,
    /// The gateway ends it with these words.
    Fatal(Box<Notice>),
}

impl From<WireError> for End {
    fn from(error: WireError) -> Self {
        let code = if matches!(error, WireError::TooLong { .. }) { Code::TooLarge } else { Code::ProtocolViolation };
        End::Fatal(Box::new(refuse::fatal(&Refusal::new(code, error.to_string()))))
    }
}

fn fatal(refusal: &Refusal) -> End {
    End::Fatal(Box::new(refuse::fatal(refusal)))
}

/// A portal that was bound: what it will do when it is executed first.
struct Portal {
    running: Option<Running>,
    prepared: Arc<Prepared>,
    disturbance: Disturbance,
    /// The most rows it may change.
    rows_max: Option<u64>,
    /// Whether its rows may change something as they are fetched.
    changes: bool,
    /// Whether it has run to its end.
    finished: bool,
    /// How its rows are shown, if not as they are.
    mask: Option<Arc<Columns>>,
}

/// A connection.
pub(super) struct Connection {
    pub(super) gate: Arc<Gate>,
    pub(super) subject: Subject,
    pub(super) target: Arc<Upstream>,
    /// What the client gave at its start, for the server's.
    pub(super) startup: BTreeMap<String, String>,
    pub(super) client: Side,
    /// Raised by a cancel request for this session.
    pub(super) cancel: Arc<Cancel>,
    /// A cancel request waits until the gateway's own commands are done.
    cancel_waits: bool,
    /// A cancel request on its way to the server.
    cancelling: Option<JoinHandle<()>>,
    pub(super) session: Session,
    upstream: Option<Side>,
    scanner: Scanner,
    upstream_key: Option<CancelKey>,
    /// Whether the server's last word was a fatal error, which the client was told.
    upstream_told: bool,
    /// What the client believes of the server's settings.
    told: BTreeMap<String, String>,
    portals: HashMap<String, Portal>,
    spools: Arc<Spools>,
    masking: Masking,
    mask_key: Arc<Key>,
    describer: Arc<Describer>,
    /// What was asked for on this connection before.
    before: Before,
    /// What was permitted on it before.
    memo: Memo,
    /// What the next byte of an answer owes to the record.
    owed: Option<Receipt>,
    /// Statements that the client prepared and the server has not heard of yet: they are sent with what follows, so that
    /// an action that waits holds no lock, and no connection, of the server.
    deferred: Vec<Deferred>,
    /// The name that this session's decoys ask for: random, so that no client can have prepared it.
    decoy: String,
    /// The name that its own commands have: random as well.
    own_name: String,
    names: Names,
    hold: Hold,
}

/// A `Parse` that is not sent yet.
struct Deferred {
    parse: Parse,
    prepared: Arc<Prepared>,
}

/// What a new connection is made of.
pub(super) struct Opened {
    pub(super) gate: Arc<Gate>,
    pub(super) subject: Subject,
    pub(super) target: Arc<Upstream>,
    pub(super) startup: BTreeMap<String, String>,
    /// What the client was told of the server's settings.
    pub(super) told: BTreeMap<String, String>,
    pub(super) client: Side,
    pub(super) cancel: Arc<Cancel>,
    pub(super) spools: Arc<Spools>,
    pub(super) mask_key: Arc<Key>,
    pub(super) describer: Arc<Describer>,
    /// Random.
    pub(super) decoy: [u8; 16],
}

impl Connection {
    pub(super) fn new(opened: Opened) -> Self {
        let Opened { gate, subject, target, startup, told, client, cancel, spools, mask_key, describer, decoy } =
            opened;
        let own = PayloadDigest::of(&decoy).to_string(); // not the decoy itself, which the client must not learn
        let session = Session::new(settings::tracked(&startup)).named(own);
        let scanner = Scanner::new(Limits::BACKEND);
        let hold = Hold::of_start(&startup);
        Self {
            gate,
            subject,
            target,
            startup,
            client,
            cancel,
            cancel_waits: false,
            cancelling: None,
            session,
            upstream: None,
            scanner,
            upstream_key: None,
            upstream_told: false,
            told,
            portals: HashMap::new(),
            spools,
            masking: Masking::default(),
            mask_key,
            describer,
            before: Before::default(),
            memo: Memo::default(),
            owed: None,
            deferred: Vec::new(),
            own_name: format!(
                "countersign {}",
                PayloadDigest::of(&decoy).to_string().chars().skip(7).take(32).collect::<String>()
            ),
            names: Names::default(),
            hold,
            decoy: format!("refused by countersign {}", hex::encode(decoy)),
        }
    }

    /// Serves the client until either side ends.
    pub(super) async fn run(&mut self) {
        let end = self.serve().await;
        self.session.lost();
        self.drop_portals();
        if let Err(recorded) = self.record_ended() {
            tracing::error!(error = %recorded.message, "an outcome could not be recorded");
        }
        let end = self.pay().await.err().unwrap_or(end);
        if let End::Fatal(notice) = &end {
            notice.put_error(&mut self.client.output);
        }
        if matches!(end, End::Fatal(_) | End::Told) {
            let _ = tokio::time::timeout(GOODBYE_TIME_MAX, self.drain()).await; // it may have left
        }
        if let Some(upstream) = &mut self.upstream {
            frontend::terminate(&mut upstream.output);
            let _ = tokio::time::timeout(GOODBYE_TIME_MAX, self.drain()).await; // it ends either way
        }
    }

    async fn serve(&mut self) -> End {
        loop {
            if let Err(end) = self.take_all().await {
                return end;
            }
            if let Err(end) = self.next_event().await {
                return end;
            }
        }
    }

    /// Waits for whatever comes next, and takes note of it.
    async fn next_event(&mut self) -> Result<(), End> {
        let cancel = self.cancel.clone();
        tokio::select! {
            event = self.event(INPUT_BYTES_MAX, false) => self.on(event),
            () = cancel.raised() => {
                self.cancel_upstream();
                Ok(())
            }
        }
    }

    /// Processes every whole message that has arrived.
    async fn take_all(&mut self) -> Result<(), End> {
        while let Some(frame) = next_frame(&mut self.client.input, &CLIENT_LIMITS)? {
            self.take(frame).await?;
        }
        Ok(())
    }

    /// Waits for the next event. No byte reaches the client before it is paid for.
    async fn event(&mut self, input_max: usize, drain: bool) -> Result<Event, End> {
        if !self.client.output.is_empty() {
            self.pay().await?;
        }
        Ok(pump(&mut self.client, self.upstream.as_mut(), input_max, drain).await)
    }

    /// The next answer owes this to the record.
    fn owe(&mut self, owed: Option<Receipt>) {
        self.owed = self.owed.max(owed);
    }

    /// Pays what is owed, or takes back the answers that nobody has heard yet.
    async fn pay(&mut self) -> Result<(), End> {
        let Some(owed) = self.owed else { return Ok(()) };
        let paid = pipeline::pay(&self.gate, owed).await;
        self.owed = None;
        paid.map_err(|refusal| {
            self.client.output.clear();
            fatal(&refusal)
        })
    }

    async fn drain(&mut self) {
        while matches!(self.event(0, true).await, Ok(Event::Client | Event::Upstream)) {}
    }

    fn on(&mut self, event: Result<Event, End>) -> Result<(), End> {
        match event? {
            Event::Client | Event::Drained => Ok(()),
            Event::Upstream => self.relay(),
            Event::ClientGone => Err(End::Left),
            Event::UpstreamGone => {
                self.upstream = None;
                if self.upstream_told {
                    return Err(End::Told);
                }
                let refusal = Refusal::new(Code::UpstreamUnavailable, "the upstream closed the connection");
                Err(fatal(&refusal))
            }
        }
    }

    /// Waits until everything forwarded was answered. A client that sends something else while the server asks for a
    /// stream breaks the protocol.
    pub(super) async fn settle(&mut self) -> Result<(), End> {
        self.settle_or_stream().await?;
        if self.session.streaming_in() {
            return Err(fatal(&Refusal::new(Code::ProtocolViolation, "another message inside a COPY stream")));
        }
        Ok(())
    }

    /// Waits until everything forwarded was answered, or the server asks for a stream.
    pub(super) async fn settle_or_stream(&mut self) -> Result<(), End> {
        if self.session.settled() {
            return Ok(());
        }
        if self.session.batch_open
            && let Some(upstream) = &mut self.upstream
        {
            frontend::flush(&mut upstream.output);
        }
        while !self.session.settled() && !self.session.streaming_in() {
            self.next_event().await?;
        }
        Ok(())
    }

    /// Connects the upstream, if it is not.
    pub(super) async fn connect(&mut self) -> Result<(), Refusal> {
        if self.upstream.is_some() {
            return Ok(());
        }
        let connected = self.target.connect(&*self.gate.vault, &hold::at_start(&self.startup)).await?;
        for (name, value) in connected.parameters.iter().filter(|(name, _)| *name != DEFAULT_READ_ONLY) {
            settings::check_reported(name, value)?;
            if self.told.get(name) != Some(value) {
                let told = backend::parameter_status(&mut self.client.output, name, value);
                told.map_err(|error| Refusal::new(Code::UpstreamUnavailable, error.to_string()))?;
            }
        }
        self.hold.standby = connected.parameters.get("in_hot_standby").is_some_and(|standby| standby == "on");
        self.upstream_key = connected.cancel_key;
        self.upstream = Some(Side::new(connected.stream, connected.buffered));
        self.scanner = Scanner::new(Limits::BACKEND);
        Ok(())
    }

    /// Connects, and sends what was put off.
    async fn reach(&mut self) -> Result<(), Refusal> {
        self.connect().await?;
        self.send_deferred()
    }

    /// Sends what was put off.
    fn send_deferred(&mut self) -> Result<(), Refusal> {
        let Some(upstream) = &mut self.upstream else { return Ok(()) };
        for Deferred { parse, prepared } in self.deferred.drain(..) {
            let sent = frontend::parse(&mut upstream.output, &parse);
            sent.map_err(|error| Refusal::new(Code::ProtocolViolation, error.to_string()))?;
            self.session.parse_sent(&parse.name, prepared);
        }
        Ok(())
    }
}
