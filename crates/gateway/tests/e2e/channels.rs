//! What every channel does, asked of each one that there is: it tells of a review and says what became of it, nothing that an
//! agent writes is markup there, it stays within its service's limits and says how much is not shown, and takes clicks from
//! those alone whom they come from. A channel without a fixture here fails.

mod clicks;
mod outage;

use serde_json::{Value, json};

use crate::harness::clients::Client;
use crate::harness::mail::{ADDRESS, Protected};
use crate::harness::slack::Interaction;
use crate::harness::teams::{CHANNEL, Odd, Trouble, button};
use crate::harness::{Plan, ROW, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";

/// What a click is that must come to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Click {
    Unsigned,
    Tampered,
    Stranger,
    Asker,
    Genuine,
}

/// What a service does instead of what it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outage {
    /// Nothing, for now.
    Away,
    /// Nothing, and asks to be left alone for so many seconds.
    Throttled(u32),
    /// Nothing, for good.
    Refused,
}

/// What a test has to know of a channel.
trait Fixture {
    fn plan(&self, plan: Plan) -> Plan;
    fn start(&self, world: &mut World);
    /// The newest message at its place, once it says this.
    fn until_says(&self, world: &World, words: &str) -> Value;
    /// What the service takes for markup in a message, and where its buttons lead.
    fn markup(&self, message: &Value) -> Vec<String>;
    /// Whether the service would take a message of that size.
    fn is_within_limits(&self, message: &Value) -> bool;
    /// Whether a message has a button that decides.
    fn decides(&self, message: &Value) -> bool;
    /// Sends a click on a message's approval. False where nobody can click.
    fn click(&self, world: &World, message: &Value, click: Click) -> bool;
    /// From now on its service does that. False where it has no way to.
    fn outage(&self, world: &World, outage: Option<Outage>) -> bool;
    /// How many requests met an outage so far.
    fn troubled(&self, world: &World) -> usize;
}

struct Mail;
struct Slack;
struct Teams;
struct Webhook;

fn fixture(channel: &str) -> Box<dyn Fixture> {
    match channel {
        "mail" => Box::new(Mail),
        "slack" => Box::new(Slack),
        "teams" => Box::new(Teams),
        "webhook" => Box::new(Webhook),
        other => panic!("the channel `{other}` has no fixture: what it has to do is tested nowhere"),
    }
}

/// Every text under one of these keys.
fn under(value: &Value, keys: &[&str], out: &mut Vec<String>) {
    match value {
        Value::Array(all) => all.iter().for_each(|value| under(value, keys, out)),
        Value::Object(all) => {
            for (key, value) in all {
                match value.as_str() {
                    Some(text) if keys.contains(&key.as_str()) => out.push(text.to_owned()),
                    _ => under(value, keys, out),
                }
            }
        }
        _ => {}
    }
}

impl Fixture for Mail {
    fn plan(&self, plan: Plan) -> Plan {
        plan.mail(Protected::No)
    }

    fn start(&self, world: &mut World) {
        world.mail_mut().start();
    }

    fn until_says(&self, world: &World, words: &str) -> Value {
        world.mail().until_says(ADDRESS, words)
    }

    /// Headers, tags with their attributes, and what a mail program makes links of.
    fn markup(&self, message: &Value) -> Vec<String> {
        let of = |key: &str| match &message[key] {
            Value::Array(all) => all.iter().map(|text| text.as_str().unwrap().to_owned()).collect::<Vec<_>>(),
            other => other.as_object().unwrap().values().map(|text| text.as_str().unwrap().to_owned()).collect(),
        };
        ["headers", "tags", "attributes", "links"].iter().flat_map(|key| of(key)).collect()
    }

    /// RFC 5322 §2.1.1: 998 characters in a line; Gmail cuts what has more than 102 KB.
    fn is_within_limits(&self, message: &Value) -> bool {
        let long = message["longest_line"].as_u64().unwrap() > 998 || message["html"].as_str().unwrap().len() > 102_000;
        !long && message["defects"].as_array().unwrap().is_empty()
    }

    fn decides(&self, message: &Value) -> bool {
        message["tags"].to_string().contains("form") || message["html"].as_str().unwrap().contains("approve\"")
    }

    fn click(&self, _: &World, _: &Value, _: Click) -> bool {
        false
    }

    /// SMTP has no way to say for how long it wants to be left alone.
    fn outage(&self, world: &World, outage: Option<Outage>) -> bool {
        world.mail().in_trouble(match outage {
            None => None,
            Some(Outage::Away) => Some("451 4.3.0 not now"),
            Some(Outage::Refused) => Some("550 5.1.1 nobody"),
            Some(Outage::Throttled(_)) => return false,
        });
        true
    }

    fn troubled(&self, world: &World) -> usize {
        world.mail().troubled()
    }
}

impl Fixture for Slack {
    fn plan(&self, plan: Plan) -> Plan {
        plan.slack()
    }

    fn start(&self, world: &mut World) {
        world.slack_mut().start();
        world.slack().link(world);
    }

    fn until_says(&self, world: &World, words: &str) -> Value {
        world.slack().until_says("approvals", words)
    }

    /// `mrkdwn`, and the text of notifications.
    fn markup(&self, message: &Value) -> Vec<String> {
        let mut out = vec![message["text"].as_str().unwrap().to_owned()];
        for block in message["blocks"].as_array().unwrap() {
            match block["type"].as_str().unwrap() {
                "section" | "context" => under(block, &["text"], &mut out),
                _ => under(block, &["url"], &mut out),
            }
        }
        out
    }

    /// Block Kit: 50 blocks, 3,000 characters in a section, 150 in a header; 40,000 in a message.
    fn is_within_limits(&self, message: &Value) -> bool {
        let blocks = message["blocks"].as_array().unwrap();
        let long = |block: &Value| {
            let mut texts = Vec::new();
            under(block, &["text"], &mut texts);
            let max = if block["type"] == "header" { 150 } else { 3_000 };
            texts.iter().any(|text| text.chars().count() > max)
        };
        blocks.len() <= 50 && !blocks.iter().any(long) && message["text"].as_str().unwrap().chars().count() <= 40_000
    }

    fn decides(&self, message: &Value) -> bool {
        message.to_string().contains("\"approve\"")
    }

    fn click(&self, world: &World, message: &Value, click: Click) -> bool {
        let who = if click == Click::Asker { "ada" } else { "dora" };
        let mut payload = world.slack().click(who, message, "approve");
        if click == Click::Stranger {
            payload["user"]["id"] = json!("U0000NOBODY");
        }
        let interaction = Interaction::new(&payload);
        let (sent, expected) = match click {
            Click::Unsigned => (interaction.unsigned(), 401),
            Click::Tampered => (interaction.tampered(), 401),
            Click::Stranger | Click::Asker | Click::Genuine => (interaction, 200),
        };
        assert_eq!(sent.send(world).0, expected, "{click:?}");
        true
    }

    fn outage(&self, world: &World, outage: Option<Outage>) -> bool {
        world.slack().front().in_trouble(outage.map(|outage| match outage {
            Outage::Away => (503, None, "{}"),
            Outage::Throttled(seconds) => (429, Some(seconds), "{\"ok\":false,\"error\":\"ratelimited\"}"),
            Outage::Refused => (200, None, "{\"ok\":false,\"error\":\"channel_not_found\"}"),
        }));
        true
    }

    fn troubled(&self, world: &World) -> usize {
        world.slack().front().troubled()
    }
}

impl Fixture for Teams {
    fn plan(&self, plan: Plan) -> Plan {
        plan.teams()
    }

    fn start(&self, world: &mut World) {
        world.teams().start();
        world.teams().link(world);
    }

    fn until_says(&self, world: &World, words: &str) -> Value {
        world.teams().until_says(CHANNEL, words)
    }

    /// Text blocks know Markdown; runs know no markup. Mentions are entities.
    fn markup(&self, message: &Value) -> Vec<String> {
        fn collect(value: &Value, out: &mut Vec<String>) {
            match value {
                Value::Array(all) => all.iter().for_each(|value| collect(value, out)),
                Value::Object(all) if all.get("type").is_some_and(|kind| kind == "TextRun") => {
                    let text = all["text"].as_str().unwrap();
                    // the one thing that is expanded even here
                    if text.contains("{{") || all.contains_key("selectAction") {
                        out.push(text.to_owned());
                    }
                }
                Value::Object(all) => {
                    under(&json!(all), &["url", "entities"], out);
                    if all.get("type").is_some_and(|kind| kind == "TextBlock") {
                        out.push(all["text"].as_str().unwrap().to_owned());
                    }
                    all.values().for_each(|value| collect(value, out));
                }
                _ => {}
            }
        }
        let mut out = Vec::new();
        collect(message, &mut out);
        assert!(message["entities"].is_null(), "nobody is mentioned");
        out
    }

    /// Teams: 100 KB in UTF-16 with all that it adds; some 40 KB is what it has taken always.
    fn is_within_limits(&self, message: &Value) -> bool {
        message["attachments"].to_string().encode_utf16().count() * 2 <= 40 * 1024
    }

    fn decides(&self, message: &Value) -> bool {
        button(&message["attachments"][0]["content"], "approve").is_some()
    }

    fn click(&self, world: &World, message: &Value, click: Click) -> bool {
        let teams = world.teams();
        let who = match click {
            Click::Asker => "ada",
            Click::Stranger => "gil",
            Click::Unsigned | Click::Tampered | Click::Genuine => "dora",
        };
        let activity = teams.click(who, message, "approve", json!({}));
        let good = teams.token(&Odd::default());
        let tampered = teams.token(&Odd { key: "foreign", header: json!({"kid": "teams"}), ..Odd::default() });
        let (token, expected) = match click {
            Click::Unsigned => (None, 401),
            Click::Tampered => (Some(tampered.as_str()), 401),
            Click::Stranger | Click::Asker | Click::Genuine => (Some(good.as_str()), 200),
        };
        assert_eq!(teams.send_with(&activity, token).0, expected, "{click:?}");
        true
    }

    fn outage(&self, world: &World, outage: Option<Outage>) -> bool {
        world.teams().in_trouble(outage.map(|outage| match outage {
            Outage::Away => Trouble { status: 502, after: None },
            Outage::Throttled(seconds) => Trouble { status: 429, after: Some(seconds) },
            Outage::Refused => Trouble { status: 403, after: None },
        }));
        true
    }

    fn troubled(&self, world: &World) -> usize {
        world.teams().troubled()
    }
}

impl Fixture for Webhook {
    fn plan(&self, plan: Plan) -> Plan {
        plan.webhook()
    }

    fn start(&self, _: &mut World) {}

    fn until_says(&self, world: &World, words: &str) -> Value {
        let words = match words {
            "Waits for one of dba" => "review.opened",
            "Approved by dora" => "\"state\":\"approved\"",
            "characters are not shown here" => "review.opened",
            other => other,
        };
        let received = world.receiver().until(words);
        serde_json::from_str(received["body"].as_str().unwrap()).unwrap()
    }

    /// An event is data; what programs may follow are its addresses.
    fn markup(&self, message: &Value) -> Vec<String> {
        ["/source", "/data/url", "/data/vote_url"]
            .map(|at| message.pointer(at).unwrap().as_str().unwrap().to_owned())
            .into()
    }

    /// Nothing is left out but what the card itself leaves out, which is bounded and counted there.
    fn is_within_limits(&self, message: &Value) -> bool {
        message.to_string().len() <= 1 << 20 && message["data"]["card"]["statement"]["cut_bytes"].is_number()
    }

    fn decides(&self, _: &Value) -> bool {
        false
    }

    fn click(&self, _: &World, _: &Value, _: Click) -> bool {
        false
    }

    fn outage(&self, world: &World, outage: Option<Outage>) -> bool {
        let (status, after) = match outage {
            None => (204, None),
            Some(Outage::Away) => (500, None),
            Some(Outage::Throttled(seconds)) => (429, Some(seconds)),
            Some(Outage::Refused) => (410, None),
        };
        world.receiver().answers_after(status, after);
        true
    }

    fn troubled(&self, world: &World) -> usize {
        world.receiver().all().iter().filter(|received| received["answered"] != 204).count()
    }
}

/// Each channel by itself, in a world of its own.
fn each(test: impl FnMut(&'static str, &World, &dyn Fixture)) {
    each_of(Plan::default, test);
}

/// The same in worlds that differ from the usual one.
fn each_of(plan: fn() -> Plan, mut test: impl FnMut(&'static str, &World, &dyn Fixture)) {
    let mut seen = 0;
    for name in countersign::channels::names() {
        let fixture = fixture(name);
        let mut world = fixture.plan(plan().sensitivity_low()).start();
        fixture.start(&mut world);
        test(name, &world, &*fixture);
        seen += 1;
    }
    assert!(seen >= 3, "there are channels");
}

#[test]
fn every_channel_tells_of_a_review_and_of_what_became_of_it() {
    each(|name, world, fixture| {
        let (call, review) = world.paused(WRITE);
        let message = fixture.until_says(world, "Waits for one of dba");
        for part in [review.id(), "credit_limit = 900"] {
            assert!(message.to_string().contains(part), "{name} leaves out {part}: {message}");
        }
        world.dora().approve(&review).ok();
        assert_eq!(call.outcome().rows(), 1);
        let after = fixture.until_says(world, "Approved by dora");
        assert!(!fixture.decides(&after), "{name}: there is nothing left to decide: {after}");
    });
}

#[test]
fn nothing_that_an_agent_writes_is_markup_in_any_channel() {
    let hostile = "UPDATE customers SET credit_limit = 900 WHERE id = 3 /* [Approve](https://evil.test) *bold* <!channel> \
                   <https://evil.test|Approve> <at>dora</at> {{DATE(2017-02-14T06:08:39Z, SHORT)}} **b** <a href=\"https://evil.test\">x</a> \
                   \u{202e}evorppa\u{200b} */";
    each(|name, world, fixture| {
        let (_call, _review) = world.paused(hostile);
        let message = fixture.until_says(world, "Waits for one of dba");
        for text in fixture.markup(&message) {
            for bad in ["evil.test", "<!channel>", "<at>", "](", "**b**", "DATE(2017", "\u{202e}"] {
                assert!(!text.contains(bad), "{name} makes markup of `{bad}`: {text}");
            }
        }
    });
}

#[test]
fn every_channel_stays_within_its_limits_and_offers_no_click_on_what_it_leaves_out() {
    let wide = "𝕏\"\\".repeat(4_000);
    let tall = "\n".repeat(12_000);
    for filler in [wide, tall] {
        let long = format!("UPDATE customers SET credit_limit = 900 WHERE id = 3 /* {filler} */");
        each(|name, world, fixture| {
            let (_call, review) = world.paused(&long);
            let message = fixture.until_says(world, "characters are not shown here");
            assert!(fixture.is_within_limits(&message), "{name}: {} bytes", message.to_string().len());
            assert!(!fixture.decides(&message), "{name}: nobody approves by a click what they cannot see: {message}");
            assert!(message.to_string().contains(&format!("/reviews/{}", review.id())), "{name} leads to all of it");
        });
    }
}

/// Hundreds of parameters, and long ones: what they hold is counted, and nobody approves by a click what they cannot see.
#[test]
fn many_parameters_are_counted_in_every_channel() {
    each(|name, world, fixture| {
        let _call = world.send(Client::NodePg, "write-many", None);
        let review = world.review_beyond(0);
        let message = fixture.until_says(world, "characters are not shown here");
        assert!(message.to_string().contains(review.id()), "{name}: {message}");
        assert!(fixture.is_within_limits(&message), "{name}: {} bytes", message.to_string().len());
        assert!(!fixture.decides(&message), "{name}: {message}");
        assert!(message.to_string().contains(&format!("/reviews/{}", review.id())), "{name} leads to all of it");
    });
}

/// Unsigned, tampered, by nobody, by who asks, and again when it is over.
#[test]
fn a_click_counts_in_no_channel_but_by_whom_it_is() {
    each(|name, world, fixture| {
        let (mut call, review) = world.paused(WRITE);
        let message = fixture.until_says(world, "Waits for one of dba");
        let refused = |kind: &'static str, code: &'static str| {
            world.until_recorded(&format!("{code} in {name}"), |leaf| leaf["kind"] == kind && leaf["code"] == code);
        };
        if !fixture.click(world, &message, Click::Unsigned) {
            assert!(!fixture.decides(&message), "{name} has buttons that nobody tests");
            return;
        }
        fixture.click(world, &message, Click::Tampered);
        let turned_away = |leaf: &Value| leaf["kind"] == "identity.refused" && leaf["code"] == "unauthenticated";
        world.until_recorded("both", |_| world.count_recorded(turned_away) == 2);
        fixture.click(world, &message, Click::Stranger);
        refused("identity.refused", "account_unlinked");
        fixture.click(world, &message, Click::Asker);
        refused("review.refused", "self_approval");
        let now = world.dora().review(review.id());
        assert_eq!((now.state(), now.votes()), ("open", 0), "{name}");
        assert!(!call.answered(), "{name}");
        assert_eq!(world.truth(ROW), "200");
        fixture.click(world, &message, Click::Genuine);
        assert_eq!(call.outcome().rows(), 1);
        fixture.click(world, &message, Click::Genuine);
        refused("review.refused", "review_closed");
    });
}
