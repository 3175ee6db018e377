//! Tells open pages that something changed. Says nothing about what: each page reads it with its person's own rights.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::page::Failure;
use super::{Console, session};
use crate::gate::Change;

/// Changes within this time of each other are told once.
const GATHER: Duration = Duration::from_millis(200);
/// How often a silent stream looks whether its session still stands, and tells proxies that it lives.
const LOOK_EVERY: Duration = Duration::from_secs(15);

struct Listener {
    console: Console,
    headers: HeaderMap,
    changes: Receiver<Change>,
    greeted: bool,
    _place: OwnedSemaphorePermit,
}

/// `hello` at first, for what changed before the page listened; then `review` when a review changed, `action` when an
/// attempt did. Ends when the session does.
pub(super) async fn stream(State(console): State<Console>, headers: HeaderMap) -> Response {
    let Ok(place) = console.listeners.clone().try_acquire_owned() else { return Failure::busy().into_response() };
    let changes = console.gate.changes.listen();
    let listener = Listener { console, headers, changes, greeted: false, _place: place };
    let events = stream::unfold(listener, |mut listener| async move {
        let name = listener.next().await?;
        Some((Ok::<_, Infallible>(Event::default().event(name).data("changed")), listener))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(LOOK_EVERY)).into_response()
}

impl Listener {
    /// The next change worth telling; `None` when the session or the gateway has ended.
    async fn next(&mut self) -> Option<&'static str> {
        if !std::mem::replace(&mut self.greeted, true) {
            return Some("hello");
        }
        loop {
            match tokio::time::timeout(LOOK_EVERY, self.changes.recv()).await {
                Err(_) if session::stands(&self.console, &self.headers).await => {}
                Err(_) | Ok(Err(RecvError::Closed)) => return None,
                Ok(first) => {
                    tokio::time::sleep(GATHER).await;
                    let name = self.gathered(first);
                    return session::stands(&self.console, &self.headers).await.then_some(name);
                }
            }
        }
    }

    /// Everything that came in the meantime as one: a page that shows reviews also shows what became of them.
    fn gathered(&mut self, first: Result<Change, RecvError>) -> &'static str {
        let mut review = !matches!(first, Ok(Change::Action));
        loop {
            match self.changes.try_recv() {
                Ok(more) => review |= more == Change::Review,
                Err(TryRecvError::Lagged(_)) => review = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        if review { "review" } else { "action" }
    }
}
