//! Signatures held against those that AWS publishes, and those that botocore makes.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

/// Signed by AWS's published vectors and by botocore's own signer, all at 2015-08-30T12:36:00Z.
const SIGNATURES: &str = include_str!("../../../../tests/data/aws/signatures.json");
const THEN: u64 = 1_440_938_160;

#[derive(Deserialize)]
struct Signed {
    name: String,
    service: String,
    method: String,
    url: String,
    headers: BTreeMap<String, String>,
    body: String,
    token: Option<String>,
    authorization: String,
}

fn map(headers: &BTreeMap<String, String>) -> HeaderMap {
    let pair = |(name, value): (&String, &String)| -> (HeaderName, HeaderValue) {
        (name.parse().expect("a name"), value.parse().expect("a value"))
    };
    headers.iter().map(pair).collect()
}

fn key(session: Option<String>) -> AccessKey {
    AccessKey {
        id: "AKIDEXAMPLE".to_owned(),
        secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned().into(),
        session: session.map(Into::into),
    }
}

#[test]
fn signatures_are_those_of_others() {
    let cases: Vec<Signed> = serde_json::from_str(SIGNATURES).expect("signatures");
    assert!(cases.len() >= 10);
    for case in cases {
        let asked = For { service: case.service.clone(), region: "us-east-1".to_owned() };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(THEN);
        let payload = Payload::Bytes(case.body.as_bytes());
        let added =
            sign(&case.method, &case.url, &map(&case.headers), payload, &asked, &key(case.token), now).expect("signed");
        let found = added.get("authorization").and_then(|value| value.to_str().ok());
        assert_eq!(found, Some(case.authorization.as_str()), "{}", case.name);
    }
}

#[test]
fn a_body_may_stay_unsigned() {
    let asked = For { service: "s3".to_owned(), region: "us-east-1".to_owned() };
    let url = "https://s3.us-east-1.amazonaws.com/shop/a";
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(THEN);
    let added = sign("PUT", url, &HeaderMap::new(), Payload::Unsigned, &asked, &key(None), now).expect("signed");
    assert_eq!(added.get("x-amz-content-sha256").and_then(|value| value.to_str().ok()), Some("UNSIGNED-PAYLOAD"));
    assert!(added.get("authorization").is_some_and(HeaderValue::is_sensitive));
}

#[test]
fn nothing_of_a_clients_signature_is_left() {
    let named = ["Authorization", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256", "X-Amz-Acl"];
    let headers = map(&named.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect());
    let query = "a=1&X-Amz-Signature=2&x-amz-credential=3&X-Amz-Expires=4&X-Amz-Security-Token=5&uploads";
    let (headers, query) = stripped(&headers, Some(query));
    assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-amz-acl"]);
    assert_eq!(query.as_deref(), Some("a=1&uploads"));
    assert_eq!(stripped(&HeaderMap::new(), Some("X-Amz-Date=1")).1, None);
}
