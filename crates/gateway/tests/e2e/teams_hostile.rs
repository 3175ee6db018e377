//! What somebody tries in Teams who may say there what they like: as somebody else, for another review, from another
//! organization, in odd shapes, again and again.

use serde_json::{Value, json};

use crate::harness::api::Review;
use crate::harness::clients::Call;
use crate::harness::teams::{CHANNEL, Odd, TENANT, button, mri, object, text};
use crate::harness::{Plan, ROW, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";
const ELSEWHERE: &str = "11111111-2222-4333-8444-555555555555";

/// A review that waits, and the card that tells of it.
fn waiting() -> (World, Call, Review, Value) {
    let world = Plan::default().teams().sensitivity_low().start();
    world.teams().start();
    world.teams().link(&world);
    let (call, review) = world.paused(WRITE);
    let message = world.teams().until_says(CHANNEL, "Waits for one of dba");
    (world, call, review, message)
}

/// Whether nothing has come of anything, and the real dora can still approve.
#[track_caller]
fn untouched(world: &World, mut call: Call, review: &Review, message: &Value) {
    let now = world.dora().review(review.id());
    assert_eq!((now.state(), now.votes()), ("open", 0));
    assert!(!call.answered());
    assert_eq!(world.truth(ROW), "200");
    let (status, said) = world.teams().send(&world.teams().click("dora", message, "approve", json!({})));
    assert!(status == 200 && text(&said["value"]).contains("Approved by dora"), "{said}");
    assert_eq!(call.outcome().rows(), 1);
}

/// Only the object id says who clicked, and only whole, as text, and of this organization.
#[test]
fn nobody_clicks_as_somebody_else() {
    let (world, call, review, message) = waiting();
    let teams = world.teams();
    let good = teams.click("dora", &message, "approve", json!({}));
    let from = |from: Value| {
        let mut click = good.clone();
        click["from"] = from;
        click
    };
    let dora = object("dora");
    let unlinked = [
        (
            "her name in Teams on another account",
            from(json!({"id": mri("dora"), "name": "dora", "aadObjectId": object("gil")})),
        ),
        ("her name alone", from(json!({"id": mri("dora"), "name": "dora"}))),
        ("no sender", from(json!({}))),
        ("an empty id", from(json!({"id": mri("dora"), "aadObjectId": ""}))),
        ("with her tenant", from(json!({"id": mri("dora"), "aadObjectId": format!("{TENANT}/{dora}")}))),
        ("with spaces", from(json!({"id": mri("dora"), "aadObjectId": format!(" {dora} ")}))),
        ("a guest's account elsewhere", from(json!({"id": mri("dora"), "aadObjectId": dora, "tenantId": ELSEWHERE}))),
    ];
    for (way, click) in &unlinked {
        let (status, said) = teams.send(click);
        assert!(status == 200 && said.to_string().contains("account_unlinked"), "{way}: {said}");
        assert!(!said.to_string().contains("credit_limit"), "{way}: shown nothing: {said}");
    }
    let counted =
        || world.count_recorded(|leaf| leaf["kind"] == "identity.refused" && leaf["code"] == "account_unlinked");
    world.until_recorded("each", |_| counted() == unlinked.len());

    let (status, said) = teams.send(&from(json!({"id": mri("dora"), "name": "dora", "aadObjectId": object("ada")})));
    assert!(status == 200 && text(&said["value"]).contains("self_approval"), "ada under dora's name: {said}");
    for odd in [json!([dora]), json!({"id": dora}), json!(7), json!(true)] {
        assert_eq!(teams.send(&from(json!({"id": mri("dora"), "aadObjectId": odd}))).0, 400, "{odd}");
    }
    untouched(&world, call, &review, &message);
}

/// A tenant of nobody's, wherever it is said, is nobody's; and so is an activity whose parts contradict each other.
#[test]
fn another_organization_is_turned_away() {
    let (world, call, review, message) = waiting();
    let teams = world.teams();
    let good = teams.click("dora", &message, "approve", json!({}));
    let with = |changes: &[(&str, Value)]| {
        let mut click = good.clone();
        for (pointer, value) in changes {
            *click.pointer_mut(pointer).unwrap() = value.clone();
        }
        click
    };
    let (talk, data) = ("/conversation/tenantId", "/channelData/tenant/id");
    let ways = [
        with(&[(talk, json!(ELSEWHERE)), (data, json!(ELSEWHERE))]),
        with(&[(talk, json!(ELSEWHERE))]),
        with(&[(data, json!(ELSEWHERE))]),
        with(&[(talk, Value::Null), (data, Value::Null)]),
        with(&[(talk, json!("")), (data, json!(""))]),
        with(&[(talk, json!(TENANT.to_uppercase()))]),
    ];
    for way in &ways {
        assert_eq!(teams.send(way).0, 401, "{way}");
    }
    let refused =
        || world.count_recorded(|leaf| leaf["kind"] == "identity.refused" && leaf["code"] == "unauthenticated");
    world.until_recorded("each", |_| refused() == ways.len());
    untouched(&world, call, &review, &message);
}

/// What a card's button holds may be anything by the time it is clicked.
#[test]
fn tampered_cards_decide_nothing() {
    let (world, call, review, message) = waiting();
    let (mut other_call, other) = world.paused("UPDATE customers SET credit_limit = 901 WHERE id = 4");
    let teams = world.teams();
    let digests =
        |review: &Review| ["action_digest", "card_digest"].map(|key| review.0[key].as_str().unwrap().to_owned());
    let ([action, card], [other_action, other_card]) = (digests(&review), digests(&other));
    let id = review.id();
    let subjects = [
        ("another's digests", format!("{id} {other_action} {other_card}")),
        ("another's card", format!("{id} {action} {other_card}")),
        ("another's action", format!("{} {action} {card}", other.id())),
        ("exchanged", format!("{id} {card} {action}")),
        ("no digests", id.to_owned()),
        ("one digest", format!("{id} {action}")),
        ("more behind", format!("{id} {action} {card} {card}")),
        ("a path", format!("../{id} {action} {card}")),
        ("a review of nobody's", format!("r_nobodys {action} {card}")),
        ("a long id", format!("{} {action} {card}", "r".repeat(50_000))),
        ("control characters", format!("{id}\u{0}\n {action} {card}")),
    ];
    for (way, subject) in &subjects {
        for verb in ["approve", "reject"] {
            let (status, said) = teams.send(&teams.invoke("dora", &json!({"review": subject, "reason": "x"}), verb));
            let told = said.to_string();
            assert!(status == 200 && told.contains("Not done"), "{way}: {said}");
        }
    }
    let data = button(&message["attachments"][0]["content"], "approve").unwrap()["data"].clone();
    for verb in [json!("Approve"), json!("approve "), json!(["approve"]), json!({"approve": true}), Value::Null] {
        let mut click = teams.invoke("dora", &data, "approve");
        click["value"]["action"]["verb"] = verb.clone();
        let (status, said) = teams.send(&click);
        assert!(status == 200 && said.to_string().contains("bad_request"), "{verb}: {said}");
    }
    let unlike = [json!({"name": "adaptiveCard/actions"}), json!({"name": "task/submit"}), json!({"name": ""})];
    for more in &unlike {
        let mut click = teams.invoke("dora", &data, "approve");
        click["name"] = more["name"].clone();
        assert_eq!(teams.send(&click).0, 501, "{more}");
    }
    let mut said_only = teams.invoke("dora", &data, "approve");
    said_only["type"] = json!("message"); // somebody's words, however they are shaped
    assert_eq!(teams.send(&said_only).0, 200);
    assert!(!other_call.answered());
    assert_eq!((world.dora().review(other.id()).state(), world.dora().review(other.id()).votes()), ("open", 0));
    untouched(&world, call, &review, &message);
}

/// Bytes that are no activity, or too many of them, with a token that is right.
#[test]
fn odd_bytes_are_no_activity() {
    let (world, call, review, message) = waiting();
    let teams = world.teams();
    let token = teams.token(&Odd::default());
    let good = teams.click("dora", &message, "approve", json!({})).to_string();
    let from = json!({"id": mri("ada"), "aadObjectId": object("ada")}).to_string();
    let twice = good.replacen("\"from\":", &format!("\"from\":{from},\"from\":"), 1);
    let deep = format!("{{\"type\":\"invoke\",\"value\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let bodies = [
        ("nothing", String::new(), 400),
        ("no JSON", "approve".to_owned(), 400),
        ("a list", "[]".to_owned(), 400),
        ("cut off", good[..good.len() - 3].to_owned(), 400),
        ("two senders", twice, 400),
        ("deep", deep, 400),
        ("long", format!("{}{good}", " ".repeat(256 * 1024)), 413),
    ];
    for (way, body, status) in &bodies {
        assert_eq!(teams.send_raw(body, Some(&token)), *status, "{way}");
    }
    untouched(&world, call, &review, &message);
}

/// A click that somebody kept is worth nothing once it is over, however often it is sent, and tells nobody anything new.
#[test]
fn a_kept_click_is_worth_nothing_afterwards() {
    let (world, call, review, message) = waiting();
    let click = world.teams().click("dora", &message, "approve", json!({}));
    assert_eq!(world.teams().send(&click).0, 200);
    assert_eq!(call.outcome().rows(), 1);
    for _ in 0..3 {
        let (status, said) = world.teams().send(&click);
        assert!(status == 200 && text(&said["value"]).contains("review_closed"), "{said}");
        assert!(button(&said["value"], "approve").is_none(), "{said}");
    }
    let (mut next, again) = world.paused("UPDATE customers SET credit_limit = 902 WHERE id = 3");
    assert_eq!(world.teams().send(&click).0, 200);
    assert_eq!((world.dora().review(again.id()).state(), world.dora().review(again.id()).votes()), ("open", 0));
    assert!(!next.answered());
    assert_eq!(world.truth(ROW), "900");
    assert_eq!(world.dora().review(review.id()).votes(), 1);
}
