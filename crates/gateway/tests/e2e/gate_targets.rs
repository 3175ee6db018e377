//! What agents reach changes by review too: a target that is new in the configuration, or another than it was, waits.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use xtask::process::{Finished, run, wait_until};

use crate::harness::api::{Answer, Api, Review};
use crate::harness::clients::Client;
use crate::harness::console::Browser;
use crate::harness::{AGENT, Plan, ROW, SOON, World};

/// A world in which changes are asked about; started once, so that what was configured is in force.
fn world() -> World {
    Plan::default().changes_reviewed().start()
}

/// Changes the configuration and restarts the gateway.
fn configure(world: &mut World, change: impl Fn(&str) -> String) {
    let file = world.dir.join("countersign.toml");
    let before = fs::read_to_string(&file).unwrap();
    let after = change(&before);
    assert_ne!(before, after);
    fs::write(file, after).unwrap();
    world.gateway.stop();
    world.gateway.start();
}

/// The same database again, as a target without rules of production.
fn with_a_second(configuration: &str) -> String {
    let at = configuration.find("[[target]]").unwrap();
    let first = configuration[at..].split("\n[policy]").next().unwrap();
    let second = first.replace("\"orders\"", "\"copy\"").replace("\"production\"", "\"dev\"");
    format!("{configuration}\n{second}")
}

/// psql as the agent, at a target.
fn connect(world: &World, name: &str) -> Finished {
    let mut psql = Command::new(world.cluster.binaries().psql());
    psql.args(["-X", "-A", "-t", "-c", "SELECT 1"]);
    let settings = [("PGHOST", "127.0.0.1"), ("PGUSER", AGENT), ("PGDATABASE", name), ("PGSSLMODE", "require")];
    psql.envs(settings).env("PGPORT", world.gateway.postgres_port().to_string()).env("PGPASSWORD", &world.key);
    run(&mut psql, SOON).unwrap()
}

fn target(world: &World, name: &str) -> Value {
    let targets = world.dora().get("/api/v1/targets").ok()["targets"].clone();
    targets.as_array().unwrap().iter().find(|target| target["name"] == name).cloned().unwrap_or_default()
}

fn propose(who: &Api, name: &str, digest: &Value) -> Answer {
    let body = json!({"target": name, "digest": digest, "reason": "for the new service"});
    who.post("/api/v1/targets/proposals", &body)
}

#[track_caller]
fn waits(answer: &Answer) -> Review {
    assert_eq!(answer.status, 202, "{}", answer.body);
    Review(answer.body["review"].clone())
}

fn approved(world: &World, review: &Review) -> Value {
    assert!(world.dora().approve(review).accepted() && world.finn().approve(review).accepted());
    world.until_recorded("the change", |leaf| leaf["kind"] == "gate.changed" && leaf["review"] == review.id())
}

#[test]
fn a_new_target_is_reached_once_people_other_than_its_author_approve_it() {
    let mut world = world();
    let adopted = world.until_recorded("what was in force", |leaf| leaf["kind"] == "gate.changed");
    assert_eq!((&adopted["subject"], &adopted["part"]), (&json!("orders"), &json!("targets")), "{adopted}");
    configure(&mut world, with_a_second);
    let told = target(&world, "copy");
    assert_eq!((&told["in_force"], told["waits"].is_string()), (&json!(false), true), "{told}");
    let refused = connect(&world, "copy");
    assert!(refused.stderr.contains("target_waits") && refused.stderr.contains("target propose"), "{}", refused.stderr);

    propose(&world.api(&world.key), "copy", &told["waits"]).refused(403, "forbidden");
    propose(world.ada(), "copy", &json!("sha256:00")).refused(409, "digest_mismatch");
    propose(world.ada(), "orders", &told["waits"]).refused(400, "bad_request");
    propose(world.ada(), "others", &told["waits"]).refused(404, "unknown_target");
    let review = waits(&propose(world.ada(), "copy", &told["waits"]));
    let card = review.0["statement"].as_str().unwrap();
    assert!(card.contains("+ environment: dev") && card.contains("+ upstream: postgres://"), "{card}");
    assert_eq!((&review.0["suffices"], &review.0["target"]), (&json!([["dba:2"]]), &json!("targets")));
    world.ada().approve(&review).refused(403, "self_approval");
    let ada = Browser::sign_in(&world, "ada");
    assert!(ada.vote(&review, "approve").text.contains("self_approval"));
    assert!(ada.get("/targets").text.contains("Propose this change"));
    assert!(connect(&world, "copy").stderr.contains("target_waits"));

    // without a restart
    let leaf = approved(&world, &review);
    assert_eq!((&leaf["step"], &leaf["why"]), (&json!("target_added"), &json!("approved")));
    wait_until("the target", SOON, || (target(&world, "copy")["in_force"] == true).then_some(())).unwrap();
    connect(&world, "copy").success("psql").unwrap();
    assert_eq!(target(&world, "copy")["waits"], Value::Null);
    // and after one; a target that is gone is gone at once
    world.gateway.stop();
    world.gateway.start();
    connect(&world, "copy").success("psql").unwrap();
    configure(&mut world, |text| text[..text.rfind("[[target]]").unwrap()].to_owned());
    assert!(connect(&world, "copy").stderr.contains("unknown_target"));
    world.until_recorded("the removal", |leaf| leaf["step"] == "target_removed" && leaf["subject"] == "copy");
    assert_eq!(world.verify().code, Some(0));
}

#[test]
fn a_target_that_is_another_stays_what_it_was_until_people_approve() {
    let mut world = world();
    configure(&mut world, |text| text.replace("environment = \"production\"", "environment = \"dev\""));
    let told = target(&world, "orders");
    assert_eq!((&told["environment"], &told["in_force"]), (&json!("production"), &json!(true)), "{told}");
    // rules of production hold
    let (call, held) = world.paused("UPDATE customers SET credit_limit = 941 WHERE id = 3");
    assert!(world.dora().reject(&held, "no").accepted());
    drop(call);

    let said = world.gateway.as_person(world.ada().token(), &["target", "propose", "orders", "--reason", "a copy now"]);
    let said = said.success("target propose").unwrap();
    assert!(said.contains("- environment: production") && said.contains("+ environment: dev"), "{said}");
    let list = world.gateway.as_person(world.ada().token(), &["target", "list"]).success("target list").unwrap();
    assert!(list.contains("a change waits for people"), "{list}");
    let review = world.review_beyond(0);
    approved(&world, &review);
    wait_until("the target", SOON, || (target(&world, "orders")["environment"] == "dev").then_some(())).unwrap();
    world.send(Client::Psql, "write", Some("UPDATE customers SET credit_limit = 942 WHERE id = 3")).outcome().rows();
    assert_eq!(world.truth(ROW), "942");
}

/// Where the configuration is taken as it is, so are its targets.
#[test]
fn without_review_targets_are_taken_as_they_are() {
    let mut world = World::start();
    configure(&mut world, with_a_second);
    connect(&world, "copy").success("psql").unwrap();
    propose(world.ada(), "copy", &json!("sha256:00")).refused(409, "proposals_off");
    let told = world.until_recorded("the target", |leaf| leaf["kind"] == "gate.changed");
    assert_eq!((&told["why"], &told["by"]), (&json!("file"), &Value::Null), "{told}");
}
