//! Requests, and the operations and values that they are.

mod captured;
mod vault;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use countersign_core::action::Facts;
use countersign_core::action::redact::Rules;
use countersign_core::action::request::{HttpFacts, RequestClass, Typed};
use http::{HeaderMap, HeaderName, Method};

use super::classes::Classes;
use super::openapi::Document;
use super::{Api, packs};
use crate::relay::dialect::{Content, Dialect};
use crate::relay::head::Head;

const PAYMENTS: &str = include_str!("../../../tests/data/openapi/payments.json");

fn payments() -> Api {
    let document = Document::from_json(PAYMENTS, &Classes::default()).expect("a document");
    Api::Document { name: "pay".to_owned(), document: Box::new(document) }
}

fn head(line: &str, headers: &[(&str, &str)]) -> Head {
    let (method, target) = line.split_once(' ').expect("a request line");
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name.parse::<HeaderName>().expect("a name"), value.parse().expect("a value"));
    }
    Head::new(method.parse::<Method>().expect("a method"), path, query, map).expect("a head")
}

fn facts(api: &Api, line: &str, headers: &[(&str, &str)], body: &str) -> HttpFacts {
    let head = head(line, headers);
    facts_of(api.describe(&head, Content::Whole(body.as_bytes()), &Rules::default()))
}

fn facts_of(facts: Facts) -> HttpFacts {
    match facts {
        Facts::Http(facts) => facts,
        other => panic!("{other:?}"),
    }
}

fn said(facts: &HttpFacts) -> String {
    let value = |typed: &Typed| match typed {
        Typed::Text(text) => format!("{text:?}"),
        Typed::Number(number) => number.to_string(),
        Typed::Flag(flag) => flag.to_string(),
        Typed::List(texts) => format!("{:?}", texts.iter().collect::<Vec<_>>()),
    };
    let mut parts = vec![facts.class.name().to_owned(), facts.operation.clone().unwrap_or_default()];
    parts.extend(facts.values.iter().map(|(name, typed)| format!("{name}={}", value(typed))));
    parts.extend(facts.hidden.iter().map(|name| format!("{name}=hidden")));
    parts.extend((!facts.complete).then(|| "incomplete".to_owned()));
    parts.join(" ").trim_end().to_owned()
}

fn check_with(headers: &[(&str, &str)], line: &str, body: &str, expected: &str) {
    assert_eq!(said(&facts(&payments(), line, headers, body)), expected, "{line} {body}");
}

fn check(line: &str, body: &str, expected: &str) {
    check_with(&[("content-type", "application/json; charset=utf-8")], line, body, expected);
}

#[test]
fn values_have_the_types_of_the_document() {
    check(
        "GET /v1/payments?limit=5&open=true&tag=a&tag=b",
        "",
        "read pay:list query.limit=5 query.open=true query.tag=[\"a\", \"b\"]",
    );
    check("GET /v1/payments?ids=1,2", "", "read pay:list query.ids=[\"1\", \"2\"]");
    check("GET /v1/payments/p%2F1", "", "read pay:get path.id=\"p/1\"");
    check("POST /v1/payments", r#"{"amount":12.5}"#, "write pay:create body.amount=13");
    check("POST /v1/payments", r#"{"amount":-12.5}"#, "write pay:create body.amount=-13");
    check("POST /v1/payments", r#"{"amount":"5000"}"#, "write pay:create body.amount=5000");
    check("POST /v1/payments", r#"{"amount":1e300}"#, "write pay:create body.amount=9223372036854775807");
    check("POST /v1/payments", r#"{"note":7,"draft":"true"}"#, "write pay:create body.draft=true body.note=\"7\"");
    check("POST /v1/payments", r#"{"to":{"city":"Bern"}}"#, "write pay:create body.to.city=\"Bern\"");
    check(
        "POST /v1/payments",
        r#"{"to":null,"other":{}}"#,
        "write pay:create empty=[\"body.other\"] null=[\"body.to\"]",
    );
    check("POST /v1/payments", r#"{"x.y":1,"x":{"y":2}}"#, "write pay:create body.\"x.y\"=1 body.x.y=2");
    check(
        "POST /v1/payments",
        r#"{"items":[{"sku":"a","n":2},{"sku":"b"}],"labels":["x","y","x"]}"#,
        "write pay:create body.items.length=2 body.items[].n=[\"2\"] body.items[].sku=[\"a\", \"b\"] body.labels=[\"x\", \"y\"]",
    );
}

#[test]
fn what_can_be_read_in_two_ways_is_opaque() {
    for (line, body) in [
        ("GET /v1/payments?limit=1&limit=2", ""),
        ("GET /v1/payments?limit=x", ""),
        ("GET /v1/payments?Limit=1", ""),
        ("GET /v1/payments?limit=1;open=true", ""),
        ("GET /v1/payments?x=%ff", ""),
        ("GET /v1/payments", "{}"),
        ("GET /v1/payments/", ""),
        ("POST /v1/payments?amount=1", "{}"),
        ("POST /v1/payments?_method=DELETE", "{}"),
        ("POST /v1/payments", r#"{"_method":"DELETE"}"#),
        ("POST /v1/payments", r#"{"amount":1,"amount":2}"#),
        ("POST /v1/payments", r#"{"amount":1,"Amount":2}"#),
        ("POST /v1/payments", r#"{"Amount":2}"#),
        ("POST /v1/payments", r#"{"amount":"0x10"}"#),
        ("POST /v1/payments", r#"{"amount":[1]}"#),
        ("POST /v1/payments", r#"{"to":"Bern"}"#),
        ("PUT /v1/payments", ""),
        ("TRACE /v1/payments", ""),
        ("POST /graphql", r#"{"query":"mutation{x}"}"#),
    ] {
        check(line, body, "opaque  incomplete");
    }
    for name in ["x-http-method-override", "x-method-override"] {
        check_with(&[(name, "DELETE")], "POST /v1/payments", "", "opaque  incomplete");
    }
}

#[test]
fn what_is_not_read_is_incomplete() {
    let incomplete = "write pay:create incomplete";
    check("POST /v1/payments", "{", incomplete);
    for kind in ["text/csv", "application/json; charset=utf-16", "multipart/form-data; boundary=x"] {
        check_with(&[("content-type", kind)], "POST /v1/payments", "{}", incomplete);
    }
    check_with(
        &[("content-type", "application/json"), ("content-encoding", "gzip")],
        "POST /v1/payments",
        "{}",
        incomplete,
    );
    let form = [("content-type", "application/x-www-form-urlencoded")];
    check_with(&form, "POST /v1/payments", "_method=DELETE", "opaque  incomplete");
    check_with(&form, "POST /v1/payments/p/refund", "amount=5", "admin pay:refund body.amount=5 path.id=\"p\"");
    let unread = payments().describe(&head("POST /v1/payments", &[]), Content::Unread, &Rules::default());
    assert!(matches!(unread, Facts::Http(HttpFacts { class: RequestClass::Write, complete: false, .. })));
}

#[test]
fn what_is_secret_is_no_fact() {
    check(
        "POST /v1/payments",
        r#"{"note":"ask ada@example.org","pin":"1234","code":"x","labels":["a","ada@example.org"]}"#,
        "write pay:create body.labels=[\"a\"] body.code=hidden body.labels=hidden body.note=hidden body.pin=hidden",
    );
    let opaque = facts(&payments(), "GET /people/ada%40example.org", &[], "");
    assert_eq!(opaque.path, "/people/‹email 1›");
}

#[test]
fn without_a_document_methods_count() {
    let api = Api::Generic;
    for (line, body, expected) in [
        ("GET /a/b?c=d", "", "read  query.c=\"d\""),
        ("DELETE /a", "", "write"),
        ("POST /a", r#"{"b":1}"#, "write  body.b=1"),
        ("TRACE /a", "", "opaque  incomplete"),
        ("PROPFIND /a", "", "opaque  incomplete"),
        ("GET /a%2Fb", "", "opaque  incomplete"),
        ("GET /a", "x", "opaque  incomplete"),
    ] {
        let facts = facts(&api, line, &[("content-type", "application/json")], body);
        assert_eq!(said(&facts), expected, "{line}");
        assert_eq!(facts.operation, None);
    }
    assert_eq!(said(&facts(&Api::Unknown, "GET /", &[], "")), "opaque  incomplete");
}

#[test]
fn a_card_shows_line_operation_headers_and_body() {
    let head = head("POST /v1/payments/p-1/refund", &[("content-type", "application/json"), ("x-mode", "a")]);
    let body = br#"{"amount":5,"to":{"phone":"+41 44 668 18 00"}}"#;
    let shown = payments().shown(&head, Content::Whole(body), &Rules::default()).shown;
    assert_eq!(
        shown.text,
        "POST /v1/payments/p-1/refund\npay:refund\nin the document's words: Give money back\n\
         content-type: application/json\nx-mode: a\n\n{\n  \"amount\": 5,\n  \"to\": {\n    \"phone\": \"‹phone 1›\"\n  }\n}"
    );
    let unread = payments().shown(&head, Content::Unread, &Rules::default()).shown;
    assert!(unread.text.contains("the body was not read"));
}

#[test]
fn a_registrys_names_span_segments() {
    let document = packs::document("oci-registry").expect("a document");
    let document = Document::from_json(document, &Classes::default()).expect("a document");
    let api = Api::Document { name: "oci".to_owned(), document: Box::new(document) };
    for (line, expected) in [
        ("GET /v2/", "read oci:check"),
        ("GET /v2/team/app/tags/list?n=5", "read oci:tags/list path.name=\"team/app\" query.n=5"),
        ("PUT /v2/team/app/manifests/v1", "write oci:manifests/put path.name=\"team/app\" path.reference=\"v1\""),
        ("DELETE /v2/app/manifests/v1", "write oci:manifests/delete path.name=\"app\" path.reference=\"v1\""),
        ("POST /v2/a/b/c/blobs/uploads/", "write oci:uploads/create path.name=\"a/b/c\""),
        ("PATCH /v2/a/blobs/uploads/s1", "write oci:uploads/append path.name=\"a\" path.session=\"s1\""),
        ("GET /v2/a%2Fb/manifests/v1", "read oci:manifests/get path.name=\"a/b\" path.reference=\"v1\""),
        ("DELETE /v2/app/manifests/", "opaque  incomplete"),
    ] {
        assert_eq!(said(&facts(&api, line, &[], "")), expected, "{line}");
    }
}

/// GitHub's own document, where it was installed with the test tools.
fn github() -> Option<Api> {
    let installed = "target/test-tools/node/node_modules/@octokit/openapi/generated/api.github.com.json";
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let given = std::env::var_os("COUNTERSIGN_GITHUB_DOCUMENT").map(PathBuf::from);
    let file = given.unwrap_or_else(|| root.join(installed));
    if !file.exists() {
        eprintln!("SKIPPED: {} is not there; `cargo xtask tools` installs it", file.display());
        return None;
    }
    let classes = packs::classes("github").expect("classes");
    let text = std::fs::read_to_string(&file).expect("it can be read");
    let begun = Instant::now();
    let document = Document::from_json(&text, &classes).expect("GitHub's document");
    eprintln!("read {} operations in {:?}", document.operations().len(), begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert_eq!(document.unmatched(), Vec::<String>::new());
    Some(Api::Document { name: "github".to_owned(), document: Box::new(document) })
}

#[test]
fn githubs_own_document_is_read() {
    let Some(api) = github() else { return };
    let json = [("content-type", "application/json"), ("x-github-api-version", "2022-11-28")];
    let merge = r#"{"commit_title":"Merge it","merge_method":"squash"}"#;
    let owner = "path.owner=\"acme\"";
    let rest = "path.repo=\"shop\"";
    for (line, body, expected) in [
        (
            "PUT /repos/acme/shop/pulls/7/merge",
            merge,
            format!(
                "write github:pulls/merge body.commit_title=\"Merge it\" body.merge_method=\"squash\" {owner} path.pull_number=7 {rest}"
            ),
        ),
        ("GET /repos/acme/shop", "", format!("read github:repos/get {owner} {rest}")),
        ("DELETE /repos/acme/shop", "", format!("admin github:repos/delete {owner} {rest}")),
        (
            "GET /repos/acme/shop/contents/src/main.rs?ref=main",
            "",
            format!("read github:repos/get-content {owner} path.path=\"src/main.rs\" {rest} query.ref=\"main\""),
        ),
        (
            "DELETE /repos/acme/shop/branches/release/2/protection",
            "",
            format!("admin github:repos/delete-branch-protection path.branch=\"release/2\" {owner} {rest}"),
        ),
        (
            "POST /repos/acme/shop/actions/runners/registration-token",
            "",
            format!("reveal github:actions/create-registration-token-for-repo {owner} {rest}"),
        ),
        (
            "POST /repos/acme/shop/issues/7/labels",
            r#"{"labels":["bug"]}"#,
            format!("write github:issues/add-labels body.labels=[\"bug\"] path.issue_number=7 {owner} {rest}"),
        ),
        (
            "GET /repos/acme/shop/issues/comments/7",
            "",
            format!("read github:issues/get-comment path.comment_id=7 {owner} {rest}"),
        ),
        ("PUT /repos/acme%2Fshop/pulls/7/merge", "", "opaque  incomplete".to_owned()),
        ("GET /repos/acme/shop%2Fpulls%2F7", "", "opaque  incomplete".to_owned()),
        ("POST /graphql", r#"{"query":"{viewer{login}}"}"#, "opaque  incomplete".to_owned()),
    ] {
        assert_eq!(said(&facts(&api, line, &json, body)), expected, "{line}");
    }
}

#[test]
fn every_operation_of_githubs_document_is_found() {
    let Some(api) = github() else { return };
    let Api::Document { document, .. } = &api else { return };
    let mut lost = Vec::new();
    for (method, operation) in document.operations().iter().map(|operation| (operation.method, operation)) {
        let path: Vec<String> = operation.path.split('/').skip(1).map(filled).collect();
        let found = document.find(method, &path).map(|found| found.operation.id.clone());
        if found.as_ref() != Some(&operation.id) {
            lost.push(format!("{method} {} is {found:?}", operation.path));
        }
    }
    assert!(lost.len() <= 5, "{lost:#?}");
    eprintln!("lost: {lost:?}");
}

/// A segment with `7` for each parameter, which texts and numbers take.
fn filled(segment: &str) -> String {
    let mut out = segment.to_owned();
    while let (Some(start), Some(end)) = (out.find('{'), out.find('}')) {
        out.replace_range(start..=end, "7");
    }
    out
}
