//! The REST API: what people's scripts, the command line and monitors read, and where a vote arrives as JSON.
//!
//! Every route is one handler with its OpenAPI description above it, added by [`document::routes`]; so the document cannot
//! know less than the router. Handlers parse, ask the ports or [`resolve`](crate::resolve), and answer in the wire types of
//! [`views`]. What goes wrong is a [`problem::Problem`] (RFC 9457) with a stable code.
//!
//! Deliberately absent: rules. Who may vote is decided by [`resolve`](crate::resolve) alone; this module only says who
//! may read. A `GET` changes nothing, and a cookie never authenticates a change.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, map_response};
use axum::routing::any;
use bytes::Bytes;
use tokio::sync::{Mutex, Semaphore};
use tower_http::catch_panic::CatchPanicLayer;

use crate::gate::Gate;
use crate::identity::Authenticator;
use crate::identity::refusals::Refusals;

mod actions;
mod callbacks;
mod directory;
mod disclosures;
mod document;
mod duties;
mod events;
mod extract;
mod follow_ups;
mod guard;
mod health;
mod incidents;
mod keys;
mod ledger;
mod patterns;
mod people;
mod policies;
mod problem;
mod reviews;
mod sign_in;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod token;
mod undelivered;
mod views;

pub use document::document;
pub use problem::Problem;

/// What every handler may use.
pub(crate) struct Api {
    gate: Arc<Gate>,
    authenticator: Authenticator,
    listeners: Arc<Semaphore>,
    refusals: Refusals,
    counted: Mutex<Option<health::Counted>>,
    document: Bytes,
}

/// The API as handlers share it.
type Shared = Arc<Api>;

/// The API's routes, to be merged with those of the console. It sets no fallback outside `/api/` and `/log/`.
pub fn router(gate: Arc<Gate>) -> Router {
    let routes = document::parts().0;
    let routes = routes.route("/api", any(guard::not_found)).route("/api/{*rest}", any(guard::not_found));
    guarded(routes, guard::REQUEST_MAX).with_state(state(gate))
}

fn state(gate: Arc<Gate>) -> Shared {
    Arc::new(Api {
        authenticator: Authenticator::new(Arc::clone(&gate.directory), &gate.config),
        gate,
        refusals: Refusals::default(),
        listeners: Arc::new(Semaphore::new(events::LISTENERS_MAX)),
        counted: Mutex::new(None),
        document: Bytes::from(document()),
    })
}

/// What holds for every answer, errors included.
fn guarded(routes: Router<Shared>, request_max: Duration) -> Router<Shared> {
    routes
        .method_not_allowed_fallback(guard::method_not_allowed)
        .layer(from_fn(move |request, next| guard::in_time(request_max, request, next)))
        .layer(CatchPanicLayer::custom(guard::panicked))
        .layer(map_response(guard::headers))
}
