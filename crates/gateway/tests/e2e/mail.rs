//! Reviews by mail: one letter with a link, an answer beneath it when it is over, and nothing that decides.

use serde_json::{Value, json};
use xtask::process::wait_until;

use crate::harness::console::Browser;
use crate::harness::mail::{ADDRESS, Protected, SRES};
use crate::harness::{Plan, SOON, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";

fn world(plan: Plan, protected: Protected) -> World {
    let mut world = plan.mail(protected).start();
    world.mail_mut().start();
    world
}

fn undelivered(world: &World) -> Vec<Value> {
    world.dora().get("/api/v1/undelivered").ok()["undelivered"].as_array().unwrap().clone()
}

#[track_caller]
fn until_undelivered_says(world: &World, words: &str) -> Value {
    let says = || undelivered(world).into_iter().find(|one| one.to_string().contains(words));
    wait_until(&format!("a failure of `{words}`"), SOON, says)
        .unwrap_or_else(|error| panic!("{error}: {:?}", undelivered(world)))
}

#[test]
fn one_letter_and_its_answer_over_tls() {
    let world = world(Plan::default(), Protected::Yes);
    let (call, review) = world.paused(WRITE);
    let letter = world.mail().until_says(ADDRESS, "Waits for one of dba");
    assert_eq!((&letter["tls"], &letter["signed_in"]), (&json!(true), &json!(true)));
    let headers = &letter["headers"];
    assert_eq!(headers["from"], "Countersign <gate@example.org>");
    assert_eq!(headers["auto-submitted"], "auto-generated");
    assert_eq!(headers["subject"], format!("[Countersign] sql:write on orders (production) waits: {}", review.id()));
    let id = headers["message-id"].as_str().unwrap();
    let page = format!("{}/reviews/{}", world.gateway.url(), review.id());
    for body in ["text", "html_text"] {
        for part in ["coder wants to run UPDATE on", "credit_limit = 900", "write to production: one DBA"] {
            assert!(letter[body].as_str().unwrap().contains(part), "{body} leaves out {part}: {letter}");
        }
    }
    assert!(letter["text"].as_str().unwrap().contains(&page) && letter["attributes"].to_string().contains(&page));
    // what follows links decides nothing: neither a scanner, nor whoever may read
    let page = format!("/reviews/{}", review.id());
    let scanner = world.api("").get(&page);
    assert!(!scanner.body.to_string().contains("credit_limit"), "{scanner:?}");
    let signed_in = Browser::sign_in(&world, "dora").get(&page);
    assert!(signed_in.text.contains("credit_limit"), "{}", signed_in.text);
    assert_eq!(world.dora().review(review.id()).votes(), 0);

    world.dora().approve(&review).ok();
    assert_eq!(call.outcome().rows(), 1);
    let answer = world.mail().until_says(ADDRESS, "Approved by dora");
    let headers = &answer["headers"];
    assert_eq!((headers["in-reply-to"].as_str(), headers["references"].as_str()), (Some(id), Some(id)));
    assert_ne!(headers["message-id"].as_str(), Some(id));
    assert!(headers["subject"].as_str().unwrap().starts_with("Re: [Countersign]"), "{headers}");
    assert_eq!(world.mail().letters(ADDRESS).len(), 2);
    assert!(undelivered(&world).is_empty());
}

/// Votes that leave it open are no letters; how it ended names them.
#[test]
fn nobody_is_written_to_at_each_vote() {
    let world = world(Plan::default().only_policies(TWO), Protected::No);
    let (call, review) = world.paused(WRITE);
    world.mail().until_says(ADDRESS, "Waits for 2 of dba");
    world.dora().approve(&review).ok();
    world.finn().approve(&review).ok();
    assert_eq!(call.outcome().rows(), 1);
    let answer = world.mail().until_says(ADDRESS, "Approved by");
    assert!(
        answer["text"].as_str().unwrap().contains("* dora approved: “looked at it”\r\n* finn approved"),
        "{answer}"
    );
    assert_eq!(world.mail().letters(ADDRESS).len(), 2);
}

const TWO: &str = r#"
@id("reads") permit (principal, action in [Action::"sql:read", Action::"sql:session"], resource);
@id("writes") permit (principal, action == Action::"sql:write", resource);
@id("two") @review("two DBAs")
forbid (principal, action == Action::"sql:write", resource) unless { context.approvals.contains(Quorum::"dba:2") };
@id("reviewers") permit (principal, action == Action::"approve", resource);
"#;

/// What the server refuses for now is tried again, what it refuses for good is given up with an alarm.
#[test]
fn a_refusal_is_what_the_server_says_it_is() {
    let world = world(Plan::default(), Protected::No);
    world.mail().answers(&["450 4.2.1 busy", "451 4.3.0 later"]);
    let (_call, _review) = world.paused(WRITE);
    world.mail().until_says(ADDRESS, "Waits for one of dba");
    assert_eq!(world.mail().letters(ADDRESS).len(), 1);
    world.mail().answers(&["550 5.1.1 nobody of that name"]);
    let (_other, again) = world.paused("UPDATE customers SET credit_limit = 901 WHERE id = 3");
    let failed = until_undelivered_says(&world, "nobody of that name");
    assert_eq!((&failed["dead"], &failed["review"]), (&json!(true), &json!(again.id())), "{failed}");
    world.until_recorded("the alarm", |leaf| leaf["kind"] == "system.alarm" && leaf["code"] == "review_untold");
    let place = format!("mail:{ADDRESS}");
    world.dora().post("/api/v1/undelivered/retry", &json!({"review": again.id(), "place": place})).ok();
    world.mail().until_says(ADDRESS, "credit_limit = 901");
}

/// A password that was changed at the server loses no letter, and neither does a server that is away, or a gateway that is killed.
#[test]
fn nothing_is_lost_while_the_server_lets_nobody_in() {
    let mut world = world(Plan::default(), Protected::Yes);
    world.mail().password(Some("of-before"));
    let (_call, review) = world.paused(WRITE);
    let failed = until_undelivered_says(&world, "535");
    assert_eq!(failed["dead"], json!(false), "it is no matter of one letter: {failed}");
    world.mail_mut().stop();
    until_undelivered_says(&world, "onnect");
    world.gateway.kill();
    world.mail().password(None);
    world.gateway.start();
    world.mail_mut().start();
    let letter = world.mail().until_says(ADDRESS, "Waits for one of dba");
    assert!(letter["text"].as_str().unwrap().contains(review.id()), "{letter}");
}

/// Where somebody on the way takes the offer of TLS out, nothing is sent: neither a letter nor the password.
#[test]
fn nothing_goes_in_clear_where_tls_is_wanted() {
    let world = world(Plan::default(), Protected::Stripped);
    let (_call, _review) = world.paused(WRITE);
    let failed = until_undelivered_says(&world, "STARTTLS");
    assert_eq!(failed["dead"], json!(false), "{failed}");
    assert!(world.mail().letters(ADDRESS).is_empty());
}

#[test]
fn a_group_is_written_to_when_it_is_escalated_to() {
    let world = world(Plan::default().escalating(), Protected::No);
    let (_call, _review) = world.paused(WRITE);
    world.mail().until_says(ADDRESS, "Waits for one of dba");
    let there = world.mail().until_says(SRES, "Waits for one of dba");
    assert!(there["headers"]["in-reply-to"].is_null(), "a letter of its own: {there}");
    let here = world.mail().until_says(ADDRESS, "Escalated to sre");
    assert!(here["headers"]["in-reply-to"].is_string(), "{here}");
}

/// From the fourth review on that is alike, one letter tells of all, however many there are.
#[test]
fn a_burst_is_one_letter() {
    let world = world(Plan::default(), Protected::No);
    let mut calls = Vec::new();
    for n in 0..7 {
        calls.push(world.paused(&format!("UPDATE customers SET credit_limit = {n} WHERE id = 3")));
    }
    world.mail().until_says(ADDRESS, "More requests like one that waits");
    let told = || undelivered(&world).is_empty() && world.mail().letters(ADDRESS).len() == 4;
    wait_until("three letters, and one of the rest", SOON, || told().then_some(())).unwrap();
    let (_, last) = calls.last().unwrap();
    world.dora().reject(last, "no").ok();
    world.until_recorded("the end", |leaf| leaf["kind"] == "review.closed" && leaf["review"] == last.id());
    assert_eq!(world.mail().letters(ADDRESS).len(), 4, "{:?}", world.mail().letters(ADDRESS).last());
}
