//! The agent's side: one HTTP/1.1 request a connection, as any client would send it, and its answer in lines.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use xtask::trouble::{Doing, Result};

/// Longer than the gateway holds a call.
const READ_TIMEOUT: Duration = Duration::from_secs(320);
const ANSWER_BYTES_MAX: u64 = 256 * 1024;

/// Where the agent asks, and its key.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) port: u16,
    pub(super) target: &'static str,
    pub(super) key: String,
}

/// A request, as the script writes it: `METHOD PATH [JSON without blanks] [reason]`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request<'a> {
    method: &'a str,
    path: &'a str,
    body: &'a str,
    reason: &'a str,
}

impl<'a> Request<'a> {
    pub(super) fn parse(asked: &'a str) -> Self {
        let (method, rest) = asked.split_once(' ').unwrap_or((asked, ""));
        let (path, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let (body, reason) = match rest.starts_with('{') {
            true => rest.split_once(' ').unwrap_or((rest, "")),
            false => ("", rest),
        };
        Self { method, path, body, reason }
    }

    /// As a person would write it down.
    pub(super) fn shown(&self, target: &str) -> String {
        let Self { method, path, body, reason } = self;
        let mut shown = format!("{method} /t/{target}{path}");
        if !body.is_empty() {
            shown.push_str(&format!("  {body}"));
        }
        if !reason.is_empty() {
            shown.push_str(&format!("  (Countersign-Reason: {reason})"));
        }
        shown
    }
}

impl Agent {
    /// Sends a request; [`answer`] reads what comes back.
    pub(super) fn send(&self, request: &Request<'_>) -> Result<TcpStream> {
        let Self { port, target, key } = self;
        let Request { method, path, body, reason } = request;
        let mut head = format!(
            "{method} /t/{target}{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n\
             Accept: application/json\r\nConnection: close\r\n"
        );
        if !reason.is_empty() {
            head.push_str(&format!("Countersign-Reason: {reason}\r\n"));
        }
        if !body.is_empty() {
            head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        }
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).doing("connecting to the gateway")?;
        stream.set_read_timeout(Some(READ_TIMEOUT)).doing("connecting to the gateway")?;
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).doing("asking the gateway")?;
        Ok(stream)
    }
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    head: String,
    body: String,
}

/// Reads an answer to its end.
pub(super) fn answer(stream: &mut TcpStream) -> Result<Answer> {
    let mut bytes = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes).doing("reading the answer")?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").doing("an answer that is not HTTP")?;
    let chunked = head.to_ascii_lowercase().contains("\r\ntransfer-encoding: chunked");
    let body = if chunked { unchunked(body) } else { body.to_owned() };
    Ok(Answer { head: head.to_owned(), body })
}

/// The pieces of a chunked body together (RFC 9112 §7.1).
fn unchunked(mut rest: &str) -> String {
    let mut whole = String::new();
    while let Some((size, behind)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16).unwrap_or(0);
        let Some((piece, behind)) = behind.split_at_checked(size).filter(|_| size > 0) else { break };
        whole.push_str(piece);
        rest = behind.strip_prefix("\r\n").unwrap_or(behind);
    }
    whole
}

impl Answer {
    /// Whether what was asked was done: 202 says that it waits.
    pub(super) fn ok(&self) -> bool {
        matches!(self.head.split(' ').nth(1), Some("200" | "201" | "204"))
    }

    /// The status line, then the body, laid out.
    pub(super) fn lines(&self) -> Vec<String> {
        let status = self.head.lines().next().unwrap_or_default().to_owned();
        let body = match serde_json::from_str::<Value>(&self.body) {
            Ok(Value::Array(rows)) => rows.iter().map(Value::to_string).collect::<Vec<_>>().join("\n"),
            Ok(value) => serde_json::to_string_pretty(&value).unwrap_or_default(),
            Err(_) => self.body.clone(),
        };
        std::iter::once(status).chain(body.lines().map(str::to_owned)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_from_the_script() {
        let check = |asked, method, path, body, reason| {
            assert_eq!(Request::parse(asked), Request { method, path, body, reason }, "{asked}");
        };
        check("GET /a", "GET", "/a", "", "");
        check("DELETE /a it is old", "DELETE", "/a", "", "it is old");
        check("PATCH /a {\"b\":1}", "PATCH", "/a", "{\"b\":1}", "");
        check("PATCH /a {\"b\":1} c d", "PATCH", "/a", "{\"b\":1}", "c d");
    }

    #[test]
    fn chunks_are_put_together() {
        assert_eq!(unchunked("3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"), "abcde");
        assert_eq!(unchunked("ff\r\nabc"), "");
    }
}
