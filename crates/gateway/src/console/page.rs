//! What every page has around it, and the pages for when there is none.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{Html as Body, IntoResponse, Response};

use super::incidents::Notice;
use super::session::Session;
use super::show::{Html, line};
use crate::codes::Code;
use crate::ports::{LogError, StoreError};
use crate::resolve::Denied;

/// The main places, in the order of the menu, under what one goes there for: address, name, and whether they are there for people
/// who see their own side only.
const PLACES: [(&str, &[Entry]); 3] = [
    (
        "Decide",
        &[
            ("/", "Inbox", true),
            ("/history", "History", true),
            ("/patterns", "Patterns", true),
            ("/follow-ups", "Follow-ups", false),
            ("/incidents", "Incidents", false),
        ],
    ),
    ("Watch", &[("/activity", "Activity", true), ("/record", "Record", false), ("/evidence", "Evidence", false)]),
    (
        "Set up",
        &[
            ("/targets", "Targets", false),
            ("/agents", "Agents", false),
            ("/people", "People", false),
            ("/policies", "Policies", false),
            ("/settings", "Settings", true),
            ("/start", "First steps", false),
        ],
    ),
];

/// Address, name, and whether everybody sees it.
type Entry = (&'static str, &'static str, bool);

/// A group of the menu.
pub(super) struct Places {
    pub(super) name: &'static str,
    pub(super) places: Vec<Place>,
}

/// An entry of the menu.
pub(super) struct Place {
    pub(super) address: &'static str,
    pub(super) name: &'static str,
    pub(super) here: bool,
}

/// The frame of a page.
pub(super) struct Frame {
    pub(super) title: String,
    /// The address of the place in the menu that this page belongs to.
    pub(super) place: &'static str,
    pub(super) who: Option<Who>,
    /// Incidents that go on.
    pub(super) incidents: Vec<Notice>,
}

/// Who is looking.
pub(super) struct Who {
    pub(super) name: Html,
    pub(super) csrf: String,
    /// Whether they may see what others asked for.
    reads_all: bool,
}

impl Frame {
    /// For a signed-in person.
    pub(super) fn new(title: impl Into<String>, place: &'static str, session: &Session) -> Self {
        let who = Who {
            name: line(&session.signed_in.person.name),
            csrf: session.csrf.clone(),
            reads_all: session.signed_in.reads_all(),
        };
        Self { title: title.into(), place, who: Some(who), incidents: session.incidents.clone() }
    }

    /// For anyone.
    pub(super) fn open(title: impl Into<String>) -> Self {
        Self { title: title.into(), place: "", who: None, incidents: Vec::new() }
    }

    /// The token for this page's forms.
    pub(super) fn csrf(&self) -> &str {
        self.who.as_ref().map_or("", |who| &who.csrf)
    }

    /// The menu.
    pub(super) fn menu(&self) -> Vec<Places> {
        let all = self.who.as_ref().is_some_and(|who| who.reads_all);
        let groups = PLACES.into_iter().map(|(name, places)| {
            let seen = places.iter().filter(|(_, _, own)| *own || all);
            let place = |(address, name, _): &Entry| Place { address, name, here: *address == self.place };
            Places { name, places: seen.map(place).collect() }
        });
        groups.filter(|group| !group.places.is_empty()).collect()
    }
}

/// Renders a page.
pub(super) fn render(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => (status, Body(text)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            (StatusCode::INTERNAL_SERVER_ERROR, "the page could not be shown").into_response()
        }
    }
}

/// Why there is no page; shown as one.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    title: String,
    detail: String,
    advice: &'static str,
    code: Option<Code>,
}

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage<'a> {
    frame: Frame,
    status: u16,
    failure: &'a Failure,
    detail: Html,
}

/// Errors are written to stand behind a colon; here they stand by themselves.
fn sentence(text: String) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}

impl Failure {
    fn new(status: StatusCode, code: Code, title: &str, detail: impl Into<String>, advice: &'static str) -> Self {
        Self { status, title: title.to_owned(), detail: sentence(detail.into()), advice, code: Some(code) }
    }

    /// There is no such thing.
    pub(super) fn not_found(what: &str) -> Self {
        let detail = format!("There is no such {what}, or there is not any more.");
        Self::new(
            StatusCode::NOT_FOUND,
            Code::NotFound,
            "Not found",
            detail,
            "Check the address, or start from the inbox.",
        )
    }

    /// The request cannot be read.
    pub(super) fn bad_request(detail: &str) -> Self {
        let advice = "Go back, load the page again and repeat what you did.";
        Self::new(StatusCode::BAD_REQUEST, Code::BadRequest, "That could not be read", detail, advice)
    }

    /// The request does not come from one of our own pages.
    pub(super) fn cross_site() -> Self {
        let detail = "This request did not come from a page of this console, so nothing was done.";
        let advice = "Open the console yourself and repeat it there. If you were sent here by another page, somebody may \
                      have tried to make you decide without your knowing.";
        Self::new(StatusCode::FORBIDDEN, Code::CrossSite, "Refused", detail, advice)
    }

    /// Only some people may see it.
    pub(super) fn not_yours() -> Self {
        let detail = "Without a group or a role here, you see what you and your agents ask for, and no more.";
        let advice = "If you are to review or to audit, have yourself added to a group at the identity provider.";
        Self::new(StatusCode::FORBIDDEN, Code::Forbidden, "Not for you", detail, advice)
    }

    /// It may not be done, and why.
    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        let advice = "Nothing was changed.";
        Self::new(StatusCode::FORBIDDEN, Code::Forbidden, "Not done", detail, advice)
    }

    /// Somebody could not be signed in.
    pub(super) fn sign_in(detail: impl Into<String>) -> Self {
        let advice = "Begin again from the console's own sign-in page. If it stays like this, show this page to whoever \
                      runs the gateway.";
        Self::new(StatusCode::FORBIDDEN, Code::SignInFailed, "You are not signed in", detail, advice)
    }

    /// Too much at once.
    pub(super) fn busy() -> Self {
        let detail = "Too many pages listen for changes.";
        let advice = "This page does not update by itself; reload it by hand, or close another.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::TooManyConnections, "Busy", detail, advice)
    }

    /// Something of ours failed; nothing was done.
    pub(super) fn unavailable(detail: impl std::fmt::Display) -> Self {
        tracing::error!(%detail, "the console could not answer");
        let advice =
            "Try again. If it stays like this, look at the gateway's log; what could not be recorded was not done.";
        let title = "This is not available";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::RecordUnavailable, title, detail.to_string(), advice)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::unavailable(error)
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Absent(_) => Self::not_found("entry in the record"),
            LogError::Unavailable(_) => Self::unavailable(error),
        }
    }
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        Self::new(status(denied.code), denied.code, "Not done", denied.message, advice(denied.code))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let detail = line(&self.detail);
        let frame = Frame::open(self.title.clone());
        render(self.status, &FailurePage { frame, status: self.status.as_u16(), detail, failure: &self })
    }
}

/// The page for an address that is none.
pub(super) async fn nowhere() -> Failure {
    Failure::not_found("page")
}

/// The page for a method that an address does not take.
pub(super) async fn wrong_method() -> Response {
    let mut failure = Failure::bad_request("This address does not take that kind of request.");
    failure.status = StatusCode::METHOD_NOT_ALLOWED;
    ([(header::ALLOW, "GET, HEAD, POST")], failure).into_response()
}

/// The HTTP status of a refusal.
pub(super) fn status(code: Code) -> StatusCode {
    match code {
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::ReviewClosed
        | Code::VotedAlready
        | Code::DigestMismatch
        | Code::ChallengeVoid
        | Code::CallbackUsed
        | Code::FollowUpDone
        | Code::IncidentDeclared
        | Code::TooManyPasskeys => StatusCode::CONFLICT,
        Code::PasskeysUnavailable => StatusCode::NOT_IMPLEMENTED,
        Code::ReasonInvalid | Code::BadRequest => StatusCode::BAD_REQUEST,
        Code::RecordUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::FORBIDDEN,
    }
}

/// What a person can do about a refusal of their vote.
pub(super) fn advice(code: Code) -> &'static str {
    match code {
        Code::SignInAgain => "Sign in again with the button below, then decide.",
        Code::LocalCredential => "Sign in with the identity provider, then decide.",
        Code::SelfApproval => "Ask one of the people named below; your attempt was recorded.",
        Code::NotAReviewer => "Ask one of the people named below, or have yourself added to a group that was asked.",
        Code::ReviewClosed => "Nothing is left to decide; the outcome is shown on this page.",
        Code::VotedAlready => "Your first vote stands; take it back before you vote again.",
        Code::DigestMismatch => "What you saw is not what waits here. Read the page as it is now, then decide again.",
        Code::NotRevealed => {
            "Nothing was counted. Reveal the hidden values below, or compare them with what you expect."
        }
        Code::ComparedTooOften => "Reveal the value instead.",
        Code::ReasonInvalid => "Write why you decide so, in at most 2,000 bytes, and send it again.",
        Code::PolicyError => "A policy failed while your vote was checked. Tell whoever maintains the policies.",
        Code::RecordUnavailable => {
            "Your vote was not counted. Try again; if it stays like this, look at the gateway's log."
        }
        Code::PasskeyRequired => "Press one of the buttons that sign. Your own page, under your name, adds a passkey.",
        Code::NotYourTurn => "Come back once they have approved; the review then asks you.",
        Code::PatternRefused => "Nothing was counted. Approve it for this once, or change what may vary.",
        Code::PasskeyRefused => {
            "Nothing was counted, and the attempt was recorded. Try again, or with another passkey."
        }
        Code::ChallengeVoid => "Nothing was counted. Read the page as it is now, and sign again within two minutes.",
        Code::PasskeysUnavailable => "Whoever runs the gateway can change its address in the configuration.",
        Code::TooManyPasskeys => "Remove one that you do not need any more.",
        Code::NoBreakGlass => "Ask the people named below; your attempt was recorded.",
        Code::IncidentDeclared => "End the one that goes on first, or let it end.",
        Code::FollowUpDone => "What was found is shown on the page of follow-ups.",
        Code::NotFound => "Check the address, or start from the inbox.",
        _ => "Sign in again if your session is old, or ask one of the people named below.",
    }
}
