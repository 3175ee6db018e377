//! Reviews in Microsoft Teams: told there, decided by a click there, and brought up to date there; and everything that is not
//! from Bot Framework turned away.

use serde_json::{Value, json};

use crate::harness::teams::{CHANNEL, ON_CALL, Odd, TENANT, Trouble, button, mri, object, text};
use crate::harness::{Plan, ROW, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";

fn world() -> World {
    started(Plan::default().teams().sensitivity_low())
}

fn started(plan: Plan) -> World {
    let world = plan.start();
    world.teams().start();
    world.teams().link(&world);
    world
}

impl World {
    /// Clicks a button of a card. What the bot answers is the card as it is now, or words.
    fn click_card(&self, who: &str, message: &Value, verb: &str, typed: Value) -> Value {
        let (status, answer) = self.teams().send(&self.teams().click(who, message, verb, typed));
        assert_eq!((status, &answer["statusCode"]), (200, &json!(200)), "{answer}");
        answer
    }
}

#[test]
fn a_click_lets_it_run_and_the_card_says_so() {
    let world = world();
    let (call, review) = world.paused(WRITE);
    let message = world.teams().until_says(CHANNEL, "Waits for one of dba");
    for part in ["wants to run UPDATE on", "credit_limit = 900", "write to production: one DBA", "production"] {
        assert!(text(&message).contains(part), "{part}: {}", text(&message));
    }
    assert!(message.to_string().contains(&format!("/reviews/{}", review.id())), "{message}");
    let answer = world.click_card("dora", &message, "approve", json!({}));
    assert_eq!(answer["type"], "application/vnd.microsoft.card.adaptive");
    assert!(text(&answer["value"]).contains("Approved by dora") && button(&answer["value"], "approve").is_none());
    assert_eq!(call.outcome().rows(), 1);
    assert_eq!(world.truth(ROW), "900");
    let after = world.teams().until_says(CHANNEL, "Approved by dora");
    assert_eq!(after["id"], message["id"], "the same message");
    assert!(!after.to_string().contains("Action.Execute"), "nothing left to click: {after}");
    assert_eq!((world.teams().messages(CHANNEL).len(), world.teams().tokens()), (1, 1), "one card, by one token");
    let vote = world.until_recorded("the vote", |leaf| leaf["kind"] == "review.vote");
    assert_eq!((&vote["method"], &vote["mfa"]), (&json!("chat"), &json!(false)));
    assert_eq!((&vote["action_digest"], &vote["card_digest"]), (&review.0["action_digest"], &review.0["card_digest"]));
}

#[test]
fn a_rejection_says_why() {
    let world = world();
    let (call, review) = world.paused(WRITE);
    let message = world.teams().until_says(CHANNEL, "Waits for one of dba");
    world.click_card("dora", &message, "reject", json!({"reason": "not before the audit"}));
    let said = call.ended();
    assert!(said.contains("not before the audit"), "{said}");
    let after = world.teams().until_says(CHANNEL, "Rejected by dora");
    assert!(text(&after).contains("not before the audit"), "{after}");
    assert_eq!(world.dora().review(review.id()).0["votes"][0]["reason"], "not before the audit");
}

/// One by one: each way in which a token is not Bot Framework's for this bot about this service.
#[test]
fn what_bot_framework_did_not_sign_for_this_bot_is_not_read() {
    let world = world();
    let (mut call, review) = world.paused(WRITE);
    let message = world.teams().until_says(CHANNEL, "Waits for one of dba");
    let teams = world.teams();
    let click = teams.click("dora", &message, "approve", json!({}));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let odd = |claims: Value| Odd { claims, ..Odd::default() };
    let ways = [
        ("another issuer", odd(json!({"iss": "https://sts.windows.net/x/"}))),
        ("no issuer", odd(json!({"iss": null}))),
        ("another bot", odd(json!({"aud": "00000000-0000-4000-8000-000000000000"}))),
        ("expired", odd(json!({"exp": now - 301}))),
        ("no end", odd(json!({"exp": null}))),
        ("of the future", odd(json!({"nbf": now + 330}))),
        ("about another service", odd(json!({"serviceurl": "http://127.0.0.1:1"}))),
        ("about no service", odd(json!({"serviceurl": null}))),
        ("a key for another channel", Odd { key: "webchat", ..Odd::default() }),
        ("a key of nobody's", Odd { key: "foreign", ..Odd::default() }),
        (
            "a key of nobody's under a known name",
            Odd { key: "foreign", header: json!({"kid": "teams"}), ..Odd::default() },
        ),
        ("no algorithm", Odd { header: json!({"alg": "none"}), ..Odd::default() }),
        ("a symmetric algorithm", Odd { header: json!({"alg": "HS256"}), ..Odd::default() }),
        ("an extension", Odd { header: json!({"crit": ["b64"], "b64": false}), ..Odd::default() }),
    ];
    for (way, odd) in &ways {
        let (status, said) = teams.send_with(&click, Some(&teams.token(odd)));
        assert_eq!(status, 401, "{way}: {said}");
    }
    let good = teams.token(&Odd::default());
    let (claims, signature) = good.rsplit_once('.').unwrap();
    let tampered = format!("{}A.{signature}", &claims[..claims.len() - 1]);
    let unsigned = format!("{claims}.");
    for (way, token) in [("tampered", Some(tampered.as_str())), ("unsigned", Some(&unsigned)), ("none", None)] {
        assert_eq!(teams.send_with(&click, token).0, 401, "{way}");
    }
    // what the activity says, where its token is right
    let with = |pointer: &str, value: Value| {
        let mut other = click.clone();
        *other.pointer_mut(pointer).unwrap() = value;
        other
    };
    let activities = [
        ("another service", with("/serviceUrl", json!("https://evil.example"))),
        ("another channel", with("/channelId", json!("webchat"))),
        ("another tenant", with("/conversation/tenantId", json!("00000000-0000-4000-8000-000000000000"))),
        ("two tenants", with("/channelData/tenant/id", json!("00000000-0000-4000-8000-000000000000"))),
    ];
    for (way, activity) in &activities {
        assert_eq!(teams.send(activity).0, 401, "{way}");
    }
    let mut of_no_tenant = with("/channelData", json!({}));
    of_no_tenant["conversation"]["tenantId"] = Value::Null;
    assert_eq!(teams.send(&of_no_tenant).0, 401, "no tenant");
    let elsewhere = with("/serviceUrl", json!("https://evil.example"));
    let about_it = teams.token(&odd(json!({"serviceurl": "https://evil.example"})));
    assert_eq!(teams.send_with(&elsewhere, Some(&about_it)).0, 401, "a host of nobody's");
    assert_eq!(teams.send_with(&json!([1]), Some(&good)).0, 400, "no activity");

    let refusals = || {
        world.count_recorded(|leaf| {
            leaf["kind"] == "identity.refused" && leaf["what"] == "teams" && leaf["code"] == "unauthenticated"
        })
    };
    world.until_recorded("every refusal", |_| refusals() == ways.len() + 3 + activities.len() + 2);
    assert_eq!(world.dora().review(review.id()).state(), "open");
    assert!(!call.answered());
    assert_eq!(teams.refused(), 0);

    let late = teams.token(&odd(json!({"exp": now - 200, "nbf": now - 4000})));
    assert_eq!(teams.send_with(&click, Some(&late)).0, 200, "clocks may be off by five minutes");
    assert_eq!(call.outcome().rows(), 1);
    let (status, again) = teams.send(&click);
    assert!(status == 200 && text(&again["value"]).contains("review_closed"), "the same click again: {again}");
    world.until_recorded("the replay", |leaf| leaf["kind"] == "review.refused" && leaf["code"] == "review_closed");
}

/// Nobody decides who is nobody here, or on the requester's side, or about another card.
#[test]
fn a_click_is_worth_what_the_person_behind_it_is() {
    let world = world();
    let (mut call, review) = world.paused(WRITE);
    let message = world.teams().until_says(CHANNEL, "Waits for one of dba");
    let own = world.click_card("ada", &message, "approve", json!({}));
    assert!(text(&own["value"]).contains("self_approval"), "{own}");
    world.until_recorded("ada's attempt", |leaf| leaf["kind"] == "review.refused" && leaf["code"] == "self_approval");

    let data = button(&message["attachments"][0]["content"], "approve").unwrap()["data"].clone();
    let mut nobody = world.teams().invoke("dora", &data, "approve");
    nobody["from"]["aadObjectId"] = Value::Null;
    let mut stranger = nobody.clone();
    stranger["from"]["aadObjectId"] = json!(object("gil"));
    for unknown in [&nobody, &stranger] {
        let (status, said) = world.teams().send(unknown);
        assert_eq!(
            (status, &said["type"]),
            (200, &json!("application/vnd.microsoft.activity.message")),
            "no card: {said}"
        );
        let said = said["value"].as_str().unwrap();
        assert!(said.contains("account_unlinked") && said.contains(TENANT), "{said}");
    }
    let gil = world.teams().send(&stranger).1;
    assert!(gil["value"].as_str().unwrap().contains(&format!("{TENANT}/{}", object("gil"))), "what to link: {gil}");
    world.until_recorded("the strangers", |leaf| {
        leaf["kind"] == "identity.refused" && leaf["what"] == "teams" && leaf["code"] == "account_unlinked"
    });

    let digest = review.0["action_digest"].as_str().unwrap();
    let subject = data["review"].as_str().unwrap();
    let other = json!({"review": subject.replace(digest, &format!("sha256:{}", "0".repeat(64)))});
    let refused = world.teams().send(&world.teams().invoke("dora", &other, "approve")).1;
    assert!(text(&refused["value"]).contains("digest_mismatch"), "{refused}");
    for broken in [json!({}), json!({"review": ""}), json!({"review": "r_1"}), json!({"review": "a b c d"}), json!([7])]
    {
        let (status, said) = world.teams().send(&world.teams().invoke("dora", &broken, "approve"));
        assert!(status == 200 && said.to_string().contains("bad_request"), "{broken}: {said}");
    }
    let (_, said) = world.teams().send(&world.teams().invoke("dora", &data, "destroy"));
    assert!(said.to_string().contains("bad_request"), "{said}");
    let long = json!({"review": subject, "reason": "x".repeat(20_000)});
    let (_, said) = world.teams().send(&world.teams().invoke("dora", &long, "reject"));
    assert!(said.to_string().contains("reason_invalid"), "{said}");
    assert_eq!(world.dora().review(review.id()).state(), "open");
    assert!(!call.answered());

    let subject = format!("{TENANT}/{}", object("dora"));
    let account = ["person", "unlink", "dora", "--provider", "teams", "--subject", &subject];
    world.gateway.administer(&account);
    let (_, said) = world.teams().send(&world.teams().invoke("dora", &data, "approve"));
    assert!(said.to_string().contains("account_unlinked"), "{said}");
    assert!(!call.answered());
}

/// Those who ask see the card without buttons; the others see it as it is.
#[test]
fn the_requesters_side_sees_no_buttons() {
    let world = world();
    let (_call, review) = world.paused(WRITE);
    let message = world.teams().until_says(CHANNEL, "Waits for one of dba");
    let card = &message["attachments"][0]["content"];
    assert_eq!(card["refresh"]["userIds"], json!([mri("ada")]), "{card}");
    let refresh = &card["refresh"]["action"];
    assert_eq!((&refresh["type"], &refresh["verb"]), (&json!("Action.Execute"), &json!("refresh")));
    let shown =
        |who: &str| world.teams().send(&world.teams().invoke(who, &refresh["data"], "refresh")).1["value"].clone();
    let (ada, dora, gil) = (shown("ada"), shown("dora"), shown("gil"));
    assert!(!ada.to_string().contains("Action.Execute") && text(&ada).contains("others decide this"), "{ada}");
    assert!(button(&dora, "approve").is_some(), "{dora}");
    assert!(gil.as_str().is_some_and(|words| words.contains("account_unlinked")), "a stranger is shown nothing: {gil}");
    world.dora().reject(&review, "no").ok();
    let after = world.teams().until_says(CHANNEL, "Rejected by dora");
    assert_eq!(after["attachments"][0]["content"]["refresh"], Value::Null);
}

/// Where policy takes no click, none is offered, and one that is forged counts for nothing.
#[test]
fn policy_says_what_a_click_is_worth() {
    let low = || Plan::default().teams().sensitivity_low();
    let cases = [
        (Plan::default().teams(), WRITE, "Open and decide", "approve with a second factor"),
        (low().stepup(), WRITE, "Open and sign", "passkey"),
    ];
    for (plan, statement, offered, refused) in cases {
        let world = started(plan);
        let (mut call, review) = world.paused(statement);
        let message = world.teams().until_says(CHANNEL, offered);
        assert!(!message["attachments"][0]["content"]["actions"].to_string().contains("Action.Execute"), "{message}");
        let digests = ["action_digest", "card_digest"].map(|key| review.0[key].as_str().unwrap());
        let data = json!({"review": format!("{} {}", review.id(), digests.join(" "))});
        for verdict in ["approve", "reject"] {
            let (_, said) = world.teams().send(&world.teams().invoke("dora", &data, verdict));
            assert!(text(&said["value"]).contains(refused), "{verdict}: {said}");
        }
        assert_eq!(world.dora().review(review.id()).state(), "open");
        assert!(!call.answered());
    }
}

/// Where an approval has to say why, a form asks; what the form says goes with the vote.
#[test]
fn a_form_asks_for_the_reason_that_policy_wants() {
    let world = started(Plan::default().teams().sensitivity_low().justified());
    let (call, review) = world.paused(WRITE);
    let message = world.teams().until_says(CHANNEL, "Waits for one of dba");
    let actions = message["attachments"][0]["content"]["actions"].as_array().unwrap();
    let form = actions.iter().find(|action| action["title"] == "Approve…").expect("a form");
    let field = &form["card"]["body"][0];
    assert_eq!((&form["type"], &field["isRequired"]), (&json!("Action.ShowCard"), &json!(true)));
    assert_eq!(field["id"], "why");
    let without = world.click_card("dora", &message, "approve", json!({"why": " ", "reason": "of another form"}));
    assert!(text(&without["value"]).contains("reason_invalid"), "{without}");
    assert_eq!(world.dora().review(review.id()).state(), "open");
    world.click_card("dora", &message, "approve", json!({"why": "ticket 4711"}));
    assert_eq!(call.outcome().rows(), 1);
    assert!(text(&world.teams().until_says(CHANNEL, "Approved by dora")).contains("ticket 4711"));
}

/// The bot is brought into a person's own conversation, asks there, and no more once it is put out of it.
#[test]
fn a_person_who_installs_the_app_is_asked_in_their_own_conversation() {
    let (dora, place) = ("a:dora-and-the-bot", format!("teams:{}", object("dora")));
    let world = started(Plan::default().teams().sensitivity_low().told_at(&place));
    let (call, review) = world.paused(WRITE);
    let installed = world.teams().activity("dora", dora, json!({"type": "installationUpdate", "action": "add"}));
    let mut added = world.teams().activity("dora", dora, json!({"type": "conversationUpdate"}));
    added["membersAdded"] = json!([{"id": added["recipient"]["id"]}]);
    assert_eq!((world.teams().send(&installed).0, world.teams().send(&added).0), (200, 200));
    let hello = &world.teams().messages(dora)[0];
    let said = hello["text"].as_str().unwrap();
    assert!(said.contains(&place) && said.contains(&format!("{TENANT}/{}", object("dora"))), "{said}");
    assert_eq!(hello["textFormat"], "plain");
    world.gateway.as_person(world.dora().token(), &["channel", "retry", review.id(), &place]).success("retry").unwrap();
    let message = world.teams().until_says(dora, "Waits for one of dba");
    assert!(world.teams().messages(CHANNEL).is_empty(), "the policy names another place");
    world.click_card("dora", &message, "approve", json!({}));
    assert_eq!(call.outcome().rows(), 1);
    world.teams().until_says(dora, "Approved by dora");

    let removed = world.teams().activity("dora", dora, json!({"type": "installationUpdate", "action": "remove"}));
    assert_eq!(world.teams().send(&removed).0, 200);
    let (_call, next) = world.paused("UPDATE customers SET credit_limit = 901 WHERE id = 3");
    world.until_recorded("the alarm", |leaf| leaf["code"] == "review_untold" && leaf.to_string().contains(next.id()));
    assert_eq!(world.teams().messages(dora).len(), 2, "the greeting and one card");
}

/// While Teams asks for a pause it is left alone; what it refuses for good is given up; and the review waits in any case.
#[test]
fn an_outage_loses_nothing() {
    let world = world();
    world.teams().in_trouble(Some(Trouble { status: 429, after: Some(3) }));
    let (_call, _) = world.paused(WRITE);
    let listed = || world.dora().get("/api/v1/undelivered").ok()["undelivered"].clone();
    let undelivered = xtask::process::wait_until("the first attempt", crate::harness::SOON, || {
        Some(listed()).filter(|all| all.as_array().is_some_and(|all| !all.is_empty()))
    });
    let one = undelivered.unwrap()[0].clone();
    assert_eq!((&one["place"], &one["dead"]), (&json!(format!("teams:{CHANNEL}")), &json!(false)), "{one}");
    assert!(one["error"].as_str().unwrap().contains("429"), "{one}");
    world.teams().in_trouble(None);
    let began = std::time::Instant::now();
    world.teams().until_says(CHANNEL, "Waits for one of dba");
    assert!(began.elapsed() > std::time::Duration::from_secs(1) && world.teams().troubled() == 1, "it was left alone");

    world.teams().in_trouble(Some(Trouble { status: 403, after: None }));
    let (_other, refused) = world.paused("UPDATE customers SET credit_limit = 901 WHERE id = 3");
    world
        .until_recorded("the alarm", |leaf| leaf["code"] == "review_untold" && leaf.to_string().contains(refused.id()));
    let dead = listed().as_array().unwrap().iter().any(|one| one["review"] == refused.id() && one["dead"] == true);
    assert!(dead, "{}", listed());
    assert_eq!(world.dora().review(refused.id()).state(), "open");
}

/// A group that a review is escalated to is told where it reads, and a burst in one card.
#[test]
fn escalations_and_bursts_are_told_of() {
    let world = started(Plan::default().teams().sensitivity_low().escalating());
    let mut calls = Vec::new();
    for limit in 900..905 {
        calls.push(world.paused(&format!("UPDATE customers SET credit_limit = {limit} WHERE id = 3")));
    }
    world.teams().until_says(CHANNEL, "2 more like these wait");
    assert_eq!(world.teams().messages(CHANNEL).len(), 4, "three, and one of the rest");
    assert!(text(&world.teams().until_says(ON_CALL, "like these wait")).contains("like these wait"));
}
