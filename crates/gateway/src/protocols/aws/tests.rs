//! Commands of real clients, and what each of them means.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use countersign_core::action::Facts;
use countersign_core::action::redact::Rules;
use countersign_core::action::request::AwsFacts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use proptest::prelude::*;
use serde::Deserialize;

use super::Aws;
use super::refuse::refusal;
use crate::relay::AccessKey;
use crate::relay::dialect::{Content, Dialect, Signing};
use crate::relay::head::Head;

/// What AWS's own command line sent, see `capture.py` beside it.
const CAPTURED: &str = include_str!("../../../tests/data/aws/captured.json");

#[derive(Deserialize)]
struct Captured {
    command: String,
    class: String,
    action: String,
    resources: BTreeSet<String>,
    request: Request,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
    body: String,
}

fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> Head {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name.parse::<HeaderName>().expect("a name"), value.parse::<HeaderValue>().expect("a value"));
    }
    Head::new(method.parse::<Method>().expect("a method"), path, query, map).expect("a head")
}

fn facts(head: &Head, body: &[u8]) -> AwsFacts {
    match Aws::default().describe(head, Content::Whole(body), &Rules::default()) {
        Facts::Aws(facts) => facts,
        other => panic!("{other:?}"),
    }
}

#[test]
fn commands_mean_what_they_are() {
    let captured: Vec<Captured> = serde_json::from_str(CAPTURED).expect("captures");
    assert!(captured.len() >= 70);
    let mut wrong = Vec::new();
    for Captured { command, class, action, resources, request } in captured {
        let headers: Vec<_> = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let head = head(&request.method, &request.target, &headers);
        let found = facts(&head, &BASE64_STANDARD.decode(&request.body).expect("base64"));
        let (class, dry_run) = class.strip_suffix(" dry").map_or((class.as_str(), false), |class| (class, true));
        let expected = (class, action.as_str(), &resources, dry_run);
        let same = (found.class.name(), found.action.as_str(), &found.resources, found.dry_run);
        if same != expected {
            wrong.push(format!("{command}\n  is {same:?}\n  not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const IAM: &str =
    "AWS4-HMAC-SHA256 Credential=AKID/20261123/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0";
const KMS: &str =
    "AWS4-HMAC-SHA256 Credential=AKID/20261123/us-east-1/kms/aws4_request, SignedHeaders=host, Signature=0";
const S3: &str = "AWS4-HMAC-SHA256 Credential=AKID/20261123/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
const METRICS: &str =
    "AWS4-HMAC-SHA256 Credential=A/20261123/eu-west-1/monitoring/aws4_request, SignedHeaders=host, Signature=0";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const TARGET: (&str, &str) = ("x-amz-target", "TrentService.ListKeys");

fn action(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> String {
    let facts = facts(&head(method, target, headers), body.as_bytes());
    format!("{} {}", facts.class.name(), facts.action)
}

#[test]
fn what_speaks_two_protocols_is_opaque() {
    let iam = ("authorization", IAM);
    let kms = ("authorization", KMS);
    let check = |method: &str, target: &str, headers: &[(&str, &str)], body: &str, expected: &str| {
        assert_eq!(action(method, target, headers, body), expected, "{target} {body}");
    };
    check("POST", "/", &[iam, FORM], "Action=ListUsers", "read iam:ListUsers");
    check("GET", "/?Action=ListUsers", &[iam], "", "read iam:ListUsers");
    check("POST", "/", &[kms, TARGET], "{}", "read kms:ListKeys");
    for (target, headers, body) in [
        ("/", vec![iam, FORM], "Action=ListUsers&Action=DeleteUser"),
        ("/", vec![iam, FORM], "Action=ListUsers&action=DeleteUser"),
        ("/", vec![iam, FORM], "Action=List%20Users"),
        ("/", vec![iam, FORM], "Version=2010-05-08"),
        ("/?Action=DeleteUser", vec![iam, FORM], "Action=ListUsers"),
        ("/?UserName=x", vec![iam, FORM], "Action=DeleteUser"),
        ("/other", vec![iam, FORM], "Action=ListUsers"),
        ("/", vec![iam, FORM, ("authorization", KMS)], "Action=ListUsers"),
        ("/?X-Amz-Credential=A%2F20261123%2Fus-east-1%2Fkms%2Faws4_request", vec![iam, FORM], "Action=ListUsers"),
        ("/", vec![FORM], "Action=ListUsers"),
    ] {
        let said = action("POST", target, &headers, body);
        assert!(said.starts_with("opaque ") && said.ends_with(":*"), "{target} {body} {said}");
    }
    for (headers, body) in [
        (vec![kms, TARGET, FORM], "Action=ListKeys"),
        (vec![kms, TARGET, TARGET], "{}"),
        (vec![kms, ("x-amz-target", "AWSSecurityTokenService.ListKeys")], "{}"),
        (vec![kms, ("x-amz-target", "TrentService")], "{}"),
        (vec![kms, TARGET, ("smithy-protocol", "rpc-v2-cbor")], "{}"),
        (vec![kms, TARGET], r#"{"KeyId":"a","KeyId":"b"}"#),
        (vec![kms, TARGET], "{"),
        (vec![kms, FORM], "Action=ListKeys"),
    ] {
        check("POST", "/", &headers, body, "opaque kms:*");
    }
}

#[test]
fn cbor_and_presigned_addresses_are_understood() {
    let smithy = [("authorization", METRICS), ("smithy-protocol", "rpc-v2-cbor"), ("content-type", "application/cbor")];
    let of = |target: &str, body: &[u8]| facts(&head("POST", target, &smithy), body).action;
    let target = "/service/GraniteServiceVersion20100801/operation/DeleteAlarms";
    assert_eq!(of(target, &[0xa0]), "cloudwatch:DeleteAlarms");
    assert_eq!(of(target, &[0xff]), "cloudwatch:*");
    assert_eq!(of("/service/x/operation", &[0xa0]), "cloudwatch:*");
    let presigned = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F20261123%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Signature=0";
    let found = facts(&head("GET", &format!("/shop/a?{presigned}"), &[]), b"");
    assert_eq!((found.action.as_str(), found.region.as_str()), ("s3:GetObject", "eu-west-1"));
}

#[test]
fn s3_is_routed_as_s3_does() {
    let check = |line: &str, headers: &[(&str, &str)], expected: &str| {
        let (method, target) = line.split_once(' ').expect("a line");
        let all: Vec<_> = [("authorization", S3)].into_iter().chain(headers.iter().copied()).collect();
        let head = head(method, target, &all);
        let Facts::Aws(found) = Aws::default().describe(&head, Content::Unread, &Rules::default()) else {
            panic!("facts of AWS")
        };
        let resources = found.resources.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        assert_eq!(format!("{} {} {resources}", found.class.name(), found.action).trim(), expected, "{line}");
    };
    check("DELETE /b/k?versionId=1", &[], "write s3:DeleteObjectVersion arn:aws:s3:::b/k");
    check("PUT /b/k?partNumber=1&uploadId=u", &[], "write s3:PutObject arn:aws:s3:::b/k");
    check(
        "PUT /b/k",
        &[("x-amz-copy-source", "/c/d%20e?versionId=1")],
        "write s3:PutObject arn:aws:s3:::b/k arn:aws:s3:::c/d e",
    );
    check("PUT /b/k", &[("x-amz-grant-read", "x")], "admin s3:PutObjectAcl arn:aws:s3:::b/k");
    check(
        "DELETE /b/k",
        &[("x-amz-bypass-governance-retention", "true")],
        "admin s3:BypassGovernanceRetention arn:aws:s3:::b/k",
    );
    for line in [
        "GET /b?acl&policy",
        "GET /b?unknown",
        "PATCH /b/k",
        "POST /",
        "GET /b/k?ACL",
        "GET /v20180820/x",
        "DELETE /b?acl",
    ] {
        check(line, &[], "opaque s3:*");
    }
    check("GET /b", &[("x-amz-target", "X.Y")], "opaque s3:*");
}

#[test]
fn a_bucket_before_the_host_stands_in_the_path() {
    let check = |authorization: &str, bucket: &str, path: &str, expected: Option<&str>| {
        let head = head("GET", "/", &[("authorization", authorization)]);
        let found = Aws::default().below(bucket, path, &head.headers);
        assert_eq!(found.ok().as_deref(), expected, "{bucket} {path}");
    };
    check(S3, "shop", "/a%20b//c", Some("/shop/a%20b//c"));
    check(S3, "shop.example", "/", Some("/shop.example"));
    for bucket in ["", "a", "a..b", "-ab", "ab-", "sh/op", "Shop", "sh%2fop", "sh_op"] {
        check(S3, bucket, "/a", None);
    }
    check(S3, "123456789012", "/v20180820/bucket/shop", None);
    check(IAM, "shop", "/", None);
}

#[test]
fn chunks_may_be_long() {
    let data = "x".repeat(3 << 20);
    let body = format!("{:x};chunk-signature=a\r\n{data}\r\n0;chunk-signature=b\r\n\r\n", data.len());
    let length = data.len().to_string();
    let kind = ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    let mut head = head("PUT", "/b/k", &[("authorization", S3), kind, ("x-amz-decoded-content-length", &length)]);
    let plain = Aws::default().admit(&mut head, Content::Whole(body.as_bytes())).expect("taken");
    assert!(plain.is_some_and(|plain| plain == data.as_bytes()));
}

#[test]
fn refusals_have_the_shape_of_the_protocol() {
    let check = |headers: &[(&str, &str)], status: StatusCode, expected: &str| {
        let answer = refusal(&head("POST", "/", headers), status, "CS-1", "not <so>", "r-1");
        assert!(answer.body.contains(expected), "{}", answer.body);
    };
    let ec2 = IAM.replace("/iam/", "/ec2/");
    let no = StatusCode::FORBIDDEN;
    check(
        &[("authorization", IAM), FORM],
        no,
        "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not &lt;so&gt; (CS-1)",
    );
    check(&[("authorization", &ec2), FORM], no, "<Response><Errors><Error><Code>UnauthorizedOperation</Code>");
    check(&[("authorization", S3)], no, "<Error><Code>AccessDenied</Code>");
    check(&[("authorization", S3)], StatusCode::SERVICE_UNAVAILABLE, "<Code>SlowDown</Code>");
    check(&[("authorization", KMS), TARGET], no, "\"__type\":\"AccessDeniedException\"");
    check(&[("authorization", KMS), TARGET], StatusCode::SERVICE_UNAVAILABLE, "\"ThrottlingException\"");
}

#[test]
fn a_card_shows_action_and_request() {
    let headers = [("authorization", IAM), FORM, ("amz-sdk-invocation-id", "1")];
    let head = head("POST", "/", &headers);
    let shown =
        Aws::default().shown(&head, Content::Whole(b"Action=CreateUser&UserName=bot&Password=x"), &Rules::default());
    assert_eq!(
        shown.shown.text,
        "iam:CreateUser in us-east-1\narn:aws:iam::*:user/bot\nPOST /\ncontent-type: application/x-www-form-urlencoded\n\n\
         Action=CreateUser&UserName=bot&Password=‹password 1›"
    );
}

#[test]
fn what_a_client_signed_is_settled_before_anything_is_described() {
    let check = |headers: &[(&str, &str)], target: &str, body: Option<&str>, expected: Result<Option<&str>, &str>| {
        let mut head = head("PUT", target, headers);
        Aws::default().settle(&mut head.headers);
        let content = body.map_or(Content::Unread, |body| Content::Whole(body.as_bytes()));
        let plain = Aws::default().admit(&mut head, content).map_err(|refusal| refusal.message);
        let plain = plain.map(|plain| plain.map(|plain| String::from_utf8_lossy(&plain).into_owned()));
        match (&plain, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found.as_deref(), expected, "{headers:?}"),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            _ => panic!("{headers:?} {target} is {plain:?}"),
        }
        let mut lines: Vec<_> =
            head.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect();
        lines.sort();
        lines
    };
    let s3 = ("authorization", S3);
    let signed = ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    let unsigned = ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    let length = ("x-amz-decoded-content-length", "3");
    let encoding = ("content-encoding", "aws-chunked");
    let chunks = "3;chunk-signature=a\r\nabc\r\n0;chunk-signature=c\r\n\r\n";
    let scope = "authorization: AWS4-HMAC-SHA256 Credential=client/00000000/us-east-1/s3/aws4_request";
    assert_eq!(check(&[s3, signed, length, encoding], "/b/k", Some(chunks), Ok(Some("abc"))), [scope]);
    let sum = "3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n";
    let trailer = ("x-amz-trailer", "x-amz-checksum-crc32");
    assert_eq!(
        check(&[s3, unsigned, length, encoding, trailer], "/b/k", Some(sum), Ok(Some("abc"))),
        [scope, "x-amz-checksum-crc32: NSRBwg=="]
    );
    assert_eq!(check(&[s3, unsigned, length], "/b/k", None, Ok(None)).len(), 3);
    check(&[s3], "/b/k", Some("abc"), Ok(None));
    check(&[s3, signed, length], "/b/k", None, Err("signed chunks"));
    check(&[s3, signed, length], "/b/k", Some("abc"), Err("aws-chunked"));
    check(&[("authorization", IAM)], "/", None, Err("too long"));
    check(&[("authorization", "Bearer x")], "/", Some(""), Err("not signed"));
    check(&[], "/b/k?X-Amz-Credential=A%2F20261123%2Fus-east-1%2Fs3%2Faws4_request", Some(""), Err("presigned"));
    check(&[s3], "/b/k?X-Amz-Signature=0", Some(""), Err("presigned"));
}

#[test]
fn the_same_call_again_has_the_same_headers() {
    let of = |features: &str, signature: &str| {
        let agent = format!("aws-cli/1.46.3 md/Botocore#1.43.62 {features} cfg/retry-mode#legacy");
        let authorization = IAM.replace("Signature=0", signature);
        let mut head = head("POST", "/", &[("authorization", &authorization), ("user-agent", &agent)]);
        Aws::default().settle(&mut head.headers);
        head.headers
    };
    let one = of("m/D,Z,g", "Signature=1");
    assert_eq!(one, of("m/Z,g,D,E", "Signature=2"));
    let agent = one.get("user-agent").and_then(|value| value.to_str().ok());
    assert_eq!(agent, Some("aws-cli/1.46.3 md/Botocore#1.43.62 cfg/retry-mode#legacy"));
}

#[test]
fn what_is_sent_on_is_signed_with_the_gateways_key() {
    let key = AccessKey { id: "ASIA1".to_owned(), secret: "s".to_owned().into(), session: Some("t".to_owned().into()) };
    let mut head = head("POST", "/", &[("authorization", IAM), FORM, ("x-amz-target", "x")]);
    Aws::default().settle(&mut head.headers);
    let mut signing = Signing {
        method: Method::POST,
        uri: "http://127.0.0.1:5000/".parse().expect("an address"),
        body: Some("Action=ListUsers".into()),
        key: &key,
        headers: &mut head.headers,
    };
    Aws::default().sign(&mut signing).expect("signed");
    let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let authorization = text("authorization");
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=ASIA1/"), "{authorization}");
    assert!(authorization.contains("/us-east-1/iam/aws4_request, SignedHeaders=") && !authorization.contains("AKID"));
    assert_eq!(text("x-amz-security-token"), "t");
}

#[test]
fn one_upstream_stands_for_all_services() {
    let aws = Aws { all_services: true, ..Aws::default() };
    let of = |authorization: &str, target: &str| {
        let mut head = head("POST", "/", &[("authorization", authorization), ("x-amz-target", target)]);
        let admitted = aws.admit(&mut head, Content::Whole(b"")).is_ok();
        let host = aws.host(&head.headers);
        assert_eq!(admitted, host.is_ok());
        host.ok().flatten().unwrap_or_default()
    };
    assert_eq!(of(IAM, ""), "iam.amazonaws.com");
    assert_eq!(of(KMS, "TrentService.ListKeys"), "kms.us-east-1.amazonaws.com");
    let streams = KMS.replace("/kms/", "/dynamodb/");
    assert_eq!(of(&streams, "DynamoDBStreams_20120810.ListStreams"), "streams.dynamodb.us-east-1.amazonaws.com");
    assert_eq!(of(&KMS.replace("/kms/", "/lex/"), ""), "");
    assert_eq!(of(&KMS.replace("us-east-1", "x.example.org"), ""), "");
    assert_eq!(Aws::default().host(&HeaderMap::new()), Ok(None));
}

proptest! {
    #[test]
    fn describing_never_panics(
        method in "GET|PUT|POST|DELETE|HEAD|PATCH",
        target in "/[ -~]{0,40}",
        service in "s3|iam|kms|lambda|apigateway|monitoring|ec2|x",
        extra in prop::collection::vec(("x-amz-target|content-type|smithy-protocol|x-amz-copy-source|x-amz-acl", "[!-~]{0,20}"), 0..3),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let (path, query) = target.split_once('?').map_or((target.as_str(), None), |(path, query)| (path, Some(query)));
        let mut headers = HeaderMap::new();
        let authorization = IAM.replace("/iam/", &format!("/{service}/"));
        headers.insert("authorization", authorization.parse().expect("a value"));
        for (name, value) in &extra {
            headers.append(name.parse::<HeaderName>().expect("a name"), value.parse().expect("a value"));
        }
        if let Ok(head) = Head::new(method.parse().expect("a method"), path, query, headers) {
            let rules = Rules::default();
            let _ = Aws::default().describe(&head, Content::Whole(&body), &rules);
            let _ = Aws::default().shown(&head, Content::Whole(&body), &rules);
            let _ = refusal(&head, StatusCode::FORBIDDEN, "C", "m", "r");
        }
    }
}
