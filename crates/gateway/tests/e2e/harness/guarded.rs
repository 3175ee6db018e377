//! A server that asks who comes: by a token that it issued itself (RFC 6749 §4.4), or by a client's certificate.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::IntoResponse as _;
use axum::routing::{any, post};
use http::{HeaderMap, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, DnType, Issuer, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::PrivateKeyDer;
use serde_json::json;
use tokio_rustls::TlsAcceptor;

/// What the server was asked, in order: the line, the `Authorization` header, the body.
type Asked = Vec<(String, String, Bytes)>;

/// What a server of tokens does.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    /// How many tokens it has issued; they are `token-1-…` and so on.
    pub(crate) issued: usize,
    /// Tokens up to this one are no good any more.
    pub(crate) revoked: usize,
    /// How long a token is said to be good.
    pub(crate) seconds: u64,
    /// What it answers in the place of a token.
    pub(crate) instead: Option<(StatusCode, &'static str)>,
    /// What came to the token endpoint.
    pub(crate) wishes: Asked,
    /// What came to everything else.
    pub(crate) asked: Asked,
}

/// Tokens at `/token`, and behind everything else whoever has a good one.
pub(crate) struct Guarded {
    pub(crate) port: u16,
    pub(crate) desk: Arc<Mutex<Desk>>,
}

impl Guarded {
    pub(crate) fn start() -> Self {
        let desk = Arc::new(Mutex::new(Desk { seconds: 3600, ..Desk::default() }));
        let router = Router::new().route("/token", post(issue)).fallback(any(guard)).with_state(desk.clone());
        let port = super::origin::serve(router);
        Self { port, desk }
    }

    /// Changes something of it.
    pub(crate) fn tell<T>(&self, change: impl FnOnce(&mut Desk) -> T) -> T {
        change(&mut self.desk.lock().unwrap())
    }
}

fn authorization(headers: &HeaderMap) -> String {
    headers.get("authorization").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

async fn issue(State(desk): State<Arc<Mutex<Desk>>>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let mut desk = desk.lock().unwrap();
    desk.wishes.push(("POST /token".to_owned(), authorization(&headers), body));
    if let Some(instead) = desk.instead {
        return instead.into_response();
    }
    desk.issued += 1;
    let token = format!("token-{}-of-the-gateway", desk.issued);
    axum::Json(json!({"access_token": token, "token_type": "Bearer", "expires_in": desk.seconds})).into_response()
}

async fn guard(State(desk): State<Arc<Mutex<Desk>>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let mut desk = desk.lock().unwrap();
    let own = authorization(&head.headers);
    desk.asked.push((format!("{} {}", head.method, head.uri), own.clone(), body));
    let good = (desk.revoked + 1..=desk.issued).any(|number| own == format!("Bearer token-{number}-of-the-gateway"));
    if good { "welcome".into_response() } else { StatusCode::UNAUTHORIZED.into_response() }
}

/// A server that lets nobody in without a certificate of its authority; it says whose it saw.
pub(crate) struct Mutual {
    pub(crate) port: u16,
}

impl Mutual {
    /// Starts it, and writes for its client `client.pem`, `client.key` and, to know the server by, `authority.pem`.
    pub(crate) fn start(dir: &Path) -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["authority.test".to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = params.self_signed(&authority_key).unwrap();
        let issuer = Issuer::new(params, authority_key);
        let signed = |name: &str| {
            let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            let key = KeyPair::generate().unwrap();
            (params.signed_by(&key, &issuer).unwrap(), key)
        };
        let (client, client_key) = signed("gateway.test");
        fs::write(dir.join("authority.pem"), authority.pem()).unwrap();
        fs::write(dir.join("client.pem"), client.pem()).unwrap();
        fs::write(dir.join("client.key"), client_key.serialize_pem()).unwrap();
        let (server, server_key) = signed("localhost");
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build().unwrap();
        let key = PrivateKeyDer::try_from(server_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_client_cert_verifier(verifier);
        let config = config.with_single_cert(vec![server.der().clone()], key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || super::api::runtime().block_on(greet(listener, config)));
        Self { port }
    }
}

async fn greet(listener: TcpListener, config: ServerConfig) {
    let (listener, acceptor) =
        (tokio::net::TcpListener::from_std(listener).unwrap(), TlsAcceptor::from(Arc::new(config)));
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let Ok(stream) = acceptor.accept(socket).await else { continue };
        let count = stream.get_ref().1.peer_certificates().map_or(0, <[_]>::len);
        let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| async move {
            let bare = !request.headers().contains_key("authorization");
            Ok::<_, std::convert::Infallible>(Response::new(Body::from(format!("certificates: {count}, bare: {bare}"))))
        });
        let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
        tokio::spawn(async move { drop(builder.serve_connection(TokioIo::new(stream), service).await) });
    }
}
