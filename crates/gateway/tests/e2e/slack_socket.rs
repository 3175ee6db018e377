//! Slack without an inbound port: the gateway listens there (Socket Mode).

use serde_json::{Value, json};

use crate::harness::slack::Interaction;
use crate::harness::{Plan, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";

fn world() -> World {
    let mut world = Plan::default().socket_mode().sensitivity_low().start();
    world.slack_mut().start();
    world.slack().link(&world);
    world
}

/// Sends what somebody clicked over the connection. Returns the acknowledgement.
fn click(world: &World, who: &str, message: &Value) -> Value {
    world.slack().front().envelope("interactive", &world.slack().click(who, message, "approve"))
}

#[test]
fn a_click_over_the_gateways_own_connection_decides() {
    let world = world();
    world.slack().front().until_listened(1);
    let (call, review) = world.paused(WRITE);
    let message = world.slack().until_says("approvals", "Waits for one of dba");
    let payload = world.slack().click("dora", &message, "approve");
    assert_eq!(Interaction::new(&payload).send(&world).0, 403, "there is no such address");
    let ack = click(&world, "ada", &message);
    assert_eq!(ack.as_object().unwrap().len(), 1, "{ack}");
    world.until_vote_refused(review.id(), "self_approval");
    click(&world, "dora", &message);
    assert_eq!(call.outcome().rows(), 1);
    world.slack().until_says("approvals", "Approved by dora");
    let (team, user) = world.slack().ids("dora");
    let event = json!({"type": "app_home_opened", "user": user, "tab": "home"});
    world.slack().front().envelope("events_api", &json!({"type": "event_callback", "team_id": team, "event": event}));
    world.slack().front().until_called("views.publish", "What waits for you (0)");
    click(&world, "dora", &message); // an envelope that comes again
    world.until_vote_refused(review.id(), "review_closed");
}

/// What a form is answered with comes with its acknowledgement.
#[test]
fn a_form_is_answered_over_the_connection() {
    let world = world();
    world.slack().front().until_listened(1);
    let (call, _) = world.paused(WRITE);
    let message = world.slack().until_says("approvals", "Waits for one of dba");
    let payload = world.slack().click("dora", &message, "reject");
    let form = |who: &str, why: &str| {
        json!({
            "type": "view_submission", "user": world.slack().click(who, &message, "reject")["user"],
            "view": {"id": "V1", "callback_id": "reject", "private_metadata": payload["actions"][0]["value"],
                "state": {"values": {"why": {"reason": {"type": "plain_text_input", "value": why}}}}},
        })
    };
    let ack = world.slack().front().envelope("interactive", &form("dora", &"x".repeat(2_001)));
    assert_eq!(ack["payload"]["response_action"], "errors", "{ack}");
    let ack = world.slack().front().envelope("interactive", &form("dora", "not on a Friday"));
    assert_eq!(ack["payload"], Value::Null);
    call.outcome().refused("42501");
    assert!(world.slack().until_says("approvals", "Rejected by dora").to_string().contains("not on a Friday"));
}

/// However a connection ends, there is another; what is no envelope, or too long for one, ends it.
#[test]
fn a_connection_that_ends_is_opened_again() {
    let world = world();
    let front = world.slack().front();
    front.until_listened(1);
    let ends: [&dyn Fn(); 4] = [
        &|| front.say(r#"{"type": "disconnect", "reason": "refresh_requested"}"#),
        &|| front.hang_up(),
        &|| front.say("this is no envelope"),
        &|| front.say(&json!({"type": "hello", "padding": "x".repeat(300_000)}).to_string()),
    ];
    for (n, end) in (2..).zip(ends) {
        end();
        front.until_listened(n);
    }
    assert_eq!(front.envelope("slash_commands", &json!({"command": "/x"})).as_object().unwrap().len(), 1);
    let (call, _) = world.paused(WRITE);
    let message = world.slack().until_says("approvals", "Waits for one of dba");
    click(&world, "dora", &message);
    assert_eq!(call.outcome().rows(), 1);
}
