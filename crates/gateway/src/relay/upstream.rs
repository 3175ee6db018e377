//! One upstream over HTTP: its dialect, its connections, and the credential that the gateway adds to what was approved.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use countersign_core::action;
use countersign_core::action::redact::Rules;
use http::header::{CONNECTION, HOST, SEC_WEBSOCKET_KEY, TE, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::access_key::AccessKey;
use super::body::Sending;
use super::capture::{Bound, Outgoing};
use super::credential::{Credential, Credentials};
use super::dialect::Dialect;
use super::link::{Arriving, Links};
use super::serve::Dialects;
use crate::config::{self, Auth, HttpTarget};
use crate::ports::Vault;
use crate::spool::Spools;

/// How long a connection may take to be made.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// How long an idle connection is kept: less than what servers keep commonly.
pub(super) const IDLE_TIME_MAX: Duration = Duration::from_secs(30);
/// Idle connections that are kept.
pub(super) const IDLE_MAX: usize = 256;
/// The largest head of an answer: 256 KiB, in at most 100 headers, which is hyper's own bound and room that it has at hand.
pub(super) const ANSWER_HEAD_BYTES_MAX: usize = 256 * 1024;

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// It was not even sent.
    #[error("{0}")]
    NotSent(String),
    /// It may have arrived.
    #[error("{0}")]
    Unanswered(String),
}

impl SendError {
    fn of(error: hyper_util::client::legacy::Error) -> Self {
        let problem = crate::fetch::with_causes(&error);
        if error.is_connect() { Self::NotSent(problem) } else { Self::Unanswered(problem) }
    }
}

/// A target that cannot be used as it is configured.
#[derive(Debug, Clone, thiserror::Error)]
#[error("target `{target}`: {problem}")]
pub struct TargetError {
    target: String,
    problem: String,
}

impl TargetError {
    pub(super) fn new(target: &config::Target, problem: String) -> Self {
        Self { target: target.name.clone(), problem }
    }
}

/// An upstream that requests may be sent to. Each lane has its own, with connections of its own: who answers a request then
/// wakes no other thread, and what every request counts and locks is in its own processor's caches.
pub(super) struct Upstream {
    pub(super) config: config::Target,
    pub(super) http: HttpTarget,
    /// As actions name it.
    pub(super) target: Arc<action::Target>,
    pub(super) rules: Arc<Rules>,
    pub(super) dialect: Arc<dyn Dialect>,
    pub(super) spools: Arc<Spools>,
    scheme: Scheme,
    authority: Authority,
    /// As a header names it.
    host: HeaderValue,
    base: String,
    clients: Mutex<Option<Arc<Connected>>>,
    credentials: Credentials,
}

/// What sends requests.
type Sender = Client<HttpsConnector<HttpConnector>, Sending>;

/// Clients, and the key of the certificate that they show.
struct Connected {
    client: Sender,
    /// In HTTP/1.1 alone, whose connections go on in another protocol.
    upgrading: Sender,
    /// For what is neither encrypted nor in HTTP/2, which those two do as well.
    links: Option<Arc<Links>>,
    key: Option<Arc<Zeroizing<String>>>,
}

impl Upstream {
    /// # Errors
    /// [`TargetError`].
    pub(super) fn new(
        config: config::Target,
        dialect: Arc<dyn Dialect>,
        data_dir: &std::path::Path,
    ) -> Result<Self, TargetError> {
        let fail = |problem: String| TargetError::new(&config, problem);
        let http = config.http.as_deref().cloned().unwrap_or_default();
        let uri = config::address(&config.upstream).map_err(|problem| fail(format!("`upstream` {problem}")))?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(fail("`upstream` has no host".to_owned()));
        };
        let base = parts.path_and_query.as_ref().map_or("", PathAndQuery::path).trim_end_matches('/').to_owned();
        let host = match authority.port_u16() {
            Some(port) if port != default_port(&scheme) => format!("{}:{port}", authority.host()),
            Some(_) | None => authority.host().to_owned(),
        };
        let host = HeaderValue::from_str(&host).map_err(|error| fail(error.to_string()))?;
        let rules = Rules::new(&config.redact).map_err(|error| fail(error.to_string()))?;
        let target = action::Target {
            name: config.name.clone(),
            environment: config.environment,
            sensitivity: config.sensitivity,
            generation: config.generation(),
        };
        let spools = Arc::new(Spools::new(data_dir.to_owned(), http.spool_bytes_max));
        let upstream = Self {
            http,
            target: target.into(),
            rules: rules.into(),
            dialect,
            spools,
            scheme,
            authority,
            host,
            base,
            clients: Mutex::default(),
            credentials: Credentials::default(),
            config,
        };
        if !matches!(upstream.http.auth, Auth::Certificate { .. }) {
            upstream.connected(None).map_err(|problem| TargetError::new(&upstream.config, problem))?;
        }
        Ok(upstream)
    }

    /// The same for another lane.
    pub(super) fn beside(&self) -> Self {
        Self {
            config: self.config.clone(),
            http: self.http.clone(),
            target: Arc::new((*self.target).clone()),
            rules: self.rules.clone(),
            dialect: self.dialect.clone(),
            spools: self.spools.clone(),
            scheme: self.scheme.clone(),
            authority: self.authority.clone(),
            host: self.host.clone(),
            base: self.base.clone(),
            clients: Mutex::default(),
            credentials: self.credentials.beside(),
        }
    }

    /// The path that every one of its addresses begins with.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// `scheme://host`, as its answers write it.
    pub(super) fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    /// Sends what a permit opened. The secret is fetched here and goes no further.
    pub(super) async fn send(
        &self,
        vault: &dyn Vault,
        outgoing: Outgoing,
        body: Sending,
        extras: Extras,
    ) -> Result<Response<Arriving>, SendError> {
        let credential = self.credentials.get(&self.config, &self.http, vault).await.map_err(SendError::NotSent)?;
        match (&self.http.auth, credential, &outgoing.body) {
            (Auth::OAuth { .. }, Credential::Header(name, token), Bound::Whole(bytes)) => {
                let bytes = bytes.clone();
                Box::pin(self.send_by_token(vault, (name, token), outgoing, bytes, extras)).await
            }
            (_, credential, _) => self.send_with(credential, outgoing, body, extras).await,
        }
    }

    /// A token that the upstream refuses (`401`) may have been revoked before its end: what was refused for its credential has not
    /// run (RFC 9110 §15.5.2), and is sent once more with another token.
    async fn send_by_token(
        &self,
        vault: &dyn Vault,
        (name, token): (HeaderName, HeaderValue),
        outgoing: Outgoing,
        bytes: Bytes,
        extras: Extras,
    ) -> Result<Response<Arriving>, SendError> {
        let body = || Sending::Whole(Some(bytes.clone()));
        let credential = Credential::Header(name, token.clone());
        let answer = self.send_with(credential, outgoing.clone(), body(), extras.clone()).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        self.credentials.forget(&token).await;
        match self.credentials.get(&self.config, &self.http, vault).await {
            Ok(credential) => self.send_with(credential, outgoing, body(), extras).await,
            Err(_) => Ok(answer),
        }
    }

    async fn send_with(
        &self,
        credential: Credential,
        outgoing: Outgoing,
        body: Sending,
        extras: Extras,
    ) -> Result<Response<Arriving>, SendError> {
        let not_sent = |problem: String| SendError::NotSent(problem);
        let key = match &credential {
            Credential::Certificate(key) => Some(key.clone()),
            Credential::None | Credential::Header(..) | Credential::Signed(_) => None,
        };
        let connected = self.connected(key).map_err(not_sent)?;
        let upgrade = extras.upgrade;
        let request = self.request(outgoing, body, extras, credential).map_err(not_sent)?;
        let answering = std::pin::pin!(async {
            match &connected.links {
                Some(links) if !upgrade && request.uri().authority() == Some(&self.authority) => {
                    links.send(self.by_path(request)).await
                }
                _ => {
                    let client = if upgrade { &connected.upgrading } else { &connected.client };
                    let answer = Box::pin(client.request(request)).await;
                    answer.map(|answer| answer.map(Arriving::from)).map_err(SendError::of)
                }
            }
        });
        let seconds = u64::from(self.http.answer_seconds_max);
        let answer = tokio::time::timeout(Duration::from_secs(seconds), answering).await;
        answer.map_err(|_| SendError::Unanswered(format!("no answer within {seconds} seconds")))?
    }

    /// A request to this upstream as HTTP/1.1 writes it: its address is a path, and a header names the host (RFC 9112 §3.2.1).
    fn by_path(&self, mut request: Request<Sending>) -> Request<Sending> {
        let path = std::mem::take(request.uri_mut()).into_parts().path_and_query;
        *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
        request.headers_mut().entry(HOST).or_insert_with(|| self.host.clone());
        request
    }

    fn request(
        &self,
        outgoing: Outgoing,
        body: Sending,
        extras: Extras,
        credential: Credential,
    ) -> Result<Request<Sending>, String> {
        let authority = self.authority_of(&outgoing.headers)?;
        let Outgoing { method, target, mut headers, body: bound } = outgoing;
        let path = format!("{}{target}", self.base);
        let path: PathAndQuery = path.parse().map_err(|_| "the path cannot be sent".to_owned())?;
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(authority.clone());
        parts.path_and_query = Some(path);
        let uri = Uri::from_parts(parts).map_err(|error| error.to_string())?;
        if extras.upgrade {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        } else {
            headers.remove(UPGRADE);
        }
        headers.extend(extras.socket_key.map(|key| (SEC_WEBSOCKET_KEY, key)));
        if extras.trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        if self.by_http2() && !extras.upgrade {
            *request.version_mut() = Version::HTTP_2;
        }
        match credential {
            Credential::None | Credential::Certificate(_) => {}
            Credential::Header(name, value) => {
                headers.insert(name, value);
            }
            Credential::Signed(key) => {
                let host = HeaderValue::from_str(authority.as_str()).map_err(|error| error.to_string())?;
                headers.insert(HOST, host);
                let whole = match &bound {
                    Bound::Whole(bytes) => Some(bytes.clone()),
                    Bound::Spooled(_) | Bound::Stream => None,
                };
                *request.headers_mut() = headers;
                return self.signed(request, whole, &key);
            }
        }
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// Where a request goes: the upstream's host, or one below it that the dialect names.
    fn authority_of(&self, headers: &http::HeaderMap) -> Result<Authority, String> {
        let Some(host) = self.dialect.host(headers)? else { return Ok(self.authority.clone()) };
        // the credential never leaves what was configured
        let below = host.strip_suffix(self.authority.host()).is_some_and(|name| name.ends_with('.'));
        let port = self.authority.port().map_or(String::new(), |port| format!(":{port}"));
        let found = format!("{host}{port}").parse().map_err(|_| format!("`{host}` is no host"))?;
        if below { Ok(found) } else { Err(format!("`{host}` is not below the upstream's host")) }
    }

    fn signed(
        &self,
        mut request: Request<Sending>,
        whole: Option<Bytes>,
        key: &AccessKey,
    ) -> Result<Request<Sending>, String> {
        self.dialect.sign(&mut Signing {
            method: request.method().clone(),
            uri: request.uri().clone(),
            body: whole,
            key,
            headers: request.headers_mut(),
        })?;
        Ok(request)
    }

    /// The clients; new ones where the certificate that they show has changed.
    fn connected(&self, key: Option<Arc<Zeroizing<String>>>) -> Result<Arc<Connected>, String> {
        let mut kept = self.clients.lock().unwrap_or_else(PoisonError::into_inner); // valid after any panic
        if let Some(connected) = kept.as_ref().filter(|connected| connected.key == key) {
            return Ok(connected.clone());
        }
        let tls = self.tls(key.as_ref().map(|key| key.as_str()))?;
        let connector = || HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http();
        let client = sender(connector().enable_all_versions().wrap_connector(plain()), self.by_http2());
        let upgrading = sender(connector().enable_http1().wrap_connector(plain()), false);
        let links = (self.scheme == Scheme::HTTP && !self.http.http2).then(|| {
            let origin =
                format!("{}/", self.origin()).parse().map_err(|_| "its address cannot be connected to".to_owned());
            origin.map(|origin| Links::new(plain(), origin))
        });
        let connected = Arc::new(Connected { client, upgrading, links: links.transpose()?, key });
        *kept = Some(connected.clone());
        Ok(connected)
    }

    /// Whether requests are sent in HTTP/2 without asking.
    fn by_http2(&self) -> bool {
        self.http.http2 && self.scheme == Scheme::HTTP
    }

    fn tls(&self, key: Option<&str>) -> Result<ClientConfig, String> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = &self.http.ca {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| format!("`{}`: {error}", path.display()))?;
            }
        }
        let builder = ClientConfig::builder().with_root_certificates(roots);
        match (&self.http.auth, key) {
            (Auth::Certificate { chain }, Some(key)) => {
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
                let key = key.map_err(|error| format!("the credential is no private key: {error}"))?;
                builder.with_client_auth_cert(certificates(chain)?, key).map_err(|error| error.to_string())
            }
            _ => Ok(builder.with_no_client_auth()),
        }
    }
}

/// Looks whether a target could be used: its dialect, its credential, and whether something listens at its address. Nothing
/// is asked of the upstream.
///
/// # Errors
/// In words, what is wrong.
pub async fn check(
    target: &config::Target,
    dialects: Dialects,
    vault: &dyn Vault,
    data_dir: &std::path::Path,
) -> Result<String, String> {
    let dialect = dialects(target)?;
    let upstream = Upstream::new(target.clone(), dialect, data_dir).map_err(|error| error.problem)?;
    upstream.credentials.get(&upstream.config, &upstream.http, vault).await?;
    let port = upstream.authority.port_u16().unwrap_or(default_port(&upstream.scheme));
    let host = upstream.authority.host().trim_matches(['[', ']']).to_owned();
    let connecting = tokio::net::TcpStream::connect((host, port));
    match tokio::time::timeout(CONNECT_TIME_MAX, connecting).await {
        Ok(Ok(_)) => Ok(format!("{}, {} accepts connections", target.protocol.name(), upstream.authority)),
        Ok(Err(error)) => Err(format!("{}: {error}", upstream.authority)),
        Err(_) => Err(format!("{}: no connection within {} s", upstream.authority, CONNECT_TIME_MAX.as_secs())),
    }
}

/// What a request has besides its payload.
#[derive(Debug, Clone, Default)]
pub(super) struct Extras {
    pub(super) upgrade: bool,
    pub(super) trailers: bool,
    /// What proves that the answer to a WebSocket's opening is to this one: new each time, and without a meaning.
    pub(super) socket_key: Option<HeaderValue>,
}

/// A request to be signed.
pub struct Signing<'a> {
    /// Its method.
    pub method: http::Method,
    /// Where it goes.
    pub uri: Uri,
    /// Its body, where all of it is known.
    pub body: Option<Bytes>,
    /// What it is signed with.
    pub key: &'a AccessKey,
    /// Its headers; the signature is added to them.
    pub headers: &'a mut http::HeaderMap,
}

fn default_port(scheme: &Scheme) -> u16 {
    if *scheme == Scheme::HTTPS { 443 } else { 80 }
}

fn plain() -> HttpConnector {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_TIME_MAX));
    http
}

fn sender(connector: HttpsConnector<HttpConnector>, http2_only: bool) -> Sender {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIME_MAX)
        .pool_max_idle_per_host(IDLE_MAX)
        .http1_max_buf_size(ANSWER_HEAD_BYTES_MAX)
        .http2_only(http2_only)
        .build(connector)
}

fn certificates(path: &std::path::Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |error: rustls_pki_types::pem::Error| format!("`{}`: {error}", path.display());
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(wrong)?.collect();
    let found = found.map_err(wrong)?;
    if found.is_empty() { Err(format!("`{}` holds no certificate", path.display())) } else { Ok(found) }
}
