//! Login links, sessions and their cookies.

use axum::http::StatusCode;
use countersign_core::record::Event;

use super::world::{Browser, World};
use crate::ports::Scope;

fn stranger(world: &World) -> Browser<'_> {
    Browser { world, cookie: String::new() }
}

#[tokio::test]
async fn looking_at_a_link_does_not_use_it() {
    let world = World::new().await;
    let link = world.link("dora", Scope::ReviewVote).await;
    let browser = stranger(&world);
    for _ in 0..3 {
        let page = browser.get(&format!("/login/{link}")).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.header("set-cookie").is_empty());
        assert!(page.body.contains("Sign in as dora"));
        assert_eq!(page.field("secret"), link);
    }
    assert_eq!(browser.post("/login", &[("secret", &link)]).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_link_works_once_and_says_so() {
    let world = World::new().await;
    let link = world.link("dora", Scope::ReviewVote).await;
    let mut browser = stranger(&world);
    let first = browser.post("/login", &[("secret", &link)]).await;
    browser.keep(&first);
    assert_eq!(browser.get("/").await.status, StatusCode::OK);

    let thief = stranger(&world);
    for again in [thief.post("/login", &[("secret", &link)]).await, thief.get(&format!("/login/{link}")).await] {
        assert_eq!(again.status, StatusCode::GONE);
        assert!(again.header("set-cookie").is_empty());
        assert!(again.body.contains("It was used already, or its time ran out"));
    }
    let used = world.records().await.into_iter().filter(|record| {
        matches!(&record.event, Event::IdentityEnrolled { what, change, .. } if what == "login_link" && change == "used")
    });
    assert_eq!(used.count(), 1);
}

#[tokio::test]
async fn of_two_who_use_a_link_at_once_one_gets_in() {
    let world = World::new().await;
    let link = world.link("dora", Scope::ReviewVote).await;
    let (one, two) = (stranger(&world), stranger(&world));
    let fields = [("secret", link.as_str())];
    let (first, second) = tokio::join!(one.post("/login", &fields), two.post("/login", &fields));
    let mut statuses = [first.status, second.status];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::SEE_OTHER, StatusCode::GONE]);
}

#[tokio::test]
async fn a_link_ends_by_itself() {
    let world = World::new().await;
    let link = world.link("dora", Scope::ReviewVote).await;
    world.clock.advance(901);
    assert_eq!(stranger(&world).post("/login", &[("secret", &link)]).await.status, StatusCode::GONE);
}

#[tokio::test]
async fn other_secrets_are_no_link() {
    let world = World::new().await;
    let browser = world.browser("dora").await;
    let session = browser.cookie.split_once('=').expect("a cookie").1.to_owned();
    for secret in [session.as_str(), "csl_unknown", "", "csl_"] {
        let answer = stranger(&world).post("/login", &[("secret", secret)]).await;
        assert_eq!(answer.status, StatusCode::GONE, "{secret}");
    }
}

#[tokio::test]
async fn cookies_are_guarded() {
    let world = World::new().await;
    let link = world.link("dora", Scope::ReviewVote).await;
    let answer = stranger(&world).post("/login", &[("secret", &link)]).await;
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("countersign_session=css_"), "{cookie}");
    assert!(cookie.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"), "{cookie}");

    let world = World::at("https://sign.example.org").await;
    let link = world.link("dora", Scope::ReviewVote).await;
    let answer = stranger(&world).post("/login", &[("secret", &link)]).await;
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("__Host-countersign_session=css_"), "{cookie}");
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict; Secure"), "{cookie}");
}

#[tokio::test]
async fn signing_in_never_continues_a_session_that_was_there() {
    let world = World::new().await;
    let mut browser = stranger(&world);
    browser.cookie = "countersign_session=css_planted".to_owned();
    let link = world.link("dora", Scope::ReviewVote).await;
    let answer = browser.post("/login", &[("secret", &link)]).await;
    assert!(!answer.header("set-cookie").contains("planted"));

    let before = world.browser("finn").await;
    let link = world.link("dora", Scope::ReviewVote).await;
    assert_eq!(before.post("/login", &[("secret", &link)]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(before.get("/").await.status, StatusCode::UNAUTHORIZED, "the older session has ended");
}

#[tokio::test]
async fn sessions_end() {
    let world = World::new().await;
    let browser = world.browser("dora").await;
    let token = browser.token().await;
    let out = browser.post("/logout", &[("csrf", &token)]).await;
    assert_eq!(out.status, StatusCode::SEE_OTHER);
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(browser.get("/").await.status, StatusCode::UNAUTHORIZED);

    let browser = world.browser("dora").await;
    world.clock.advance(12 * 3_600);
    assert_eq!(browser.get("/").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_suspended_person_is_out_at_once() {
    let world = World::new().await;
    let browser = world.browser("dora").await;
    let link = world.link("dora", Scope::ReviewVote).await;
    let mut people = world.gate.directory.people().await.expect("reads");
    let mut dora = people.remove(people.iter().position(|person| person.name == "dora").expect("there"));
    let before = dora.clone();
    dora.suspended = true;
    let record = world.gate.scribe.record(Event::ConfigChanged { what: "test".to_owned() });
    world.gate.directory.update_person(before, dora, vec![record]).await.expect("updates");
    assert_eq!(browser.get("/").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(browser.post("/login", &[("secret", &link)]).await.status, StatusCode::GONE);
}

#[tokio::test]
async fn a_cookie_that_stands_there_twice_is_none() {
    let world = World::new().await;
    let mut browser = world.browser("dora").await;
    browser.cookie = format!("{}; countersign_session=css_other", browser.cookie);
    assert_eq!(browser.get("/").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_link_from_another_site_loads_the_page_again() {
    let world = World::new().await;
    let ask = |path: &str| {
        let request = axum::http::Request::builder().uri(path).header("sec-fetch-site", "cross-site");
        world.send(request.body(axum::body::Body::empty()).expect("well-formed"))
    };
    let page = ask("/reviews/r-1").await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert!(page.body.contains("content=\"0; url=/reviews/r-1\""));
    assert!(!ask("//evil.example").await.body.contains("http-equiv=\"refresh\""));
}
