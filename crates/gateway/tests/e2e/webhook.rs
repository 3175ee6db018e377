//! Reviews as signed events, for programs.

use std::process::Command;

use serde_json::{Value, json};
use xtask::process::run;
use xtask::test_tools_dir;

use crate::harness::{Plan, SOON, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";

/// The reference library takes it as it came, and refuses it with anything changed.
fn check(world: &World, received: &Value) -> Value {
    let file = world.dir.join("received.json");
    std::fs::write(&file, received.to_string()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/webhook_check.py");
    let mut python = Command::new(test_tools_dir().join("python/bin/python"));
    run(python.arg(script).arg(&file), SOON).unwrap().success("standardwebhooks").unwrap();
    assert!(received["headers"]["content-type"].as_str().unwrap().starts_with("application/cloudevents+json"));
    serde_json::from_str(received["body"].as_str().unwrap()).unwrap()
}

#[test]
fn each_change_of_a_review_is_a_signed_event() {
    let world = Plan::default().webhook().start();
    let (call, review) = world.paused(WRITE);
    let opened = check(&world, &world.receiver().until("review.opened"));
    let data = &opened["data"];
    assert_eq!((&opened["subject"], &data["state"]), (&json!(review.id()), &json!("open")));
    assert_eq!((&data["action_digest"], &data["card_digest"]), (&review.0["action_digest"], &review.0["card_digest"]));
    assert_eq!(data["card"]["statement"]["text"], WRITE);
    // what an event names is enough for a person's program to vote, with a token of theirs and with nobody else's
    let path = data["vote_url"].as_str().unwrap().strip_prefix(&world.gateway.url()).unwrap().to_owned();
    let vote =
        json!({"verdict": "approve", "action_digest": data["action_digest"], "card_digest": data["card_digest"]});
    world.ada().post(&path, &vote).refused(403, "self_approval");
    world.api(&world.key).post(&path, &vote).refused(403, "self_approval");
    world.dora().post(&path, &vote).ok();
    assert_eq!(call.outcome().rows(), 1);
    let closed = check(&world, &world.receiver().until("review.closed"));
    assert_eq!((&closed["data"]["state"], &closed["data"]["votes"][0]["name"]), (&json!("approved"), &json!("dora")));
}

/// A receiver that fails gets the same event again, under the same id; one that is gone is left alone.
#[test]
fn a_failing_receiver_is_tried_again_with_the_same_event() {
    let world = Plan::default().webhook().start();
    world.receiver().answers(500);
    let (_call, review) = world.paused(WRITE);
    world.receiver().until("review.opened");
    xtask::process::wait_until("a second attempt", SOON, || (world.receiver().all().len() > 1).then_some(())).unwrap();
    let ids: std::collections::BTreeSet<String> =
        world.receiver().all().iter().map(|received| received["headers"]["webhook-id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "one event, however often: {ids:?}");
    let listed = world.dora().get("/api/v1/undelivered").ok();
    assert_eq!(listed["undelivered"][0]["error"], "it answers 500 Internal Server Error", "{listed}");
    world.receiver().answers(410);
    let dead = || world.dora().get("/api/v1/undelivered").ok()["undelivered"][0]["dead"].as_bool().filter(|dead| *dead);
    xtask::process::wait_until("it is given up", SOON, dead).unwrap();
    world.until_recorded("the alarm", |leaf| leaf["kind"] == "system.alarm" && leaf["code"] == "review_untold");
    world.receiver().answers(204);
    world.dora().post("/api/v1/undelivered/retry", &json!({"review": review.id(), "place": "webhook:pager"})).ok();
    let none =
        || world.dora().get("/api/v1/undelivered").ok()["undelivered"].as_array().unwrap().is_empty().then_some(());
    xtask::process::wait_until("it is delivered", SOON, none).unwrap();
}

/// What was over before the receiver could be told is told whole: that it was opened, and how it ended.
#[test]
fn a_receiver_that_was_away_hears_the_whole_story() {
    let world = Plan::default().webhook().start();
    world.receiver().answers(500);
    let (call, review) = world.paused(WRITE);
    world.receiver().until("review.opened");
    world.dora().approve(&review).ok();
    assert_eq!(call.outcome().rows(), 1);
    let failed = world.receiver().all().len();
    world.receiver().answers(204);
    let types = || {
        let body = |received: &Value| serde_json::from_str::<Value>(received["body"].as_str().unwrap()).unwrap();
        let all = world.receiver().all();
        let all: Vec<String> = all[failed..].iter().map(|received| body(received)["type"].to_string()).collect();
        (all.len() >= 2).then_some(all)
    };
    let types = xtask::process::wait_until("both events", SOON, types).unwrap();
    let last = &types[types.len() - 2..];
    assert!(last[0].contains("review.opened") && last[1].contains("review.closed"), "{types:?}");
}
