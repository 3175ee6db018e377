//! An HTTP server behind the gateway: real hyper for what servers do, raw sockets for what they should not do.

use std::convert::Infallible;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use xtask::process::wait_until;

use super::SOON;

/// How far apart the events of a stream are.
const EVENTS_APART: Duration = Duration::from_millis(150);

/// What the server was asked, in order.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// A server on a port of its own, as long as the process lives.
pub(crate) struct Origin {
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Origin {
    /// HTTP/1.1, and HTTP/2 to whoever begins with that.
    pub(crate) fn start() -> Self {
        let (listener, asked) = (TcpListener::bind("127.0.0.1:0").unwrap(), Arc::default());
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        let kept: Arc<Mutex<Vec<Asked>>> = Arc::clone(&asked);
        std::thread::spawn(move || {
            super::api::runtime().block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                loop {
                    let (socket, _) = listener.accept().await.unwrap();
                    let kept = kept.clone();
                    tokio::spawn(async move {
                        let service = service_fn(move |request| answer(request, kept.clone()));
                        let builder = Builder::new(TokioExecutor::new());
                        let served = builder.serve_connection_with_upgrades(TokioIo::new(socket), service);
                        let _ = served.await; // clients come and go
                    });
                }
            });
        });
        Self { port, asked }
    }

    /// `[[target]]` for it.
    pub(crate) fn target(&self, name: &str, more: &str) -> String {
        let port = self.port;
        format!(
            "\n[[target]]\nname = \"{name}\"\nprotocol = \"http\"\nupstream = \"http://127.0.0.1:{port}/base\"\n\
             credential = {{ env = \"ORDERS_PASSWORD\" }}\nenvironment = \"production\"\n[target.http]\n\
             openapi = {{ name = \"generic\" }}\n{more}\n"
        )
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The requests for this path.
    pub(crate) fn asked_for(&self, target: &str) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.target == target).collect()
    }

    /// The first request for this path, once it came.
    pub(crate) fn wait_for(&self, target: &str) -> Asked {
        wait_until("the upstream to be asked", SOON, || self.asked_for(target).into_iter().next()).unwrap()
    }
}

async fn answer(mut request: Request<Incoming>, kept: Arc<Mutex<Vec<Asked>>>) -> Result<Response<Body>, Infallible> {
    let target = request.uri().path_and_query().unwrap().to_string();
    let (method, headers) = (request.method().to_string(), request.headers().clone());
    let (mut bytes, mut hash) = (0, Sha256::new());
    while let Some(Ok(frame)) = request.body_mut().frame().await {
        if let Ok(data) = frame.into_data() {
            bytes += data.len() as u64;
            hash.update(&data);
        }
    }
    let asked = Asked { method, target: target.clone(), headers, bytes, sha256: hex::encode(hash.finalize()) };
    kept.lock().unwrap().push(asked.clone());
    let path = target.strip_prefix("/base").unwrap_or(&target);
    Ok(match path.split('?').next().unwrap() {
        "/events" => events(3),
        "/ticks" => events(u32::MAX),
        "/trailers" => trailers(),
        "/socket" => socket(&mut request),
        "/missing" => told(StatusCode::NOT_FOUND, &json!({"error": "not found"})),
        "/broken" => told(StatusCode::INTERNAL_SERVER_ERROR, &json!({"error": "broken"})),
        "/moved" => {
            let mut response = told(StatusCode::FOUND, &Value::Null);
            let host = asked.headers["host"].to_str().unwrap();
            let place = format!("http://{host}/base/there?x=1").parse().unwrap();
            response.headers_mut().insert("location", place);
            response
        }
        other => match other.strip_prefix("/bytes/").and_then(|count| count.parse::<usize>().ok()) {
            Some(count) => Response::new(Body::from(vec![b'x'; count])),
            None => told(StatusCode::OK, &view(&asked)),
        },
    })
}

fn view(asked: &Asked) -> Value {
    let headers: serde_json::Map<String, Value> = asked
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes()))))
        .collect();
    json!({"method": asked.method, "target": asked.target, "headers": headers, "bytes": asked.bytes, "sha256": asked.sha256})
}

fn told(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    response.headers_mut().insert("set-cookie", "session=upstream".parse().unwrap());
    response
}

/// So many events, apart.
fn events(count: u32) -> Response<Body> {
    let pieces = futures::stream::unfold(0, move |number| async move {
        if number == count {
            return None;
        }
        if number > 0 {
            tokio::time::sleep(EVENTS_APART).await;
        }
        let event = Bytes::from(format!("data: {number}\n\n"));
        Some((Ok::<_, Infallible>(Frame::data(event)), number + 1))
    });
    let mut response = Response::new(Body::new(StreamBody::new(pieces)));
    response.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
    response
}

/// A body and what comes after it, as gRPC has it.
fn trailers() -> Response<Body> {
    let mut after = HeaderMap::new();
    after.insert("grpc-status", "0".parse().unwrap());
    let pieces = vec![Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"body"))), Ok(Frame::trailers(after))];
    let mut response = Response::new(Body::new(StreamBody::new(futures::stream::iter(pieces))));
    response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    response
}

/// Goes on as an echo.
fn socket(request: &mut Request<Incoming>) -> Response<Body> {
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        let Ok(stream) = upgrade.await else { return };
        let mut stream = TokioIo::new(stream);
        let mut piece = [0; 1024];
        while let Ok(read @ 1..) = stream.read(&mut piece).await {
            if stream.write_all(&piece[..read]).await.is_err() {
                return;
            }
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert("connection", "upgrade".parse().unwrap());
    response.headers_mut().insert("upgrade", "echo".parse().unwrap());
    response
}

/// A server that does one thing to every connection once it has read a request's head.
pub(crate) fn misbehaving(deed: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, deed) = (listener.local_addr().unwrap().port(), Arc::new(deed));
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let (mut socket, deed) = (socket.unwrap(), deed.clone());
            std::thread::spawn(move || {
                let (mut read, mut piece) = (Vec::new(), [0; 4096]);
                while !read.windows(4).any(|end| end == b"\r\n\r\n") {
                    match socket.read(&mut piece) {
                        Ok(count @ 1..) => read.extend_from_slice(&piece[..count]),
                        _ => return,
                    }
                }
                deed(&mut socket);
            });
        }
    });
    port
}

/// Answers on a port of its own until the process ends.
pub(crate) fn serve(router: axum::Router) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        super::api::runtime().block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
    });
    port
}
