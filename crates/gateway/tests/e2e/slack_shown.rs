//! What goes to Slack and comes from it, held against Slack's own programs: its types, its client, its check of signatures.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use xtask::process::{Finished, run};
use xtask::test_tools_dir;

use crate::harness::slack::Interaction;
use crate::harness::{Plan, SOON, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";

fn started(plan: Plan) -> World {
    let mut world = plan.slack().sensitivity_low().start();
    world.slack_mut().start();
    world.slack().link(&world);
    world
}

/// Runs a script of `tests/clients` on a file with this.
fn node(world: &World, script: &str, input: &Value) -> Finished {
    let file = world.dir.join(format!("{script}.json"));
    std::fs::write(&file, input.to_string()).unwrap();
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
    let mut node = Command::new("node");
    node.current_dir(scripts).env("NODE_MODULES", test_tools_dir().join("node"));
    run(node.arg(script).arg(&file), SOON).unwrap()
}

fn click(world: &World, who: &str, message: &Value, button: &str) {
    let payload = world.slack().click(who, message, button);
    assert_eq!(Interaction::new(&payload).send(world).0, 200);
}

/// The form that stands before somebody who clicked, filled in.
fn submit(world: &World, who: &str, message: &Value, button: &str, why: &str) {
    let payload = world.slack().click(who, message, button);
    let form = json!({
        "type": "view_submission", "user": payload["user"], "team": payload["team"],
        "view": {"id": "V1", "callback_id": button, "private_metadata": payload["actions"][0]["value"],
            "state": {"values": {"why": {"reason": {"type": "plain_text_input", "value": why}}}}},
    });
    assert_eq!(Interaction::new(&form).send(world), (200, String::new()));
}

/// Whether the types of Slack's own packages take all that was sent so far; and that they would not take anything.
fn check_calls(world: &World, kinds: &[&str]) {
    let calls = world.slack().front().all_calls();
    let sent = calls.as_array().unwrap();
    for kind in kinds {
        assert!(sent.iter().any(|call| call["method"] == *kind), "nothing was sent by {kind}");
    }
    node(world, "slack_types.mjs", &calls).success("the TypeScript compiler").unwrap();
    for (right, wrong) in [("\"action_id\"", "\"action_idd\""), ("\"plain_text\"", "\"plain\"")] {
        let other = serde_json::from_str(&calls.to_string().replace(right, wrong)).unwrap();
        assert!(!node(world, "slack_types.mjs", &other).ok(), "{wrong} is taken too: nothing is checked");
    }
}

/// Every kind of message and view: open, folded, long, escalated, rejected by a form, refused, replies, and the app's page.
#[test]
fn slacks_own_types_take_everything_that_is_sent() {
    let world = started(Plan::default().escalating());
    let front = || world.slack().front();
    let (_call, review) = world.paused(WRITE);
    let message = world.slack().until_says("approvals", review.id());
    click(&world, "ada", &message, "approve");
    world.slack().until_whispers("self_approval");
    let long = format!("UPDATE customers SET credit_limit = 901 WHERE id = 3 /* {} */", "x".repeat(10_000));
    let (_long, long) = world.paused(&long);
    world.slack().until_says("approvals", long.id());
    world.slack().until_says("on-call", "Escalated to sre");
    let mut burst = Vec::new();
    for limit in 910..915 {
        burst.push(world.paused(&format!("UPDATE customers SET credit_limit = {limit} WHERE id = 3")));
    }
    front().until_called("chat.postMessage", "like these wait");
    front().until_called("chat.postMessage", "thread_ts");

    for who in ["dora", "ada", "meg"] {
        let (team, user) = world.slack().ids(who);
        let opened = json!({"type": "event_callback", "team_id": team,
            "event": {"type": "app_home_opened", "user": user, "tab": "home"}});
        assert_eq!(Interaction::event(&opened).send(&world).0, 200);
        front().until_called("views.publish", &user);
    }
    front().answers("views.open", 200, None, "{\"ok\":true}"); // the emulator knows no forms
    click(&world, "dora", &message, "reject");
    front().until_called("views.open", review.id());
    submit(&world, "dora", &message, "reject", "not <today> & not *tomorrow*");
    world.slack().until_replied("approvals", &message, "Rejected by dora");
    front().until_called("chat.update", "Rejected by dora");
    let all = ["chat.postMessage", "chat.update", "chat.postEphemeral", "views.open", "views.publish"];
    check_calls(&world, &all);
}

/// The form that an approval has to fill in, an approved message, and the longest reason that there can be.
#[test]
fn slacks_own_types_take_the_form_of_an_approval() {
    let world = started(Plan::default().justified());
    let (call, review) = world.paused(WRITE);
    let message = world.slack().until_says("approvals", review.id());
    world.slack().front().answers("views.open", 200, None, "{\"ok\":true}");
    click(&world, "dora", &message, "approve");
    world.slack().front().until_called("views.open", review.id());
    submit(&world, "dora", &message, "approve", &"&<>*".repeat(500));
    assert_eq!(call.outcome().rows(), 1);
    let closed = world.slack().until_says("approvals", "Approved by dora");
    world.slack().until_replied("approvals", &message, "Approved by dora");
    let said = closed["blocks"].as_array().unwrap();
    let context = said.iter().filter(|block| block["type"] == "context");
    for text in context.flat_map(|block| block["elements"].as_array().unwrap()) {
        assert!(text["text"].as_str().unwrap().chars().count() <= 3_000, "Slack takes 3,000 characters: {text}");
    }
    check_calls(&world, &["chat.postMessage", "chat.update", "views.open"]);
}

/// What was sent is what Slack's own client reads: the open message, then the same one as it is closed, and its thread.
#[test]
fn slacks_own_client_reads_what_was_sent() {
    let world = started(Plan::default());
    let (call, review) = world.paused(WRITE);
    let open = world.slack().until_says("approvals", review.id());
    let read = world.slack().read_by_its_client("approvals");
    let sent = world.slack().front().until_called("chat.postMessage", review.id());
    assert_eq!(read.len(), 1, "{read:?}");
    assert_eq!((&read[0]["blocks"], &read[0]["text"], &read[0]["ts"]), (&sent["blocks"], &sent["text"], &open["ts"]));
    assert_eq!(read[0]["replies"], json!([]));

    click(&world, "dora", &open, "approve");
    assert_eq!(call.outcome().rows(), 1);
    world.slack().until_replied("approvals", &open, "Approved by dora");
    let read = world.slack().read_by_its_client("approvals");
    let sent = world.slack().front().until_called("chat.update", "Approved by dora");
    assert_eq!(read.len(), 1, "the same message: {read:?}");
    assert_eq!((&read[0]["blocks"], &read[0]["text"], &read[0]["ts"]), (&sent["blocks"], &sent["text"], &open["ts"]));
    let replies: Vec<&str> =
        read[0]["replies"].as_array().unwrap().iter().map(|reply| reply["text"].as_str().unwrap()).collect();
    assert_eq!(replies, ["dora approved", "Approved by dora"]);
}

/// The gateway takes no request that Bolt, Slack's own framework, refuses; and refuses none that Bolt takes, but those from the future.
#[test]
fn slacks_own_check_agrees_about_every_signature() {
    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
    let world = started(Plan::default());
    let payload = json!({"type": "shortcut", "callback_id": "approve"});
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let valid = || Interaction::new(&payload);
    let cases = [
        ("valid", valid(), (true, true)),
        ("by Slack's own library", valid().signed_by_slack(&world.dir), (true, true)),
        ("not long ago", Interaction::signed(&payload, now - 240, SECRET), (true, true)),
        ("an event", Interaction::event(&json!({"type": "app_rate_limited"})), (true, true)),
        ("tampered", valid().tampered(), (false, false)),
        ("unsigned", valid().unsigned(), (false, false)),
        ("another secret", Interaction::signed(&payload, now, "another secret"), (false, false)),
        ("no secret", Interaction::signed(&payload, now, ""), (false, false)),
        ("old", Interaction::signed(&payload, now - 310, SECRET), (false, false)),
        ("very old", Interaction::signed(&payload, 0, SECRET), (false, false)),
        ("another version", valid().with_signature(|it| it.replace("v0=", "v1=")), (false, false)),
        ("no version", valid().with_signature(|it| it.replace("v0=", "")), (false, false)),
        ("cut short", valid().with_signature(|it| it[..it.len() - 2].to_owned()), (false, false)),
        ("too long", valid().with_signature(|it| format!("{it}00")), (false, false)),
        ("in capitals", valid().with_signature(|it| it.to_uppercase().replace("V0=", "v0=")), (false, false)),
        ("of the future", Interaction::signed(&payload, now + 400, SECRET), (false, true)),
    ];
    let asked: Value = cases.iter().map(|(_, interaction, _)| interaction.to_check()).collect();
    let said = node(&world, "slack_verify.mjs", &asked).success("@slack/bolt").unwrap();
    let bolt: Vec<bool> = serde_json::from_str(&said).unwrap();
    assert_eq!(bolt.len(), cases.len());
    for ((what, interaction, expected), bolt) in cases.iter().zip(bolt) {
        let status = interaction.send(&world).0;
        assert!(status == 200 || status == 401, "{what}: {status}");
        assert_eq!((status == 200, bolt), *expected, "{what}: the gateway, and Bolt");
    }
}
