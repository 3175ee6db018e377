//! Who decides first, where policy says so.

use crate::harness::console::Browser;
use crate::harness::{Plan, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";

#[test]
fn the_later_group_votes_once_the_first_has_approved() {
    let world: World = Plan::default()
        .policies_beside(
            r#"@id("then-sre") @review("and then one of SRE") @after("production-write")
            forbid (principal, action == Action::"sql:write", resource)
            unless { context.approvals.contains(Quorum::"sre:1") };"#,
        )
        .start();
    world.gateway.administer(&["person", "add", "gil", "--email", "gil@example.org", "--groups", "sre"]);
    let gil = world.token("gil");
    let (mut call, review) = world.paused(WRITE);
    for verdict in ["approve", "reject"] {
        let refused = gil.vote(&review, verdict, "too soon");
        refused.refused(403, "not_your_turn");
        assert!(refused.body["detail"].as_str().unwrap().contains("dba"), "{}", refused.body);
    }
    world.until_vote_refused(review.id(), "not_your_turn");
    let page = format!("/reviews/{}", review.id());
    let window = Browser::sign_in(&world, "gil");
    assert!(window.get(&page).text.contains("others decide first: dba"), "{}", window.get(&page).text);
    assert!(window.get("/").text.contains("Not yet your turn"), "{}", window.get("/").text);

    world.dora().approve(&review).ok();
    assert!(window.get("/").text.contains("You can decide"));
    world.dora().retract(&review).ok();
    gil.approve(&review).refused(403, "not_your_turn");
    world.finn().approve(&review).ok();
    assert!(!call.answered());
    assert_eq!(gil.approve(&review).ok()["state"], "approved");
    call.outcome().rows();
}
