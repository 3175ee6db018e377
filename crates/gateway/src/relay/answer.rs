//! The gateway's own answers: refusals as problems (RFC 9457), and a call whose hold ended as `202 Accepted`.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::dialect::Refused;
use crate::codes::Code;
use crate::refusal::Refusal;

/// How long a client should wait before it asks again about a review, in seconds.
pub const RETRY_SECONDS: u32 = 5;
const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// A call whose review is still open.
#[derive(Serialize)]
struct Accepted<'a> {
    status: &'static str,
    code: &'static str,
    review: &'a str,
    /// Where people decide.
    review_url: &'a str,
    /// Where the client asks what became of it.
    action_url: &'a str,
    expires_in_seconds: i64,
    detail: &'a str,
    next: &'static str,
}

/// A refusal (RFC 9457).
#[derive(Debug, Serialize)]
pub struct Problem<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    review: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    policies: Vec<Policy<'a>>,
}

#[derive(Debug, Serialize)]
struct Policy<'a> {
    id: &'a str,
    text: &'a str,
}

impl<'a> Problem<'a> {
    /// The members of a refusal that is answered with this status.
    pub fn of(refusal: &'a Refusal, status: StatusCode) -> Self {
        Self {
            kind: format!("urn:countersign:error:{}", refusal.code),
            title: refusal.code.title(),
            status: status.as_u16(),
            detail: &refusal.message,
            code: refusal.code.name(),
            hint: refusal.hint.as_deref(),
            review: refusal.review.as_ref().map(|review| review.as_str()),
            policies: refusal.policies.iter().map(|note| Policy { id: &note.id, text: &note.text }).collect(),
        }
    }
}

/// A refusal in the words of plain HTTP.
pub fn problem(refused: Refused<'_>) -> Response<Vec<u8>> {
    match (refused.refusal.code, refused.waiting, refused.action) {
        (Code::HoldEnded, Some(_), Some(_)) => accepted(refused),
        _ => refusal(refused),
    }
}

fn accepted(refused: Refused<'_>) -> Response<Vec<u8>> {
    let (Some(waiting), Some(action_url)) = (refused.waiting, refused.action) else { return refusal(refused) };
    let body = Accepted {
        status: "waiting",
        code: Code::HoldEnded.name(),
        review: waiting.review.as_str(),
        review_url: &waiting.url,
        action_url,
        expires_in_seconds: waiting.expires_seconds,
        detail: &refused.refusal.message,
        next: "nothing has run; ask `action_url` until it is approved, then send the same request again: it runs at once",
    };
    let mut response = json(StatusCode::ACCEPTED, "application/json", &body);
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
    if let Ok(location) = HeaderValue::from_str(action_url) {
        headers.insert(LOCATION, location);
    }
    if refused.preferred_async {
        headers.insert(PREFERENCE_APPLIED, HeaderValue::from_static("respond-async"));
    }
    response
}

fn refusal(refused: Refused<'_>) -> Response<Vec<u8>> {
    let refusal = refused.refusal;
    let status = refusal.code.status();
    let mut response = json(status, "application/problem+json", &Problem::of(refusal, status));
    for_clients(response.headers_mut(), status);
    response
}

/// Headers that clients act upon.
fn for_clients(headers: &mut HeaderMap, status: StatusCode) {
    match status {
        StatusCode::UNAUTHORIZED => {
            // both, so that clients that only know one of them ask their user
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"countersign\""));
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"countersign\""));
        }
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
        }
        _ => {}
    }
}

/// An answer of JSON that says why something was refused, with what clients act upon in its headers.
pub fn refusing<T: Serialize>(status: StatusCode, body: &T) -> Response<Vec<u8>> {
    let mut response = json(status, "application/json", body);
    for_clients(response.headers_mut(), status);
    response
}

fn json<T: Serialize>(status: StatusCode, media: &'static str, body: &T) -> Response<Vec<u8>> {
    let body = serde_json::to_vec(body).unwrap_or_default(); // plain texts and numbers always serialize
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What a client prefers (RFC 7240): to be told at once that it has to wait, or after so many seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Preference {
    pub(super) respond_async: bool,
    wait_seconds: Option<u32>,
}

impl Preference {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        let texts = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
        for preference in texts.flat_map(|text| text.split(',')) {
            let preference = preference.split(';').next().unwrap_or_default();
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "respond-async" => found.respond_async = true,
                "wait" => found.wait_seconds = value.trim().trim_matches('"').parse().ok(),
                _ => {}
            }
        }
        found
    }

    /// What is left of the preferences for the upstream.
    pub(super) fn rest(headers: &HeaderMap) -> Option<HeaderValue> {
        let texts = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
        let others = texts.flat_map(|text| text.split(',')).map(str::trim).filter(|preference| {
            let name = preference.split([';', '=']).next().unwrap_or_default().trim();
            !name.is_empty() && !name.eq_ignore_ascii_case("respond-async") && !name.eq_ignore_ascii_case("wait")
        });
        let others = others.collect::<Vec<_>>().join(", ");
        HeaderValue::from_str(&others).ok().filter(|value| !value.is_empty())
    }

    /// How long the call hangs at most, in seconds.
    pub(super) fn hold_seconds_max(self) -> u32 {
        match (self.respond_async, self.wait_seconds) {
            (_, Some(seconds)) => seconds,
            (true, None) => 0,
            (false, None) => u32::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[&'static str], expected: u32) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("prefer", HeaderValue::from_static(value));
        }
        assert_eq!(Preference::of(&headers).hold_seconds_max(), expected, "{values:?}");
    }

    #[test]
    fn preferences_shorten_the_wait() {
        check(&[], u32::MAX);
        check(&["return=minimal"], u32::MAX);
        check(&["respond-async"], 0);
        check(&["Respond-Async, wait=10"], 10);
        check(&["respond-async", "wait=\"7\"; foo"], 7);
        check(&["wait=x"], u32::MAX);
        let headers = HeaderMap::from_iter([(
            HeaderName::from_static("prefer"),
            HeaderValue::from_static("respond-async, return=minimal; x=1 , wait=3,"),
        )]);
        assert_eq!(Preference::rest(&headers), Some(HeaderValue::from_static("return=minimal; x=1")));
    }
}
