//! What people read: reviews, actions, the directory, policies, the record, live changes.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::api::testing::{World, request};
use crate::gate::Change;
use crate::ports::Scope;

/// The names that scripts rely on.
const CONTRACT: [&str; 20] = [
    "id",
    "state",
    "requester",
    "on_behalf_of",
    "target",
    "environment",
    "action",
    "resource",
    "statement",
    "reason",
    "impact",
    "policies",
    "suffices",
    "votes",
    "action_digest",
    "card_digest",
    "opened_at",
    "expires_at",
    "url",
    "seconds_left",
];

#[tokio::test]
async fn a_review_says_all_that_its_card_says() {
    let world = World::new().await;
    let review = world.ask("coder", "UPDATE orders SET status = 'done' WHERE id = $1").await;
    let token = world.token("sam", Scope::ReviewRead).await;
    let body = world.get(&format!("/api/v1/reviews/{}", review.matter().id), &token).await.json();
    for field in CONTRACT {
        assert!(body.get(field).is_some(), "{field}");
    }
    assert_eq!(body["state"], "open");
    assert_eq!(body["requester"], json!({"kind": "agent", "name": "coder", "owner": "ada"}));
    assert_eq!((&body["on_behalf_of"], &body["environment"]), (&json!("ada"), &json!("production")));
    assert_eq!(body["statement"], "UPDATE orders SET status = 'done' WHERE id = $1");
    assert_eq!(body["statement_parameters"], json!(["7", null]));
    assert_eq!((&body["impact"]["known"], &body["impact"]["rows_max"]), (&json!(false), &json!(null)));
    assert_eq!(body["resource"]["tables"], json!({"read": [], "write": ["orders"]}));
    assert_eq!(body["policies"][0]["id"], "production-write");
    assert_eq!(body["suffices"], json!([["dba:1"]]));
    assert_eq!(body["cannot_approve"], json!(["ada"]));
    assert_eq!(body["action_digest"], review.matter().action.to_string());
    assert_eq!(body["card_digest"], review.matter().card.to_string());
    assert_eq!(body["seconds_left"], 1_800);
    assert_eq!(body["url"], format!("https://gate.example.org/reviews/{}", review.matter().id));
}

#[tokio::test]
async fn reviews_are_listed_by_state_and_bounded() {
    let world = World::new().await;
    let token = world.token("dora", Scope::ReviewVote).await;
    let mut reviews = Vec::new();
    for id in 0..3 {
        reviews.push(world.ask("coder", &format!("UPDATE t SET a = 1 WHERE id = {id}")).await);
    }
    let ada = world.token("ada", Scope::ReviewVote).await;
    let withdraw = format!("/api/v1/reviews/{}/withdraw", reviews[0].matter().id);
    assert_eq!(world.post(&withdraw, &ada, &json!({})).await.status, StatusCode::OK);
    let check = async |query: &str, expected: usize| {
        let body = world.get(&format!("/api/v1/reviews{query}"), &token).await.json();
        assert_eq!(body["reviews"].as_array().map(Vec::len), Some(expected), "{query}: {body}");
    };
    check("", 2).await;
    check("?state=open&limit=1", 1).await;
    check("?state=closed", 1).await;
    check("?state=all", 3).await;
    for query in ["?state=every", "?limit=0", "?limit=501", "?limit=-1", "?limit=x", "?page=2", "?limit=1&limit=2"] {
        world.get(&format!("/api/v1/reviews{query}"), &token).await.refused(400, "bad_request");
    }
}

#[tokio::test]
async fn actions_show_what_was_refused() {
    let world = World::new().await;
    let token = world.token("dora", Scope::ReviewVote).await;
    let id = world.refused_attempt("coder", "UPDATE t SET a = 1").await;
    let action = world.get(&format!("/api/v1/actions/{id}"), &token).await.json();
    assert_eq!((&action["status"], &action["code"]), (&json!("refused"), &json!("policy_denied")));
    assert_eq!(action["statement"], "UPDATE t SET a = 1");
    assert_eq!(world.get("/api/v1/actions?limit=1", &token).await.json()["actions"][0], action);
    world.get("/api/v1/actions/none", &token).await.refused(404, "not_found");
    world.get("/api/v1/actions?limit=9999", &token).await.refused(400, "bad_request");
}

#[tokio::test]
async fn the_directory_keeps_addresses_and_keys_inside() {
    let world = World::new().await;
    let token = world.token("dora", Scope::ReviewVote).await;
    let targets = world.get("/api/v1/targets", &token).await;
    let expected = json!({"targets": [
        {"name": "orders", "protocol": "postgres", "environment": "production", "sensitivity": "high",
            "in_force": true, "waits": null},
        {"name": "sandbox", "protocol": "postgres", "environment": "dev", "sensitivity": "none",
            "in_force": true, "waits": null},
    ]});
    assert_eq!(targets.json(), expected);
    let agents = world.get("/api/v1/agents", &token).await.json();
    let pairs: Vec<(&str, &str)> = agents["agents"].as_array().expect("a list").iter().map(names).collect();
    assert_eq!(pairs, [("coder", "ada"), ("scout", "finn")]);
    let me = world.get("/api/v1/whoami", &token).await.json();
    assert_eq!((&me["kind"], &me["name"], &me["scope"]), (&json!("person"), &json!("dora"), &json!("review:vote")));
}

fn names(agent: &Value) -> (&str, &str) {
    (agent["name"].as_str().unwrap_or_default(), agent["owner"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn policies_say_what_is_in_force() {
    let world = World::new().await;
    let token = world.token("dora", Scope::ReviewVote).await;
    let body = world.get("/api/v1/policies", &token).await.json();
    assert_eq!(body["digest"], world.gate.policies.current().digest().to_string());
    assert_eq!((&body["files_in_force"], &body["problem"]), (&json!(true), &Value::Null));
    let ids = body["policies"].as_array().expect("a list");
    assert!(ids.contains(&json!("production-write")) && ids.contains(&json!("core:no-self-approval")));
    let text = body["files"][0]["text"].as_str().unwrap_or_default();
    assert!(text.contains("@id(\"production-write\")"));
}

#[tokio::test]
async fn the_record_is_read_and_proved() {
    let world = World::new().await;
    let token = world.token("dora", Scope::ReviewRead).await;
    let get = async |path: &str| world.get(&format!("/api/v1/ledger/{path}"), &token).await;
    let checkpoint = get("checkpoint").await;
    assert_eq!(checkpoint.header("content-type"), "text/plain; charset=utf-8");
    assert!(checkpoint.body.starts_with(b"example.org/log\n3\n"));
    let body = get("entries?from=1&limit=5").await.json();
    assert_eq!(body["size"], 3);
    assert_eq!(body["entries"][0], json!({"index": 1, "leaf": "{\"n\":1}", "record": {"n": 1}}));
    assert_eq!(body["entries"].as_array().map(Vec::len), Some(2));
    for far in ["entries?from=3", "entries?from=18446744073709551615"] {
        assert_eq!(get(far).await.json()["entries"], json!([]));
    }
    assert!(get("proof/2").await.body.starts_with(b"c2sp.org/tlog-proof@v1\n"));
    get("proof/3").await.refused(404, "not_found");
    get("proof/two").await.refused(400, "bad_request");
    get("entries?limit=1001").await.refused(400, "bad_request");
    get("entries?from=-1").await.refused(400, "bad_request");
    world.log.broken.store(true, std::sync::atomic::Ordering::SeqCst);
    let broken = get("checkpoint").await;
    broken.refused(503, "record_unavailable");
    assert!(!String::from_utf8_lossy(&broken.body).contains("/secret/path"), "causes stay inside");
}

#[tokio::test]
async fn changes_arrive_as_events_and_missed_ones_say_reload() {
    let world = World::new().await;
    let token = world.token("dora", Scope::ReviewRead).await;
    let request = request(Method::GET, "/api/v1/events", &token).body(Body::empty()).expect("well-formed");
    let response = world.router.clone().oneshot(request).await.expect("infallible");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut events = response.into_body().into_data_stream();
    world.gate.changes.tell(Change::Review);
    assert_eq!(events.next().await.expect("lives").expect("whole"), "event: review\ndata: {}\n\n");
    world.gate.changes.tell(Change::Action);
    assert_eq!(events.next().await.expect("lives").expect("whole"), "event: action\ndata: {}\n\n");
    for _ in 0..2_000 {
        world.gate.changes.tell(Change::Action);
    }
    assert_eq!(events.next().await.expect("lives").expect("whole"), "event: reload\ndata: {}\n\n");
}

#[tokio::test]
async fn listeners_are_bounded_and_their_places_come_back() {
    let world = World::new().await;
    let token = world.token("dora", Scope::ReviewRead).await;
    let listen = || request(Method::GET, "/api/v1/events", &token).body(Body::empty()).expect("well-formed");
    let mut open = Vec::new();
    for _ in 0..crate::api::events::LISTENERS_MAX {
        open.push(world.router.clone().oneshot(listen()).await.expect("infallible"));
    }
    world.send(listen()).await.refused(503, "too_many_connections");
    drop(open.pop());
    assert_eq!(world.router.clone().oneshot(listen()).await.expect("infallible").status(), StatusCode::OK);
}
