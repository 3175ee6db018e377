//! What people do with what is theirs, and that nobody makes somebody else answer for an agent, or an approver of their own.

use serde_json::{Value, json};

use crate::harness::clients::Client;
use crate::harness::console::Browser;
use crate::harness::{Plan, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";

fn world() -> World {
    let person = |groups: &[&str]| json!({"groups": groups, "amr": ["mfa"]});
    let people = json!({
        "meg": person(&["admins", "db-approvers"]), "bob": person(&["db-approvers"]), "gil": person(&["db-approvers"]),
        "slow": {"groups": ["db-approvers"], "amr": ["pwd"]},
    });
    Plan::default().identity_provider(people, "admins = [\"admins\"]").start()
}

fn signed_in(world: &World, who: &str) -> Browser {
    let mut browser = Browser::new(world);
    let page = browser.sign_in_with_provider(who);
    assert_eq!(page.status, 200, "{}", page.text);
    browser
}

/// A token that its person made in the console.
fn token(browser: &Browser) -> String {
    let page = browser.submit("/me", "/me/tokens", &[("label", "script"), ("scope", "review:vote"), ("days", "1")]);
    assert_eq!(page.status, 200, "{}", page.text);
    let start = page.text.find("cst_").unwrap_or_else(|| panic!("no token: {}", page.text));
    page.text[start..].split('<').next().unwrap().to_owned()
}

#[test]
fn an_agent_made_for_somebody_does_nothing_until_they_accept_it() {
    let world = world();
    let (meg, bob, gil) = (signed_in(&world, "meg"), signed_in(&world, "bob"), signed_in(&world, "gil"));
    let made = world.api(&token(&meg)).post("/api/v1/agents", &json!({"name": "deployer", "owner": "bob"})).ok();
    assert_eq!(made["waits"], true);
    let login = ("deployer", made["key"].as_str().unwrap());
    let refused = world.send_as(login, Client::Psql, "read").ended();
    assert!(refused.contains("has not accepted"), "{refused}");

    assert!(gil.submit("/me", "/me/agents/deployer/accept", &[]).status == 404, "not hers to accept");
    assert_eq!(bob.submit("/me", "/me/agents/deployer/accept", &[]).status, 303);
    world.until_recorded("the acceptance", |leaf| leaf["what"] == "agent" && leaf["change"] == "accepted");

    let (call, review) = world.paused_as(login, WRITE);
    for (who, browser) in [("its owner", &bob), ("its maker", &meg)] {
        let page = browser.vote(&review, "approve");
        assert!(page.status == 403 && page.text.contains("self_approval"), "{who}: {}", page.text);
    }
    assert_eq!(gil.vote(&review, "approve").status, 303);
    assert_eq!(call.outcome().rows(), 1);
}

#[test]
fn without_the_role_one_makes_agents_for_oneself_only() {
    let world = world();
    let bob = world.api(&token(&signed_in(&world, "bob")));
    signed_in(&world, "gil");
    bob.post("/api/v1/agents", &json!({"name": "x", "owner": "gil"})).refused(403, "forbidden");
    bob.post("/api/v1/agents", &json!({"name": "x", "groups": ["dba"]})).refused(403, "forbidden");
    bob.post("/api/v1/agents", &json!({"name": "not a name"})).refused(400, "bad_request");
    let made = bob.post("/api/v1/agents", &json!({"name": "bobs"})).ok();
    assert_eq!((&made["waits"], &made["owner"]), (&Value::Bool(false), &json!("bob")));
    bob.post("/api/v1/agents", &json!({"name": "bobs"})).refused(409, "name_taken");
    world
        .api(made["key"].as_str().unwrap())
        .post("/api/v1/agents", &json!({"name": "child"}))
        .refused(403, "forbidden");
}

#[test]
fn a_token_that_votes_is_made_from_a_strong_sign_in_and_proves_no_more() {
    let world = world();
    let slow = signed_in(&world, "slow");
    let page = slow.submit("/me", "/me/tokens", &[("label", "x"), ("scope", "review:vote"), ("days", "1")]);
    assert!(page.status == 403 && page.text.contains("second factor"), "{}", page.text);
    let page = slow.submit("/me", "/me/tokens", &[("label", "x"), ("scope", "review:read"), ("days", "9999")]);
    assert_eq!(page.status, 400, "{}", page.text);

    let gil = signed_in(&world, "gil");
    let token = token(&gil);
    let (call, review) = world.paused(WRITE);
    assert!(world.api(&token).approve(&review).accepted());
    assert_eq!(call.outcome().rows(), 1);
    let vote = world.until_recorded("the vote", |leaf| leaf["kind"] == "review.vote");
    assert_eq!((&vote["method"], &vote["mfa"]), (&json!("api"), &json!(true)));
}

#[test]
fn what_one_ends_is_over_and_others_things_are_not_ones_own() {
    let world = world();
    let (gil, bob) = (signed_in(&world, "gil"), signed_in(&world, "bob"));
    let token = token(&gil);
    let page = gil.get("/me").text;
    let ids: Vec<&str> = page.split("/me/credentials/").skip(1).filter_map(|rest| rest.split('/').next()).collect();
    assert_eq!(ids.len(), 2, "a session and a token: {page}");
    for id in &ids {
        assert_eq!(bob.submit("/me", &format!("/me/credentials/{id}/end"), &[]).status, 404, "not his");
    }
    assert_eq!(world.api(&token).get("/api/v1/whoami").status, 200);
    // the token first: what ends a session ends the page that could end more
    let of_token = ids.iter().find(|id| {
        page.split(*id)
            .next()
            .unwrap()
            .rfind("<strong>Token")
            .is_some_and(|at| !page[at..].split(*id).next().unwrap().contains("<strong>Session"))
    });
    assert_eq!(gil.submit("/me", &format!("/me/credentials/{}/end", of_token.unwrap()), &[]).status, 303);
    world.api(&token).get("/api/v1/whoami").refused(401, "unauthenticated");
    let of_session = ids.iter().find(|id| Some(*id) != of_token).unwrap();
    gil.submit("/me", &format!("/me/credentials/{of_session}/end"), &[]);
    assert_eq!(gil.get("/me").status, 401);
}

#[test]
fn an_administrator_ends_things_and_others_do_not() {
    let world = world();
    let (meg, gil) = (signed_in(&world, "meg"), signed_in(&world, "gil"));
    let bob = signed_in(&world, "bob");
    world.api(&token(&bob)).post("/api/v1/agents", &json!({"name": "bobs"})).ok();
    assert_eq!(gil.submit("/me", "/people/bob/suspend", &[]).status, 403);
    assert_eq!(gil.submit("/me", "/people/agents/bobs/revoke", &[]).status, 404);
    assert!(!gil.get("/people").text.contains("/people/bob/suspend"), "no button either");
    assert_eq!(meg.submit("/people", "/people/meg/suspend", &[]).status, 403, "not oneself");
    assert_eq!(meg.submit("/people", "/people/bob/suspend", &[]).status, 303);
    assert_eq!(bob.get("/me").status, 401);
    let page = meg.get("/people").text;
    assert!(page.contains("its owner is suspended") && page.contains("1 agent has an owner"), "{page}");
    assert_eq!(meg.submit("/people", "/people/agents/bobs/revoke", &[]).status, 303);
    assert!(!meg.get("/people").text.contains("its owner is suspended"));
}
