//! Which headers of a request reach the upstream, and which of an answer reach the client.
//!
//! Only what is listed is passed on (RFC 9110 §7.6.1 says what never may be). What would let a client speak in another's
//! name, or let two readers disagree about where a message ends, is refused: `Impersonate-*`, method overrides, a
//! `Connection` header that names others, a header that may stand once and stands twice.

use http::header::{
    ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CACHE_CONTROL, CONNECTION, CONTENT_DISPOSITION,
    CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, IF_UNMODIFIED_SINCE, PRAGMA, PROXY_AUTHENTICATE, RANGE, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderName};

use crate::codes::Code;
use crate::refusal::Refusal;

/// Headers that every target's requests keep, and that may stand once.
const ONCE: &[HeaderName] = &[
    CONTENT_DISPOSITION,
    CONTENT_LANGUAGE,
    CONTENT_TYPE,
    IF_MODIFIED_SINCE,
    IF_RANGE,
    IF_UNMODIFIED_SINCE,
    RANGE,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION,
    USER_AGENT,
];
/// Headers that every target's requests keep, and whose value is a list.
const LISTS: &[HeaderName] = &[
    ACCEPT,
    ACCEPT_CHARSET,
    ACCEPT_ENCODING,
    ACCEPT_LANGUAGE,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    IF_MATCH,
    IF_NONE_MATCH,
    PRAGMA,
    SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_PROTOCOL,
];
/// Headers without a constant that every target's requests keep.
const NAMED: &[&str] =
    &["idempotency-key", "accept-profile", "content-profile", "grpc-timeout", "grpc-encoding", "grpc-accept-encoding"];
/// What `kubectl exec` offers over SPDY, in a header for each version.
const OFFERS: &str = "x-stream-protocol-version";
/// Headers that ask for another method than the request line has.
const OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];
/// What a browser says of what it asks for.
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
/// What `Connection` may name: its own words, and what never gets further anyway.
const CONNECTION_OPTIONS: [&str; 6] = ["close", "keep-alive", "upgrade", "te", "http2-settings", "proxy-connection"];
/// Headers that belong to one connection (RFC 9110 §7.6.1).
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// What reaches the upstream of a request's headers, by name. `forwards` says which besides those that always do.
///
/// Their order says nothing (RFC 9110 §5.3), and clients in Go change it from one request to the next over HTTP/2: what was approved
/// is the same in any.
///
/// # Errors
/// [`Refusal`]: readers could disagree about them, or nobody may send them.
pub(super) fn of_request(headers: &HeaderMap, forwards: impl Fn(&HeaderName) -> bool) -> Result<HeaderMap, Refusal> {
    check(headers)?;
    let mut kept = HeaderMap::with_capacity(headers.len());
    let mut names: Vec<&HeaderName> = headers.keys().collect();
    names.sort_unstable_by_key(|name| name.as_str());
    for name in names {
        let list = LISTS.contains(name) || (name.as_str() == OFFERS && forwards(name));
        if !list && !ONCE.contains(name) && !NAMED.contains(&name.as_str()) && !forwards(name) {
            continue;
        }
        let mut values = headers.get_all(name).iter();
        let first = values.next();
        if !list && values.next().is_some() {
            return Err(ambiguous(format!("the header `{name}` stands twice")));
        }
        match list {
            true => headers.get_all(name).iter().for_each(|value| {
                kept.append(name, value.clone());
            }),
            false => kept.extend(first.map(|value| (name.clone(), value.clone()))),
        }
    }
    Ok(kept)
}

fn check(headers: &HeaderMap) -> Result<(), Refusal> {
    for name in [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE] {
        if headers.get_all(&name).iter().count() > 1 {
            return Err(ambiguous(format!("the header `{name}` stands twice")));
        }
    }
    if headers.contains_key(CONTENT_LENGTH) && headers.contains_key(TRANSFER_ENCODING) {
        return Err(ambiguous("the request has both `Content-Length` and `Transfer-Encoding`".to_owned()));
    }
    for value in headers.get_all(CONNECTION) {
        let text = value.to_str().map_err(|_| ambiguous("the header `Connection` is no text".to_owned()))?;
        for option in text.split(',').map(str::trim).filter(|option| !option.is_empty()) {
            if !CONNECTION_OPTIONS.iter().any(|known| option.eq_ignore_ascii_case(known)) {
                return Err(ambiguous(format!(
                    "`Connection` names the header `{option}`, which would be dropped on the way"
                )));
            }
        }
    }
    if headers.get_all(UPGRADE).iter().any(|value| value.as_bytes().to_ascii_lowercase().starts_with(b"h2c")) {
        let message = "a connection does not go on in HTTP/2 in the middle: begin with it";
        return Err(Refusal::new(Code::Unsupported, message));
    }
    // what a browser opens as a page would be one of this host's, beside the console
    let page =
        |name: HeaderName, kinds: &[&[u8]]| headers.get(name).is_some_and(|kind| kinds.contains(&kind.as_bytes()));
    let opened = page(SEC_FETCH_MODE, &[b"navigate", b"nested-navigate"]);
    if opened || page(SEC_FETCH_DEST, &[b"script", b"worker", b"sharedworker", b"serviceworker", b"iframe", b"object"])
    {
        return Err(Refusal::new(Code::CrossSite, "answers of targets are not opened as pages in a browser"));
    }
    for name in headers.keys().map(HeaderName::as_str) {
        if OVERRIDES.contains(&name) {
            return Err(ambiguous(format!("the header `{name}` asks for another method than the request's")));
        }
        if name.starts_with("impersonate-") {
            let message = "the gateway's requests are not made in another's name (`Impersonate-*`)";
            return Err(Refusal::new(Code::Unsupported, message).hint("leave out `--as`, `--as-group` and `--as-uid`"));
        }
    }
    Ok(())
}

fn ambiguous(message: String) -> Refusal {
    Refusal::new(Code::ProtocolViolation, message)
        .hint("servers on the way could read it differently: send it once, and plainly")
}

/// What reaches the client of an answer's headers: all but those of the connection, and the upstream's own sessions.
pub(super) fn of_answer(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .map(|option| option.trim().to_ascii_lowercase())
        .collect();
    let mut kept = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let of_connection = HOP_BY_HOP.contains(&name.as_str()) || named.iter().any(|named| named == name.as_str());
        // a session of the upstream's would be a credential, and belongs to the gateway
        if !of_connection && *name != SET_COOKIE && *name != PROXY_AUTHENTICATE && *name != TRAILER {
            kept.append(name, value.clone());
        }
    }
    kept
}

/// The protocol that a request asks to go on in, where it asks for one in the way of HTTP/1.1.
pub(super) fn upgrade(headers: &HeaderMap) -> Option<&http::HeaderValue> {
    let asked = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let asked = asked.flat_map(|text| text.split(',')).any(|option| option.trim().eq_ignore_ascii_case("upgrade"));
    headers.get(UPGRADE).filter(|_| asked)
}

/// Whether trailers are wanted, which gRPC needs.
pub(super) fn wants_trailers(headers: &HeaderMap) -> bool {
    headers.get(TE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"trailers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().expect("a value"));
        }
        map
    }

    fn check(given: &[(&'static str, &'static str)], expected: Option<&[&str]>) {
        let kept = of_request(&map(given), |name| name == "x-own").ok();
        let names = kept.map(|kept| kept.keys().map(ToString::to_string).collect::<Vec<_>>());
        let expected = expected.map(|names| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(names, expected, "{given:?}");
    }

    #[test]
    fn only_what_is_listed_is_passed_on() {
        check(&[("accept", "a"), ("accept", "b"), ("x-own", "1")], Some(&["accept", "x-own"]));
        check(&[("x-own", "1"), ("user-agent", "u"), ("accept", "a")], Some(&["accept", "user-agent", "x-own"]));
        let dropped = [
            "authorization",
            "cookie",
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-real-ip",
            "via",
            "traceparent",
            "kubectl-session",
            "kubectl-command",
            "x-remote-user",
            "x-amz-security-token",
            "proxy-authorization",
            "te",
            "expect",
            "origin",
            "referer",
        ];
        for name in dropped {
            check(&[(name, "x"), ("accept", "a")], Some(&["accept"]));
        }
    }

    #[test]
    fn what_readers_disagree_about_is_refused() {
        check(&[("content-type", "a"), ("content-type", "a")], None);
        check(&[("x-own", "1"), ("x-own", "2")], None);
        check(&[("host", "a"), ("host", "b")], None);
        check(&[("content-length", "1"), ("transfer-encoding", "chunked")], None);
        check(&[("connection", "close, x-own"), ("x-own", "1")], None);
        check(&[("connection", "authorization")], None);
        check(&[("connection", "Keep-Alive, Upgrade"), ("upgrade", "websocket")], Some(&[]));
        check(&[("connection", "upgrade, http2-settings"), ("upgrade", "h2c")], None);
        check(&[("sec-fetch-mode", "navigate")], None);
        check(&[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "serviceworker")], None);
        check(&[("sec-fetch-mode", "cors"), ("accept", "a")], Some(&["accept"]));
        for name in ["x-http-method-override", "impersonate-user", "impersonate-extra-scopes"] {
            check(&[(name, "DELETE")], None);
        }
    }

    #[test]
    fn an_answer_loses_what_belongs_to_the_connection() {
        let answer = map(&[
            ("connection", "x-hop, close"),
            ("x-hop", "1"),
            ("keep-alive", "5"),
            ("transfer-encoding", "chunked"),
            ("set-cookie", "session=1"),
            ("etag", "1"),
            ("link", "a"),
            ("link", "b"),
        ]);
        let kept = of_answer(&answer);
        let names: Vec<&str> = kept.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["etag", "link"]);
        assert_eq!(kept.get_all("link").iter().count(), 2);
    }
}
