//! What a request over HTTP means: the facts a describer extracts and policy reads, one module a dialect.
//!
//! Facts come from the dialect's own rules (an OpenAPI document, the API server's reading of a path, a cloud's protocol),
//! never from a regular expression. The describers live with the protocols; here is only the vocabulary that policy,
//! cards and records share.

use serde::{Deserialize, Serialize};

pub mod aws;
pub mod http;
pub mod kubernetes;

pub use aws::AwsFacts;
pub use http::{HttpFacts, Typed};
pub use kubernetes::KubernetesFacts;

/// How dangerous a request is, least first: the order is the order of danger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestClass {
    /// Reads and changes nothing.
    Read,
    /// Changes data or objects.
    Write,
    /// Runs code, or opens a channel into something that runs: `exec`, `attach`, `portforward`, a proxy.
    Exec,
    /// Answers with credentials: what is read can be used elsewhere.
    Reveal,
    /// Changes rights, keys, or what guards the rest.
    Admin,
    /// Its effect cannot be known.
    Opaque,
}

impl RequestClass {
    /// The name used in JSON, policies and cards.
    pub fn name(self) -> &'static str {
        match self {
            RequestClass::Read => "read",
            RequestClass::Write => "write",
            RequestClass::Exec => "exec",
            RequestClass::Reveal => "reveal",
            RequestClass::Admin => "admin",
            RequestClass::Opaque => "opaque",
        }
    }

    /// Whether it is one of policy's `admin` actions.
    pub fn is_admin(self) -> bool {
        match self {
            RequestClass::Read | RequestClass::Write => false,
            RequestClass::Exec | RequestClass::Reveal | RequestClass::Admin | RequestClass::Opaque => true,
        }
    }
}
