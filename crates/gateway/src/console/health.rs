//! How a target is: whether its server answers, and what came of the last actions on it.
//!
//! Asked by the page of targets after it is there, so that a server that does not answer keeps nobody waiting. It opens a
//! connection and closes it, sends nothing, and shows nobody the server's address.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use super::Console;
use super::agents::Lately;
use super::page::{Failure, render};
use super::session::Session;

/// How long a server may take to accept a connection.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);
/// PostgreSQL's port where an address names none.
const PORT: u16 = 5432;
/// Attempts looked through.
const ATTEMPTS_MAX: u32 = 1_000;

#[derive(Template)]
#[template(path = "health.html")]
struct HealthPart {
    answers: Result<(), String>,
    lately: Lately,
    name: String,
    attempts_max: u32,
}

/// The part of one target's card.
pub(super) async fn part(
    State(console): State<Console>,
    Extension(_): Extension<Session>,
    Path(name): Path<String>,
) -> Result<Response, Failure> {
    let targets: Arc<BTreeMap<_, _>> = console.gate.targets.current();
    let target = targets.get(&name).ok_or_else(|| Failure::not_found("target"))?;
    let (answers, now) = (answers(&target.upstream).await, console.gate.scribe.now());
    let mut lately = Lately::default();
    for attempt in console.gate.store.attempts(ATTEMPTS_MAX).await?.iter().filter(|a| a.described.target.name == name) {
        lately.add(attempt, now);
    }
    Ok(render(StatusCode::OK, &HealthPart { answers, lately, name, attempts_max: ATTEMPTS_MAX }))
}

/// Whether something accepts connections at an address; in words if not.
async fn answers(upstream: &str) -> Result<(), String> {
    let url = Url::parse(upstream).map_err(|_| "its address cannot be read".to_owned())?;
    let host = url.host_str().ok_or("its address names no host")?.trim_matches(['[', ']']).to_owned();
    let port = url.port().unwrap_or(PORT);
    match timeout(ANSWERS_WITHIN, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("no connection: {}", error.kind())),
        Err(_) => Err(format!("no connection within {} s", ANSWERS_WITHIN.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_server_answers_or_it_is_said_why_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let upstream = format!("postgres://app@127.0.0.1:{port}/orders?sslmode=disable");
        assert_eq!(answers(&upstream).await, Ok(()));
        drop(listener);
        assert!(answers(&upstream).await.expect_err("closed").starts_with("no connection: "));
        assert!(answers("nonsense").await.is_err());
    }
}
