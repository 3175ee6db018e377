//! What each target does with its input, apart from what drives it: libFuzzer here, and a plain test over the seeds in the
//! gateway's own tests (`crates/gateway/tests/fuzz_bodies.rs`), which compiles these files by path.

pub mod aws_describe;
pub mod http_describe;
pub mod json_values;
pub mod k8s_describe;
pub mod pg_describe;
pub mod pg_startup;
pub mod pg_wire_backend;
pub mod pg_wire_frontend;
pub mod policy_load;
pub mod record_leaf;
pub mod tlog_note;

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::relay::head::Head;
use crate::wire::frame::{Scan, Scanner, next_frame};
use crate::wire::{Frame, KindSet, Limits, WireError};

/// Takes frames out of a buffer until it is empty, unfinished or wrong. What was taken writes back to what it was.
///
/// # Panics
/// Frames written again are not the bytes they were read from.
pub fn frames(data: &[u8], limits: &Limits) -> Vec<Frame> {
    let mut buf = BytesMut::from(data);
    let mut frames = Vec::new();
    let mut again = BytesMut::new();
    while let Ok(Some(frame)) = next_frame(&mut buf, limits) {
        frame.write(&mut again);
        frames.push(frame);
    }
    assert_eq!(&data[..again.len()], &again[..], "a frame writes back to what it was");
    frames
}

/// Scans the same bytes, arriving in pieces of `step`, as the relay does; no byte is lost, added or changed.
///
/// # Panics
/// What the scanner lets through is not a prefix of what came.
pub fn relay(data: &[u8], limits: Limits, pass: KindSet, step: usize) -> Result<Vec<u8>, WireError> {
    let mut scanner = Scanner::new(limits);
    let (mut out, mut at, mut arrived) = (Vec::new(), 0, 0);
    while arrived < data.len() {
        arrived = data.len().min(arrived + step.max(1));
        while at < arrived {
            let taken = match scanner.scan(&data[at..arrived], pass)? {
                Scan::Run(run) => run.bytes,
                Scan::Stop(frame) => frame.raw,
                Scan::Need(_) => break,
            };
            assert!(!taken.is_empty(), "the scanner moves on");
            out.extend_from_slice(taken);
            at += taken.len();
        }
    }
    assert_eq!(&data[..out.len()], &out[..], "what is relayed is what came");
    Ok(out)
}

/// A request as the seeds have it: `METHOD TARGET`, a line for each header, an empty line, and the body.
pub fn request(data: &[u8]) -> Option<(Head, &[u8])> {
    let mut rest = data;
    let mut line = || -> Option<&str> {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let (line, behind) = rest.split_at(end);
        rest = &behind[1..];
        std::str::from_utf8(line).ok()
    };
    let (method, target) = line()?.split_once(' ')?;
    let mut headers = HeaderMap::new();
    while let Some((name, value)) = line()?.split_once(": ") {
        headers.append(name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value).ok()?);
    }
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    Some((Head::new(Method::from_bytes(method.as_bytes()).ok()?, path, query, headers).ok()?, rest))
}
