//! AWS: service, action and resources by its wire protocols; requests signed anew.
//!
//! | protocol | what names the operation |
//! |---|---|
//! | query, EC2 | `Action` of the form, or of the query |
//! | JSON 1.0, 1.1 | `X-Amz-Target: Prefix.Operation` |
//! | RPC v2 with CBOR | `Smithy-Protocol`, and `/service/…/operation/Operation` |
//! | REST (S3, Lambda, EKS …) | method, path and query, by tables |
//!
//! The service is the one that the client signed for; which protocols it speaks is a table. A request that speaks two at once
//! is opaque. Deliberately absent: event streams, SigV4a, and checking the client's signature, which is made with a key
//! that is none.

mod admit;
mod call;
mod classes;
pub mod describe;
mod endpoints;
pub mod models;
pub mod refuse;
mod resources;
mod s3;
mod scope;
pub mod shown;
pub mod sign;

use std::sync::Arc;
use std::time::SystemTime;

use countersign_core::action::Facts;
use countersign_core::action::redact::{Redacted, Rules};
use http::header::{AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Response};

use crate::codes::Code;
use crate::config::Target;
use crate::fetch::with_causes;
use crate::refusal::Refusal;
use crate::relay::dialect::{Content, Dialect, Refused, Signing};
use crate::relay::head::Head;
use models::Models;
use scope::Scope;

/// How long a call hangs: less than the 60 seconds after which botocore and the SDKs give up on an answer.
const HOLD_SECONDS_MAX: u32 = 50;

/// What is known of AWS beyond the tables here.
#[derive(Debug, Default)]
pub struct Aws {
    /// Operations of services that speak REST, from a folder of models.
    pub models: Models,
    /// Whether the upstream stands for all of AWS's services, each at a host of its own.
    pub all_services: bool,
}

impl Dialect for Aws {
    fn describe(&self, head: &Head, content: Content<'_>, _: &Rules) -> Facts {
        Facts::Aws(describe::describe(self, head, content))
    }

    fn shown(&self, head: &Head, content: Content<'_>, rules: &Rules) -> Redacted {
        shown::shown(self, head, content, rules)
    }

    fn forwards(&self, name: &HeaderName) -> bool {
        let own = name.as_str().starts_with("x-amz-") && name != "x-amz-date" && name != "x-amz-security-token";
        own || name == AUTHORIZATION || name == "smithy-protocol" || name == "content-md5"
    }

    /// Of the client's own signature only what it is for: the rest changes each time the same is sent. So do the features in use that
    /// botocore tells with its name (`m/D,Z,g`, in the order of a set).
    fn settle(&self, headers: &mut HeaderMap) {
        let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
        let kept =
            agent.map(|agent| agent.split(' ').filter(|word| !word.starts_with("m/")).collect::<Vec<_>>().join(" "));
        if let Some(value) = kept.and_then(|kept| HeaderValue::from_str(&kept).ok()) {
            headers.insert(USER_AGENT, value);
        }
        let Some(value) = headers.remove(AUTHORIZATION) else { return };
        let scope = value.to_str().ok().and_then(Scope::of_authorization);
        if let Some(value) = scope.and_then(|scope| HeaderValue::from_str(&scope.authorization()).ok()) {
            headers.insert(AUTHORIZATION, value);
        }
    }

    fn admit(&self, head: &mut Head, content: Content<'_>) -> Result<Option<Vec<u8>>, Refusal> {
        admit::admit(self, head, content)
    }

    /// A bucket may stand before the host; the upstream gets it in the path, which S3 reads alike.
    fn below(&self, below: &str, path: &str, headers: &HeaderMap) -> Result<String, Refusal> {
        let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let for_s3 = authorization.and_then(Scope::of_authorization).is_some_and(|scope| scope.signed_for == "s3");
        match s3::in_path(below, path).filter(|_| for_s3) {
            Some(path) => Ok(path),
            None => Err(Refusal::new(Code::Unsupported, format!("`{below}` before the target's name is no bucket"))
                .hint("only S3 has names below its own: its buckets")),
        }
    }

    fn host(&self, headers: &HeaderMap) -> Result<Option<String>, String> {
        if !self.all_services {
            return Ok(None);
        }
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let scope = text("authorization").and_then(Scope::of_authorization);
        let host = scope.and_then(|scope| endpoints::host(&scope, text("x-amz-target")));
        host.map(Some).ok_or_else(|| admit::NOWHERE.to_owned())
    }

    fn hold_seconds_max(&self) -> u32 {
        HOLD_SECONDS_MAX
    }

    fn refuse(&self, refused: Refused<'_>) -> Response<Vec<u8>> {
        refuse::response(refused)
    }

    fn sign(&self, signing: &mut Signing<'_>) -> Result<(), String> {
        sign::outgoing(signing, SystemTime::now())
    }
}

/// The dialect of a target.
///
/// # Errors
/// Its folder of models cannot be used.
pub fn dialect(target: &Target) -> Result<Arc<dyn Dialect>, String> {
    let folder = target.http.as_ref().and_then(|http| http.models.as_ref());
    let models = match folder {
        Some(folder) => {
            folder.check().map_err(|error| error.to_string())?;
            Models::load(folder.path()).map_err(|error| with_causes(&error))?
        }
        None => Models::default(),
    };
    let host = crate::config::address(&target.upstream)?.host().map(str::to_owned);
    Ok(Arc::new(Aws { models, all_services: host.as_deref() == Some(endpoints::ALL) }))
}

#[cfg(test)]
mod tests;
