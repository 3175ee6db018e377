//! Incidents: people declare them for others and never for themselves, for a time, and nothing that was let through because of
//! one runs after it.

use serde_json::{Value, json};
use xtask::process::wait_until;

use crate::harness::api::{Answer, Api, Review};
use crate::harness::browser::Chromium;
use crate::harness::clients::Client;
use crate::harness::console::Browser;
use crate::harness::{Plan, ROW, SOON, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";
const GUIDE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/incidents.md"));

/// Writes run at once during an incident.
const AT_ONCE: &str = r#"
@id("reads") permit (principal, action in [Action::"sql:read", Action::"sql:session"], resource);
@id("changes") permit (principal, action == Action::"sql:write", resource);
@id("writes") @review("a DBA")
forbid (principal, action == Action::"sql:write", resource)
unless { context.approvals.contains(Quorum::"dba:1") || context.incident };
@id("reviewers") permit (principal, action == Action::"approve", resource);
"#;

/// The policies of the guide.
fn guide() -> &'static str {
    GUIDE.split("```cedar\n").nth(1).and_then(|rest| rest.split("```").next()).expect("the guide has an example")
}

fn declare(api: &Api, reason: &str, seconds: u32) -> Answer {
    api.post("/api/v1/incidents", &json!({"reason": reason, "seconds": seconds}))
}

fn end(api: &Api, incident: &Value) -> Answer {
    api.delete(&format!("/api/v1/incidents/{}", incident["id"].as_str().unwrap()))
}

fn going_on(world: &World) -> Vec<Value> {
    world.dora().get("/api/v1/incidents").ok()["incidents"].as_array().unwrap().clone()
}

/// Runs at once.
#[track_caller]
fn runs(world: &World) {
    let mut call = world.send(Client::Psql, "write", Some(WRITE));
    wait_until("it to run", SOON, || {
        assert!(world.dora().open_reviews().is_empty(), "it waits");
        call.answered().then_some(())
    })
    .unwrap();
    assert_eq!(call.outcome().rows(), 1);
}

/// Waits for people.
#[track_caller]
fn waits(world: &World) -> Review {
    let (call, review) = world.paused(WRITE);
    call.leave();
    world.ada().withdraw(&review).ok();
    review
}

#[test]
fn it_counts_for_others_and_never_for_who_declared_it() {
    let mut world = Plan::default().only_policies(AT_ONCE).start();
    waits(&world);
    // the owner of the agent
    let own = declare(world.ada(), "my migration is stuck", 3_600).ok();
    assert_eq!(own["declared_by"], "ada");
    waits(&world);
    let told = world.until_recorded("it", |leaf| leaf["kind"] == "incident.declared");
    assert!(!told.to_string().contains("stuck"), "the record holds the reason's hash: {told}");
    world.until_recorded("the alarm", |leaf| leaf["kind"] == "system.alarm" && leaf["code"] == "incident_declared");
    // somebody else
    let other = declare(world.dora(), "orders are down", 3_600).ok();
    runs(&world);
    declare(world.dora(), "again", 60).refused(409, "incident_declared");
    world.gateway.kill();
    world.gateway.start();
    assert_eq!(going_on(&world).len(), 2, "it survives");
    runs(&world);
    end(world.finn(), &other).ok();
    waits(&world);
    end(world.finn(), &other).refused(404, "not_found");
    end(world.dora(), &own).ok();
    assert!(going_on(&world).is_empty());
    let ended = world.until_recorded("its end", |leaf| leaf["kind"] == "incident.ended");
    assert!(ended["by"].is_string(), "{ended}");
    // who is suspended has declared nothing
    declare(world.dora(), "orders are down again", 3_600).ok();
    runs(&world);
    world.gateway.administer(&["person", "suspend", "dora"]);
    waits_by_finn(&world);
    world.verify().success("verify").unwrap();
}

/// The same while dora, who usually looks, is suspended.
fn waits_by_finn(world: &World) {
    let mut call = world.send(Client::Psql, "write", Some(WRITE));
    let open = wait_until("a review to open", SOON, || world.finn().open_reviews().pop()).unwrap();
    assert!(!call.answered());
    call.leave();
    world.ada().withdraw(&open).ok();
}

#[test]
fn only_reviewers_declare_and_for_a_time() {
    let world = Plan::default().only_policies(AT_ONCE).start();
    let dora = world.dora();
    declare(&world.api(&world.key), "let me", 60).refused(403, "forbidden");
    world.gateway.administer(&["person", "add", "otto", "--email", "otto@example.org"]);
    declare(&world.token("otto"), "in no group", 60).refused(403, "forbidden");
    let reader = world.gateway.administer(&["person", "token", "create", "dora", "--scope", "review:read"]);
    declare(&world.api(&reader), "only reads", 60).refused(403, "forbidden");
    declare(dora, " ", 60).refused(400, "reason_invalid");
    declare(dora, &"x".repeat(2_001), 60).refused(400, "reason_invalid");
    for seconds in [0, 4 * 3_600 + 1] {
        declare(dora, "too long", seconds).refused(400, "bad_request");
    }
    let refused = world.until_recorded("a refusal", |leaf| leaf["kind"] == "incident.refused");
    assert_eq!((&refused["what"], &refused["code"]), (&json!("declare"), &json!("forbidden")));
    assert!(going_on(&world).is_empty());
    waits(&world);
    // it ends by itself
    declare(dora, "for a moment", 5).ok();
    runs(&world);
    wait_until("its end", SOON, || going_on(&world).is_empty().then_some(())).unwrap();
    let ended = world.until_recorded("its end", |leaf| leaf["kind"] == "incident.ended");
    assert!(ended["by"].is_null(), "{ended}");
    waits(&world);
    // at the command line
    let said = |args: &[&str]| world.gateway.as_person(dora.token(), args);
    assert!(said(&["incident", "declare", "--reason", "x", "--for", "5h"]).stderr.contains("bad_request"));
    said(&["incident", "declare", "--reason", "orders are down", "--for", "2h"]).success("declare").unwrap();
    let listed = said(&["incident", "list"]).success("list").unwrap();
    assert!(listed.contains("dora") && listed.contains("orders are down"), "{listed}");
    runs(&world);
    said(&["incident", "end"]).success("end").unwrap();
    waits(&world);
}

/// What one DBA approved in an incident does not run after it; a signature of the glass by who declared it breaks nothing.
#[test]
fn what_was_let_through_because_of_one_does_not_run_after_it() {
    let world = Plan::default().only_policies(guide()).start();
    let incident = declare(world.finn(), "orders are down", 3_600).ok();
    let (call, review) = world.paused(WRITE);
    call.leave();
    assert_eq!(world.dora().approve(&review).ok()["state"], "approved");
    end(world.dora(), &incident).ok();
    let (call, again) = world.paused(WRITE);
    assert_ne!(again.id(), review.id());
    let voided = world.until_recorded("the voiding", |leaf| leaf["kind"] == "grant.revoked");
    assert_eq!(voided["reason"], "policy now asks for more");
    assert_eq!(world.truth(ROW), "200");

    // who declared one does not get to break the glass by it
    let body =
        json!({"reason": "quick", "action_digest": again.0["action_digest"], "card_digest": again.0["card_digest"]});
    let glass = format!("/api/v1/reviews/{}/break-glass", again.id());
    world.dora().post(&glass, &body).refused(403, "forbidden");
    declare(world.dora(), "it burns", 3_600).ok();
    world.dora().post(&glass, &body).refused(403, "forbidden");
    // what was asked before the incident goes on asking for two
    assert_eq!(world.finn().approve(&again).ok()["state"], "open");
    assert_eq!(world.dora().approve(&again).ok()["state"], "approved");
    assert_eq!(call.outcome().rows(), 1);
}

#[test]
fn every_page_says_so() {
    let world = Plan::default().only_policies(AT_ONCE).start();
    let dora = Browser::sign_in(&world, "dora");
    let ada = Browser::sign_in(&world, "ada");
    assert!(!dora.get("/").text.contains("orders are down"));
    let form = [("reason", "orders are <b>down"), ("time", "1h")];
    assert_eq!(dora.submit("/incidents", "/incidents", &form).status, 303);
    for page in ["/", "/incidents", "/history", "/me", "/policies"] {
        for who in [&dora, &ada] {
            let text = who.get(page).text;
            assert!(
                text.contains("orders are &lt;b&gt;down") || text.contains("orders are &#60;b&#62;down"),
                "{page}: {text}"
            );
        }
    }
    let mut browser = Chromium::start(&world);
    browser.sign_in(&world, "finn", json!({}));
    browser.open("finn", "/incidents");
    browser.until("finn", ".incident:has-text('orders are')");
    browser.inspect("finn", "incidents");
    let id = going_on(&world)[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(ada.submit("/incidents", &format!("/incidents/{id}/end"), &[]).status, 303);
    assert!(!dora.get("/").text.contains("orders are"));
}
