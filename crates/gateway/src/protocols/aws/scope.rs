//! For which service and region a client signed: the credential scope of Signature Version 4.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html>. The signature itself is not checked: who
//! asks is told by the gateway's own authentication, and the upstream gets a signature of the gateway's.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::relay::head::Head;

/// The algorithm that is understood.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What a request is signed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
    /// The name of the service in signatures.
    pub(super) signed_for: String,
    /// The region; `us-east-1` for services that have none.
    pub(super) region: String,
}

impl Scope {
    /// Of a request that is signed once, in its header or in its query.
    pub(super) fn of(head: &Head) -> Option<Self> {
        let pairs = head.query_pairs();
        let mut in_query = pairs.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-amz-credential"));
        let presigned = in_query.next();
        if in_query.next().is_some() || (presigned.is_some() && head.headers.contains_key("authorization")) {
            return None;
        }
        match presigned {
            Some((_, credential)) => Self::parse(credential),
            None => Self::of_authorization(head.header("authorization")?),
        }
    }

    /// Of a header's value.
    pub(super) fn of_authorization(value: &str) -> Option<Self> {
        let rest = value.strip_prefix(ALGORITHM)?;
        let mut parts = rest.split(',').filter_map(|part| part.trim().strip_prefix("Credential="));
        let credential = parts.next()?;
        parts.next().is_none().then(|| Self::parse(credential))?
    }

    /// A header's value that says this and nothing else: no key, no day, no signature.
    pub(super) fn authorization(&self) -> String {
        format!("{ALGORITHM} Credential=client/00000000/{}/{}/aws4_request", self.region, self.signed_for)
    }

    /// `KEY/20261123/eu-central-1/s3/aws4_request`; a key may hold slashes, since it is the gateway's own.
    fn parse(credential: &str) -> Option<Self> {
        let mut parts = credential.rsplit('/');
        let (end, service, region, day) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let plain =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let whole =
            end == "aws4_request" && plain(service) && plain(region) && day.len() == 8 && parts.next().is_some();
        whole.then(|| Self { signed_for: service.to_owned(), region: region.to_owned() })
    }
}

/// One service, as botocore's models have it.
#[derive(Debug, Default)]
pub(super) struct Service {
    /// What it speaks: `query`, `json`, `rest`, `cbor`.
    protocols: Vec<&'static str>,
    /// What its targets begin with.
    targets: Vec<&'static str>,
}

impl Service {
    pub(super) fn speaks(&self, protocol: &str) -> bool {
        self.protocols.contains(&protocol)
    }

    pub(super) fn has_target(&self, prefix: &str) -> bool {
        self.targets.contains(&prefix)
    }
}

static SERVICES: LazyLock<BTreeMap<&'static str, Service>> = LazyLock::new(|| {
    let lines = include_str!("services.txt").lines().filter(|line| !line.starts_with('#'));
    let read = |line: &'static str| {
        let mut words = line.split(' ');
        let name = words.next()?;
        let mut list = || words.next().unwrap_or_default().split(',').filter(|word| !word.is_empty()).collect();
        Some((name, Service { protocols: list(), targets: list() }))
    };
    lines.filter_map(read).collect()
});

/// A service by the name that it is signed for.
pub(super) fn service(signed_for: &str) -> Option<&'static Service> {
    SERVICES.get(signed_for)
}

/// The prefix of a service's actions in policies, where it is not the name that it is signed for.
pub(super) fn prefix(signed_for: &str) -> &str {
    match signed_for {
        "monitoring" => "cloudwatch",
        "email" => "ses",
        "tagging" => "tag",
        "awsssooidc" => "sso-oauth",
        "awsssoportal" => "sso",
        "cloudhsmv2" => "cloudhsm",
        "AWSMTurk" => "mechanicalturk",
        "IoTSecuredTunneling" => "iotsecuredtunneling",
        "aws-marketplace-management" => "aws-marketplace",
        "appconfigdata" => "appconfig",
        other => other,
    }
}
