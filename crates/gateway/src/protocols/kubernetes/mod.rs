//! Kubernetes: requests as the API server reads them.
//!
//! The relay captures, holds and sends; here is what a request means ([`describe`]), what a card shows of it ([`shown`]),
//! how a refusal reads to `kubectl` ([`refuse`]), and what a rehearsal says about its impact ([`impact`]). Pure throughout:
//! no network, no clock.

mod body;
mod class;
pub mod describe;
pub mod impact;
mod path;
mod pretty;
mod protobuf;
mod query;
pub mod refuse;
mod secret;
pub mod shown;
#[cfg(test)]
mod tests;
mod value;
mod yaml;

use std::sync::Arc;

use countersign_core::action::Facts;
use countersign_core::action::redact::{Redacted, Rules};
use http::{HeaderName, Response};

use crate::config::Target;
use crate::relay::dialect::{Content, Dialect, Refused, Rehearsal, Rehearsed};
use crate::relay::head::Head;

/// How long a request hangs at most, in seconds: less than the 60 that API servers give theirs, and what stands before them.
/// `kubectl` sends it again ten times.
const HOLD_SECONDS_MAX: u32 = 50;
/// By which both sides of `exec` agree on what they speak over SPDY.
const STREAM_VERSION: &str = "x-stream-protocol-version";

/// Requests to a Kubernetes API server.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kubernetes;

impl Dialect for Kubernetes {
    fn describe(&self, head: &Head, content: Content<'_>, _: &Rules) -> Facts {
        Facts::Kubernetes(describe::describe(head, content))
    }

    fn shown(&self, head: &Head, content: Content<'_>, rules: &Rules) -> Redacted {
        shown::shown(head, content, rules, None).unwrap_or_default()
    }

    fn rehearsal(&self, head: &Head, facts: &Facts) -> Option<Rehearsal> {
        match facts {
            Facts::Kubernetes(facts) => impact::rehearsal(head, facts),
            Facts::Sql(_) | Facts::Http(_) | Facts::Aws(_) | Facts::Gate(_) => None,
        }
    }

    fn rehearsed(&self, head: &Head, content: Content<'_>, rules: &Rules, found: &Rehearsed) -> Option<Redacted> {
        shown::shown(head, content, rules, Some(found))
    }

    fn forwards(&self, name: &HeaderName) -> bool {
        name.as_str() == STREAM_VERSION
    }

    fn hold_seconds_max(&self) -> u32 {
        HOLD_SECONDS_MAX
    }

    fn refuse(&self, refused: Refused<'_>) -> Response<Vec<u8>> {
        refuse::answer(&refused)
    }
}

/// The dialect of a target.
///
/// # Errors
/// None: a target needs nothing besides its address.
pub fn dialect(_: &Target) -> Result<Arc<dyn Dialect>, String> {
    Ok(Arc::new(Kubernetes))
}
