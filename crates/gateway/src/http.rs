//! The HTTP listener, with bounds of its own: how many connections there are, and how long each may take to say what it
//! wants. What a request may cost after that is the routes' business.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Connections at once; one more waits until another ends.
const CONNECTIONS_MAX: usize = 1_024;
/// How long a client may take to send the head of a request, and how long an idle connection is kept for the next.
const HEAD_TIME_MAX: Duration = Duration::from_secs(20);
/// The largest head of a request: 64 KiB.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long to wait when no connection can be accepted: out of files, most likely.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until the future is dropped, which ends all connections.
pub async fn serve(listener: TcpListener, router: Router) -> Infallible {
    serve_at_most(listener, router, CONNECTIONS_MAX, HEAD_TIME_MAX).await
}

async fn serve_at_most(
    listener: TcpListener,
    router: Router,
    connections_max: usize,
    head_time_max: Duration,
) -> Infallible {
    let places = Arc::new(Semaphore::new(connections_max));
    let builder = Arc::new(builder(head_time_max));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {} // those that have ended
        let Ok(place) = places.clone().acquire_owned().await else { continue };
        match listener.accept().await {
            Ok((socket, _)) => {
                let (builder, router) = (builder.clone(), router.clone());
                connections.spawn(async move {
                    connection(&builder, socket, router).await;
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

/// HTTP/1.1 alone: telling it from HTTP/2 by its first bytes would wait for these without a bound.
fn builder(head_time_max: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(head_time_max).max_buf_size(HEAD_BYTES_MAX);
    builder
}

async fn connection(builder: &Builder<TokioExecutor>, socket: TcpStream, router: Router) {
    let _ = socket.set_nodelay(true); // speed only
    let service = TowerToHyperService::new(router);
    if let Err(error) = builder.serve_connection(TokioIo::new(socket), service).await {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const SHORT: Duration = Duration::from_millis(300);
    const LONG: Duration = Duration::from_secs(20);

    async fn start(connections_max: usize) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().route("/", get(|| async { "here" }));
        tokio::spawn(async move { serve_at_most(listener, router, connections_max, SHORT).await });
        address
    }

    async fn told(mut socket: TcpStream) -> String {
        let mut text = String::new();
        let read = tokio::time::timeout(LONG, socket.read_to_string(&mut text)).await;
        read.expect("the listener ends it").expect("readable");
        text
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
        for begun in ["", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
            let mut socket = TcpStream::connect(address).await.expect("connects");
            socket.write_all(begun.as_bytes()).await.expect("writable");
            assert!(!told(socket).await.contains("200"));
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
