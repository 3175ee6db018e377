//! Reviews in Slack: told there, decided by a click there, and brought up to date there.

use std::process::Command;

use serde_json::{Value, json};
use xtask::process::run;
use xtask::test_tools_dir;

use crate::harness::console::Browser;
use crate::harness::slack::Interaction;
use crate::harness::{Plan, ROW, SOON, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";

fn world() -> World {
    let mut world = Plan::default().slack().sensitivity_low().start();
    world.slack_mut().start();
    world.slack().link(&world);
    world
}

impl World {
    /// Clicks a button of a message, signed by Slack.
    fn click(&self, who: &str, message: &Value, button: &str) -> (u16, String) {
        let payload = self.slack().click(who, message, button);
        Interaction::new(&payload).send(self)
    }
}

/// What Slack's own library says of blocks.
fn check_blocks(world: &World, message: &Value) {
    let file = world.dir.join("blocks.json");
    std::fs::write(&file, message["blocks"].to_string()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/slack_blocks_check.py");
    let mut python = Command::new(test_tools_dir().join("python/bin/python"));
    run(python.arg(script).arg(&file), SOON).unwrap().success("slack_sdk").unwrap();
}

#[test]
fn a_click_lets_it_run_and_every_message_says_so() {
    let world = world();
    let (call, review) = world.paused(WRITE);
    let message = world.slack().until_says("approvals", "Waits for one of dba");
    let text = message.to_string();
    for part in
        ["wants to run UPDATE on", "customers", "credit_limit = 900", "write to production: one DBA", review.id()]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    check_blocks(&world, &message);
    assert_eq!(world.click("dora", &message, "approve"), (200, String::new()));
    assert_eq!(call.outcome().rows(), 1);
    assert_eq!(world.truth(ROW), "900");
    let after = world.slack().until_says("approvals", "Approved by dora");
    assert_eq!(after["ts"], message["ts"], "the same message");
    assert!(!after.to_string().contains("action_id"), "nothing left to click: {after}");
    check_blocks(&world, &after);
    assert_eq!(world.slack().messages("approvals").len(), 1);
    let vote = world.until_recorded("the vote", |leaf| leaf["kind"] == "review.vote");
    assert_eq!((&vote["method"], &vote["mfa"]), (&json!("chat"), &json!(false)));
    assert_eq!((&vote["action_digest"], &vote["card_digest"]), (&review.0["action_digest"], &review.0["card_digest"]));
}

/// Nothing that Slack did not sign, lately and as it stands, is read; and nobody decides who is nobody here, or on the
/// requester's side, or about another card.
#[test]
fn a_click_is_worth_what_the_person_behind_it_is() {
    let world = world();
    let (mut call, review) = world.paused(WRITE);
    let message = world.slack().until_says("approvals", "Waits for one of dba");
    let payload = world.slack().click("dora", &message, "approve");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let secret = "8f742231b10e8888abcd99yyyzzz85a5";
    let refused = [
        Interaction::new(&payload).unsigned(),
        Interaction::new(&payload).tampered(),
        Interaction::signed(&payload, now, "another secret"),
        Interaction::signed(&payload, now - 301, secret),
        Interaction::signed(&payload, now + 400, secret),
    ];
    for (n, interaction) in refused.iter().enumerate() {
        assert_eq!(interaction.send(&world).0, 401, "{n}");
    }
    world.until_recorded("the refusals", |leaf| leaf["kind"] == "identity.refused" && leaf["what"] == "slack");
    assert_eq!(Interaction::new(&json!({"type": "block_actions"})).send(&world).0, 400);
    assert_eq!(Interaction::new(&json!({"type": "shortcut"})).send(&world).0, 200, "not for us");

    assert_eq!(world.click("ada", &message, "approve").0, 200);
    world.slack().until_whispers("self_approval");
    world.until_recorded("ada's attempt", |leaf| leaf["kind"] == "review.refused" && leaf["code"] == "self_approval");
    let mut stranger = payload.clone();
    stranger["user"]["id"] = json!("U0000NOBODY");
    assert_eq!(Interaction::new(&stranger).send(&world).0, 200);
    world.until_recorded("the stranger", |leaf| {
        leaf["kind"] == "identity.refused" && leaf["code"] == "account_unlinked"
    });
    let mut elsewhere = payload.clone();
    elsewhere["user"]["team_id"] = json!("T0000OTHER"); // the same user id in another workspace is another account
    assert_eq!(Interaction::new(&elsewhere).send(&world).0, 200);
    let mut other = payload.clone();
    let value = payload["actions"][0]["value"].as_str().unwrap();
    let digest = review.0["action_digest"].as_str().unwrap();
    other["actions"][0]["value"] = json!(value.replace(digest, &format!("sha256:{}", "0".repeat(64))));
    assert_eq!(Interaction::new(&other).send(&world).0, 200);
    world
        .until_recorded("the other card", |leaf| leaf["kind"] == "review.refused" && leaf["code"] == "digest_mismatch");
    for broken in ["", "r_1", "a b c d", "no such digest"] {
        other["actions"][0]["value"] = json!(broken);
        assert_eq!(Interaction::new(&other).send(&world).0, 200);
    }
    assert_eq!(world.dora().review(review.id()).state(), "open");
    assert!(!call.answered());

    assert_eq!(Interaction::new(&payload).signed_by_slack(&world.dir).send(&world).0, 200);
    assert_eq!(call.outcome().rows(), 1);
    assert_eq!(Interaction::new(&payload).send(&world).0, 200, "the same click again");
    world.until_recorded("the late click", |leaf| leaf["kind"] == "review.refused" && leaf["code"] == "review_closed");

    let (team, user) = world.slack().ids("dora");
    let subject = format!("{team}/{user}");
    let account = ["--provider", "slack", "--subject", &subject];
    let of_another = world.gateway.command(&[&["person", "unlink", "finn"], &account[..]].concat());
    assert!(of_another.stderr.contains("no such account"), "{of_another:?}");
    world.gateway.administer(&[&["person", "unlink", "dora"], &account[..]].concat());
    let (mut next, again) = world.paused("UPDATE customers SET credit_limit = 902 WHERE id = 3");
    let message = world.slack().until_says("approvals", again.id());
    assert_eq!(world.click("dora", &message, "approve").0, 200);
    world.slack().until_whispers("linked to nobody here");
    assert!(!next.answered());
}

/// Where policy takes no click, none is offered, and one that is forged counts for nothing.
#[test]
fn policy_says_what_a_click_is_worth() {
    let low = || Plan::default().slack().sensitivity_low();
    let cases = [
        (Plan::default().slack(), WRITE, "Open and decide", "approve with a second factor"),
        (low(), "ALTER TABLE customers ADD COLUMN note text", "Open and decide", "approve with a second factor"),
        (low().stepup(), WRITE, "Open and sign", "passkey"),
    ];
    for (plan, statement, offered, refused) in cases {
        let mut world = plan.start();
        world.slack_mut().start();
        world.slack().link(&world);
        let (mut call, review) = world.paused(statement);
        let message = world.slack().until_says("approvals", offered);
        assert!(!message.to_string().contains("\"approve\""), "{message}");
        assert!(message.to_string().contains(&format!("/reviews/{}", review.id())), "leads to its page: {message}");
        let value = ["review", "action_digest", "card_digest"];
        let value =
            value.map(|key| if key == "review" { review.id() } else { review.0[key].as_str().unwrap() }.to_owned());
        for verdict in ["approve", "reject"] {
            let mut payload = world.slack().click("dora", &message, "open");
            payload["actions"][0]["action_id"] = json!(verdict);
            payload["actions"][0]["value"] = json!(value.join(" "));
            assert_eq!(Interaction::new(&payload).send(&world).0, 200);
        }
        world.slack().until_whispers(refused);
        assert_eq!(world.dora().review(review.id()).state(), "open");
        assert!(!call.answered());
    }
}

/// Where an approval has to say why, a form asks; what the form says goes with the vote.
#[test]
fn a_form_asks_for_the_reason_that_policy_wants() {
    let world = {
        let mut world = Plan::default().slack().sensitivity_low().justified().start();
        world.slack_mut().start();
        world.slack().link(&world);
        world
    };
    let (call, review) = world.paused(WRITE);
    let message = world.slack().until_says("approvals", "Waits for one of dba");
    assert_eq!(world.click("dora", &message, "approve").0, 200);
    let payload = world.slack().click("dora", &message, "approve");
    let form = |why: Value| {
        json!({
            "type": "view_submission", "user": payload["user"], "team": payload["team"],
            "view": {"id": "V1", "callback_id": "approve", "private_metadata": payload["actions"][0]["value"],
                "state": {"values": {"why": {"reason": {"type": "plain_text_input", "value": why}}}}},
        })
    };
    let (status, said) = Interaction::new(&form(Value::Null)).send(&world);
    assert!(
        status == 200 && said.contains("\"response_action\":\"errors\"") && said.contains("reason_invalid"),
        "{said}"
    );
    assert_eq!(world.dora().review(review.id()).state(), "open");
    assert_eq!(Interaction::new(&form(json!("ticket 4711"))).send(&world), (200, String::new()));
    assert_eq!(call.outcome().rows(), 1);
    let after = world.slack().until_says("approvals", "Approved by dora");
    assert!(after.to_string().contains("ticket 4711"), "{after}");
    assert_eq!(world.dora().review(review.id()).0["votes"][0]["reason"], "ticket 4711");
}

/// What an agent writes cannot break out of where it stands, nor hide in it; what does not fit is counted.
#[test]
fn hostile_text_stays_text() {
    let world = world();
    let hostile = "UPDATE customers SET credit_limit = 900 WHERE id = 3 /* ```*bold* <!channel> <https://evil.test|Approve> \
                   &amp; \u{202e}evorppa\u{200b} */";
    let (_call, _) = world.paused(hostile);
    let message = world.slack().until_says("approvals", "Waits for one of dba");
    check_blocks(&world, &message);
    let text = message.to_string();
    assert!(text.contains("<U+202E>evorppa<U+200B>") && !text.contains('\u{202e}'), "{text}");
    for block in message["blocks"].as_array().unwrap() {
        let formats = block["type"] == "section" || block["type"] == "context";
        assert!(!formats || !block.to_string().contains("<!channel>"), "{block}");
    }
    let long = format!("UPDATE customers SET credit_limit = 901 WHERE id = 3 /* {} */", "x".repeat(10_000));
    let (_other, _) = world.paused(&long);
    let message = world.slack().until_says("approvals", "characters are not shown here");
    check_blocks(&world, &message);
    let offers = |message: &Value| message.to_string().contains("\"approve\"");
    assert!(!offers(&message), "nobody approves by a click what they cannot see: {message}");
    let (_third, _) = world.paused("UPDATE customers SET name = '‹email 1›' WHERE id = 3");
    let message = world.slack().until_says("approvals", "Placeholders are imitated");
    assert!(!offers(&message), "{message}");
}

/// While Slack cannot be reached nothing is lost: the console has it, an alarm says so, and what stands in Slack afterwards is
/// what it has come to.
#[test]
fn an_outage_loses_nothing() {
    let mut world = Plan::default().slack().start();
    let (_call, review) = world.paused(WRITE);
    let (decided, other) = world.paused("UPDATE customers SET credit_limit = 901 WHERE id = 3");
    world.until_recorded("the alarm", |leaf| {
        leaf["kind"] == "system.alarm" && leaf["code"] == "review_untold" && leaf.to_string().contains(review.id())
    });
    assert_eq!(world.dora().review(review.id()).state(), "open");
    let inbox = Browser::sign_in(&world, "dora").get("/").text;
    assert!(inbox.contains("People could not be told at") && inbox.contains("slack:approvals"), "{inbox}");
    let listed = world.dora().get("/api/v1/undelivered").ok();
    let [one, _] = listed["undelivered"].as_array().unwrap().as_slice() else { panic!("two fail: {listed}") };
    assert_eq!(
        (&one["place"], &one["dead"], &one["stands"]),
        (&json!("slack:approvals"), &json!(false), &json!(false))
    );
    world.api(&world.key).get("/api/v1/undelivered").refused(403, "forbidden");
    let typed =
        world.gateway.as_person(world.dora().token(), &["channel", "undelivered"]).success("undelivered").unwrap();
    assert!(typed.contains(review.id()) && typed.contains("trying"), "{typed}");
    world.dora().approve(&other).ok();
    assert_eq!(decided.outcome().rows(), 1);
    world.gateway.kill();
    world.slack_mut().start();
    world.gateway.start();
    let again = ["channel", "retry", review.id(), "slack:approvals"];
    world.gateway.as_person(world.dora().token(), &again).success("retry").unwrap();
    let message = world.slack().until_says("approvals", review.id());
    assert!(message.to_string().contains("Waits for one of dba"));
    assert_eq!(world.slack().messages("approvals").len(), 1, "nobody has to read of what is over already");
    world.slack_mut().stop();
    let nowhere = json!({"review": review.id(), "place": "slack:elsewhere"});
    world.dora().post("/api/v1/undelivered/retry", &nowhere).refused(404, "not_found");
}

/// A group that a review is escalated to is told where it reads.
#[test]
fn an_escalation_is_told_where_the_group_reads() {
    let mut world = Plan::default().slack().sensitivity_low().escalating().start();
    world.slack_mut().start();
    let (_call, review) = world.paused(WRITE);
    world.slack().until_says("approvals", review.id());
    let paged = world.slack().until_says("on-call", "Escalated to sre");
    assert!(paged.to_string().contains(review.id()));
    world.slack().until_says("approvals", "Escalated to sre");
}

/// From the fourth on, what is alike is told of in one message, which says how many of them wait.
#[test]
fn a_burst_is_told_of_in_one_message() {
    let world = world();
    let mut calls = Vec::new();
    for limit in 900..907 {
        calls.push(world.paused(&format!("UPDATE customers SET credit_limit = {limit} WHERE id = 3")));
    }
    let folded = world.slack().until_says("approvals", "4 more like these wait");
    check_blocks(&world, &folded);
    assert_eq!(world.slack().messages("approvals").len(), 4, "three, and one of the rest");
    assert!(folded.to_string().contains("/?like="), "{folded}");
    for (_, review) in &calls[3..] {
        world.dora().reject(review, "not today").ok();
    }
    let over = world.slack().until_says("approvals", "None of the further requests waits");
    assert_eq!(over["ts"], folded["ts"]);
    assert_eq!(world.dora().review(calls[0].1.id()).state(), "open", "the others wait still");
}

/// Slack says how long it wants to be left alone.
#[test]
fn a_pause_that_slack_asks_for_is_kept() {
    let world = world();
    world.slack().front().answers("chat.postMessage", 429, Some(4), "");
    let (_call, review) = world.paused(WRITE);
    let asked = || world.slack().front().calls("chat.postMessage").len();
    xtask::process::wait_until("the first attempt", SOON, || (asked() == 1).then_some(())).unwrap();
    let refused_at = std::time::Instant::now();
    world.slack().until_says("approvals", review.id());
    assert!(refused_at.elapsed() >= std::time::Duration::from_secs(3), "{:?}", refused_at.elapsed());
    assert_eq!(asked(), 2, "not asked in between");
    world.slack().front().until_called("chat.postMessage", review.id());
}

/// What happens is told beneath the message, once each, also when Slack fails in between; what an agent or a voter writes stays text.
#[test]
fn what_happens_is_told_in_the_thread() {
    let mut world = Plan::default().slack().sensitivity_low().escalating().start();
    world.slack_mut().start();
    world.slack().link(&world);
    let (call, review) = world.paused(WRITE);
    let message = world.slack().until_says("approvals", review.id());
    let replies = world.slack().until_replied("approvals", &message, "Escalated to sre");
    assert_eq!(replies.len(), 1, "{replies:?}");
    world.slack().front().answers("chat.postMessage", 500, None, "");
    world
        .dora()
        .post(
            &format!("/api/v1/reviews/{}/votes", review.id()),
            &json!({
                "verdict": "reject", "reason": "<!channel> not *today*", "action_digest": review.0["action_digest"],
                "card_digest": review.0["card_digest"],
            }),
        )
        .ok();
    call.outcome().refused("42501");
    let replies = world.slack().until_replied("approvals", &message, "Rejected by dora");
    let texts: Vec<&str> = replies.iter().map(|reply| reply["text"].as_str().unwrap()).collect();
    assert_eq!(texts.len(), 3, "once each: {texts:?}");
    assert!(texts[1].contains("dora rejected") && texts[1].contains("&lt;!channel&gt;"), "{texts:?}");
    assert_eq!(world.slack().messages("approvals").len(), 1);
}

/// The app's own page names what waits for whoever opens it, and what their side asked for; it is nobody else's.
#[test]
fn the_apps_page_is_a_personal_inbox() {
    let world = world();
    let (_call, review) = world.paused(WRITE);
    world.slack().until_says("approvals", review.id());
    let (team, user) = world.slack().ids("dora");
    let opened = |team: &str, user: &str| json!({"type": "event_callback", "team_id": team, "event": {"type": "app_home_opened", "user": user, "tab": "home"}});
    let send = |user: &str| assert_eq!(Interaction::event(&opened(&team, user)).send(&world), (200, String::new()));
    let shown = |user: &str| {
        send(user);
        let call = world.slack().front().until_called("views.publish", user);
        let blocks = call["view"]["blocks"].as_array().unwrap().clone();
        check_blocks(&world, &json!({"blocks": blocks}));
        json!(blocks).to_string()
    };
    let of_dora = shown(&user);
    assert!(of_dora.contains("What waits for you (1)") && of_dora.contains(review.id()), "{of_dora}");
    assert!(of_dora.contains("asked for (0)"), "{of_dora}");
    let of_ada = shown(&world.slack().ids("ada").1);
    assert!(of_ada.contains("What waits for you (0)") && of_ada.contains("asked for (1)"), "{of_ada}");
    let of_nobody = shown(&world.slack().ids("meg").1);
    assert!(of_nobody.contains("linked to nobody here") && !of_nobody.contains(review.id()), "{of_nobody}");

    let challenge =
        json!({"type": "url_verification", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"});
    let (status, answer) = Interaction::event(&challenge).send(&world);
    assert!(status == 200 && answer.contains("3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"), "{answer}");
    assert_eq!(Interaction::event(&challenge).unsigned().send(&world).0, 401);
    assert_eq!(Interaction::event(&json!({"type": "event_callback"})).send(&world).0, 400);
    assert_eq!(Interaction::event(&json!({"type": "app_rate_limited"})).send(&world).0, 200);
}
