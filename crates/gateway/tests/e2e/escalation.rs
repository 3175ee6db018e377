//! A review that nobody decides is brought before a further group, once, also across a restart; and policy decides who may
//! approve it, as before.

use serde_json::Value;

use crate::harness::Plan;
use crate::harness::console::Browser;
use crate::harness::pager::Pager;

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";

/// Writes wait for a DBA or an SRE, and are brought before the SREs after three seconds.
const ESCALATING: &str = r#"
@id("reads") permit (principal, action in [Action::"sql:read", Action::"sql:session"], resource);
@id("writes") permit (principal, action == Action::"sql:write", resource);
@id("one") @review("a DBA or an SRE") @escalate("3s: sre")
forbid (principal, action == Action::"sql:write", resource)
unless { context.approvals.contains(Quorum::"dba:1") || context.approvals.contains(Quorum::"sre:1") };
@id("reviewers") permit (principal, action == Action::"approve", resource);
"#;

#[test]
fn what_waits_too_long_is_escalated_once() {
    let mut world = Plan::default().only_policies(ESCALATING).start();
    world.gateway.administer(&["person", "add", "sam", "--email", "sam@example.org", "--groups", "sre"]);
    let (sam, browser) = (world.token("sam"), Browser::sign_in(&world, "sam"));
    let (call, review) = world.paused(WRITE);
    let escalated = world.until_recorded("the escalation", |leaf| leaf["kind"] == "review.escalated");
    assert_eq!((&escalated["review"], &escalated["group"]), (&review.id().into(), &"sre".into()));
    let inbox = browser.get("/").text;
    assert!(inbox.contains("Escalated to") && inbox.contains("You can decide"), "{inbox}");
    drop(call);
    world.gateway.kill();
    world.gateway.start();
    let shown = sam.review(review.id());
    assert_eq!((&shown.0["escalations"][0]["group"], &shown.0["next_escalation"]), (&"sre".into(), &().into()));
    let again = world.send(crate::harness::clients::Client::Psql, "write", Some(WRITE));
    world.ada().approve(&shown).refused(403, "self_approval");
    sam.approve(&shown).ok();
    assert_eq!(again.outcome().rows(), 1);
    assert_eq!(world.count_recorded(|leaf| leaf["kind"] == "review.escalated"), 1);
    world.verify().success("verify").unwrap();
}

/// On call are paged when it is escalated to them, once each at PagerDuty and at Opsgenie, and let go when it is decided.
#[test]
fn an_escalation_opens_an_incident_and_the_decision_resolves_it() {
    let mut world = Plan::default().only_policies(ESCALATING).webhook().prepare();
    let (duty, genie) =
        (Pager::start("pagerduty", world.sweeper.clone()), Pager::start("opsgenie", world.sweeper.clone()));
    let file = world.dir.join("countersign.toml");
    let configuration = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, configuration + &duty.configuration("duty") + &genie.configuration("genie")).unwrap();
    world.gateway.start();
    world.enrol(&[]);
    duty.service.answers(503); // it is told again until it takes it
    let (call, review) = world.paused(WRITE);
    duty.service.until("trigger");
    duty.service.answers(202);
    let first = |pager: &Pager, words: &str| -> Value {
        serde_json::from_str(pager.service.until(words)["body"].as_str().unwrap()).unwrap()
    };
    let trigger = first(&duty, "trigger");
    assert_eq!((&trigger["dedup_key"], &trigger["payload"]["severity"]), (&review.id().into(), &"critical".into()));
    assert_eq!(trigger["payload"]["custom_details"]["escalated"], serde_json::json!(["sre"]), "{trigger}");
    assert!(trigger["links"][0]["href"].as_str().unwrap().ends_with(&format!("/reviews/{}", review.id())));
    let alert = first(&genie, "alias");
    assert_eq!((&alert["alias"], &alert["priority"]), (&review.id().into(), &"P1".into()), "{alert}");
    world.dora().approve(&review).ok();
    assert_eq!(call.outcome().rows(), 1);
    let resolve = first(&duty, "resolve");
    assert_eq!(
        resolve,
        serde_json::json!({"routing_key": "a-key", "event_action": "resolve", "dedup_key": review.id()})
    );
    let escalated = world.receiver().until("review.escalated");
    assert!(escalated["body"].as_str().unwrap().contains(review.id()), "who hears of all hears of it as well");
}
