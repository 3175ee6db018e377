//! What an agent is told of what it asked for: where it hangs, why it was refused, and what would be let through.

use serde_json::json;

use crate::harness::World;
use crate::harness::clients::Client;

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";

/// While it waits an agent reads who was asked, since and until when, and no more; then what became of it.
#[test]
fn an_agent_follows_what_it_asked_for() {
    let world = World::start();
    let (call, review) = world.paused(WRITE);
    let agent = world.api(&world.key);
    let path = format!("/api/v1/actions/{}", review.id());
    let waiting = agent.get(&path).ok();
    assert_eq!((&waiting["status"], &waiting["review"]["id"]), (&json!("waiting"), &json!(review.id())));
    assert_eq!((&waiting["review"]["asked"], &waiting["review"]["approvals"]), (&json!([["dba:1"]]), &json!([])));
    assert!(waiting["review"]["since"].is_string() && waiting["review"]["until"].is_string(), "{waiting}");
    assert!(!waiting.to_string().contains("dora"), "who the reviewers are is not told: {waiting}");
    world.dora().reject(&review, "after the audit, please").ok();
    let refused = call.outcome();
    assert!(refused.refused("42501").contains("after the audit, please"));
    let rejected = agent.get(&path).ok();
    assert_eq!((&rejected["status"], &rejected["code"]), (&json!("refused"), &json!("review_rejected")));
    let hung = &rejected["review"];
    assert_eq!(hung["rejected_because"], "after the audit, please");
    assert!(hung["again_at"].as_str() > hung["since"].as_str(), "{hung}");
    world.finn().get(&path).ok();
}

/// Nobody else's: neither another agent's nor a person's who is on no side of it and in no group.
#[test]
fn others_do_not_follow_it() {
    let world = World::start();
    let (_call, review) = world.paused(WRITE);
    let key = world.gateway.administer(&["agent", "create", "nightly", "--owner", "finn"]);
    world.api(&key).get(&format!("/api/v1/actions/{}", review.id())).refused(404, "not_found");
}

/// An approved action is found by its review as well, with how it ended.
#[test]
fn what_was_approved_is_followed_to_its_end() {
    let world = World::start();
    let (call, review) = world.paused(WRITE);
    world.dora().approve(&review).ok();
    assert_eq!(call.outcome().rows(), 1);
    let path = format!("/api/v1/actions/{}", review.id());
    let done = || Some(world.api(&world.key).get(&path).ok()).filter(|action| action["status"] == "succeeded");
    let done = xtask::process::wait_until("its outcome", crate::harness::SOON, done).unwrap();
    assert_eq!(done["review"]["approvals"], json!(["dba:1"]));
}

/// A refusal says what policy would take instead.
#[test]
fn a_refusal_says_what_would_be_let_through() {
    let world = World::start();
    let call = world.send(Client::Psql, "refused", None);
    let told = call.until_notice("HINT:");
    assert!(told.contains("with a WHERE that says which rows, the same can be asked for (needs dba:1)"), "{told}");
    assert!(told.contains("reading the same tables is permitted"), "{told}");
}
