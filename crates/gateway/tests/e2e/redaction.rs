//! What a card hides: nobody is shown it unasked, and nobody approves what it hides without having looked.

use serde_json::json;

use crate::harness::api::{Answer, Api, Review};
use crate::harness::console::Browser;
use crate::harness::{Plan, World};

/// Written: the payout account. Deciding: whose.
const PAYOUT: &str = "UPDATE customers SET city = 'DE89370400440532013000' WHERE name = 'mallory@example.org'";
const SECRETS: [&str; 2] = ["DE89370400440532013000", "mallory@example.org"];

impl Api {
    fn compare(&self, review: &Review, mark: &str, expected: &str) -> Answer {
        self.post(&format!("/api/v1/reviews/{}/compare", review.id()), &json!({ "mark": mark, "expected": expected }))
    }
}

fn holds_no_secret(what: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{what}: {text}");
    }
}

/// Every file below a directory, as bytes.
fn files(dir: &std::path::Path, found: &mut Vec<(std::path::PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => files(&entry.path(), found),
            false if !entry.file_type().unwrap().is_file() => {} // a socket
            false => found.push((entry.path(), std::fs::read(entry.path()).unwrap())),
        }
    }
}

#[test]
fn what_is_hidden_and_decides_is_looked_at_before_it_is_approved() {
    let world = World::start();
    let (call, review) = world.paused(PAYOUT);
    holds_no_secret("the API", &review.0.to_string());
    assert!(review.0["statement"].as_str().unwrap().contains("city = ‹iban 1› WHERE name = ‹email 1›"), "{}", review.0);
    let written = json!({"mark": "iban 1", "position": "written", "column": "city", "must_look": true});
    let deciding = json!({"mark": "email 1", "position": "predicate", "column": "name", "must_look": true});
    assert_eq!(review.0["hidden"], json!([written, deciding]));

    let refused = world.dora().approve(&review);
    refused.refused(409, "not_revealed");
    assert!(refused.body["detail"].as_str().unwrap().contains("‹iban 1›, ‹email 1›"), "{}", refused.body);
    let revealed = world.dora().reveal(&review, &json!(["iban 1"])).ok();
    assert_eq!(revealed["values"][0]["value"], SECRETS[0]);
    world.dora().approve(&review).refused(409, "not_revealed");
    world.dora().compare(&review, "email 1", "ada@example.org").ok();
    world.dora().approve(&review).refused(409, "not_revealed");
    assert_eq!(world.dora().compare(&review, "email 1", SECRETS[1]).ok(), json!({"mark": "email 1", "equal": true}));
    world.finn().approve(&review).refused(409, "not_revealed"); // each for themselves
    assert_eq!(world.dora().approve(&review).ok()["state"], "approved");
    assert_eq!(call.outcome().rows(), 0);
    world.dora().reveal(&review, &json!([])).refused(409, "review_closed");

    world.until_recorded("the end", |leaf| leaf["kind"] == "review.closed");
    let looked = world.until_recorded("the look", |leaf| leaf["kind"] == "review.revealed");
    assert_eq!((&looked["marks"], &looked["count"]), (&json!(["iban 1"]), &json!(1)));
    assert_eq!(world.count_recorded(|leaf| leaf["kind"] == "review.compared"), 2);
    assert_eq!(world.count_recorded(|leaf| leaf["kind"] == "review.refused" && leaf["code"] == "not_revealed"), 4);
    let mut kept = Vec::new();
    files(&world.dir.join("data"), &mut kept);
    assert!(kept.len() > 3, "{kept:?}");
    for (path, bytes) in kept {
        holds_no_secret(&path.display().to_string(), &String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn nobody_looks_who_could_not_decide() {
    let world = World::start();
    let (call, review) = world.paused(PAYOUT);
    world.gateway.administer(&["person", "add", "eve", "--email", "eve@example.org", "--groups", "sre"]);
    let agent = world.api(&world.key);
    for (who, api, code) in [
        ("the requester's owner", world.ada(), "self_approval"),
        ("the requester", &agent, "self_approval"),
        ("somebody who was not asked", &world.token("eve"), "not_a_reviewer"),
    ] {
        for answer in [api.reveal(&review, &json!([])), api.compare(&review, "iban 1", SECRETS[0])] {
            assert_eq!((answer.status, answer.body["code"].as_str()), (403, Some(code)), "{who}: {}", answer.body);
            holds_no_secret(who, &answer.body.to_string());
        }
    }
    world.dora().reveal(&review, &json!(["iban 2"])).refused(404, "not_found");
    world.dora().reveal(&review, &json!(["iban 1", "iban 2"])).refused(404, "not_found");
    for n in 0..5 {
        let guess = format!("DE{n}");
        assert_eq!(world.dora().compare(&review, "iban 1", &guess).ok()["equal"], false);
    }
    world.dora().compare(&review, "iban 1", SECRETS[0]).refused(429, "compared_too_often");
    world.dora().approve(&review).refused(409, "not_revealed");
    world.finn().reject(&review, "not this account").ok(); // a no needs no look
    assert!(call.outcome().refused("42501").contains("not this account"));
}

#[test]
fn the_console_shows_a_value_once_and_to_its_reader() {
    let world = World::start();
    let (call, review) = world.paused(PAYOUT);
    let (page, dora) = (format!("/reviews/{}", review.id()), Browser::sign_in(&world, "dora"));
    let before = dora.get(&page).text;
    holds_no_secret("the page", &before);
    assert!(before.contains("2 hidden values decide") && before.contains("written to city"), "{before}");
    let different =
        dora.submit(&page, &format!("{page}/compare"), &[("mark", "email 1"), ("expected", "ada@example.org")]);
    assert!(different.text.contains("is not what you expected"), "{}", different.text);
    let shown = dora.submit(&page, &format!("{page}/reveal"), &[]);
    for secret in SECRETS {
        assert!(shown.text.contains(secret), "{}", shown.text);
    }
    holds_no_secret("the page again", &dora.get(&page).text);
    let ada = Browser::sign_in(&world, "ada");
    holds_no_secret("the requester's page", &ada.submit(&page, &format!("{page}/reveal"), &[]).text);
    assert!(!dora.get("/reviews/batch").text.contains(review.id()), "not by one click among others");
    dora.vote(&review, "approve");
    call.outcome().rows();
}

#[test]
fn the_command_line_reveals_and_compares() {
    let world = World::start();
    let (call, review) = world.paused(PAYOUT);
    let cli = |args: &[&str]| world.gateway.as_person(world.dora().token(), args);
    let card = cli(&["review", "show", review.id()]);
    holds_no_secret("the card", &card.stdout);
    assert!(card.stdout.contains("‹iban 1› written to city; reveal or compare it"), "{}", card.stdout);
    let refused = cli(&["review", "approve", review.id()]);
    assert!(refused.stderr.contains("not_revealed"), "{refused:?}");
    let equal = cli(&["review", "compare", review.id(), "‹email 1›", SECRETS[1]]);
    assert!(equal.stdout.contains("what you expected"), "{equal:?}");
    let shown = cli(&["review", "reveal", review.id(), "iban 1"]);
    assert!(shown.stdout.contains(SECRETS[0]) && !shown.stdout.contains(SECRETS[1]), "{shown:?}");
    assert!(cli(&["review", "approve", review.id()]).stdout.contains("approved"));
    call.outcome().rows();
}

#[test]
fn chat_offers_no_click_on_what_has_to_be_looked_at() {
    let mut world = Plan::default().slack().sensitivity_low().start();
    world.slack_mut().start();
    world.slack().link(&world);
    let (mut call, _review) = world.paused(PAYOUT);
    let message = world.slack().until_says("approvals", "Waits for one of dba").to_string();
    holds_no_secret("the message", &message);
    assert!(message.contains("open it to look at them") && message.contains("Open and decide"), "{message}");
    assert!(!message.contains("\"approve\""), "{message}");
    assert!(!call.answered());
}

/// What a target's configuration says holds for the card, for what a pattern offers, and for who has to look.
#[test]
fn a_target_decides_what_its_cards_hide() {
    let world = Plan::default()
        .patterns()
        .redact(r#"show_kinds = ["email"], hide_columns = ["city"], hide = [{ name = "order key", pattern = "ORD-[0-9]{8}" }]"#)
        .start();
    let (call, review) =
        world.paused("UPDATE customers SET city = 'Nantes', name = 'ask ada@example.org: ORD-00000001' WHERE id = 3");
    let statement = review.0["statement"].as_str().unwrap();
    assert!(statement.contains("city = ‹private value 1›, name = 'ask ada@example.org: ‹order key 1›'"), "{statement}");
    let offered = review.0["pattern"]["values"].to_string();
    assert!(offered.contains("‹private value 1›") && !offered.contains("Nantes"), "{offered}");
    let marks: Vec<&str> =
        review.0["hidden"].as_array().unwrap().iter().filter_map(|hidden| hidden["mark"].as_str()).collect();
    assert_eq!(marks, ["private value 1", "order key 1"]);
    world.dora().approve(&review).refused(409, "not_revealed");
    world.dora().reveal(&review, &json!([])).ok();
    world.dora().approve(&review).ok();
    call.outcome().rows();
}

/// Names have no format: they are known by their columns, in parameters and in JSON as well, and so is a stated reason known by
/// what stands in it.
#[test]
fn columns_and_keys_tell_what_has_no_format() {
    let world = World::start();
    let (call, review) = world.paused(
        "/* reason: asked by ada@example.org */ UPDATE customers SET name = '{\"surname\": \"Lovelace\", \"plan\": \"pro\"}' \
         WHERE id = 3 AND name <> 'ada@example.org'",
    );
    let statement = review.0["statement"].as_str().unwrap();
    assert!(statement.contains(r#"'{"surname": "‹name 1›", "plan": "pro"}'"#), "{statement}");
    assert!(
        statement.contains("/* reason: asked by ‹email 1› */") && statement.contains("name <> ‹email 1›"),
        "{statement}"
    );
    assert_eq!(review.0["reason"], "asked by ‹email 1›", "one placeholder for one value, wherever it stands");
    world.finn().reject(&review, "enough").ok();
    call.outcome().refused("42501");
}
