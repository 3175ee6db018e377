//! From a request on the listener to an answer: which target, who asks, what is captured, and the line.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::header::{CONTENT_SECURITY_POLICY, HOST, HeaderName, X_CONTENT_TYPE_OPTIONS};
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response, Version};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use super::answer::Preference;
use super::before::Pool;
use super::body::Answering;
use super::call::RelayCall;
use super::capture::{self, Captured};
use super::dialect::{Dialect, Refused};
use super::head::Head;
use super::idempotency::{Answers, Ticket};
use super::subject::Doorman;
use super::upstream::{TargetError, Upstream};
use super::{answer, grpc, headers};
use crate::codes::Code;
use crate::config::{Auth, Protocol, Target};
use crate::gate::Gate;
use crate::pipeline::{self, Waiting};
use crate::refusal::Refusal;
use crate::targets::ByName;

/// What every target's path begins with.
const ROOT: &str = "/t/";
/// What a browser may do with an answer: nothing, and nothing in this host's name.
const NO_PAGE: &str = "sandbox; default-src 'none'; frame-ancestors 'none'";
/// How long the body of a request may take that is read to describe it.
const BODY_TIME_MAX: Duration = Duration::from_secs(60);
/// The longest stated reason, in characters.
const REASON_CHARS_MAX: usize = 500;
/// Where a requester says why.
const REASON: HeaderName = HeaderName::from_static("countersign-reason");

/// How long a target that could not be used is not looked at again: its files may be long, and anybody may ask for it.
const UNUSABLE: Duration = Duration::from_secs(10);

/// Makes the dialect of a target.
pub type Dialects = fn(&Target) -> Result<Arc<dyn Dialect>, String>;

/// The targets over HTTP, as one lane serves them.
pub struct Relay {
    pub(super) gate: Arc<Gate>,
    pub(super) doorman: Doorman,
    upstreams: Mutex<Upstreams>,
    /// By key and target.
    before: Arc<Pool>,
    shared: Arc<Shared>,
}

/// What the relays of all lanes have.
struct Shared {
    dialects: Dialects,
    /// Those that somebody asked for, each in the form that was in force then.
    upstreams: Mutex<BTreeMap<String, Opened>>,
    answers: Answers,
}

/// A lane's own upstreams, in the forms of the targets in force.
#[derive(Default)]
struct Upstreams {
    in_force: Arc<ByName>,
    own: BTreeMap<String, Arc<Upstream>>,
}

/// A target, in the form that somebody asked for.
enum Opened {
    Usable(Arc<Upstream>),
    /// Since when, and why.
    Unusable(Box<(Target, Instant, TargetError)>),
}

/// A target and what is asked of it.
struct Addressed<'r> {
    target: String,
    path: &'r str,
    /// What stands before the path for the client.
    prefix: String,
    /// What stands before the target's name in the host.
    below: Option<String>,
}

/// A target by its own name.
struct Named {
    target: String,
    /// What stands before the name: `bucket` of `bucket.s3.example.org`.
    below: Option<String>,
}

impl Named {
    /// Whether a host is the target's. Names below it are, where its protocol has such.
    fn of(target: &Target, host: &str) -> Option<Self> {
        let hosts = &target.http.as_ref()?.hosts;
        let below = hosts.iter().find_map(|own| {
            let at = host.len().checked_sub(own.len())?;
            let (below, rest) = host.split_at_checked(at)?;
            let below = rest.eq_ignore_ascii_case(own).then_some(below)?;
            (below.is_empty() || (below.ends_with('.') && target.protocol == Protocol::Aws)).then_some(below)
        })?;
        let below = below.strip_suffix('.').map(str::to_ascii_lowercase);
        Some(Self { target: target.name.clone(), below })
    }
}

/// A refusal on the way to the line, and what is known by then.
struct Turned {
    refusal: Refusal,
    upstream: Option<Arc<Upstream>>,
}

impl Relay {
    /// Checks the targets that there are.
    ///
    /// # Errors
    /// [`TargetError`]: one of them cannot be used.
    pub fn new(gate: Arc<Gate>, dialects: Dialects) -> Result<Self, TargetError> {
        let shared = Shared { dialects, upstreams: Mutex::default(), answers: Answers::default() };
        let relay = Self {
            gate,
            doorman: Doorman::default(),
            upstreams: Mutex::default(),
            before: Arc::default(),
            shared: Arc::new(shared),
        };
        let in_force = relay.gate.targets.current();
        for target in in_force.values().filter(|target| target.protocol.is_http()) {
            match relay.open(target) {
                Ok(_) => {}
                // its files may already be those of the form that waits for people, who need the gateway to approve it
                Err(error) if relay.gate.targets.waiting(&target.name).is_some() => {
                    tracing::error!(%error, "the target refuses until its new form is approved");
                }
                Err(error) => return Err(error), // what cannot be used is told at the start
            }
        }
        Ok(relay)
    }

    /// The same for another lane: what every request counts and locks is each lane's own, and stays in its processor's caches.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self {
            gate: self.gate.clone(),
            doorman: self.doorman.beside(),
            upstreams: Mutex::default(),
            before: Arc::default(),
            shared: self.shared.clone(),
        }
    }

    /// Whether a request is for one of the targets.
    pub fn is_for<B>(&self, request: &Request<B>) -> bool {
        request.uri().path().starts_with(ROOT) || self.by_host(request).is_some()
    }

    /// The target that has the name by which a client connected; nothing where that leads to more than one.
    fn by_host<B>(&self, request: &Request<B>) -> Option<Named> {
        let host = match request.uri().authority() {
            Some(authority) => authority.as_str(),
            None => request.headers().get(HOST)?.to_str().ok()?,
        };
        let in_force = self.gate.targets.peek();
        let mut found = in_force.values().filter_map(|target| Named::of(target, host));
        let first = found.next();
        first.filter(|first| found.all(|other| other.target == first.target))
    }

    /// Answers a request. Whatever the upstream says, a browser takes the answer for no page of this host's, whose console
    /// reviewers are signed in to.
    pub async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Response<Answering> {
        let mut response = self.answer(request).await;
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(NO_PAGE));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Answering> {
        // over HTTP/1.1 it is nobody's gRPC, and a 200 there would be read as done
        let by_grpc = request.version() == Version::HTTP_2 && grpc::speaks(request.headers());
        // in a box of its own, which is gone while the request waits
        match Box::pin(self.captured(request)).await {
            Ok(call) => {
                let before =
                    call.idempotent.as_ref().map(|ticket| self.shared.answers.before(ticket, self.gate.scribe.now()));
                match before.transpose() {
                    Ok(None | Some(None)) => {}
                    Ok(Some(Some(response))) => return response,
                    Err(refusal) => return refused(Some(&call.upstream), by_grpc, bare(&refusal)),
                }
                let departed = call.departed.clone().drop_guard();
                let walked = tokio::spawn(walk(call, by_grpc)).await;
                departed.disarm();
                walked.unwrap_or_else(|_| {
                    let refusal = Refusal::new(Code::RecordUnavailable, "the gateway failed inside; its log says more");
                    refused(None, by_grpc, bare(&refusal))
                })
            }
            Err(Turned { refusal, upstream }) => refused(upstream.as_deref(), by_grpc, bare(&refusal)),
        }
    }

    async fn captured(self: &Arc<Self>, request: Request<Incoming>) -> Result<Box<RelayCall>, Turned> {
        let early = |refusal: Refusal| Turned { refusal, upstream: None };
        let host = self.by_host(&request);
        let addressed = addressed(&request, host).map_err(early)?;
        let upstream = match self.upstream(&addressed.target) {
            Ok(upstream) => upstream,
            Err(refusal) => {
                // which targets there are is told to those alone who have a key
                let query = request.uri().query();
                let known = self.doorman.admit(&self.gate, request.headers(), query, &Auth::Bearer).await;
                return Err(early(known.err().unwrap_or(refusal)));
            }
        };
        let path = match &addressed.below {
            Some(below) => upstream.dialect.below(below, addressed.path, request.headers()),
            None => Ok(addressed.path.to_owned()),
        };
        let call = match path {
            Ok(path) => {
                let (mount, path) = unmounted(&upstream.http.mounts, &path);
                let at = (addressed.prefix + mount, path.to_owned());
                self.described(request, &upstream, at).await
            }
            Err(refusal) => Err(refusal),
        };
        call.map_err(|refusal| Turned { refusal, upstream: Some(upstream) })
    }

    async fn described(
        self: &Arc<Self>,
        mut request: Request<Incoming>,
        upstream: &Arc<Upstream>,
        (prefix, path): (String, String),
    ) -> Result<Box<RelayCall>, Refusal> {
        let query = request.uri().query().map(str::to_owned);
        let auth = &upstream.http.auth;
        let subject = self.doorman.admit(&self.gate, request.headers(), query.as_deref(), auth).await?;
        if request.method() == Method::CONNECT || request.method() == Method::TRACE {
            let message = format!("the method {} is not passed on", request.method());
            return Err(Refusal::new(Code::Unsupported, message));
        }
        let own = &upstream.http.headers;
        let forwards = |name: &HeaderName| own.contains(name.as_str()) || upstream.dialect.forwards(name);
        let mut kept = headers::of_request(request.headers(), forwards)?;
        upstream.dialect.settle(&mut kept);
        if let Some(rest) = Preference::rest(request.headers()) {
            kept.insert("prefer", rest);
        }
        let preference = Preference::of(request.headers());
        let upgrade = headers::upgrade(request.headers()).filter(|_| request.version() == Version::HTTP_11).cloned();
        let trailers = headers::wants_trailers(request.headers());
        let reason = reason(request.headers().get(REASON));
        let head = Head::new(request.method().clone(), &path, query.as_deref(), kept);
        let mut head = head.map_err(|error| Refusal::new(Code::ProtocolViolation, error.to_string()))?;
        let client = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
        let talks = grpc::speaks(request.headers());
        let reading = capture::carried(request.into_body(), upstream.http.body_bytes_max, talks);
        let carried = tokio::time::timeout(BODY_TIME_MAX, reading).await;
        let carried = carried.map_err(|_| Refusal::new(Code::Cancelled, "the request's body took too long"))??;
        let carried = carried.admitted(&*upstream.dialect, &mut head)?;
        let captured = Captured { head, carried, upgrade, trailers };
        let of = (subject.requester.handle(), subject.on_behalf_of.id.as_str(), upstream.config.name.as_str());
        let Head { method, headers, .. } = &captured.head;
        let idempotent = Ticket::of(of, method, headers, || captured.payload())?;
        Ok(Box::new(RelayCall {
            relay: self.clone(),
            before: self.before.lend(subject.key.clone(), &upstream.config.name),
            upstream: upstream.clone(),
            subject,
            captured,
            reason,
            prefix,
            client,
            departed: CancellationToken::new(),
            preference,
            waiting: None,
            rehearsed: None,
            reviewed: false,
            idempotent,
        }))
    }

    /// The upstream of a target as it is in force.
    fn upstream(&self, name: &str) -> Result<Arc<Upstream>, Refusal> {
        let in_force = self.gate.targets.peek();
        let mut upstreams = self.upstreams.lock().unwrap_or_else(PoisonError::into_inner); // valid after any panic
        if !Arc::ptr_eq(&upstreams.in_force, &in_force) {
            upstreams.own.clear(); // so that all lanes have the same ones
            upstreams.in_force = in_force.clone();
        }
        if let Some(known) = upstreams.own.get(name) {
            return Ok(known.clone());
        }
        let target = self.gate.targets.spoken(&in_force, name, Protocol::is_http)?;
        let opened = self.open(target).map_err(|error| Refusal::new(Code::UpstreamUnavailable, error.to_string()))?;
        let own = Arc::new(opened.beside());
        upstreams.own.insert(name.to_owned(), own.clone());
        Ok(own)
    }

    /// What all lanes have of an upstream.
    fn open(&self, target: &Target) -> Result<Arc<Upstream>, TargetError> {
        let mut upstreams = self.shared.upstreams.lock().unwrap_or_else(PoisonError::into_inner); // valid after any panic
        match upstreams.get(&target.name) {
            Some(Opened::Usable(known)) if known.config == *target => return Ok(known.clone()),
            Some(Opened::Unusable(kept)) if kept.0 == *target && kept.1.elapsed() < UNUSABLE => {
                return Err(kept.2.clone());
            }
            Some(_) | None => {}
        }
        let made = self.made(target).map(Arc::new);
        let opened = match &made {
            Ok(upstream) => Opened::Usable(upstream.clone()),
            Err(error) => Opened::Unusable(Box::new((target.clone(), Instant::now(), error.clone()))),
        };
        upstreams.insert(target.name.clone(), opened);
        made
    }

    fn made(&self, target: &Target) -> Result<Upstream, TargetError> {
        let dialect = (self.shared.dialects)(target).map_err(|problem| TargetError::new(target, problem))?;
        Upstream::new(target.clone(), dialect, &self.gate.config.data_dir)
    }
}

/// Walks the line. In a task of its own: what has begun is brought to its end though the client may leave, and those that
/// arrive together are read before any is walked, which is quicker than one after the other.
async fn walk(mut call: Box<RelayCall>, by_grpc: bool) -> Response<Answering> {
    let relay = call.relay.clone();
    let done = Box::pin(pipeline::run(&relay.gate, &mut *call)).await;
    call.before.give_back(); // the next may have it
    let kept = match (done, call.idempotent.take()) {
        (Ok(Ok(response)), Some(ticket)) => {
            Box::pin(relay.shared.answers.keep(ticket, response, relay.gate.scribe.now())).await
        }
        (Ok(done), _) => done,
        (Err(refusal), _) => Err(refusal),
    };
    let refusal = match kept {
        Ok(response) => return response,
        Err(refusal) => refusal,
    };
    let waiting = call.waiting.as_ref();
    let action =
        waiting.map(|Waiting { review, .. }| format!("{}/api/v1/actions/{review}", relay.gate.config.public_url));
    let words = Refused {
        refusal: &refusal,
        waiting,
        action: action.as_deref(),
        head: Some(&call.captured.head),
        preferred_async: call.preference.respond_async,
    };
    refused(Some(&call.upstream), by_grpc, words)
}

/// Which target a request is for. One that names it twice, and differently, is refused.
fn addressed(request: &Request<Incoming>, host: Option<Named>) -> Result<Addressed<'_>, Refusal> {
    let uri = request.uri();
    if request.version() <= Version::HTTP_11 && uri.authority().is_some() {
        let message = "the request line has a whole address: send the path alone";
        return Err(Refusal::new(Code::ProtocolViolation, message));
    }
    let named = uri.authority().map(Authority::as_str).or_else(|| request.headers().get(HOST)?.to_str().ok());
    if named.is_none_or(|host| host.contains('@')) && request.version() >= Version::HTTP_11 {
        // RFC 9112 §3.2, RFC 9110 §4.2.4
        return Err(Refusal::new(Code::ProtocolViolation, "the request names no host, or a user before it"));
    }
    if let Some(Named { target, below }) = host {
        return Ok(Addressed { target, path: uri.path(), prefix: String::new(), below });
    }
    let rest = uri.path().strip_prefix(ROOT).unwrap_or_default();
    let (target, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    Ok(Addressed { target: target.to_owned(), path, prefix: format!("{ROOT}{target}"), below: None })
}

/// A path in two: what it has of the paths at which clients look for the API, and what the upstream is sent. Of two that fit
/// it is the longer one.
fn unmounted<'p>(mounts: &BTreeSet<String>, path: &'p str) -> (&'p str, &'p str) {
    let fits = |mount: &String| {
        let (before, rest) = path.split_at_checked(mount.len())?;
        (before == mount && (rest.is_empty() || rest.starts_with('/'))).then_some((before, rest))
    };
    match mounts.iter().rev().find_map(fits) {
        Some((mount, "")) => (mount, "/"),
        Some(found) => found,
        None => ("", path),
    }
}

fn reason(value: Option<&HeaderValue>) -> Option<String> {
    let text = String::from_utf8_lossy(value?.as_bytes());
    let text: String = text.trim().chars().take(REASON_CHARS_MAX).collect();
    (!text.is_empty()).then_some(text)
}

fn bare(refusal: &Refusal) -> Refused<'_> {
    Refused { refusal, waiting: None, action: None, head: None, preferred_async: false }
}

/// A refusal in words that the client reads: those of gRPC where it speaks that, else of the target's protocol.
fn refused(upstream: Option<&Upstream>, by_grpc: bool, refused: Refused<'_>) -> Response<Answering> {
    let told = match upstream {
        _ if by_grpc => grpc::answer(&refused),
        Some(upstream) => upstream.dialect.refuse(refused),
        None => answer::problem(refused),
    };
    told.map(Answering::whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mount_is_taken_away() {
        let mounts = ["/api", "/api/v3"].map(str::to_owned).into();
        let check = |path, expected| assert_eq!(unmounted(&mounts, path), expected);
        check("/api/v3/repos", ("/api/v3", "/repos"));
        check("/api/v3", ("/api/v3", "/"));
        check("/api/graphql", ("/api", "/graphql"));
        check("/api/v3x", ("/api", "/v3x"));
        check("/apis", ("", "/apis"));
        check("/repos/api/v3", ("", "/repos/api/v3"));
        check("/é", ("", "/é"));
    }
}
