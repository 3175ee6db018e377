//! Places that stand for people: those who could decide, each in their own conversation, and the person on whose behalf it was asked.

use serde_json::{Value, json};
use xtask::process::wait_until;

use crate::harness::mail::{ADDRESS, Protected};
use crate::harness::policies::TWO_DBAS;
use crate::harness::slack::Interaction;
use crate::harness::{Plan, SOON, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";

/// With more settings of a section, in the place of a line of its own.
fn start(plan: Plan, line: &str, settings: &str) -> World {
    let mut world = plan.prepare();
    let file = world.dir.join("countersign.toml");
    let configuration = std::fs::read_to_string(&file).unwrap();
    assert!(configuration.contains(line), "{configuration}");
    std::fs::write(&file, configuration.replace(line, settings)).unwrap();
    world.gateway.start();
    world.enrol(&[]);
    world
}

/// What was posted to somebody alone.
fn direct(world: &World, name: &str) -> Vec<Value> {
    let front = world.slack().front();
    let user = world.slack().ids(name).1;
    if !front.calls("conversations.open").iter().any(|call| call["users"] == user.as_str()) {
        return Vec::new();
    }
    let conversation = world.slack().direct(&user);
    front.calls("chat.postMessage").into_iter().filter(|call| call["channel"] == conversation.as_str()).collect()
}

/// Those who could decide are asked each by themselves, and nobody of the requester's side; a click there is a click.
#[test]
fn those_on_duty_are_asked_in_their_own_conversations() {
    let plan = Plan::default().slack().sensitivity_low();
    let mut world = start(plan, "channel = \"approvals\"", "channel = \"@on-duty\"");
    world.slack_mut().start();
    world.slack().link(&world);
    let (call, review) = world.paused(WRITE);
    let asked = || (!direct(&world, "dora").is_empty() && !direct(&world, "finn").is_empty()).then_some(());
    wait_until("dora and finn to be asked", SOON, asked).unwrap();
    assert!(direct(&world, "ada").is_empty(), "it is her own side that asks");
    assert!(world.slack().messages("approvals").is_empty());
    let mut message = direct(&world, "dora").remove(0);
    message["ts"] = json!("1.0");
    let payload = world.slack().click("dora", &message, "approve");
    assert_eq!(Interaction::new(&payload).send(&world).0, 200);
    assert_eq!(call.outcome().rows(), 1);
    let told = || {
        let updates = world.slack().front().calls("chat.update");
        let over = updates.iter().filter(|call| call.to_string().contains("Approved by dora")).count();
        (over == 2).then_some(updates)
    };
    let updates = wait_until("both to be told that it is over", SOON, told).unwrap();
    assert!(!updates.last().unwrap().to_string().contains("\"approve\""), "nothing left to click");
    assert!(world.dora().get("/api/v1/undelivered").ok()["undelivered"].as_array().unwrap().is_empty());
    assert_eq!(world.dora().review(review.id()).state(), "approved");
}

/// Where nobody of a group has an account, that is a failure like any other, with its alarm.
#[test]
fn a_group_that_nobody_can_be_told_of_raises_the_alarm() {
    let plan = Plan::default().slack().sensitivity_low();
    let mut world = start(plan, "channel = \"approvals\"", "channel = \"@sre\"\nowners = true");
    world.slack_mut().start();
    let (_call, _review) = world.paused(WRITE);
    world.until_recorded("the alarm", |leaf| leaf["kind"] == "system.alarm" && leaf["code"] == "review_untold");
}

/// What became of it is told to the person on whose behalf it was asked, when it is over and not before, with nothing to click.
#[test]
fn the_owner_is_told_what_became_of_it() {
    let plan = Plan::default().slack().sensitivity_low();
    let mut world = start(plan, "channel = \"approvals\"", "channel = \"approvals\"\nowners = true");
    world.slack_mut().start();
    world.slack().link(&world);
    let (call, review) = world.paused(WRITE);
    world.slack().until_says("approvals", review.id());
    assert!(world.slack().front().calls("conversations.open").is_empty(), "nothing has become of it yet");
    world.dora().approve(&review).ok();
    assert_eq!(call.outcome().rows(), 1);
    wait_until("ada to be told", SOON, || (!direct(&world, "ada").is_empty()).then_some(())).unwrap();
    let told = direct(&world, "ada").remove(0).to_string();
    assert!(told.contains("Approved by dora") && told.contains(review.id()), "{told}");
    for button in ["\"approve\"", "\"reject\""] {
        assert!(!told.contains(button), "{told}");
    }
    assert!(direct(&world, "dora").is_empty() && direct(&world, "finn").is_empty());
}

/// By mail as well, to the address of that person and no other.
#[test]
fn the_owner_is_written_to() {
    let plan = Plan::default().mail(Protected::No);
    let mut world = start(plan, &format!("to = \"{ADDRESS}\""), &format!("to = \"{ADDRESS}\"\nowners = true"));
    world.mail_mut().start();
    let (call, review) = world.paused(WRITE);
    world.mail().until_says(ADDRESS, "Waits for one of dba");
    world.dora().reject(&review, "not today").ok();
    call.outcome().refused("42501");
    let letter = world.mail().until_says("ada@example.org", "Rejected by dora");
    assert!(letter["text"].as_str().unwrap().contains("not today"), "{letter}");
    assert!(letter["headers"]["in-reply-to"].is_null(), "{letter}");
    for (to, count) in [("ada@example.org", 1), ("dora@example.org", 0), ("finn@example.org", 0), (ADDRESS, 2)] {
        assert_eq!(world.mail().letters(to).len(), count, "{to}");
    }
}

/// A pause that Slack asks for holds up what it is asked for, and nothing else; a vote that is taken back is told of.
#[test]
fn a_pause_holds_up_no_update_and_a_vote_taken_back_is_told() {
    let mut world = Plan::default().slack().sensitivity_low().only_policies(TWO_DBAS).start();
    world.slack_mut().start();
    world.slack().link(&world);
    let (_call, review) = world.paused(WRITE);
    let message = world.slack().until_says("approvals", review.id());
    let front = world.slack().front();
    front.answers("chat.postMessage", 429, Some(120), "");
    let (_other, another) = world.paused("UPDATE customers SET credit_limit = 901 WHERE id = 3");
    front.until_called("chat.postMessage", another.id());
    world.dora().approve(&review).ok();
    front.until_called("chat.update", "dora approved");
    world.slack().until_replied("approvals", &message, "dora approved");
    world.dora().retract(&review).ok();
    let replies = world.slack().until_replied("approvals", &message, "dora took their approval back");
    assert_eq!(replies.len(), 2, "{replies:?}");
    let asked = front.calls("chat.postMessage").into_iter().filter(|call| call["channel"] == "approvals").count();
    assert_eq!(asked, 2, "Slack is not asked again within the pause");
}
