//! One request on its way down the line: the relay's [`Call`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::action::impact::Impact;
use countersign_core::action::redact::{Redacted, Redactor};
use countersign_core::action::request::{AwsFacts, RequestClass};
use countersign_core::action::{ActionRequest, Described, Facts, SealedPayload};
use countersign_core::grant::Permit;
use countersign_core::pattern::{Likeness, Unlike};
use countersign_core::policy::{Mask, MaskedColumn, Memo};
use http::Response;
use http::header::{CONTENT_ENCODING, SEC_WEBSOCKET_KEY};
use http_body_util::BodyExt as _;
use tokio_util::sync::CancellationToken;

use super::answer::Preference;
use super::before::Lent;
use super::body::{Answering, Seen, Sending, Spooled};
use super::capture::{self, Bound, Captured, Carried, broken};
use super::idempotency::Ticket;
use super::outcome::Recording;
use super::rehearse::rehearse;
use super::serve::Relay;
use super::subject::Subject;
use super::tenure::Tenure;
use super::upstream::{Extras, SendError, Upstream};
use super::{location, tunnel};
use crate::codes::Code;
use crate::gate::Gate;
use crate::pipeline::{self, Call, Held, Left, Waiting};
use crate::ports::Receipt;
use crate::refusal::Refusal;
use crate::spool::{self, Spool};

/// How long the next piece of a body that is spooled may take.
const PIECE_TIME_MAX: Duration = Duration::from_secs(60);

/// Why the impact of a request is not known.
const UNTOLD: &str = "nothing tells what this request would change";

/// One request on its way down the line.
pub(super) struct RelayCall {
    pub(super) relay: Arc<Relay>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) subject: Subject,
    pub(super) captured: Captured,
    pub(super) before: Lent,
    /// The requester's stated reason.
    pub(super) reason: Option<String>,
    /// How the client reaches the target: what stands before its paths.
    pub(super) prefix: String,
    /// The connection to the client, should it go on in another protocol.
    pub(super) client: Option<hyper::upgrade::OnUpgrade>,
    /// Raised when the client has left.
    pub(super) departed: CancellationToken,
    /// How long the client waits, and what it wants to hear then.
    pub(super) preference: Preference,
    /// Where it hung.
    pub(super) waiting: Option<Waiting>,
    /// The card with what it would change, as the upstream told.
    pub(super) rehearsed: Option<Redacted>,
    /// Whether people were asked, so that time has passed since.
    pub(super) reviewed: bool,
    /// The key by which the same request is run once.
    pub(super) idempotent: Option<Ticket>,
}

impl RelayCall {
    fn facts(&self) -> Facts {
        let Captured { head, upgrade, .. } = &self.captured;
        let mut facts = self.upstream.dialect.describe(head, self.captured.content(), &self.upstream.rules);
        // a body that is encoded is another one to who decodes it; S3 keeps it as it is
        let encoded = head.headers.contains_key(CONTENT_ENCODING);
        match &mut facts {
            // what is said on another protocol is not looked at
            Facts::Http(http) if upgrade.is_some() => http.class = http.class.max(RequestClass::Exec),
            Facts::Kubernetes(k8s) if upgrade.is_some() => k8s.class = k8s.class.max(RequestClass::Exec),
            Facts::Aws(aws) if upgrade.is_some() || (encoded && aws.service != "s3") => {
                *aws = AwsFacts::opaque(&aws.service, &aws.region);
            }
            Facts::Http(_) | Facts::Kubernetes(_) | Facts::Aws(_) | Facts::Sql(_) | Facts::Gate(_) => {}
        }
        facts
    }

    /// What it would change, where the upstream can be asked that without an effect; and the card that shows it.
    async fn rehearse(&self) -> Option<Result<Redacted, String>> {
        let Upstream { dialect, rules, .. } = &*self.upstream;
        let Captured { head, .. } = &self.captured;
        let content = self.captured.content();
        let rehearsal = dialect.rehearsal(head, &dialect.describe(head, content, rules))?;
        content.bytes()?; // what was not read cannot be sent twice
        let found = rehearse(&self.upstream, &*self.relay.gate.vault, &self.captured, &rehearsal).await;
        let unread = || "what the upstream answered cannot be read".to_owned();
        Some(found.and_then(|found| dialect.rehearsed(head, content, rules, &found).ok_or_else(unread)))
    }

    /// People have taken their time: what was approved must still be what would change.
    async fn still_the_same(&self) -> Result<(), Refusal> {
        let (Some(shown), true) = (&self.rehearsed, self.reviewed) else { return Ok(()) };
        let again =
            |message: String| Err(Refusal::new(Code::ApprovalVoid, message).hint("send it again for another review"));
        match Box::pin(self.rehearse()).await {
            Some(Ok(now)) if now.shown.replaces == shown.shown.replaces => Ok(()),
            Some(Ok(_)) => again("it would change something else by now than what was reviewed".to_owned()),
            Some(Err(problem)) => again(format!("what it would change cannot be told any more: {problem}")),
            None => again("what it would change cannot be told any more".to_owned()),
        }
    }

    fn tenure(&self) -> Tenure {
        Tenure { relay: self.relay.clone(), subject: self.subject.clone() }
    }

    /// The body, as the payload binds it.
    async fn body(&mut self, bound: &Bound) -> Result<(Sending, Option<Seen>), Refusal> {
        let carried = std::mem::replace(&mut self.captured.carried, Carried::Gone);
        let void = || Refusal::new(Code::ApprovalVoid, "the body is not what was described");
        match (bound, carried) {
            (Bound::Whole(bytes), _) => Ok((Sending::Whole(Some(bytes.clone())), None)),
            (Bound::Spooled(approved), Carried::Spooled(mut spool)) => {
                let same = Box::pin(spool.check(*approved)).await;
                same.map_err(|error| Refusal::new(Code::ApprovalVoid, error.to_string()))?;
                Ok((Sending::Spool(Spooled::new(spool)), None))
            }
            (Bound::Stream, Carried::Stream(begun, rest)) => {
                let seen = Seen::default();
                Ok((Sending::Stream { begun: Some(begun), rest, seen: seen.clone() }, Some(seen)))
            }
            (Bound::Spooled(_) | Bound::Stream, _) => Err(void()),
        }
    }

    async fn dispatch(
        &mut self,
        permit: Permit,
        payload: SealedPayload,
        recording: &mut Option<Recording>,
    ) -> Result<Response<Answering>, Trouble> {
        let void = |message: &str| Trouble::NotSent(Refusal::new(Code::ApprovalVoid, message));
        let bytes = payload.open(permit).map_err(|error| void(&error.to_string()))?;
        let outgoing = capture::open(bytes).ok_or_else(|| void("the payload is not a request"))?;
        self.still_the_same().await.map_err(Trouble::NotSent)?;
        let (body, seen) = self.body(&outgoing.body).await.map_err(Trouble::NotSent)?;
        if let Some(recording) = recording {
            recording.seen = seen;
        }
        if self.departed.is_cancelled() {
            return Err(Trouble::NotSent(Refusal::new(Code::Cancelled, "the client left")));
        }
        if let Some(ticket) = &self.idempotent {
            Box::pin(ticket.begin(&self.relay.gate)).await.map_err(Trouble::NotSent)?;
        }
        let Captured { head, upgrade, trailers, .. } = &self.captured;
        let socket_key = head.headers.get(SEC_WEBSOCKET_KEY).filter(|_| upgrade.is_some()).cloned();
        let extras = Extras { upgrade: upgrade.is_some(), trailers: *trailers, socket_key };
        let sent = self.upstream.send(&*self.relay.gate.vault, outgoing, body, extras).await;
        if let (Err(SendError::NotSent(_)), Some(ticket)) = (&sent, &self.idempotent) {
            Box::pin(ticket.release(&self.relay.gate)).await;
        }
        let mut answer = sent.map_err(|error| match error {
            SendError::NotSent(problem) => Trouble::NotSent(
                Refusal::new(Code::UpstreamUnavailable, problem)
                    .hint("nothing was sent to the upstream; `countersign doctor` checks it"),
            ),
            SendError::Unanswered(problem) => Trouble::Unanswered(problem),
        })?;
        let switches = answer.status() == http::StatusCode::SWITCHING_PROTOCOLS;
        if switches && self.captured.upgrade.is_none() {
            let problem = "the upstream goes on in another protocol, which nobody asked for (`101`)";
            return Err(Trouble::Unanswered(problem.to_owned()));
        }
        if let Some(recording) = recording {
            recording.answered = Some(answer.status());
        }
        if switches {
            return Ok(tunnel::open(&mut answer, self.client.take(), recording.take(), self.tenure()));
        }
        let headers = location::rewritten(super::headers::of_answer(answer.headers()), &self.upstream, &self.prefix);
        let (parts, incoming) = answer.into_parts();
        let mut response = Response::new(Answering::passing(incoming, recording.take(), || self.tenure()));
        *response.status_mut() = parts.status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

/// Why there is no answer of the upstream's.
enum Trouble {
    NotSent(Refusal),
    Unanswered(String),
}

impl Call for RelayCall {
    type Done = Result<Response<Answering>, Refusal>;

    fn describe(&mut self, gate: &Gate) -> Result<ActionRequest, Refusal> {
        let payload = SealedPayload::seal(self.captured.payload());
        let digest = payload.digest();
        let known = self.before.get().facts(digest, &self.upstream);
        let facts = known.unwrap_or_else(|| {
            let facts = self.facts();
            self.before.get().remember(digest, facts)
        });
        let described = Described {
            id: pipeline::attempt(),
            requester: self.subject.requester.clone(),
            on_behalf_of: self.subject.on_behalf_of.clone(),
            closure: self.subject.closure.clone(),
            target: self.upstream.target.clone(),
            facts,
            session: self.before.get().session.clone(),
            shown: Default::default(),
            impact: Impact::unknown(UNTOLD),
            reason: self.reason.as_deref().map(countersign_core::action::redact::words),
            payload: digest,
            at: gate.scribe.now(),
        };
        let request = ActionRequest::again(described, payload, &mut self.before.get().repeats);
        request.map_err(|error| Refusal::new(Code::RecordUnavailable, error.to_string()))
    }

    fn memo(&mut self) -> &mut Memo {
        &mut self.before.get().memo
    }

    fn permissible(&self) -> Result<(), Refusal> {
        Ok(())
    }

    fn shown(&self) -> Redacted {
        let Captured { head, carried, .. } = &self.captured;
        let mut redacted = match &self.rehearsed {
            Some(rehearsed) => rehearsed.clone(),
            None => self.upstream.dialect.shown(head, self.captured.content(), &self.upstream.rules),
        };
        if let Carried::Spooled(spool) = carried {
            let spool::Digest { bytes, sha256 } = spool.digest();
            redacted.shown.stream = Some(countersign_core::action::redact::ShownStream {
                bytes,
                sha256: hex::encode(sha256),
                cut_bytes: bytes,
                ..Default::default()
            });
        }
        redacted.reason = self.reason.as_deref().map(|reason| Redactor::new(&self.upstream.rules).words(reason));
        redacted
    }

    fn fingerprint(&self) -> String {
        let Captured { head, .. } = &self.captured;
        let target = &self.upstream.target.name;
        match self.facts() {
            // most of its calls are one address
            Facts::Aws(aws) => {
                let resources: Vec<&str> = aws.resources.iter().map(String::as_str).collect();
                format!("{target} {} {} {}", aws.action, head.path(), resources.join(" "))
            }
            // `kubectl` tries one way to connect after the other: a rejection is of all of them
            Facts::Kubernetes(k8s) if k8s.class == RequestClass::Exec => format!("{target} connect {}", head.target()),
            Facts::Http(_) | Facts::Kubernetes(_) | Facts::Sql(_) | Facts::Gate(_) => {
                format!("{target} {} {}", head.method, head.path())
            }
        }
    }

    async fn likeness(&mut self, _: &ActionRequest) -> Result<Likeness, Unlike> {
        Err(Unlike::Form)
    }

    async fn gather(&mut self) -> Result<bool, Refusal> {
        if !matches!(self.captured.carried, Carried::Stream(..)) {
            return Ok(false);
        }
        let bytes_max = self.upstream.http.body_bytes_max;
        if self.upstream.http.spool_bytes_max == 0 {
            let message = format!("a body longer than {bytes_max} bytes cannot wait for a review at this target");
            return Err(Refusal::new(Code::TooLarge, message));
        }
        let Carried::Stream(begun, mut rest) = std::mem::replace(&mut self.captured.carried, Carried::Gone) else {
            return Ok(false);
        };
        let kept = |error: spool::Error| match error {
            spool::Error::File(_) => Refusal::new(Code::RecordUnavailable, error.to_string()),
            other => Refusal::new(Code::TooLarge, other.to_string()),
        };
        let mut spool = Spool::open(&self.upstream.spools).await.map_err(kept)?;
        spool.push(&begun).await.map_err(kept)?;
        loop {
            let piece = tokio::select! {
                piece = tokio::time::timeout(PIECE_TIME_MAX, rest.frame()) => piece.map_err(|_| broken())?,
                () = self.departed.cancelled() => return Err(broken()),
            };
            let Some(frame) = piece else { break };
            if let Ok(data) = frame.map_err(|_| broken())?.into_data() {
                spool.push(&data).await.map_err(kept)?;
            }
        }
        self.captured.carried = Carried::Spooled(Box::new(spool));
        Ok(true)
    }

    async fn mask(&mut self, masks: &BTreeMap<MaskedColumn, Mask>) -> Result<(), Refusal> {
        match masks.is_empty() {
            true => Ok(()),
            false => Err(Refusal::new(Code::MaskImpossible, "the answers of this target cannot be masked")),
        }
    }

    fn reviewable(&mut self) -> Result<(), Refusal> {
        self.reviewed = true;
        self.before.give_back();
        match self.departed.is_cancelled() {
            true => Err(Refusal::new(Code::Cancelled, "the client left")),
            false => Ok(()),
        }
    }

    async fn measure(&mut self) -> Impact {
        self.rehearsed = None;
        match Box::pin(self.rehearse()).await {
            None => Impact::unknown(UNTOLD),
            Some(Err(problem)) => Impact::unknown(problem),
            Some(Ok(shown)) => {
                let objects = u64::from(!shown.shown.replaces.is_empty());
                self.rehearsed = Some(shown);
                Impact { known: true, objects: Some(objects), ..Impact::default() }
            }
        }
    }

    fn bound(&mut self, _: Option<u64>) {}

    async fn tell(&mut self, waiting: &Waiting) -> Result<(), Left> {
        self.waiting = Some(waiting.clone());
        Ok(())
    }

    async fn hold<T: Send>(&mut self, wait: impl Future<Output = T> + Send, seconds: u32) -> Held<T> {
        let seconds = seconds.min(self.preference.hold_seconds_max()).min(self.upstream.dialect.hold_seconds_max());
        if let Some(waiting) = &mut self.waiting {
            waiting.hold_seconds = seconds;
        }
        tokio::select! {
            biased;
            () = self.departed.cancelled() => Held::Left,
            value = wait => Held::Ready(value),
            () = tokio::time::sleep(Duration::from_secs(u64::from(seconds))) => Held::TimedOut,
        }
    }

    async fn execute(
        &mut self,
        permit: Permit,
        payload: SealedPayload,
        owed: Option<Receipt>,
    ) -> Result<Response<Answering>, Refusal> {
        let mut recording = Recording::begin(&self.relay.gate, permit.action().clone(), permit.level());
        let relay = self.relay.clone();
        let paying = async {
            let Some(owed) = owed else { return Ok(()) };
            tokio::task::yield_now().await; // it is sent first, and what is owed is paid while the upstream is at work
            pipeline::pay(&relay.gate, owed).await
        };
        let (answer, paid) = {
            let answering = std::pin::pin!(self.dispatch(permit, payload, &mut recording)); // large: it is not moved
            futures::join!(answering, paying)
        };
        paid?; // before a byte of the answer leaves
        match (answer, recording) {
            (Ok(answer), _) => Ok(answer),
            (Err(Trouble::NotSent(refusal)), Some(recording)) => {
                recording.not_executed(refusal.code.name()).await?;
                Err(refusal)
            }
            (Err(Trouble::NotSent(refusal)), None) => Err(refusal),
            (Err(Trouble::Unanswered(problem)), recording) => {
                let mut refusal = Refusal::new(Code::UpstreamUnavailable, problem);
                if let Some(recording) = recording {
                    recording.unknown("no_answer").await?;
                    refusal = refusal.hint("it may have run: look before you send it again");
                }
                Err(refusal)
            }
        }
    }
}
