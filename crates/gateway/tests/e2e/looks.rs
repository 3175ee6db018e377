//! Every page of the console with data on it: how much is transferred, how soon it paints, how it looks, and what Lighthouse says.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use xtask::loopback::free_port;
use xtask::{needs, test_tools_dir};

use crate::console::PAGES;
use crate::harness::browser::Chromium;
use crate::harness::clients::{Call, Client};
use crate::harness::{Plan, World};

/// The most that a page may transfer with nothing kept from before, assets included.
const TRANSFERRED_BYTES_MAX: u64 = 100_000;
/// What Lighthouse must find at least, in every category.
const SCORE_MIN: u64 = 95;

/// A gateway on which things have happened and others wait: calls that hang, and the addresses of a review that is open and of one
/// that is over.
fn lived_in() -> (World, Vec<Call>, [String; 2]) {
    let world = Plan::default().named().patterns().people(&[("sam", "sre")]).start();
    world.truth("INSERT INTO orders SELECT id, 1 + id % 4, 'lamp', 45, 'open' FROM generate_series(1000, 4995) AS id");
    world.truth("ANALYZE orders");
    let (dora, finn) = (world.dora(), world.finn());
    let (call, review) = world.paused("/* reason: ticket 4711 */ UPDATE customers SET credit_limit = 950 WHERE id = 3");
    dora.approve(&review).ok();
    call.outcome().rows();
    let (call, over) = world.paused("DELETE FROM orders WHERE state = 'shipped'");
    finn.reject(&over, "not before the audit").ok();
    call.outcome().refused("42501");
    world.send(Client::Psql, "write", Some("DELETE FROM orders")).outcome();
    let wishes = [
        "/* reason: the customer asked for it */ UPDATE orders SET state = 'open' WHERE customer_id = 4 -- order 105",
        "ALTER TABLE customers ADD COLUMN vip boolean NOT NULL DEFAULT false",
        "/* reason: rows of a failed import, ticket 4720 */ DELETE FROM orders WHERE id BETWEEN 1100 AND 1400",
    ];
    let calls: Vec<(Call, String)> = wishes
        .into_iter()
        .map(|sql| {
            let (call, review) = world.paused(sql);
            (call, format!("/reviews/{}", review.id()))
        })
        .collect();
    let open = calls[2].1.clone();
    let calls = calls.into_iter().map(|(call, _)| call).collect();
    (world, calls, [open, format!("/reviews/{}", over.id())])
}

/// What a page is called in the name of a file.
fn name(page: &str, reviews: &[String; 2]) -> String {
    match page {
        "/" => "inbox".to_owned(),
        page if page == reviews[0] => "review".to_owned(),
        page if page == reviews[1] => "review-over".to_owned(),
        "/?q=nothing+is+like+this" => "inbox-nothing".to_owned(),
        page => page.trim_matches('/').replace('/', "-"),
    }
}

/// The pages, and both reviews.
fn pages(reviews: &[String; 2]) -> Vec<&str> {
    PAGES.into_iter().chain(reviews.iter().map(String::as_str)).collect()
}

#[test]
fn no_page_is_heavy_or_flawed() {
    let (world, calls, reviews) = lived_in();
    let mut browser = Chromium::start(&world);
    browser.sign_in(&world, "dora", json!({}));
    browser.run(json!({"do": "forget", "who": "dora"}));
    let screens = std::env::var_os("COUNTERSIGN_SCREENS").map(PathBuf::from);
    for page in pages(&reviews) {
        browser.open("dora", page);
        let weight = browser.run(json!({"do": "weight", "who": "dora"}));
        println!("{page}: {weight}");
        assert!(weight["bytes"].as_u64().unwrap() < TRANSFERRED_BYTES_MAX, "{page}: {weight}");
        browser.inspect("dora", &name(page, &reviews));
        let Some(folder) = &screens else { continue };
        for (kind, dark, width, height) in [("wide", false, 1280, 860), ("phone", true, 390, 844)] {
            let path = folder.join(format!("{}-{kind}.jpg", name(page, &reviews)));
            let look =
                json!({"do": "screen", "who": "dora", "path": path, "dark": dark, "width": width, "height": height});
            browser.run(look);
        }
        browser.run(json!({"do": "resize", "who": "dora", "width": 1280}));
    }
    calls.into_iter().for_each(Call::leave);
}

#[test]
#[ignore = "takes minutes, and a machine that does nothing else; `cargo xtask screens` runs it"]
fn lighthouse_finds_every_page_good() {
    let (world, calls, reviews) = lived_in();
    let mut browser = Chromium::start(&world);
    browser.sign_in(&world, "dora", json!({}));
    let cookie = browser.run(json!({"do": "cookie", "who": "dora"}));
    let agent = browser.run(json!({"do": "run", "who": "dora", "script": "navigator.userAgent"}));
    let pages = pages(&reviews);
    let asked = json!({
        "base": world.gateway.page_url(), "pages": pages, "cookie": cookie, "agent": agent, "port": free_port().unwrap(),
    });
    let (scores, mut flawed) = (lighthouse(&asked), Vec::new());
    for page in pages {
        let found = &scores[page];
        println!("{page}: {found}");
        assert!(found["at"].as_str().unwrap().ends_with(page), "{page}: {found}");
        let categories = ["performance", "accessibility", "best-practices", "seo"];
        if !categories.into_iter().all(|category| found[category].as_u64().unwrap() >= SCORE_MIN) {
            flawed.push(format!("{page}: {found}"));
        }
    }
    assert!(flawed.is_empty(), "{}", flawed.join("\n"));
    calls.into_iter().for_each(Call::leave);
}

fn lighthouse(asked: &Value) -> Value {
    let mut command = Command::new("node");
    command.arg("lighthouse.mjs").current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients"));
    command.env("NODE_MODULES", test_tools_dir().join("node")).env("CHROMIUM", needs::chromium().expect("Chromium"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("node");
    child.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}
