//! What people approve for more than once: the like of it runs without asking again, and nothing else does.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::api::{Answer, Api, Review};
use crate::harness::browser::Chromium;
use crate::harness::clients::Client;
use crate::harness::console::Browser;
use crate::harness::{Plan, SOON, World};
use crate::names::script;
use crate::passkeys::others_agree;
use xtask::process::wait_until;

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";

fn like(id: u32) -> String {
    format!("UPDATE customers SET credit_limit = 900 WHERE id = {id}")
}

fn vote(api: &Api, review: &Review, pattern: &Value) -> Answer {
    let body = json!({
        "verdict": "approve",
        "pattern": pattern,
        "action_digest": review.0["action_digest"],
        "card_digest": review.0["card_digest"],
    });
    api.post(&format!("/api/v1/reviews/{}/votes", review.id()), &body)
}

fn ids(range: &str) -> Value {
    json!({"values": {"2": range}})
}

/// A world with a pattern: the credit limit of 900 for customers 1 to 4, of whom number 3 has it.
fn with_pattern() -> (World, String) {
    let world = Plan::default().patterns().start();
    let (call, review) = world.paused(WRITE);
    vote(world.dora(), &review, &ids("1..4")).ok();
    call.outcome().rows();
    let id = only(&world)["id"].as_str().unwrap().to_owned();
    (world, id)
}

fn active(world: &World) -> Vec<Value> {
    world.dora().get("/api/v1/patterns").ok()["patterns"].as_array().unwrap().clone()
}

fn only(world: &World) -> Value {
    let found = active(world);
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

/// Runs at once: without a review.
fn runs(world: &World, sql: &str) {
    let mut call = world.send(Client::Psql, "write", Some(sql));
    wait_until("it to run", SOON, || {
        assert!(world.dora().open_reviews().is_empty(), "{sql} waits");
        call.answered().then_some(())
    })
    .unwrap();
    call.outcome().rows();
    assert_eq!(world.dora().open_reviews().len(), 0, "{sql}");
}

/// Waits for people as ever.
fn waits(world: &World, sql: &str) -> Review {
    let (call, review) = world.paused(sql);
    call.leave();
    world.ada().withdraw(&review).ok();
    review
}

fn limits(world: &World) -> String {
    world.truth("SELECT string_agg(credit_limit::text, ' ' ORDER BY id) FROM customers WHERE id <= 5")
}

#[test]
fn the_like_of_it_runs_within_its_bounds_and_nothing_else_does() {
    let world = Plan::default().patterns().start();
    world.truth("CREATE SCHEMA mine; CREATE TABLE mine.customers AS TABLE customers; ALTER SCHEMA mine OWNER TO app; ALTER TABLE mine.customers OWNER TO app");
    let (call, review) = world.paused(WRITE);
    let offer = &review.0["pattern"];
    assert_eq!(offer["text"], "UPDATE customers SET credit_limit = ‹1› WHERE id = ‹2›", "{}", review.0);
    assert_eq!((&offer["uses_max"], &offer["seconds_max"]), (&json!(3), &json!(3_600)));
    assert_eq!(offer["values"][1], json!({"number": 2, "value": "3", "range": true, "any": false}));
    for (pattern, word) in [
        (ids("4..9"), "must hold"),
        (ids("any"), "cannot be let free"),
        (json!({"values": {"7": "same"}}), "no value 7"),
        (json!({"uses": 4}), "at most 3"),
        (json!({"seconds": 3_601}), "3600 seconds"),
    ] {
        let refused = vote(world.dora(), &review, &pattern);
        refused.refused(403, "pattern_refused");
        assert!(refused.body["detail"].as_str().unwrap().contains(word), "{}", refused.body);
    }
    vote(world.dora(), &review, &ids("4")).refused(400, "bad_request");
    vote(world.ada(), &review, &ids("1..4")).refused(403, "self_approval");
    let voted = vote(world.dora(), &review, &ids("1..4")).ok();
    assert_eq!(
        voted["votes"][0]["pattern"],
        json!({"values": {"1": "same", "2": "1..4"}, "uses": 3, "seconds": 3_600})
    );
    call.outcome().rows();

    runs(&world, &like(1));
    for other in [
        "UPDATE customers SET credit_limit = 901 WHERE id = 2",
        "UPDATE customers SET credit_limit = 900 WHERE id = 5",
        "UPDATE customers SET credit_limit = 900 WHERE id <= 2",
        "UPDATE customers SET credit_limit = 900 WHERE id = 2 OR id = 1",
        "UPDATE customers SET credit_limit = 900 WHERE id = 2 /* the same */",
        "UPDATE mine.customers SET credit_limit = 900 WHERE id = 2",
        "UPDATE customers SET credit_limit = 900 WHERE id = 2; UPDATE customers SET credit_limit = 900 WHERE id = 2",
    ] {
        waits(&world, other);
    }
    // by the same text another table, another time, or after something that nobody saw
    for (before, why) in [
        ("SET search_path = mine, public", "search path"),
        ("SET TimeZone = 'Asia/Tokyo'", "another setting"),
        ("CREATE TEMPORARY TABLE customers AS SELECT 1 AS id, 2 AS credit_limit", "a temporary table"),
    ] {
        std::thread::scope(|scope| {
            let two = like(2);
            let client = scope.spawn({
                let (world, two) = (&world, two.clone());
                move || script(world, &[before, &two])
            });
            let mut review = world.review_beyond(0);
            if before.starts_with("CREATE") {
                world.dora().approve(&review).ok();
                world.finn().approve(&review).ok();
                review = world.review_beyond(0);
                assert!(review.0["statement"].as_str().unwrap().starts_with("UPDATE"));
            }
            world.ada().withdraw(&review).ok();
            assert!(client.join().unwrap().stderr.contains("withdrawn"), "{why}");
        });
    }
    let untouched = limits(&world);
    runs(&world, &like(2));
    assert_ne!(limits(&world), untouched);
    waits(&world, &like(4)); // three times: 3, 1, 2
    assert!(active(&world).is_empty());
    let numbers = |world: &World| {
        let leaves = world.leaves();
        leaves
            .iter()
            .filter(|leaf| leaf["kind"] == "pattern.used")
            .map(|leaf| leaf["number"].clone())
            .collect::<Vec<_>>()
    };
    world.until_recorded("the last use", |leaf| leaf["kind"] == "pattern.used" && leaf["number"] == 3);
    assert_eq!(numbers(&world), [1, 2, 3]);
    let vote = world.until_recorded("the vote", |leaf| leaf["kind"] == "review.vote");
    let issued = world.until_recorded("the pattern", |leaf| leaf["kind"] == "pattern.issued");
    assert_eq!(vote["pattern_digest"], issued["pattern_digest"]);
    assert_eq!((&issued["ranges"], &issued["free"], &issued["uses_max"]), (&json!(1), &json!(0), &json!(3)));
    let mut world = world;
    world.gateway.stop();
    world.verify().success("`countersign ledger verify`").unwrap();
}

#[test]
fn it_ends_at_once_when_somebody_ends_it() {
    for who in ["dora", "ada", "the agent", "dora takes her vote back", "the command line"] {
        let (world, id) = with_pattern();
        runs(&world, &like(1));
        let path = format!("/api/v1/patterns/{id}");
        let shown = world.finn().get(&path).ok();
        assert_eq!((&shown["used"], shown["uses"].as_array().map(Vec::len)), (&json!(2), Some(2)), "{shown}");
        world.finn().delete(&path).refused(403, "forbidden");
        match who {
            "dora" => assert_eq!(world.dora().delete(&path).ok()["state"], "revoked"),
            "ada" => assert_eq!(world.ada().delete(&path).ok()["state"], "revoked"),
            "the agent" => assert_eq!(world.api(&world.key).delete(&path).ok()["state"], "revoked"),
            "the command line" => {
                let listed =
                    world.gateway.as_person(world.dora().token(), &["pattern", "list"]).success("list").unwrap();
                assert!(listed.contains(&id) && listed.contains("2 of 3"), "{listed}");
                let shown = world.gateway.as_person(world.dora().token(), &["pattern", "show", &id]);
                assert!(shown.success("show").unwrap().contains("1..4"));
                world.gateway.as_person(world.dora().token(), &["pattern", "revoke", &id]).success("revoke").unwrap();
            }
            _ => {
                let review = shown["review"].as_str().unwrap();
                world.dora().delete(&format!("/api/v1/reviews/{review}/votes")).ok();
            }
        }
        world.dora().delete(&path).refused(409, "review_closed");
        waits(&world, &like(2));
        let revoked = world.until_recorded("the end", |leaf| leaf["kind"] == "pattern.revoked");
        assert!(revoked["pattern"] == id.as_str() && revoked["by"].is_string(), "{revoked}");
    }
}

#[test]
fn a_suspended_approver_or_a_changed_policy_stops_it() {
    let (world, _) = with_pattern();
    let file = world.dir.join("policies/starter.cedar");
    let text = std::fs::read_to_string(&file).unwrap();
    let change = |text: &str| {
        let activated = || world.count_recorded(|leaf| leaf["kind"] == "policy.activated");
        let before = activated();
        std::fs::write(&file, text).unwrap();
        world.until_recorded("the policies", |_| activated() > before);
    };
    change(&text.replace("@pattern(\"3 in 1h\")", ""));
    waits(&world, &like(1));
    change(&text.replace("@pattern(\"3 in 1h\")", "@pattern(\"1 in 1h\")"));
    waits(&world, &like(1)); // one was used
    change(&text);
    runs(&world, &like(1)); // it was never ended
    world.gateway.administer(&["person", "suspend", "dora"]);
    let call = world.send(Client::Psql, "write", Some(&like(2)));
    let review = wait_until("a review", SOON, || world.finn().open_reviews().pop()).unwrap();
    world.finn().approve(&review).ok();
    call.outcome().rows();
    let revoked = world.until_recorded("the end", |leaf| leaf["kind"] == "pattern.revoked");
    assert!(revoked["reason"].as_str().unwrap().contains("no longer approve"), "{revoked}");
}

#[test]
fn two_approvers_get_what_both_chose_and_once_is_once() {
    let world = Plan::default()
        .patterns()
        .policies_beside(
            r#"@id("two-people") @review("two DBAs") @pattern("5 in 30m")
            forbid (principal, action == Action::"sql:write", resource)
            unless { context.approvals.contains(Quorum::"dba:2") };"#,
        )
        .start();
    let (call, review) = world.paused(WRITE);
    assert_eq!((&review.0["pattern"]["uses_max"], &review.0["pattern"]["seconds_max"]), (&json!(3), &json!(1_800)));
    vote(world.dora(), &review, &ids("1..4")).ok();
    let args = ["review", "approve", review.id(), "--pattern", "2=3..9", "--uses", "2", "--for", "10m"];
    world.gateway.as_person(world.finn().token(), &args).success("approve").unwrap();
    call.outcome().rows();
    let pattern = only(&world);
    assert_eq!((&pattern["values"][1]["bound"], &pattern["uses_max"]), (&json!("3..4"), &json!(2)));
    waits(&world, &like(2));
    runs(&world, &like(4));

    let (call, review) = world.paused(&like(5));
    vote(world.dora(), &review, &ids("1..9")).ok();
    world.finn().approve(&review).ok();
    call.outcome().rows();
    assert!(active(&world).is_empty(), "one of them approved it once");
    waits(&world, &like(1));
}

#[test]
fn without_the_annotation_everywhere_there_is_nothing_to_choose() {
    let world = Plan::default()
        .patterns()
        .policies_beside(
            r#"@id("another") @review("another DBA rule")
            forbid (principal, action == Action::"sql:write", resource)
            unless { context.approvals.contains(Quorum::"dba:1") };"#,
        )
        .start();
    let (call, review) = world.paused(WRITE);
    assert!(review.0["pattern"].is_null() && review.0["no_pattern"].is_null());
    vote(world.dora(), &review, &ids("1..4")).refused(403, "pattern_refused");
    world.until_vote_refused(review.id(), "pattern_refused");
    call.leave();
}

#[test]
fn more_rows_than_reviewed_are_rolled_back_each_time() {
    let world = Plan::default().patterns().start();
    world.truth(
        "CREATE TABLE things (id int PRIMARY KEY, kind int, note text); \
         INSERT INTO things SELECT i, i, 'x' FROM generate_series(1, 1000) AS i; \
         ALTER TABLE things OWNER TO app; ANALYZE things",
    );
    let (call, review) = world.paused("UPDATE things SET note = 'y' WHERE kind = 7");
    assert_eq!(review.0["impact"]["rows_max"], 100);
    vote(world.dora(), &review, &json!({"values": {"1": "any", "2": "1..9"}})).ok();
    call.outcome().rows();
    runs(&world, "UPDATE things SET note = 'z' WHERE kind = 8");
    world.truth("UPDATE things SET kind = 9");
    let said = world.send(Client::Psql, "write", Some("UPDATE things SET note = 'q' WHERE kind = 9")).ended();
    assert!(said.contains("approved for at most 100"), "{said}");
    assert_eq!(world.truth("SELECT count(*) FROM things WHERE note = 'q'"), "0");
}

#[test]
fn drivers_that_bind_their_values_fit_a_pattern_too() {
    let world = Plan::default().patterns().start();
    for client in [Client::Psycopg, Client::Asyncpg] {
        let call = world.send(client, "write", None);
        let review = world.review_beyond(0);
        let text = review.0["pattern"]["text"].as_str().unwrap_or_else(|| panic!("{}", review.0)).to_owned();
        assert!(text.contains("$1 is ‹1›, $2 is ‹2›"), "{text}");
        vote(world.dora(), &review, &ids("1..4")).ok();
        call.outcome().rows();
        world.send(client, "write-4", None).outcome().rows();
        assert_eq!(world.dora().open_reviews().len(), 0);
        let pattern = only(&world);
        world.dora().delete(&format!("/api/v1/patterns/{}", pattern["id"].as_str().unwrap())).ok();
    }
}

#[test]
fn the_console_shows_chooses_lists_and_ends_it() {
    let world = Plan::default().patterns().start();
    let dora = Browser::sign_in(&world, "dora");
    let (call, review) = world.paused(WRITE);
    let page = format!("/reviews/{}", review.id());
    let shown = dora.get(&page).text;
    assert!(shown.contains("Approve the like of it too") && shown.contains("‹2›"), "{shown}");
    let digest = |key: &str| review.0[key].as_str().unwrap().to_owned();
    let (action, card) = (digest("action_digest"), digest("card_digest"));
    let fields = [
        ("verdict", "approve"),
        ("reason", ""),
        ("action_digest", action.as_str()),
        ("card_digest", card.as_str()),
        ("like", "yes"),
        ("bound1", "same"),
        ("bound2", "range"),
        ("from2", "2"),
        ("to2", "4"),
        ("uses", "3"),
        ("time", "20m"),
    ];
    assert_eq!(dora.submit(&page, &format!("{page}/vote"), &fields).status, 303);
    call.outcome().rows();
    runs(&world, &like(4));
    let list = dora.get("/patterns").text;
    assert!(list.contains("used 2 of 3 times") && list.contains("2 to 4"), "{list}");
    let id = only(&world)["id"].as_str().unwrap().to_owned();
    let finn = Browser::sign_in(&world, "finn");
    assert!(!finn.get("/patterns").text.contains("End this pattern now"));
    assert_eq!(finn.submit("/me", &format!("/patterns/{id}/revoke"), &[]).status, 403);
    assert_eq!(dora.submit("/patterns", &format!("/patterns/{id}/revoke"), &[]).status, 303);
    assert!(dora.get("/patterns").text.contains("No pattern is active"));
    waits(&world, &like(2));
}

/// The form, the list and the page *You*, in a real browser.
#[test]
fn the_pages_have_no_flaws() {
    let world = Plan::default().patterns().start();
    let mut browser = Chromium::start(&world);
    browser.sign_in(&world, "dora", json!({}));
    let (call, review) = world.paused(WRITE);
    browser.open("dora", &format!("/reviews/{}", review.id()));
    browser.press("dora", "details.like summary");
    browser.until("dora", "details.like[open] input[name=from2]");
    browser.inspect("dora", "review-pattern");
    browser.press("dora", "input[name=like]");
    browser.press("dora", "input[name=bound2][value=range]");
    browser.run(json!({"do": "fill", "who": "dora", "selector": "input[name=from2]", "value": "1"}));
    browser.press("dora", "form.vote button.approve");
    browser.until("dora", ".outcome.approved");
    call.outcome().rows();
    runs(&world, &like(1));
    browser.open("dora", "/patterns");
    browser.until("dora", ".facts:has-text('used 2 of 3 times')");
    browser.inspect("dora", "patterns");
    browser.open("dora", "/me");
    browser.until("dora", "#away");
    browser.inspect("dora", "me-away");
}

/// A passkey signs what may vary with the vote: in the form, for exactly that, and the record proves it.
#[test]
fn a_passkey_signs_a_pattern_and_anyone_can_check_it() {
    let mut world = Plan::default().stepup().patterns().named().start();
    let mut browser = Chromium::start(&world);
    browser.sign_in(&world, "dora", json!({}));
    browser.enrol("dora", "Laptop");
    let (mut call, review) = world.paused(WRITE);
    vote(world.dora(), &review, &ids("1..4")).refused(403, "passkey_required");

    // signed for three customers, sent for four; and for once, sent for a pattern
    let votes = format!("/api/v1/reviews/{}/votes", review.id());
    let body = |pattern: &Value| {
        let (action, card) = (&review.0["action_digest"], &review.0["card_digest"]);
        json!({"verdict": "approve", "pattern": pattern, "action_digest": action, "card_digest": card})
    };
    for signed in [ids("1..3"), Value::Null] {
        let asked = world.dora().post(&format!("{votes}/challenge"), &body(&signed)).ok();
        let mut sent = body(&ids("1..4"));
        sent["assertion"] = browser.sign("dora", &asked["public_key"]);
        world.dora().post(&votes, &sent).refused(409, "challenge_void");
    }
    assert!(!call.answered());

    browser.open("dora", &format!("/reviews/{}", review.id()));
    browser.press("dora", "details.like summary");
    browser.press("dora", "input[name=like]");
    browser.press("dora", "input[name=bound2][value=range]");
    browser.run(json!({"do": "fill", "who": "dora", "selector": "input[name=from2]", "value": "1"}));
    browser.inspect("dora", "review-pattern-signed");
    browser.press("dora", "form.vote button.approve[data-passkey]");
    browser.until("dora", ".outcome.approved");
    call.outcome().rows();
    runs(&world, &like(1));
    let vote = world.until_recorded("the vote", |leaf| leaf["kind"] == "review.vote");
    let issued = world.until_recorded("the pattern", |leaf| leaf["kind"] == "pattern.issued");
    assert!(vote["pattern_digest"].as_str().unwrap().starts_with("sha256:"), "{vote}");
    assert_eq!(vote["signed"]["intent"]["pattern_digest"], vote["pattern_digest"]);
    assert_eq!(issued["pattern_digest"], vote["pattern_digest"]);
    let passkey = vote["signed"]["passkey"].clone();
    let enrolment = world.until_recorded("the enrolment", |leaf| leaf["what"] == "passkey" && leaf["id"] == passkey);
    others_agree(&world, &enrolment, &vote);
    world.gateway.stop();
    let said = world.verify().success("`countersign ledger verify`").unwrap();
    assert!(said.contains("1 signed by passkeys"), "{said}");
}

/// Six who want the two uses that are left have all seen that they are there, and wait for the store to take one: four come too
/// late. They are asked about, as if it had been used up before.
#[test]
fn who_loses_the_race_for_the_last_use_is_asked_about() {
    let (world, _) = with_pattern();
    let store = rusqlite::Connection::open(world.gateway.data_dir().join("countersign.db")).unwrap();
    std::thread::scope(|scope| {
        let client = || scope.spawn(|| script(&world, &["\\! sleep 4", &like(1)]));
        let clients: Vec<_> = std::iter::repeat_with(client).take(6).collect();
        std::thread::sleep(Duration::from_secs(3)); // they are logged in by then
        store.execute_batch("BEGIN IMMEDIATE").unwrap(); // others read, and none writes
        std::thread::sleep(Duration::from_millis(2_500)); // less than the gateway waits for its store
        store.execute_batch("ROLLBACK").unwrap();
        wait_until("the uses that are left", SOON, || active(&world).is_empty().then_some(())).unwrap();
        world.review_beyond(0);
        wait_until("two to run", SOON, || {
            (clients.iter().filter(|client| client.is_finished()).count() >= 2).then_some(())
        })
        .unwrap();
        wait_until("the others to be told", SOON, || {
            for review in world.dora().open_reviews() {
                world.ada().withdraw(&review);
            }
            clients.iter().all(|client| client.is_finished()).then_some(())
        })
        .unwrap();
        let said: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        let ran = said.iter().filter(|said| said.ok()).count();
        let asked = said.iter().filter(|said| said.stderr.contains("withdrawn")).count();
        assert_eq!((ran, asked), (2, 4), "{said:?}");
    });
}
