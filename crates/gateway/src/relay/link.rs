//! Connections of HTTP/1.1 without TLS to one upstream, each driven by the request that has it.
//!
//! A client that gives its connections tasks of their own hands a request to another task and its answer back, and to a third
//! one that waits until the connection can be used again. Here a request polls its connection itself: at 64 clients that is
//! a tenth of what a request costs. Such a connection is looked at by nobody while it is idle: that its other end was closed
//! is found when the next request takes it, before anything of that is sent.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tower::ServiceExt as _;

use super::body::Sending;
use super::upstream::{ANSWER_HEAD_BYTES_MAX, IDLE_MAX, IDLE_TIME_MAX, SendError};
use crate::fetch::with_causes;
use crate::lanes;

type Driven = Connection<TokioIo<TcpStream>, Sending>;
type Answered = Result<Response<Incoming>, TrySendError<Request<Sending>>>;

/// A connection and what sends on it. Dropped, it is closed.
struct Link {
    sender: SendRequest<Sending>,
    /// Gone once it has ended.
    connection: Option<Box<Driven>>,
}

impl Link {
    async fn open(connector: HttpConnector, origin: Uri) -> Result<Self, SendError> {
        let connecting = connector.oneshot(origin);
        let stream = connecting.await.map_err(|error| SendError::NotSent(with_causes(&error)))?;
        let mut builder = Builder::new();
        builder.max_buf_size(ANSWER_HEAD_BYTES_MAX);
        let shaken = builder.handshake(stream).await;
        let (sender, connection) = shaken.map_err(|error| SendError::NotSent(with_causes(&error)))?;
        Ok(Self { sender, connection: Some(Box::new(connection)) })
    }

    /// Whatever can be written or read now is.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection
            && Pin::new(&mut **connection).poll(cx).is_ready()
        {
            self.connection = None; // whoever waits for something from it hears of that
        }
    }

    async fn send(&mut self, request: Request<Sending>) -> Answered {
        let mut answer = std::pin::pin!(self.sender.try_send_request(request));
        std::future::poll_fn(|cx| {
            self.drive(cx);
            answer.as_mut().poll(cx)
        })
        .await
    }

    /// Whether another request may follow.
    fn is_free(&self) -> bool {
        self.connection.is_some() && self.sender.is_ready()
    }
}

/// The connections to one upstream.
pub(super) struct Links {
    connector: HttpConnector,
    origin: Uri,
    /// The one that was used last is the last.
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    links: VecDeque<(Instant, Link)>,
    /// Whether a task closes those that are idle for long.
    swept: bool,
}

impl Links {
    pub(super) fn new(connector: HttpConnector, origin: Uri) -> Arc<Self> {
        Arc::new(Self { connector, origin, idle: Mutex::default() })
    }

    /// Sends a request, whose address is a path and which names its host.
    ///
    /// # Errors
    /// [`SendError`].
    pub(super) async fn send(self: &Arc<Self>, mut request: Request<Sending>) -> Result<Response<Arriving>, SendError> {
        // those that are ready now come as far as this before any is sent: an upstream that is sent several is woken once
        tokio::task::yield_now().await;
        loop {
            let idle = self.take();
            let was_idle = idle.is_some();
            let mut link = match idle {
                Some(link) => link,
                None => Box::pin(Link::open(self.connector.clone(), self.origin.clone())).await?,
            };
            let at_upstream = lanes::Expecting::begin();
            let answered = link.send(request).await;
            drop(at_upstream);
            let mut error = match answered {
                Ok(answer) => {
                    let lent = Lent { link: Some(link), links: self.clone() };
                    return Ok(answer.map(|body| Arriving::over(body, lent)));
                }
                Err(error) => error,
            };
            request = match error.take_message() {
                Some(unsent) if was_idle => unsent, // the upstream had closed it meanwhile
                Some(_) => return Err(SendError::NotSent(with_causes(&error.into_error()))),
                None => return Err(SendError::Unanswered(with_causes(&error.into_error()))),
            };
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner) // a list is valid after any panic
    }

    fn take(&self) -> Option<Link> {
        let (since, link) = self.lock().links.pop_back()?;
        (since.elapsed() < IDLE_TIME_MAX).then_some(link) // those before it are older
    }

    fn give_back(self: &Arc<Self>, link: Link) {
        let mut idle = self.lock();
        if idle.links.len() >= IDLE_MAX {
            return;
        }
        idle.links.push_back((Instant::now(), link));
        if !idle.swept
            && let Ok(runtime) = Handle::try_current()
        {
            idle.swept = true;
            runtime.spawn(self.clone().sweep());
        }
    }

    /// Closes what is idle for long, until nothing is left.
    async fn sweep(self: Arc<Self>) {
        loop {
            let oldest = {
                let mut idle = self.lock();
                while idle.links.front().is_some_and(|(since, _)| since.elapsed() >= IDLE_TIME_MAX) {
                    idle.links.pop_front();
                }
                let Some((since, _)) = idle.links.front() else {
                    idle.swept = false;
                    return;
                };
                *since
            };
            tokio::time::sleep_until((oldest + IDLE_TIME_MAX + Duration::from_millis(1)).into()).await;
        }
    }
}

/// A connection, with one request. Dropped, it is left to others if they can use it.
struct Lent {
    link: Option<Link>,
    links: Arc<Links>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(link) = self.link.take().filter(Link::is_free) {
            self.links.give_back(link);
        }
    }
}

/// The body of an answer, as it arrives.
pub(super) struct Arriving {
    body: Incoming,
    /// What it arrives over, where nobody else drives that.
    over: Option<Lent>,
}

impl Arriving {
    fn over(body: Incoming, lent: Lent) -> Self {
        let over = lent.link.as_ref().is_some_and(|link| !link.is_free()).then_some(lent);
        Self { body, over } // all of it may be here already
    }
}

impl From<Incoming> for Arriving {
    fn from(body: Incoming) -> Self {
        Self { body, over: None }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(Lent { link: Some(link), .. }) = &mut self.over {
            link.drive(cx);
            if link.is_free() {
                self.over = None;
            }
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http_body_util::BodyExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// An upstream that says the same on every request, and closes its connections after so many.
    struct Upstream {
        links: Arc<Links>,
        accepted: Arc<AtomicUsize>,
    }

    impl Upstream {
        async fn start(answer: String, requests_max: usize) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let origin = format!("http://{}/", listener.local_addr().expect("an address")).parse().expect("an address");
            let accepted = Arc::new(AtomicUsize::new(0));
            let count = accepted.clone();
            tokio::spawn(async move {
                loop {
                    let (mut socket, _) = listener.accept().await.expect("a connection");
                    count.fetch_add(1, Ordering::SeqCst);
                    let answer = answer.clone();
                    tokio::spawn(async move {
                        let mut asked = Vec::new();
                        let mut answered = 0;
                        while answered < requests_max && socket.read_buf(&mut asked).await.is_ok_and(|read| read > 0) {
                            if asked.ends_with(b"\r\n\r\n") {
                                asked.clear();
                                answered += 1;
                                socket.write_all(answer.as_bytes()).await.expect("writable");
                            }
                        }
                    });
                }
            });
            Self { links: Links::new(HttpConnector::new(), origin), accepted }
        }

        async fn ask(&self) -> Result<usize, String> {
            let mut request = Request::new(Sending::Whole(None));
            *request.uri_mut() = Uri::from_static("/a");
            request.headers_mut().insert(http::header::HOST, http::HeaderValue::from_static("upstream"));
            let answer = self.links.send(request).await.map_err(|error| error.to_string())?;
            let body = answer.into_body().collect().await.map_err(|error| error.to_string())?;
            Ok(body.to_bytes().len())
        }

        fn accepted(&self) -> usize {
            self.accepted.load(Ordering::SeqCst)
        }
    }

    fn whole(bytes: usize) -> String {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n{}", "x".repeat(bytes))
    }

    #[tokio::test]
    async fn one_connection_serves_one_request_after_the_other() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n";
        for (answer, bytes) in [(whole(3), 3), (whole(0), 0), (whole(3 << 20), 3 << 20), (chunked.to_owned(), 4)] {
            let upstream = Upstream::start(answer, usize::MAX).await;
            for _ in 0..3 {
                assert_eq!(upstream.ask().await, Ok(bytes));
            }
            assert_eq!(upstream.accepted(), 1, "{bytes}");
        }
    }

    #[tokio::test]
    async fn one_that_was_closed_meanwhile_is_replaced() {
        let upstream = Upstream::start(whole(3), 1).await;
        for _ in 0..3 {
            assert_eq!(upstream.ask().await, Ok(3));
            tokio::time::sleep(Duration::from_millis(50)).await; // its end arrives
        }
        assert_eq!(upstream.accepted(), 3);
    }

    #[tokio::test]
    async fn one_that_is_left_in_the_middle_serves_nobody() {
        let upstream = Upstream::start(whole(3 << 20), usize::MAX).await;
        let mut request = Request::new(Sending::Whole(None));
        request.headers_mut().insert(http::header::HOST, http::HeaderValue::from_static("upstream"));
        let answer = upstream.links.send(request).await.map_err(|error| error.to_string());
        drop(answer.expect("an answer"));
        assert_eq!(upstream.ask().await, Ok(3 << 20));
        assert_eq!(upstream.accepted(), 2);
    }

    #[tokio::test]
    async fn what_is_broken_is_told() {
        let with_headers = |count| format!("HTTP/1.1 204 No Content\r\n{}\r\n", "a: b\r\n".repeat(count));
        assert_eq!(Upstream::start(with_headers(100), 1).await.ask().await, Ok(0));
        let crowded = with_headers(101);
        for answer in ["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", "HTTP/1.1 200", "", "SMTP\r\n\r\n", &crowded] {
            let upstream = Upstream::start(answer.to_owned(), 1).await;
            assert!(upstream.ask().await.is_err(), "{answer}");
        }
        let links = Links::new(HttpConnector::new(), Uri::from_static("http://127.0.0.1:1/"));
        let unsent = links.send(Request::new(Sending::Whole(None))).await;
        assert!(matches!(unsent, Err(SendError::NotSent(_))));
    }
}
