//! Votes and withdrawals: every refusal by its code, and each of them recorded.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use countersign_core::review::Review;
use serde_json::{Value, json};

use crate::api::testing::{Answer, World, agent_key, request};
use crate::ports::{Directory as _, Scope, Store as _};

const SQL: &str = "UPDATE orders SET status = 'done' WHERE id = $1";

fn ballot(review: &Review, verdict: &str) -> Value {
    let matter = review.matter();
    json!({
        "verdict": verdict,
        "reason": "looked at it",
        "action_digest": matter.action.to_string(),
        "card_digest": matter.card.to_string(),
    })
}

async fn vote(world: &World, review: &Review, secret: &str, verdict: &str) -> Answer {
    world.post(&format!("/api/v1/reviews/{}/votes", review.matter().id), secret, &ballot(review, verdict)).await
}

async fn state(world: &World, review: &Review) -> &'static str {
    world.store.review(&review.matter().id).await.expect("reads").expect("there").review.state()
}

#[tokio::test]
async fn an_approval_answers_with_the_review_as_it_stands() {
    let world = World::new().await;
    let review = world.ask("coder", SQL).await;
    let ticket = world.gate.waiting.join(&review.matter().id);
    let dora = world.token("dora", Scope::ReviewVote).await;
    let answer = vote(&world, &review, &dora, "approve").await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json());
    let body = answer.json();
    assert_eq!(body["state"], "approved");
    assert_eq!(body["votes"][0]["person"], "dora");
    assert_eq!(body["votes"][0]["verdict"], "approve");
    assert_eq!(body["votes"][0]["method"], "local");
    assert_eq!(body["votes"][0]["reason"], "looked at it");
    assert_eq!(body["approvals"], json!(["any:1", "dba:1"]));
    assert!(ticket.turn().await.is_some(), "who waits is woken");
}

#[tokio::test]
async fn nobody_votes_on_the_own_action_by_any_credential() {
    let world = World::new().await;
    let review = world.ask("coder", SQL).await;
    let secrets = [
        world.token("ada", Scope::ReviewVote).await,
        world.token("ada", Scope::ReviewVote).await,
        agent_key("coder"),
        agent_key("scout"),
    ];
    for (at, secret) in secrets.iter().enumerate() {
        for verdict in ["approve", "reject"] {
            vote(&world, &review, secret, verdict).await.refused(403, "self_approval");
            assert_eq!(state(&world, &review).await, "open", "credential {at}");
        }
    }
    assert_eq!(world.recorded_refusals().await, ["self_approval"; 8]);
}

#[tokio::test]
async fn the_owners_console_session_is_no_way_around() {
    let world = World::new().await;
    let review = world.ask("coder", SQL).await;
    for person in ["ada", "dora"] {
        let cookie = format!("__Host-countersign_session={}", world.session(person).await);
        let path = format!("/api/v1/reviews/{}/votes", review.matter().id);
        let request =
            request(Method::POST, &path, "").header("cookie", cookie).header("content-type", "application/json");
        let body = Body::from(ballot(&review, "approve").to_string());
        world.send(request.body(body).expect("well-formed")).await.refused(401, "unauthenticated");
    }
    assert_eq!(state(&world, &review).await, "open");
}

#[tokio::test]
async fn people_who_may_not_vote_are_told_why() {
    let world = World::new().await;
    let review = world.ask("coder", SQL).await;
    let sam = world.token("sam", Scope::ReviewVote).await;
    vote(&world, &review, &sam, "approve").await.refused(403, "not_a_reviewer");
    let reader = world.token("dora", Scope::ReviewRead).await;
    vote(&world, &review, &reader, "approve").await.refused(403, "forbidden");
    let zoe = world.token("zoe", Scope::ReviewVote).await;
    vote(&world, &review, &zoe, "approve").await.refused(401, "unauthenticated");
    assert_eq!(world.recorded_refusals().await, ["not_a_reviewer", "forbidden"]);
    assert_eq!(state(&world, &review).await, "open");
}

#[tokio::test]
async fn a_person_suspended_a_moment_ago_does_not_count() {
    let world = World::new().await;
    let review = world.ask("coder", SQL).await;
    let dora = world.token("dora", Scope::ReviewVote).await;
    let mut person = world.store.people().await.expect("reads").into_iter().find(|p| p.name == "dora").expect("dora");
    let before = person.clone();
    person.suspended = true;
    let record = world.gate.scribe.record(countersign_core::record::Event::ConfigChanged { what: "test".to_owned() });
    world.store.update_person(before, person, vec![record]).await.expect("updates");
    vote(&world, &review, &dora, "approve").await.refused(401, "unauthenticated");
    assert_eq!(state(&world, &review).await, "open");
}

#[tokio::test]
async fn a_vote_on_something_else_does_not_match() {
    let world = World::new().await;
    let (review, other) =
        (world.ask("coder", SQL).await, world.ask("coder", "UPDATE orders SET a = 1 WHERE id = 2").await);
    let dora = world.token("dora", Scope::ReviewVote).await;
    let path = format!("/api/v1/reviews/{}/votes", review.matter().id);
    for field in ["action_digest", "card_digest"] {
        let mut body = ballot(&review, "approve");
        body[field] = ballot(&other, "approve")[field].clone();
        world.post(&path, &dora, &body).await.refused(409, "digest_mismatch");
    }
    assert_eq!(world.recorded_refusals().await, ["digest_mismatch"; 2]);
}

#[tokio::test]
async fn what_is_closed_stays_closed() {
    let world = World::new().await;
    let (dora, finn) = (world.token("dora", Scope::ReviewVote).await, world.token("finn", Scope::ReviewVote).await);
    let rejected = world.ask("coder", SQL).await;
    assert_eq!(vote(&world, &rejected, &dora, "reject").await.json()["state"], "rejected");
    for secret in [&dora, &finn] {
        vote(&world, &rejected, secret, "approve").await.refused(409, "review_closed");
    }
    let expired = world.ask("coder", "UPDATE orders SET a = 1 WHERE id = 2").await;
    world.clock.advance(1_800);
    vote(&world, &expired, &dora, "approve").await.refused(409, "review_closed");
    assert_eq!(world.recorded_refusals().await, ["review_closed"; 3]);
}

#[tokio::test]
async fn one_vote_a_person_whatever_their_token() {
    let world = World::new().await;
    let review = open_for_two(&world).await;
    let first = world.token("dora", Scope::ReviewVote).await;
    assert_eq!(vote(&world, &review, &first, "approve").await.json()["state"], "open");
    let second = world.token("dora", Scope::ReviewVote).await;
    for secret in [&first, &second] {
        vote(&world, &review, secret, "approve").await.refused(409, "voted_already");
    }
    let finn = world.token("finn", Scope::ReviewVote).await;
    assert_eq!(vote(&world, &review, &finn, "approve").await.json()["state"], "approved");
}

async fn open_for_two(world: &World) -> Review {
    let review = world.ask_ddl("coder", "ALTER TABLE orders ADD COLUMN note text").await;
    assert_eq!(review.matter().terms.suffices[0].first().map(ToString::to_string).as_deref(), Some("dba:2"));
    review
}

#[tokio::test]
async fn two_votes_that_race_leave_one_grant() {
    let world = World::new().await;
    let review = world.ask("coder", SQL).await;
    let (dora, finn) = (world.token("dora", Scope::ReviewVote).await, world.token("finn", Scope::ReviewVote).await);
    let (one, two) = tokio::join!(vote(&world, &review, &dora, "approve"), vote(&world, &review, &finn, "reject"));
    let won = [&one, &two].into_iter().filter(|answer| answer.status == StatusCode::CREATED).count();
    assert_eq!(won, 1);
    let lost = if one.status == StatusCode::CREATED { two } else { one };
    lost.refused(409, "review_closed");
}

#[tokio::test]
async fn unknown_reviews_are_not_found() {
    let world = World::new().await;
    let review = world.ask("coder", SQL).await;
    let dora = world.token("dora", Scope::ReviewVote).await;
    for id in ["nope", "01890000-0000-7000-8000-000000000000", "%2e%2e", "a%2Fb", "%ff"] {
        let path = format!("/api/v1/reviews/{id}/votes");
        world.post(&path, &dora, &ballot(&review, "approve")).await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn malformed_votes_are_told_what_is_wrong() {
    let world = World::new().await;
    let review = world.ask("coder", SQL).await;
    let dora = world.token("dora", Scope::ReviewVote).await;
    let path = format!("/api/v1/reviews/{}/votes", review.matter().id);
    let check = async |change: fn(&mut Value), says: &str| {
        let mut body = ballot(&review, "approve");
        change(&mut body);
        let answer = world.post(&path, &dora, &body).await;
        answer.refused(400, "bad_request");
        let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert!(detail.contains(says), "`{detail}` should say `{says}`");
    };
    check(|body| body["action_digest"] = json!("sha256:00"), "`action_digest` is not a digest").await;
    check(|body| body["card_digest"] = json!(""), "`card_digest` is not a digest").await;
    check(|body| body["verdict"] = json!("maybe"), "unknown variant `maybe`").await;
    check(|body| body["approver"] = json!("dora"), "unknown field `approver`").await;
    check(|body| drop(body.as_object_mut().expect("an object").remove("card_digest")), "missing field `card_digest`")
        .await;
    check(|body| *body = json!([]), "").await;
    let post = || request(Method::POST, &path, &dora);
    let json = post().header("content-type", "application/json");
    world.send(json.body(Body::from("{\"verdict\":")).expect("well-formed")).await.refused(400, "bad_request");
    let form = post().header("content-type", "application/x-www-form-urlencoded");
    world.send(form.body(Body::from("verdict=approve")).expect("well-formed")).await.refused(415, "bad_request");
    assert_eq!(state(&world, &review).await, "open");
}

#[tokio::test]
async fn bodies_and_reasons_are_bounded() {
    let world = World::new().await;
    let review = world.ask("coder", SQL).await;
    let dora = world.token("dora", Scope::ReviewVote).await;
    let path = format!("/api/v1/reviews/{}/votes", review.matter().id);
    let mut body = ballot(&review, "approve");
    body["reason"] = json!("x".repeat(2_001));
    world.post(&path, &dora, &body).await.refused(400, "reason_invalid");
    body["reason"] = json!("x".repeat(64 * 1024));
    world.post(&path, &dora, &body).await.refused(413, "too_large");
    assert_eq!(state(&world, &review).await, "open");
}

#[tokio::test]
async fn the_requesters_side_withdraws_and_nobody_else() {
    let world = World::new().await;
    let withdraw = async |review: &Review, secret: &str| {
        world.post(&format!("/api/v1/reviews/{}/withdraw", review.matter().id), secret, &json!({})).await
    };
    let (by_agent, by_owner) =
        (world.ask("coder", SQL).await, world.ask("coder", "UPDATE orders SET a = 1 WHERE id = 2").await);
    let (dora, ada) = (world.token("dora", Scope::ReviewVote).await, world.token("ada", Scope::ReviewVote).await);
    withdraw(&by_agent, &dora).await.refused(403, "forbidden");
    withdraw(&by_agent, &agent_key("scout")).await.refused(403, "forbidden");
    for (review, secret) in [(&by_agent, agent_key("coder")), (&by_owner, ada)] {
        let answer = withdraw(review, &secret).await;
        assert_eq!((answer.status, &answer.json()["state"]), (StatusCode::OK, &json!("withdrawn")));
        withdraw(review, &secret).await.refused(409, "review_closed");
        vote(&world, review, &dora, "approve").await.refused(409, "review_closed");
    }
    withdraw(&by_agent, "").await.refused(401, "unauthenticated");
}
