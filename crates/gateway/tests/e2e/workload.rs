//! Jobs log in with the token that their CI platform gave them, and nobody behind a job approves what it asks.

use std::fs;

use serde_json::{Value, json};
use xtask::process::wait_until;

use crate::harness::api::{Answer, Api};
use crate::harness::ci::Ci;
use crate::harness::clients::Client;
use crate::harness::{Plan, ROW, SOON, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";
const FROM_MAIN: &str = r#"
@id("jobs-write-from-main")
@deny("jobs write from the main branch only")
forbid (principal is Agent, action in Action::"write", resource)
when { principal has job && !(principal.job has ref && principal.job.ref == "refs/heads/main") };
"#;

/// A gateway that trusts a CI platform, with an agent for its jobs; finn has an account there.
fn world() -> (World, Ci) {
    let mut world = Plan::default().policies_beside(FROM_MAIN).prepare();
    let ci = Ci::start(&world);
    world.gateway.start();
    world.enrol(&[]);
    world.gateway.administer(&["agent", "create", "deployer", "--owner", "ada"]);
    let link = ["person", "link", "finn", "--provider", "github", "--subject", "583231"];
    assert!(world.gateway.administer(&link).contains("finn"));
    (world, ci)
}

fn offer(world: &World, token: &str, more: &[(&str, &str)]) -> Answer {
    let mut form = vec![
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("subject_token", token),
    ];
    form.extend(more);
    world.api("").form("/api/v1/token", &form)
}

/// The token is refused with this code, which is in the record.
#[track_caller]
fn refused(world: &World, token: &str, status: u16, code: &str) -> Value {
    let answer = offer(world, token, &[]);
    assert_eq!((answer.status, answer.body["code"].as_str()), (status, Some(code)), "{}", answer.body);
    assert!(answer.body["access_token"].is_null());
    world.until_recorded(code, |leaf| {
        leaf["kind"] == "identity.refused" && leaf["what"] == "token_exchange" && leaf["code"] == code
    });
    answer.body
}

/// The world's clients are this job from now on.
fn log_in(world: &mut World, made: &Value) {
    world.login = made["username"].as_str().unwrap().to_owned();
    world.key = made["access_token"].as_str().unwrap().to_owned();
}

#[test]
fn a_jobs_write_waits_for_somebody_who_did_not_start_it() {
    let (mut world, ci) = world();
    let token = ci.token(&json!({}));
    let made = offer(&world, &token, &[]).ok();
    assert_eq!((&made["token_type"], &made["agent"]), (&json!("Bearer"), &json!("deployer")));
    assert!(made["expires_in"].as_i64().is_some_and(|seconds| (200..=300).contains(&seconds)), "{made}");
    world.until_recorded("the key", |leaf| leaf["kind"] == "identity.enrolled" && leaf["what"] == "agent_key");
    log_in(&mut world, &made);

    let (mut call, review) = world.paused(WRITE);
    let shown = world.dora().review(review.id()).0;
    assert_eq!((&shown["requester"]["name"], &shown["on_behalf_of"]), (&json!("deployer"), &json!("finn")));
    let job = &shown["requester"]["job"];
    assert_eq!((&job["issuer"], &job["ref"]), (&json!("github"), &json!("refs/heads/main")), "{shown}");
    for own in [world.finn(), world.ada()] {
        own.approve(&review).refused(403, "self_approval");
    }
    assert!(!call.answered());
    world.dora().approve(&review).ok();
    assert_eq!(call.outcome().rows(), 1);
    assert_eq!(world.truth(ROW), "900");

    // the same token again, and by the command line
    refused(&world, &token, 400, "token_replayed");
    let file = world.dir.join("token");
    fs::write(&file, ci.token(&json!({"ref": "refs/heads/side"}))).unwrap();
    let said = world.gateway.as_person("", &["token", "exchange", "--issuer-token", &file.to_string_lossy(), "--json"]);
    let side: Value = serde_json::from_str(&said.success("token exchange").unwrap()).unwrap();
    log_in(&mut world, &json!({"username": side["username"], "access_token": side["key"]}));
    let denied = world.send(Client::Psql, "write", Some(WRITE)).outcome();
    assert!(denied.refused("42501").contains("main branch only"), "{denied:?}");
    assert!(world.verify().ok());
}

#[test]
fn what_is_not_a_jobs_token_is_refused_and_recorded() {
    let (mut world, mut ci) = world();
    let cases = [
        ("issuer", "issuer_unknown"),
        ("audience", "token_audience"),
        ("expired", "token_expired"),
        ("future", "token_expired"),
        ("signature", "token_signature"),
        ("key", "token_signature"),
        ("unsigned", "token_malformed"),
        ("confused_pem", "token_malformed"),
        ("confused_der", "token_malformed"),
    ];
    for (way, code) in cases {
        refused(&world, &ci.spoilt(&json!({}), way), 400, code);
    }
    refused(&world, &ci.token(&json!({"repository_id": "1"})), 400, "job_unmatched");
    let unlinked = refused(&world, &ci.token(&json!({"actor_id": "1"})), 400, "account_unlinked");
    assert!(unlinked["error_description"].as_str().unwrap().contains("countersign person link"), "{unlinked}");
    let hole = json!({"act": {"sub": "job", "act": {"sub": "nobody"}}});
    refused(&world, &ci.token(&hole), 400, "account_unlinked");
    world.gateway.administer(&["person", "suspend", "finn"]);
    refused(&world, &ci.token(&json!({})), 400, "delegation_refused");
    world.gateway.administer(&["person", "restore", "finn"]);

    let malformed = offer(&world, "x", &[("audience", "nowhere")]);
    assert_eq!((malformed.status, &malformed.body["error"]), (400, &json!("invalid_target")));
    let huge = offer(&world, &"x".repeat(70_000), &[]);
    assert_eq!((huge.status, &huge.body["code"]), (413, &json!("too_large")));

    // new keys are found without a restart, once the issuer may be asked again
    ci.stop();
    ci.run();
    let rotated = ci.token(&json!({}));
    let found = wait_until("the new key", SOON, || Some(offer(&world, &rotated, &[])).filter(Answer::accepted));
    let made = found.unwrap().ok();
    log_in(&mut world, &made);
    world.send(Client::Psql, "read", None).outcome().rows();

    // nobody can say whose a token is while the issuer is down
    let token = ci.token(&json!({}));
    ci.stop();
    world.gateway.stop();
    world.gateway.start();
    refused(&world, &token, 503, "issuer_unavailable");
    assert!(world.verify().ok());
}

#[test]
fn a_key_for_ones_own_session_acts_for_oneself() {
    let mut world = World::start();
    let wanted = json!({"hours": 1});
    world.dora().post("/api/v1/agents/coder/keys", &wanted).refused(404, "not_found");
    world.api(&world.key).post("/api/v1/agents/coder/keys", &wanted).refused(403, "forbidden");
    world.ada().post("/api/v1/agents/coder/keys", &json!({"hours": 25})).refused(400, "bad_request");
    world.gateway.administer(&["agent", "create", "helper", "--owner", "ada", "--groups", "dba"]);
    let token = world.dora().token().to_owned();
    let said = world.gateway.as_person(&token, &["agent", "key", "create", "helper", "--hours", "1", "--json"]);
    let made: Value = serde_json::from_str(&said.success("agent key create").unwrap()).unwrap();
    assert_eq!(made["on_behalf_of"], "dora");
    log_in(&mut world, &json!({"username": made["username"], "access_token": made["key"]}));

    let before = world.finn().open_reviews().len();
    let mut call = world.send(Client::Psql, "write", Some(WRITE));
    let review = world.review_beyond(before);
    assert_eq!(review.0["on_behalf_of"], "dora");
    for own in [world.dora() as &Api, world.ada()] {
        own.approve(&review).refused(403, "self_approval");
    }
    assert!(!call.answered());
    world.finn().approve(&review).ok();
    assert_eq!(call.outcome().rows(), 1);
}
