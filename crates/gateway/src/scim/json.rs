//! Bodies and values: JSON whose attribute names have no case, and what clients write for a boolean.

use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderMap};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use serde_json::{Map, Value};

use super::Shared;
use super::refusal::Refusal;

/// The media type of RFC 7644 §3.1.
pub(super) const MEDIA_TYPE: &str = "application/scim+json";
/// The largest body: 256 KiB, which is a group of about 3,000 members at once.
pub(super) const BODY_BYTES_MAX: usize = 256 * 1024;
/// The longest text of an attribute, in bytes.
const TEXT_BYTES_MAX: usize = 256;

/// An answer.
pub(super) struct Scim(pub(super) Value);

impl IntoResponse for Scim {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, MEDIA_TYPE)], self.0.to_string()).into_response()
    }
}

/// A body: one JSON object.
pub(super) struct Body(pub(super) Map<String, Value>);

impl FromRequest<Shared> for Body {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &Shared) -> Result<Self, Refusal> {
        if !is_json(request.headers()) {
            let detail = format!("send the body as `Content-Type: {MEDIA_TYPE}`");
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let mut pieces = request.into_body().into_data_stream();
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| Refusal::syntax("the body broke off"))?;
            if bytes.len() + piece.len() > BODY_BYTES_MAX {
                let detail = format!("a body has at most {BODY_BYTES_MAX} bytes");
                return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
            }
            bytes.extend_from_slice(&piece);
        }
        let body = serde_json::from_slice(&bytes);
        body.map(Self).map_err(|error| Refusal::syntax(format!("the body is no JSON object: {error}")))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    media.eq_ignore_ascii_case(MEDIA_TYPE) || media.eq_ignore_ascii_case("application/json")
}

/// The value of an attribute; `null` is none (RFC 7643 §2.5).
pub(super) fn get<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let found = object.get(name).or_else(|| {
        let mut pairs = object.iter();
        pairs.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    });
    found.filter(|value| !value.is_null())
}

/// Sets an attribute, whatever the case it was written in before.
pub(super) fn set(object: &mut Map<String, Value>, name: &str, value: Value) {
    unset(object, name);
    object.insert(name.to_owned(), value);
}

/// Removes an attribute.
pub(super) fn unset(object: &mut Map<String, Value>, name: &str) {
    object.retain(|key, _| !key.eq_ignore_ascii_case(name));
}

/// A short text without control characters; an empty one is none.
pub(super) fn text(object: &Map<String, Value>, name: &str) -> Result<Option<String>, Refusal> {
    let Some(value) = get(object, name) else { return Ok(None) };
    let text = value.as_str().ok_or_else(|| Refusal::value(format!("`{name}` is no text")))?.trim();
    if text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(Refusal::value(format!("`{name}` has more than {TEXT_BYTES_MAX} bytes, or control characters")));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// A boolean, or the text that Entra ID sends for one.
pub(super) fn boolean(object: &Map<String, Value>, name: &str) -> Result<Option<bool>, Refusal> {
    match get(object, name) {
        None => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
        Some(_) => Err(Refusal::value(format!("`{name}` is neither `true` nor `false`"))),
    }
}

/// The objects of a multi-valued attribute: a list, or one alone.
pub(super) fn objects<'a>(
    object: &'a Map<String, Value>,
    name: &str,
    max: usize,
) -> Result<Vec<&'a Map<String, Value>>, Refusal> {
    let listed = match get(object, name) {
        None => &[],
        Some(Value::Array(list)) => list.as_slice(),
        Some(alone) => std::slice::from_ref(alone),
    };
    if listed.len() > max {
        return Err(Refusal::too_many(format!("`{name}` has more than {max} values")));
    }
    let parsed = listed.iter().map(Value::as_object).collect::<Option<Vec<_>>>();
    parsed.ok_or_else(|| Refusal::value(format!("`{name}` has values that are no objects")))
}
