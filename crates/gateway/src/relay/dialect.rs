//! What one protocol over HTTP brings to the relay: how a request is described, shown, held and refused.

use countersign_core::action::Facts;
use countersign_core::action::redact::{Redacted, Rules};
use http::{HeaderMap, HeaderName, Response};

use super::answer;
pub use super::content::{Content, Rehearsal, Rehearsed};
use super::head::Head;
pub use super::upstream::Signing;
use crate::codes::Code;
use crate::pipeline::Waiting;
use crate::refusal::Refusal;

/// A refusal, and what it is said of.
#[derive(Debug, Clone, Copy)]
pub struct Refused<'a> {
    /// Why not.
    pub refusal: &'a Refusal,
    /// Where the request hung, if it did.
    pub waiting: Option<&'a Waiting>,
    /// Where its review can be asked about.
    pub action: Option<&'a str>,
    /// What was refused; absent for what is no request of the dialect's.
    pub head: Option<&'a Head>,
    /// Whether the client asked to be told at once that it has to wait (RFC 7240 §4.1).
    pub preferred_async: bool,
}

/// One protocol over HTTP. Pure: what takes time belongs to the relay.
pub trait Dialect: Send + Sync {
    /// What a request means. Never fails: what is not understood is opaque. What the rules hide is no fact.
    fn describe(&self, head: &Head, content: Content<'_>, rules: &Rules) -> Facts;

    /// What a card shows of a request, and what that hides.
    fn shown(&self, head: &Head, content: Content<'_>, rules: &Rules) -> Redacted;

    /// How the upstream can be asked what a request would change; `None` where it cannot be asked without an effect.
    fn rehearsal(&self, _head: &Head, _facts: &Facts) -> Option<Rehearsal> {
        None
    }

    /// The same card, with what would change line by line ([`Shown::replaces`]); `None` where the answers cannot be read.
    ///
    /// [`Shown::replaces`]: countersign_core::action::redact::Shown::replaces
    fn rehearsed(&self, _head: &Head, _content: Content<'_>, _rules: &Rules, _found: &Rehearsed) -> Option<Redacted> {
        None
    }

    /// Whether a header of a request reaches the upstream, besides those that always do.
    fn forwards(&self, _name: &HeaderName) -> bool {
        false
    }

    /// Changes headers that differ each time the same is sent to what stays of them; called once, before anything is described.
    fn settle(&self, _headers: &mut HeaderMap) {}

    /// Takes away what a client wrapped a body in, its headers too, and refuses what could not be sent on though it were approved;
    /// called once, before anything is described. Returns the body where it is another now.
    ///
    /// # Errors
    /// [`Refusal`]: it is not taken.
    fn admit(&self, _head: &mut Head, _content: Content<'_>) -> Result<Option<Vec<u8>>, Refusal> {
        Ok(None)
    }

    /// The path that a request has where the target's own name is not all of its host: `below` stands before it.
    ///
    /// # Errors
    /// [`Refusal`]: nothing stands there.
    fn below(&self, below: &str, _path: &str, _headers: &HeaderMap) -> Result<String, Refusal> {
        Err(Refusal::new(Code::UnknownTarget, format!("there is nothing at `{below}` below the target's name")))
    }

    /// The host that a request goes to, where the upstream's own stands for several below it.
    ///
    /// # Errors
    /// In words, why there is none; nothing is sent then.
    fn host(&self, _headers: &HeaderMap) -> Result<Option<String>, String> {
        Ok(None)
    }

    /// The longest that a call may hang before its client, or something on the way, gives up; in seconds.
    fn hold_seconds_max(&self) -> u32 {
        u32::MAX
    }

    /// A refusal in the dialect's own words.
    fn refuse(&self, refused: Refused<'_>) -> Response<Vec<u8>> {
        answer::problem(refused)
    }

    /// Signs a request with the gateway's credential.
    ///
    /// # Errors
    /// It cannot be signed; nothing is sent then.
    fn sign(&self, _signing: &mut Signing<'_>) -> Result<(), String> {
        Err("requests of this protocol are not signed".to_owned())
    }
}
