//! A token by client credentials (RFC 6749 §4.4), asked for when the one before ends or is refused.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::fetch::{Fetch, Limits};
use crate::identity::keys;
use crate::ports::SecretHash;

/// How long before its end a token is asked for anew.
const BEFORE_END: Duration = Duration::from_secs(30);
/// How long a token is used whose end is not told.
const LIFE: Duration = Duration::from_secs(5 * 60);
/// The longest that a token is used.
const LIFE_MAX: Duration = Duration::from_secs(60 * 60);

/// Who asks for a token, and where.
pub(super) struct Client<'a> {
    pub(super) token_url: &'a str,
    pub(super) client_id: &'a str,
    pub(super) scope: Option<&'a str>,
    pub(super) ca: Option<&'a Path>,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    token_type: String,
    expires_in: Option<u64>,
}

/// The token of one upstream.
#[derive(Default)]
pub(super) struct Token(Mutex<Option<Kept>>);

struct Kept {
    /// The client's secret, by its hash: another one gets a token of its own.
    secret: SecretHash,
    until: Instant,
    token: Zeroizing<String>,
}

impl Token {
    /// One that is good for a while.
    ///
    /// # Errors
    /// None is issued.
    pub(super) async fn get(&self, client: &Client<'_>, secret: &SecretString) -> Result<Zeroizing<String>, String> {
        let secret = secret.expose_secret();
        let of = keys::hash(secret);
        if let Some(kept) = &*self.kept()
            && kept.secret == of
            && Instant::now() < kept.until
        {
            return Ok(kept.token.clone());
        }
        let asked = Instant::now();
        let Answer { access_token, token_type, expires_in } = ask(client, secret).await?;
        let token = Zeroizing::new(access_token);
        if !token_type.eq_ignore_ascii_case("bearer") {
            return Err("the token endpoint issues no bearer token".to_owned());
        }
        let life = expires_in.map_or(LIFE, |seconds| Duration::from_secs(seconds).min(LIFE_MAX));
        let until = asked + life.saturating_sub(BEFORE_END);
        *self.kept() = Some(Kept { secret: of, until, token: token.clone() });
        Ok(token)
    }

    /// The upstream takes it no more.
    pub(super) fn forget(&self) {
        *self.kept() = None;
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner) // valid after any panic
    }
}

async fn ask(client: &Client<'_>, secret: &str) -> Result<Answer, String> {
    let form = form(client.scope.unwrap_or_default());
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = Zeroizing::new(format!("{}:{}", encoded(client.client_id), encoded(secret)));
    let request = http::Request::post(client.token_url)
        .header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(http::header::ACCEPT, "application/json")
        .header(http::header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(pair.as_bytes())))
        .body(form.into_bytes())
        .map_err(|error| error.to_string())?;
    let roots = match client.ca {
        Some(path) => {
            let pem = std::fs::read(path).map_err(|error| format!("`{}`: {error}", path.display()))?;
            reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| error.to_string())?
        }
        None => Vec::new(),
    };
    let fetch = Fetch::trusting(Limits::default(), roots).map_err(|error| error.to_string())?;
    let answer = fetch.send(request).await.map_err(|error| error.to_string())?;
    if !answer.status().is_success() {
        return Err(format!("the token endpoint answers {}", answer.status()));
    }
    serde_json::from_slice(answer.body()).map_err(|_| "the token endpoint's answer is no token".to_owned())
}

fn form(scope: &str) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    if !scope.is_empty() {
        form.append_pair("scope", scope);
    }
    form.finish()
}
