//! The rings around every page, over every route there is.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use countersign_core::review::Review;

use super::world::{Browser, Wish, World};

/// The routes as the router's own source lists them, so that a new one cannot escape.
fn routes() -> Vec<(String, bool)> {
    let source = include_str!("../mod.rs");
    let found = source.lines().filter_map(|line| line.trim().strip_prefix(".route(\""));
    found
        .map(|rest| rest.split_once('"').expect("a path"))
        .map(|(path, rest)| (path.to_owned(), rest.contains("post(")))
        .collect()
}

/// Routes that take both.
const BOTH: [&str; 7] = [
    "/incidents",
    "/login",
    "/me/accounts/slack",
    "/me/passkeys",
    "/policies/checks",
    "/policies/try",
    "/reviews/batch",
];

fn fill(path: &str, review: &Review) -> String {
    let path = path.replace("{id}", review.matter().id.as_str()).replace("{index}", "0");
    path.replace("{*name}", "console.css").replace("{secret}", "csl_x")
}

fn is_open(path: &str) -> bool {
    path.starts_with("/assets/") || path.starts_with("/login")
}

async fn world() -> (World, Review) {
    let world = World::new().await;
    let review = world.ask(Wish::write("UPDATE orders SET status = 'paid' WHERE id = 1")).await;
    world.ledger.flush().await.expect("publishes");
    (world, review)
}

#[tokio::test]
async fn every_answer_has_every_header() {
    let (world, review) = world().await;
    assert!(routes().len() >= 19, "{:?}", routes());
    let (dora, stranger) = (world.browser("dora").await, Browser { world: &world, cookie: String::new() });
    for (path, _) in
        routes().into_iter().chain([("/nowhere".to_owned(), false), ("/reviews/unknown".to_owned(), false)])
    {
        if path == "/console/events" {
            continue; // an answer without an end; its own test below
        }
        let path = fill(&path, &review);
        for answer in [dora.get(&path).await, stranger.get(&path).await, dora.post_from(&path, &[], &[]).await] {
            let policy = answer.header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"), "{path}: {policy}");
            assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
            for (name, value) in [
                ("x-frame-options", "DENY"),
                ("x-content-type-options", "nosniff"),
                ("referrer-policy", "same-origin"),
                ("cross-origin-opener-policy", "same-origin"),
                ("cross-origin-resource-policy", "same-origin"),
            ] {
                assert_eq!(answer.header(name), value, "{path}: {name}");
            }
            let kept = path.starts_with("/assets/") && answer.status == StatusCode::OK;
            assert_eq!(answer.header("cache-control") == "no-store", !kept, "{path}");
        }
    }
}

#[tokio::test]
async fn no_page_has_inline_script_or_style() {
    let (world, review) = world().await;
    let dora = world.browser("dora").await;
    for (path, posts) in routes() {
        if posts && !BOTH.contains(&&*path) || path == "/console/events" || path.starts_with("/assets/") {
            continue;
        }
        let page = dora.get(&fill(&path, &review)).await;
        assert!(page.body.len() < 100_000 - 75_000 / 2, "{path} has {} bytes", page.body.len());
        for inline in ["<style", " style=", "onclick=", "onload=", "javascript:", "hx-on", "js:"] {
            assert!(!page.body.contains(inline), "{path} has {inline}");
        }
        for script in page.body.split("<script").skip(1) {
            let known = ["vendor/", "console.js?", "live.js?", "passkeys.js?", "verify.js?"]
                .map(|name| format!(" defer src=\"/assets/{name}"));
            assert!(known.iter().any(|known| script.starts_with(known)), "{path}: {script}");
        }
    }
}

#[tokio::test]
async fn without_a_session_there_is_nothing() {
    let (world, review) = world().await;
    let mut stranger = Browser { world: &world, cookie: String::new() };
    for cookie in ["", "countersign_session=css_forged", "countersign_session=", "other=1"] {
        stranger.cookie = cookie.to_owned();
        for (path, posts) in routes().into_iter().filter(|(path, _)| !is_open(path)) {
            let path = fill(&path, &review);
            let answer = if posts { stranger.post(&path, &[]).await } else { stranger.get(&path).await };
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
            assert!(answer.body.contains("countersign person login-link"), "{path}");
            assert!(!answer.body.contains("coder") && !answer.body.contains("orders"), "{path} tells something");
        }
    }
}

#[tokio::test]
async fn no_form_of_another_site_does_anything() {
    let (world, review) = world().await;
    let dora = world.browser("dora").await;
    let token = dora.token().await;
    let matter = review.matter();
    let (action, card) = (matter.action.to_string(), matter.card.to_string());
    let ours: &[(&str, &str)] = &[("origin", "http://127.0.0.1:8470"), ("sec-fetch-site", "same-origin")];
    let attempts: [(&str, &[(&str, &str)]); 7] = [
        (&token, &[]),
        (&token, &[("origin", "null")]),
        (&token, &[("origin", "https://evil.example")]),
        (&token, &[("origin", "http://127.0.0.1:8470"), ("sec-fetch-site", "cross-site")]),
        (&token, &[("origin", "http://127.0.0.1:9999"), ("sec-fetch-site", "same-site")]),
        ("", ours),
        ("0000", ours),
    ];
    for (token, headers) in attempts {
        for path in
            [format!("/reviews/{}/vote", matter.id), format!("/reviews/{}/withdraw", matter.id), "/logout".to_owned()]
        {
            let fields = [("csrf", token), ("verdict", "approve"), ("action_digest", &action), ("card_digest", &card)];
            let answer = dora.post_from(&path, &fields, headers).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} {headers:?}");
            assert!(answer.body.contains("cross_site"), "{path}");
        }
    }
    assert_eq!(world.review(&matter.id).await, review);
    assert_eq!(dora.get("/").await.status, StatusCode::OK, "still signed in");
}

#[tokio::test]
async fn a_token_is_good_for_its_own_session_only() {
    let (world, review) = world().await;
    let (dora, finn) = (world.browser("dora").await, world.browser("finn").await);
    let token = finn.token().await;
    let answer = dora.post(&format!("/reviews/{}/withdraw", review.matter().id), &[("csrf", &token)]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.body.contains("cross_site"));
}

#[tokio::test]
async fn no_get_changes_anything() {
    let (world, review) = world().await;
    let (ada, dora) = (world.browser("ada").await, world.browser("dora").await);
    let before = world.records().await.len();
    for browser in [&ada, &dora] {
        for (path, posts) in routes() {
            if path == "/console/events" {
                continue;
            }
            let path = fill(&path, &review);
            let answer = browser.get(&path).await;
            assert_eq!(answer.status == StatusCode::METHOD_NOT_ALLOWED, posts && !BOTH.contains(&&*path), "{path}");
            let query = format!("{path}?verdict=approve&csrf=x&secret=csl_x&before=1&seen=x");
            browser.get(&query).await;
        }
    }
    assert_eq!(world.records().await.len(), before, "a GET was recorded as a change");
    assert_eq!(world.review(&review.matter().id).await, review);
    assert_eq!(ada.get("/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn other_methods_are_refused() {
    let (world, review) = world().await;
    let dora = world.browser("dora").await;
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let request = Request::builder().method(method.clone()).uri(format!("/reviews/{}", review.matter().id));
        let request = request.header("cookie", &dora.cookie).header("origin", "http://127.0.0.1:8470");
        let answer = world.send(request.body(Body::empty()).expect("well-formed")).await;
        assert!(answer.status.is_client_error(), "{method}");
    }
}

#[tokio::test]
async fn events_carry_the_headers_and_end_with_the_session() {
    use futures::StreamExt as _;
    use tower::ServiceExt as _;

    use crate::gate::Change;

    let (world, _) = world().await;
    let dora = world.browser("dora").await;
    let request = Request::builder().uri("/console/events").header("cookie", &dora.cookie);
    let response =
        world.router.clone().oneshot(request.body(Body::empty()).expect("well-formed")).await.expect("infallible");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert!(response.headers().contains_key("content-security-policy"));
    let mut events = response.into_body().into_data_stream();
    let hello = events.next().await.expect("an event").expect("readable");
    assert_eq!(&hello[..], b"event: hello\ndata: changed\n\n");
    for _ in 0..50 {
        world.gate.changes.tell(Change::Action);
    }
    world.gate.changes.tell(Change::Review);
    let frame = events.next().await.expect("an event").expect("readable");
    assert_eq!(&frame[..], b"event: review\ndata: changed\n\n", "a burst is told once");

    let token = dora.token().await;
    dora.post("/logout", &[("csrf", &token)]).await;
    world.gate.changes.tell(Change::Review);
    assert!(events.next().await.is_none(), "the stream ends with the session");
}

#[tokio::test]
async fn assets_are_kept_by_their_content() {
    let world = World::new().await;
    let browser = Browser { world: &world, cookie: String::new() };
    let address = crate::console::assets::url("console.css");
    let first = browser.get(&address).await;
    assert_eq!((first.status, first.header("content-type")), (StatusCode::OK, "text/css; charset=utf-8"));
    assert_eq!(first.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(browser.get("/assets/console.css").await.header("cache-control"), "no-cache");
    let request = Request::builder().uri("/assets/console.css").header("if-none-match", first.header("etag"));
    let again = world.send(request.body(Body::empty()).expect("well-formed")).await;
    assert_eq!((again.status, again.body.as_str()), (StatusCode::NOT_MODIFIED, ""));
    for outside in
        ["/assets/vendor/htmx/LICENSE", "/assets/../Cargo.toml", "/assets/%2e%2e/Cargo.toml", "/assets//etc/passwd.css"]
    {
        assert_eq!(browser.get(outside).await.status, StatusCode::NOT_FOUND, "{outside}");
    }
}
