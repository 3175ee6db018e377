//! Documents that load, and those that do not, with what is wrong with them.

use super::*;

const SMALL: &str = r##"{
  "openapi": "3.1.0",
  "servers": [{"url": "https://{host}/api/v3", "variables": {"host": {"default": "a.example"}}}],
  "paths": {
    "x-note": "left out",
    "/pay/{id}": {
      "parameters": [{"$ref": "#/components/parameters/id"}],
      "get": {"operationId": "pay/get", "responses": {"200": {"content": {"a/b": {"schema": {"$ref": "#/components/schemas/Left"}}}}}},
      "post": {"summary": "Pay", "requestBody": {"$ref": "#/components/requestBodies/Pay"}, "x-countersign-class": "admin"}
    },
    "/upload": {"post": {"operationId": "upload", "servers": [{"url": "https://b.example"}]}}
  },
  "components": {
    "parameters": {"id": {"name": "id", "in": "path", "schema": {"type": "integer"}}},
    "requestBodies": {"Pay": {"content": {"application/json; charset=utf-8": {"schema": {"$ref": "#/components/schemas/Pay"}}}}},
    "schemas": {
      "Left": {"type": "object"},
      "Pay": {"allOf": [{"$ref": "#/components/schemas/Self"}, {"properties": {"pin": {"type": "string", "writeOnly": true}}}]},
      "Self": {"type": ["object", "null"], "properties": {"again": {"$ref": "#/components/schemas/Self"}, "free": true}}
    }
  }
}"##;

fn find(document: &Document, method: &str, path: &str) -> Option<(String, RequestClass)> {
    let segments: Vec<String> = path.split('/').skip(1).map(str::to_owned).collect();
    document.find(method, &segments).map(|found| (found.operation.id.clone(), found.operation.class))
}

#[test]
fn a_document_is_read_as_far_as_requests_need() {
    let document = Document::from_json(SMALL, &Classes::default()).expect("a document");
    let check = |method: &str, path: &str, expected: Option<(&str, RequestClass)>| {
        let expected = expected.map(|(id, class)| (id.to_owned(), class));
        assert_eq!(find(&document, method, path), expected, "{method} {path}");
    };
    check("GET", "/api/v3/pay/7", Some(("pay/get", RequestClass::Read)));
    check("HEAD", "/api/v3/pay/7", Some(("pay/get", RequestClass::Read)));
    check("POST", "/api/v3/pay/7", Some(("POST /pay/{id}", RequestClass::Admin)));
    check("DELETE", "/api/v3/pay/7", None);
    check("GET", "/api/v3/pay/x", None);
    check("GET", "/pay/7", None);
    check("POST", "/api/v3/upload", None);
    assert_eq!(document.schemas.keys().collect::<Vec<_>>(), ["Pay", "Self"]);
}

#[test]
fn schemas_that_name_themselves_end() {
    let document = Document::from_json(SMALL, &Classes::default()).expect("a document");
    let pay = document.operations.iter().find(|operation| !operation.bodies.is_empty()).expect("an operation");
    let schema = pay.bodies.get("application/json").expect("a body");
    let shape = document.shape(schema.as_ref());
    assert_eq!(shape.types(), [Type::Object, Type::Null]);
    assert!(shape.property("pin").secret() && !shape.property("again").property("again").secret());
    assert!(shape.property("again").property("again").has("free") && shape.nearly_has("PIN"));
}

#[test]
fn yaml_is_the_same() {
    let yaml = "openapi: 3.0.3\npaths:\n  /a/{b}:\n    get:\n      operationId: a\n      parameters:\n      - {name: b, in: path, schema: {type: string}}\n";
    let document = Document::from_yaml(yaml, &Classes::default()).expect("a document");
    assert_eq!(find(&document, "GET", "/a/c"), Some(("a".to_owned(), RequestClass::Read)));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let wrong = |from: &str, to: &str| {
        let text = SMALL.replace(from, to);
        assert_ne!(text, SMALL, "{from}");
        Document::from_json(&text, &Classes::default()).expect_err("no document").to_string()
    };
    let check = |from: &str, to: &str, expected: &str| {
        let said = wrong(from, to);
        assert!(said.contains(expected), "{said}");
    };
    check("\"3.1.0\"", "\"2.0\"", "`openapi` must be 3.0 or 3.1, but is `2.0`");
    check("\"openapi\"", "\"swagger\"", "Swagger 2.0");
    check("#/components/parameters/id", "other.json#/id", "paths./pay/{id}.get.parameters[0]");
    check(
        "#/components/schemas/Self\"}, {",
        "#/components/schemas/None\"}, {",
        "`#/components/schemas/None` is nowhere",
    );
    check("\"in\": \"path\"", "\"in\": \"body\"", "`in` is none of");
    check("\"x-countersign-class\": \"admin\"", "\"x-countersign-class\": \"root\"", "paths./pay/{id}.post");
    check("\"operationId\": \"pay/get\"", "\"operationId\": 7", "paths./pay/{id}.get.operationId");
    check("/pay/{id}", "/pay/{id}{it}", "paths./pay/{id}{it}");
    check("\"/upload\"", "\"upload\"", "paths");
}

#[test]
fn a_slash_in_a_parameter_must_not_lead_elsewhere() {
    let paths = ["/repos/{o}/{r}", "/repos/{o}/{r}/merge"].map(|path| format!("\"{path}\": {{\"get\": {{}}}}"));
    let text = format!("{{\"openapi\": \"3.0.0\", \"paths\": {{{}}}}}", paths.join(","));
    let document = Document::from_json(&text, &Classes::default()).expect("a document");
    let of = |segments: [&str; 3]| document.find("GET", &segments.map(str::to_owned)).is_some();
    assert!(of(["repos", "a", "b"]) && of(["repos", "a", "b/c"]));
    assert!(!of(["repos", "a", "b/merge"]));
}

#[test]
fn a_document_of_vaults_is_read() {
    let text = include_str!("../../../../tests/data/openapi/vault.json");
    let classes = super::super::packs::classes("vault").expect("classes");
    let document = Document::from_json(text, &classes).expect("a document");
    let check = |method: &str, path: &str, id: &str, class: RequestClass| {
        assert_eq!(find(&document, method, path), Some((id.to_owned(), class)), "{method} {path}");
    };
    check("GET", "/v1/secret/data/app/db", "kv-v2-read", RequestClass::Reveal);
    check("PUT", "/v1/secret/data/app/db", "kv-v2-write", RequestClass::Write);
    check("POST", "/v1/sys/policies/acl/ops", "policies-write-acl-policy", RequestClass::Admin);
    check("GET", "/v1/sys/health", "read-health-status", RequestClass::Read);
    check("PUT", "/v1/sys/leases/revoke", "leases-revoke-lease", RequestClass::Write);
}
