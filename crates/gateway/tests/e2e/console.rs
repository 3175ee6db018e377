//! The console in a real Chromium: deciding by mouse and by the keyboard alone, two windows that see the same at once, what a
//! page says while the gateway is away, and that every page fits a phone and a wall.

use serde_json::{Value, json};

use crate::harness::browser::Chromium;
use crate::harness::{Plan, ROW, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 950 WHERE id = 3";

/// Every place of the menu, and a person's own pages.
pub(crate) const PAGES: [&str; 20] = [
    "/",
    "/?q=nothing+is+like+this",
    "/history",
    "/activity",
    "/patterns",
    "/follow-ups",
    "/incidents",
    "/targets",
    "/people",
    "/policies",
    "/policies/try",
    "/policies/checks",
    "/record",
    "/evidence",
    "/agents",
    "/settings",
    "/start",
    "/me",
    "/me/passkeys",
    "/reviews/batch",
];

fn world() -> (World, Chromium) {
    let world = World::start();
    let mut browser = Chromium::start(&world);
    for who in ["dora", "finn"] {
        browser.sign_in(&world, who, json!({}));
    }
    (world, browser)
}

fn keys(browser: &mut Chromium, who: &str, keys: &[&str]) {
    browser.run(json!({"do": "keys", "who": who, "keys": keys}));
}

/// What a script in the page finds.
fn seen(browser: &mut Chromium, who: &str, script: &str) -> Value {
    browser.run(json!({"do": "run", "who": who, "script": script}))
}

#[test]
fn the_keyboard_alone_decides_and_another_window_sees_it() {
    let (world, mut browser) = world();
    for who in ["dora", "finn"] {
        browser.open(who, "/");
        browser.until(who, "#live.on");
    }
    let (mut call, review) = world.paused(WRITE);
    for who in ["dora", "finn"] {
        browser.until(who, &format!("#review-{}", review.id()));
    }
    assert_eq!(seen(&mut browser, "dora", "document.title"), "(1) Inbox · Countersign");
    // another person's request changes nothing about where one stands
    keys(&mut browser, "dora", &["j"]);
    let focused = seen(&mut browser, "dora", "document.activeElement.id");
    assert_eq!(focused, format!("review-{}", review.id()));
    keys(&mut browser, "dora", &["a"]);
    browser.until("dora", "form.vote button[value=approve]:focus");
    assert!(!call.answered() && world.dora().review(review.id()).votes() == 0, "a key decides nothing");
    keys(&mut browser, "dora", &["r"]);
    browser.until("dora", "form.vote button[value=reject]:focus");
    keys(&mut browser, "dora", &["a", "Enter"]);
    browser.until("dora", ".outcome.approved");
    call.outcome().rows();
    assert_eq!(world.truth(ROW), "950");
    browser.until("finn", "#inbox .empty");
    assert_eq!(seen(&mut browser, "finn", "document.title"), "Inbox · Countersign");
}

#[test]
fn a_click_rejects_and_says_why() {
    let (world, mut browser) = world();
    let (call, review) = world.paused(WRITE);
    browser.open("finn", &format!("/reviews/{}", review.id()));
    browser.until("finn", "form.vote");
    browser.open("dora", "/");
    browser.press("dora", &format!("#review-{}", review.id()));
    browser.run(json!({"do": "fill", "who": "dora", "selector": "#reason", "value": "not before the audit"}));
    browser.press("dora", "form.vote button[value=reject]");
    browser.until("dora", ".outcome.rejected");
    assert!(call.outcome().refused("42501").contains("not before the audit"));
    browser.until("finn", ".timeline blockquote:has-text('not before the audit')");
    assert_eq!(browser.run(json!({"do": "count", "who": "finn", "selector": "form.vote"})), 0);
    assert_eq!(world.truth(ROW), "200");
}

#[test]
fn a_filter_is_kept_by_what_comes_in_and_keys_can_be_switched_off() {
    let (world, mut browser) = world();
    browser.open("dora", "/");
    browser.until("dora", "#live.on");
    keys(&mut browser, "dora", &["/"]);
    browser.run(json!({"do": "fill", "who": "dora", "selector": "#q", "value": "nowhere"}));
    browser.until("dora", "#inbox[hx-get='/console/inbox?q=nowhere']");
    let (call, review) = world.paused(WRITE);
    browser.until("dora", "#inbox .empty:has-text('Nothing that waits is like that')");
    browser.run(json!({"do": "fill", "who": "dora", "selector": "#q", "value": "CREDIT_limit customers"}));
    browser.until("dora", &format!("#review-{}", review.id()));
    assert!(seen(&mut browser, "dora", "location.search").as_str().unwrap().starts_with("?q=CREDIT_limit"));

    seen(&mut browser, "dora", "document.activeElement.blur()");
    keys(&mut browser, "dora", &["?"]);
    browser.until("dora", "dialog[open]");
    browser.inspect("dora", "keys");
    browser.press("dora", "#keys-on");
    keys(&mut browser, "dora", &["Escape", "j"]);
    assert_eq!(seen(&mut browser, "dora", "document.querySelector('dialog').open"), false);
    assert_eq!(seen(&mut browser, "dora", "Boolean(document.activeElement.closest('.queue'))"), false);
    call.leave();
}

#[test]
fn a_page_says_that_the_session_has_ended() {
    let (_world, mut browser) = world();
    browser.open("dora", "/");
    browser.until("dora", "#live.on");
    let url = seen(&mut browser, "dora", "location.href");
    browser.run(json!({"do": "tabs", "who": "dora", "url": url, "count": 1, "selector": "#live.on"}));
    browser.run(json!({"do": "press_last", "who": "dora", "selector": "form[action='/logout'] button"}));
    browser.until("dora", "#ended:not([hidden])");
    assert_eq!(browser.run(json!({"do": "count", "who": "dora", "selector": "#away[hidden]"})), 1);
}

/// More windows than a browser opens connections; and the one that has the stream goes.
#[test]
fn many_windows_of_one_browser_share_a_stream() {
    let world = Plan::default().named().start(); // locks need a secure context
    let mut browser = Chromium::start(&world);
    browser.sign_in(&world, "dora", json!({}));
    browser.open("dora", "/");
    let url = format!("{}/", world.gateway.page_url());
    browser.run(json!({"do": "tabs", "who": "dora", "url": url, "count": 9, "selector": "#live.on"}));
    let (call, review) = world.paused(WRITE);
    let row = format!("#review-{}", review.id());
    browser.run(json!({"do": "everywhere", "who": "dora", "selector": row}));
    browser.run(json!({"do": "leave_first", "who": "dora"}));
    browser.open("dora", "/");
    world.dora().reject(&review, "no").ok();
    browser.run(json!({"do": "everywhere", "who": "dora", "selector": "#inbox .empty"}));
    call.outcome().refused("42501");
}

#[test]
fn a_page_says_that_the_gateway_is_away_and_when_it_is_back() {
    let (mut world, mut browser) = world();
    browser.open("dora", "/");
    browser.until("dora", "#live.on");
    world.gateway.stop();
    browser.until("dora", "#away:not([hidden])");
    browser.until("dora", "#live:not(.on)");
    world.gateway.start();
    browser.until("dora", "#away[hidden]");
    browser.until("dora", "#live.on");
}

#[test]
fn the_browser_checks_the_record_and_notices_what_was_changed() {
    let (world, mut browser) = world();
    world.until_recorded("the start", |leaf| leaf["kind"] == "system.started");
    browser.open("dora", "/record");
    browser.press("dora", "#verify [data-do=page]");
    browser.until("dora", "#verify .result.good:has-text('under a checkpoint over')");
    browser.inspect("dora", "record-verified");
    let said = browser.run(json!({"do": "text", "who": "dora", "selector": "#verify .result"}));
    assert!(said.as_str().unwrap().contains("keeps no key yet"), "{said}");
    browser.press("dora", "#verify [data-do=keep]");
    browser.press("dora", "#verify [data-do=page]");
    browser.until("dora", "#verify .result.good:has-text('the one that this browser keeps')");

    // what the page shows, the bytes, the proof, and the key, each changed on the way to the browser
    seen(&mut browser, "dora", "document.querySelector('#leaf-0 pre code').textContent += ' '");
    browser.press("dora", "#leaf-0 summary");
    browser.press("dora", "#leaf-0 button");
    browser.until("dora", "#verify .result.bad:has-text('is not what this page shows')");
    for part in ["leaf", "proof"] {
        browser.open("dora", "/record");
        let script = format!(
            "const real = window.fetch; window.fetch = async (url, more) => {{ const answer = await real(url, more);              if (!url.endsWith('/{part}')) return answer; const bytes = new Uint8Array(await answer.arrayBuffer());              bytes[bytes.length - 12] ^= 1; return new Response(bytes); }}; true"
        );
        seen(&mut browser, "dora", &script);
        browser.press("dora", "#leaf-0 summary");
        browser.press("dora", "#leaf-0 button");
        browser.until("dora", "#verify .result.bad");
        let found = browser.run(json!({"do": "text", "who": "dora", "selector": "#verify .result"}));
        assert!(found.as_str().unwrap().starts_with("Not verified: "), "{part}: {found}");
    }
    browser.open("dora", "/record");
    seen(&mut browser, "dora", "localStorage.setItem('countersign.log-key', 'other+00000000+AA==')");
    browser.press("dora", "#verify [data-do=page]");
    browser.until("dora", "#verify .result.bad:has-text('another key')");
}

/// The browser compares the record with what it saw of it the last time, whatever the gateway answers.
#[test]
fn the_browser_notices_a_record_that_did_not_only_grow() {
    let (world, mut browser) = world();
    world.until_recorded("the start", |leaf| leaf["kind"] == "system.started");
    browser.open("dora", "/record");
    browser.until("dora", "#verify .since:has-text('This browser remembers the record')");
    let (call, review) = world.paused(WRITE);
    world.dora().reject(&review, "no").ok();
    call.outcome().refused("42501");
    world.until_recorded("the vote", |leaf| leaf["kind"] == "review.vote");
    let kept = seen(&mut browser, "dora", "localStorage.getItem('countersign.log-head')");
    let tamper = |browser: &mut Chromium, more: Value| {
        let mut command = json!({"do": "tamper", "who": "dora", "path": "/record/since/"});
        command.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        browser.run(command);
    };
    for (way, words) in [
        (json!({"replace": ["^old \\d+\\n.", "$&A"]}), "not the record that this browser saw before"),
        (json!({"replace": ["(^old \\d+\\n[^]{9})...", "$1xyz"]}), "are others now"),
        (json!({"replace": ["^(\\S+)\\n\\d+\\n(\\S{44})$", "$1\n2\n$2"]}), "not signed by this key"),
        (json!({"status": 404}), "fewer entries"),
    ] {
        tamper(&mut browser, way.clone());
        browser.open("dora", "/record");
        browser.until("dora", "#verify .since.bad[role=alert]");
        let said = browser.run(json!({"do": "text", "who": "dora", "selector": "#verify .since"}));
        assert!(said.as_str().unwrap().contains(words), "{way}: {said}");
        assert_eq!(seen(&mut browser, "dora", "localStorage.getItem('countersign.log-head')"), kept, "{way}");
    }
    browser.inspect_quietly("dora", "record-rewritten");
    browser.run(json!({"do": "tamper", "who": "dora"}));
    browser.open("dora", "/record");
    browser.until("dora", "#verify .since.plain:has-text('only grew since this browser last looked')");
    browser.inspect_quietly("dora", "record-grew");
}

/// Whoever asked for notifications and looks elsewhere is told of what waits for them, and of nothing else.
#[test]
fn a_browser_notifies_of_what_waits_for_its_person() {
    let world = World::start();
    let mut browser = Chromium::start(&world);
    for who in ["dora", "ada"] {
        browser.sign_in(&world, who, json!({}));
        browser.open(who, "/");
        browser.run(json!({"do": "notified", "who": who}));
        browser.press(who, "#notify");
        browser.until(who, "#notify[aria-pressed=true]");
        assert_eq!(browser.run(json!({"do": "look_away", "who": who})), false);
        browser.until(who, "#live.on");
    }
    let (call, review) = world.paused(WRITE);
    for who in ["dora", "ada"] {
        browser.until(who, &format!("#review-{}", review.id()));
    }
    browser.until("dora", "html[data-shown]");
    let told = seen(&mut browser, "dora", "window.shown");
    assert_eq!(told.as_array().unwrap().len(), 1, "{told}");
    let words = told[0].as_str().unwrap();
    assert!(words.contains("wants to") && words.contains("customers") && !words.contains("950"), "{told}");
    assert_eq!(seen(&mut browser, "ada", "window.shown"), json!([]), "her own agent asks");
    call.leave();
}

#[test]
fn a_search_is_kept_by_its_name() {
    let (world, mut browser) = world();
    browser.open("dora", "/activity?outcome=refused");
    browser.until("dora", ".save:not([hidden])");
    browser.run(json!({"do": "fill", "who": "dora", "selector": "#save-as", "value": "<b>Refused</b>"}));
    browser.press("dora", ".save button");
    browser.open("dora", "/activity");
    browser.press("dora", ".chips a:has-text('<b>Refused</b>')");
    browser.until("dora", ".chips a[aria-current]");
    assert_eq!(seen(&mut browser, "dora", "location.search"), "?outcome=refused");
    browser.inspect("dora", "activity-saved");
    browser.press("dora", ".chips button");
    browser.open("dora", "/activity");
    assert_eq!(browser.run(json!({"do": "count", "who": "dora", "selector": ".chips li"})), 0);
    drop(world);
}

#[test]
fn every_page_fits_a_phone_and_a_wall() {
    let (world, mut browser) = world();
    let (call, review) = world.paused(WRITE);
    let own = format!("/reviews/{}", review.id());
    for width in [360, 3840] {
        browser.run(json!({"do": "resize", "who": "dora", "width": width}));
        for page in PAGES.into_iter().chain([own.as_str()]) {
            browser.open("dora", page);
            browser.inspect("dora", &page.replace('/', "_"));
            let wide = seen(&mut browser, "dora", "document.documentElement.scrollWidth");
            assert_eq!(wide, width, "{page}");
        }
    }
    call.leave();
}
