//! Who sends a request: an agent by its key, or a job by its token. Their credential is read here and goes no further.
//!
//! A key is found wherever the client's own protocol puts one: `Authorization: Bearer` or `Basic`, the session token of a
//! request signed for AWS, or the header that the target's own credential has. One credential a request; two are refused.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_core::action::{PersonId, PersonRef, Requester, Timestamp};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use zeroize::Zeroizing;

use crate::codes::Code;
use crate::config::Auth;
use crate::gate::Gate;
use crate::identity::keys::{self, Kind};
use crate::identity::people::Snapshot;
use crate::ports::SecretHash;
use crate::refusal::Refusal;

/// How long what the directory said of a key is believed while nothing in it changes.
const BELIEVED: Duration = Duration::from_secs(1);
/// How often is asked again whether somebody may go on, should nobody have told of a change; in seconds.
const LOOKED_AT_EVERY: i64 = 60;
/// The most keys that a lane remembers.
const KNOWN_MAX: usize = 10_000;
/// The longest credential that is looked at.
const SECRET_BYTES_MAX: usize = 8 * 1024;
/// Where clients of AWS put the token of a session.
const AMZ_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// Who asks, as all requests of one key have it.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) requester: Arc<Requester>,
    pub(super) on_behalf_of: Arc<PersonRef>,
    pub(super) closure: Arc<BTreeSet<PersonId>>,
    /// The key's handle.
    pub(super) key: Arc<str>,
    hash: SecretHash,
    until: Option<Timestamp>,
}

/// What was found behind a key, and when.
struct Known {
    subject: Subject,
    people: Arc<Snapshot>,
    at: Instant,
}

/// Tells who sends a request of one lane.
#[derive(Default)]
pub(super) struct Doorman {
    known: Mutex<HashMap<SecretHash, Known>>,
    /// One for all lanes.
    adopting: Arc<tokio::sync::Mutex<()>>,
}

impl Doorman {
    /// The same for another lane.
    pub(super) fn beside(&self) -> Self {
        Self { known: Mutex::default(), adopting: self.adopting.clone() }
    }

    /// Who sends a request with these headers and query.
    ///
    /// # Errors
    /// [`Refusal`] with [`Code::Unauthenticated`], or the code of a job's token that is not taken.
    pub(super) async fn admit(
        &self,
        gate: &Gate,
        headers: &HeaderMap,
        query: Option<&str>,
        auth: &Auth,
    ) -> Result<Subject, Refusal> {
        let secret = secret(headers, auth)?;
        if query.is_some_and(|query| query.contains(secret.as_str())) {
            return Err(malformed()); // it would be passed on
        }
        let now = gate.scribe.now();
        match keys::kind(&secret) {
            Some(Kind::AgentKey) => self.by_key(gate, keys::hash(&secret), now).await,
            Some(Kind::Token | Kind::LoginLink | Kind::Session | Kind::SignIn) => Err(unknown()),
            None => Box::pin(self.by_token(gate, &secret, now)).await,
        }
    }

    async fn by_key(&self, gate: &Gate, hash: SecretHash, now: Timestamp) -> Result<Subject, Refusal> {
        self.find(gate, hash, now).await?.ok_or_else(unknown)
    }

    async fn find(&self, gate: &Gate, hash: SecretHash, now: Timestamp) -> Result<Option<Subject>, Refusal> {
        let people = {
            let people = gate.roster.peek();
            if let Some(known) = self.lock().get(&hash)
                && Arc::ptr_eq(&known.people, &people)
                && known.at.elapsed() < BELIEVED
                && known.subject.until.is_none_or(|until| now < until)
            {
                return Ok(Some(known.subject.clone()));
            }
            Arc::clone(&people)
        };
        let found = gate.directory.agent_by_key(&hash, now).await;
        let found = found.map_err(|error| Refusal::new(Code::RecordUnavailable, error.to_string()))?;
        let Some((agent, key)) = found else { return Ok(None) };
        let side = people.requester(&agent, &key, now).ok_or_else(|| {
            let message = "somebody who answers for this agent is suspended or has not accepted it";
            Refusal::new(Code::Unauthenticated, message).hint("its owner accepts it on the console's page \"You\"")
        })?;
        let subject = Subject {
            requester: side.requester.into(),
            on_behalf_of: side.on_behalf_of.into(),
            closure: side.closure.into(),
            key: key.id.as_str().into(),
            hash,
            until: key.expires_at,
        };
        let mut known = self.lock();
        if known.len() >= KNOWN_MAX {
            known.clear(); // they are found again
        }
        known.insert(hash, Known { subject: subject.clone(), people, at: Instant::now() });
        Ok(Some(subject))
    }

    /// Returns once the requester may do nothing any more: the agent is revoked, somebody who answers for it suspended, its
    /// key's time over; or when none of this can be told.
    pub(super) async fn gone(&self, gate: &Gate, subject: &Subject) {
        let mut changes = gate.roster.changes();
        loop {
            let now = gate.scribe.now();
            let Ok(Subject { until, .. }) = self.by_key(gate, subject.hash, now).await else { return };
            let left = until.map_or(LOOKED_AT_EVERY, |until| until.seconds_since(now).clamp(1, LOOKED_AT_EVERY));
            let seconds = Duration::from_secs(u64::try_from(left).unwrap_or(1)); // it is positive
            // who answers for it may change by the hour alone, which nobody tells
            let _ = tokio::time::timeout(seconds, changes.changed()).await;
        }
    }

    /// A job's token becomes a key of its agent when it first comes, and is that key from then on, whenever the gateway is
    /// started again.
    async fn by_token(&self, gate: &Gate, token: &str, now: Timestamp) -> Result<Subject, Refusal> {
        if token.split('.').count() != 3 {
            return Err(unknown());
        }
        let hash = keys::hash(token);
        if let Some(subject) = self.find(gate, hash, now).await? {
            return Ok(subject);
        }
        let _alone = self.adopting.lock().await; // of two requests with one new token, one brings it in
        if let Some(subject) = self.find(gate, hash, now).await? {
            return Ok(subject);
        }
        let adopted = gate.workloads.adopt(token).await;
        adopted.map_err(|refused| Refusal::new(refused.code, refused.detail))?;
        self.by_key(gate, hash, now).await
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SecretHash, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner) // a map is valid after any panic
    }
}

fn unknown() -> Refusal {
    Refusal::new(Code::Unauthenticated, "the key is unknown, has ended, or was revoked")
        .hint("send an agent's key as `Authorization: Bearer …`; keys are made by `countersign agent create`")
}

/// The credentials of a request, as they are found.
#[derive(Default)]
struct Secrets {
    first: Option<Zeroizing<String>>,
    /// Whether another than the first was found.
    differ: bool,
}

impl Secrets {
    fn push(&mut self, secret: Zeroizing<String>) {
        self.differ |= self.first.as_ref().is_some_and(|first| *first != secret);
        self.first.get_or_insert(secret);
    }
}

/// The one credential of a request.
fn secret(headers: &HeaderMap, auth: &Auth) -> Result<Zeroizing<String>, Refusal> {
    let mut found = Secrets::default();
    let mut signed = false;
    for value in headers.get_all(AUTHORIZATION) {
        let text = value.to_str().map_err(|_| malformed())?;
        match text.split_once(' ') {
            Some((scheme, _)) if scheme.starts_with("AWS4-HMAC-SHA256") => signed = true,
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token") => {
                found.push(Zeroizing::new(rest.trim().to_owned()));
            }
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("basic") => found.push(password(rest.trim())?),
            _ => return Err(malformed()),
        }
    }
    for value in headers.get_all(AMZ_TOKEN) {
        found.push(Zeroizing::new(value.to_str().map_err(|_| malformed())?.to_owned()));
    }
    if let Auth::Header { name, .. } = auth {
        for value in headers.get_all(name.as_str()) {
            found.push(Zeroizing::new(value.to_str().map_err(|_| malformed())?.to_owned()));
        }
    }
    let Secrets { first, differ } = found;
    let first = first.ok_or_else(|| {
        let what = if signed { "AWS_SESSION_TOKEN=KEY" } else { "`Authorization: Bearer KEY`" };
        Refusal::new(Code::Unauthenticated, "the request has no agent's key").hint(format!("send it as {what}"))
    })?;
    if differ || first.is_empty() || first.len() > SECRET_BYTES_MAX {
        return Err(malformed());
    }
    Ok(first)
}

/// The password of `Basic` credentials (RFC 7617 §2).
fn password(encoded: &str) -> Result<Zeroizing<String>, Refusal> {
    let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| malformed())?);
    let text = std::str::from_utf8(&bytes).map_err(|_| malformed())?;
    let (_, password) = text.split_once(':').ok_or_else(malformed)?;
    Ok(Zeroizing::new(password.to_owned()))
}

fn malformed() -> Refusal {
    Refusal::new(Code::Unauthenticated, "the request's credential is not one that is taken, or there are two")
        .hint("send one agent's key as `Authorization: Bearer KEY`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&'static str, &str)], expected: Option<&str>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a value"));
        }
        let auth = Auth::Header { name: "x-api-key".to_owned(), prefix: String::new() };
        let found = secret(&map, &auth).ok();
        assert_eq!(found.as_deref().map(String::as_str), expected, "{headers:?}");
    }

    #[test]
    fn a_key_is_found_where_clients_put_it() {
        check(&[("authorization", "Bearer csk_a")], Some("csk_a"));
        check(&[("authorization", "bearer  csk_a ")], Some("csk_a"));
        check(&[("authorization", "token csk_a")], Some("csk_a"));
        check(&[("authorization", "Basic YWdlbnQ6Y3NrX2E=")], Some("csk_a"));
        check(&[("x-api-key", "csk_a")], Some("csk_a"));
        let signed =
            "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0";
        check(&[("authorization", signed), ("x-amz-security-token", "csk_a")], Some("csk_a"));
    }

    #[test]
    fn two_credentials_and_none_are_refused() {
        check(&[], None);
        check(&[("authorization", "Bearer csk_a"), ("authorization", "Bearer csk_b")], None);
        check(&[("authorization", "Bearer csk_a"), ("x-api-key", "csk_b")], None);
        check(&[("authorization", "Digest username=x")], None);
        check(&[("authorization", "Basic !")], None);
        check(&[("authorization", "Bearer ")], None);
    }
}
