//! Reviewing in the place of somebody who is away.

use serde_json::{Value, json};

use crate::harness::api::{Answer, Api};
use crate::harness::clients::Client;
use crate::harness::console::Browser;
use crate::harness::{Plan, SOON, World};

use xtask::process::wait_until;

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";

/// A world with gil, who is in no group that writes ask.
fn world(plan: Plan) -> (World, Api) {
    let world = plan.start();
    let gil = person(&world, "gil", "sre");
    (world, gil)
}

fn person(world: &World, name: &str, group: &str) -> Api {
    let email = format!("{name}@example.org");
    world.gateway.administer(&["person", "add", name, "--email", &email, "--groups", group]);
    world.token(name)
}

fn give(api: &Api, deputy: &str, days: i64) -> Answer {
    let until = chrono_days(days);
    api.post("/api/v1/duties", &json!({"deputy": deputy, "until": until}))
}

/// So many days from now, as RFC 3339.
fn chrono_days(days: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let at = i64::try_from(now.as_secs()).unwrap() + days * 24 * 60 * 60;
    countersign_core::action::Timestamp::from_seconds(at).to_string()
}

fn listed(api: &Api) -> Vec<Value> {
    api.get("/api/v1/duties").ok()["duties"].as_array().unwrap().clone()
}

#[test]
fn a_deputy_reviews_in_the_place_of_whoever_is_away_and_for_nobody_of_the_requesters_side() {
    let (world, gil) = world(Plan::default());
    let (call, review) = world.paused(WRITE);
    gil.approve(&review).refused(403, "not_a_reviewer");
    give(world.dora(), "dora", 3).refused(400, "bad_request");
    give(world.dora(), "nobody", 3).refused(400, "bad_request");
    give(world.dora(), "gil", 31).refused(400, "bad_request");
    give(world.dora(), "gil", -1).refused(400, "bad_request");
    let foreign = json!({"deputy": "gil", "groups": ["sre"], "until": chrono_days(3)});
    world.dora().post("/api/v1/duties", &foreign).refused(400, "bad_request");
    world.api(&world.key).post("/api/v1/duties", &foreign).refused(403, "forbidden");

    // the agent's owner gives what is nobody's to give
    give(world.ada(), "gil", 3).ok();
    gil.approve(&review).refused(403, "not_a_reviewer");
    // what was given to ada by somebody else makes her no approver of her own agent's action
    let given = give(world.dora(), "ada", 3).ok();
    world.ada().approve(&review).refused(403, "self_approval");
    let path = format!("/api/v1/duties/{}", given["id"].as_str().unwrap());
    gil.delete(&path).refused(404, "not_found");
    assert_eq!(world.ada().delete(&path).status, 204);

    let duty = give(world.dora(), "gil", 3).ok();
    assert_eq!((&duty["of"], &duty["deputy"], &duty["in_force"]), (&json!("dora"), &json!("gil"), &json!(true)));
    assert_eq!(listed(&gil).len(), 2);
    assert!(listed(world.finn()).is_empty());
    // no chain: what was given to gil is not his to give
    let foreign = json!({"deputy": "finn", "groups": ["dba"], "until": chrono_days(3)});
    gil.post("/api/v1/duties", &foreign).refused(400, "bad_request");
    let browser = Browser::sign_in(&world, "gil");
    let page = browser.get(&format!("/reviews/{}", review.id())).text;
    assert!(page.contains("dba in the place of dora"), "{page}");
    assert!(page.contains("Who can: dora, finn, gil in the place of dora"), "{page}");
    let inbox = browser.get("/").text;
    let mine = inbox.split("id=\"others\"").next().unwrap();
    assert!(mine.contains(&format!("/reviews/{}", review.id())), "it waits for gil: {inbox}");
    let voted = gil.approve(&review).ok();
    assert_eq!(voted["votes"][0]["deputy_for"], json!(["dora"]));
    call.outcome().rows();
    let given = world.until_recorded("the duty", |leaf| leaf["kind"] == "duty.given" && leaf["duty"] == duty["id"]);
    let vote = world.until_recorded("the vote", |leaf| leaf["kind"] == "review.vote");
    assert_eq!((&vote["deputy_for"], &vote["person"]), (&json!([given["of"]]), &given["deputy"]));
}

#[test]
fn one_duty_counts_once() {
    let two = Plan::default().policies_beside(
        r#"@id("two-people") @review("two DBAs")
        forbid (principal, action == Action::"sql:write", resource)
        unless { context.approvals.contains(Quorum::"dba:2") };"#,
    );
    let (world, gil) = world(two);
    give(world.dora(), "gil", 3).ok();
    let (mut call, review) = world.paused(WRITE);
    world.dora().approve(&review).ok();
    assert_eq!(gil.approve(&review).ok()["state"], "open");
    assert!(!call.answered());
    assert_eq!(world.finn().approve(&review).ok()["state"], "approved");
    call.outcome().rows();
}

#[test]
fn what_ends_a_duty_ends_the_votes_by_it() {
    type End = fn(&World, &Api, &str);
    let ends: [(&str, End); 3] = [
        ("its giver ends it", |world, _, id| {
            let said = world.gateway.as_person(world.dora().token(), &["duty", "end", id]);
            said.success("duty end").unwrap();
        }),
        ("its deputy gives it up", |_, gil, id| assert_eq!(gil.delete(&format!("/api/v1/duties/{id}")).status, 204)),
        ("its giver is suspended", |world, _, _| {
            world.gateway.administer(&["person", "suspend", "dora"]);
        }),
    ];
    for (why, end) in ends {
        let (world, gil) = world(Plan::default());
        let args = ["duty", "give", "gil", "--until", &chrono_days(2), "--groups", "dba"];
        let said = world.gateway.as_person(world.dora().token(), &args).success("duty give").unwrap();
        assert!(said.contains("gil reviews for dora (dba)") && said.contains("in force"), "{said}");
        let id = listed(&gil)[0]["id"].as_str().unwrap().to_owned();
        // approved while the client is away, so that the approval waits for it
        let (call, review) = world.paused(WRITE);
        call.leave();
        gil.approve(&review).ok();
        end(&world, &gil, &id);
        let call = world.send(Client::Psql, "write", Some(WRITE));
        let again = wait_until("another review", SOON, || world.finn().open_reviews().pop()).unwrap();
        assert_ne!(again.id(), review.id(), "{why}");
        gil.approve(&again).refused(403, "not_a_reviewer");
        call.leave();
    }
}

#[test]
fn policy_may_forbid_deputies() {
    let strict = Plan::default().policies_beside(
        r#"@id("nobody-for-another") @deny("this takes the person themselves")
        forbid (principal, action == Action::"approve", resource) when { context has deputyFor };"#,
    );
    let (world, gil) = world(strict);
    give(world.dora(), "gil", 3).ok();
    let (call, review) = world.paused(WRITE);
    gil.approve(&review).refused(403, "not_a_reviewer");
    world.dora().approve(&review).ok();
    call.outcome().rows();
}

#[test]
fn the_console_gives_lists_and_ends_duties() {
    let (world, gil) = world(Plan::default());
    let dora = Browser::sign_in(&world, "dora");
    assert!(dora.get("/me").text.contains("While you are away"));
    let day = chrono_days(5)[..10].to_owned();
    let given = dora.submit("/me", "/me/duties", &[("deputy", "gil"), ("from", ""), ("until", &day)]);
    assert_eq!(given.status, 303, "{}", given.text);
    let refused = dora.submit("/me", "/me/duties", &[("deputy", "dora"), ("from", ""), ("until", &day)]);
    assert!(refused.status == 400 && refused.text.contains("their own deputy"), "{}", refused.text);
    assert!(dora.get("/me").text.contains("reviews in your place"));
    assert!(Browser::sign_in(&world, "gil").get("/me").text.contains("You review in the place of"));
    let id = listed(&gil)[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(Browser::sign_in(&world, "finn").submit("/me", &format!("/me/duties/{id}/end"), &[]).status, 404);
    assert_eq!(dora.submit("/me", &format!("/me/duties/{id}/end"), &[]).status, 303);
    assert!(listed(&gil).is_empty());
}
