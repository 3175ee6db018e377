//! What one protocol over HTTP brings to the relay: how a request is described, shown and refused.

use countersign_core::action::Facts;
use countersign_core::action::redact::{Redacted, Rules};

use super::head::Head;

/// What is known of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// All of it; empty for a request without one.
    Whole(&'a [u8]),
    /// It is longer than what is read to describe a request.
    Unread,
}

impl<'a> Content<'a> {
    /// All of it, where it was read.
    pub fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Content::Whole(bytes) => Some(bytes),
            Content::Unread => None,
        }
    }
}

/// One protocol over HTTP. Pure: what takes time belongs to the relay.
pub trait Dialect: Send + Sync {
    /// What a request means. Never fails: what is not understood is opaque.
    fn describe(&self, head: &Head, content: Content<'_>) -> Facts;

    /// What a card shows of a request, and what that hides.
    fn shown(&self, head: &Head, content: Content<'_>, rules: &Rules) -> Redacted;
}
