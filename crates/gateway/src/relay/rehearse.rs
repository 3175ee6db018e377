//! What a request would change, asked of the upstream beforehand: the object as it stands, and what a rehearsal answers.
//!
//! Both questions are the gateway's own (design: `Probe`): the dialect says which of them have no effect. Their answers are
//! bounded in time and size; where one cannot be had, the impact is not known, and why is said.

use std::time::Duration;

use http::header::{ACCEPT, ACCEPT_ENCODING};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt as _, Limited};

use super::body::Sending;
use super::capture::{Bound, Captured, Outgoing};
use super::dialect::{Rehearsal, Rehearsed};
use super::upstream::{Extras, Upstream};
use crate::ports::Vault;

/// How long both questions may take together.
const TIME_MAX: Duration = Duration::from_secs(10);
/// The largest object: what API servers keep, 1.5 MiB, with room for its other form.
const OBJECT_BYTES_MAX: usize = 4 << 20;
/// How much of an answer's own words is told.
const WORDS_CHARS_MAX: usize = 300;

/// Asks.
///
/// # Errors
/// Why it is not known, in words.
pub(super) async fn rehearse(
    upstream: &Upstream,
    vault: &dyn Vault,
    captured: &Captured,
    rehearsal: &Rehearsal,
) -> Result<Rehearsed, String> {
    let asked = async {
        let before = match &rehearsal.before {
            Some(target) => look(upstream, vault, captured, target).await?,
            None => None,
        };
        let after = match &rehearsal.after {
            Some(target) => Some(try_out(upstream, vault, captured, target).await?),
            None if before.is_none() => return Err("there is no such object".to_owned()),
            None => None,
        };
        Ok(Rehearsed { before, after })
    };
    let late = |_| Err(format!("the upstream did not answer within {} seconds", TIME_MAX.as_secs()));
    tokio::time::timeout(TIME_MAX, asked).await.unwrap_or_else(late)
}

/// The object as it stands.
async fn look(
    upstream: &Upstream,
    vault: &dyn Vault,
    captured: &Captured,
    target: &str,
) -> Result<Option<Vec<u8>>, String> {
    match ask(upstream, vault, captured, (Method::GET, target)).await? {
        (status, body) if status.is_success() => Ok(Some(body)),
        (StatusCode::NOT_FOUND, _) => Ok(None),
        (status, body) => Err(format!("the object cannot be read: {}", words(status, &body))),
    }
}

/// The object as it would be.
async fn try_out(upstream: &Upstream, vault: &dyn Vault, captured: &Captured, target: &str) -> Result<Vec<u8>, String> {
    match ask(upstream, vault, captured, (captured.head.method.clone(), target)).await? {
        (status, body) if status.is_success() => Ok(body),
        (status, body) => Err(format!("its rehearsal fails: {}", words(status, &body))),
    }
}

async fn ask(
    upstream: &Upstream,
    vault: &dyn Vault,
    captured: &Captured,
    (method, target): (Method, &str),
) -> Result<(StatusCode, Vec<u8>), String> {
    let mut headers = captured.head.headers.clone();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.remove(ACCEPT_ENCODING);
    let whole = captured.content().bytes().filter(|_| method != Method::GET).unwrap_or_default();
    let bytes = bytes::Bytes::copy_from_slice(whole);
    let body = Sending::Whole(Some(bytes.clone()));
    let outgoing = Outgoing { method, target: target.to_owned(), headers, body: Bound::Whole(bytes) };
    let answer = upstream.send(vault, outgoing, body, Extras::default()).await.map_err(|error| error.to_string())?;
    let (parts, body) = answer.into_parts();
    let body = Limited::new(body, OBJECT_BYTES_MAX).collect().await.map_err(|error| error.to_string())?;
    Ok((parts.status, body.to_bytes().to_vec()))
}

/// What an upstream says of a failure.
fn words(status: StatusCode, body: &[u8]) -> String {
    let value: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = value.as_ref().and_then(|value| value.get("message")).and_then(serde_json::Value::as_str);
    let message: String =
        message.unwrap_or_default().chars().filter(|c| !c.is_control()).take(WORDS_CHARS_MAX).collect();
    if message.is_empty() { status.to_string() } else { format!("{status}, {message}") }
}
