//! Signing in with the identity provider: there with a cookie of ten minutes, back once and in the same browser.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse as _, Redirect, Response};
use countersign_core::record::Event;
use countersign_core::review::Method;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::Console;
use super::page::{Failure, Frame, render};
use super::session;
use crate::codes::Code;
use crate::identity::oidc::{self, Flow, Verified, Wish};
use crate::identity::sign_in::{self, SignIn};
use crate::identity::{Browser, keys};
use crate::ports::{Credential, Once, Person, ProviderSession, Scope, StoreError};

/// How long a person may take at the provider: ten minutes.
const FLOW_SECONDS: i64 = 10 * 60;
/// What the store calls a sign-in under way.
const ONCE_KIND: &str = "sign_in";
/// The longest address that a sign-in leads back to, in bytes.
const RETURN_BYTES_MAX: usize = 200;

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

/// What is kept of a sign-in under way.
#[derive(Serialize, Deserialize)]
struct UnderWay {
    back: String,
}

/// Sends the browser to the provider.
pub(super) async fn begin(State(console): State<Console>, Query(wish): Query<Begin>) -> Result<Response, Failure> {
    let sign_in = configured(&console)?;
    let secret = keys::make(keys::Kind::SignIn).map_err(Failure::unavailable)?;
    let flow = Flow::new(&secret);
    let max_age_seconds = wish.again.then_some(sign_in.provider.config().groups_max_age_seconds);
    let url = sign_in.provider.authorization_url(&flow, Wish { max_age_seconds }).await.map_err(failed)?;
    let now = console.gate.scribe.now();
    let body = serde_json::to_string(&UnderWay { back: own_page(wish.back) }).map_err(Failure::unavailable)?;
    let once = Once { kind: ONCE_KIND, key: flow.key(), body, expires_at: now.plus_seconds(FLOW_SECONDS) };
    match console.gate.directory.put_once(once, now).await {
        Ok(()) => {}
        Err(StoreError::Conflict) => return Err(Failure::busy()),
        Err(error) => return Err(error.into()),
    }
    // Lax: the provider's redirect back is a navigation from another site, which a Strict cookie does not go along with
    let cookie = session::set_cookie(&console, cookie_name(&console), &secret, FLOW_SECONDS, "Lax");
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&url)).into_response())
}

/// Takes the provider's answer, once, in the browser that asked.
pub(super) async fn finish(
    State(console): State<Console>,
    headers: HeaderMap,
    Query(answer): Query<Answer>,
) -> Result<Response, Failure> {
    let sign_in = configured(&console)?;
    let secret = session::the_one_cookie(cookie_name(&console), &headers);
    let secret = secret.filter(|secret| keys::kind(secret) == Some(keys::Kind::SignIn));
    let flow = secret.as_deref().map(Flow::new);
    let Some(flow) = flow.filter(|flow| bool::from(flow.state().as_bytes().ct_eq(answer.state.as_bytes()))) else {
        return Err(Failure::sign_in("this answer belongs to a sign-in that did not begin in this browser"));
    };
    let (directory, now) = (&console.gate.directory, console.gate.scribe.now());
    let Some(body) = directory.take_once(ONCE_KIND, &flow.key(), now).await? else {
        return Err(Failure::sign_in("this sign-in was finished already, or took too long"));
    };
    let UnderWay { back } = serde_json::from_str(&body).map_err(Failure::unavailable)?;
    match received(sign_in, &flow, answer).await {
        Ok((person, proof)) => {
            console.gate.roster.refresh().await?;
            super::login::end_session(&console, &headers).await?;
            let begun = begin_session(&console, &person, proof, session::browser(&headers)).await?;
            let ended = session::set_cookie(&console, cookie_name(&console), "", 0, "Lax");
            let page = SignedInPage { frame: Frame::open("Signed in"), then: back };
            let cookies = AppendHeaders([(header::SET_COOKIE, begun), (header::SET_COOKIE, ended)]);
            Ok((cookies, render(StatusCode::OK, &page)).into_response())
        }
        Err(refusal) => {
            let event = Event::IdentityRefused {
                what: "sign_in".to_owned(),
                code: Code::SignInFailed.name().to_owned(),
                issuer: None,
                more: None,
            };
            console.gate.store.append(vec![console.gate.scribe.record(event)]).await?;
            Err(refusal)
        }
    }
}

async fn received(sign_in: &SignIn, flow: &Flow<'_>, answer: Answer) -> Result<(Person, Verified), Failure> {
    if answer.iss.as_ref().is_some_and(|issuer| *issuer != sign_in.provider.config().issuer) {
        return Err(Failure::sign_in("the answer comes from another identity provider")); // RFC 9207, section 2.4
    }
    if let Some(error) = answer.error {
        let description = answer.error_description.map(|text| format!(": {text}")).unwrap_or_default();
        return Err(Failure::sign_in(format!("the identity provider says `{error}`{description}")));
    }
    let code = answer.code.ok_or_else(|| Failure::sign_in("the identity provider's answer has no code"))?;
    let proof = sign_in.provider.exchange(flow, code).await.map_err(failed)?;
    let person = sign_in.reception.receive(&proof).await.map_err(|error| match error {
        sign_in::Error::Store(error) => error.into(),
        refused => Failure::sign_in(refused.to_string()),
    })?;
    Ok((person, proof))
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

/// An address of ours to go on to; anything else is the inbox. Browsers read `\` as `/`, and `//host` as another host.
fn own_page(back: String) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '?' | '=' | '&');
    let ours = back.starts_with('/') && !back.starts_with("//") && back.len() <= RETURN_BYTES_MAX;
    if ours && back.chars().all(plain) { back } else { "/".to_owned() }
}

fn cookie_name(console: &Console) -> &'static str {
    if session::is_https(console) { "__Host-countersign_signin" } else { "countersign_signin" }
}

#[cfg(test)]
mod tests {
    use super::own_page;

    #[test]
    fn a_sign_in_leads_to_our_own_pages_only() {
        for page in ["/", "/reviews/0190-ab", "/record?from=3&to=9"] {
            assert_eq!(own_page(page.to_owned()), page);
        }
        for other in
            ["", "//evil.net", "/\\evil.net", "https://evil.net", "evil", "/a\r\nSet-Cookie: x", "/@evil", "/:x"]
        {
            assert_eq!(own_page(other.to_owned()), "/", "{other}");
        }
        assert_eq!(own_page(format!("/{}", "a".repeat(300))), "/");
    }
}
