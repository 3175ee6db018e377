//! The console: where people see what waits for them and decide with one click.
//!
//! Server-rendered pages (askama), kept live by htmx over server-sent events, one stylesheet, and one script of our own: the
//! one that lets a browser sign with a passkey. Every page shows the one card of `core::card`; every vote goes through [`crate::resolve`]. Three rings guard it, outermost
//! first: headers on every answer ([`guard::headers`]), no POST from elsewhere ([`guard::same_site`]), and a session with its form
//! token on every page but signing in ([`session::require`]). Nothing changes by GET: link previews and mail scanners follow
//! links (threat 13).
//!
//! Deliberately absent: any rule about who may vote. Pages say what they expect; `resolve` decides.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tokio::sync::Semaphore;

use crate::gate::Gate;
use crate::identity::Authenticator;
use crate::identity::refusals::Refusals;
use crate::ports::Describer;

mod activity;
mod agents;
mod assets;
mod batch;
mod cast;
mod chart;
mod disclosures;
mod duties;
mod events;
mod evidence;
mod filter;
mod follow_ups;
mod guard;
mod health;
mod history;
mod impact;
mod inbox;
mod incidents;
mod keywords;
mod linking;
mod login;
mod me;
mod oidc;
mod page;
mod passkeys;
mod patterns;
mod people;
mod policies;
mod proposals;
mod record;
mod review;
mod session;
mod settings;
mod setup;
mod show;
mod sql;
mod standing;
mod start;
#[cfg(test)]
mod tests;
mod trends;

/// The largest form: digests, a token, a reason of 2,000 bytes, each byte as `%XX`, and a signature, or a new passkey with
/// its maker's certificates.
const FORM_BYTES_MAX: usize = 32 * 1024;
/// Pages that listen for changes at once.
const LISTENERS_MAX: usize = 2_000;

/// What every page needs.
#[derive(Clone)]
struct Console {
    gate: Arc<Gate>,
    authenticator: Authenticator,
    listeners: Arc<Semaphore>,
    refusals: Arc<Refusals>,
    describer: Arc<dyn Describer>,
    checks: Arc<policies::checks::Checks>,
    looks: Arc<health::Looks>,
}

/// The console's routes, with a page for every address that is not one; merge nothing else that has a fallback.
///
/// `describer` says what a text means that somebody tries on the policies.
pub fn router(gate: Arc<Gate>, describer: Arc<dyn Describer>) -> Router {
    std::thread::spawn(assets::prepare);
    let authenticator = Authenticator::new(Arc::clone(&gate.directory), &gate.config);
    let console = Console {
        gate,
        authenticator,
        listeners: Arc::new(Semaphore::new(LISTENERS_MAX)),
        refusals: Arc::default(),
        describer,
        checks: Arc::default(),
        looks: Arc::default(),
    };
    open()
        .merge(
            signed_in()
                .merge(readers().layer(from_fn(session::require_reader)))
                .layer(from_fn_with_state(console.clone(), session::require)),
        )
        .fallback(page::nowhere)
        .method_not_allowed_fallback(page::wrong_method)
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(from_fn_with_state(console.clone(), guard::same_site))
        .layer(from_fn(guard::headers))
        .with_state(console)
}

/// What anyone may ask for.
fn open() -> Router<Console> {
    Router::new()
        .route("/assets/{*name}", get(assets::serve))
        .route("/login", get(login::explain).post(login::sign_in))
        .route("/login/oidc", get(oidc::begin))
        .route("/login/oidc/callback", get(oidc::finish))
        .route("/login/slack/callback", get(linking::onward))
        .route("/login/{secret}", get(login::confirm))
}

/// What only a signed-in person may ask for.
fn signed_in() -> Router<Console> {
    Router::new()
        .route("/", get(inbox::page))
        .route("/console/inbox", get(inbox::part))
        .route("/console/events", get(events::stream))
        .route("/console/reviews/{id}", get(review::part))
        .route("/reviews/batch", get(batch::page).post(batch::decide))
        .route("/reviews/{id}", get(review::page))
        .route("/reviews/{id}/vote", post(cast::vote))
        .route("/reviews/{id}/reveal", post(disclosures::reveal))
        .route("/reviews/{id}/compare", post(disclosures::compare))
        .route("/reviews/{id}/break-glass", post(follow_ups::break_glass))
        .route("/reviews/{id}/break-glass/challenge", post(follow_ups::challenge))
        .route("/reviews/{id}/retract", post(cast::retract))
        .route("/reviews/{id}/challenge", post(cast::challenge))
        .route("/reviews/{id}/withdraw", post(cast::withdraw))
        .route("/history", get(history::page))
        .route("/patterns", get(patterns::page))
        .route("/patterns/{id}/revoke", post(patterns::revoke))
        .route("/incidents", get(incidents::page).post(incidents::declare))
        .route("/incidents/{id}/end", post(incidents::end))
        .route("/activity", get(activity::page))
        .route("/settings", get(settings::page))
        .route("/me", get(me::page))
        .route("/me/accounts/slack", get(linking::confirm).post(linking::link))
        .route("/me/accounts/slack/begin", get(linking::begin))
        .route("/me/accounts/slack/remove", post(linking::remove))
        .route("/me/tokens", post(me::make_token))
        .route("/me/duties", post(duties::give))
        .route("/me/duties/{id}/end", post(duties::end))
        .route("/me/credentials/{id}/end", post(me::end_credential))
        .route("/me/agents/{name}/accept", post(me::accept_agent))
        .route("/me/agents/{name}/revoke", post(me::revoke_agent))
        .route("/me/passkeys", get(passkeys::page).post(passkeys::add))
        .route("/me/passkeys/challenge", post(passkeys::challenge))
        .route("/me/passkeys/{id}/name", post(passkeys::rename))
        .route("/me/passkeys/{id}/remove", post(passkeys::remove))
        .route("/logout", post(login::sign_out))
}

/// What only people may ask for who may read what others asked.
fn readers() -> Router<Console> {
    Router::new()
        .route("/follow-ups", get(follow_ups::page))
        .route("/follow-ups/{id}", post(follow_ups::sign_off))
        .route("/policies/proposals", post(proposals::propose))
        .route("/start", get(start::page))
        .route("/agents", get(agents::page))
        .route("/evidence", get(evidence::page))
        .route("/evidence/reviews.csv", get(evidence::reviews))
        .route("/targets", get(setup::targets))
        .route("/targets/{name}/health", get(health::part))
        .route("/targets/proposals", post(proposals::propose_target))
        .route("/people", get(people::page))
        .route("/people/proposals", post(proposals::propose_people))
        .route("/people/{name}/suspend", post(people::suspend))
        .route("/people/agents/{name}/revoke", post(people::revoke_agent))
        .route("/policies", get(policies::page))
        .route("/policies/try", get(policies::trial::page).post(policies::trial::answer))
        .route("/policies/checks", get(policies::checks::page).post(policies::checks::prove))
        .route("/record", get(record::page))
        .route("/record/since/{size}", get(record::growth))
        .route("/record/{index}/leaf", get(record::leaf))
        .route("/record/{index}/proof", get(record::proof))
}
