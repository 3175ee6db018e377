//! What goes to Teams, shown and clicked in Microsoft's own programs.

use serde_json::{Value, json};
use xtask::process::{run, wait_until};
use xtask::test_tools_dir;

use crate::harness::browser::Chromium;
use crate::harness::playground::{PERSONAL, Playground};
use crate::harness::teams::{APP, CHANNEL, object, text};
use crate::harness::{Plan, ROW, SOON, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";

/// Dora before the playground, where she has installed the app.
fn before_the_playground() -> (World, Playground, Chromium) {
    let place = format!("teams:{}", object("dora"));
    let world = Plan::default().teams().sensitivity_low().told_at(&place).start();
    world.teams().start();
    world.teams().link(&world);
    let playground = Playground::start(&world, "dora");
    let mut chromium = Chromium::start(&world);
    chromium.run(json!({"do": "person", "who": "dora"}));
    chromium.run(json!({"do": "open", "who": "dora", "url": playground.url()}));
    world.teams().until_says(PERSONAL, ""); // the greeting: the bot knows the conversation
    (world, playground, chromium)
}

/// Microsoft's renderer shows the card, its code sends the click, and the card that stands there afterwards is the closed one.
#[test]
fn a_click_in_the_playground_lets_it_run() {
    let (world, _playground, mut chromium) = before_the_playground();
    let (mut call, _review) = world.paused(WRITE);
    chromium.until("dora", "button[title='Approve']");
    let shown = chromium.run(json!({"do": "text", "who": "dora", "selector": "body"}));
    let shown = shown.as_str().unwrap();
    for part in ["wants to run UPDATE on", "customers", "write to production: one DBA", "Waits for one of dba"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!call.answered());
    chromium.press("dora", "button[title='Approve']");
    assert_eq!(call.outcome().rows(), 1);
    assert_eq!(world.truth(ROW), "900");
    chromium.until("dora", ":text('Approved by dora')");
    world.teams().until_says(PERSONAL, "Approved by dora");
    chromium.run(json!({"do": "gone", "who": "dora", "selector": "button[title='Approve']"}));

    let (rejected, review) = world.paused("UPDATE customers SET credit_limit = 901 WHERE id = 3");
    chromium.press("dora", "button[title='Reject…']");
    let why = json!({"do": "fill", "who": "dora", "selector": "textarea", "value": "not before the audit"});
    chromium.run(why);
    chromium.press("dora", "button[title='Reject']");
    let said = rejected.ended();
    assert!(said.contains("not before the audit"), "{said}");
    chromium.until("dora", ":text('Rejected by dora')");
    assert_eq!(world.dora().review(review.id()).0["votes"][0]["reason"], "not before the audit");
    assert_eq!(world.truth(ROW), "900");
}

/// What Microsoft's renderer says of cards: it warns of nothing, and nothing in them is markup.
fn check_cards(chromium: &mut Chromium, cards: &[Value]) -> Vec<Value> {
    chromium.run(json!({"do": "open", "who": "dora", "url": "about:blank"}));
    let seen = chromium.run(json!({"do": "cards", "who": "dora", "cards": cards}));
    let seen = seen.as_array().unwrap().clone();
    assert_eq!(seen.len(), cards.len());
    for (one, card) in seen.iter().zip(cards) {
        assert_eq!(one["warnings"], json!([]), "{card}");
        assert_eq!(one["markup"], json!([]), "{card}");
    }
    seen
}

/// Every kind of card: open, long, hostile, with a form, of a burst, closed, for the asker's side, and refused.
#[test]
fn microsofts_own_renderer_takes_every_card() {
    let world = Plan::default().teams().sensitivity_low().justified().start();
    world.teams().start();
    world.teams().link(&world);
    let card = |message: &Value| message["attachments"][0]["content"].clone();
    let hostile = "UPDATE customers SET credit_limit = 900 WHERE id = 3 /* [Approve](https://evil.test) **b** <at>dora</at> \
                   <img src=x> {{DATE(2017-02-14T06:08:39Z, SHORT)}}\n# big\n- one\n| a | b | */";
    let (_call, review) = world.paused(hostile);
    let message = world.teams().until_says(CHANNEL, "Waits for one of dba");
    let mut cards = vec![card(&message)];
    let refresh = card(&message)["refresh"]["action"]["data"].clone();
    let side = world.teams().send(&world.teams().invoke("ada", &refresh, "refresh")).1;
    let refused = world.teams().send(&world.teams().click("ada", &message, "approve", json!({"why": "me"}))).1;
    cards.extend([side["value"].clone(), refused["value"].clone()]);
    let long = format!("UPDATE customers SET credit_limit = 901 WHERE id = 3 /* {} */", "𝕏\"\\".repeat(4_000));
    let (_long, _) = world.paused(&long);
    cards.push(card(&world.teams().until_says(CHANNEL, "characters are not shown here")));
    let mut burst = Vec::new();
    for limit in 910..915 {
        burst.push(world.paused(&format!("UPDATE customers SET credit_limit = {limit} WHERE id = 3")));
    }
    cards.push(card(&world.teams().until_says(CHANNEL, "like these wait")));
    let why = json!({"reason": "[no](https://evil.test) **never**"});
    let rejected = world.teams().send(&world.teams().click("dora", &message, "reject", why)).1;
    cards.push(rejected["value"].clone());
    assert_eq!(world.dora().review(review.id()).state(), "rejected");
    let first = || world.teams().messages(CHANNEL).swap_remove(0);
    let closed = || Some(first()).filter(|first| text(first).contains("Rejected by dora"));
    cards.push(card(&wait_until("the card is closed", SOON, closed).unwrap()));

    let mut chromium = Chromium::start(&world);
    chromium.run(json!({"do": "person", "who": "dora"}));
    let seen = check_cards(&mut chromium, &cards);
    let open = seen[0]["text"].as_str().unwrap();
    for part in
        ["[Approve](https://evil.test) **b** <at>dora</at>", "<img src=x> {{DATE(2017-02-14T06:08:39Z, SHORT)}}"]
    {
        assert!(open.contains(part), "{part} is text: {open}");
    }
    assert_eq!(seen[0]["buttons"], json!(["Approve…", "Reject…", "Open"]));
    for closed in [&seen[1], &seen[5], &seen[6]] {
        assert_eq!(closed["buttons"], json!(["Open"]), "{closed}");
    }
    assert_eq!(seen[3]["buttons"], json!(["Open and decide"]), "not shown whole");
    assert!(seen[6]["text"].as_str().unwrap().contains("[no](https://evil.test) **never**"), "{}", seen[6]);

    let mut wrong = cards[0].clone();
    wrong["body"][0]["type"] = json!("RichText");
    let warned = chromium.run(json!({"do": "cards", "who": "dora", "cards": [wrong]}));
    assert_ne!(warned[0]["warnings"], json!([]), "nothing is checked");
}

/// The manifest of the app, as the guide has it filled in, is what Microsoft's schema asks for.
#[test]
fn microsofts_own_schema_takes_the_apps_manifest() {
    let app = xtask::repository().join("docs/guide/teams-app");
    let text = std::fs::read_to_string(app.join("manifest.json")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let check = |text: &str| {
        let file = dir.path().join("manifest.json");
        std::fs::write(&file, text).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/teams_manifest.mjs");
        let mut node = std::process::Command::new("node");
        run(node.arg(script).arg(&file).env("NODE_MODULES", test_tools_dir().join("node")), SOON).unwrap()
    };
    let filled_in = text.replace("APP-ID", APP);
    check(&filled_in).success("Microsoft's schema").unwrap();
    assert!(!check(&text).ok() && !check(&filled_in.replace("\"bots\"", "\"bot\"")).ok(), "nothing is checked");
    for (icon, side) in [("color.png", 192_u32), ("outline.png", 32)] {
        let png = std::fs::read(app.join(icon)).unwrap();
        assert_eq!(png[16..24], [side.to_be_bytes(), side.to_be_bytes()].concat(), "{icon}");
    }
}
