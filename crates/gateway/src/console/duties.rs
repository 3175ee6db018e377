//! Duties on one's own page: give one's own, see whose one does, end either.

use axum::Extension;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use chrono::{NaiveDate, NaiveTime, TimeDelta};
use countersign_core::action::{PersonId, Timestamp};
use serde::Deserialize;

use super::Console;
use super::me;
use super::page::Failure;
use super::session::Session;
use super::show::{Html, line, when};
use crate::codes::Code;
use crate::identity::duties::{self, Error, Wish};
use crate::ports::Duty;

/// A duty that one gave, or does.
pub(super) struct DutyView {
    pub(super) id: String,
    /// Whether it is one's own, given to somebody.
    pub(super) mine: bool,
    pub(super) other: Html,
    pub(super) groups: Vec<Html>,
    pub(super) from: Html,
    pub(super) until: Html,
    pub(super) in_force: bool,
}

/// What gives a duty: a name, and days as browsers write them.
#[derive(Deserialize)]
pub(super) struct DutyForm {
    deputy: String,
    #[serde(default)]
    from: String,
    until: String,
}

/// Those of the person who looks.
pub(super) async fn of(console: &Console, session: &Session) -> Result<Vec<DutyView>, Failure> {
    let (me, now) = (&session.signed_in.person.id, console.gate.scribe.now());
    let people = console.gate.roster.current();
    let name = |id: &PersonId| line(people.people.persons.get(id).map_or("?", |facts| facts.name.as_str()));
    let view = |duty: Duty| DutyView {
        mine: &duty.of == me,
        other: name(if &duty.of == me { &duty.deputy } else { &duty.of }),
        groups: duty.groups.iter().map(|group| line(group)).collect(),
        from: when(duty.from, now),
        until: when(duty.until, now),
        in_force: duty.from <= now,
        id: duty.id,
    };
    let found = console.gate.directory.duties(now).await?;
    Ok(found.into_iter().filter(|duty| &duty.of == me || &duty.deputy == me).map(view).collect())
}

/// Gives it.
pub(super) async fn give(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    form: Result<Form<DutyForm>, FormRejection>,
) -> Result<Response, Failure> {
    let Ok(Form(form)) = form else { return Err(Failure::bad_request("the form is not that of a duty")) };
    let gate = &console.gate;
    let offset = gate.config.utc_offset_minutes;
    let first = match form.from.trim() {
        "" => Ok(None),
        day => at(day, 0, offset).map(Some),
    };
    let (from, until) = match (first, at(&form.until, 1, offset)) {
        (Ok(from), Ok(until)) => (from, until),
        _ => return answer(&console, &session, Err(Error::Invalid("write days as 2026-12-24".to_owned()))).await,
    };
    let wish = Wish { deputy: form.deputy, groups: std::collections::BTreeSet::new(), from, until };
    let given = duties::give(&*gate.directory, &gate.scribe, &session.signed_in, wish).await;
    answer(&console, &session, given.map(drop)).await
}

/// Ends one.
pub(super) async fn end(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let gate = &console.gate;
    let done = duties::end(&*gate.directory, &gate.scribe, &session.signed_in.person, &id).await;
    answer(&console, &session, done).await
}

async fn answer(console: &Console, session: &Session, done: Result<(), Error>) -> Result<Response, Failure> {
    let code = match &done {
        Ok(()) => {
            console.gate.roster.refresh().await?;
            return Ok(Redirect::to("/me").into_response());
        }
        Err(Error::Invalid(_)) => Code::BadRequest,
        Err(Error::Stale) => Code::SignInAgain,
        Err(Error::NotYours) => Code::NotFound,
        Err(Error::Store(_)) => Code::RecordUnavailable,
    };
    let words = done.err().map(|error| error.to_string()).unwrap_or_default();
    me::show(console, session, None, Some((code, words))).await
}

/// The beginning of a day, or of the one so many days later, as the organisation's clocks show it.
fn at(day: &str, later: i64, utc_offset_minutes: i32) -> Result<Timestamp, ()> {
    let day: NaiveDate = day.trim().parse().map_err(|_| ())?;
    let begins = day.and_time(NaiveTime::MIN).and_utc();
    let shift = TimeDelta::days(later) - TimeDelta::minutes(i64::from(utc_offset_minutes));
    let at = begins.checked_add_signed(shift).ok_or(())?;
    Ok(Timestamp::from_micros(at.timestamp_micros()))
}
