//! What holds for every answer, the routes without a token, and the document.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use axum::routing::get;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::api::guard::REQUEST_MAX;
use crate::api::testing::{World, request};
use crate::api::{document, guarded};
use crate::codes::Code;
use crate::ports::Scope;

/// The document as it is checked in.
const CHECKED_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/countersign.json");
const ERROR_PAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors");

#[test]
fn the_document_that_is_checked_in_is_the_one_that_is_served() {
    let document = document();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(CHECKED_IN, &document).expect("writes");
    }
    let checked_in =
        std::fs::read_to_string(CHECKED_IN).expect("`UPDATE_OPENAPI=1 cargo test -p countersign api::` makes it");
    assert!(checked_in == document, "the API changed: run `UPDATE_OPENAPI=1 cargo test -p countersign api::`");
}

#[test]
fn every_handler_is_a_documented_route() {
    let document: Value = serde_json::from_str(&document()).expect("JSON");
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().expect("paths");
    let operations: usize = paths.values().map(|path| path.as_object().map_or(0, serde_json::Map::len)).sum();
    let (mut described, mut bare) = (0, 0);
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/api")).expect("reads") {
        let path = file.expect("reads").path();
        let text = if path.is_file() { std::fs::read_to_string(&path).expect("text") } else { String::new() };
        described += text.matches("#[utoipa::path(").count();
        bare += text.matches(".route(").count();
    }
    assert_eq!(operations, described, "a handler is described, but not routed");
    assert_eq!(bare, 2, "`router` answers what is not there below `/api`; every other route is documented");
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    let document: Value = serde_json::from_str(&document()).expect("JSON");
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 20);
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("local");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            references.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| collect(value, references));
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, references)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn every_documented_route_answers_and_asks_for_a_token_where_it_says_so() {
    let world = World::new().await;
    let document: Value = serde_json::from_str(&document()).expect("JSON");
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let path = path.replace("{id}", "x").replace("{index}", "0").replace("{path}", "checkpoint");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            let answer = world.send(request(method.clone(), &path, "").body(Body::empty()).expect("well-formed")).await;
            let open = operation["security"] == json!([{}]);
            match (open, method) {
                (true, Method::GET) => assert_eq!(answer.status, StatusCode::OK, "{path}"),
                // without the form that it wants
                (true, _) => {
                    assert!(answer.status.is_client_error() && answer.status != StatusCode::UNAUTHORIZED, "{path}")
                }
                (false, _) => assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}"),
            }
        }
    }
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_problems() {
    let world = World::new().await;
    let token = world.token("dora", Scope::ReviewVote).await;
    for path in ["/api", "/api/v1", "/api/v1/", "/api/v2/reviews", "/api/v1/reviews/x/votes/1", "/api/v1/evidence"] {
        world.get(path, &token).await.refused(404, "not_found");
    }
    for (method, path) in
        [("DELETE", "/api/v1/reviews"), ("GET", "/api/v1/reviews/x/votes"), ("POST", "/log/checkpoint")]
    {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let answer = world.send(request(method, path, &token).body(Body::empty()).expect("well-formed")).await;
        answer.refused(405, "bad_request");
        assert!(!answer.header("allow").is_empty(), "{path}");
    }
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let world = World::new().await;
    let token = world.token("dora", Scope::ReviewVote).await;
    for path in [
        "/api/v1/whoami",
        "/api/v1/nothing",
        "/healthz",
        "/metrics",
        "/openapi.json",
        "/log/nothing",
        "/log/checkpoint",
    ] {
        for secret in ["", &token] {
            let answer = world.get(path, secret).await;
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
            assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
            assert!(answer.header("content-security-policy").contains("default-src 'none'"), "{path}");
            let cached = if path == "/log/checkpoint" { "no-cache" } else { "no-store" };
            assert_eq!(answer.header("cache-control"), cached, "{path}");
        }
    }
}

#[tokio::test]
async fn a_panic_is_a_problem_without_detail() {
    async fn broken() {
        panic!("hunter2")
    }
    let world = World::new().await;
    let api = crate::api::testing::api(&world);
    let router: Router = guarded(Router::new().route("/broken", get(broken)), REQUEST_MAX).with_state(api);
    let request = Request::builder().uri("/broken").body(Body::empty()).expect("well-formed");
    let response = router.oneshot(request).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let body = to_bytes(response.into_body(), 4_096).await.expect("a body");
    assert!(!String::from_utf8_lossy(&body).contains("hunter2"));
}

#[tokio::test]
async fn a_request_that_hangs_is_ended() {
    let world = World::new().await;
    let api = crate::api::testing::api(&world);
    let router: Router =
        guarded(Router::new().route("/slow", get(std::future::pending::<()>)), Duration::from_millis(1))
            .with_state(api);
    let request = Request::builder().uri("/slow").body(Body::empty()).expect("well-formed");
    let response = router.oneshot(request).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
}

#[tokio::test]
async fn health_readiness_and_numbers() {
    let world = World::new().await;
    world.ask("coder", "UPDATE t SET a = 1 WHERE id = 1").await;
    assert_eq!(world.get("/healthz", "").await.json(), json!({"status": "ok"}));
    assert_eq!(world.get("/readyz", "").await.json(), json!({"status": "ok"}));
    let metrics = world.get("/metrics", "").await;
    let text = String::from_utf8(metrics.body).expect("text");
    for line in [
        "countersign_open_reviews 1",
        "countersign_waiting_calls 0",
        "countersign_log_size 3",
        "countersign_log_healthy 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    world.log.broken.store(true, Ordering::SeqCst);
    assert_eq!(world.get("/healthz", "").await.status, StatusCode::OK);
    let answer = world.get("/readyz", "").await;
    answer.refused(503, "record_unavailable");
    assert!(!String::from_utf8_lossy(&answer.body).contains("/secret/path"));
}

#[tokio::test]
async fn the_log_is_served_as_it_lies_and_nothing_beside_it() {
    let world = World::new().await;
    let tile = world.get("/log/tile/0/000.p/3", "").await;
    assert_eq!((tile.status, tile.body.as_slice()), (StatusCode::OK, &b"tile/0/000.p/3"[..]));
    assert_eq!(tile.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(tile.header("content-type"), "application/octet-stream");
    assert_eq!(world.get("/log/checkpoint", "").await.header("cache-control"), "no-cache");
    assert_eq!(world.get("/log/log.vkey", "").await.body, b"example.org/log+0a0b0c0d+key\n");
    world.log.asked.lock().expect("not poisoned").clear();
    let astray = [
        "/log/../countersign.db",
        "/log/tile/../../log.key",
        "/log/%2e%2e/countersign.db",
        "/log/..%2fcountersign.db",
        "/log/tile%2f0%2f000",
        "/log//etc/passwd",
        "/log/%00",
        "/log/.lock",
        "/log/tile/0/",
        "/log/a%5c..%5cb",
    ];
    for path in astray {
        world.get(path, "").await.refused(404, "not_found");
    }
    assert!(world.log.asked.lock().expect("not poisoned").is_empty(), "none of them reached the log");
    world.get("/log/log.key", "").await.refused(404, "not_found");
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let codes: std::collections::BTreeSet<String> =
        Code::ALL.iter().map(|code| format!("{}.md", code.name())).collect();
    let pages = std::fs::read_dir(ERROR_PAGES).expect("reads");
    let pages: std::collections::BTreeSet<String> = pages
        .map(|page| page.expect("reads").file_name().to_string_lossy().into_owned())
        .filter(|n| n != "README.md")
        .collect();
    assert_eq!(codes, pages);
    for page in &pages {
        let text = std::fs::read_to_string(format!("{ERROR_PAGES}/{page}")).expect("text");
        assert!(text.starts_with(&format!("# `{}`", page.trim_end_matches(".md"))), "{page}");
        for part in ["**What happened.**", "**Why.**", "**What to do.**"] {
            assert!(text.contains(part), "{page} lacks {part}");
        }
    }
}
