//! S3's own routing: method, whether there is a key, and the subresource in the query.
//!
//! Actions are those that IAM asks for (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html>):
//! a list of objects is `s3:ListBucket`, a copy `s3:PutObject`. Where a request needs two actions, such as an object put
//! together with its ACL, it is the more dangerous one. Deliberately absent: the keys in the body of a deletion of many,
//! which the card shows; here they are `bucket/*`.

use std::collections::BTreeSet;

use http::Method;

use crate::relay::head::Head;

use super::call::presigned;

/// What S3 is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// Without `s3:`.
    pub(super) action: &'static str,
    pub(super) resources: BTreeSet<String>,
}

/// Parameters that say how, never what.
const PLAIN: &[&str] = &[
    "prefix",
    "delimiter",
    "marker",
    "max-keys",
    "encoding-type",
    "continuation-token",
    "fetch-owner",
    "start-after",
    "list-type",
    "key-marker",
    "version-id-marker",
    "upload-id-marker",
    "max-uploads",
    "part-number-marker",
    "max-parts",
    "x-id",
    "id",
    "max-buckets",
    "bucket-region",
    "response-content-type",
    "response-content-language",
    "response-expires",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "partNumber",
    "uploadId",
    "versionId",
    "select-type",
    "checksum-mode",
];

/// Method, whether a key is named, subresource, action. An empty subresource is none.
#[rustfmt::skip]
const ROUTES: &[(&str, bool, &str, &str)] = &[
    ("GET", false, "", "ListBucket"), ("HEAD", false, "", "ListBucket"), ("PUT", false, "", "CreateBucket"),
    ("DELETE", false, "", "DeleteBucket"),
    ("GET", true, "", "GetObject"), ("HEAD", true, "", "GetObject"), ("PUT", true, "", "PutObject"),
    ("DELETE", true, "", "DeleteObject"),
    ("GET", false, "session", "CreateSession"),
    ("GET", false, "versions", "ListBucketVersions"), ("GET", false, "uploads", "ListBucketMultipartUploads"),
    ("GET", false, "location", "GetBucketLocation"), ("POST", false, "delete", "DeleteObject"),
    ("GET", false, "acl", "GetBucketAcl"), ("PUT", false, "acl", "PutBucketAcl"),
    ("GET", false, "policy", "GetBucketPolicy"), ("PUT", false, "policy", "PutBucketPolicy"),
    ("DELETE", false, "policy", "DeleteBucketPolicy"), ("GET", false, "policyStatus", "GetBucketPolicyStatus"),
    ("GET", false, "publicAccessBlock", "GetBucketPublicAccessBlock"), ("PUT", false, "publicAccessBlock", "PutBucketPublicAccessBlock"),
    ("DELETE", false, "publicAccessBlock", "PutBucketPublicAccessBlock"),
    ("GET", false, "ownershipControls", "GetBucketOwnershipControls"), ("PUT", false, "ownershipControls", "PutBucketOwnershipControls"),
    ("DELETE", false, "ownershipControls", "PutBucketOwnershipControls"),
    ("GET", false, "cors", "GetBucketCORS"), ("PUT", false, "cors", "PutBucketCORS"), ("DELETE", false, "cors", "PutBucketCORS"),
    ("GET", false, "encryption", "GetEncryptionConfiguration"), ("PUT", false, "encryption", "PutEncryptionConfiguration"),
    ("DELETE", false, "encryption", "PutEncryptionConfiguration"),
    ("GET", false, "lifecycle", "GetLifecycleConfiguration"), ("PUT", false, "lifecycle", "PutLifecycleConfiguration"),
    ("DELETE", false, "lifecycle", "PutLifecycleConfiguration"),
    ("GET", false, "replication", "GetReplicationConfiguration"), ("PUT", false, "replication", "PutReplicationConfiguration"),
    ("DELETE", false, "replication", "PutReplicationConfiguration"),
    ("GET", false, "tagging", "GetBucketTagging"), ("PUT", false, "tagging", "PutBucketTagging"), ("DELETE", false, "tagging", "PutBucketTagging"),
    ("GET", false, "website", "GetBucketWebsite"), ("PUT", false, "website", "PutBucketWebsite"), ("DELETE", false, "website", "DeleteBucketWebsite"),
    ("GET", false, "versioning", "GetBucketVersioning"), ("PUT", false, "versioning", "PutBucketVersioning"),
    ("GET", false, "logging", "GetBucketLogging"), ("PUT", false, "logging", "PutBucketLogging"),
    ("GET", false, "notification", "GetBucketNotification"), ("PUT", false, "notification", "PutBucketNotification"),
    ("GET", false, "accelerate", "GetAccelerateConfiguration"), ("PUT", false, "accelerate", "PutAccelerateConfiguration"),
    ("GET", false, "requestPayment", "GetBucketRequestPayment"), ("PUT", false, "requestPayment", "PutBucketRequestPayment"),
    ("GET", false, "object-lock", "GetBucketObjectLockConfiguration"), ("PUT", false, "object-lock", "PutBucketObjectLockConfiguration"),
    ("GET", false, "analytics", "GetAnalyticsConfiguration"), ("PUT", false, "analytics", "PutAnalyticsConfiguration"),
    ("DELETE", false, "analytics", "PutAnalyticsConfiguration"),
    ("GET", false, "inventory", "GetInventoryConfiguration"), ("PUT", false, "inventory", "PutInventoryConfiguration"),
    ("DELETE", false, "inventory", "PutInventoryConfiguration"),
    ("GET", false, "metrics", "GetMetricsConfiguration"), ("PUT", false, "metrics", "PutMetricsConfiguration"),
    ("DELETE", false, "metrics", "PutMetricsConfiguration"),
    ("GET", false, "intelligent-tiering", "GetIntelligentTieringConfiguration"), ("PUT", false, "intelligent-tiering", "PutIntelligentTieringConfiguration"),
    ("DELETE", false, "intelligent-tiering", "PutIntelligentTieringConfiguration"),
    ("GET", true, "acl", "GetObjectAcl"), ("PUT", true, "acl", "PutObjectAcl"),
    ("GET", true, "tagging", "GetObjectTagging"), ("PUT", true, "tagging", "PutObjectTagging"), ("DELETE", true, "tagging", "DeleteObjectTagging"),
    ("GET", true, "legal-hold", "GetObjectLegalHold"), ("PUT", true, "legal-hold", "PutObjectLegalHold"),
    ("GET", true, "retention", "GetObjectRetention"), ("PUT", true, "retention", "PutObjectRetention"),
    ("GET", true, "attributes", "GetObjectAttributes"), ("GET", true, "torrent", "GetObjectTorrent"),
    ("POST", true, "uploads", "PutObject"), ("POST", true, "restore", "RestoreObject"), ("POST", true, "select", "GetObject"),
];

/// What S3 is asked for; nothing where it cannot be told.
pub(super) fn asked(head: &Head) -> Option<Asked> {
    let (bucket, key) = place(head)?;
    let mut subresource = "";
    let mut parts = Parts::default();
    let mut seen = BTreeSet::new();
    let pairs = head.query_pairs();
    for (name, value) in pairs.iter().filter(|(name, _)| !presigned(name)) {
        seen.insert(name.to_ascii_lowercase()).then_some(())?;
        if PLAIN.contains(&name.as_str()) {
            parts.note(name, value);
        } else if subresource.is_empty() {
            subresource = name;
        } else {
            return None;
        }
    }
    if bucket.is_empty() {
        let whole = head.method == Method::GET && subresource.is_empty() && key.is_empty();
        return whole.then(|| Asked { action: "ListAllMyBuckets", resources: BTreeSet::new() });
    }
    let routed = |(method, with_key, name, _): &&(&str, bool, &str, &str)| {
        *method == head.method.as_str() && *with_key != key.is_empty() && *name == subresource
    };
    let action = match ROUTES.iter().find(routed) {
        Some((_, _, _, action)) => refined(action, &parts, &head.method)?,
        None if subresource.is_empty() && parts.upload && head.method == Method::POST => "PutObject",
        None => return None,
    };
    let own = if key.is_empty() { bucket.clone() } else { format!("{bucket}/{key}") };
    let many = subresource == "delete";
    let mut resources = BTreeSet::from([format!("arn:aws:s3:::{own}{}", if many { "/*" } else { "" })]);
    if let Some(source) = source(head)? {
        resources.insert(format!("arn:aws:s3:::{source}"));
    }
    Some(Asked { action: guarded(head, action, key.is_empty()), resources })
}

/// What the plain parameters change.
#[derive(Debug, Default)]
struct Parts {
    upload: bool,
    version: bool,
}

impl Parts {
    fn note(&mut self, name: &str, _: &str) {
        self.upload |= name == "uploadId";
        self.version |= name == "versionId";
    }
}

/// The action on a version of an object, or on an upload of several parts.
fn refined(action: &'static str, parts: &Parts, method: &Method) -> Option<&'static str> {
    if parts.upload {
        return match (action, method.as_str()) {
            ("PutObject", "PUT") => Some("PutObject"),
            ("GetObject", "GET") => Some("ListMultipartUploadParts"),
            ("DeleteObject", "DELETE") => Some("AbortMultipartUpload"),
            _ => None,
        };
    }
    Some(match action {
        "GetObject" if parts.version => "GetObjectVersion",
        "DeleteObject" if parts.version => "DeleteObjectVersion",
        "GetObjectAcl" if parts.version => "GetObjectVersionAcl",
        "PutObjectAcl" if parts.version => "PutObjectVersionAcl",
        "GetObjectTagging" if parts.version => "GetObjectVersionTagging",
        "PutObjectTagging" if parts.version => "PutObjectVersionTagging",
        "DeleteObjectTagging" if parts.version => "DeleteObjectVersionTagging",
        other => other,
    })
}

/// Headers that do more than the action's name says: they open an object, or take a lock away.
fn guarded(head: &Head, action: &'static str, on_bucket: bool) -> &'static str {
    let has = |name: &str| head.headers.contains_key(name);
    let opens =
        head.headers.keys().any(|name| name.as_str() == "x-amz-acl" || name.as_str().starts_with("x-amz-grant-"));
    let open = head.header("x-amz-acl").is_none_or(|acl| acl != "private");
    if has("x-amz-bypass-governance-retention") {
        return "BypassGovernanceRetention";
    }
    match action {
        "PutObject" if opens && open => "PutObjectAcl",
        "CreateBucket" if opens && open && on_bucket => "PutBucketAcl",
        "PutObject" if has("x-amz-object-lock-legal-hold") || has("x-amz-object-lock-mode") => "PutObjectRetention",
        other => other,
    }
}

/// What is copied or renamed, `bucket/key`; an error where that cannot be told.
#[expect(clippy::option_option, reason = "unreadable, absent, there")]
fn source(head: &Head) -> Option<Option<String>> {
    let names = ["x-amz-copy-source", "x-amz-rename-source"];
    let mut there = names.into_iter().filter(|name| head.headers.contains_key(*name));
    let Some(name) = there.next() else { return Some(None) };
    let raw = head.header(name).filter(|_| there.next().is_none())?;
    let path = raw.split('?').next().unwrap_or_default();
    let text = url::form_urlencoded::parse(path.replace('=', "%3D").replace('+', "%2B").replace('&', "%26").as_bytes())
        .next()
        .map(|(text, _)| text.into_owned())?;
    Some(Some(text.strip_prefix('/').unwrap_or(&text).to_owned()))
}

/// The path that stands for one behind a bucket's own host.
pub(super) fn in_path(bucket: &str, path: &str) -> Option<String> {
    let named = (3..=63).contains(&bucket.len())
        && bucket.split('.').all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'))
        && bucket.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte));
    let first = path.split('/').nth(1).unwrap_or_default();
    (named && path.starts_with('/') && !OTHERS.contains(&first)).then(|| match path {
        "/" => format!("/{bucket}"),
        _ => format!("/{bucket}{path}"),
    })
}

/// What S3 Control and Object Lambda have at the beginning of their paths, on hosts of their own.
const OTHERS: [&str; 2] = ["v20180820", "WriteGetObjectResponse"];

/// Bucket and key.
fn place(head: &Head) -> Option<(String, String)> {
    let (bucket, rest) = head.segments().split_first()?;
    let plain = bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte));
    (plain && !OTHERS.contains(&bucket.as_str())).then(|| (bucket.clone(), rest.join("/")))
}
