//! The HTTP listener, with bounds of its own: how many connections there are, and how long each may take to say what it
//! wants. What a request may cost after that is the routes' business.
//!
//! One port speaks HTTP/1.1 and HTTP/2, with TLS and without: the first byte of a connection tells TLS (a handshake record),
//! ALPN or the first three bytes tell the version (RFC 9113 §3.3, §3.4). None of them is waited for without a bound.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustix::net::sockopt;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::lanes::Lanes;

/// How long a client may take to send the head of a request, and how long an idle connection is kept for the next.
const HEAD_TIME_MAX: Duration = Duration::from_secs(20);
/// The largest head of a request: 64 KiB.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const HEAD_BYTES_MAX_H2: u32 = 64 * 1024;
/// Requests of one HTTP/2 connection at once.
const STREAMS_MAX: u32 = 256;
/// How long to wait when no connection can be accepted: out of files, most likely.
const PAUSE: Duration = Duration::from_millis(100);
/// How long to wait for the next of a connection's first bytes.
const PEEK_PAUSE: Duration = Duration::from_millis(5);
/// How long a connection may be silent before its other end is asked whether it is there, and how long for an answer.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
const KEEPALIVE_TRIES: u32 = 3;
/// The first byte of a TLS record that carries a handshake.
const TLS_HANDSHAKE: u8 = 0x16;
/// How a connection of HTTP/2 begins; no method of HTTP/1.1 does (RFC 9113 §3.4).
const PREFACE: &[u8; 3] = b"PRI";
/// HTTP/2 in ALPN.
const ALPN_H2: &[u8] = b"h2";

/// An answer on its way.
pub type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
/// What answers every request.
pub type Handler = Arc<dyn Fn(Request<Incoming>) -> Answer + Send + Sync>;

/// What a listener is opened with.
pub struct Listening {
    /// The listener.
    pub listener: TcpListener,
    /// What answers.
    pub handler: Handler,
    /// The certificate, with the protocols of HTTP in ALPN.
    pub tls: Arc<ServerConfig>,
    /// Connections at once; one more waits until another ends.
    pub connections_max: usize,
    /// The stack of the threads that answer.
    pub stack_bytes: usize,
}

/// Serves until the future is dropped, which ends all connections.
///
/// # Errors
/// The operating system gives no thread or no event queue.
pub async fn serve(listening: Listening) -> io::Result<Infallible> {
    serve_within(listening, HEAD_TIME_MAX).await
}

async fn serve_within(listening: Listening, head_time_max: Duration) -> io::Result<Infallible> {
    let Listening { listener, handler, tls, connections_max, stack_bytes } = listening;
    let places = Arc::new(Semaphore::new(connections_max));
    let server = Arc::new(Server { handler, tls: TlsAcceptor::from(tls), head_time_max });
    let lanes = Lanes::open("http", stack_bytes)?;
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { continue };
        match listener.accept().await {
            Ok((socket, _)) => {
                let server = server.clone();
                // out of the accepting runtime's event loop, and into the lane's
                let Ok(socket) = socket.into_std() else { continue };
                lanes.spawn(move || async move {
                    if let Ok(socket) = TcpStream::from_std(socket) {
                        server.connection(socket).await;
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accepting an HTTP connection failed");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

struct Server {
    handler: Handler,
    tls: TlsAcceptor,
    head_time_max: Duration,
}

/// What a connection's first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spoken {
    Tls,
    Http1,
    Http2,
}

impl Server {
    async fn connection(&self, socket: TcpStream) {
        let _ = socket.set_nodelay(true); // speed only
        keep_alive(&socket);
        let Ok(Some(spoken)) = tokio::time::timeout(self.head_time_max, spoken(&socket)).await else { return };
        match spoken {
            // each in a box of its own: a connection that waits holds what it needs and no more
            Spoken::Http1 => Box::pin(self.http1(socket)).await,
            Spoken::Http2 => Box::pin(self.http2(socket)).await,
            Spoken::Tls => {
                let accepting = Box::pin(self.tls.accept(socket));
                let Ok(Ok(stream)) = tokio::time::timeout(self.head_time_max, accepting).await else { return };
                match stream.get_ref().1.alpn_protocol() {
                    Some(ALPN_H2) => Box::pin(self.http2(stream)).await,
                    _ => Box::pin(self.http1(stream)).await,
                }
            }
        }
    }

    async fn http1<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self, stream: S) {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.head_time_max).max_buf_size(HEAD_BYTES_MAX);
        let handler = self.handler.clone();
        let service = service_fn(move |request| {
            let answering = handler(request);
            async { Ok::<_, Infallible>(answering.await) }
        });
        if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).with_upgrades().await {
            tracing::debug!(%error, "an HTTP connection ended early");
        }
    }

    async fn http2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self, stream: S) {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEPALIVE_AFTER)
            .keep_alive_timeout(KEEPALIVE_EVERY)
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEAD_BYTES_MAX_H2);
        let (handler, pulse) = (self.handler.clone(), Arc::new(Pulse::default()));
        let counted = pulse.clone();
        let service = service_fn(move |request| {
            let beat = Beat::begin(&counted);
            let answering = handler(request);
            async { Ok::<_, Infallible>(answering.await.map(|body| Body::new(Counted { body, _beat: beat }))) }
        });
        let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        loop {
            tokio::select! {
                ended = &mut connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "an HTTP/2 connection ended early");
                    }
                    return;
                }
                () = tokio::time::sleep(self.head_time_max) => {
                    if pulse.is_idle(self.head_time_max) {
                        return; // it is silent, or never said anything
                    }
                }
            }
        }
    }
}

/// Whether a connection of HTTP/2 is at work.
struct Pulse {
    since: Instant,
    at_work: AtomicUsize,
    /// When the last request ended, in milliseconds.
    last: AtomicU64,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { since: Instant::now(), at_work: AtomicUsize::new(0), last: AtomicU64::new(0) }
    }
}

impl Pulse {
    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_idle(&self, long: Duration) -> bool {
        let silent = Duration::from_millis(self.now().saturating_sub(self.last.load(Ordering::Relaxed)));
        self.at_work.load(Ordering::Relaxed) == 0 && silent >= long
    }
}

/// A request of such a connection, as long as it or its answer lives.
struct Beat(Arc<Pulse>);

impl Beat {
    fn begin(pulse: &Arc<Pulse>) -> Self {
        pulse.at_work.fetch_add(1, Ordering::Relaxed);
        Self(pulse.clone())
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.0.last.store(self.0.now(), Ordering::Relaxed);
        self.0.at_work.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A body that counts as work.
struct Counted {
    body: Body,
    _beat: Beat,
}

impl http_body::Body for Counted {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Looks at a connection's first bytes and leaves them there; `None` when it ended.
async fn spoken(socket: &TcpStream) -> Option<Spoken> {
    let mut first = [0; PREFACE.len()];
    loop {
        let read = socket.peek(&mut first).await.ok()?;
        let seen = first.get(..read)?;
        match seen.first()? {
            &TLS_HANDSHAKE => return Some(Spoken::Tls),
            _ if seen == PREFACE => return Some(Spoken::Http2),
            _ if !PREFACE.starts_with(seen) => return Some(Spoken::Http1),
            _ => tokio::time::sleep(PEEK_PAUSE).await, // peeking again would not wait
        }
    }
}

/// A client that is gone without a word is noticed, so that nothing waits for it.
fn keep_alive(socket: &TcpStream) {
    let set = || {
        sockopt::set_socket_keepalive(socket, true)?;
        sockopt::set_tcp_keepidle(socket, KEEPALIVE_AFTER)?;
        sockopt::set_tcp_keepintvl(socket, KEEPALIVE_EVERY)?;
        sockopt::set_tcp_keepcnt(socket, KEEPALIVE_TRIES)
    };
    if let Err(error) = set() {
        tracing::debug!(%error, "keep-alives of a connection could not be set");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const SHORT: Duration = Duration::from_millis(300);
    const LONG: Duration = Duration::from_secs(20);

    fn certificate() -> Arc<ServerConfig> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let key = rustls_pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.expect("versions").with_no_client_auth();
        Arc::new(builder.with_single_cert(vec![made.cert.der().clone()], key.into()).expect("a pair"))
    }

    async fn start(connections_max: usize) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let handler: Handler = Arc::new(|_| Box::pin(async { Response::new(Body::from("here")) }));
        let listening = Listening { listener, handler, tls: certificate(), connections_max, stack_bytes: 1 << 20 };
        tokio::spawn(async move { serve_within(listening, SHORT).await });
        address
    }

    async fn told(mut socket: TcpStream) -> String {
        let mut text = Vec::new();
        let read = tokio::time::timeout(LONG, socket.read_to_end(&mut text)).await;
        let _ended = read.expect("the listener ends it"); // by a reset, where it left something unread
        String::from_utf8_lossy(&text).into_owned()
    }

    #[tokio::test]
    async fn a_request_is_answered() {
        let mut socket = TcpStream::connect(start(8).await).await.expect("connects");
        socket.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("writable");
        assert!(told(socket).await.ends_with("here"));
    }

    #[tokio::test]
    async fn who_never_says_what_it_wants_is_let_go() {
        let address = start(8).await;
        let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        for begun in ["", "P", "PRI * HTTP/2.0", preface, "\x16\x03\x01", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
            let mut socket = TcpStream::connect(address).await.expect("connects");
            socket.write_all(begun.as_bytes()).await.expect("writable");
            assert!(!told(socket).await.contains("200"), "{begun:?}");
        }
    }

    #[tokio::test]
    async fn the_next_waits_until_a_place_is_free() {
        let address = start(1).await;
        let silent = TcpStream::connect(address).await.expect("connects");
        let mut next = TcpStream::connect(address).await.expect("the system takes it");
        next.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("writable");
        assert!(told(next).await.ends_with("here"), "once the silent one was let go");
        drop(silent);
    }
}
