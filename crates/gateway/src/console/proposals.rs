//! Proposing the files in the policies folder, from the page that shows what they would mean.

use axum::Extension;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::Console;
use super::page::Failure;
use super::session::Session;
use crate::proposals::{self, Proposed, Wish};
use crate::resolve::Denied;

/// The form: the files that were looked at, and why.
#[derive(Deserialize)]
pub(super) struct ProposalForm {
    files_digest: String,
    #[serde(default)]
    reason: String,
}

/// Proposes, and shows the review, or the policies where they are in force already.
pub(super) async fn propose(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    form: Result<Form<ProposalForm>, FormRejection>,
) -> Result<Response, Failure> {
    let Ok(Form(form)) = form else { return Err(Failure::bad_request("the form is not that of a proposal")) };
    let files = form.files_digest.parse().map_err(|_| Failure::bad_request("the form names no digest"))?;
    let reason = Some(form.reason.replace("\r\n", "\n")).filter(|reason| !reason.trim().is_empty());
    let (gate, caller) = (console.gate.clone(), session.caller());
    // to its end even when the browser leaves: what is in force must be what the store says
    let proposed = tokio::spawn(async move { proposals::propose(&gate, &caller, Wish { files, reason }).await });
    match proposed.await.map_err(Failure::unavailable)? {
        Ok(Proposed::InForce(_)) => Ok(Redirect::to("/policies").into_response()),
        Ok(Proposed::Waits(review)) => Ok(Redirect::to(&format!("/reviews/{}", review.matter().id)).into_response()),
        Err(refusal) => Err(Denied::new(refusal.code, refusal.message).into()),
    }
}
