//! Who gets in, and what an agent sees.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::api::testing::{World, agent_key, request};
use crate::ports::{Directory as _, Scope};

/// Everything that needs a caller, with a body where one is needed.
const CLOSED: [(&str, &str); 13] = [
    ("GET", "/api/v1/reviews"),
    ("GET", "/api/v1/reviews/x"),
    ("POST", "/api/v1/reviews/x/votes"),
    ("POST", "/api/v1/reviews/x/withdraw"),
    ("GET", "/api/v1/actions"),
    ("GET", "/api/v1/actions/x"),
    ("GET", "/api/v1/whoami"),
    ("GET", "/api/v1/agents"),
    ("GET", "/api/v1/targets"),
    ("GET", "/api/v1/policies"),
    ("GET", "/api/v1/ledger/checkpoint"),
    ("GET", "/api/v1/ledger/entries"),
    ("GET", "/api/v1/events"),
];

#[tokio::test]
async fn nobody_gets_in_without_a_known_secret() {
    let world = World::new().await;
    let expired = world.token("dora", Scope::ReviewVote).await;
    let session = world.session("dora").await;
    world.clock.advance(3_600);
    let long = format!("cst_{}", "x".repeat(300));
    for (method, path) in CLOSED {
        for secret in ["", "cst_unknown", "csk_unknown", "csl_unknown", "hunter2", &expired, &session, &long] {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            let answer = world.send(request(method, path, secret).body(Body::empty()).expect("well-formed")).await;
            answer.refused(401, "unauthenticated");
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{path}");
        }
    }
}

#[tokio::test]
async fn the_authorization_header_is_read_strictly() {
    let world = World::new().await;
    let token = world.token("dora", Scope::ReviewVote).await;
    let get = || request(Method::GET, "/api/v1/whoami", "");
    for header in [format!("Basic {token}"), token.clone(), "Bearer".to_owned(), "Bearer  ".to_owned()] {
        let request = get().header("authorization", header).body(Body::empty()).expect("well-formed");
        world.send(request).await.refused(401, "unauthenticated");
    }
    let twice = get().header("authorization", format!("Bearer {token}")).header("authorization", "Bearer cst_other");
    world.send(twice.body(Body::empty()).expect("well-formed")).await.refused(401, "unauthenticated");
    let lower = get().header("authorization", format!("bearer {token}")).body(Body::empty()).expect("well-formed");
    assert_eq!(world.send(lower).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_console_session_reads_and_only_from_its_own_site() {
    let world = World::new().await;
    let cookie = format!("theme=dark; __Host-countersign_session={}", world.session("dora").await);
    let get = || request(Method::GET, "/api/v1/whoami", "").header("cookie", &cookie);
    assert_eq!(world.send(get().body(Body::empty()).expect("well-formed")).await.json()["name"], "dora");
    for (site, status) in [("same-origin", 200), ("none", 200), ("cross-site", 403), ("same-site", 403)] {
        let request = get().header("sec-fetch-site", site).body(Body::empty()).expect("well-formed");
        assert_eq!(world.send(request).await.status, status, "{site}");
    }
    let planted = request(Method::GET, "/api/v1/whoami", "").header("cookie", cookie.replace("__Host-", ""));
    world.send(planted.body(Body::empty()).expect("well-formed")).await.refused(401, "unauthenticated");
    let review = world.ask("coder", "UPDATE t SET a = 1 WHERE id = 1").await;
    let path = format!("/api/v1/reviews/{}/withdraw", review.matter().id);
    let request = request(Method::POST, &path, "").header("cookie", &cookie).body(Body::empty()).expect("well-formed");
    world.send(request).await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn an_agent_reads_its_own_and_nothing_else() {
    let world = World::new().await;
    let (coders, scouts) = (
        world.ask("coder", "UPDATE t SET a = 1 WHERE id = 1").await,
        world.ask("scout", "UPDATE t SET a = 2 WHERE id = 2").await,
    );
    let (coders_action, scouts_action) =
        (world.refused_attempt("coder", "x").await, world.refused_attempt("scout", "y").await);
    let key = agent_key("coder");

    let listed = world.get("/api/v1/reviews?state=all", &key).await.json();
    assert_eq!(listed["reviews"].as_array().map(Vec::len), Some(1));
    assert_eq!(listed["reviews"][0]["id"], coders.matter().id.as_str());
    let listed = world.get("/api/v1/actions", &key).await.json();
    assert_eq!(listed["actions"].as_array().map(Vec::len), Some(1));
    assert_eq!(listed["actions"][0]["id"], coders_action.as_str());

    assert_eq!(world.get(&format!("/api/v1/reviews/{}", coders.matter().id), &key).await.status, StatusCode::OK);
    assert_eq!(world.get(&format!("/api/v1/actions/{coders_action}"), &key).await.status, StatusCode::OK);
    world.get(&format!("/api/v1/reviews/{}", scouts.matter().id), &key).await.refused(404, "not_found");
    world.get(&format!("/api/v1/actions/{scouts_action}"), &key).await.refused(404, "not_found");
    for path in ["agents", "targets", "policies", "ledger/checkpoint", "ledger/entries", "ledger/proof/0", "events"] {
        world.get(&format!("/api/v1/{path}"), &key).await.refused(403, "forbidden");
    }
    let me = json!({"kind": "agent", "name": "coder", "owner": "ada", "groups": [], "roles": [], "scope": null, "method": null});
    assert_eq!(world.get("/api/v1/whoami", &key).await.json(), me);
}

#[tokio::test]
async fn a_revoked_agent_is_out() {
    let world = World::new().await;
    let record = world.gate.scribe.record(countersign_core::record::Event::ConfigChanged { what: "test".to_owned() });
    let mut agents = world.store.agents().await.expect("reads");
    let mut coder = agents.remove(agents.iter().position(|agent| agent.name == "coder").expect("there"));
    coder.revoked_at = Some(world.gate.scribe.now());
    world.store.update_agent(coder, record).await.expect("revokes");
    world.get("/api/v1/whoami", &agent_key("coder")).await.refused(401, "unauthenticated");
}
