//! The connection to the real server: reach it, encrypt, log in with the vault's credential, and know its session.
//!
//! [`Connector::connect`] yields a [`Connection`] at its first `ReadyForQuery`. Only this module sees the secret, and no
//! error of it has the secret in it. What is asked of the server afterwards is the session's business.
//!
//! Specification: <https://www.postgresql.org/docs/current/protocol-flow.html>.

mod endpoint;
mod login;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rustls_pki_types::ServerName;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::wire::notice::{Notice, SqlState};
use super::wire::startup::{self, CancelKey};
use super::wire::{TransactionStatus, WireError};
use crate::tls::{ClientTls, SslMode, TlsError, Trust, endpoint_hash};

pub use endpoint::{Endpoint, EndpointError, Host};
pub use stream::Stream;

/// How long each step of connecting may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Resolving the name and reaching the server.
    pub connect: Duration,
    /// TLS, authentication and start of the session.
    pub login: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), login: Duration::from_secs(10) }
    }
}

/// A session of the upstream, ready for its first query.
#[derive(Debug)]
pub struct Connection {
    /// To and from the server.
    pub stream: Stream,
    /// What was read beyond the first `ReadyForQuery` (nothing, from a server that waits to be asked).
    pub read_buf: BytesMut,
    /// What the server said of its settings, by the names it used.
    pub parameters: BTreeMap<String, String>,
    /// What a cancel request must show, if the server gave it.
    pub cancel_key: Option<CancelKey>,
    /// The transaction's state.
    pub status: TransactionStatus,
    /// Warnings and notices of the log-in, for the client.
    pub notices: Vec<Notice>,
}

/// Why there is no connection. Never has the secret in it.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server cannot be reached.
    #[error("the upstream at {address} cannot be reached")]
    Unreachable {
        /// Where it should be.
        address: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A step took too long.
    #[error("the upstream did not {step} within {} seconds", limit.as_secs_f32())]
    TimedOut {
        /// What it should have done.
        step: &'static str,
        /// The time it had.
        limit: Duration,
    },
    /// The server does not do TLS, and it is required.
    #[error("the upstream does not support TLS, and `sslmode` requires it")]
    TlsRefused,
    /// The TLS handshake failed, the check of the certificate included.
    #[error("the TLS handshake with the upstream failed")]
    TlsFailed(#[source] io::Error),
    /// The host is no name that a certificate could have.
    #[error("`{0}` is not a host name that TLS can verify")]
    BadHostName(String),
    /// The server refused the log-in.
    #[error("the upstream refused the log-in: {0}")]
    AuthenticationFailed(Box<Notice>),
    /// The server refused to start the session (no such database, too many connections, …).
    #[error("the upstream refused the session: {0}")]
    Rejected(Box<Notice>),
    /// The server wants a password, and none is configured.
    #[error("the upstream asks for a password, and the target has no `credential`")]
    SecretMissing,
    /// The server wants the password itself over a connection that anybody could be at the end of.
    #[error(
        "the upstream asks for a clear-text password, which is sent only with `sslmode=verify-full` or `verify-ca`"
    )]
    CleartextRefused,
    /// The server wants something we do not do.
    #[error("the upstream asks for an authentication method that is not supported: {0}")]
    UnsupportedMethod(String),
    /// The server could not prove that it knows the credential.
    #[error("the SCRAM exchange with the upstream failed: {0}")]
    Scram(String),
    /// The server does not speak the protocol.
    #[error("the upstream does not speak the protocol")]
    Protocol(#[from] WireError),
    /// The server said something out of turn.
    #[error("the upstream sent an unexpected message: {0}")]
    Unexpected(&'static str),
    /// The connection broke.
    #[error("the connection to the upstream broke")]
    Broken(#[source] io::Error),
    /// A setting for the session has the name of something else.
    #[error("`{0}` cannot be set for a session")]
    ReservedSetting(String),
}

impl ConnectError {
    /// What the server itself said.
    pub fn notice(&self) -> Option<&Notice> {
        match self {
            Self::AuthenticationFailed(notice) | Self::Rejected(notice) => Some(notice),
            _ => None,
        }
    }

    fn server_said(notice: Notice) -> Self {
        let notice = Box::new(notice);
        if notice.code.class() == "28" { Self::AuthenticationFailed(notice) } else { Self::Rejected(notice) }
    }

    /// Whether `sslmode=prefer` tries again without TLS, as libpq does.
    fn may_do_without_tls(&self) -> bool {
        match self {
            Self::TlsFailed(_) => true,
            Self::AuthenticationFailed(notice) => notice.code == SqlState::INVALID_AUTHORIZATION,
            _ => false,
        }
    }
}

/// Makes connections to one upstream.
#[derive(Clone)]
pub struct Connector {
    endpoint: Arc<Endpoint>,
    tls: Option<ClientTls>,
}

/// A stream before the log-in, and what is known of its other end.
struct Opened {
    stream: Stream,
    trust: Option<Trust>,
    binding: Option<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encryption {
    AsConfigured,
    None,
}

impl Connector {
    /// Reads what TLS needs once, for all connections. Blocks on files: for start-up.
    ///
    /// # Errors
    /// [`TlsError`]: the roots cannot be read.
    pub fn new(endpoint: Endpoint) -> Result<Self, TlsError> {
        let tls = match endpoint.host {
            Host::Socket(_) => None,
            Host::Tcp(_) => ClientTls::new(endpoint.sslmode, endpoint.sslrootcert.as_deref())?,
        };
        Ok(Self { endpoint: Arc::new(endpoint), tls })
    }

    /// Where it connects to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Opens a session with these settings; `client_encoding` is `UTF8` unless they say otherwise. Dropping the future
    /// closes the connection.
    ///
    /// # Errors
    /// [`ConnectError`]; nothing is left open.
    pub async fn connect(
        &self,
        secret: Option<&SecretString>,
        settings: &BTreeMap<String, String>,
        timeouts: Timeouts,
    ) -> Result<Connection, ConnectError> {
        if let Some(name) = settings.keys().find(|name| startup::is_reserved(&name.to_ascii_lowercase())) {
            return Err(ConnectError::ReservedSetting(name.clone()));
        }
        match self.attempt(Encryption::AsConfigured, secret, settings, timeouts).await {
            Err(error) if self.endpoint.sslmode == SslMode::Prefer && error.may_do_without_tls() => {
                self.attempt(Encryption::None, secret, settings, timeouts).await
            }
            done => done,
        }
    }

    /// Asks the server to cancel what the session with this key is running. Returns when the server has taken note; it
    /// does not say whether anything was canceled.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn cancel(&self, key: &CancelKey, timeouts: Timeouts) -> Result<(), ConnectError> {
        match self.attempt_cancel(Encryption::AsConfigured, key, timeouts).await {
            Err(error) if self.endpoint.sslmode == SslMode::Prefer && error.may_do_without_tls() => {
                self.attempt_cancel(Encryption::None, key, timeouts).await
            }
            done => done,
        }
    }

    async fn attempt(
        &self,
        encryption: Encryption,
        secret: Option<&SecretString>,
        settings: &BTreeMap<String, String>,
        timeouts: Timeouts,
    ) -> Result<Connection, ConnectError> {
        let opened = self.open(timeouts).await?;
        let login = async {
            let opened = self.encrypt(opened, encryption).await?;
            login::login(opened, &self.endpoint, secret, settings).await
        };
        within(timeouts.login, "complete the log-in", login).await
    }

    async fn attempt_cancel(
        &self,
        encryption: Encryption,
        key: &CancelKey,
        timeouts: Timeouts,
    ) -> Result<(), ConnectError> {
        let opened = self.open(timeouts).await?;
        let cancel = async {
            let mut stream = self.encrypt(opened, encryption).await?.stream;
            let mut packet = BytesMut::new();
            startup::cancel_request(&mut packet, key)?;
            send(&mut stream, &packet).await?;
            // The server closes the connection once it has signaled the session; a reset says the same.
            let _ = stream.read(&mut [0; 1]).await;
            Ok(())
        };
        within(timeouts.login, "take the cancel request", cancel).await
    }

    async fn open(&self, timeouts: Timeouts) -> Result<Stream, ConnectError> {
        let reach = async {
            match &self.endpoint.host {
                Host::Socket(_) => UnixStream::connect(self.endpoint.socket_path()).await.map(Stream::Unix),
                Host::Tcp(host) => connect_tcp(host, self.endpoint.port).await.map(Stream::Tcp),
            }
            .map_err(|source| ConnectError::Unreachable { address: self.endpoint.address(), source })
        };
        within(timeouts.connect, "answer", reach).await
    }

    async fn encrypt(&self, stream: Stream, encryption: Encryption) -> Result<Opened, ConnectError> {
        let plain = |stream| Opened { stream, trust: None, binding: None };
        match (stream, &self.tls, &self.endpoint.host) {
            (Stream::Tcp(mut tcp), Some(tls), Host::Tcp(host)) if encryption == Encryption::AsConfigured => {
                if server_does_tls(&mut tcp).await? {
                    handshake(tcp, tls, host).await
                } else if self.endpoint.sslmode == SslMode::Prefer {
                    Ok(plain(Stream::Tcp(tcp)))
                } else {
                    Err(ConnectError::TlsRefused)
                }
            }
            (stream, ..) => Ok(plain(stream)),
        }
    }
}

/// Reads exactly one byte: what somebody put behind it goes to the TLS handshake and breaks it there.
async fn server_does_tls(tcp: &mut TcpStream) -> Result<bool, ConnectError> {
    let mut packet = BytesMut::new();
    startup::ssl_request(&mut packet);
    tcp.write_all(&packet).await.map_err(ConnectError::Broken)?;
    match tcp.read_u8().await.map_err(ConnectError::Broken)? {
        b'S' => Ok(true),
        b'N' => Ok(false),
        // An error sent before the handshake could be anybody's: it is not shown.
        _ => Err(ConnectError::Unexpected("an answer to the TLS request that is neither yes nor no")),
    }
}

async fn handshake(tcp: TcpStream, tls: &ClientTls, host: &str) -> Result<Opened, ConnectError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| ConnectError::BadHostName(host.to_owned()))?;
    let stream = TlsConnector::from(tls.config.clone()).connect(name, tcp).await.map_err(ConnectError::TlsFailed)?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let binding = certificate.and_then(|certificate| endpoint_hash(certificate));
    Ok(Opened { stream: Stream::Tls(Box::new(stream)), trust: Some(tls.trust), binding })
}

/// The first address that answers.
async fn connect_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in lookup_host((host, port)).await? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let connected = match socket {
            Ok(socket) => {
                socket.set_keepalive(true)?;
                socket.set_nodelay(true)?;
                socket.connect(address).await
            }
            Err(error) => Err(error),
        };
        match connected {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn send(stream: &mut Stream, bytes: &[u8]) -> Result<(), ConnectError> {
    stream.write_all(bytes).await.map_err(ConnectError::Broken)?;
    stream.flush().await.map_err(ConnectError::Broken)
}

async fn within<T>(
    limit: Duration,
    step: &'static str,
    work: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    timeout(limit, work).await.unwrap_or(Err(ConnectError::TimedOut { step, limit }))
}
