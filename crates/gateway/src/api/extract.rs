//! What handlers take from a request, parsed before they run: the caller, the body, the query, ids in the path.

use axum::body::Body;
use axum::extract::{Form, FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use futures::StreamExt as _;
use serde::de::DeserializeOwned;

use super::Shared;
use super::problem::Problem;
use crate::codes::Code;
use crate::identity::{Browser, Caller, stewardship};

/// The largest request body: 64 KiB.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;
/// The longest bearer secret that is looked at.
const SECRET_BYTES_MAX: usize = 256;
/// The longest id in a path; ours are UUIDs.
const ID_BYTES_MAX: usize = 64;
/// The console's session. Over HTTPS its name pins it to this host (RFC 6265bis §4.1.3.2), and no other will do.
const SESSION_COOKIE: &str = "countersign_session";
const SESSION_COOKIE_HTTPS: &str = "__Host-countersign_session";

/// Anyone who proved who they are: a person, or an agent by its key.
pub(super) struct Known(pub(super) Caller);

/// Proof that the caller is a person who may read what others asked for; agents are refused.
pub(super) struct Human;

impl FromRequestParts<Shared> for Known {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Shared) -> Result<Self, Problem> {
        let now = api.gate.scribe.now();
        if let Some(secret) = bearer(&parts.headers)? {
            return Ok(Self(api.authenticator.bearer(secret, now).await?));
        }
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        let https = api.gate.config.public_url.starts_with("https://");
        let name = if https { SESSION_COOKIE_HTTPS } else { SESSION_COOKIE };
        match session(&parts.headers, name).filter(|_| reads) {
            Some(secret) => {
                same_site(&parts.headers)?;
                let signed_in = api.authenticator.session(secret, &browser(&parts.headers), now).await?;
                Ok(Self(Caller::Person(Box::new(signed_in))))
            }
            None => Err(Problem::new(Code::Unauthenticated, "send a token: `Authorization: Bearer …`")),
        }
    }
}

impl FromRequestParts<Shared> for Human {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Shared) -> Result<Self, Problem> {
        match Known::from_request_parts(parts, api).await?.0 {
            Caller::Person(signed_in) if signed_in.reads_all() => Ok(Self),
            Caller::Person(_) => {
                let detail = "without a group or a role a person reads the reviews and actions of their own side only";
                Err(Problem::new(Code::Forbidden, detail))
            }
            Caller::Agent(_) => {
                Err(Problem::new(Code::Forbidden, "an agent's key reads its own reviews and actions only"))
            }
        }
    }
}

/// The secret of the one `Authorization` header (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let Some(first) = given.next() else { return Ok(None) };
    let malformed = || Problem::new(Code::Unauthenticated, "write one header `Authorization: Bearer TOKEN`");
    if given.next().is_some() {
        return Err(malformed());
    }
    let (scheme, secret) = first.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(malformed)?;
    let secret = secret.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || secret.is_empty() || secret.len() > SECRET_BYTES_MAX {
        return Err(malformed());
    }
    Ok(Some(secret))
}

/// What the caller's browser calls itself.
fn browser(headers: &HeaderMap) -> Browser {
    Browser::new(headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default())
}

/// The console's session cookie; it serves reading only.
fn session<'a>(headers: &'a HeaderMap, cookie: &str) -> Option<&'a str> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(';'));
    pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, secret)| *name == cookie && secret.len() <= SECRET_BYTES_MAX)
        .map(|(_, secret)| secret)
}

/// A browser says where a request comes from; with a cookie, only our own pages and the address bar will do.
fn same_site(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get("sec-fetch-site").map(|site| site.as_bytes()) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(Problem::new(Code::CrossSite, "the console's session serves the console's own pages only")),
    }
}

/// A JSON body of at most [`BODY_BYTES_MAX`].
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Shared> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Shared) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let problem = Problem::new(Code::BadRequest, "send the body as `Content-Type: application/json`");
            return Err(problem.with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let bytes = read(request.into_body()).await?;
        let value = serde_json::from_slice(&bytes);
        value.map(Self).map_err(|error| Problem::new(Code::BadRequest, format!("the body is not valid: {error}")))
    }
}

/// A form of at most [`BODY_BYTES_MAX`].
pub(super) struct FormBody<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Shared> for FormBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Shared) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let whole = Request::from_parts(parts, Body::from(read(body).await?));
        let form = Form::<T>::from_request(whole, api).await;
        form.map(|Form(value)| Self(value)).map_err(|error| Problem::new(Code::BadRequest, error.body_text()))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    media.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// Reads a body piece by piece, and stops where it grows too long.
pub(super) async fn read(body: Body) -> Result<Vec<u8>, Problem> {
    let mut pieces = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| Problem::new(Code::BadRequest, "the body broke off"))?;
        if bytes.len() + piece.len() > BODY_BYTES_MAX {
            return Err(Problem::new(Code::TooLarge, format!("a body has at most {BODY_BYTES_MAX} bytes")));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// The query, without unknown or repeated keys.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Shared> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Shared) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, api).await;
        query.map(|Query(value)| Self(value)).map_err(|error| Problem::new(Code::BadRequest, error.body_text()))
    }
}

/// The name of a person or an agent in the path.
pub(super) struct Name(pub(super) String);

impl FromRequestParts<Shared> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Shared) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, api).await {
            Ok(Path(name)) if stewardship::check_name(&name).is_ok() => Ok(Self(name)),
            Ok(_) | Err(_) => Err(Problem::new(Code::NotFound, "there is nothing of this name")),
        }
    }
}

/// A handle in the path: short, and of plain letters, digits, `-` and `_`. Anything else names nothing of ours.
pub(super) struct Id(pub(super) String);

impl FromRequestParts<Shared> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Shared) -> Result<Self, Problem> {
        let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
        match Path::<String>::from_request_parts(parts, api).await {
            Ok(Path(id)) if id.len() <= ID_BYTES_MAX && id.bytes().all(plain) => Ok(Self(id)),
            Ok(_) | Err(_) => Err(Problem::new(Code::NotFound, "there is nothing with this id")),
        }
    }
}
