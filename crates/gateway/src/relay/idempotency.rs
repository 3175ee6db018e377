//! `Idempotency-Key`: the same request, sent again because its answer was lost, is answered again and not run again.
//!
//! By draft-ietf-httpapi-idempotency-key-header. A key belongs to one agent, the person it acts for, and one target. That its request was run is
//! written down before it is sent, and outlives a restart; its answer is kept in memory, if it is short. What was refused
//! or still waits for people has not run: the key is free then, and the same request joins its review.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use countersign_core::action::{PayloadDigest, Timestamp};
use http::{HeaderMap, HeaderName, Method, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;

use super::body::Answering;
use crate::codes::Code;
use crate::gate::Gate;
use crate::identity::keys;
use crate::ports::{Once, SecretHash, StoreError};
use crate::refusal::Refusal;

/// For how long a key is remembered.
const LIFE_SECONDS: i64 = 24 * 60 * 60;
/// The longest key.
const KEY_BYTES_MAX: usize = 255;
/// The longest answer that is kept, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// The most answers that are kept.
const ANSWERS_MAX: usize = 10_000;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static(KIND);
/// What the store calls it.
const KIND: &str = "idempotency-key";

/// An answer as it was given.
#[derive(Clone)]
struct Kept {
    payload: PayloadDigest,
    until: Timestamp,
    /// Absent where it was too long.
    answer: Option<(StatusCode, HeaderMap, Bytes)>,
}

/// Answers to requests with a key.
#[derive(Default)]
pub(super) struct Answers(Mutex<HashMap<SecretHash, Kept>>);

/// One request with a key.
#[derive(Debug, Clone)]
pub(super) struct Ticket {
    name: SecretHash,
    payload: PayloadDigest,
}

impl Ticket {
    /// Of a request that has a key, and could have an effect.
    ///
    /// # Errors
    /// The key is too long.
    pub(super) fn of(
        (agent, person, target): (&str, &str, &str),
        method: &Method,
        headers: &HeaderMap,
        payload: impl FnOnce() -> Vec<u8>,
    ) -> Result<Option<Self>, Refusal> {
        let Some(key) = headers.get(IDEMPOTENCY_KEY).filter(|_| !method.is_safe()) else { return Ok(None) };
        if key.len() > KEY_BYTES_MAX {
            let message = format!("the `Idempotency-Key` is longer than {KEY_BYTES_MAX} bytes");
            return Err(Refusal::new(Code::BadRequest, message));
        }
        let mut name = format!("{agent}\n{person}\n{target}\n").into_bytes();
        name.extend_from_slice(key.as_bytes());
        let name = keys::hash(&hex::encode(name));
        Ok(Some(Self { name, payload: PayloadDigest::of(&payload()) }))
    }

    /// Writes down that it is sent now, before it is.
    ///
    /// # Errors
    /// [`Refusal`]: a request with this key was sent before.
    pub(super) async fn begin(&self, gate: &Gate) -> Result<(), Refusal> {
        let now = gate.scribe.now();
        let (body, expires_at) = (self.payload.to_string(), now.plus_seconds(LIFE_SECONDS));
        let once = Once { kind: KIND, key: self.name, body, expires_at };
        match gate.directory.put_once(once, now).await {
            Ok(()) => Ok(()),
            Err(StoreError::NameTaken(_)) => {
                Err(used("a request with this `Idempotency-Key` has run; its answer is not kept"))
            }
            Err(StoreError::Conflict) => {
                Err(Refusal::new(Code::TooManyConnections, "too many requests with an `Idempotency-Key`"))
            }
            Err(error) => Err(Refusal::new(Code::RecordUnavailable, error.to_string())),
        }
    }

    /// Nothing of it was sent after all: the key is free again. Where that cannot be written down, the key stays used.
    pub(super) async fn release(&self, gate: &Gate) {
        if let Err(error) = gate.directory.take_once(KIND, &self.name, gate.scribe.now()).await {
            tracing::warn!(%error, "an idempotency key could not be freed");
        }
    }
}

fn used(message: &str) -> Refusal {
    Refusal::new(Code::IdempotencyKeyUsed, message).hint("look what came of it; for something new, send another key")
}

impl Answers {
    /// The answer that was given before; `None` where nothing has run.
    ///
    /// # Errors
    /// [`Refusal`]: the key stands for another request, or the answer is not kept.
    pub(super) fn before(&self, ticket: &Ticket, now: Timestamp) -> Result<Option<Response<Answering>>, Refusal> {
        let kept = self.lock().get(&ticket.name).filter(|kept| now < kept.until).cloned();
        let Some(Kept { payload, answer, .. }) = kept else { return Ok(None) };
        if payload != ticket.payload {
            let message = "another request was sent with this `Idempotency-Key`";
            return Err(Refusal::new(Code::IdempotencyKeyReused, message).hint("send another key with another request"));
        }
        let (status, headers, body) = answer
            .ok_or_else(|| used("a request with this `Idempotency-Key` has run; its answer was too long to keep"))?;
        let mut response = Response::new(Answering::whole(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(Some(response))
    }

    /// Keeps an answer of the upstream's, and passes it on.
    pub(super) async fn keep(
        &self,
        ticket: Ticket,
        response: Response<Answering>,
        now: Timestamp,
    ) -> Result<Response<Answering>, Refusal> {
        let until = now.plus_seconds(LIFE_SECONDS);
        let short = response.body().size_hint().upper().is_some_and(|bytes| bytes <= ANSWER_BYTES_MAX);
        if !short {
            self.insert(ticket.name, Kept { payload: ticket.payload, until, answer: None });
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = body.collect().await;
        let body = body.map_err(|error| Refusal::new(Code::UpstreamUnavailable, error.to_string()))?.to_bytes();
        let answer = Some((parts.status, parts.headers.clone(), body.clone()));
        self.insert(ticket.name, Kept { payload: ticket.payload, until, answer });
        Ok(Response::from_parts(parts, Answering::whole(body)))
    }

    fn insert(&self, name: SecretHash, kept: Kept) {
        let mut answers = self.lock();
        if answers.len() >= ANSWERS_MAX {
            answers.clear(); // that they have run is written down
        }
        answers.insert(name, kept);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SecretHash, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner) // a map is valid after any panic
    }
}
