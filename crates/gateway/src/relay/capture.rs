//! A captured request: its head, its body as far as it was read, and the payload that binds both.
//!
//! The payload is all that reaches the upstream except its credential: method, path and query as sent, every header that is
//! passed on, and the body; of a spooled body its length and hash. A body that streams through without a review is no part
//! of it: that is one permit for one stream, whose length and hash are in the outcome.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::SEC_WEBSOCKET_KEY;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use zeroize::Zeroizing;

use super::dialect::{Content, Dialect};
use super::head::Head;
use crate::codes::Code;
use crate::refusal::Refusal;
use crate::spool::{Digest, Spool};

/// How long the next piece of a body may take whose sender may be waiting for an answer.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// What a request carries.
#[derive(Debug)]
pub(super) enum Carried {
    /// All of it was read.
    Whole(Bytes),
    /// It is longer than what is read: its beginning, and the rest.
    Stream(Bytes, Box<Incoming>),
    /// All of it waits on disk.
    Spooled(Box<Spool>),
    /// It was handed on.
    Gone,
}

impl Carried {
    /// What is known of it.
    fn content(&self) -> Content<'_> {
        match self {
            Carried::Whole(bytes) => Content::Whole(bytes),
            Carried::Stream(..) | Carried::Spooled(_) | Carried::Gone => Content::Unread,
        }
    }

    /// The same without what the client wrapped it in.
    ///
    /// # Errors
    /// [`Refusal`]: the dialect does not take the request.
    pub(super) fn admitted(self, dialect: &dyn Dialect, head: &mut Head) -> Result<Self, Refusal> {
        let plain = dialect.admit(head, self.content())?;
        Ok(plain.map_or(self, |plain| Carried::Whole(plain.into())))
    }
}

/// A captured request.
#[derive(Debug)]
pub(super) struct Captured {
    pub(super) head: Head,
    pub(super) carried: Carried,
    /// The protocol that it asks to go on in.
    pub(super) upgrade: Option<HeaderValue>,
    /// Whether the client wants trailers.
    pub(super) trailers: bool,
}

/// What a payload says is sent.
#[derive(Clone)]
pub(super) struct Outgoing {
    pub(super) method: Method,
    /// Path and query.
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bound,
}

/// How a payload binds the body.
#[derive(Clone)]
pub(super) enum Bound {
    Whole(Bytes),
    Spooled(Digest),
    Stream,
}

const WHOLE: &str = "whole\n";
const SPOOLED: &str = "spooled\n";
const STREAM: &str = "stream\n";

impl Captured {
    /// What is known of the body.
    pub(super) fn content(&self) -> Content<'_> {
        self.carried.content()
    }

    /// The payload.
    pub(super) fn payload(&self) -> Vec<u8> {
        let Head { method, headers, .. } = &self.head;
        let body = self.content().bytes().unwrap_or_default();
        let mut payload = Vec::with_capacity(256 + headers.len() * 48 + body.len());
        payload.extend_from_slice(match &self.carried {
            Carried::Whole(_) => WHOLE.as_bytes(),
            Carried::Spooled(_) => SPOOLED.as_bytes(),
            Carried::Stream(..) | Carried::Gone => STREAM.as_bytes(),
        });
        let mut line = |parts: &[&[u8]]| {
            parts.iter().for_each(|part| payload.extend_from_slice(part));
            payload.push(b'\n');
        };
        line(&[method.as_str().as_bytes(), b" ", self.head.target().as_bytes()]);
        // a WebSocket's key is new each time and says nothing: it goes along, and is not bound
        for (name, value) in headers.iter().filter(|(name, _)| *name != SEC_WEBSOCKET_KEY) {
            line(&[name.as_str().as_bytes(), b":", value.as_bytes()]);
        }
        if let Some(upgrade) = &self.upgrade {
            line(&[b"upgrade:", upgrade.as_bytes()]);
        }
        line(&[]);
        if let Carried::Spooled(spool) = &self.carried {
            let Digest { bytes, sha256 } = spool.digest();
            payload.extend_from_slice(&bytes.to_be_bytes());
            payload.extend_from_slice(&sha256);
        }
        payload.extend_from_slice(body);
        payload
    }
}

/// What [`Captured::payload`] was made of.
pub(super) fn open(payload: Zeroizing<Vec<u8>>) -> Option<Outgoing> {
    let all = Bytes::from_owner(payload);
    let mut at = 0;
    let mut line = || -> Option<Bytes> {
        let rest = all.get(at..)?;
        let length = rest.iter().position(|byte| *byte == b'\n')?;
        let line = all.slice(at..at + length);
        at += length + 1;
        Some(line)
    };
    let kind = line()?;
    let request = line()?;
    let (method, target) = std::str::from_utf8(&request).ok()?.split_once(' ')?;
    let mut headers = HeaderMap::new();
    loop {
        let field = line()?;
        if field.is_empty() {
            break;
        }
        let colon = field.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(field.get(..colon)?).ok()?;
        headers.append(name, HeaderValue::from_maybe_shared(field.slice(colon + 1..)).ok()?);
    }
    let rest = all.slice(at..);
    let body = match std::str::from_utf8(&kind).ok()? {
        "whole" => Bound::Whole(rest),
        "stream" if rest.is_empty() => Bound::Stream,
        "spooled" => {
            let (bytes, sha256) = rest.split_first_chunk::<8>()?;
            Bound::Spooled(Digest { bytes: u64::from_be_bytes(*bytes), sha256: sha256.try_into().ok()? })
        }
        _ => return None,
    };
    Some(Outgoing { method: method.parse().ok()?, target: target.to_owned(), headers, body })
}

/// Reads a body, as far as `bytes_max`; one that is longer goes on as a stream. One that `talks`, so that its next piece may
/// depend on the answer, is read as long as its pieces come at once.
///
/// # Errors
/// [`Refusal`]: it broke off.
pub(super) async fn carried(mut body: Incoming, bytes_max: u64, talks: bool) -> Result<Carried, Refusal> {
    if body.is_end_stream() {
        return Ok(Carried::Whole(Bytes::new()));
    }
    if body.size_hint().lower() > bytes_max {
        return Ok(Carried::Stream(Bytes::new(), Box::new(body)));
    }
    let mut first = Bytes::new();
    let mut read = BytesMut::new();
    loop {
        let begun = talks && !(first.is_empty() && read.is_empty());
        let frame = match begun {
            true => tokio::time::timeout(PAUSE_MAX, body.frame()).await,
            false => Ok(body.frame().await),
        };
        let Ok(frame) = frame else {
            let begun = if read.is_empty() { first } else { read.freeze() };
            return Ok(Carried::Stream(begun, Box::new(body)));
        };
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| broken())?;
        let Ok(data) = frame.into_data() else { continue }; // trailers of a request have no meaning here
        if first.is_empty() && read.is_empty() {
            first = data; // most bodies come in one piece
        } else {
            if read.is_empty() {
                read.extend_from_slice(&first);
            }
            read.extend_from_slice(&data);
        }
        if first.len().max(read.len()) as u64 > bytes_max {
            let begun = if read.is_empty() { first } else { read.freeze() };
            return Ok(Carried::Stream(begun, Box::new(body)));
        }
    }
    Ok(Carried::Whole(if read.is_empty() { first } else { read.freeze() }))
}

/// The body broke off.
pub(super) fn broken() -> Refusal {
    Refusal::new(Code::Cancelled, "the request's body broke off")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_gives_its_parts_back() {
        let mut headers = HeaderMap::new();
        headers.append("accept", HeaderValue::from_static("a: b"));
        headers.append("accept", HeaderValue::from_bytes(b"caf\xe9").expect("a value"));
        headers.append("content-type", HeaderValue::from_static("text/plain"));
        let head = Head::new(Method::POST, "/a%20b", Some("c=d&e"), headers.clone()).expect("a head");
        let carried = Carried::Whole(Bytes::from_static(b"x: y\n\nbody\n"));
        let captured = Captured { head, carried, upgrade: None, trailers: false };
        let outgoing = open(Zeroizing::new(captured.payload())).expect("its own");
        assert_eq!((outgoing.method, outgoing.target.as_str()), (Method::POST, "/a%20b?c=d&e"));
        assert_eq!(outgoing.headers, headers);
        assert!(matches!(outgoing.body, Bound::Whole(bytes) if bytes == b"x: y\n\nbody\n"[..]));
        for broken in [&b""[..], b"whole\n", b"whole\nGET /\n", b"other\nGET /\n\n", b"spooled\nGET /\n\nshort"] {
            assert!(open(Zeroizing::new(broken.to_vec())).is_none());
        }
    }

    #[test]
    fn every_part_is_bound() {
        let payload = |method: Method, query: Option<&str>, header: &'static str, body: &'static [u8]| {
            let headers = HeaderMap::from_iter([(http::header::ACCEPT, HeaderValue::from_static(header))]);
            let head = Head::new(method, "/a", query, headers).expect("a head");
            let carried = Carried::Whole(Bytes::from_static(body));
            Captured { head, carried, upgrade: None, trailers: false }.payload()
        };
        let one = payload(Method::GET, None, "a", b"b");
        for other in [
            payload(Method::PUT, None, "a", b"b"),
            payload(Method::GET, Some(""), "a", b"b"),
            payload(Method::GET, None, "b", b"b"),
            payload(Method::GET, None, "a", b"c"),
        ] {
            assert_ne!(one, other);
        }
    }
}
