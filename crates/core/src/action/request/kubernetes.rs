//! A request to a Kubernetes API server, as the server reads it.
//!
//! Verbs, groups and subresources are those of the server's request attributes:
//! <https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb>.

use serde::{Deserialize, Serialize};

use super::RequestClass;

/// What a request to a Kubernetes API server means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubernetesFacts {
    /// How dangerous it is.
    pub class: RequestClass,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; for a path that is no resource, the
    /// method in small letters.
    pub verb: String,
    /// The API group; empty for the core group.
    pub group: String,
    /// The version: `v1`.
    pub version: String,
    /// The resource, in the plural that paths use: `deployments`. Empty for a path that is no resource.
    pub resource: String,
    /// The subresource: `exec`, `scale`, `status`; empty without one.
    pub subresource: String,
    /// The namespace; empty for what is in none, and for a request over all of them.
    pub namespace: String,
    /// The object's name; empty for a collection. Of a creation, the name that the body gives.
    pub name: String,
    /// The path, where it is no resource's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Whether the server is asked to persist nothing (`dryRun=All`).
    pub dry_run: bool,
}

impl KubernetesFacts {
    /// A request that is not recognised.
    pub fn opaque(method: &str, path: impl Into<String>) -> Self {
        Self {
            class: RequestClass::Opaque,
            verb: method.to_ascii_lowercase(),
            group: String::new(),
            version: String::new(),
            resource: String::new(),
            subresource: String::new(),
            namespace: String::new(),
            name: String::new(),
            path: path.into(),
            dry_run: false,
        }
    }

    /// The resource with its group and subresource as `kubectl` writes them: `deployments.apps/scale`.
    pub fn kind(&self) -> String {
        let group = if self.group.is_empty() { String::new() } else { format!(".{}", self.group) };
        let subresource = if self.subresource.is_empty() { String::new() } else { format!("/{}", self.subresource) };
        format!("{}{group}{subresource}", self.resource)
    }

    /// What it is aimed at, in words: `deployments.apps web in namespace shop`, or the path.
    pub fn object(&self) -> String {
        if self.resource.is_empty() {
            return self.path.clone();
        }
        let name = if self.name.is_empty() { String::new() } else { format!(" {}", self.name) };
        let place = if self.namespace.is_empty() { String::new() } else { format!(" in namespace {}", self.namespace) };
        format!("{}{name}{place}", self.kind())
    }
}
