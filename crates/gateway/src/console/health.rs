//! How a target is: whether its server answers, and what came of the last actions on it.
//!
//! Asked by the page of targets after it is there, so that a server that does not answer keeps nobody waiting. It opens a
//! connection and closes it, sends nothing, and shows nobody the server's address. What it finds is kept until the gateway
//! restarts, so that the page can say since when it is so.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use countersign_core::action::Timestamp;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use url::Url;

use super::Console;
use super::agents::Lately;
use super::page::{Failure, render};
use super::session::Session;
use super::show::{Html, line, when};

/// How long a server may take to accept a connection.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);
/// PostgreSQL's port where an address names none.
const PORT: u16 = 5432;
/// Attempts looked through.
const ATTEMPTS_MAX: u32 = 1_000;

/// What was found of a target's server so far.
#[derive(Debug, Clone, Default)]
struct Found {
    /// Whether it answered the last time, and since when that has been so.
    state: Option<(bool, Timestamp)>,
    /// The last time it did not, and why.
    failure: Option<(Timestamp, String)>,
}

impl Found {
    fn add(&mut self, answer: &Result<Duration, String>, now: Timestamp) {
        if self.state.is_none_or(|(answered, _)| answered != answer.is_ok()) {
            self.state = Some((answer.is_ok(), now));
        }
        if let Err(why) = answer {
            self.failure = Some((now, why.clone()));
        }
    }
}

/// What was found of each target in force, by its name.
#[derive(Debug, Default)]
pub(super) struct Looks(Mutex<BTreeMap<String, Found>>);

impl Looks {
    /// Adds an answer, and gives what is known with it.
    fn add(&self, target: &str, answer: &Result<Duration, String>, now: Timestamp) -> Found {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = all.entry(target.to_owned()).or_default();
        found.add(answer, now);
        found.clone()
    }
}

#[derive(Template)]
#[template(path = "health.html")]
struct HealthPart {
    /// In how long, or why not.
    answers: Result<String, String>,
    since: Option<Html>,
    /// When it did not answer the last time, and why; where it does now.
    failed: Option<(Html, String)>,
    lately: Lately,
    /// The last action that failed: its code, and when.
    error: Option<(Option<Html>, Html)>,
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
    let (answer, now) = (answers(&target.upstream).await, console.gate.scribe.now());
    let found = console.looks.add(&name, &answer, now);
    let (mut lately, mut error) = (Lately::default(), None);
    for attempt in console.gate.store.attempts(ATTEMPTS_MAX).await?.iter().filter(|a| a.described.target.name == name) {
        lately.add(attempt, now);
        if attempt.status == "failed" && error.is_none() {
            error = Some((attempt.code.as_deref().map(line), when(attempt.at, now)));
        }
    }
    let page = HealthPart {
        since: found.state.map(|(_, at)| when(at, now)),
        failed: found.failure.filter(|_| answer.is_ok()).map(|(at, why)| (when(at, now), why)),
        answers: answer.map(in_words),
        lately,
        error,
        name,
        attempts_max: ATTEMPTS_MAX,
    };
    Ok(render(StatusCode::OK, &page))
}

/// A short time: `0.4 ms`, `12 ms`.
fn in_words(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        ..10_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        _ => format!("{} ms", micros / 1_000),
    }
}

/// How long it takes until something accepts a connection at an address; in words if nothing does.
async fn answers(upstream: &str) -> Result<Duration, String> {
    let url = Url::parse(upstream).map_err(|_| "its address cannot be read".to_owned())?;
    let host = url.host_str().ok_or("its address names no host")?.trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().unwrap_or(PORT);
    let begun = Instant::now();
    let connecting = async {
        let unknown = |_| format!("no address is known for `{host}`");
        let addresses: Vec<SocketAddr> = lookup_host((host.as_str(), port)).await.map_err(unknown)?.collect();
        TcpStream::connect(&*addresses).await.map_err(|error| format!("no connection: {}", error.kind()))
    };
    match timeout(ANSWERS_WITHIN, connecting).await {
        Ok(Ok(_)) => Ok(begun.elapsed()),
        Ok(Err(problem)) => Err(problem),
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
        assert!(answers(&upstream).await.is_ok());
        drop(listener);
        assert!(answers(&upstream).await.expect_err("closed").starts_with("no connection: "));
        assert!(answers("nonsense").await.is_err());
    }

    #[test]
    fn what_was_found_says_since_when() {
        let (looks, at) = (Looks::default(), |seconds: i64| Timestamp::from_seconds(1_790_000_000 + seconds));
        let (good, bad) = (Ok(Duration::from_millis(2)), Err("no connection".to_owned()));
        assert_eq!(looks.add("orders", &good, at(0)).state, Some((true, at(0))));
        assert_eq!(looks.add("orders", &good, at(60)).state, Some((true, at(0))));
        assert_eq!(looks.add("orders", &bad, at(120)).state, Some((false, at(120))));
        let again = looks.add("orders", &good, at(180));
        assert_eq!((again.state, again.failure), (Some((true, at(180))), Some((at(120), "no connection".to_owned()))));
        assert_eq!(looks.add("other", &good, at(180)).failure, None);
        assert_eq!([400, 12_345].map(|micros| in_words(Duration::from_micros(micros))), ["0.4 ms", "12 ms"]);
    }
}
