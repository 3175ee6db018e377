//! Deciding by the callback of a webhook's event: by a person, once, on what the event showed.

use serde_json::{Value, json};

use crate::harness::api::Answer;
use crate::harness::policies::TWO_DBAS;
use crate::harness::{Plan, ROW, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";

/// The first event that says this: where it is answered, and its token.
fn decision(world: &World, words: &str) -> (String, String) {
    let received = world.receiver().until(words);
    let event: Value = serde_json::from_str(received["body"].as_str().unwrap()).unwrap();
    let decision = &event["data"]["decision"];
    let path = decision["url"].as_str().unwrap().strip_prefix(&world.gateway.url()).unwrap();
    (path.to_owned(), decision["token"].as_str().unwrap().to_owned())
}

fn body(token: &str) -> Value {
    json!({"token": token, "verdict": "approve", "reason": "looked at it"})
}

#[test]
fn a_person_decides_by_it_once_and_nobody_else_does() {
    let mut world = Plan::default().webhook().start();
    let (mut call, review) = world.paused(WRITE);
    let (path, token) = decision(&world, "review.opened");
    let said = body(&token);
    // a link that is followed, nobody, the agent, and its owner
    assert_eq!(world.dora().get(&path).status, 405);
    world.api("").post(&path, &said).refused(401, "unauthenticated");
    world.api("csp_made-up").post(&path, &said).refused(401, "unauthenticated");
    world.api(&world.key).post(&path, &said).refused(403, "self_approval");
    world.ada().post(&path, &said).refused(403, "self_approval");
    let refused = world.until_recorded("ada's attempt", |leaf| {
        leaf["kind"] == "review.refused" && leaf["code"] == "self_approval" && leaf["method"] == "webhook"
    });
    assert_eq!(refused["review"], review.id());
    // a token that was made up, cut, changed, or is another review's
    let mut changed = token.clone();
    let last = changed.pop().unwrap();
    changed.push(if last == 'A' { 'B' } else { 'A' });
    for odd in ["", "x", &token[1..], &token[..token.len() - 1], &changed, &"A".repeat(4_000)] {
        world.dora().post(&path, &body(odd)).refused(403, "callback_invalid");
    }
    let (_other, another) = world.paused("UPDATE customers SET credit_limit = 901 WHERE id = 3");
    let there = path.replace(review.id(), another.id());
    world.dora().post(&there, &said).refused(403, "callback_invalid");
    world.dora().post(&path.replace(review.id(), "r_none"), &said).refused(404, "not_found");
    world.dora().post(&path, &json!({"token": token, "verdict": "perhaps"})).refused(400, "bad_request");
    assert_eq!(world.dora().review(review.id()).votes(), 0);
    assert!(!call.answered());
    assert_eq!(world.truth(ROW), "200");

    // none of that has used it up, nor does a restart
    world.gateway.kill();
    world.gateway.start();
    let again = world.send(crate::harness::clients::Client::Psql, "write", Some(WRITE));
    world.dora().post(&path, &said).ok();
    assert_eq!(again.outcome().rows(), 1);
    let vote = world.until_recorded("the vote", |leaf| leaf["kind"] == "review.vote");
    assert_eq!(vote["method"], "webhook");
    assert!(vote["callback"].as_str().unwrap().ends_with("@webhook:pager"), "{vote}");
    world.dora().post(&path, &said).refused(409, "callback_used");
    world.verify().success("verify").unwrap();
}

/// Of two who answer the same event at once one is counted; the other answers the next one.
#[test]
fn of_two_who_answer_one_event_at_once_one_is_counted() {
    let mut world = Plan::default().only_policies(TWO_DBAS).webhook().start();
    let (call, review) = world.paused(WRITE);
    let (path, token) = decision(&world, "review.opened");
    let both: Vec<Answer> = std::thread::scope(|scope| {
        let ask = |person| {
            let (path, said) = (&path, body(&token));
            scope.spawn(move || -> Answer { crate::harness::api::Api::post(person, path, &said) })
        };
        let asked = [ask(world.dora()), ask(world.finn())];
        asked.map(|answer| answer.join().unwrap()).into()
    });
    let won = usize::from(both[1].accepted());
    assert!(both[won].accepted(), "{both:?}");
    both[1 - won].refused(409, "callback_used");
    assert_eq!(world.dora().review(review.id()).votes(), 1);
    let (winner, loser) = if won == 0 { (world.dora(), world.finn()) } else { (world.finn(), world.dora()) };

    // taken back, it is still used, also after a restart
    winner.retract(&review).ok();
    let token_of_winner = winner.token().to_owned();
    let token_of_loser = loser.token().to_owned();
    world.gateway.kill();
    world.gateway.start();
    drop(call);
    let again = world.send(crate::harness::clients::Client::Psql, "write", Some(WRITE));
    world.api(&token_of_winner).post(&path, &body(&token)).refused(409, "callback_used");
    world.api(&token_of_loser).vote(&review, "approve", "by the console").ok();
    let (path, next) = decision(&world, "review.changed");
    assert_ne!(next, token);
    world.api(&token_of_winner).post(&path, &body(&next)).ok();
    assert_eq!(again.outcome().rows(), 1);
}

/// What ran out, or was decided otherwise, is not answered any more.
#[test]
fn nothing_is_answered_when_it_is_over() {
    let world = Plan::default().short_reviews().webhook().start();
    let (_call, _review) = world.paused(WRITE);
    let (path, token) = decision(&world, "review.opened");
    world.receiver().until("review.closed");
    world.dora().post(&path, &body(&token)).refused(410, "callback_expired");
    let closed = world.receiver().until("review.closed");
    let event: Value = serde_json::from_str(closed["body"].as_str().unwrap()).unwrap();
    assert!(event["data"]["decision"].is_null(), "{event}");
}
