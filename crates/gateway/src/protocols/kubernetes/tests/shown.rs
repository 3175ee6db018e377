//! What cards show, and that no value of a Secret is ever among it.

use countersign_core::action::redact::{Redacted, Redactor, Rules, SHOWN_BYTES_MAX};

use super::super::impact::{changes, rehearsal};
use super::super::protobuf::tests::{body, field};
use super::super::shown::shown;
use super::*;
use crate::relay::dialect::Rehearsal;

fn card(request: &str, media: &str, body: &[u8]) -> Redacted {
    shown(&head(request, &[("content-type", media)]), Content::Whole(body), &Rules::default(), None).expect("a card")
}

fn check_text(request: &str, media: &str, body: &str, expected: &str) {
    assert_eq!(card(request, media, body.as_bytes()).shown.text, expected, "{request}");
}

#[test]
fn a_body_reads_like_yaml() {
    check_text(
        "PATCH /apis/apps/v1/namespaces/shop/deployments/web?fieldManager=kubectl%20edit",
        "application/strategic-merge-patch+json",
        r#"{"spec":{"replicas":3,"paused":false,"x":null,"template":{"args":["-c","a: b","yes"],"l":[],"m":{},"c":[{"name":"web","image":"nginx:1.25"},[1]]},"script":"one\n  two\n"}}"#,
        "patch deployments.apps web in namespace shop\n\
         PATCH /apis/apps/v1/namespaces/shop/deployments/web\n\
         ? fieldManager\n  = kubectl edit\n\
         spec:\n  replicas: 3\n  paused: false\n  x: null\n  template:\n    args:\n    - \"-c\"\n    - \"a: b\"\n    - \"yes\"\n    l: []\n    m: {}\n    c:\n    - name: web\n      image: nginx:1.25\n    - \n      - 1\n  script: |\n    one\n      two",
    );
}

#[test]
fn commands_of_a_session_are_shown() {
    check_text(
        "POST /api/v1/namespaces/shop/pods/web/exec?command=sh&command=-c&command=rm%20-rf%20/",
        "application/json",
        "",
        "create pods/exec web in namespace shop\nPOST /api/v1/namespaces/shop/pods/web/exec\n\
         ? command\n  = sh\n? command\n  = \"-c\"\n? command\n  = rm -rf /",
    );
}

#[test]
fn what_cannot_be_read_is_counted() {
    let found =
        card("POST /api/v1/namespaces/shop/secrets", "application/json", br#"{"data":{"a":"hunter2","a":"x"}}"#);
    assert!(found.shown.text.contains("cannot be read") && !found.shown.text.contains("hunter2"), "{found:?}");
    assert_eq!(found.shown.cut_bytes, 32);
    let long = format!(r#"{{"data":{{"a":"{}"}}}}"#, "word ".repeat(SHOWN_BYTES_MAX));
    let found = card("POST /api/v1/namespaces/shop/configmaps", "application/json", long.as_bytes());
    assert_eq!(found.shown.text.len(), SHOWN_BYTES_MAX);
    assert!(found.shown.cut_bytes > 4 * SHOWN_BYTES_MAX - 100);
}

#[test]
fn secrets_in_other_objects_are_redacted() {
    let body = r#"{"kind":"Pod","spec":{"env":[{"name":"DB_PASSWORD","value":"hunter2"},{"name":"password","value":"hunter2"},{"name":"MODE","value":"fast"}]}}"#;
    let found = card("POST /api/v1/namespaces/shop/pods", "application/json", body.as_bytes()).shown;
    assert!(found.text.contains("value: fast") && found.text.contains("value: ‹password 1›"), "{}", found.text);
    assert!(found.hidden.iter().all(|hidden| hidden.is_decisive()));
}

/// Every way in which a Secret's values can come, each value with `hunter2` in it.
#[test]
fn no_value_of_a_secret_is_shown() {
    let object = r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"db"},"type":"Opaque","data":{"pass":"hunter2"},"stringData":{"other":"hunter2"}}"#;
    let quoted = serde_json::to_string(object).unwrap();
    let applied =
        format!(r#"{{"metadata":{{"annotations":{{"kubectl.kubernetes.io/last-applied-configuration":{quoted}}}}}}}"#);
    let one = "/api/v1/namespaces/shop/secrets/db";
    let merge = "application/merge-patch+json";
    let operations = "application/json-patch+json";
    let cases: Vec<(String, &str, String)> = vec![
        ("POST /api/v1/namespaces/shop/secrets".into(), "application/json", object.into()),
        (format!("PUT {one}"), "application/json", object.into()),
        (format!("PATCH {one}"), "application/apply-patch+yaml", object.into()),
        (
            format!("PATCH {one}"),
            merge,
            r#"{"data":{"pass":"hunter2","list":["hunter2"],"map":{"deep":"hunter2"}}}"#.into(),
        ),
        (format!("PATCH {one}"), merge, r#"{"StringData":{"pass":"hunter2"},"data":"hunter2"}"#.into()),
        (format!("PATCH {one}"), merge, applied.clone()),
        (format!("PATCH {one}"), merge, applied.replace("Secret", "Unknown")),
        ("PATCH /apis/example.com/v1/namespaces/shop/things/a".into(), merge, applied),
        (format!("PATCH {one}"), operations, r#"[{"op":"add","path":"/data/pass","value":"hunter2"}]"#.into()),
        (format!("PATCH {one}"), operations, r#"[{"op":"test","path":"/data","value":{"pass":"hunter2"}}]"#.into()),
        (
            format!("PATCH {one}"),
            operations,
            r#"[{"op":"replace","path":"","value":{"data":{"pass":"hunter2"}}}]"#.into(),
        ),
        (format!("PATCH {one}"), operations, r#"[{"op":"add","path":"/da~0ta","value":"hunter2"}, "hunter2"]"#.into()),
        (
            format!("PATCH {one}"),
            operations,
            format!(
                r#"[{{"op":"add","path":"/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration","value":{quoted}}}]"#
            ),
        ),
        (
            "POST /api/v1/namespaces/shop/things".into(),
            "application/json",
            format!(r#"{{"kind":"List","items":[{object}]}}"#),
        ),
        (
            "POST /api/v1/namespaces/shop/things".into(),
            "application/json",
            r#"{"kind":"SecretList","items":[{"data":{"pass":"hunter2"}}]}"#.into(),
        ),
        (
            "POST /api/v1/namespaces/shop/secrets".into(),
            "application/yaml",
            "kind: Secret\nstringData:\n  pass: |\n    hunter2\n    more\n".into(),
        ),
    ];
    for (request, media, body) in cases {
        let found = card(&request, media, body.as_bytes());
        assert!(!format!("{:?}", found.shown).contains("hunter2"), "{request} {body}: {}", found.shown.text);
        assert!(!found.values.iter().any(|(_, value)| value.contains("hunter2")), "{request} {body}");
        assert!(found.shown.text.contains("(not shown)"), "{request} {body}: {}", found.shown.text);
    }
    let keys = card("POST /api/v1/namespaces/shop/secrets", "application/json", object.as_bytes()).shown.text;
    assert!(keys.ends_with("type: Opaque\ndata:\n  pass: (not shown)\nstringData:\n  other: (not shown)"), "{keys}");
    // bytes, as CBOR has them
    let bytes = b"\xa1\x64data\xa1\x61p\x42\xff\xfe";
    assert!(card(&format!("PUT {one}"), "application/cbor", bytes).shown.text.contains("p: (not shown)"));
}

/// What `kubectl create deployment` sends; and a Secret in the same notation.
#[test]
fn protobuf_is_shown_by_numbers() {
    let media = "application/vnd.kubernetes.protobuf";
    let env = [field(1, b"password"), field(2, b"hunter2")].concat();
    let raw = [field(1, &field(1, b"web")), field(2, &field(5, &env))].concat();
    let found = card("POST /api/v1/namespaces/shop/pods", media, &body("Pod", &raw)).shown;
    assert!(
        found.text.ends_with("\"1\":\n  \"1\": web\n\"2\":\n  \"5\":\n    \"1\": password\n    \"2\": ‹password 1›"),
        "{}",
        found.text
    );
    for (resource, kind) in [("secrets", "Secret"), ("things", "Secret"), ("secrets", "Thing")] {
        let found = card(&format!("POST /api/v1/namespaces/shop/{resource}"), media, &body(kind, &raw));
        assert!(!found.shown.text.contains("hunter2") && found.values.is_empty() && found.shown.cut_bytes > 0);
    }
}

#[test]
fn the_requesters_words_do_not_look_like_ours() {
    let body = r#"{"data":{"a":"(not shown)","b: (not shown)":"‹password 1›","c":"x\n(not shown)"}}"#;
    let found = card("POST /api/v1/namespaces/shop/configmaps", "application/json", body.as_bytes()).shown;
    assert!(found.text.contains(r#"a: "(not shown)""#) && found.text.contains("    (not shown)"), "{}", found.text);
    assert!(found.imitated);
}

fn difference(resource: &str, before: Option<&str>, after: Option<&str>) -> Vec<String> {
    let facts = facts(&format!("PUT /api/v1/namespaces/shop/{resource}/a"), "{}");
    let rules = Rules::default();
    changes(&mut Redactor::new(&rules), &facts, before.map(str::as_bytes), after.map(str::as_bytes)).unwrap()
}

#[test]
fn a_change_is_told_line_by_line() {
    let before = r#"{"metadata":{"name":"a","resourceVersion":"1","managedFields":[1],"generation":1},"data":{"a":"1","b":"2"}}"#;
    let after = r#"{"data":{"b":"3","a":"1"},"metadata":{"resourceVersion":"2","name":"a","generation":2}}"#;
    let told = difference("configmaps", Some(before), Some(after));
    assert_eq!(told, ["  data:", "    a: \"1\"", "-   b: \"2\"", "+   b: \"3\"", "  metadata:", "    name: a"]);
    assert!(difference("configmaps", Some(before), Some(before)).is_empty());
    assert_eq!(difference("configmaps", None, Some(r#"{"a":1}"#)), ["+ a: 1"]);
    assert_eq!(difference("configmaps", Some(r#"{"a":1}"#), None), ["- a: 1"]);
}

#[test]
fn a_change_of_a_secret_tells_which_values_differ() {
    let before = r#"{"kind":"Secret","data":{"a":"aHVudGVyMg==","b":"eA=="}}"#;
    let after = r#"{"kind":"Secret","data":{"a":"aHVudGVyMw==","b":"eA==","c":"eQ=="}}"#;
    let told = difference("secrets", Some(before), Some(after));
    let expected = [
        "  data:",
        "-   a: (a value)",
        "+   a: (another value)",
        "    b: (same)",
        "+   c: (another value)",
        "  kind: Secret",
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_can_be_rehearsed() {
    let plan = |request: &str, body: &str| rehearsal(&head(request, &[]), &facts(request, body));
    let all = |before: Option<&str>, after: Option<&str>| {
        Some(Rehearsal { before: before.map(str::to_owned), after: after.map(str::to_owned) })
    };
    let (many, one) = ("/api/v1/namespaces/shop/configmaps", "/api/v1/namespaces/shop/configmaps/a");
    let dry = format!("{one}?dryRun=All");
    assert_eq!(plan(&format!("POST {many}"), "{}"), all(None, Some(&format!("{many}?dryRun=All"))));
    assert_eq!(plan(&format!("PUT {one}"), "{}"), all(Some(one), Some(&dry)));
    assert_eq!(
        plan(&format!("PATCH {one}?force=true"), "{}"),
        all(Some(one), Some(&format!("{one}?force=true&dryRun=All")))
    );
    assert_eq!(plan(&format!("DELETE {one}"), ""), all(Some(one), None));
    for (request, body) in [
        (format!("GET {one}"), ""),
        (format!("DELETE {many}"), ""),
        (format!("PUT {dry}"), "{}"),
        ("POST /api/v1/namespaces/shop/pods/web/exec".into(), ""),
        ("POST /api/v1/namespaces/shop/pods/web/eviction".into(), "{}"),
    ] {
        assert_eq!(plan(&request, body), None, "{request}");
    }
}
