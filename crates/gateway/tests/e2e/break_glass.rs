//! Break-glass: one person lets an action run alone, where policy makes that exception; everybody who was asked hears of it,
//! and somebody of them looks at it afterwards.

use serde_json::{Value, json};
use xtask::process::Finished;

use crate::harness::api::{Answer, Api, Review};
use crate::harness::clients::{Call, Client};
use crate::harness::console::Browser;
use crate::harness::{AGENT, Plan, ROW, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";

/// Writes wait for two DBAs, unless the glass is broken; schema changes wait for them whatever is broken. Anybody of the
/// two groups may break it, so that only the separation of duties tells them apart.
const EXCEPTION: &str = r#"
@id("reads") permit (principal, action in [Action::"sql:read", Action::"sql:session"], resource);
@id("changes") permit (principal, action in [Action::"sql:write", Action::"sql:ddl"], resource);
@id("writes") @review("two DBAs")
forbid (principal, action == Action::"sql:write", resource)
unless { context.approvals.contains(Quorum::"dba:2") || context.breakGlass };
@id("schema") @review("two DBAs, always")
forbid (principal, action == Action::"sql:ddl", resource)
unless { context.approvals.contains(Quorum::"dba:2") };
@id("reviewers") permit (principal, action == Action::"approve", resource);
@id("breakers") permit (principal in Group::"sre", action == Action::"break-glass", resource) when { context.authn.mfa };
@id("dbas-break-too") permit (principal in Group::"dba", action == Action::"break-glass", resource);
"#;

impl Api {
    fn break_glass(&self, review: &Review, reason: &str) -> Answer {
        let body = json!({
            "reason": reason,
            "action_digest": review.0["action_digest"],
            "card_digest": review.0["card_digest"],
        });
        self.post(&format!("/api/v1/reviews/{}/break-glass", review.id()), &body)
    }

    fn sign_off(&self, review: &Review, verdict: &str, note: &str) -> Answer {
        self.post(&format!("/api/v1/follow-ups/{}", review.id()), &json!({"verdict": verdict, "note": note}))
    }

    fn follow_ups(&self) -> Vec<Value> {
        self.get("/api/v1/follow-ups").ok()["follow_ups"].as_array().unwrap().clone()
    }
}

/// The world with an SRE.
fn world() -> (World, Api) {
    let world = Plan::default().only_policies(EXCEPTION).start();
    world.gateway.administer(&["person", "add", "sam", "--email", "sam@example.org", "--groups", "sre"]);
    let sam = world.token("sam");
    (world, sam)
}

fn at_the_command_line(world: &World, who: &Api, args: &[&str]) -> Finished {
    world.gateway.as_person(who.token(), args)
}

#[track_caller]
fn still_waits(world: &World, call: &mut Call, review: &Review) {
    assert_eq!(world.dora().review(review.id()).state(), "open");
    assert!(!call.answered());
    assert_eq!(world.truth(ROW), "200");
}

#[test]
fn one_person_lets_it_run_and_another_looks_at_it() {
    let (world, sam) = world();
    let (call, review) = world.paused(WRITE);
    assert_eq!(sam.break_glass(&review, "orders are stuck").ok()["state"], "glass_broken");
    assert_eq!(call.outcome().rows(), 1);
    assert_eq!(world.truth(ROW), "900");
    let broken = world.until_recorded("the breaking", |leaf| leaf["kind"] == "review.glass_broken");
    assert_eq!((&broken["review"], &broken["asked"]), (&json!(review.id()), &json!(["dba"])));
    assert!(!broken.to_string().contains("stuck"), "the record holds the reason's hash: {broken}");
    world.until_recorded("the alarm", |leaf| leaf["kind"] == "system.alarm" && leaf["code"] == "glass_broken");
    for kind in ["grant.issued", "action.intent"] {
        world.until_recorded(kind, |leaf| leaf["kind"] == kind && leaf["broken_by"] == broken["person"]);
    }
    let [open] = &world.dora().follow_ups()[..] else { panic!("one follow-up") };
    assert_eq!((&open["state"], &open["approval"]), (&json!("open"), &json!("used")));
    assert_eq!(open["review"]["glass_broken"]["reason"], "orders are stuck");
    for own in [&sam, world.ada()] {
        own.sign_off(&review, "justified", "it was me").refused(403, "self_approval");
    }
    world.dora().sign_off(&review, "justified", " ").refused(400, "reason_invalid");
    let done = world.dora().sign_off(&review, "not_justified", "it could have waited").ok();
    assert_eq!((&done["state"], &done["sign_off"]["person"]), (&json!("not_justified"), &json!("dora")));
    world.finn().sign_off(&review, "justified", "no").refused(409, "follow_up_done");
    assert!(world.dora().follow_ups().is_empty());
    world.until_recorded("the sign-off", |leaf| leaf["kind"] == "review.followed_up");
    world.verify().success("verify").unwrap();
}

/// The owner is a DBA whom policy would let; the agent has a key; neither lets its own action run, by any way.
#[test]
fn nobody_breaks_the_glass_for_their_own_side() {
    let (world, sam) = world();
    let (mut call, review) = world.paused(WRITE);
    world.ada().break_glass(&review, "mine").refused(403, "self_approval");
    world.api(&world.key).break_glass(&review, "mine").refused(403, "self_approval");
    let typed = at_the_command_line(&world, world.ada(), &["review", "break-glass", review.id(), "--reason", "mine"]);
    assert!(typed.stderr.contains("self_approval"), "{typed:?}");
    let reader = world.gateway.administer(&["person", "token", "create", "sam", "--scope", "review:read"]);
    world.api(&reader).break_glass(&review, "only reads").refused(403, "forbidden");
    sam.break_glass(&review, "").refused(400, "reason_invalid");
    sam.break_glass(&review, &"x".repeat(2_001)).refused(400, "reason_invalid");
    let mut other = review.clone();
    other.0["card_digest"] = other.0["action_digest"].clone();
    sam.break_glass(&other, "not what it shows").refused(409, "digest_mismatch");
    still_waits(&world, &mut call, &review);
    assert!(world.dora().follow_ups().is_empty());
    let typed = at_the_command_line(&world, &sam, &["review", "break-glass", review.id(), "--reason", "stuck"]);
    typed.success("break-glass").unwrap();
    assert_eq!(call.outcome().rows(), 1);
    let listed = at_the_command_line(&world, world.dora(), &["review", "follow-ups"]).success("follow-ups").unwrap();
    assert!(listed.contains(review.id()) && listed.contains("sam") && listed.contains("stuck"), "{listed}");
    let signed = ["review", "sign-off", review.id(), "justified", "--note", "looked at it"];
    assert!(at_the_command_line(&world, &sam, &signed).stderr.contains("self_approval"));
    at_the_command_line(&world, world.finn(), &signed).success("sign-off").unwrap();
}

#[test]
fn what_does_not_name_it_does_not_yield() {
    let (world, sam) = world();
    let (mut call, review) = world.paused("ALTER TABLE customers ADD COLUMN note text");
    sam.break_glass(&review, "in a hurry").refused(403, "no_break_glass");
    still_waits(&world, &mut call, &review);
    let starter = World::start();
    let (mut call, review) = starter.paused(WRITE);
    starter.dora().break_glass(&review, "in a hurry").refused(403, "forbidden");
    still_waits(&starter, &mut call, &review);
}

/// Whoever broke the glass must still be let to when it is used; the follow-up stays whatever became of it.
#[test]
fn who_is_suspended_in_between_has_broken_nothing() {
    let (mut world, sam) = world();
    let (call, review) = world.paused(WRITE);
    drop(call); // the client leaves
    sam.break_glass(&review, "stuck").ok();
    world.gateway.kill();
    world.gateway.start();
    assert_eq!(world.dora().follow_ups()[0]["approval"], "unused");
    world.gateway.administer(&["person", "suspend", "sam"]);
    let (mut again, anew) = world.paused(WRITE);
    assert_ne!(anew.id(), review.id());
    still_waits(&world, &mut again, &anew);
    world.until_recorded("the voiding", |leaf| leaf["kind"] == "grant.revoked");
    let [open] = &world.dora().follow_ups()[..] else { panic!("one follow-up") };
    assert_eq!((&open["state"], &open["approval"]), (&json!("open"), &json!("voided")));
}

/// Where nobody is left of those who had been asked, somebody else looks at it; never the side that profited.
#[test]
fn a_follow_up_does_not_stay_open_for_want_of_people() {
    let (world, sam) = world();
    world.gateway.administer(&["person", "add", "sue", "--email", "sue@example.org", "--groups", "sre"]);
    world.gateway.administer(&["person", "add", "leo", "--email", "leo@example.org"]);
    let (sue, leo) = (world.token("sue"), world.token("leo"));
    let (_call, review) = world.paused(WRITE);
    sam.break_glass(&review, "stuck").ok();
    sue.sign_off(&review, "justified", "I was not asked").refused(403, "not_a_reviewer");
    for dba in ["dora", "finn"] {
        world.gateway.administer(&["person", "suspend", dba]);
    }
    world.ada().sign_off(&review, "justified", "mine").refused(403, "self_approval");
    sam.sign_off(&review, "justified", "mine").refused(403, "self_approval");
    leo.sign_off(&review, "justified", "in no group").refused(403, "not_a_reviewer");
    assert!(Browser::sign_in(&world, "sue").get("/").text.contains("The glass was broken"));
    assert_eq!(sue.sign_off(&review, "justified", "looked").ok()["state"], "justified");
}

/// One grant, for one execution, also across a restart.
#[test]
fn it_runs_once() {
    let (mut world, sam) = world();
    let (call, review) = world.paused(WRITE);
    drop(call);
    sam.break_glass(&review, "stuck").ok();
    world.gateway.kill();
    world.gateway.start();
    let run = world.send(Client::Psql, "write", Some(WRITE));
    assert_eq!(run.outcome().rows(), 1);
    let (mut again, anew) = world.paused(WRITE);
    assert_eq!(anew.state(), "open");
    assert!(!again.answered());
    assert_eq!(world.login, AGENT);
}

/// The page offers it to whom policy lets; a form that was written by hand decides no more than the page would.
#[test]
fn the_console_offers_it_to_whom_policy_lets() {
    let (world, _) = world();
    let (mut call, review) = world.paused(WRITE);
    let (page, action) = (format!("/reviews/{}", review.id()), format!("/reviews/{}/break-glass", review.id()));
    let digest = |name: &str| review.0[name].as_str().unwrap().to_owned();
    let (seen, card) = (digest("action_digest"), digest("card_digest"));
    let form = [("action_digest", seen.as_str()), ("card_digest", card.as_str()), ("reason", "orders are stuck")];
    let (ada, sam) = (Browser::sign_in(&world, "ada"), Browser::sign_in(&world, "sam"));
    let dora = Browser::sign_in(&world, "dora");
    assert!(!ada.get(&page).text.contains("Break the glass"));
    assert_eq!(ada.submit(&page, &action, &form).status, 403);
    still_waits(&world, &mut call, &review);
    assert!(sam.get(&page).text.contains("Break the glass"));
    assert_eq!(sam.submit(&page, &action, &form).status, 303);
    assert_eq!(call.outcome().rows(), 1);
    for (who, words) in [(&dora, "Look at it and sign it off"), (&ada, "has to look at it")] {
        let inbox = who.get("/").text;
        assert!(inbox.contains("The glass was broken") && inbox.contains(words), "{inbox}");
    }
    assert!(!sam.get("/").text.contains("The glass was broken"), "sam's group had not been asked");
    assert!(sam.get(&page).text.contains("glass broken") && sam.get("/history").text.contains("Glass broken by"));
    let sign_off = format!("/follow-ups/{}", review.id());
    let found = [("judgement", "justified"), ("note", "nobody could be reached")];
    for own in [&sam, &ada] {
        assert_eq!(own.submit("/follow-ups", &sign_off, &found).status, 403);
    }
    assert_eq!(dora.submit("/follow-ups", &sign_off, &found).status, 303);
    assert!(!dora.get("/").text.contains("The glass was broken"));
    assert!(dora.get("/follow-ups").text.contains("nobody could be reached"));
}
