//! Glass that a passkey breaks, in a real Chromium with a virtual authenticator: where a policy asks for one nothing else
//! breaks it, the record proves who did, and a signature is good for nothing but what it was made for.

use serde_json::{Value, json};

use crate::harness::api::{Answer, Api, Review};
use crate::harness::browser::Chromium;
use crate::harness::{Plan, ROW, World};
use crate::passkeys::others_agree;

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";
const REASON: &str = "orders are stuck";

/// Writes wait for two signed votes of DBAs, unless somebody breaks the glass. The owner would be let to, were it not for
/// whose action it is.
const POLICIES: &str = r#"
@id("reads") permit (principal, action in [Action::"sql:read", Action::"sql:session"], resource);
@id("changes") permit (principal, action == Action::"sql:write", resource);
@id("writes") @review("two DBAs, signed") @stepup("passkey")
forbid (principal, action == Action::"sql:write", resource)
unless { context.approvals.contains(Quorum::"dba:2") || context.breakGlass };
@id("reviewers") permit (principal, action == Action::"approve", resource);
@id("breakers") permit (principal in Group::"sre", action == Action::"break-glass", resource);
@id("dbas-break-too") permit (principal in Group::"dba", action == Action::"break-glass", resource);
"#;

fn world() -> (World, Api) {
    let world = Plan::default().only_policies(POLICIES).named().start();
    world.gateway.administer(&["person", "add", "sam", "--email", "sam@example.org", "--groups", "sre"]);
    let sam = world.token("sam");
    (world, sam)
}

fn body(review: &Review, reason: &str) -> Value {
    let (action, card) = (&review.0["action_digest"], &review.0["card_digest"]);
    json!({"reason": reason, "action_digest": action, "card_digest": card})
}

fn challenge(api: &Api, review: &Review, reason: &str) -> Answer {
    api.post(&format!("/api/v1/reviews/{}/break-glass/challenge", review.id()), &body(review, reason))
}

fn break_glass(api: &Api, review: &Review, reason: &str, assertion: Option<&Value>) -> Answer {
    let mut body = body(review, reason);
    if let Some(assertion) = assertion {
        body["assertion"] = assertion.clone();
    }
    api.post(&format!("/api/v1/reviews/{}/break-glass", review.id()), &body)
}

#[test]
fn a_passkey_breaks_the_glass_and_anyone_can_check_it() {
    let (mut world, sam) = world();
    let mut browser = Chromium::start(&world);
    browser.sign_in(&world, "sam", json!({}));
    let (mut call, review) = world.paused(WRITE);
    let page = format!("/reviews/{}", review.id());

    break_glass(&sam, &review, REASON, None).refused(403, "passkey_required");
    challenge(&sam, &review, REASON).refused(403, "passkey_required");
    let typed = world.gateway.as_person(sam.token(), &["review", "break-glass", review.id(), "--reason", REASON]);
    assert!(typed.stderr.contains("passkey_required") && typed.stderr.contains(&page), "{typed:?}");
    browser.open("sam", &page);
    browser.press("sam", ".break-glass summary");
    browser.until("sam", ".break-glass a[href='/me/passkeys']");
    browser.inspect("sam", "break-glass-without-passkey");

    browser.open("sam", "/me/passkeys");
    browser.enrol("sam", "Laptop");
    browser.open("sam", &page);
    browser.press("sam", ".break-glass summary");
    browser.run(json!({"do": "fill", "who": "sam", "selector": "#why-broken", "value": REASON}));
    browser.inspect("sam", "break-glass-with-passkey");
    assert!(!call.answered(), "it hangs until somebody signs");
    browser.press("sam", ".break-glass button[data-passkey]");
    browser.until("sam", ".outcome");
    assert_eq!(call.outcome().rows(), 1);
    assert_eq!(world.truth(ROW), "900");

    let leaf = world.until_recorded("the breaking", |leaf| leaf["kind"] == "review.glass_broken");
    assert_eq!((&leaf["method"], &leaf["mfa"], &leaf["synced"]), (&json!("passkey"), &json!(true), &json!(false)));
    let intent = &leaf["signed"]["intent"];
    assert_eq!((&intent["type"], &intent["verdict"]), (&json!("countersign/break-glass/v1"), &json!("break")));
    let passkey = leaf["signed"]["passkey"].clone();
    let enrolment = world.until_recorded("the enrolment", |leaf| leaf["what"] == "passkey" && leaf["id"] == passkey);
    others_agree(&world, &enrolment, &leaf);
    world.gateway.stop();
    let said = world.verify().success("`countersign ledger verify`").unwrap();
    assert!(said.contains("broken 1 times signed by passkeys"), "{said}");
}

/// Every other use of a signature, and every other person, breaks nothing.
#[test]
fn a_signature_breaks_the_glass_it_was_made_for_only() {
    let (world, sam) = world();
    let mut browser = Chromium::start(&world);
    for who in ["ada", "dora", "sam"] {
        browser.sign_in(&world, who, json!({}));
        browser.enrol(who, "key");
    }
    let (mut call, review) = world.paused(WRITE);
    let (other_call, other) = world.paused("UPDATE customers SET credit_limit = 901 WHERE id = 3");
    let options = |api: &Api, review: &Review, reason: &str| challenge(api, review, reason).ok()["public_key"].clone();

    // the side of the request: its owner has a passkey and a group that policy lets, its agent has a key
    challenge(world.ada(), &review, REASON).refused(403, "self_approval");
    challenge(&world.api(&world.key), &review, REASON).refused(403, "self_approval");
    let signature = browser.sign("sam", &options(&sam, &review, REASON));
    break_glass(world.ada(), &review, REASON, Some(&signature)).refused(409, "challenge_void");
    world.until_vote_refused(review.id(), "challenge_void");

    let mut refused = |reviewed: &Review, reason: &str| {
        let signature = browser.sign("sam", &options(&sam, &review, REASON));
        break_glass(&sam, reviewed, reason, Some(&signature)).refused(409, "challenge_void");
        break_glass(&sam, &review, REASON, Some(&signature)).refused(409, "challenge_void"); // taken by now
    };
    refused(&other, REASON);
    refused(&review, "another reason");

    // what was signed as a vote breaks nothing, and the other way round
    let dora = world.dora();
    let mut vote = body(&review, REASON);
    vote["verdict"] = json!("approve");
    let votes = format!("/api/v1/reviews/{}/votes", review.id());
    let asked = dora.post(&format!("{votes}/challenge"), &vote).ok()["public_key"].clone();
    let signature = browser.sign("dora", &asked);
    break_glass(dora, &review, REASON, Some(&signature)).refused(409, "challenge_void");
    vote["assertion"] = browser.sign("dora", &options(dora, &review, REASON));
    dora.post(&votes, &vote).refused(409, "challenge_void");

    // her own key, without her finger
    let mut asked = options(&sam, &review, REASON);
    asked["userVerification"] = json!("discouraged");
    browser.run(json!({"do": "verified", "who": "sam", "value": false}));
    let signature = browser.sign("sam", &asked);
    break_glass(&sam, &review, REASON, Some(&signature)).refused(403, "passkey_refused");
    browser.run(json!({"do": "verified", "who": "sam", "value": true}));
    assert!(!call.answered());
    assert_eq!(world.truth(ROW), "200");

    // after all of that, an honest one does, once; blanks around the reason are nobody's words
    let signature = browser.sign("sam", &options(&sam, &review, &format!(" {REASON}\n")));
    assert_eq!(break_glass(&sam, &review, REASON, Some(&signature)).ok()["state"], "glass_broken");
    assert_eq!(call.outcome().rows(), 1);
    other_call.leave();
}
