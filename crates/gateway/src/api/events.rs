//! Live changes as server-sent events: that something changed, never what, so that everyone reads it with their own rights.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt as _, stream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::Shared;
use super::extract::Human;
use super::problem::Problem;
use crate::codes::Code;
use crate::gate::Change;

/// Listeners at once.
pub(super) const LISTENERS_MAX: usize = 512;
/// How often a silent stream shows that it lives.
const HEARTBEAT_SECONDS: u64 = 15;
/// How long one stream lasts: the listener then connects again, and is authenticated again. An hour.
const STREAM_SECONDS_MAX: u64 = 60 * 60;

/// One listener: its place is free when it is dropped.
struct Listener {
    changes: Receiver<Change>,
    _place: OwnedSemaphorePermit,
}

/// Listen for changes
///
/// Server-sent events: `review` or `action` when one changed, `reload` when changes were missed; the data is always `{}`.
/// A comment every 15 seconds shows that the stream lives. It ends after an hour: connect again.
#[utoipa::path(get, path = "/api/v1/events", operation_id = "listen", tag = "events",
    security(("token" = []), ("session" = [])),
    responses(
        (status = 200, description = "A stream of changes", body = String, content_type = "text/event-stream"),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, response = super::document::Forbidden),
        (status = 503, description = "`too_many_connections`, `record_unavailable`",
            body = super::problem::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn listen(
    State(api): State<Shared>,
    _: Human,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>> + use<>>, Problem> {
    let full = |_| Problem::new(Code::TooManyConnections, format!("{LISTENERS_MAX} listeners are connected already"));
    let place = Arc::clone(&api.listeners).try_acquire_owned().map_err(full)?;
    let listener = Listener { changes: api.gate.changes.listen(), _place: place };
    let end = tokio::time::sleep(Duration::from_secs(STREAM_SECONDS_MAX));
    let events = stream::unfold(listener, next).take_until(end);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(HEARTBEAT_SECONDS))))
}

async fn next(mut listener: Listener) -> Option<(Result<Event, Infallible>, Listener)> {
    let name = match listener.changes.recv().await {
        Ok(Change::Review) => "review",
        Ok(Change::Action) => "action",
        Err(RecvError::Lagged(_)) => "reload",
        Err(RecvError::Closed) => return None,
    };
    Some((Ok(Event::default().event(name).data("{}")), listener))
}
