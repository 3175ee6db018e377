//! `kill -9` at every interesting moment: nothing runs twice, nothing acknowledged is lost, what cannot be known is said
//! to be unknown.

use serde_json::Value;
use xtask::process::wait_until;

use crate::harness::clients::Client;
use crate::harness::{ROW, SOON, World};

const WRITE: &str = "UPDATE customers SET credit_limit = credit_limit + 1 WHERE id = 3";
/// Long enough to be killed in the middle; the row locks show that it runs once.
const SLOW: &str = "UPDATE customers SET credit_limit = credit_limit + 1 WHERE id = 3 AND pg_sleep(4) IS NOT NULL";

#[test]
fn while_a_review_waits() {
    let mut world = World::start();
    let (call, review) = world.paused(WRITE);
    world.gateway.kill();
    call.ended();
    world.gateway.start();
    assert_eq!(world.dora().review(review.id()).state(), "open");
    let again = world.send(Client::Psql, "write", Some(WRITE));
    again.until_notice(review.id());
    assert_eq!(world.dora().open_reviews().len(), 1, "the action sent again joins its review");
    world.dora().approve(&review).ok();
    assert_eq!(again.outcome().rows(), 1);
    assert_eq!(world.truth(ROW), "201");
    world.verify().success("verification").unwrap();
}

#[test]
fn a_vote_that_was_acknowledged_survives() {
    let mut world = World::start();
    let ddl = "ALTER TABLE customers ADD COLUMN note text";
    let (call, review) = world.paused(ddl);
    assert_eq!(world.dora().approve(&review).ok()["state"], "open");
    world.gateway.kill();
    call.ended();
    world.gateway.start();
    assert_eq!(world.finn().review(review.id()).votes(), 1);
    world.dora().approve(&review).refused(409, "voted_already");
    world.until_recorded("the vote", |leaf| leaf["kind"] == "review.vote" && leaf["review"] == review.id());
}

#[test]
fn between_approval_and_execution() {
    let mut world = World::start();
    let (call, review) = world.paused(WRITE);
    call.leave();
    assert_eq!(world.dora().approve(&review).ok()["state"], "approved");
    assert_eq!(world.truth(ROW), "200", "a client that left gets nothing executed on its behalf");
    world.gateway.kill();
    world.gateway.start();
    assert_eq!(world.truth(ROW), "200");
    let again = world.send(Client::Psql, "write", Some(WRITE)).outcome();
    assert_eq!(again.rows(), 1, "within the grant's life the same action proceeds at once");
    assert_eq!(world.truth(ROW), "201");
    let (third, _) = world.paused(WRITE);
    third.leave();
    assert_eq!(world.truth(ROW), "201", "one review, one execution");
    world.until_recorded("the use", |leaf| leaf["kind"] == "grant.consumed");
    assert_eq!(world.count_recorded(|leaf| leaf["kind"] == "grant.consumed"), 1);
}

#[test]
fn during_execution() {
    let mut world = World::start();
    let (call, review) = world.paused(SLOW);
    world.dora().approve(&review).ok();
    wait_until("the statement to execute", SOON, || world.executing("pg_sleep").then_some(())).unwrap();
    world.gateway.kill();
    call.ended();
    world.gateway.start();
    let intent = world.until_recorded("the intent", |leaf| leaf["kind"] == "action.intent");
    let attempt = intent["action"]["id"].clone();
    let unknown =
        |leaf: &Value| leaf["kind"] == "action.outcome" && leaf["id"] == attempt && leaf["status"] == "unknown";
    world.until_recorded("the unknown outcome", unknown);
    world.until_recorded("the start", |leaf| leaf["kind"] == "system.started" && leaf["closed_unknown"] == 1);
    wait_until("the database to finish", SOON, || (!world.executing("pg_sleep")).then_some(())).unwrap();
    let after_first = world.truth(ROW);
    assert!(["200", "201"].contains(&after_first.as_str()), "at most once: {after_first}");
    let (again, second) = world.paused(SLOW);
    assert_ne!(second.id(), review.id(), "the grant is spent, whatever became of its attempt");
    again.leave();
    assert_eq!(world.truth(ROW), after_first);
    let status = world.dora().actions().into_iter().find(|action| action["id"] == attempt).unwrap()["status"].clone();
    assert_eq!(status, "unknown");
    world.verify().success("verification").unwrap();
}

/// Many crashes in a row: whatever was answered is in the record, which verifies every time.
#[test]
fn again_and_again() {
    let mut world = World::start();
    for round in 0..5 {
        let read = format!("SELECT id FROM customers WHERE id = {round} OR id = 1");
        world.send(Client::Psql, "read", Some(&read)).outcome().rows();
        world.send(Client::Psql, "refused", None).outcome().refused("42501");
        world.gateway.kill();
        world.gateway.start();
    }
    let starts = |leaf: &Value| leaf["kind"] == "system.started";
    wait_until("every start to be recorded", SOON, || (world.count_recorded(starts) == 6).then_some(())).unwrap();
    let refused = |leaf: &Value| leaf["kind"] == "action.refused" && leaf["code"] == "policy_denied";
    assert_eq!(world.count_recorded(refused), 5);
    let read = |leaf: &Value| leaf["kind"] == "action.read";
    assert!(world.count_recorded(read) >= 5);
    world.verify().success("verification").unwrap();
}
