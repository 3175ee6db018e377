//! A review that nobody decides is brought before a further group, once, also across a restart; and policy decides who may
//! approve it, as before.

use crate::harness::Plan;
use crate::harness::console::Browser;

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
