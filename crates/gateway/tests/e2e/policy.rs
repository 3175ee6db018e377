//! `countersign policy prove` and `replay`, as their users run them.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use xtask::process::{signal, wait_until};
use xtask::repository;

use crate::harness::clients::Client;
use crate::harness::{Plan, SOON, World};

/// The policies as they are shipped, invariants included.
fn ship(into: &Path) {
    let shipped = repository().join("policies");
    fs::create_dir_all(into.join("invariants")).unwrap();
    for file in ["starter.cedar", "invariants/starter.cedar"] {
        fs::copy(shipped.join(file), into.join(file)).unwrap();
    }
}

#[test]
fn the_starter_policies_are_proved() {
    let world = Plan::default().prepare();
    ship(&world.dir.join("policies"));
    let told = world.gateway.administer(&["policy", "prove"]);
    assert!(told.contains("14 proved, 0 refuted, 0 not proved"), "{told}");
    assert!(!told.contains('\x1b') && !told.contains("REFUTED"), "{told}");

    let answer: Value = serde_json::from_str(&world.gateway.administer(&["--json", "policy", "prove"])).unwrap();
    assert_eq!((answer["proved"].as_bool(), answer["goals"].as_array().map(Vec::len)), (Some(true), Some(14)));
    assert!(answer["goals"].as_array().unwrap().iter().all(|goal| goal["verdict"] == "proved"), "{answer}");
}

#[test]
fn a_policy_that_breaks_a_claim_is_told_with_a_counterexample() {
    let world = Plan::default().prepare();
    let (shipped, changed) = (world.dir.join("shipped"), world.dir.join("policies"));
    ship(&shipped);
    ship(&changed);
    let file = changed.join("starter.cedar");
    let text = fs::read_to_string(&file).unwrap();
    let hole = "unless { context.approvals.contains(Quorum::\"dba:1\") || context.time.hour == 3 }";
    fs::write(&file, text.replace("unless { context.approvals.contains(Quorum::\"dba:1\") }", hole)).unwrap();

    let refused = world.gateway.command(&["policy", "prove"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    for part in ["REFUTED", "agents-write-to-production-only-approved", "context.time.hour", "13 proved, 1 refuted"] {
        assert!(refused.stdout.contains(part), "{part}: {}", refused.stdout);
    }
    let against = shipped.to_str().unwrap();
    let told = world.gateway.administer(&["policy", "prove", "--against", against]);
    assert!(told.contains("PERMIT MORE") && told.contains("context.time.hour"), "{told}");
    let answer = world.gateway.administer(&["--json", "policy", "prove", "--against", against]);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["permits_nothing_more"], false);

    // the counterexample is a policy test as it stands
    let found = answer["goals"].as_array().unwrap().iter().find(|goal| goal["verdict"] == "refuted").unwrap();
    let found = &found["counterexample"];
    let test = serde_json::json!([{"name": "at three", "request": found["request"], "entities": found["entities"],
        "decision": "allow", "reason": found["allowed_by"], "num_errors": 0, "outcome": "permit"}]);
    let tests = world.dir.join("found.tests.json");
    fs::write(&tests, test.to_string()).unwrap();
    world.gateway.administer(&["policy", "test", tests.to_str().unwrap()]);
}

#[test]
fn without_a_solver_nothing_is_proved() {
    let world = Plan::default().prepare();
    ship(&world.dir.join("policies"));
    for solver in ["/nowhere/cvc5", "/bin/false"] {
        let told = world.gateway.command(&["policy", "prove", "--solver", solver]);
        assert_eq!(told.code, Some(1), "{}", told.stdout);
        assert!(told.stdout.contains("NOT PROVED") && told.stdout.contains("core:own-action"), "{}", told.stdout);
    }
}

/// Ended by a signal, it takes its solver along.
#[test]
fn the_solver_does_not_outlive_the_command() {
    let world = Plan::default().prepare();
    ship(&world.dir.join("policies"));
    let (solver, pid) = (world.dir.join("solver"), world.dir.join("pid"));
    fs::write(&solver, format!("#!/bin/sh\necho $$ >{}\nexec sleep 1000\n", pid.display())).unwrap();
    fs::set_permissions(&solver, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(["policy", "prove", "--solver"]).arg(&solver).arg("--config").arg(world.gateway.config());
    let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    let started = || fs::read_to_string(&pid).ok().filter(|text| text.ends_with('\n'));
    let solver = wait_until("the solver to start", SOON, started).unwrap();
    signal(child.id(), "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let alive = Command::new("kill").args(["-0", solver.trim()]).output().unwrap().status.success();
    assert!(!alive, "{solver}");
}

/// What was decided is decided again by changed files: beside the server, and from its data when it is gone.
#[test]
fn what_was_decided_is_decided_again() {
    let mut world = World::start();
    world.send(Client::Psql, "refused", None).outcome().refused("42501");
    let replay = |world: &World| -> Value {
        serde_json::from_str(&world.gateway.administer(&["--json", "policy", "replay"])).unwrap()
    };
    let same = replay(&world);
    assert_eq!((&same["decided"], &same["same"]), (&Value::from(1), &Value::from(1)), "{same}");
    assert_eq!(same["differences"], serde_json::json!([]));

    world.gateway.stop();
    let file = world.dir.join("policies/starter.cedar");
    let text = fs::read_to_string(&file).unwrap();
    let opened = text.replace("when { !context.sql.hasWhere }", "when { !context.sql.hasWhere && context.breakGlass }");
    assert_ne!(text, opened);
    fs::write(&file, opened).unwrap();
    let changed = replay(&world);
    assert_eq!(changed["counts"]["deny_to_review"], 1, "{changed}");
    assert_eq!(changed["differences"][0]["policies"], serde_json::json!(["production-write"]), "{changed}");
    let told = world.gateway.administer(&["policy", "replay", "--limit", "5"]);
    assert!(told.contains("deny → review") && told.contains("1 differently"), "{told}");
}
