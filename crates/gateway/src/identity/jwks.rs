//! The public keys of a trusted issuer (RFC 7517): fetched, kept, and fetched again when they change.
//!
//! Callers may be anyone, so what they send decides little: a token that names a key nobody knows makes the gateway ask the
//! issuer again, but at most once per [`RETRY_AFTER`], whoever sends how many. Keys that were fetched stay good for
//! [`KEPT_MAX`] while the issuer does not answer; after that, and whenever there are none, the answer is a refusal.
//!
//! An answer is bounded in size and time, redirects are not followed, and what is not `https` is asked on loopback only.
//! Keys of symmetric algorithms are dropped where they are read: no token can ever be checked with one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::Url;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::config::issuer::is_trustworthy;
use crate::fetch::{self, Fetch, Limits};

/// How long fetched keys are used before they are asked for again: 10 minutes.
const FRESH: Duration = Duration::from_secs(10 * 60);
/// How long fetched keys stay good while the issuer does not answer: an hour.
pub const KEPT_MAX: Duration = Duration::from_secs(60 * 60);
/// How long the issuer is left alone after it was asked.
pub const RETRY_AFTER: Duration = Duration::from_secs(10);
/// How long the issuer may take to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// The largest answer: 256 KiB.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// The most keys of one issuer that are looked at.
const KEYS_MAX: usize = 64;

/// Where an issuer's keys are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// At this address.
    Uri(Url),
    /// Where the issuer's own metadata says (OpenID Connect Discovery 1.0 §4). The text is the issuer, as tokens name it.
    Discovery(String),
    /// Where this metadata of an issuer says, which stands at another place than its name says.
    Metadata {
        /// Where it stands.
        url: Url,
        /// The issuer, as tokens name it.
        issuer: String,
    },
    /// In a file: for an issuer that the gateway cannot reach.
    File(PathBuf),
}

/// One public key, and the algorithms it may be used with.
#[derive(Clone)]
pub(super) struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    /// What the issuer says that it is good for, where it says so (`endorsements`).
    pub(super) endorsements: Vec<String>,
    pub(super) key: DecodingKey,
}

/// Why there is no key for a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The issuer cannot be asked, and what was fetched before is too old or does not hold the key.
    #[error("the issuer's keys cannot be had: {0}")]
    Unavailable(String),
    /// The issuer has no such key.
    #[error("the issuer has no such key")]
    UnknownKey,
}

/// An issuer's keys.
pub struct Keys {
    client: Fetch,
    source: Source,
    kept: ArcSwapOption<Kept>,
    asked: Mutex<Asked>,
}

struct Kept {
    keys: Vec<Key>,
    fetched_at: Instant,
}

/// The last time the issuer was asked, and what was wrong with its answer.
#[derive(Default)]
struct Asked {
    at: Option<Instant>,
    failure: Option<String>,
}

/// A client for issuers: bounded in time, without redirects. `roots` are trusted besides the system's certificates.
///
/// # Errors
/// TLS cannot be set up.
pub fn client(roots: Vec<reqwest::Certificate>) -> Result<Fetch, fetch::Error> {
    Fetch::trusting(Limits { time: ANSWER_TIME_MAX, bytes: ANSWER_BYTES_MAX }, roots)
}

impl Keys {
    /// Asks for nothing yet.
    pub fn new(client: Fetch, source: Source) -> Self {
        Self { client, source, kept: ArcSwapOption::empty(), asked: Mutex::default() }
    }

    /// Asks the issuer. Returns how many keys for signatures it has.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn count(&self) -> Result<usize, Error> {
        let failure = self.ask(&mut *self.asked.lock().await).await;
        match (self.kept.load_full(), failure) {
            (Some(kept), None) => Ok(kept.keys.len()),
            (_, failure) => Err(Error::Unavailable(failure.unwrap_or_default())),
        }
    }

    /// Whether nobody was asked for anything yet.
    #[cfg(test)]
    pub(super) fn untouched(&self) -> bool {
        self.asked.try_lock().is_ok_and(|asked| asked.at.is_none())
    }

    /// The key for a token that names this one, or none. A token without a name gets a key only if just one would do.
    pub(super) async fn key(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Key, Error> {
        let kept = self.kept.load_full();
        let fresh = kept.as_ref().filter(|kept| kept.fetched_at.elapsed() < FRESH);
        if let Some(key) = fresh.and_then(|kept| kept.find(id, algorithm)) {
            return Ok(key);
        }
        let known = kept.as_ref().is_some_and(|kept| kept.is_good() && kept.find(id, algorithm).is_some());
        // one caller asks; who could go on with what is kept does not wait for it
        let failure = match self.asked.try_lock() {
            Ok(mut asked) => self.ask(&mut asked).await,
            Err(_) if known => None,
            Err(_) => self.ask(&mut *self.asked.lock().await).await,
        };
        match self.kept.load_full().filter(|kept| kept.is_good()) {
            Some(kept) => match (kept.find(id, algorithm), failure) {
                (Some(key), _) => Ok(key),
                (None, Some(failure)) => Err(Error::Unavailable(failure)),
                (None, None) => Err(Error::UnknownKey),
            },
            None => Err(Error::Unavailable(failure.unwrap_or_else(|| "they are too old".to_owned()))),
        }
    }

    /// Asks the issuer unless it was asked just now. Returns what is wrong with its last answer.
    async fn ask(&self, asked: &mut Asked) -> Option<String> {
        if asked.at.is_some_and(|at| at.elapsed() < RETRY_AFTER) {
            return asked.failure.clone();
        }
        // set before the answer is there: a caller who leaves in between has asked all the same
        *asked = Asked { at: Some(Instant::now()), failure: Some("the last request was not waited for".to_owned()) };
        asked.failure = match self.fetch().await {
            Ok(keys) => {
                self.kept.store(Some(Arc::new(Kept { keys, fetched_at: Instant::now() })));
                None
            }
            Err(failure) => {
                tracing::warn!(source = ?self.source, failure, "an issuer's keys could not be fetched");
                Some(failure)
            }
        };
        asked.failure.clone()
    }

    async fn fetch(&self) -> Result<Vec<Key>, String> {
        let text = match &self.source {
            Source::Uri(url) => self.get(url.clone()).await?,
            Source::Discovery(issuer) => {
                let place = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
                let place = Url::parse(&place).map_err(|error| error.to_string())?;
                self.get(self.discover(&place, issuer).await?).await?
            }
            Source::Metadata { url, issuer } => self.get(self.discover(url, issuer).await?).await?,
            Source::File(path) => read(path).await?,
        };
        parse(&text)
    }

    /// Where the issuer's metadata says that the keys are.
    async fn discover(&self, place: &Url, issuer: &str) -> Result<Url, String> {
        #[derive(Deserialize)]
        struct Metadata {
            issuer: String,
            jwks_uri: String,
        }
        let text = self.get(place.clone()).await?;
        let metadata: Metadata =
            serde_json::from_slice(&text).map_err(|error| format!("its metadata is not valid: {error}"))?;
        if metadata.issuer != issuer {
            return Err(format!("its metadata names another issuer, `{}`", metadata.issuer.escape_debug()));
        }
        let uri = Url::parse(&metadata.jwks_uri).map_err(|error| format!("its `jwks_uri` is not valid: {error}"))?;
        if place.scheme() == "https" && uri.scheme() != "https" {
            return Err("its metadata points from https to plaintext".to_owned());
        }
        Ok(uri)
    }

    async fn get(&self, url: Url) -> Result<Vec<u8>, String> {
        if !is_trustworthy(&url) {
            return Err(format!("`{url}` is neither https nor on this host"));
        }
        let request = http::Request::get(url.as_str()).body(Vec::new()).map_err(|error| error.to_string())?;
        let answer = self.client.clone().send(request).await.map_err(|error| format!("`{url}`: {error}"))?;
        if answer.status() != http::StatusCode::OK {
            return Err(format!("`{url}` answers {}", answer.status()));
        }
        Ok(answer.into_body())
    }
}

async fn read(path: &PathBuf) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("`{}`: {error}", path.display());
    let size = tokio::fs::metadata(path).await.map_err(failed)?.len();
    if usize::try_from(size).is_ok_and(|size| size <= ANSWER_BYTES_MAX) {
        return tokio::fs::read(path).await.map_err(failed);
    }
    Err(format!("`{}` has more than {ANSWER_BYTES_MAX} bytes", path.display()))
}

impl Kept {
    fn is_good(&self) -> bool {
        self.fetched_at.elapsed() < KEPT_MAX
    }

    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<Key> {
        let named = |key: &&Key| id.is_none() || key.id.as_deref() == id;
        let mut fitting = self.keys.iter().filter(named).filter(|key| key.algorithms.contains(&algorithm));
        let first = fitting.next()?;
        (id.is_some() || fitting.next().is_none()).then(|| first.clone())
    }
}

/// Reads a key set; what is not a public key for signatures that the gateway knows is passed over.
fn parse(text: &[u8]) -> Result<Vec<Key>, String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }
    let set: Set = serde_json::from_slice(text).map_err(|error| format!("its keys are not valid: {error}"))?;
    let keys = set.keys.into_iter().take(KEYS_MAX).filter_map(usable);
    let keys: Vec<Key> = keys.collect();
    if keys.is_empty() { Err("it has no keys for signatures".to_owned()) } else { Ok(keys) }
}

fn usable(key: serde_json::Value) -> Option<Key> {
    let endorsements = key.get("endorsements").cloned().map(serde_json::from_value).transpose().ok()?;
    let jwk: Jwk = serde_json::from_value(key).ok()?;
    let common = &jwk.common;
    let signs = match &common.public_key_use {
        None | Some(PublicKeyUse::Signature) => true,
        Some(PublicKeyUse::Other(other)) => other == "jwt-svid", // SPIFFE Trust Domain and Bundle §4.2
        Some(PublicKeyUse::Encryption) => false,
    };
    let verifies = common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
    let fitting: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => &[
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => &[Algorithm::ES256],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => &[Algorithm::ES384],
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
        _ => return None,
    };
    let named = |algorithm: &Algorithm| common.key_algorithm.is_none_or(|named| is(named, *algorithm));
    let algorithms: Vec<Algorithm> = fitting.iter().copied().filter(named).collect();
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    (signs && verifies && !algorithms.is_empty()).then(|| Key {
        id: common.key_id.clone(),
        algorithms,
        endorsements: endorsements.unwrap_or_default(),
        key,
    })
}

fn is(named: KeyAlgorithm, algorithm: Algorithm) -> bool {
    matches!(
        (named, algorithm),
        (KeyAlgorithm::RS256, Algorithm::RS256)
            | (KeyAlgorithm::RS384, Algorithm::RS384)
            | (KeyAlgorithm::RS512, Algorithm::RS512)
            | (KeyAlgorithm::PS256, Algorithm::PS256)
            | (KeyAlgorithm::PS384, Algorithm::PS384)
            | (KeyAlgorithm::PS512, Algorithm::PS512)
            | (KeyAlgorithm::ES256, Algorithm::ES256)
            | (KeyAlgorithm::ES384, Algorithm::ES384)
            | (KeyAlgorithm::EdDSA, Algorithm::EdDSA)
    )
}
