//! What a card hides: nobody is shown it unasked, and nobody approves what it hides without having looked.

use serde_json::json;

use crate::harness::api::{Answer, Api, Review};
use crate::harness::console::Browser;
use crate::harness::raw::{Raw, Reply, batch};
use crate::harness::{Plan, World};

/// Written: the payout account. Deciding: whose.
const PAYOUT: &str = "UPDATE customers SET city = 'DE89370400440532013000' WHERE name = 'mallory@example.org'";
const SECRETS: [&str; 2] = ["DE89370400440532013000", "mallory@example.org"];

/// Writes and settings alike wait for one person.
const SETTINGS_TOO: &str = r#"
@id("permitted")
permit (principal, action, resource);
@id("one-dba")
@review("one DBA")
forbid (principal, action in [Action::"write", Action::"admin"], resource is Database)
unless { context.approvals.contains(Quorum::"dba:1") };
"#;

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

fn looked_at_and_approved(world: &World) {
    let review = world.review_beyond(0);
    world.dora().reveal(&review, &json!([])).ok();
    world.dora().approve(&review).ok();
}

/// What a session set before is part of what would run: it is shown as the statement is, and has to be looked at. Neither the
/// store nor the record keeps its value.
#[test]
fn settings_of_the_session_are_hidden_like_the_rest() {
    let world = Plan::default().only_policies(SETTINGS_TOO).start();
    let mut raw = Raw::login(&world);
    for setting in [format!("SET app.customer = '{}'", SECRETS[1]), "SET app.password = 'plain words'".to_owned()] {
        raw.send(&batch().query(&setting));
        looked_at_and_approved(&world);
        assert!(raw.until_ready().contains(&"C SET".to_owned()), "{setting}");
    }
    raw.send(&batch().query("UPDATE customers SET city = 'Nantes' WHERE id = 3"));
    let review = world.review_beyond(0);
    let settings = &review.0["settings"];
    assert!(settings["app.customer"].as_str().unwrap().contains("‹email 1›"), "{settings}");
    assert_eq!(settings["app.password"], "‹password 1›");
    let hidden = &review.0["hidden"];
    assert_eq!((&hidden[0]["position"], &hidden[0]["column"]), (&json!("setting"), &json!("app.customer")));
    world.dora().approve(&review).refused(409, "not_revealed");
    let revealed = world.dora().reveal(&review, &json!([])).ok();
    assert!(revealed["values"][1]["value"].as_str().unwrap().contains("plain words"), "{revealed}");
    world.dora().approve(&review).ok();
    assert!(raw.until_ready().contains(&"C UPDATE 1".to_owned()));
    let mut kept = Vec::new();
    files(&world.dir.join("data"), &mut kept);
    for (path, bytes) in kept {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("plain words"), "{}", path.display());
        holds_no_secret(&path.display().to_string(), &text);
    }
}

/// An `INSERT` or `COPY` that lists no columns fills the table's own, which the server names.
#[test]
fn a_tables_own_columns_tell_where_a_statement_lists_none() {
    let world = World::start();
    world.truth(
        "CREATE TABLE patients (id integer PRIMARY KEY, gone text, twice integer GENERATED ALWAYS AS (2) STORED,
             surname text, dob date);
         ALTER TABLE patients DROP COLUMN gone;
         GRANT ALL ON patients TO app",
    );
    let (call, review) = world.paused("INSERT INTO patients VALUES (1, DEFAULT, 'Lovelace', '1815-12-10')");
    let statement = review.0["statement"].as_str().unwrap();
    assert!(statement.contains("VALUES (1, DEFAULT, ‹name 1›, ‹birth date 1›)"), "{statement}");
    world.finn().reject(&review, "enough").ok();
    call.outcome().refused("42501");

    let mut raw = Raw::login(&world);
    raw.send(&batch().query("COPY patients FROM STDIN").copy_in(b"1\tLovelace\t1815-12-10\n"));
    let Reply('G', formats) = raw.next() else { panic!("no CopyInResponse") };
    assert_eq!(formats[1..3], [0, 3], "as many fields as the server would announce");
    let review = world.review_beyond(0);
    assert_eq!(review.0["statement_stream"]["sample"], "1\t‹name 1›\t‹birth date 1›\n");
    world.finn().reject(&review, "enough").ok();
}

/// What a routine does now and what it would do are laid side by side, under the placeholders of the card.
#[test]
fn a_replaced_routine_shows_what_changes_in_it() {
    let world = World::start();
    world.truth(
        "CREATE SCHEMA billing;
         CREATE FUNCTION billing.fee(amount numeric) RETURNS numeric LANGUAGE sql AS 'SELECT 0';
         CREATE FUNCTION billing.fee(amount integer) RETURNS numeric LANGUAGE sql AS $$
-- asked for by ada@example.org
SELECT amount * 0.02
$$;
         ALTER FUNCTION billing.fee(integer) OWNER TO app;
         GRANT ALL ON SCHEMA billing TO app",
    );
    let (call, review) = world.paused(
        "CREATE OR REPLACE FUNCTION billing.fee(amount int) RETURNS numeric LANGUAGE sql AS $$
-- asked for by mallory@example.org
SELECT amount * 0.20
$$",
    );
    let expected = json!([
        "  ",
        "- -- asked for by ‹email 2›",
        "- SELECT amount * 0.02",
        "+ -- asked for by ‹email 1›",
        "+ SELECT amount * 0.20",
    ]);
    assert_eq!(review.0["replaces"], expected);
    let page = Browser::sign_in(&world, "dora").get(&format!("/reviews/{}", review.id())).text;
    assert!(page.contains("<del>- SELECT amount * 0.02</del>"), "{page}");
    let card = world.gateway.as_person(world.dora().token(), &["review", "show", review.id()]);
    assert!(card.stdout.contains("+ SELECT amount * 0.20"), "{}", card.stdout);
    for asks in [world.ada(), &world.api(&world.key)] {
        assert_eq!(asks.review(review.id()).0["replaces"], json!([]), "policy may not let them read what stands now");
    }
    let own = Browser::sign_in(&world, "ada").get(&format!("/reviews/{}", review.id())).text;
    assert!(!own.contains("0.02"), "{own}");
    world.finn().reject(&review, "ten times too much").ok();
    call.outcome().refused("42501");
}
