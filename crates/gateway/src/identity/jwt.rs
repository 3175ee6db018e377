//! Signed tokens of a trusted issuer (RFC 7519), checked as RFC 8725 advises.
//!
//! The signature is checked with one of the issuer's own keys ([`super::jwks`]) by an algorithm that the caller of
//! [`verify`] allows; `none` and symmetric algorithms have no name here that anybody could allow. Only then the claims are
//! read. Nothing that a token's header says is followed: no `jku`, no `x5u`, no embedded key, no extension.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::action::Timestamp;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::jwks::{self, Keys};
pub use crate::config::issuer::Signing;

/// The longest token: 16 KiB.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// The longest name of a key.
const KEY_ID_BYTES_MAX: usize = 512;
/// How far the clocks of issuer and gateway may be apart, in seconds, unless an issuer says otherwise.
pub const LEEWAY_SECONDS: i64 = 60;

/// The algorithm of a name in a header.
fn named(name: &str) -> Option<Signing> {
    Signing::ALL.into_iter().find(|signing| format!("{signing:?}") == name)
}

fn algorithm(signing: Signing) -> Algorithm {
    match signing {
        Signing::RS256 => Algorithm::RS256,
        Signing::RS384 => Algorithm::RS384,
        Signing::RS512 => Algorithm::RS512,
        Signing::PS256 => Algorithm::PS256,
        Signing::PS384 => Algorithm::PS384,
        Signing::PS512 => Algorithm::PS512,
        Signing::ES256 => Algorithm::ES256,
        Signing::ES384 => Algorithm::ES384,
        Signing::EdDSA => Algorithm::EdDSA,
    }
}

/// What a token must be to be believed.
#[derive(Debug, Clone, Copy)]
pub struct Expectations<'a> {
    /// Who must have issued it; `None` where it need not say (a SPIFFE JWT-SVID), and then a saying is not compared.
    pub issuer: Option<&'a str>,
    /// For whom it must be meant.
    pub audience: &'a str,
    /// How it may be signed.
    pub algorithms: &'a [Signing],
    /// What its header may say that it is (`typ`), without `application/`, in small letters; a header that says nothing is
    /// the empty text.
    pub types: &'a [&'a str],
    /// How long ago it may have been issued, in seconds; then it must say when that was.
    pub age_seconds_max: Option<i64>,
    /// How far the issuer's clock may be off, in seconds.
    pub leeway_seconds: i64,
    /// What the issuer must have endorsed its key for (Bot Framework's key sets say so of each).
    pub endorsement: Option<&'a str>,
}

/// Why a token is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not a signed token, or signed in a way that is not allowed.
    #[error("the token is not one that is taken: {0}")]
    Malformed(String),
    /// No key for it.
    #[error(transparent)]
    Keys(#[from] jwks::Error),
    /// The signature is not the issuer's.
    #[error("the token's signature is not the issuer's")]
    Signature,
    /// The issuer uses that key for something else.
    #[error("the token's key is not endorsed for `{0}`")]
    Endorsement(String),
    /// Somebody else issued it.
    #[error("the token was issued by somebody else")]
    Issuer,
    /// It is meant for somebody else.
    #[error("the token is meant for another audience than `{0}`")]
    Audience(String),
    /// It has ended, has not begun, or is too old.
    #[error("the token is not in force: {0}")]
    Time(&'static str),
}

/// The claims of a token that was believed.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// Claims that a believed token holds inside, as those of an actor.
    pub(super) fn of(claims: Map<String, Value>) -> Self {
        Self(claims)
    }

    /// A claim that is there, whatever it is.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A claim inside others, its names separated by `/`, as text; numbers and truth values as they are written. A claim
    /// whose own name has the separator in it is found first.
    pub fn text(&self, path: &str) -> Option<String> {
        let inside = || {
            let mut names = path.split('/');
            let first = self.0.get(names.next()?)?;
            names.try_fold(first, |value, name| value.get(name))
        };
        scalar(self.0.get(path).or_else(inside)?)
    }

    /// `iss`
    pub fn issuer(&self) -> Option<&str> {
        self.0.get("iss").and_then(Value::as_str)
    }

    /// `sub`
    pub fn subject(&self) -> Option<&str> {
        self.0.get("sub").and_then(Value::as_str)
    }

    /// `jti`
    pub fn id(&self) -> Option<&str> {
        self.0.get("jti").and_then(Value::as_str)
    }

    /// `exp`, which every token that is believed has.
    pub fn expires_at(&self) -> Option<Timestamp> {
        moment(self.0.get("exp")?)
    }
}

/// A claim of one value, as text.
pub fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// What a token says of itself, before anything of it is checked: good for finding out whose keys to check it with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Unverified {
    /// `iss`
    #[serde(default)]
    pub iss: Option<String>,
    /// `sub`
    #[serde(default)]
    pub sub: Option<String>,
}

/// Reads what a token says of itself.
///
/// # Errors
/// [`Error::Malformed`].
pub fn peek(token: &str) -> Result<Unverified, Error> {
    let parts = Parts::of(token)?;
    serde_json::from_slice(&decoded(parts.claims)?)
        .map_err(|_| malformed("its claims are not an object of the right shape"))
}

/// The three parts of a compact token.
struct Parts<'a> {
    header: &'a str,
    claims: &'a str,
}

impl<'a> Parts<'a> {
    fn of(token: &'a str) -> Result<Self, Error> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(malformed(format!("it has more than {TOKEN_BYTES_MAX} bytes")));
        }
        let mut parts = token.split('.');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(header), Some(claims), Some(_), None) => Ok(Self { header, claims }),
            _ => Err(malformed("it has not three parts")),
        }
    }
}

/// What matters of a header (RFC 7515 §4.1).
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default)]
    crit: Option<Value>,
    #[serde(default)]
    b64: Option<Value>,
}

/// Checks a token: its signature by one of the issuer's keys, for whom and until when it is, and who issued it.
///
/// # Errors
/// [`Error`]; nothing of it may be believed then.
pub async fn verify(keys: &Keys, token: &str, expected: &Expectations<'_>, now: Timestamp) -> Result<Claims, Error> {
    let parts = Parts::of(token)?;
    let header: Header =
        serde_json::from_slice(&decoded(parts.header)?).map_err(|_| malformed("its header is not valid"))?;
    let algorithm = allowed(&header, expected)?;
    let key = keys.key(header.kid.as_deref(), algorithm).await?;
    if let Some(wanted) = expected.endorsement
        && !key.endorsements.iter().any(|endorsed| endorsed == wanted)
    {
        return Err(Error::Endorsement(wanted.to_owned()));
    }
    let claims = signed(token, &key.key, algorithm)?;
    check(&claims, expected, now)?;
    Ok(claims)
}

/// The algorithm, if the header asks for nothing that is not expected.
fn allowed(header: &Header, expected: &Expectations<'_>) -> Result<Algorithm, Error> {
    let signing = named(&header.alg).filter(|signing| expected.algorithms.contains(signing));
    let signing = signing.ok_or_else(|| malformed(format!("it is signed by `{}`", header.alg.escape_debug())))?;
    if header.crit.is_some() || header.b64.is_some() {
        return Err(malformed("it asks for an extension"));
    }
    if header.kid.as_ref().is_some_and(|id| id.len() > KEY_ID_BYTES_MAX) {
        return Err(malformed("the name of its key is too long"));
    }
    let kind = header.typ.as_deref().unwrap_or_default().to_ascii_lowercase();
    let kind = kind.strip_prefix("application/").unwrap_or(&kind);
    if !expected.types.contains(&kind) {
        return Err(malformed(format!("it says that it is `{}`", kind.escape_debug())));
    }
    Ok(algorithm(signing))
}

/// The claims, if the signature is right. When they hold is checked by [`check`], with the gateway's own clock.
fn signed(token: &str, key: &jsonwebtoken::DecodingKey, algorithm: Algorithm) -> Result<Claims, Error> {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let data = jsonwebtoken::decode::<Value>(token, key, &validation).map_err(|_| Error::Signature)?;
    match data.claims {
        Value::Object(claims) => Ok(Claims(claims)),
        _ => Err(malformed("its claims are not an object")),
    }
}

fn check(claims: &Claims, expected: &Expectations<'_>, now: Timestamp) -> Result<(), Error> {
    if let Some(issuer) = expected.issuer
        && claims.issuer() != Some(issuer)
    {
        return Err(Error::Issuer);
    }
    if !audiences(claims).contains(expected.audience) {
        return Err(Error::Audience(expected.audience.to_owned()));
    }
    in_force(claims, expected, now)
}

fn audiences(claims: &Claims) -> BTreeSet<&str> {
    match claims.get("aud") {
        Some(Value::String(one)) => [one.as_str()].into(),
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => BTreeSet::new(),
    }
}

fn in_force(claims: &Claims, expected: &Expectations<'_>, now: Timestamp) -> Result<(), Error> {
    let leeway = expected.leeway_seconds;
    let at = |name: &'static str| match claims.get(name) {
        None => Ok(None),
        Some(value) => moment(value).map(Some).ok_or(Error::Time("one of its times is not a time")),
    };
    let ends = at("exp")?.ok_or(Error::Time("it does not say when it ends"))?;
    if now >= ends.plus_seconds(leeway) {
        return Err(Error::Time("it has expired"));
    }
    let (begins, issued) = (at("nbf")?, at("iat")?);
    if begins.max(issued).is_some_and(|begins| begins > now.plus_seconds(leeway)) {
        return Err(Error::Time("it is from the future"));
    }
    match (expected.age_seconds_max, issued) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(Error::Time("it does not say when it was issued")),
        (Some(age), Some(issued)) if now.seconds_since(issued) > age.saturating_add(leeway) => {
            Err(Error::Time("it was issued too long ago"))
        }
        (Some(_), Some(_)) => Ok(()),
    }
}

/// A `NumericDate` (RFC 7519 §2); fractions of a second are dropped.
fn moment(value: &Value) -> Option<Timestamp> {
    /// The year 9999, beyond which nothing is believed.
    const SECONDS_MAX: f64 = 253_402_300_799.0;
    let seconds = value.as_f64().filter(|seconds| (0.0..=SECONDS_MAX).contains(seconds))?;
    #[expect(clippy::cast_possible_truncation, reason = "it is within the bounds checked above")]
    Some(Timestamp::from_seconds(seconds as i64))
}

fn decoded(part: &str) -> Result<Vec<u8>, Error> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed("a part of it is not base64url"))
}

fn malformed(detail: impl Into<String>) -> Error {
    Error::Malformed(detail.into())
}

#[cfg(test)]
mod tests;
