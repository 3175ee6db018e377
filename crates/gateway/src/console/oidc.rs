//! Signing in with the identity provider: there with a cookie of ten minutes, back once and in the same browser.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse as _, Redirect, Response};
use countersign_core::review::Method;
use serde::Deserialize;

use super::Console;
use super::page::{Failure, Frame, render};
use super::session;
use crate::codes::Code;
use crate::identity::Browser;
use crate::identity::flow::{FLOW_SECONDS, Flow};
use crate::identity::oidc::{self, Verified, Wish};
use crate::identity::sign_in::{self, SignIn};
use crate::ports::{Credential, Once, Person, ProviderSession, Scope, StoreError};

/// What the store calls a sign-in that was used.
const ONCE_KIND: &str = "sign_in";

#[derive(Template)]
#[template(path = "signed_in.html")]
struct SignedInPage {
    frame: Frame,
    /// The page goes on by itself: a redirect would still count as the provider's, and browsers would withhold the cookie.
    then: String,
}

/// Where to go afterwards, and whether the person is to prove who they are again.
#[derive(Deserialize)]
pub(super) struct Begin {
    #[serde(default, rename = "return")]
    back: String,
    #[serde(default)]
    again: bool,
}

/// What the provider sends back.
#[derive(Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    state: String,
    code: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
    iss: Option<String>,
}

/// Sends the browser to the provider.
pub(super) async fn begin(State(console): State<Console>, Query(wish): Query<Begin>) -> Result<Response, Failure> {
    let sign_in = configured(&console)?;
    let flow = Flow::begin(&wish.back, console.gate.scribe.now()).map_err(Failure::unavailable)?;
    let max_age_seconds = wish.again.then_some(sign_in.provider.config().groups_max_age_seconds);
    let url = sign_in.provider.authorization_url(&flow, Wish { max_age_seconds }).await.map_err(failed)?;
    // Lax: the provider's redirect back is a navigation from another site, which a Strict cookie does not go along with
    let cookie = session::set_cookie(&console, cookie_name(&console), flow.cookie(), FLOW_SECONDS, "Lax");
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&url)).into_response())
}

/// Takes the provider's answer, once, in the browser that asked.
pub(super) async fn finish(
    State(console): State<Console>,
    headers: HeaderMap,
    Query(answer): Query<Answer>,
) -> Result<Response, Failure> {
    let sign_in = configured(&console)?;
    let cookie = session::the_one_cookie(cookie_name(&console), &headers);
    let flow = cookie.and_then(|cookie| Flow::of_cookie(cookie, console.gate.scribe.now()));
    let Some(flow) = flow.filter(|flow| flow.answered_by(&answer.state)) else {
        let detail = "this answer belongs to a sign-in that did not begin in this browser, is over, or took too long";
        return Err(Failure::sign_in(detail));
    };
    match received(&console, sign_in, &flow, answer).await {
        Ok((person, proof)) => {
            console.gate.roster.refresh().await?;
            super::login::end_session(&console, &headers).await?;
            let begun = begin_session(&console, &person, proof, session::browser(&headers)).await?;
            let ended = session::set_cookie(&console, cookie_name(&console), "", 0, "Lax");
            let page = SignedInPage { frame: Frame::open("Signed in"), then: flow.back().to_owned() };
            let cookies = AppendHeaders([(header::SET_COOKIE, begun), (header::SET_COOKIE, ended)]);
            Ok((cookies, render(StatusCode::OK, &page)).into_response())
        }
        Err(refusal) => {
            let (store, scribe) = (&*console.gate.store, &console.gate.scribe);
            console.refusals.record(store, scribe, "sign_in", Code::SignInFailed, None).await?;
            Err(refusal)
        }
    }
}

async fn received(
    console: &Console,
    sign_in: &SignIn,
    flow: &Flow,
    answer: Answer,
) -> Result<(Person, Verified), Failure> {
    if answer.iss.as_ref().is_some_and(|issuer| *issuer != sign_in.provider.config().issuer) {
        return Err(Failure::sign_in("the answer comes from another identity provider")); // RFC 9207, section 2.4
    }
    if let Some(error) = answer.error {
        let description = answer.error_description.map(|text| format!(": {text}")).unwrap_or_default();
        return Err(Failure::sign_in(format!("the identity provider says `{error}`{description}")));
    }
    let code = answer.code.ok_or_else(|| Failure::sign_in("the identity provider's answer has no code"))?;
    let proof = sign_in.provider.exchange(flow, code).await.map_err(failed)?;
    use_once(console, flow).await?;
    let person = sign_in.reception.receive(&proof).await.map_err(|error| match error {
        sign_in::Error::Store(error) => error.into(),
        refused => Failure::sign_in(refused.to_string()),
    })?;
    Ok((person, proof))
}

/// Remembers a sign-in by its state, once the provider has vouched for it; strangers therefore cannot fill the store. A
/// provider takes a code once; should one take it twice, we do not.
async fn use_once(console: &Console, flow: &Flow) -> Result<(), Failure> {
    match is_first(console, flow).await? {
        true => Ok(()),
        false => Err(Failure::sign_in("this sign-in was finished already")),
    }
}

/// Whether no answer was taken for this flow before; remembers that one is.
pub(super) async fn is_first(console: &Console, flow: &Flow) -> Result<bool, StoreError> {
    let once = Once { kind: ONCE_KIND, key: flow.key(), body: String::new(), expires_at: flow.ends_at() };
    match console.gate.directory.put_once(once, console.gate.scribe.now()).await {
        Ok(()) => Ok(true),
        Err(StoreError::NameTaken(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn begin_session(
    console: &Console,
    person: &Person,
    proof: Verified,
    browser: Browser,
) -> Result<String, Failure> {
    let now = console.gate.scribe.now();
    let Verified { issuer, subject, sid, mfa, authenticated_at, .. } = proof;
    let credential = Credential {
        id: uuid::Uuid::now_v7().to_string(),
        person: person.id.clone(),
        scope: Scope::ReviewVote,
        local: false,
        method: Method::Console,
        mfa,
        authenticated_at,
        expires_at: now.plus_seconds(session::session_seconds(console)),
        provider: Some(ProviderSession { issuer, subject, sid }),
        browser: None,
        label: String::new(),
    };
    super::login::begin_session(console, credential, browser).await
}

fn configured(console: &Console) -> Result<&SignIn, Failure> {
    console.gate.sign_in.as_ref().ok_or_else(|| Failure::not_found("identity provider"))
}

fn failed(error: oidc::Error) -> Failure {
    tracing::warn!(%error, "a sign-in failed");
    Failure::sign_in(error.to_string())
}

fn cookie_name(console: &Console) -> &'static str {
    if session::is_https(console) { "__Host-countersign_signin" } else { "countersign_signin" }
}
