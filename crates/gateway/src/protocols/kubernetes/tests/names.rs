//! Names from bodies, and whether anything would be persisted.

use super::super::protobuf::tests::{body, field};
use super::*;

const CREATE: &str = "POST /apis/apps/v1/namespaces/shop/deployments";

#[test]
fn the_name_comes_from_the_body() {
    let expected = "write create deployments.apps shop/web";
    let json = br#"{"kind":"Deployment","metadata":{"name":"web","namespace":"shop"}}"#;
    assert_eq!(line(&sent(CREATE, "application/json", json)), expected);
    assert_eq!(line(&sent(CREATE, "application/json; charset=utf-8", json)), expected);
    assert_eq!(line(&describe(&head(CREATE, &[]), Content::Whole(json))), expected);
    assert_eq!(line(&sent(CREATE, "application/yaml", b"kind: Deployment\nmetadata:\n  name: web\n")), expected);
    assert_eq!(line(&sent(CREATE, "application/cbor", b"\xd9\xd9\xf7\xa1\x48metadata\xa1\x44name\x43web")), expected);
    let proto = body("Deployment", &field(1, &[field(1, b"web"), field(3, b"shop")].concat()));
    assert_eq!(line(&sent(CREATE, "application/vnd.kubernetes.protobuf", &proto)), expected);
    assert_eq!(line(&facts(CREATE, r#"{"metadata":{"generateName":"web-"}}"#)), "write create deployments.apps shop/");
}

#[test]
fn a_body_that_is_not_clear_is_opaque() {
    for text in [
        "",
        "[]",
        "1",
        "{",
        r#"{"metadata":{"name":"a","name":"b"}}"#,
        r#"{"metadata":{"name":1}}"#,
        r#"{"metadata":[]}"#,
        r#"{"metadata":{"name":"a/b"}}"#,
        r#"{"metadata":{"name":"web","namespace":"other"}}"#,
    ] {
        assert_eq!(line(&facts(CREATE, text)), "opaque", "{text}");
    }
    assert_eq!(line(&sent(CREATE, "text/plain", b"{}")), "opaque");
    assert_eq!(line(&sent(CREATE, "application/json-patch+json", b"[]")), "opaque");
    assert_eq!(line(&sent(CREATE, "application/yaml", b"metadata: {name: a}\n---\nmetadata: {name: b}")), "opaque");
    assert_eq!(describe(&head(CREATE, &[]), Content::Unread).class, RequestClass::Opaque);
    let zipped = head(CREATE, &[("content-encoding", "gzip")]);
    assert_eq!(describe(&zipped, Content::Whole(b"{}")).class, RequestClass::Opaque);
    let two_types = head(CREATE, &[("content-type", "application/json"), ("content-type", "application/yaml")]);
    assert_eq!(describe(&two_types, Content::Whole(b"{}")).class, RequestClass::Opaque);
}

#[test]
fn a_name_must_not_contradict_the_path() {
    let update = "PUT /api/v1/namespaces/shop/configmaps/a";
    assert_eq!(line(&facts(update, r#"{"metadata":{"name":"a"}}"#)), "write update configmaps shop/a");
    assert_eq!(line(&facts(update, r#"{"metadata":{"name":"b"}}"#)), "opaque");
    let patch = "PATCH /api/v1/namespaces/shop/configmaps/a";
    assert_eq!(line(&sent(patch, "application/merge-patch+json", br#"{"metadata":{"name":"b"}}"#)), "opaque");
    assert_eq!(
        line(&sent(patch, "application/apply-patch+yaml", b"metadata: {name: a}")),
        "write patch configmaps shop/a"
    );
    let operations = br#"[{"op":"remove","path":"/data"}]"#;
    assert_eq!(line(&sent(patch, "application/json-patch+json", operations)), "write patch configmaps shop/a");
    assert_eq!(line(&sent(patch, "application/json-patch+json", b"{}")), "opaque");
    // what is in no namespace must not claim one
    let role = "POST /apis/rbac.authorization.k8s.io/v1/clusterroles";
    assert_eq!(line(&facts(role, r#"{"metadata":{"name":"a","namespace":"shop"}}"#)), "opaque");
}

#[test]
fn a_dry_run_is_one_that_the_server_heeds() {
    let dry = |request: &str, body: &str| {
        let facts = facts(request, body);
        (facts.class != RequestClass::Opaque).then_some(facts.dry_run)
    };
    let create = |query: &str| dry(&format!("{CREATE}?{query}"), "{}");
    assert_eq!(create("dryRun=All"), Some(true));
    assert_eq!(create("dryRun=%41ll&fieldManager=x"), Some(true));
    assert_eq!(create("DryRun=All"), Some(false));
    for query in ["dryRun=", "dryRun", "dryRun=all", "dryRun=All&dryRun=All", "dryRun=All,All", "dryRun=All;x"] {
        assert_eq!(create(query), None, "{query}");
    }
    let delete = "DELETE /api/v1/namespaces/shop/pods/web";
    assert_eq!(dry(delete, ""), Some(false));
    assert_eq!(dry(&format!("{delete}?dryRun=All"), ""), Some(true));
    assert_eq!(dry(delete, r#"{"dryRun":["All"]}"#), Some(true));
    assert_eq!(dry(delete, r#"{"dryRun":[]}"#), Some(false));
    // with a body, the server does not look at the parameter
    assert_eq!(dry(&format!("{delete}?dryRun=All"), "{}"), None);
    assert_eq!(dry(&format!("{delete}?dryRun=All"), r#"{"dryRun":["All"]}"#), Some(true));
    for body in [r#"{"dryRun":"All"}"#, r#"{"dryRun":["All","All"]}"#, r#"{"dryRun":["x"]}"#, "[]", "nonsense"] {
        assert_eq!(dry(delete, body), None, "{body}");
    }
    let evict = "POST /api/v1/namespaces/shop/pods/web/eviction";
    assert_eq!(dry(evict, r#"{"metadata":{"name":"web"}}"#), Some(false));
    assert_eq!(dry(evict, r#"{"metadata":{"name":"web"},"deleteOptions":{"dryRun":["All"]}}"#), Some(true));
    assert_eq!(dry(&format!("{evict}?dryRun=All"), r#"{"metadata":{"name":"web"},"deleteOptions":{}}"#), None);
    let exec = "POST /api/v1/namespaces/shop/pods/web/exec?dryRun=All";
    assert_eq!(dry(exec, ""), Some(false));
}
