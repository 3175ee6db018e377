//! What comes with the gateway for some APIs: classes for GitHub's document, which its users fetch themselves
//! (`npm pack @octokit/openapi`, then `generated/api.github.com.json` as it is), the distribution specification's document,
//! and Vault's peculiarities, whose document each server writes itself (`/v1/sys/internal/specs/openapi`).

use super::classes::{Classes, NotClasses};

const GITHUB: &str = include_str!("../../../../../policies/packs/github.classes.toml");
const VAULT: &str = include_str!("../../../../../policies/packs/vault.classes.toml");
const OCI_REGISTRY: &str = include_str!("../../../../../policies/packs/oci-registry.json");

/// The classes that come with the gateway for a document of this name; none for a name that it does not know.
///
/// # Errors
/// Never, for what comes with the gateway.
pub fn classes(name: &str) -> Result<Classes, NotClasses> {
    match name {
        "github" => Classes::parse(GITHUB),
        "vault" => Classes::parse(VAULT),
        _ => Ok(Classes::default()),
    }
}

/// The document that comes with the gateway under a name.
pub fn document(name: &str) -> Option<&'static str> {
    (name == "oci-registry").then_some(OCI_REGISTRY)
}
