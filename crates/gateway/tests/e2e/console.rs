//! The console in a real Chromium: deciding by mouse and by the keyboard alone, two windows that see the same at once, what a
//! page says while the gateway is away, and that every page fits a phone and a wall.

use serde_json::{Value, json};

use crate::harness::browser::Chromium;
use crate::harness::{ROW, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 950 WHERE id = 3";

/// Every place of the menu, and a person's own pages.
const PAGES: [&str; 14] = [
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
    "/record",
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
