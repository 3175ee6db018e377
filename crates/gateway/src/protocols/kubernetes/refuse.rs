//! A refusal as the API server would say it: a `Status`, which `kubectl` prints and retries by.
//!
//! A client draws conclusions from the number. `404` and `410` mean that an object is gone, so that `apply` would create it,
//! `delete` and `wait --for=delete` would end well; `409` means that it should read again and send another patch. None of
//! them is ever true of a refusal, so they become `403`. `429` with `Retry-After` makes clients send the same again, which
//! is how a request that waits for people goes on once they have approved.
//! <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/>

use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use crate::codes::Code;
use crate::relay::RETRY_SECONDS;
use crate::relay::dialect::Refused;

/// The answer to a refusal, or to a request whose review is still open.
pub fn answer(refused: &Refused<'_>) -> Response<Vec<u8>> {
    let waits = refused.refusal.code == Code::HoldEnded;
    let status = if waits { StatusCode::TOO_MANY_REQUESTS } else { harmless(refused.refusal.code.status()) };
    let again = status == StatusCode::TOO_MANY_REQUESTS;
    let body = body(refused, status, again);
    let mut response = Response::new(body.to_string().into_bytes());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if again {
        headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
    }
    response
}

fn body(refused: &Refused<'_>, status: StatusCode, again: bool) -> Value {
    let Refused { refusal, waiting, .. } = *refused;
    let mut message = format!("countersign: {}", refusal.message);
    let mut causes = vec![cause("code", refusal.code.name())];
    if let Some(hint) = &refusal.hint {
        message.push_str(&format!("; {hint}"));
        causes.push(cause("hint", hint));
    }
    if let Some(review) = refusal.review.as_ref().or(waiting.map(|waiting| &waiting.review)) {
        causes.push(cause("review", review.as_str()));
    }
    if let Some(waiting) = waiting {
        message.push_str(&format!(" ({})", waiting.url));
        causes.push(cause("link", &waiting.url));
    }
    causes.extend(refusal.policies.iter().map(|policy| cause("policy", &policy.id)));
    let mut details = json!({ "group": "countersign", "causes": causes });
    if again {
        details["retryAfterSeconds"] = json!(RETRY_SECONDS);
    }
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason(status),
        "details": details,
        "code": status.as_u16(),
    })
}

/// The number, where a client draws no wrong conclusion from it.
fn harmless(status: StatusCode) -> StatusCode {
    match status.as_u16() {
        400 | 401 | 403 | 413 | 429 | 500 | 501 | 502 | 503 => status,
        504 => StatusCode::SERVICE_UNAVAILABLE,
        505..=599 => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::FORBIDDEN,
    }
}

/// The API machinery's word for a number.
fn reason(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "BadRequest",
        401 => "Unauthorized",
        413 => "RequestEntityTooLarge",
        429 => "TooManyRequests",
        500..=502 => "InternalError",
        503 => "ServiceUnavailable",
        _ => "Forbidden",
    }
}

fn cause(field: &str, message: &str) -> Value {
    json!({ "reason": format!("Countersign{}", capital(field)), "field": field, "message": message })
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_ascii_uppercase().to_string() + chars.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use countersign_core::action::ReviewId;

    use super::*;
    use crate::pipeline::Waiting;
    use crate::refusal::Refusal;

    fn answered(code: Code) -> (Response<Vec<u8>>, Value) {
        let refusal = Refusal::new(code, "it waits").hint("ask again");
        let url = "http://localhost/reviews/rev_1".to_owned();
        let review = ReviewId::new("rev_1");
        let waiting = Waiting { review, url, hold_seconds: 50, expires_seconds: 1_800, suffices: vec![] };
        let refused =
            Refused { refusal: &refusal, waiting: Some(&waiting), action: None, head: None, preferred_async: false };
        let response = answer(&refused);
        let body = serde_json::from_slice(response.body()).unwrap();
        (response, body)
    }

    #[test]
    fn no_number_is_taken_for_success_or_absence() {
        for status in 100..=999 {
            let harmless = harmless(StatusCode::from_u16(status).unwrap());
            assert!(harmless.is_client_error() || harmless.is_server_error(), "{status}");
            assert!(![404, 405, 409, 410].contains(&harmless.as_u16()), "{status}");
        }
    }

    #[test]
    fn what_waits_is_asked_again() {
        let (response, body) = answered(Code::HoldEnded);
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[RETRY_AFTER], "5");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        assert_eq!((body["kind"].as_str(), body["reason"].as_str()), (Some("Status"), Some("TooManyRequests")));
        assert_eq!(body["details"]["retryAfterSeconds"], 5);
        assert_eq!(body["message"], "countersign: it waits; ask again (http://localhost/reviews/rev_1)");
        assert_eq!(body["details"]["causes"][2]["message"], "rev_1");
    }

    #[test]
    fn every_code_is_an_answer() {
        for code in Code::ALL {
            let (response, body) = answered(*code);
            assert_eq!(body["code"], response.status().as_u16());
            assert_eq!(body["status"], "Failure");
            assert_eq!(body["details"]["causes"][0]["message"], code.name());
            assert_eq!(response.headers().contains_key(RETRY_AFTER), response.status() == 429, "{code}");
        }
    }
}
