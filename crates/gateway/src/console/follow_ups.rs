//! Break-glass in the console: the button that does it, the page that lists each use until somebody has looked at it, and
//! what the inbox says of it meanwhile.

use askama::Template;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::{Extension, Json};
use countersign_core::action::ReviewId;
use countersign_core::card::Card;
use countersign_core::review::{Breaking, Judgement, PasskeyUse, REASON_BYTES_MAX, Review};
use serde::Deserialize;
use serde_json::json;

use super::inbox::{object, verbs};
use super::page::{Failure, Frame, advice, render, status};
use super::session::Session;
use super::show::{Html, block, line, when};
use super::{Console, cast, passkeys};
use crate::codes::Code;
use crate::gate::Moment;
use crate::ports::{FollowUp, Passkey, Use};
use crate::resolve::{self, BreakRequest, Denied, Voter};

/// Follow-ups on the page; those to be done come first.
const SHOWN_MAX: u32 = 100;
/// Broken glass named on the inbox; more are counted.
const BANNERS_MAX: usize = 5;

#[derive(Template)]
#[template(path = "follow_ups.html")]
struct FollowUpsPage {
    frame: Frame,
    open: Vec<Row>,
    done: Vec<Row>,
    refused: Option<Refused>,
    note_bytes_max: usize,
}

/// A sign-off that was not accepted.
struct Refused {
    code: &'static str,
    message: Html,
    advice: &'static str,
}

/// One broken glass.
struct Row {
    id: String,
    /// Who asked for what, on what.
    who: Html,
    /// Whether the gate itself would change.
    is_gate: bool,
    verbs: Html,
    object: Html,
    target: Html,
    environment: String,
    broken: Broken,
    used: &'static str,
    /// Why the reader cannot sign it off; absent when they can.
    barred: Option<Html>,
    done: Option<Done>,
}

/// Whether the reader of a review may break its glass, and how.
pub(super) struct Breaks {
    /// Without a passkey.
    pub(super) plain: bool,
    /// With one of theirs.
    pub(super) signed: bool,
    /// With one, and they have none.
    pub(super) needs_passkey: bool,
}

/// Who broke the glass, when and why.
pub(super) struct Broken {
    pub(super) name: Html,
    pub(super) reason: Html,
    pub(super) asked: Html,
    pub(super) at: Html,
}

/// Who looked at it, and what they found.
struct Done {
    name: Html,
    justified: bool,
    note: Html,
    at: Html,
}

/// What the inbox says of glass that was broken and not yet looked at, to those who had been asked.
pub(super) struct Banner {
    pub(super) id: String,
    pub(super) name: Html,
    pub(super) target: Html,
    pub(super) at: Html,
    /// Whether the reader may sign it off.
    pub(super) signs: bool,
}

/// The review's form for it.
#[derive(Deserialize)]
pub(super) struct BreakForm {
    #[serde(default)]
    reason: String,
    action_digest: String,
    card_digest: String,
    /// A passkey's signature, as the page's script wrote it; empty without one.
    #[serde(default)]
    credential: String,
}

/// The form of a follow-up.
#[derive(Deserialize)]
pub(super) struct SignOffForm {
    judgement: Judgement,
    #[serde(default)]
    note: String,
}

/// Breaks the glass.
pub(super) async fn break_glass(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    Path(id): Path<String>,
    form: Result<Form<BreakForm>, FormRejection>,
) -> Result<Response, Failure> {
    let Ok(Form(form)) = form else { return Err(Failure::bad_request("the form is not that of a review")) };
    let (id, request) = (ReviewId::new(id), request(form)?);
    let done = resolve::break_glass(&console.gate, &id, &session.caller(), &request).await;
    cast::answer(&console, &session, &id, done.map(drop), String::new()).await
}

/// What a passkey must sign to break the glass for the reason in the form, as JSON for the page's script.
pub(super) async fn challenge(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    Path(id): Path<String>,
    form: Result<Form<BreakForm>, FormRejection>,
) -> Result<Response, Failure> {
    let Ok(Form(form)) = form else { return Err(Failure::bad_request("the form is not that of a review")) };
    let (id, request) = (ReviewId::new(id), request(form)?);
    match resolve::break_challenge(&console.gate, &id, &session.caller(), &request).await {
        Ok(asked) => Ok(Json(json!({ "publicKey": asked.options })).into_response()),
        Err(denied) => Ok(passkeys::refusal(&denied)),
    }
}

fn request(form: BreakForm) -> Result<BreakRequest, Failure> {
    let malformed = |_| Failure::bad_request("the form names no digest");
    Ok(BreakRequest {
        reason: form.reason.replace("\r\n", "\n"),
        action: form.action_digest.parse().map_err(malformed)?,
        card: form.card_digest.parse().map_err(malformed)?,
        assertion: cast::assertion(&form.credential)?,
    })
}

/// The page.
pub(super) async fn page(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
) -> Result<Response, Failure> {
    show(&console, &session, None).await
}

/// Signs one off.
pub(super) async fn sign_off(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    Path(id): Path<String>,
    form: Result<Form<SignOffForm>, FormRejection>,
) -> Result<Response, Failure> {
    let Ok(Form(form)) = form else { return Err(Failure::bad_request("the form is not that of a follow-up")) };
    let note = form.note.replace("\r\n", "\n");
    let id = ReviewId::new(id);
    match resolve::sign_off(&console.gate, &id, &session.caller(), form.judgement, &note).await {
        Ok(_) => Ok(Redirect::to("/follow-ups").into_response()),
        Err(denied) => show(&console, &session, Some(denied)).await,
    }
}

async fn show(console: &Console, session: &Session, denied: Option<Denied>) -> Result<Response, Failure> {
    let moment = console.gate.moment();
    let store = &console.gate.store;
    let open = store.follow_ups(false, moment.now, SHOWN_MAX).await?;
    let done = store.follow_ups(true, moment.now, SHOWN_MAX).await?;
    let rows = |found: Vec<FollowUp>| -> Vec<Row> {
        let seen = found.iter().filter(|found| session.signed_in.reads(&found.review.matter().described));
        seen.filter_map(|found| row(&moment, session, found)).collect()
    };
    let code = denied.as_ref().map_or(StatusCode::OK, |denied| status(denied.code));
    let refused = denied.map(|Denied { code, message }| Refused {
        code: code.name(),
        message: line(&message),
        advice: advice(code),
    });
    let page = FollowUpsPage {
        frame: Frame::new("Follow-ups", "/follow-ups", session),
        open: rows(open),
        done: rows(done.into_iter().filter(|found| found.done.is_some()).collect()),
        refused,
        note_bytes_max: REASON_BYTES_MAX,
    };
    Ok(render(code, &page))
}

fn row(moment: &Moment, session: &Session, found: &FollowUp) -> Option<Row> {
    let (review, matter) = (&found.review, found.review.matter());
    let breaking = review.breaking()?;
    let card = Card::new(&matter.described, matter.action, &matter.terms);
    let voter = Voter::plain(&session.signed_in);
    let barred = resolve::may_sign_off(moment, review, breaking, &voter).err();
    Some(Row {
        id: matter.id.to_string(),
        who: line(&card.requester.name),
        is_gate: card.changes().is_some(),
        verbs: verbs(&card.resource.verbs),
        object: object(&card),
        target: line(&card.target),
        environment: card.environment.clone(),
        broken: broken(moment, breaking),
        used: used_words(&found.used),
        barred: barred.map(|denied| line(&denied.message)),
        done: found.done.as_ref().map(|done| Done {
            name: line(&done.name),
            justified: done.judgement == Judgement::Justified,
            note: block(&done.note),
            at: when(done.at, moment.now),
        }),
    })
}

fn used_words(used: &Use) -> &'static str {
    match used {
        Use::Unused => "It did not run yet, and still may.",
        Use::Used(_) => "It was run.",
        Use::Voided => "It never ran: the approval was voided.",
        Use::Ended => "It never ran: the approval's time ran out.",
    }
}

/// A breaking, for pages.
pub(super) fn broken(moment: &Moment, breaking: &Breaking) -> Broken {
    let asked: Vec<&str> = breaking.asked.iter().map(String::as_str).collect();
    Broken {
        name: line(&breaking.name),
        reason: block(&breaking.reason),
        asked: line(&asked.join(", ")),
        at: when(breaking.at, moment.now),
    }
}

/// For the reader's inbox; those who had been asked see it until it is done.
pub(super) async fn banners(console: &Console, session: &Session, moment: &Moment) -> Result<Vec<Banner>, Failure> {
    let open = console.gate.store.follow_ups(false, moment.now, SHOWN_MAX).await?;
    let voter = Voter::plain(&session.signed_in);
    let seen = open.iter().filter_map(|found| Some((&found.review, found.review.breaking()?)));
    let mine = seen.filter(|(review, breaking)| resolve::is_asked(moment, review, breaking, &voter));
    let banner = |(review, breaking): (&Review, &Breaking)| Banner {
        id: review.matter().id.to_string(),
        name: line(&breaking.name),
        target: line(&review.matter().described.target.name),
        at: when(breaking.at, moment.now),
        signs: resolve::may_sign_off(moment, review, breaking, &voter).is_ok(),
    };
    Ok(mine.take(BANNERS_MAX).map(banner).collect())
}

/// Whether the reader may break the glass on a review, with the session they look with.
pub(super) fn breaks(moment: &Moment, review: &Review, session: &Session, passkeys: &[Passkey]) -> Breaks {
    if !matches!(review, Review::Open(_)) {
        return Breaks { plain: false, signed: false, needs_passkey: false };
    }
    let with = |passkey: Option<PasskeyUse>| {
        resolve::breakable(moment, review, &Voter { signed_in: &session.signed_in, passkey })
    };
    let plain = with(None);
    Breaks {
        signed: passkeys.iter().any(|passkey| with(Some(passkey.as_used())).is_ok()),
        needs_passkey: passkeys.is_empty() && plain.as_ref().is_err_and(|denied| denied.code == Code::PasskeyRequired),
        plain: plain.is_ok(),
    }
}
