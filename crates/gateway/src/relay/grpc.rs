//! Refusals as clients of gRPC read them: a status in headers that end the answer, over HTTP's own `200`.
//!
//! Such clients read no problem documents; of another status they tell its number alone. What waits for people is `UNAVAILABLE`,
//! after which a client sends the same again where it was told to retry. Deliberately absent: gRPC-Web, and the
//! meaning of messages, whose descriptions the gateway does not have.
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::dialect::Refused;
use crate::codes::Code;

const MEDIA: &str = "application/grpc";
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// The longest message: clients take 8 KiB of headers in all.
const MESSAGE_BYTES_MAX: usize = 2 * 1024;

/// Whether a request is a call of gRPC.
pub(super) fn speaks(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    media
        .and_then(|media| media.strip_prefix(MEDIA))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

/// A refusal.
pub(super) fn answer(refused: &Refused<'_>) -> Response<Vec<u8>> {
    let mut response = Response::new(Vec::new());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(STATUS, HeaderValue::from(status(refused.refusal.code)));
    if let Ok(message) = HeaderValue::from_str(&encoded(&message(refused))) {
        headers.insert(MESSAGE, message);
    }
    response
}

/// The number of a code: <https://grpc.io/docs/guides/status-codes/>. None says that something is absent or was done.
fn status(code: Code) -> u16 {
    const INVALID_ARGUMENT: u16 = 3;
    const PERMISSION_DENIED: u16 = 7;
    const RESOURCE_EXHAUSTED: u16 = 8;
    const FAILED_PRECONDITION: u16 = 9;
    const UNIMPLEMENTED: u16 = 12;
    const UNAVAILABLE: u16 = 14;
    const UNAUTHENTICATED: u16 = 16;
    match code.status() {
        StatusCode::BAD_REQUEST => INVALID_ARGUMENT,
        StatusCode::UNAUTHORIZED => UNAUTHENTICATED,
        StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => FAILED_PRECONDITION,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::TOO_MANY_REQUESTS => RESOURCE_EXHAUSTED,
        StatusCode::NOT_IMPLEMENTED => UNIMPLEMENTED,
        status if status.is_server_error() => UNAVAILABLE,
        _ => PERMISSION_DENIED,
    }
}

fn message(refused: &Refused<'_>) -> String {
    let Refused { refusal, waiting, .. } = *refused;
    let mut message = format!("{}: {}", refusal.code.name(), refusal.message);
    if let Some(hint) = &refusal.hint {
        message.push_str(&format!("; {hint}"));
    }
    if let Some(waiting) = waiting {
        message.push_str(&format!(" ({})", waiting.url));
    }
    message
}

/// Printable ASCII as it is, all else and `%` as `%XX` of its UTF-8.
fn encoded(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    for byte in message.bytes() {
        if text.len() >= MESSAGE_BYTES_MAX {
            break;
        }
        match byte {
            b' '..=b'~' if byte != b'%' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use countersign_core::action::ReviewId;

    use super::*;
    use crate::pipeline::Waiting;
    use crate::refusal::Refusal;

    fn check(code: Code, expected: &str) {
        let refusal = Refusal::new(code, "100 % \u{fc}ber").hint("ask");
        let refused = Refused { refusal: &refusal, waiting: None, action: None, head: None, preferred_async: false };
        let answer = answer(&refused);
        assert_eq!((answer.status(), answer.body().len()), (StatusCode::OK, 0));
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/grpc");
        assert_eq!(answer.headers()[STATUS], expected);
        assert_eq!(answer.headers()[MESSAGE], format!("{code}: 100 %25 %C3%BCber; ask"));
    }

    #[test]
    fn a_refusal_is_a_status_and_a_message() {
        check(Code::PolicyDenied, "7");
        check(Code::ReviewRejected, "7");
        check(Code::NotFound, "7");
        check(Code::Unauthenticated, "16");
        check(Code::HoldEnded, "14");
        check(Code::TooLarge, "8");
        check(Code::ApprovalVoid, "9");
        check(Code::ProtocolViolation, "3");
        check(Code::Unsupported, "12");
    }

    #[test]
    fn no_code_reads_as_done() {
        assert!(Code::ALL.iter().all(|code| !matches!(status(*code), 0 | 5 | 6)));
    }

    #[test]
    fn what_waits_has_its_link() {
        let refusal = Refusal::new(Code::HoldEnded, "it waits");
        let review = ReviewId::new("rev_1");
        let url = "http://localhost/reviews/rev_1".to_owned();
        let waiting = Waiting { review, url, hold_seconds: 50, expires_seconds: 1_800, suffices: vec![] };
        let refused =
            Refused { refusal: &refusal, waiting: Some(&waiting), action: None, head: None, preferred_async: false };
        assert_eq!(answer(&refused).headers()[MESSAGE], "hold_ended: it waits (http://localhost/reviews/rev_1)");
    }

    #[test]
    fn a_call_is_told_by_its_media_type() {
        for (media, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;x=1", true),
            ("application/grpc-web+proto", false),
            ("application/json", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media))]);
            assert_eq!(speaks(&headers), expected, "{media}");
        }
    }
}
