//! Votes signed by passkeys, in a real Chromium with virtual authenticators: from enrolment to the statement that runs, the
//! ways in which a signature could be abused, and the check of the record by code that is not ours.

use std::process::Command;

use serde_json::{Value, json};
use xtask::process::run;
use xtask::test_tools_dir;

use crate::harness::api::{Answer, Api, Review};
use crate::harness::browser::Chromium;
use crate::harness::{Plan, ROW, SOON, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 950 WHERE id = 3";
const REASON: &str = "checked with finance";

/// A world whose writes want a signed vote, at an address that can have passkeys.
fn world() -> World {
    Plan::default().stepup().named().start()
}

/// The body of a vote on a review as it was seen.
fn body(review: &Review, verdict: &str) -> Value {
    json!({
        "verdict": verdict,
        "reason": REASON,
        "action_digest": review.0["action_digest"],
        "card_digest": review.0["card_digest"],
    })
}

fn challenge(api: &Api, review: &Review, verdict: &str) -> Answer {
    api.post(&format!("/api/v1/reviews/{}/votes/challenge", review.id()), &body(review, verdict))
}

fn options(api: &Api, review: &Review, verdict: &str) -> Value {
    challenge(api, review, verdict).ok()["public_key"].clone()
}

fn vote(api: &Api, review: &Review, verdict: &str, assertion: &Value) -> Answer {
    let mut body = body(review, verdict);
    body["assertion"] = assertion.clone();
    api.post(&format!("/api/v1/reviews/{}/votes", review.id()), &body)
}

#[test]
fn a_signed_vote_lets_the_statement_run_and_anyone_can_check_it() {
    let mut world = world();
    let mut browser = Chromium::start(&world);
    browser.sign_in(&world, "dora", json!({}));
    let (mut call, review) = world.paused(WRITE);

    browser.open("dora", &format!("/reviews/{}", review.id()));
    browser.until("dora", ".barred a[href='/me/passkeys']");
    browser.inspect("dora", "review-without-passkey");
    world.dora().approve(&review).refused(403, "passkey_required");
    world.until_vote_refused(review.id(), "passkey_required");

    browser.open("dora", "/me/passkeys");
    browser.inspect("dora", "passkeys-none");
    browser.enrol("dora", "Laptop <b>&");
    browser.inspect("dora", "passkeys-one");

    browser.open("dora", &format!("/reviews/{}", review.id()));
    browser.run(json!({"do": "fill", "who": "dora", "selector": "#reason", "value": REASON}));
    browser.inspect("dora", "review-with-passkey");
    assert!(!call.answered(), "it hangs until somebody signs");
    // by the keyboard alone: from the reason to the button, and press
    browser.run(json!({"do": "press", "who": "dora", "selector": "#reason"}));
    browser.run(json!({"do": "keys", "who": "dora", "keys": ["Tab", "Enter"]}));
    browser.until("dora", ".outcome.approved");
    call.outcome().rows();
    assert_eq!(world.truth(ROW), "950");
    browser.until("dora", ".timeline .note:has-text('signed by passkey')");
    browser.inspect("dora", "review-signed");

    let leaf = world.until_recorded("the vote", |leaf| leaf["kind"] == "review.vote");
    assert_eq!((&leaf["method"], &leaf["mfa"], &leaf["synced"]), (&json!("passkey"), &json!(true), &json!(false)));
    let passkey = leaf["signed"]["passkey"].clone();
    let enrolment = world.until_recorded("the enrolment", |leaf| leaf["what"] == "passkey" && leaf["id"] == passkey);
    assert_eq!((&enrolment["local"], &enrolment["passkey"]["rp_id"]), (&json!(true), &json!("localhost")));
    assert_eq!(enrolment["passkey"]["attestation"], "packed");
    others_agree(&world, &enrolment, &leaf);

    world.gateway.stop();
    let said = world.verify().success("`countersign ledger verify`").unwrap();
    assert!(said.contains("1 signed by passkeys"), "{said}");
}

/// py_webauthn checks the assertion from the two records alone, and refuses each part changed.
pub(crate) fn others_agree(world: &World, enrolment: &Value, vote: &Value) {
    let bundle = world.dir.join("bundle.json");
    let text = json!({"enrolment": enrolment, "vote": vote, "origin": world.gateway.page_url()}).to_string();
    std::fs::write(&bundle, text).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/py_webauthn_check.py");
    let mut python = Command::new(test_tools_dir().join("python/bin/python"));
    let said = run(python.arg(script).arg(&bundle), SOON).unwrap().success("py_webauthn").unwrap();
    assert_eq!(said.trim(), "verified; 6 changes refused");
}

#[test]
fn a_signature_counts_for_its_own_vote_only() {
    let world = world();
    let mut browser = Chromium::start(&world);
    for who in ["ada", "dora", "finn"] {
        browser.sign_in(&world, who, json!({}));
        browser.enrol(who, "key");
    }
    let (call, review) = world.paused(WRITE);
    let (other_call, other) = world.paused("UPDATE customers SET credit_limit = 951 WHERE id = 3");
    let (dora, finn) = (world.dora(), world.finn());

    challenge(world.ada(), &review, "approve").refused(403, "self_approval");
    world.until_vote_refused(review.id(), "self_approval");

    let asked = options(dora, &review, "approve");
    let signature = browser.sign("dora", &asked);
    vote(dora, &review, "reject", &signature).refused(409, "challenge_void");
    vote(dora, &review, "approve", &signature).refused(409, "challenge_void"); // it was taken by now
    let signature = browser.sign("dora", &options(dora, &review, "approve"));
    vote(dora, &other, "approve", &signature).refused(409, "challenge_void");
    let refused = world.until_vote_refused(other.id(), "challenge_void");
    assert_eq!(refused["method"], "passkey");
    let signature = browser.sign("dora", &options(dora, &review, "approve"));
    vote(finn, &review, "approve", &signature).refused(409, "challenge_void");

    // finn's key under what dora was asked
    let mut asked = options(dora, &review, "approve");
    asked["allowCredentials"] = options(finn, &review, "approve")["allowCredentials"].clone();
    let signature = browser.sign("finn", &asked);
    vote(dora, &review, "approve", &signature).refused(403, "passkey_refused");

    // her own key, without her finger
    let mut asked = options(dora, &review, "approve");
    asked["userVerification"] = json!("discouraged");
    browser.run(json!({"do": "verified", "who": "dora", "value": false}));
    let signature = browser.sign("dora", &asked);
    vote(dora, &review, "approve", &signature).refused(403, "passkey_refused");
    browser.run(json!({"do": "verified", "who": "dora", "value": true}));

    // her own key, on another site's page
    let asked = options(dora, &review, "approve");
    let elsewhere = browser.run(json!({"do": "elsewhere"}));
    browser.run(json!({"do": "open", "who": "dora", "url": elsewhere}));
    let signature = browser.sign("dora", &asked);
    let refused = vote(dora, &review, "approve", &signature);
    refused.refused(403, "passkey_refused");
    assert!(refused.body["detail"].as_str().unwrap().contains("another address"), "{}", refused.body);
    browser.open("dora", "/");

    // a changed signature
    let mut signature = browser.sign("dora", &options(dora, &review, "approve"));
    let bytes = signature["response"]["signature"].as_str().unwrap();
    let last = if bytes.ends_with('A') { "Q" } else { "A" };
    signature["response"]["signature"] = json!(format!("{}{last}{}", &bytes[..20], &bytes[21..]));
    assert_eq!(vote(dora, &review, "approve", &signature).status, 403);

    // after all of that, an honest one counts, once
    let signature = browser.sign("dora", &options(dora, &review, "approve"));
    vote(dora, &review, "approve", &signature).ok();
    call.outcome().rows();
    vote(dora, &review, "approve", &signature).refused(409, "challenge_void");

    a_copy_and_a_removed_key(&world, &mut browser, &other);
    world.until_vote_refused(other.id(), "passkey_refused");
    assert_eq!(world.truth(ROW), "950");
    other_call.leave();
}

fn a_copy_and_a_removed_key(world: &World, browser: &mut Chromium, other: &Review) {
    let dora = world.dora();
    browser.run(json!({"do": "rewind", "who": "dora", "counter": 1}));
    let signature = browser.sign("dora", &options(dora, other, "approve"));
    let refused = vote(dora, other, "approve", &signature);
    refused.refused(403, "passkey_refused");
    assert!(refused.body["detail"].as_str().unwrap().contains("counter"), "{}", refused.body);

    let finn = world.finn();
    let signature = browser.sign("finn", &options(finn, other, "approve"));
    browser.open("finn", "/me/passkeys");
    browser.press("finn", "ul.passkeys summary");
    browser.inspect("finn", "passkeys-remove");
    browser.press("finn", "ul.passkeys button.reject");
    browser.until("finn", "section:has-text('There is none yet')");
    vote(finn, other, "approve", &signature).refused(403, "passkey_refused");
    challenge(finn, other, "approve").refused(403, "passkey_required");
}

/// What a person is told when it does not work, and that synced keys are told apart.
#[test]
fn a_person_is_told_what_happens() {
    let world = world();
    let mut browser = Chromium::start(&world);
    browser.sign_in(&world, "dora", json!({"defaultBackupEligibility": true, "defaultBackupState": true}));
    browser.enrol("dora", "Phone");
    browser.until("dora", "ul.passkeys .tag:has-text('synced')");
    let status = "form [role=status]";

    // the same authenticator again
    browser.run(json!({"do": "fill", "who": "dora", "selector": "#label", "value": "again"}));
    browser.press("dora", "button[data-passkey=create]");
    browser.until("dora", &format!("{status}:has-text('enrolled already')"));

    let (call, review) = world.paused(WRITE);
    let page = format!("/reviews/{}", review.id());
    browser.open("dora", &page);
    browser.run(json!({"do": "verified", "who": "dora", "value": false}));
    browser.press("dora", "button.approve[data-passkey]");
    browser.until("dora", &format!("{status}:has-text('Nothing was sent')"));
    browser.inspect("dora", "review-cancelled");
    browser.run(json!({"do": "verified", "who": "dora", "value": true}));

    browser.run(json!({"do": "run", "who": "dora", "script": "Object.defineProperty(window, 'PublicKeyCredential', {value: undefined})"}));
    browser.press("dora", "button.approve[data-passkey]");
    browser.until("dora", &format!("{status}:has-text('This browser has no passkeys')"));

    // the same gateway by another name: signing in does, signing votes does not
    let by_number = world.gateway.url();
    browser.sign_in_at(&world, "dora", &by_number);
    browser.run(json!({"do": "open", "who": "dora", "url": format!("{by_number}{page}")}));
    browser.press("dora", "button.approve[data-passkey]");
    browser.until("dora", &format!("{status}:has-text('Passkeys work at {}')", world.gateway.page_url()));

    browser.open("dora", &page);
    browser.press("dora", "button.reject[data-passkey]");
    browser.until("dora", ".outcome.rejected");
    call.outcome().refused("42501");
    let leaf = world.until_recorded("the vote", |leaf| leaf["kind"] == "review.vote");
    assert_eq!((&leaf["synced"], &leaf["verdict"]), (&json!(true), &json!("reject")));
}

/// Where the gateway's address is a number, the page says why there can be no passkeys.
#[test]
fn a_number_is_no_name_to_bind_a_passkey_to() {
    let world = Plan::default().stepup().start();
    let mut browser = Chromium::start(&world);
    browser.sign_in(&world, "dora", json!({}));
    browser.open("dora", "/me/passkeys");
    browser.until("dora", ".warning:has-text('public_url')");
    browser.inspect("dora", "passkeys-unavailable");
    let (call, review) = world.paused(WRITE);
    challenge(world.dora(), &review, "approve").refused(501, "passkeys_unavailable");
    let said = world.gateway.command(&["doctor"]).stdout;
    assert!(said.contains("passkeys") && said.contains("not available"), "{said}");
    call.leave();
}
