//! `[target.http]`: how a target that is spoken to over HTTP is reached, and what of a request it gets.

use std::collections::BTreeSet;
use std::path::PathBuf;

use http::uri::{Authority, Scheme, Uri};
use serde::{Deserialize, Serialize};

use super::raw::Check;
use super::{Error, Pinned, Protocol};

/// What of a body is read into memory to describe a request, unless configured otherwise: 1 MiB.
const BODY_BYTES: u64 = 1 << 20;
/// The most that can be configured: 64 MiB.
const BODY_BYTES_MAX: u64 = 64 << 20;
/// The longest body that waits for a review on disk, unless configured otherwise: 64 MiB.
const SPOOL_BYTES: u64 = 64 << 20;
/// The most that can be configured: 16 GiB.
const SPOOL_BYTES_MAX: u64 = 16 << 30;
/// How long an upstream may take to begin its answer, unless configured otherwise.
const ANSWER_SECONDS: u32 = 300;
/// The most headers that can be named.
const HEADERS_MAX: usize = 64;
/// The most names that a target can have, and the most paths.
const HOSTS_MAX: usize = 16;

/// How a target over HTTP is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpTarget {
    /// How the credential gets into a request.
    pub auth: Auth,
    /// Certificates that are trusted for this upstream besides the system's, as a PEM file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// Names by which clients reach the target without a path of its own.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub hosts: BTreeSet<String>,
    /// Paths at which clients look for the API, and the upstream does not have it: `/api/v3` for GitHub's own.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub mounts: BTreeSet<String>,
    /// Headers of requests that reach the upstream besides those that always do.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub headers: BTreeSet<String>,
    /// What the API's requests mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openapi: Option<OpenApi>,
    /// A folder of service models of AWS (botocore's `data`), for what its protocols do not tell by themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<Pinned>,
    /// What of a body is read into memory to describe a request, in bytes.
    pub body_bytes_max: u64,
    /// The longest body that waits for a review, on disk, in bytes; 0: a body over `body_bytes_max` that needs one is refused.
    pub spool_bytes_max: u64,
    /// How long the upstream may take to begin its answer, in seconds.
    pub answer_seconds_max: u32,
    /// Whether an upstream without TLS speaks HTTP/2 (gRPC); with TLS both sides agree on it by themselves.
    pub http2: bool,
}

impl Default for HttpTarget {
    fn default() -> Self {
        Self {
            auth: Auth::default(),
            ca: None,
            hosts: BTreeSet::new(),
            mounts: BTreeSet::new(),
            headers: BTreeSet::new(),
            openapi: None,
            models: None,
            body_bytes_max: BODY_BYTES,
            spool_bytes_max: SPOOL_BYTES,
            answer_seconds_max: ANSWER_SECONDS,
            http2: false,
        }
    }
}

/// How the credential gets into a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Auth {
    /// `Authorization: Bearer SECRET` (RFC 6750).
    #[default]
    Bearer,
    /// `Authorization: Basic …` (RFC 7617), the secret being the password.
    Basic {
        /// The user.
        user: String,
    },
    /// A header of its own, `X-Api-Key` say.
    Header {
        /// Its name.
        name: String,
        /// What stands before the secret, `token ` say.
        #[serde(default)]
        prefix: String,
    },
    /// A client certificate; the secret is its key, as PEM.
    Certificate {
        /// The certificate and its chain, as a PEM file.
        chain: PathBuf,
    },
    /// A token by client credentials (RFC 6749 §4.4), the secret being the client's.
    #[serde(rename = "oauth")]
    OAuth {
        /// Where tokens are issued.
        token_url: String,
        /// The client.
        client_id: String,
        /// What is asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
    },
    /// AWS Signature Version 4; the secret is the access key's.
    SigV4 {
        /// The access key's id.
        access_key_id: String,
    },
}

/// What the requests to an API mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenApi {
    /// What stands before each operation's id: `github`.
    pub name: String,
    /// The OpenAPI document; without one, requests mean what their method says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Pinned>,
    /// What the document does not tell: which operations are how dangerous.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Pinned>,
}

/// Checks what was written for a target; every target over HTTP has one.
pub(super) fn validated(
    check: &Check<'_>,
    protocol: Protocol,
    upstream: &str,
    raw: Option<HttpTarget>,
) -> Result<Option<HttpTarget>, Error> {
    if !protocol.is_http() {
        return match raw {
            Some(_) => check.fail("target.http", format!("is for targets over HTTP, not for `{}`", protocol.name())),
            None => Ok(None),
        };
    }
    if let Err(problem) = address(upstream) {
        return check.fail("target.upstream", problem);
    }
    let mut http = raw.unwrap_or_default();
    if !(1..=BODY_BYTES_MAX).contains(&http.body_bytes_max) {
        return check.fail("target.http.body_bytes_max", format!("must be 1 to {BODY_BYTES_MAX} bytes"));
    }
    if http.spool_bytes_max > SPOOL_BYTES_MAX {
        return check.fail("target.http.spool_bytes_max", format!("must be at most {SPOOL_BYTES_MAX} bytes"));
    }
    check.wait("target.http.answer_seconds_max", http.answer_seconds_max)?;
    names(check, &http)?;
    http.hosts = http.hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
    http.headers = http.headers.iter().map(|name| name.to_ascii_lowercase()).collect();
    http.ca = http.ca.map(|path| check.resolve(path));
    http.models = taken(check, "target.http.models", http.models)?;
    if let Some(OpenApi { name, document, classes }) = http.openapi {
        let document = taken(check, "target.http.openapi.document", document)?;
        let classes = taken(check, "target.http.openapi.classes", classes)?;
        http.openapi = Some(OpenApi { name, document, classes });
    }
    if let Auth::Certificate { chain } = http.auth {
        http.auth = Auth::Certificate { chain: check.resolve(chain) };
    }
    if let Auth::OAuth { token_url, .. } = &http.auth
        && let Err(problem) = address(token_url)
    {
        return check.fail("target.http.auth.oauth.token_url", problem);
    }
    Ok(Some(http))
}

fn taken(check: &Check<'_>, key: &str, written: Option<Pinned>) -> Result<Option<Pinned>, Error> {
    let Some(written) = written else { return Ok(None) };
    let path = check.resolve(written.path().to_owned());
    match written.taken(path) {
        Ok(taken) => Ok(Some(taken)),
        Err(error) => check.fail(key, format!("cannot be used: {error}")),
    }
}

fn names(check: &Check<'_>, http: &HttpTarget) -> Result<(), Error> {
    if http.hosts.len().max(http.mounts.len()) > HOSTS_MAX || http.headers.len() > HEADERS_MAX {
        let problem = format!("names more than {HOSTS_MAX} hosts or mounts, or {HEADERS_MAX} headers");
        return check.fail("target.http", problem);
    }
    for host in &http.hosts {
        if host.parse::<Authority>().is_err() || host.contains('@') {
            return check.fail("target.http.hosts", format!("has `{host}`; write `api.example.org` or `host:port`"));
        }
    }
    let is_plain = |segment: &str| {
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        !segment.is_empty() && segment.bytes().all(letters) && segment != "." && segment != ".."
    };
    for mount in &http.mounts {
        if !mount.strip_prefix('/').is_some_and(|path| path.split('/').all(is_plain)) {
            return check.fail("target.http.mounts", format!("has `{mount}`; write a path, such as `/api/v3`"));
        }
    }
    let own = match &http.auth {
        Auth::Header { name, .. } => Some(name),
        _ => None,
    };
    for name in http.headers.iter().chain(own) {
        if name.parse::<http::HeaderName>().is_err() {
            return check.fail("target.http.headers", format!("has `{name}`, which is no name of a header"));
        }
    }
    headers(check, http, own.map(String::as_str))
}

/// What `headers` lets through must not say who asks, nor where a message ends.
fn headers(check: &Check<'_>, http: &HttpTarget, own: Option<&str>) -> Result<(), Error> {
    for name in &http.headers {
        let injected = own.is_some_and(|own| own.eq_ignore_ascii_case(name));
        let why = if injected { Some("is the one that the gateway's credential stands in") } else { reserved(name) };
        if let Some(why) = why {
            return check.fail("target.http.headers", format!("has `{name}`, which {why}"));
        }
    }
    // a credential may stand where credentials stand, and nowhere else of these
    match own.and_then(|own| Some((own, reserved(own)?))) {
        Some((own, why)) if why != CREDENTIAL => {
            check.fail("target.http.auth.header.name", format!("is `{own}`, which {why}"))
        }
        Some(_) | None => Ok(()),
    }
}

const CREDENTIAL: &str = "carries the client's own credential, and that never reaches the upstream";
const FRAMING: &str = "belongs to one connection, or says where a message ends";
const ORIGIN: &str = "says who asks, for whom or from where, and that is the gateway's to say";
const METHOD: &str = "asks for another method than the request line has";
const PREFERENCE: &str = "is read by the gateway, which passes on what is left of it";

/// Why nobody may have a header passed on.
fn reserved(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "authorization" | "cookie" | "proxy-authorization" | "x-amz-security-token" => Some(CREDENTIAL),
        "host" | "content-length" | "transfer-encoding" | "te" | "trailer" | "connection" | "keep-alive"
        | "upgrade" | "proxy-connection" | "proxy-authenticate" | "expect" | "http2-settings" => Some(FRAMING),
        "forwarded" | "via" | "x-real-ip" => Some(ORIGIN),
        "x-http-method-override" | "x-http-method" | "x-method-override" => Some(METHOD),
        "prefer" => Some(PREFERENCE),
        _ => ["x-forwarded-", "impersonate-", "x-remote-"].iter().any(|kind| name.starts_with(kind)).then_some(ORIGIN),
    }
}

/// Checks the address of a service over HTTP.
///
/// # Errors
/// What would be right.
pub fn address(url: &str) -> Result<Uri, String> {
    let right = "write `https://host/base`, without user, query or dot segments";
    let uri: Uri = url.parse().map_err(|_| format!("is `{url}`; {right}"))?;
    let known = uri.scheme().is_some_and(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
    let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    let straight = uri.path().split('/').all(|part| part != "." && part != "..") && uri.query().is_none();
    if known && plain && straight { Ok(uri) } else { Err(format!("is `{url}`; {right}")) }
}
