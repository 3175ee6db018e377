//! From a request to its facts, as the API server would read it.
//!
//! Path and verb are read by the rules of the server's request attributes (`path.rs`), its parameters as Go decodes them
//! (`query.rs`), and of its body what names the object (`body.rs`). Whatever the server could read otherwise is opaque.
//! Nothing is asked of the server here.
//! <https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb>

use countersign_core::action::request::{KubernetesFacts, RequestClass};
use http::{HeaderName, Method};

use super::body::{self, Body, Named};
use super::class::{self, Answers};
use super::path::{self, Path, Place, Verb};
use super::query::Query;
use crate::relay::dialect::Content;
use crate::relay::head::Head;

/// Headers by which something on the way could take a request for one with another method.
const OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];
/// What the headers that name another user begin with.
const IMPERSONATES: &str = "impersonate-";

/// What a request means. Never fails: what is not understood is opaque.
pub fn describe(head: &Head, content: Content<'_>) -> KubernetesFacts {
    let facts = described(head, content);
    let mut facts = facts.unwrap_or_else(|| KubernetesFacts::opaque(head.method.as_str(), head.path()));
    if head.headers.keys().any(|name| name.as_str().starts_with(IMPERSONATES)) {
        facts.class = facts.class.max(RequestClass::Admin);
    }
    facts
}

fn described(head: &Head, content: Content<'_>) -> Option<KubernetesFacts> {
    if OVERRIDES.iter().any(|name| head.headers.contains_key(*name)) {
        return None;
    }
    let query = Query::parse(head.query().unwrap_or_default())?;
    match path::read(head.segments())? {
        Path::Other => other(head, content),
        Path::Resource(place) => Request { head, content, place, query }.facts(),
    }
}

/// A path that is no resource's: it can only be read.
fn other(head: &Head, content: Content<'_>) -> Option<KubernetesFacts> {
    let reads = matches!(head.method, Method::GET | Method::HEAD) && is_plain(head, content);
    reads.then(|| KubernetesFacts {
        class: RequestClass::Read,
        ..KubernetesFacts::opaque(head.method.as_str(), head.path())
    })
}

/// Whether a request brings nothing along, and its connection stays what it is.
fn is_plain(head: &Head, content: Content<'_>) -> bool {
    content.bytes().is_some_and(<[u8]>::is_empty) && !head.headers.contains_key(HeaderName::from_static("upgrade"))
}

/// A request for a resource.
struct Request<'r> {
    head: &'r Head,
    content: Content<'r>,
    place: Place<'r>,
    query: Query,
}

impl Request<'_> {
    fn facts(&self) -> Option<KubernetesFacts> {
        let place = &self.place;
        let verb = Verb::of(&self.head.method, place, self.query.switch("watch")?)?;
        let (body, named) = self.body(verb)?;
        let dry_run = class::can_be_dry(place, verb) && self.is_dry(verb, &body)?;
        let with_the_object = verb == Verb::Delete && (self.waits(&body)? || dry_run);
        let answers = Answers { with_the_object };
        Some(KubernetesFacts {
            class: class::class(place, verb, answers)?,
            verb: verb.name().to_owned(),
            group: place.group.to_owned(),
            version: place.version.to_owned(),
            resource: place.resource.to_owned(),
            subresource: place.subresource.to_owned(),
            namespace: place.namespace.to_owned(),
            name: self.name(verb, named)?,
            path: String::new(),
            dry_run,
        })
    }

    /// The body of a change, and the names it gives; nothing else has one.
    fn body(&self, verb: Verb) -> Option<(Body, Named)> {
        if class::connects(&self.place) {
            return Some((Body::Empty, Named::default()));
        }
        if verb.reads() {
            return is_plain(self.head, self.content).then(|| (Body::Empty, Named::default()));
        }
        let body = body::read(self.head, self.content.bytes()?)?;
        match (verb, &body) {
            (Verb::Patch, _) => {}
            (_, Body::Operations(_)) | (Verb::Create | Verb::Update, Body::Empty) => return None,
            _ => {}
        }
        let deletes = matches!(verb, Verb::Delete | Verb::DeleteCollection);
        let named = if deletes { Named::default() } else { body.named()? };
        Some((body, named))
    }

    /// The object's name: that of the path, or the body's; they must not contradict each other.
    fn name(&self, verb: Verb, named: Named) -> Option<String> {
        let place = &self.place;
        let of_namespace = place.resource == "namespaces";
        let elsewhere = !named.namespace.is_empty() && named.namespace != place.namespace;
        if elsewhere && !(of_namespace && verb == Verb::Create && place.namespace.is_empty()) {
            return None;
        }
        if place.name.is_empty() && matches!(verb, Verb::List | Verb::Watch) {
            return Some(self.query.selected_name()?.unwrap_or_default().to_owned());
        }
        match (place.name, named.name) {
            ("", name) => (!name.contains(['/', '%'])).then_some(name),
            (name, other) if other.is_empty() || other == name => Some(name.to_owned()),
            (_, _) => None,
        }
    }

    /// Whether the server is asked to persist nothing. For a deletion its body counts alone, where there is one.
    fn is_dry(&self, verb: Verb, body: &Body) -> Option<bool> {
        let asked = match self.query.once("dryRun")? {
            None => false,
            Some("All") => true,
            Some(_) => return None,
        };
        if class::evicts(&self.place) {
            let options = body.evicts_dry()?;
            return (!asked || options != Some(false)).then_some(asked || options == Some(true));
        }
        match (verb, body) {
            (Verb::Delete | Verb::DeleteCollection, Body::Empty) => Some(asked),
            (Verb::Delete | Verb::DeleteCollection, body) => {
                let options = body.deletes_dry()?;
                (!asked || options).then_some(options)
            }
            _ => Some(asked),
        }
    }

    /// Whether a deletion waits for dependents, or is told to leave them: the server answers with the object as it was, as
    /// it also does for an object that has finalizers already.
    fn waits(&self, body: &Body) -> Option<bool> {
        let policy = self.query.once("propagationPolicy")?.unwrap_or("Background");
        let orphans = self.query.once("orphanDependents")?.is_some();
        Some(policy != "Background" || orphans || body.propagates()?)
    }
}
