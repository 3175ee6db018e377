//! A token by client credentials (RFC 6749 §4.4), asked for when the one before ends.

use std::collections::HashMap;
use std::path::Path;
use std::sync::LazyLock;
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
/// The most tokens that are kept.
const KEPT_MAX: usize = 1_000;

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

type Kept = HashMap<SecretHash, (Instant, Zeroizing<String>)>;

static TOKENS: LazyLock<tokio::sync::Mutex<Kept>> = LazyLock::new(tokio::sync::Mutex::default);

/// A token that is good for a while.
///
/// # Errors
/// None is issued.
pub(super) async fn token(client: &Client<'_>, secret: &SecretString) -> Result<Zeroizing<String>, String> {
    let secret = secret.expose_secret();
    let scope = client.scope.unwrap_or_default();
    let name = Zeroizing::new(format!("{}\n{}\n{scope}\n{secret}", client.token_url, client.client_id));
    let name = keys::hash(&name);
    let mut tokens = TOKENS.lock().await;
    if let Some((until, token)) = tokens.get(&name)
        && Instant::now() < *until
    {
        return Ok(token.clone());
    }
    let asked = Instant::now();
    let Answer { access_token, token_type, expires_in } = ask(client, secret, scope).await?;
    if !token_type.eq_ignore_ascii_case("bearer") {
        return Err(format!("the token endpoint issues `{token_type}` tokens; a bearer token is needed"));
    }
    let life = expires_in.map_or(LIFE, |seconds| Duration::from_secs(seconds).min(LIFE_MAX));
    let token = Zeroizing::new(access_token);
    if tokens.len() >= KEPT_MAX {
        tokens.clear(); // they are asked for again
    }
    tokens.insert(name, (asked + life.saturating_sub(BEFORE_END), token.clone()));
    Ok(token)
}

async fn ask(client: &Client<'_>, secret: &str, scope: &str) -> Result<Answer, String> {
    let form = form(scope);
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
