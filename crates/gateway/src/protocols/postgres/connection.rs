//! One client's connection after its login: messages in, the line for whatever wants to run, answers out.
//!
//! The state is in [`Session`]; this file moves bytes and asks. It is the [`Call`] of the pipeline for PostgreSQL.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use countersign_core::action::redact::Shown;
use countersign_core::action::{ActionDigest, ActionRequest, SealedPayload};
use countersign_core::grant::{Permit, RecordLevel};
use countersign_core::record::Status;
use tokio::sync::Notify;

use super::capture::{Captured, Subject, portal_tail};
use super::describe::{self, Effect};
use super::duplex::{Event, Side, pump};
use super::session::{self, DECOY_QUERY, DECOY_STATEMENT, Ended, Expected, Prepared, Reaction, Running, Session};
use super::target::Upstream;
use super::wire::frame::{Frame, KindSet, Limits, Scan, Scanner, next_frame};
use super::wire::frontend::{self, Bind, BindNames, Execute, Message, Parse, Target};
use super::wire::notice::{Notice, SqlState};
use super::wire::startup::CancelKey;
use super::wire::{TransactionStatus, WireError, backend};
use super::{refuse, settings};
use crate::codes::Code;
use crate::gate::Gate;
use crate::pipeline::{self, Call, Held, Left, Outcomes, Waiting};
use crate::refusal::Refusal;

/// The largest client message: statements, parameters, COPY chunks.
const CLIENT_LIMITS: Limits = Limits::frontend(64 << 20);
/// How far a client may send ahead of what is processed: one largest message and its header.
const INPUT_BYTES_MAX: usize = (64 << 20) + 5;
/// How far a waiting client may send ahead.
const HELD_INPUT_BYTES_MAX: usize = 1 << 20;
/// How long a client may take to read the notice that it waits.
const TELL_SECONDS_MAX: Duration = Duration::from_secs(10);
/// Portals of one session.
const PORTALS_MAX: usize = 10_000;
/// The server's messages that need no look.
const PASS: KindSet = KindSet::of(b"DdNAHcV");

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// The client left or said goodbye.
    Left,
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
}

/// A connection.
pub(super) struct Connection {
    pub(super) gate: Arc<Gate>,
    pub(super) subject: Subject,
    pub(super) target: Arc<Upstream>,
    /// What the client gave at its start, for the server's.
    pub(super) startup: std::collections::BTreeMap<String, String>,
    pub(super) client: Side,
    /// Raised by a cancel request for this session.
    pub(super) cancel: Arc<Notify>,
    pub(super) session: Session,
    upstream: Option<Side>,
    scanner: Scanner,
    upstream_key: Option<CancelKey>,
    portals: HashMap<String, Portal>,
}

/// What a new connection is made of.
pub(super) struct Opened {
    pub(super) gate: Arc<Gate>,
    pub(super) subject: Subject,
    pub(super) target: Arc<Upstream>,
    pub(super) startup: std::collections::BTreeMap<String, String>,
    pub(super) client: Side,
    pub(super) cancel: Arc<Notify>,
}

impl Connection {
    pub(super) fn new(opened: Opened) -> Self {
        let Opened { gate, subject, target, startup, client, cancel } = opened;
        let session = Session::new(settings::tracked(&startup));
        let scanner = Scanner::new(Limits::BACKEND);
        let (upstream, upstream_key, portals) = (None, None, HashMap::new());
        Self { gate, subject, target, startup, client, cancel, session, upstream, scanner, upstream_key, portals }
    }

    /// Serves the client until either side ends.
    pub(super) async fn run(&mut self) {
        let end = self.serve().await;
        self.session.lost();
        self.drop_portals();
        if let Err(recorded) = self.record_ended() {
            tracing::error!(error = %recorded.message, "an outcome could not be recorded");
        }
        if let End::Fatal(notice) = end {
            notice.put_error(&mut self.client.output);
            let _ = tokio::time::timeout(TELL_SECONDS_MAX, self.drain()).await; // it may have left
        }
        if let Some(upstream) = &mut self.upstream {
            frontend::terminate(&mut upstream.output);
            let _ = tokio::time::timeout(TELL_SECONDS_MAX, self.drain()).await; // it ends either way
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
            () = cancel.notified() => {
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

    async fn event(&mut self, input_max: usize, drain: bool) -> Event {
        pump(&mut self.client, self.upstream.as_mut(), input_max, drain).await
    }

    async fn drain(&mut self) {
        while !matches!(self.event(0, true).await, Event::Drained | Event::ClientGone | Event::UpstreamGone) {}
    }

    fn on(&mut self, event: Event) -> Result<(), End> {
        match event {
            Event::Client | Event::Drained => Ok(()),
            Event::Upstream => self.relay(),
            Event::ClientGone => Err(End::Left),
            Event::UpstreamGone => {
                self.upstream = None;
                let refusal = Refusal::new(Code::UpstreamUnavailable, "the upstream closed the connection");
                Err(fatal(&refusal))
            }
        }
    }

    // ---- the client's messages

    async fn take(&mut self, frame: Frame) -> Result<(), End> {
        if self.session.streaming_in() && !matches!(frame.kind, b'd' | b'c' | b'f' | b'H' | b'S' | b'X') {
            return Err(fatal(&Refusal::new(Code::ProtocolViolation, "another message inside a COPY stream")));
        }
        if matches!(frame.kind, b'd' | b'c' | b'f') {
            self.stream(&frame);
            return Ok(());
        }
        let message = Message::decode(frame)?;
        if self.session.skipping && !matches!(message, Message::Sync | Message::Terminate) {
            return Ok(());
        }
        match message {
            Message::Query(query) => self.query(query.sql).await,
            Message::Parse(parse) => self.parse(parse).await,
            Message::Bind(bind) => self.bind(bind).await,
            Message::Execute(execute) => self.execute(execute).await,
            Message::Describe(target) => self.describe(&target).await,
            Message::Close(target) => self.close(&target).await,
            Message::Sync => {
                self.sync();
                Ok(())
            }
            Message::Flush => {
                if let Some(upstream) = &mut self.upstream {
                    frontend::flush(&mut upstream.output);
                }
                Ok(())
            }
            Message::FunctionCall(_) => self.function_call().await,
            Message::Terminate => Err(End::Left),
            Message::CopyData(_) | Message::CopyDone | Message::CopyFail(_) => Ok(()), // taken above
        }
    }

    /// COPY data: forwarded while the server asks for it, dropped otherwise as the server would.
    fn stream(&mut self, frame: &Frame) {
        if !self.session.streaming_in() {
            return;
        }
        if frame.kind == b'd' {
            self.session.streamed(&frame.body);
        }
        if let Some(upstream) = &mut self.upstream {
            frame.write(&mut upstream.output);
        }
    }

    async fn query(&mut self, sql: String) -> Result<(), End> {
        self.settle().await?;
        if self.session.skipping {
            return Ok(());
        }
        let description = Arc::new(describe::describe(&sql, &self.session));
        let captured = Captured::Query { sql: sql.into(), description };
        if self.session.status() == TransactionStatus::Failed && !captured.ends_failed_transaction() {
            session::aborted().put_error(&mut self.client.output);
            backend::ready_for_query(&mut self.client.output, TransactionStatus::Failed);
            return Ok(());
        }
        match self.walk(captured).await? {
            Ok(()) => Ok(()),
            Err(notice) => self.refuse_simple(notice),
        }
    }

    async fn function_call(&mut self) -> Result<(), End> {
        self.settle().await?;
        let refusal = Refusal::new(Code::Unsupported, "the function-call message is not supported")
            .hint("call the function in a SELECT");
        self.refuse_simple(refuse::notice(&refusal))
    }

    async fn parse(&mut self, parse: Parse) -> Result<(), End> {
        if self.session.prepared_count() >= session::PREPARED_MAX {
            let refusal = Refusal::new(Code::TooLarge, "too many prepared statements; close some");
            return self.refuse_extended(refuse::notice(&refusal)).await;
        }
        if parse.name == DECOY_STATEMENT {
            let refusal = Refusal::new(Code::Unsupported, "this statement name is reserved");
            return self.refuse_extended(refuse::notice(&refusal)).await;
        }
        if let Err(refusal) = self.connect().await {
            return self.refuse_extended(refuse::notice(&refusal)).await;
        }
        if !parse.name.is_empty() && self.session.statement(&parse.name).is_some() {
            self.settle().await?; // whether the name is free decides which text will stand under it
            if self.session.skipping {
                return Ok(());
            }
        }
        let description = Arc::new(describe::describe(&parse.sql, &self.session));
        if let Some(upstream) = &mut self.upstream {
            frontend::parse(&mut upstream.output, &parse)?;
        }
        let Parse { name, sql, types } = parse;
        self.session.parse_sent(&name, Prepared { sql, types, description });
        Ok(())
    }

    async fn bind(&mut self, bind: Bind) -> Result<(), End> {
        let Some(prepared) = self.session.statement(&bind.statement) else {
            let state = SqlState::new("26000").unwrap_or(SqlState::INTERNAL_ERROR);
            let notice = Notice::error(state, format!("prepared statement \"{}\" does not exist", bind.statement));
            return self.refuse_extended(notice).await;
        };
        let executes = prepared.description.effects.iter().any(|effect| matches!(effect, Effect::Execute { .. }));
        let description = if executes {
            Arc::new(describe::describe(&prepared.sql, &self.session)) // what it executes may have changed since
        } else {
            prepared.description.clone()
        };
        let captured = Captured::Portal { bind, prepared, description };
        let effect_free = captured.description().facts.class <= countersign_core::action::sql::SqlClass::Session;
        if !effect_free {
            self.settle().await?; // an earlier failure of the batch means that this one is not done at all
            if self.session.skipping {
                return Ok(());
            }
        }
        if self.session.status() == TransactionStatus::Failed && !captured.ends_failed_transaction() {
            return self.refuse_extended(session::aborted()).await;
        }
        match self.walk(captured).await? {
            Ok(()) => Ok(()),
            Err(_) if self.session.skipping => Ok(()),
            Err(notice) => self.refuse_extended(notice).await,
        }
    }

    async fn execute(&mut self, execute: Execute) -> Result<(), End> {
        if let Err(refusal) = self.connect().await {
            return self.refuse_extended(refuse::notice(&refusal)).await;
        }
        if let Some(upstream) = &mut self.upstream {
            frontend::execute(&mut upstream.output, &execute)?;
        }
        let portal = self.portals.get_mut(&execute.portal);
        let (running, prepared) = match portal {
            Some(portal) => (portal.running.take(), Some(portal.prepared.clone())),
            None => (None, None), // a cursor of an earlier DECLARE, or nothing: the server says so
        };
        self.session.sent(Expected::Execute { running, prepared });
        Ok(())
    }

    async fn describe(&mut self, target: &Target) -> Result<(), End> {
        if let Err(refusal) = self.connect().await {
            return self.refuse_extended(refuse::notice(&refusal)).await;
        }
        if let Some(upstream) = &mut self.upstream {
            frontend::describe(&mut upstream.output, target)?;
        }
        self.session.sent(match target {
            Target::Statement(name) => Expected::DescribeStatement { name: name.clone() },
            Target::Portal(_) => Expected::DescribePortal,
        });
        Ok(())
    }

    async fn close(&mut self, target: &Target) -> Result<(), End> {
        let Some(upstream) = &mut self.upstream else {
            backend::empty(&mut self.client.output, backend::Empty::CloseComplete);
            return Ok(());
        };
        frontend::close(&mut upstream.output, target)?;
        match target {
            Target::Statement(name) => self.session.close_sent(Some(name)),
            Target::Portal(name) => {
                self.session.close_sent(None);
                if let Some(portal) = self.portals.remove(name) {
                    self.never_ran(portal);
                }
            }
        }
        Ok(())
    }

    fn sync(&mut self) {
        self.session.skipping = false;
        match &mut self.upstream {
            Some(upstream) => {
                frontend::sync(&mut upstream.output);
                self.session.sent(Expected::Sync);
            }
            None => backend::ready_for_query(&mut self.client.output, TransactionStatus::Idle),
        }
    }

    // ---- the line

    /// Walks the line. The inner error is what the client is told.
    async fn walk(&mut self, captured: Captured) -> Result<Result<(), Notice>, End> {
        let gate = self.gate.clone();
        let parse_error = captured.description().parse_error.clone();
        let mut call = PgCall { connection: self, captured, digest: None, left: false };
        let result = pipeline::run(&gate, &mut call).await;
        if call.left {
            return Err(End::Left);
        }
        let refusal = match result {
            Ok(Ok(())) => return Ok(Ok(())),
            Ok(Err(refusal)) | Err(refusal) => refusal,
        };
        Ok(Err(match parse_error {
            Some(error) if refusal.code == Code::PolicyDenied => {
                let error = error.trim_start_matches("Invalid statement: ").to_owned();
                refuse::notice(&Refusal { code: Code::Unparsed, message: error, ..refusal })
            }
            _ => refuse::notice(&refusal),
        }))
    }

    /// Waits until everything forwarded was answered.
    async fn settle(&mut self) -> Result<(), End> {
        if self.session.settled() {
            return Ok(());
        }
        if self.session.batch_open
            && let Some(upstream) = &mut self.upstream
        {
            frontend::flush(&mut upstream.output);
        }
        while !self.session.settled() {
            self.next_event().await?;
        }
        Ok(())
    }

    /// Connects the upstream, if it is not.
    async fn connect(&mut self) -> Result<(), Refusal> {
        if self.upstream.is_some() {
            return Ok(());
        }
        let connected = self.target.connect(&*self.gate.vault, &self.startup).await?;
        for (name, value) in &connected.parameters {
            settings::check_reported(name, value)?;
            if self.target.told(name).is_none_or(|told| &told != value) {
                let told = backend::parameter_status(&mut self.client.output, name, value);
                told.map_err(|error| Refusal::new(Code::UpstreamUnavailable, error.to_string()))?;
            }
        }
        self.upstream_key = connected.cancel_key;
        self.upstream = Some(Side::new(connected.stream, connected.buffered));
        self.scanner = Scanner::new(Limits::BACKEND);
        Ok(())
    }

    fn send(&mut self, captured: &Captured, payload: &[u8], running: Option<Running>) -> Result<(), WireError> {
        let Some(upstream) = &mut self.upstream else { return Err(WireError::BadValue("upstream")) };
        match captured {
            Captured::Query { sql, description } => {
                let text = std::str::from_utf8(payload).map_err(|_| WireError::NotUtf8("query"))?;
                frontend::query(&mut upstream.output, text)?;
                let (sql, description) = (sql.clone(), description.clone());
                self.session.sent(Expected::Query { running, description, sql });
            }
            Captured::Portal { bind, prepared, .. } => {
                let tail = portal_tail(payload).ok_or(WireError::BadValue("payload"))?;
                let names = BindNames { portal: &bind.portal, statement: &bind.statement };
                frontend::bind(&mut upstream.output, names, tail)?;
                self.session.sent(Expected::Bind);
                let portal = Portal { running, prepared: prepared.clone() };
                if let Some(replaced) = self.portals.insert(bind.portal.clone(), portal) {
                    self.never_ran(replaced);
                }
            }
        }
        Ok(())
    }

    // ---- refusals

    /// Answers a refused `Query`. Inside a transaction the server must fail too, so a decoy goes in its place.
    fn refuse_simple(&mut self, notice: Notice) -> Result<(), End> {
        match (&mut self.upstream, self.session.status()) {
            (Some(upstream), TransactionStatus::InTransaction) => {
                frontend::query(&mut upstream.output, DECOY_QUERY)?;
                self.session.sent(Expected::Decoy { notice: Box::new(notice), simple: true });
            }
            (_, status) => {
                notice.put_error(&mut self.client.output);
                backend::ready_for_query(&mut self.client.output, status);
            }
        }
        Ok(())
    }

    /// Answers a refused message of the extended protocol, and skips to `Sync`. What was forwarded of the batch fails
    /// with it, so that `Sync` commits nothing of it.
    async fn refuse_extended(&mut self, notice: Notice) -> Result<(), End> {
        let involved = self.session.batch_open || self.session.status() == TransactionStatus::InTransaction;
        match &mut self.upstream {
            Some(upstream) if involved => {
                let tail = frontend::bind_tail(frontend::BindValues { formats: &[], values: &[], result_formats: &[] })?;
                let names = BindNames { portal: "", statement: DECOY_STATEMENT };
                frontend::bind(&mut upstream.output, names, &tail)?;
                self.session.sent(Expected::Decoy { notice: Box::new(notice), simple: false });
                self.settle().await
            }
            _ => {
                self.settle().await?;
                notice.put_error(&mut self.client.output);
                self.session.skipping = true;
                Ok(())
            }
        }
    }

    // ---- the server's messages

    /// Passes on what the server sent, looking at what the session must know.
    fn relay(&mut self) -> Result<(), End> {
        let Some(mut upstream) = self.upstream.take() else { return Ok(()) };
        let mut input = std::mem::take(&mut upstream.input);
        let result = self.relay_from(&mut input);
        upstream.input = input;
        self.upstream = Some(upstream);
        result
    }

    fn relay_from(&mut self, input: &mut BytesMut) -> Result<(), End> {
        loop {
            let taken = match self.scanner.scan(input, PASS)? {
                Scan::Run(run) => {
                    self.client.output.extend_from_slice(run.bytes);
                    run.bytes.len()
                }
                Scan::Stop(frame) => {
                    let (kind, length) = (frame.kind, frame.raw.len());
                    match self.react(kind, frame.body())? {
                        Reaction::Forward => self.client.output.extend_from_slice(&input[..length]),
                        Reaction::Replace(notice) => notice.put_error(&mut self.client.output),
                        Reaction::Fatal(notice) => return Err(End::Fatal(notice)),
                    }
                    length
                }
                Scan::Need(_) => return Ok(()),
            };
            input.advance(taken);
        }
    }

    fn react(&mut self, kind: u8, body: &[u8]) -> Result<Reaction, End> {
        Ok(match kind {
            b'1' | b'2' | b'3' => self.session.step_done(),
            b'T' | b'n' => self.session.columns(),
            b'C' => {
                let tag = backend::CommandTag { tag: cstr(body).to_owned() };
                let rows = tag.rows();
                self.session.command_done(&tag.tag, rows)
            }
            b'I' | b's' => self.session.command_done("", None),
            b'G' => self.session.copy_in(),
            b'E' => {
                let notice = Notice::decode(bytes::Bytes::copy_from_slice(body))?;
                self.session.failed(notice.code.as_str())
            }
            b'Z' => return self.ready(body),
            b't' => match decoded(kind, body)? {
                backend::Message::ParameterDescription(types) => self.session.parameters(types),
                _ => Reaction::Forward,
            },
            b'S' => match decoded(kind, body)? {
                backend::Message::ParameterStatus(status) => {
                    settings::check_reported(&status.name, &status.value).map_err(|refusal| fatal(&refusal))?;
                    Reaction::Forward
                }
                _ => Reaction::Forward,
            },
            other => {
                let message = format!("the upstream sent `{}`, which does not belong here", other.escape_ascii());
                Reaction::Fatal(Box::new(refuse::fatal(&Refusal::new(Code::ProtocolViolation, message))))
            }
        })
    }

    fn ready(&mut self, body: &[u8]) -> Result<Reaction, End> {
        let letter = body.first().copied().ok_or(WireError::Truncated("transaction status"))?;
        let status = TransactionStatus::from_wire(letter)?;
        let reaction = self.session.ready(status);
        if status != TransactionStatus::InTransaction {
            self.drop_portals();
        }
        // what came of an action is recorded before the client hears that it may go on
        self.record_ended().map_err(|refusal| fatal(&refusal))?;
        Ok(reaction)
    }

    fn drop_portals(&mut self) {
        for (_, portal) in std::mem::take(&mut self.portals) {
            self.never_ran(portal);
        }
    }

    fn never_ran(&mut self, portal: Portal) {
        if let Some(running) = portal.running {
            let outcome =
                Outcomes { status: Status::NotExecuted, rows: None, stream: None, micros: 0, error: None };
            self.session.ended.push(Ended { id: running.id, level: running.level, outcome });
        }
    }

    fn record_ended(&mut self) -> Result<(), Refusal> {
        for ended in std::mem::take(&mut self.session.ended) {
            pipeline::finish(&self.gate, &ended.id, ended.level, ended.outcome)?;
        }
        Ok(())
    }

    fn cancel_upstream(&self) {
        if let Some(key) = self.upstream_key.clone() {
            let target = self.target.clone();
            tokio::spawn(async move { target.cancel(&key).await });
        }
    }
}

fn cstr(body: &[u8]) -> &str {
    let end = body.iter().position(|byte| *byte == 0).unwrap_or(body.len());
    std::str::from_utf8(&body[..end]).unwrap_or_default()
}

fn decoded(kind: u8, body: &[u8]) -> Result<backend::Message, WireError> {
    backend::Message::decode(Frame { kind, body: bytes::Bytes::copy_from_slice(body) })
}

/// One message of a connection on its way down the line.
struct PgCall<'a> {
    connection: &'a mut Connection,
    captured: Captured,
    digest: Option<ActionDigest>,
    left: bool,
}

impl Call for PgCall<'_> {
    type Done = Result<(), Refusal>;

    fn describe(&mut self, gate: &Gate) -> Result<ActionRequest, Refusal> {
        if self.connection.portals.len() >= PORTALS_MAX {
            return Err(Refusal::new(Code::TooLarge, "too many open portals; close some"));
        }
        let request = self.captured.describe(&self.connection.subject, &self.connection.session, &gate.scribe)?;
        self.digest = Some(request.digest());
        Ok(request)
    }

    fn permissible(&self) -> Result<(), Refusal> {
        self.captured.check()
    }

    fn shown(&self) -> Shown {
        self.captured.shown()
    }

    fn fingerprint(&self) -> String {
        self.captured.fingerprint(&self.connection.subject.target.name)
    }

    fn reviewable(&self) -> Result<(), Refusal> {
        self.captured.check_reviewable()
    }

    async fn tell(&mut self, waiting: &Waiting) -> Result<(), Left> {
        if self.connection.settle().await.is_err() || self.connection.session.skipping {
            self.left = !self.connection.session.skipping;
            return Err(Left);
        }
        refuse::waiting(waiting).put_notice(&mut self.connection.client.output);
        let told = async {
            loop {
                match self.connection.event(HELD_INPUT_BYTES_MAX, true).await {
                    Event::Drained => return Ok(()),
                    event => self.connection.on(event).map_err(|_| Left)?,
                }
            }
        };
        let told = tokio::time::timeout(TELL_SECONDS_MAX, told).await.unwrap_or(Err(Left));
        self.left = told.is_err();
        told
    }

    async fn hold<T: Send>(&mut self, wait: impl Future<Output = T> + Send, seconds: u32) -> Held<T> {
        let mut wait = std::pin::pin!(wait);
        let mut end = std::pin::pin!(tokio::time::sleep(Duration::from_secs(u64::from(seconds))));
        let cancel = self.connection.cancel.clone();
        loop {
            tokio::select! {
                biased;
                event = self.connection.event(HELD_INPUT_BYTES_MAX, false) => {
                    if self.connection.on(event).is_err() {
                        self.left = true;
                        return Held::Left;
                    }
                }
                () = cancel.notified() => return Held::Cancelled,
                value = &mut wait => return Held::Ready(value),
                () = &mut end => return Held::TimedOut,
            }
        }
    }

    async fn execute(&mut self, permit: Permit, payload: SealedPayload) -> Result<(), Refusal> {
        let (id, level) = (permit.action().clone(), permit.level());
        let digest = self.digest.take().ok_or_else(|| Refusal::new(Code::ApprovalVoid, "nothing was described"))?;
        let sent = match self.connection.connect().await {
            Ok(()) => {
                let running = Running { id: id.clone(), level, digest, started: Instant::now() };
                let running = (level == RecordLevel::Durable).then_some(running);
                payload.open(permit).map_err(|e| Refusal::new(Code::ApprovalVoid, e.to_string())).and_then(|bytes| {
                    let sent = self.connection.send(&self.captured, &bytes, running);
                    sent.map_err(|e| Refusal::new(Code::ProtocolViolation, e.to_string()))
                })
            }
            Err(refusal) => Err(refusal),
        };
        if sent.is_err() {
            let outcome =
                Outcomes { status: Status::NotExecuted, rows: None, stream: None, micros: 0, error: None };
            pipeline::finish(&self.connection.gate, &id, level, outcome)?;
        }
        sent
    }
}
