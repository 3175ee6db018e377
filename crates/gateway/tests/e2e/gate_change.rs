//! Changing the gate is an action: what permits more waits for people other than its author, whatever lies in the files.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use xtask::process::wait_until;

use crate::harness::api::Review;
use crate::harness::clients::Client;
use crate::harness::{Plan, ROW, SOON, World};

/// How long the solver may take on a busy machine, for files that change while it works.
const LOOKED: Duration = Duration::from_secs(90);

/// What writes to production wait for, and what would let them through.
const ASKED: &str = "unless { context.approvals.contains(Quorum::\"dba:1\") }";
const OPEN: &str = "unless { context.approvals.contains(Quorum::\"dba:1\") || context.sql.verb == \"UPDATE\" }";

/// A world in which ada writes changes, and dora, finn and eve are the DBAs besides.
fn world() -> World {
    Plan::default().changes_reviewed().start()
}

fn edit(world: &World, from: &str, to: &str) {
    let file = world.dir.join("policies/starter.cedar");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "the policies have no {from}");
    fs::write(&file, text.replacen(from, to, 1)).unwrap();
}

fn policies(world: &World) -> Value {
    world.dora().get("/api/v1/policies").ok()
}

/// Waits until the gateway has looked at the files, and says what is in force.
fn settled(world: &World, in_force: bool) -> Value {
    let looked = || {
        let told = policies(world);
        let known = told["files_in_force"] == in_force && (in_force || told["files_effect"].is_string());
        known.then_some(told)
    };
    wait_until("the gateway to look at the files", LOOKED, looked).unwrap()
}

/// ada proposes the files as they are.
fn proposed(world: &World) -> Review {
    let files = settled(world, false)["files_digest"].clone();
    let body = json!({"files_digest": files, "reason": "updates are harmless"});
    let answer = world.ada().post("/api/v1/policies/proposals", &body);
    assert_eq!(answer.status, 202, "{}", answer.body);
    Review(answer.body["review"].clone())
}

/// What the record holds of a kind.
fn recorded(world: &World, kind: &str) -> Vec<Value> {
    world.leaves().into_iter().filter(|leaf| leaf["kind"] == kind).collect()
}

fn in_force(world: &World, digest: &Value) {
    wait_until("the change to be in force", SOON, || (policies(world)["digest"] == *digest).then_some(())).unwrap();
}

fn update(limit: u32) -> String {
    format!("UPDATE customers SET credit_limit = {limit} WHERE id = 3")
}

#[test]
fn a_change_that_permits_more_waits_for_people_other_than_its_author() {
    let mut world = world();
    let before = policies(&world)["digest"].clone();
    edit(&world, ASKED, OPEN);
    let told = settled(&world, false);
    let effect = told["files_effect"].as_str().unwrap();
    for part in ["newly PERMITS", "Agent sql:write Database", "== production-write (changed)", "+ unless"] {
        assert!(effect.contains(part), "{part}: {effect}");
    }
    // the files alone change nothing, before and after a restart
    let (call, held) = world.paused(&update(901));
    world.gateway.stop();
    drop(call);
    world.gateway.start();
    assert_eq!(settled(&world, false)["digest"], before);
    assert!(world.dora().reject(&world.dora().review(held.id()), "no").accepted());

    let review = proposed(&world);
    assert!(review.0["statement"].as_str().unwrap().contains("newly PERMITS"), "{}", review.0);
    assert_eq!((&review.0["action"], &review.0["suffices"]), (&json!("gate:change"), &json!([["dba:2"]])));

    // the author approves it by no way
    world.ada().approve(&review).refused(403, "self_approval");
    let by_cli = world.gateway.as_person(world.ada().token(), &["review", "approve", review.id(), "--reason", "mine"]);
    assert_eq!(by_cli.code, Some(3), "{}", by_cli.stderr);
    assert!(by_cli.stderr.contains("self_approval"), "{}", by_cli.stderr);
    let agent = world.api(&world.key);
    agent.approve(&review).refused(403, "self_approval");
    agent.post("/api/v1/policies/proposals", &json!({"files_digest": told["files_digest"]})).refused(403, "forbidden");

    // one is not enough; the second is, and then what was proposed is in force
    assert!(world.dora().approve(&review).accepted());
    assert_eq!(policies(&world)["digest"], before);
    assert!(world.finn().approve(&review).accepted());
    in_force(&world, &told["files_digest"]);
    world.send(Client::Psql, "write", Some(&update(902))).outcome().rows();
    assert_eq!(world.truth(ROW), "902");

    // and it stays so after a restart
    world.gateway.stop();
    world.gateway.start();
    assert_eq!(policies(&world)["digest"], told["files_digest"]);
    let approved = world
        .until_recorded("the approved change", |leaf| leaf["kind"] == "policy.activated" && leaf["why"] == "approved");
    assert_eq!((&approved["changes"], approved["by"].is_string()), (&json!("review"), true), "{approved}");
    assert_eq!((&approved["from"], &approved["review"]), (&before, &json!(review.id())));
    assert_eq!(world.verify().code, Some(0));
}

/// What was approved is what comes into force: not what the files say by then.
#[test]
fn files_that_change_while_people_read_change_nothing() {
    let world = world();
    edit(&world, ASKED, OPEN);
    let review = proposed(&world);
    let wanted = policies(&world)["files_digest"].clone();
    edit(&world, "@id(\"no-server-administration\")", "@id(\"administration\")");
    let others = settled(&world, false)["files_digest"].clone();
    assert_ne!(others, wanted);
    let body = json!({"files_digest": wanted});
    world.ada().post("/api/v1/policies/proposals", &body).refused(409, "digest_mismatch");
    assert!(world.dora().approve(&review).accepted() && world.finn().approve(&review).accepted());
    in_force(&world, &wanted);
}

/// Two changes of the same policies: the second to be approved was made for what is gone.
#[test]
fn a_change_of_policies_that_were_replaced_is_stale() {
    let world = world();
    edit(&world, ASKED, OPEN);
    let first = proposed(&world);
    let wanted = policies(&world)["files_digest"].clone();
    edit(&world, "@expires(\"1h\")", "@expires(\"2h\")");
    let second = proposed(&world);
    assert!(world.dora().approve(&second).accepted());
    assert!(world.dora().approve(&first).accepted() && world.finn().approve(&first).accepted());
    in_force(&world, &wanted);
    world.finn().approve(&second).refused(409, "proposal_stale");
    assert_eq!(policies(&world)["digest"], wanted);
    assert!(world.finn().reject(&second, "stale").accepted());
}

/// What only forbids more needs nobody: by its text, by proof, and when it is proposed.
#[test]
fn a_change_that_only_forbids_more_is_in_force_at_once() {
    let world = world();
    let more = "@id(\"no-writes-at-all\")\n@deny(\"not today\")\nforbid (principal, action == Action::\"sql:write\", resource);\n";
    fs::write(world.dir.join("policies/more.cedar"), more).unwrap();
    let told = settled(&world, true);
    assert!(told["policies"].as_array().unwrap().contains(&json!("no-writes-at-all")));
    world.send(Client::Psql, "write", Some(&update(903))).outcome().refused("42501");
    // the solver is needed for this one: a condition that matches more
    edit(&world, "when { !context.sql.hasWhere }", "when { !context.sql.hasWhere || context.sql.export }");
    settled(&world, true);
    let stricter = |leaf: &Value| leaf["kind"] == "policy.activated" && leaf["why"] == "stricter";
    wait_until("both records", SOON, || (world.count_recorded(stricter) == 2).then_some(())).unwrap();
    // taking it back permits more
    fs::remove_file(world.dir.join("policies/more.cedar")).unwrap();
    settled(&world, false);
}

/// A weaker obligation is no request that the solver could find; it waits all the same.
#[test]
fn weaker_obligations_wait() {
    let world = Plan::default().changes_reviewed().named().stepup().start();
    edit(&world, "@stepup(\"passkey\")\n", "");
    let told = settled(&world, false);
    assert!(told["files_effect"].as_str().unwrap().contains("A policy that obliges"), "{told}");
}

/// A bad file leaves the policies in force, is told once, and says why.
#[test]
fn files_that_do_not_load_change_nothing() {
    let world = world();
    let before = policies(&world)["digest"].clone();
    let broken = world.dir.join("policies/broken.cedar");
    fs::write(&broken, "permit (principal, action").unwrap();
    let alarmed = || recorded(&world, "system.alarm").into_iter().find(|leaf| leaf["code"] == "policies_invalid");
    wait_until("the alarm", SOON, alarmed).unwrap();
    std::thread::sleep(Duration::from_secs(3));
    let told = policies(&world);
    assert_eq!((&told["digest"], &told["files_in_force"]), (&before, &json!(false)));
    assert!(told["problem"].as_str().unwrap().contains("broken.cedar"), "{told}");
    assert_eq!(recorded(&world, "system.alarm").len(), 1);
    let refused = world.gateway.as_person(world.ada().token(), &["policy", "propose"]);
    assert!(refused.stderr.contains("broken.cedar"), "{}", refused.stderr);
}

/// Nobody locks everybody out unseen: what leaves nobody to change the policies waits although it only forbids.
#[test]
fn a_change_that_locks_everybody_out_waits() {
    let world = world();
    let lock =
        "@id(\"for-ever\")\n@deny(\"for ever\")\nforbid (principal, action == Action::\"gate:change\", resource);\n";
    fs::write(world.dir.join("policies/lock.cedar"), lock).unwrap();
    let told = settled(&world, false);
    assert!(told["files_effect"].as_str().unwrap().contains("NOBODY CAN CHANGE"), "{told}");
    let checked = world.gateway.administer(&["policy", "check"]);
    assert!(checked.contains("nobody could change these policies"), "{checked}");
    // approved all the same, it holds: the next change is refused, and says what is left
    let review = proposed(&world);
    let wanted = policies(&world)["files_digest"].clone();
    assert!(world.dora().approve(&review).accepted() && world.finn().approve(&review).accepted());
    in_force(&world, &wanted);
    fs::remove_file(world.dir.join("policies/lock.cedar")).unwrap();
    let files = settled(&world, false)["files_digest"].clone();
    let refused = world.ada().post("/api/v1/policies/proposals", &json!({"files_digest": files}));
    refused.refused(403, "policy_denied");
    assert!(refused.body["detail"].as_str().unwrap().contains("changes = \"file\""), "{}", refused.body);
}

/// On the command line, as its users see it.
#[test]
fn the_command_line_proposes_and_lists() {
    let world = world();
    edit(&world, ASKED, OPEN);
    settled(&world, false);
    let told = world.gateway.as_person(world.ada().token(), &["policy", "propose", "--reason", "faster"]);
    let told = told.success("policy propose").unwrap();
    for part in ["newly PERMITS", "is open", "dba:2", "/reviews/"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let list = world.gateway.as_person(world.dora().token(), &["policy", "proposals"]);
    let list = list.success("policy proposals").unwrap();
    assert!(list.contains("by ada") && list.contains("not in force"), "{list}");
}

/// Where files are taken as they are, nobody is asked.
#[test]
fn without_review_files_are_taken_as_they_are() {
    let world = World::start();
    edit(&world, ASKED, OPEN);
    settled(&world, true);
    let body = json!({"files_digest": policies(&world)["files_digest"]});
    world.ada().post("/api/v1/policies/proposals", &body).refused(409, "proposals_off");
    world.send(Client::Psql, "write", Some(&update(904))).outcome().rows();
}

/// A review that was open when the policies changed is released by both: those it was opened under count as well.
#[test]
fn a_pending_review_is_released_under_the_stricter_of_two_policies() {
    let not_finn = "@id(\"not-finn\")\n@deny(\"not you\")\nforbid (principal is User, action == Action::\"approve\", resource)\nwhen { principal.name == \"finn\" };\n";
    let world = Plan::default().policies_beside(not_finn).start();
    let (call, first) = world.paused(&update(905));
    world.finn().approve(&first).refused(403, "forbidden");
    edit(&world, not_finn, "");
    settled(&world, true);
    // by the policies in force finn may approve; by those the review was opened under his vote is none
    assert!(world.finn().approve(&first).accepted());
    let revoked = "the policies it was opened under do not permit it";
    world.until_recorded("the void approval", |leaf| leaf["kind"] == "grant.revoked" && leaf["reason"] == revoked);
    assert_eq!(world.truth(ROW), "200");
    // the same call asks anew, by the policies in force alone
    let second = world.review_beyond(0);
    assert_ne!(second.id(), first.id());
    assert!(world.finn().approve(&second).accepted());
    call.outcome().rows();
    assert_eq!(world.truth(ROW), "905");
}

/// What policies came to demand of votes holds for reviews that were open already.
#[test]
fn newer_demands_hold_for_open_reviews() {
    let world = World::start();
    let (call, review) = world.paused(&update(906));
    edit(&world, "@expires(\"30m\")\n", "@expires(\"30m\")\n@justify(\"required\")\n");
    settled(&world, true);
    world.dora().vote(&review, "approve", "").refused(400, "reason_invalid");
    edit(&world, "@justify(\"required\")\n@hold", "@stepup(\"passkey\")\n@hold");
    settled(&world, true);
    world.dora().approve(&review).refused(403, "passkey_required");
    assert_eq!(world.truth(ROW), "200");
    call.leave();
}
