//! What a card hides, on the review's page: revealed in one answer, or compared with what somebody expects.
//!
//! A value stands in the page that answers the button and in no other; the page that one comes back to shows the placeholder.

use axum::Extension;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, State};
use axum::response::Response;
use countersign_core::action::ReviewId;
use countersign_core::review::Review;
use serde::Deserialize;

use super::Console;
use super::cast::answer;
use super::page::Failure;
use super::review::{self, Said};
use super::session::Session;
use super::show::{Html, block, line};
use crate::gate::{Gate, Moment};
use crate::identity::SignedIn;
use crate::ports::Passkey;
use crate::resolve::{self, Denied, Revealed, Voter};

/// Values that are listed one by one; more are revealed together.
const ROWS_MAX: usize = 100;

/// One hidden value.
pub(super) struct HiddenRow {
    /// What stands between the placeholder's marks.
    mark: String,
    /// The same, for the page.
    pub(super) name: Html,
    /// Where it stands.
    pub(super) place: Html,
    decisive: bool,
    known: bool,
    /// The value, where it was asked for just now.
    pub(super) value: Option<Html>,
}

impl HiddenRow {
    /// Whether the reader has to look at it before they approve.
    pub(super) fn must_look(&self) -> bool {
        self.decisive && !self.known
    }

    /// What the forms send.
    pub(super) fn mark(&self) -> &str {
        &self.mark
    }

    /// What the reader has done, or has to do.
    pub(super) fn standing(&self) -> &'static str {
        match (self.known, self.decisive) {
            (true, _) => "you have looked at it",
            (false, true) => "to be looked at before you approve",
            (false, false) => "may stay hidden",
        }
    }
}

#[derive(Deserialize)]
pub(super) struct RevealForm {
    /// Which; empty for all.
    #[serde(default)]
    mark: String,
}

#[derive(Deserialize)]
pub(super) struct CompareForm {
    mark: String,
    expected: String,
}

/// Shows hidden values.
pub(super) async fn reveal(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    Path(id): Path<String>,
    form: Result<Form<RevealForm>, FormRejection>,
) -> Result<Response, Failure> {
    let Ok(Form(form)) = form else { return Err(Failure::bad_request("the form names no hidden value")) };
    let id = ReviewId::new(id);
    let marks = Some(form.mark).filter(|mark| !mark.is_empty()).into_iter().collect();
    let revealed = resolve::reveal(&console.gate, &id, &session.caller(), &marks).await;
    said(&console, &session, &id, revealed.map(Said::Revealed)).await
}

/// Compares a hidden value.
pub(super) async fn compare(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    Path(id): Path<String>,
    form: Result<Form<CompareForm>, FormRejection>,
) -> Result<Response, Failure> {
    let Ok(Form(CompareForm { mark, expected })) = form else {
        return Err(Failure::bad_request("the form names no hidden value"));
    };
    let id = ReviewId::new(id);
    let equal = resolve::compare(&console.gate, &id, &session.caller(), &mark, expected.trim_end()).await;
    said(&console, &session, &id, equal.map(|equal| Said::Compared { mark, equal })).await
}

async fn said(
    console: &Console,
    session: &Session,
    id: &ReviewId,
    done: Result<Said, Denied>,
) -> Result<Response, Failure> {
    match done {
        Ok(said) => review::show(console, session, id, said).await,
        Err(denied) => answer(console, session, id, Err(denied), String::new()).await,
    }
}

/// What a card hides, as far as its reader knows it, and whether they may look.
pub(super) async fn rows(
    gate: &Gate,
    moment: &Moment,
    review: &Review,
    reader: &SignedIn,
    passkeys: &[Passkey],
) -> Result<(Vec<HiddenRow>, bool), Failure> {
    let (matter, hidden) = (review.matter(), &review.matter().described.shown.hidden);
    if hidden.is_empty() {
        return Ok((Vec::new(), false));
    }
    let known = gate.store.disclosed(&matter.id, &reader.person.id).await?;
    let row = |hidden: &countersign_core::action::redact::Hidden| HiddenRow {
        mark: hidden.mark.clone(),
        name: line(&hidden.mark),
        place: line(&hidden.words()),
        decisive: hidden.is_decisive(),
        known: known.contains(&hidden.mark),
        value: None,
    };
    let may = |voter: Voter<'_>| resolve::may_look(moment, review, &voter).is_ok();
    let with = |passkey: &Passkey| may(Voter { signed_in: reader, passkey: Some(passkey.as_used()) });
    let may_look = matches!(review, Review::Open(_)) && (may(Voter::plain(reader)) || passkeys.iter().any(with));
    Ok((hidden.iter().map(row).collect(), may_look))
}

/// Puts values that were revealed just now into their rows.
pub(super) fn fill(rows: &mut [HiddenRow], revealed: &[Revealed]) {
    for one in revealed {
        if let Some(row) = rows.iter_mut().find(|row| row.mark == one.hidden.mark) {
            row.value = Some(block(&one.value));
        }
    }
}

/// How many rows have forms of their own.
pub(super) fn listed(rows: &[HiddenRow]) -> &[HiddenRow] {
    if rows.iter().any(|row| row.value.is_some()) { rows } else { rows.get(..ROWS_MAX).unwrap_or(rows) }
}
