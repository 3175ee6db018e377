//! A request to AWS, or to what speaks its protocols: service and action from the protocol, resources as ARNs.
//!
//! Names are those of the service authorization reference:
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html>.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::RequestClass;

/// What a request to a cloud's control plane means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwsFacts {
    /// How dangerous it is.
    pub class: RequestClass,
    /// The service's prefix in policies: `iam`, `kms`, `s3`.
    pub service: String,
    /// The action as policies of AWS write it: `iam:CreateRole`; `s3:*` where the operation is not recognised.
    pub action: String,
    /// The region that the request is signed for.
    pub region: String,
    /// The ARNs that it names, `*` in the places that the request does not tell (the account, mostly).
    pub resources: BTreeSet<String>,
    /// Whether the answer would be the same, but nothing is done (`DryRun`).
    pub dry_run: bool,
}

impl AwsFacts {
    /// A request that is not recognised.
    pub fn opaque(service: &str, region: &str) -> Self {
        Self {
            class: RequestClass::Opaque,
            service: service.to_owned(),
            action: format!("{service}:*"),
            region: region.to_owned(),
            resources: BTreeSet::new(),
            dry_run: false,
        }
    }
}
