//! Back-channel logout: the provider tells the gateway that somebody's session there has ended, and theirs here ends too.
//!
//! Specification: OpenID Connect Back-Channel Logout 1.0, sections 2.4 to 2.6.

use countersign_core::action::{PersonId, Timestamp};
use countersign_core::record::Event;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::jwks::Keys;
use super::jwt::{self, Claims, Expectations, LEEWAY_SECONDS, Signing};
use crate::config::Oidc;
use crate::ports::{Credential, CredentialKind, Directory, Once, ProviderSession, Scribe, StoreError};

/// What a logout token says that it is about.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// How old a logout token may be, in seconds.
const AGE_SECONDS_MAX: i64 = 5 * 60;
/// How long a token's id is remembered, so that it counts once: longer than it may be old.
const REMEMBERED_SECONDS: i64 = 15 * 60;

/// Why a token ended nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not a logout token of the provider, for this gateway, of now.
    #[error("{0}")]
    Invalid(String),
    /// It has been used.
    #[error("this logout token was used already")]
    Used,
    /// The directory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whose sessions end.
struct Ended {
    subject: Option<String>,
    sid: Option<String>,
    jti: String,
}

/// Ends the sessions that a logout token names. Returns how many there were.
///
/// # Errors
/// [`Error`]; nothing ended.
pub(super) async fn end(
    keys: &Keys,
    oidc: &Oidc,
    directory: &dyn Directory,
    scribe: &Scribe,
    token: &str,
) -> Result<u64, Error> {
    let now = scribe.now();
    let ended = read(keys, oidc, token, now).await?;
    use_once(directory, &oidc.issuer, &ended.jti, now).await?;
    let sessions = directory.credentials(None, now).await?;
    let of = |session: &ProviderSession| {
        let same = |told: &Option<String>, own: Option<&String>| told.as_ref().is_none_or(|told| Some(told) == own);
        session.issuer == oidc.issuer
            && same(&ended.sid, session.sid.as_ref())
            && same(&ended.subject, Some(&session.subject))
    };
    let theirs = sessions
        .into_iter()
        .filter(|(kind, credential)| *kind == CredentialKind::Session && credential.provider.as_ref().is_some_and(of));
    let theirs: Vec<Credential> = theirs.map(|(_, credential)| credential).collect();
    let record = |id: &str, person: &PersonId| {
        let (what, change) = ("session".to_owned(), "ended_by_provider".to_owned());
        let person = Some(person.clone());
        scribe.record(Event::IdentityEnrolled { what, id: id.to_owned(), person, change, local: false, passkey: None })
    };
    let records = theirs.iter().map(|credential| record(&credential.id, &credential.person)).collect();
    Ok(directory.end_credentials(theirs.into_iter().map(|credential| credential.id).collect(), records).await?)
}

async fn read(keys: &Keys, oidc: &Oidc, token: &str, now: Timestamp) -> Result<Ended, Error> {
    let expected = Expectations {
        issuer: Some(&oidc.issuer),
        audience: &oidc.client_id,
        algorithms: &Signing::ALL,
        // providers older than the final specification say `JWT`, or nothing; what makes it a logout token is its event
        types: &["logout+jwt", "jwt", ""],
        age_seconds_max: Some(AGE_SECONDS_MAX),
        leeway_seconds: LEEWAY_SECONDS,
        endorsement: None,
    };
    let claims = jwt::verify(keys, token, &expected, now).await.map_err(|error| Error::Invalid(error.to_string()))?;
    let invalid = |detail: &str| Error::Invalid(detail.to_owned());
    if claims.get("nonce").is_some() {
        return Err(invalid("the token has a nonce: it signs somebody in, not out"));
    }
    if !claims.get("events").and_then(Value::as_object).is_some_and(|events| events.contains_key(EVENT)) {
        return Err(invalid("the token is not about a logout"));
    }
    let (subject, sid) = (claims.subject().map(str::to_owned), text(&claims, "sid"));
    if subject.is_none() && sid.is_none() {
        return Err(invalid("the token names neither a person nor a session"));
    }
    let jti = claims.id().ok_or_else(|| invalid("the token has no id"))?.to_owned();
    Ok(Ended { subject, sid, jti })
}

fn text(claims: &Claims, name: &str) -> Option<String> {
    claims.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// Remembers a token by its id: of two with the same, one counts.
async fn use_once(directory: &dyn Directory, issuer: &str, jti: &str, now: Timestamp) -> Result<(), Error> {
    let key = Sha256::new().chain_update(issuer).chain_update(b"\0").chain_update(jti).finalize().into();
    let expires_at = now.plus_seconds(REMEMBERED_SECONDS);
    let once = Once { kind: "logout_token", key, body: String::new(), expires_at };
    match directory.put_once(once, now).await {
        Ok(()) => Ok(()),
        Err(StoreError::NameTaken(_)) => Err(Error::Used),
        Err(error) => Err(error.into()),
    }
}
