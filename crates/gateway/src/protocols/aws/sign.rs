//! Requests signed anew by Signature Version 4, with a key that the client never had.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html>. [`stripped`] takes away what the client's own
//! signature left, [`sign`] adds the gateway's. A body in `aws-chunked` carries signatures of the client's: [`unchunked`] takes
//! the data out of it. Deliberately absent: presigning, SigV4a, and signing a stream chunk by chunk.

mod chunked;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SessionTokenMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode,
};
use aws_sigv4::sign::v4;
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;

use crate::fetch::with_causes;
use crate::relay::AccessKey;
use crate::relay::dialect::Signing;

pub use chunked::{NotChunked, unchunked};

/// Headers of a client's own signature.
const SIGNATURE: &[&str] =
    &["authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256", "x-amz-s3session-token", "date"];

/// The hash of a body in chunks that are not signed.
pub(super) const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

/// What is signed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct For {
    /// The service's name in signatures, as the client signed.
    pub service: String,
    /// The region.
    pub region: String,
}

impl For {
    /// As the client signed; nothing where it did not, or twice.
    pub fn as_signed(head: &crate::relay::head::Head) -> Option<Self> {
        let scope = super::scope::Scope::of(head)?;
        Some(Self { service: scope.signed_for, region: scope.region })
    }
}

/// A request's body, as far as it is signed.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    /// All of it.
    Bytes(&'a [u8]),
    /// Not at all: only over TLS, and only where the service takes it (S3).
    Unsigned,
    /// In chunks that are not signed, with a checksum behind them.
    UnsignedTrailer,
}

/// Why a request cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// A header is no text.
    #[error("the header `{0}` is no text, and cannot be signed")]
    Header(HeaderName),
    /// The signer refuses it.
    #[error("the request cannot be signed")]
    Signer(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Signs a request on its way to the upstream, for what the client signed it for.
///
/// # Errors
/// In words, why it cannot be signed.
pub(super) fn outgoing(signing: &mut Signing<'_>, now: SystemTime) -> Result<(), String> {
    if presigned(signing.uri.query()) {
        return Err("a presigned address cannot be signed anew".to_owned());
    }
    let authorization = signing.headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let scope = authorization.and_then(super::scope::Scope::of_authorization);
    let scope = scope.ok_or("the request is not signed, so nobody knows for which service and region it is")?;
    let own = super::endpoints::host(&scope, None);
    let region = match signing.uri.host().zip(own) {
        Some((host, own)) if host == own => super::endpoints::region(&scope).to_owned(),
        _ => scope.region,
    };
    let asked = For { service: scope.signed_for, region };
    let hash = signing.headers.get("x-amz-content-sha256").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let payload = match &signing.body {
        _ if hash == UNSIGNED_TRAILER => Payload::UnsignedTrailer,
        _ if hash.starts_with("STREAMING-") => {
            return Err(format!("a body in chunks signed by the client (`{hash}`) cannot be signed anew"));
        }
        Some(bytes) => Payload::Bytes(bytes),
        None if asked.service == "s3" => Payload::Unsigned,
        None => return Err("the body is too long to be signed".to_owned()),
    };
    let (headers, _) = stripped(signing.headers, None);
    let url = signing.uri.to_string();
    let added = sign(signing.method.as_str(), &url, &headers, payload, &asked, signing.key, now);
    let added = added.map_err(|error| with_causes(&error))?;
    *signing.headers = headers;
    signing.headers.extend(added);
    Ok(())
}

/// Whether an address carries a signature, or parts of one.
pub(super) fn presigned(query: Option<&str>) -> bool {
    query.unwrap_or_default().split('&').any(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        SIGNED_QUERY.contains(&name.to_ascii_lowercase().as_str())
    })
}

/// What reaches the upstream: headers without a client's signature, and a query without that of a presigned address.
pub fn stripped(headers: &HeaderMap, query: Option<&str>) -> (HeaderMap, Option<String>) {
    let mut headers = headers.clone();
    for name in SIGNATURE {
        headers.remove(*name);
    }
    let own = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default().to_ascii_lowercase();
        !SIGNED_QUERY.contains(&name.as_str())
    };
    let query = query.map(|query| query.split('&').filter(own).collect::<Vec<_>>().join("&"));
    (headers, query.filter(|query| !query.is_empty()))
}

/// Parameters of a presigned address, in lower case.
const SIGNED_QUERY: &[&str] = &[
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-signedheaders",
    "x-amz-signature",
    "x-amz-security-token",
    "x-amz-content-sha256",
];

/// Signs a request that goes to `url`, with these headers and no others but `host`. Returns the headers to add.
///
/// # Errors
/// [`SignError`].
pub fn sign(
    method: &str,
    url: &str,
    headers: &HeaderMap,
    payload: Payload<'_>,
    asked: &For,
    key: &AccessKey,
    now: SystemTime,
) -> Result<HeaderMap, SignError> {
    let session = key.session.as_ref().map(|session| session.expose_secret().to_owned());
    let credentials = Credentials::new(key.id.clone(), key.secret.expose_secret(), session, None, "countersign");
    let identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(&asked.region)
        .name(&asked.service)
        .time(now)
        .settings(settings(&asked.service))
        .build()
        .map_err(|error| SignError::Signer(error.into()))?;
    let mut texts = Vec::new();
    for (name, value) in headers {
        texts.push((name.as_str(), value.to_str().map_err(|_| SignError::Header(name.clone()))?));
    }
    let body = match payload {
        Payload::Bytes(bytes) => SignableBody::Bytes(bytes),
        Payload::Unsigned => SignableBody::UnsignedPayload,
        Payload::UnsignedTrailer => SignableBody::StreamingUnsignedPayloadTrailer,
    };
    let request =
        SignableRequest::new(method, url, texts.into_iter(), body).map_err(|error| SignError::Signer(error.into()))?;
    let signed =
        aws_sigv4::http_request::sign(request, &params.into()).map_err(|error| SignError::Signer(error.into()))?;
    let (instructions, _) = signed.into_parts();
    let (added, _) = instructions.into_parts();
    added.into_iter().try_fold(HeaderMap::new(), |mut headers, header| {
        let name = HeaderName::from_static(header.name());
        let mut value = HeaderValue::from_str(header.value()).map_err(|error| SignError::Signer(error.into()))?;
        value.set_sensitive(header.sensitive() || name == http::header::AUTHORIZATION);
        headers.insert(name, value);
        Ok(headers)
    })
}

/// S3 takes paths as they are, and wants the body's hash in a header; the others encode a path once more.
fn settings(service: &str) -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.expires_in = None::<Duration>;
    settings.session_token_mode = SessionTokenMode::Include;
    if matches!(service, "s3" | "s3express" | "s3-outposts" | "s3-object-lambda") {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    }
    settings
}
