//! The buttons of a review: each hands its form to [`crate::resolve`] and shows what came of it.

use std::collections::BTreeMap;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::{Extension, Json};
use countersign_core::action::ReviewId;
use countersign_core::review::Verdict;
use serde::Deserialize;
use serde_json::json;

use super::page::Failure;
use super::review::{self, Said};
use super::session::Session;
use super::{Console, passkeys, patterns};
use crate::codes::Code;
use crate::identity::passkeys::Assertion;
use crate::resolve::{self, Denied, VoteRequest};

/// The review's form. Both digests say what was looked at.
#[derive(Deserialize)]
pub(super) struct VoteForm {
    verdict: Verdict,
    #[serde(default)]
    reason: String,
    action_digest: String,
    card_digest: String,
    /// A passkey's signature, as the page's script wrote it; empty without one.
    #[serde(default)]
    credential: String,
    /// What else may be approved: see [`super::patterns::wish`].
    #[serde(flatten)]
    pattern: BTreeMap<String, String>,
}

/// Casts a vote.
pub(super) async fn vote(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    Path(id): Path<String>,
    form: Result<Form<VoteForm>, FormRejection>,
) -> Result<Response, Failure> {
    let Ok(Form(form)) = form else { return Err(Failure::bad_request("the form is not that of a review")) };
    let id = ReviewId::new(id);
    let written = form.reason.clone();
    let cast = match request(form) {
        Ok(request) => resolve::cast(&console.gate, &id, &session.caller(), request).await,
        Err(failure) => return Err(failure),
    };
    answer(&console, &session, &id, cast.map(drop), written).await
}

/// Takes one's vote back.
pub(super) async fn retract(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let id = ReviewId::new(id);
    let done = resolve::retract(&console.gate, &id, &session.caller()).await;
    answer(&console, &session, &id, done.map(drop), String::new()).await
}

/// What a passkey must sign for the vote in the form, as JSON for the page's script.
pub(super) async fn challenge(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    Path(id): Path<String>,
    form: Result<Form<VoteForm>, FormRejection>,
) -> Result<Response, Failure> {
    let Ok(Form(form)) = form else { return Err(Failure::bad_request("the form is not that of a review")) };
    let vote = request(form)?;
    match resolve::challenge(&console.gate, &ReviewId::new(id), &session.caller(), &vote).await {
        Ok(asked) => Ok(Json(json!({ "publicKey": asked.options })).into_response()),
        Err(denied) => Ok(passkeys::refusal(&denied)),
    }
}

/// Takes a review back.
pub(super) async fn withdraw(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let id = ReviewId::new(id);
    let done = resolve::withdraw(&console.gate, &id, &session.caller()).await;
    answer(&console, &session, &id, done.map(drop), String::new()).await
}

/// Browsers send line breaks in forms as CR LF; a reason has line feeds.
fn request(form: VoteForm) -> Result<VoteRequest, Failure> {
    let malformed = |_| Failure::bad_request("the form names no digest");
    let assertion = assertion(&form.credential)?;
    let pattern = match form.verdict {
        Verdict::Approve => patterns::wish(&form.pattern)?,
        Verdict::Reject => None, // whatever stood in the form
    };
    Ok(VoteRequest {
        pattern,
        verdict: form.verdict,
        reason: Some(form.reason.replace("\r\n", "\n")).filter(|reason| !reason.trim().is_empty()),
        action: form.action_digest.parse().map_err(malformed)?,
        card: form.card_digest.parse().map_err(malformed)?,
        assertion,
        callback: None,
    })
}

/// A passkey's signature as the page's script wrote it; nothing where it wrote none.
pub(super) fn assertion(written: &str) -> Result<Option<Box<Assertion>>, Failure> {
    let unread = |_| Failure::bad_request("the browser's signature cannot be read");
    match written {
        "" => Ok(None),
        written => serde_json::from_str(written).map(Some).map_err(unread),
    }
}

pub(super) async fn answer(
    console: &Console,
    session: &Session,
    id: &ReviewId,
    done: Result<(), Denied>,
    written: String,
) -> Result<Response, Failure> {
    match done {
        Ok(()) => Ok(Redirect::to(&format!("/reviews/{id}")).into_response()),
        Err(denied) if denied.code == Code::NotFound => Err(Failure::not_found("review")),
        Err(denied) => match review::show(console, session, id, Said::Refused(denied.clone(), written)).await {
            Ok(page) => Ok(page),
            Err(_) => Err(denied.into()), // the review is not theirs to see, but what became of their vote is
        },
    }
}
