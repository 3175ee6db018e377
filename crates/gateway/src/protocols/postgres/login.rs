//! From an accepted socket to a client that has proved its key: encryption, start-up packet, SCRAM.
//!
//! Plaintext is for loopback only. Before the proof nothing is read but the few small messages of the log-in, in bounded
//! time; an agent that does not exist is asked for a proof like any other.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use countersign_core::action::Target;
use countersign_core::record::Event;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::capture::{Subject, stated_reason};
use super::connection::End;
use super::duplex::Stream;
use super::scram::{Login, ScramError, Server};
use super::serve::Listener;
use super::target::Upstream;
use super::wire::frame::{Frame, Limits, next_frame};
use super::wire::notice::{Notice, SqlState};
use super::wire::startup::{CancelKey, Opening, Startup, StartupError, next_opening};
use super::wire::{WireError, backend, frontend};
use super::{refuse, settings};
use crate::codes::Code;
use crate::identity::people::Side;
use crate::ports::{Agent, AgentKey};
use crate::refusal::Refusal;

/// The first byte of a TLS record that carries a handshake: TLS without asking (`sslnegotiation=direct`).
const TLS_HANDSHAKE: u8 = 0x16;

/// A client on its way in.
pub(super) struct Entering {
    pub(super) stream: Box<dyn Stream>,
    pub(super) input: BytesMut,
    encrypted: bool,
    peer: SocketAddr,
}

/// What a connection turned out to be.
pub(super) enum Entered {
    /// A cancel request.
    Cancel(CancelKey),
    /// A client that wants a session.
    Client(Entering, Startup),
}

/// A client that proved its key, on a target that is there.
pub(super) struct LoggedIn {
    pub(super) subject: Subject,
    pub(super) target: Arc<Upstream>,
}

/// Reads what comes before the start-up packet, and the packet.
pub(super) async fn enter(listener: &Listener, socket: TcpStream, peer: SocketAddr) -> Result<Entered, Option<End>> {
    let mut first = [0];
    if socket.peek(&mut first).await.map_err(|_| None)? == 0 {
        return Err(None);
    }
    let mut entering = if first[0] == TLS_HANDSHAKE {
        let stream = TlsAcceptor::from(listener.tls.config.clone()).accept(socket).await.map_err(|_| None)?;
        if stream.get_ref().1.alpn_protocol().is_none() {
            return Err(None); // as the server: without a name for the protocol it could be meant for another service
        }
        Entering { stream: Box::new(stream), input: BytesMut::new(), encrypted: true, peer }
    } else {
        Entering { stream: Box::new(socket), input: BytesMut::new(), encrypted: false, peer }
    };
    loop {
        match entering.opening().await {
            Err(error) => return Err(entering.turn_away(error).await),
            Ok(Opening::Cancel(key)) => return Ok(Entered::Cancel(key)),
            Ok(Opening::Gss) => entering.answer(b"N").await.map_err(|_| None)?,
            Ok(Opening::Tls) if entering.encrypted || !entering.input.is_empty() => return Err(None),
            Ok(Opening::Tls) => {
                entering.answer(b"S").await.map_err(|_| None)?;
                let Entering { stream, peer, .. } = entering;
                let acceptor = TlsAcceptor::from(listener.tls.config_without_alpn.clone());
                let stream = acceptor.accept(stream).await.map_err(|_| None)?;
                entering = Entering { stream: Box::new(stream), input: BytesMut::new(), encrypted: true, peer };
            }
            Ok(Opening::Startup(startup)) => return Ok(Entered::Client(entering, startup)),
        }
    }
}

impl Entering {
    async fn opening(&mut self) -> Result<Opening, StartupError> {
        loop {
            if let Some(opening) = next_opening(&mut self.input)? {
                return Ok(opening);
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Err(WireError::Truncated("start-up packet").into()),
            }
        }
    }

    async fn answer(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    async fn turn_away(&mut self, error: StartupError) -> Option<End> {
        let refusal = Refusal::new(Code::ProtocolViolation, error.to_string());
        let mut out = BytesMut::new();
        refuse::fatal(&refusal).put_error(&mut out);
        let _ = self.answer(&out).await; // it may have left
        None
    }

    async fn frame(&mut self) -> Result<Frame, End> {
        loop {
            if let Some(frame) = next_frame(&mut self.input, &Limits::UNAUTHENTICATED)? {
                return Ok(frame);
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Err(End::Left),
            }
        }
    }

    async fn send(&mut self, out: &mut BytesMut) -> Result<(), End> {
        self.answer(out).await.map_err(|_| End::Left)?;
        out.advance(out.len());
        Ok(())
    }

    /// Checks what the client asks for, and that it holds its agent's key.
    pub(super) async fn log_in(&mut self, listener: &Listener, startup: &Startup) -> Result<LoggedIn, End> {
        if !self.encrypted && !self.peer.ip().is_loopback() {
            let refusal = Refusal::new(Code::TlsRequired, "plaintext connections are accepted on loopback only")
                .hint("connect with sslmode=require or stronger");
            return Err(fatal(&refusal));
        }
        let mut out = BytesMut::new();
        if let Some(negotiation) = startup.negotiation() {
            backend::negotiate_protocol_version(&mut out, &negotiation)?;
        }
        if startup.replication {
            let refusal = Refusal::new(Code::Unsupported, "replication connections are not supported by the gateway");
            return Err(fatal(&refusal));
        }
        let found = listener.gate.directory.agent_login(&startup.user, listener.gate.scribe.now()).await;
        let found = found.map_err(|error| fatal(&Refusal::new(Code::RecordUnavailable, error.to_string())))?;
        let (known, verifier) = found.map(|(agent, key, verifier)| ((agent, key), verifier)).unzip();
        let endpoint = if self.encrypted { listener.tls.endpoint.clone() } else { None };
        let login = Login { user: &startup.user, verifier, mock_secret: &listener.mock_secret, endpoint };
        self.prove(Server::new(login), &startup.user, &mut out).await?;
        let (agent, key) = known.ok_or(End::Left)?;
        self.admit(listener, startup, &agent, &key).await
    }

    async fn prove(&mut self, server: Server, user: &str, out: &mut BytesMut) -> Result<(), End> {
        backend::authentication_sasl(out, server.mechanisms())?;
        self.send(out).await?;
        let first = frontend::decode_sasl_initial(self.frame().await?)?;
        let data = first.data.unwrap_or_else(Bytes::new);
        let wrong = |error: ScramError| match error {
            ScramError::WrongProof => unauthenticated(user),
            other => fatal(&Refusal::new(Code::Unauthenticated, other.to_string())),
        };
        let (challenged, challenge) = server.first(&first.mechanism, &data).map_err(wrong)?;
        backend::authentication_sasl_continue(out, challenge.as_bytes())?;
        self.send(out).await?;
        let last = frontend::decode_sasl_response(self.frame().await?)?;
        let authenticated = challenged.finish(&last).map_err(wrong)?;
        backend::authentication_sasl_final(out, authenticated.message().as_bytes())?;
        self.send(out).await
    }

    /// Who this is, and where it wants to go. Told only to a client that proved its key.
    async fn admit(
        &self,
        listener: &Listener,
        startup: &Startup,
        agent: &Agent,
        key: &AgentKey,
    ) -> Result<LoggedIn, End> {
        settings::check_startup(&startup.settings).map_err(|refusal| fatal(&refusal))?;
        let target = &listener.upstream(&startup.database).map_err(|refusal| fatal(&refusal))?;
        let requester = agent.id.to_string();
        let side = listener.gate.roster.current().requester(agent, key, listener.gate.scribe.now());
        let side = side.ok_or_else(|| not_in_force(&startup.user))?;
        let subject = Subject { until: key.session_ends(), ..subject(side, target, startup) };
        let opened = Event::SessionOpened { requester, target: startup.database.clone() };
        let recorded = listener.gate.journal.record(&listener.gate.scribe.record(opened)).await;
        recorded.map_err(|error| fatal(&Refusal::new(Code::RecordUnavailable, error.to_string())))?;
        Ok(LoggedIn { subject, target: target.clone() })
    }
}

/// Who is connected to what, frozen for the session.
fn subject(side: Side, target: &Upstream, startup: &Startup) -> Subject {
    let target = Target {
        name: target.config.name.clone(),
        environment: target.config.environment,
        sensitivity: target.config.sensitivity,
        generation: target.config.generation(),
    };
    Subject {
        requester: side.requester.into(),
        on_behalf_of: side.on_behalf_of.into(),
        closure: side.closure.into(),
        target: target.into(),
        until: None,
        stated_reason: stated_reason(startup.settings.get("application_name")),
    }
}

/// Told only to a client that proved its key.
fn not_in_force(user: &str) -> End {
    let message =
        format!("agent \"{user}\" does nothing: somebody who answers for it is suspended or has not accepted it");
    let refusal = Refusal::new(Code::Unauthenticated, message);
    fatal(
        &refusal.hint("its owner accepts it on the console's page \"You\"; an administrator sees why under \"People\""),
    )
}

fn unauthenticated(user: &str) -> End {
    let notice = Notice::fatal(
        SqlState::INVALID_PASSWORD,
        format!("countersign: password authentication failed for user \"{user}\""),
    );
    let notice = notice
        .with_detail(format!("code: {}", Code::Unauthenticated))
        .with_hint("log in with the agent's name and its key; keys are made by `countersign agent create`");
    End::Fatal(Box::new(notice))
}

fn fatal(refusal: &Refusal) -> End {
    End::Fatal(Box::new(refuse::fatal(refusal)))
}
