//! Changing who may decide is an action too: what gives a person or an agent more waits for people other than its author and
//! whoever gains by it, and for a month nobody profits from the approver they made.

use serde_json::{Value, json};

use xtask::process::{Finished, wait_until};

use crate::harness::api::{Answer, Api, Review};
use crate::harness::console::Browser;
use crate::harness::{Plan, SOON, World};

const PEOPLE: &[(&str, &str)] = &[("eve", ""), ("gus", "dba"), ("hal", "sre")];

/// ada, dora, finn and gus are DBAs; hal is none, and eve is in no group. ada answers for the agent.
fn world() -> World {
    Plan::default().changes_reviewed().people(PEOPLE).start()
}

fn propose(who: &Api, change: &Value) -> Answer {
    who.post("/api/v1/people/proposals", &json!({"change": change, "reason": "we need one more"}))
}

#[track_caller]
fn waits(answer: &Answer) -> Review {
    assert_eq!(answer.status, 202, "{}", answer.body);
    Review(answer.body["review"].clone())
}

fn give(person: &str, group: &str) -> Value {
    json!({"do": "add_groups", "person": person, "groups": [group]})
}

fn groups(who: &Api) -> Value {
    who.get("/api/v1/whoami").ok()["groups"].clone()
}

/// Waits until the record says that a change of this person was made.
fn made(world: &World, review: &Review) -> Value {
    world.until_recorded("the change", |leaf| leaf["kind"] == "gate.changed" && leaf["review"] == review.id())
}

/// Two who are on nobody's side approve.
#[track_caller]
fn approved(world: &World, review: &Review, by: [&Api; 2]) -> Value {
    for one in by {
        assert!(one.approve(review).accepted());
    }
    made(world, review)
}

#[track_caller]
fn refused(finished: &Finished, code: &str) {
    let said = format!("{} {}", finished.stdout, finished.stderr);
    assert!(finished.code != Some(0) && said.contains(code), "{code}: {said}");
}

/// A command on the gateway's host, whose failure carries its code.
fn by_host(world: &World, args: &[&str]) -> Finished {
    world.gateway.command(&[&["--json"], args].concat())
}

/// Nobody of these can decide on it, by any way there is.
fn nobody_of(world: &World, names: &[&str], review: &Review) {
    for name in names {
        let api = world.token(name);
        for verdict in ["approve", "reject"] {
            api.vote(review, verdict, "mine").refused(403, "self_approval");
            let args = ["review", verdict, review.id(), "--reason", "mine"];
            refused(&world.gateway.as_person(api.token(), &args), "self_approval");
            let browser = Browser::sign_in(world, name);
            let page = browser.vote_with(review, verdict, &browser.csrf("/me"));
            assert!((400..500).contains(&page.status) && page.text.contains("self_approval"), "{name}: {page:?}");
        }
    }
    assert_eq!(world.dora().review(review.id()).votes(), 0);
}

#[test]
fn a_group_waits_for_people_other_than_its_author_and_whoever_gains_it() {
    let world = world();
    let eve = world.token("eve");
    let review = waits(&propose(world.ada(), &give("eve", "dba")));
    let card = review.0["statement"].as_str().unwrap();
    for part in ["eve: groups", "+ dba", "Counts where a policy asks `dba`", "production-write"] {
        assert!(card.contains(part), "{part}: {card}");
    }
    assert_eq!((&review.0["action"], &review.0["suffices"]), (&json!("gate:change"), &json!([["dba:2"]])));
    assert_eq!((&review.0["target"], &review.0["resource"]["name"]), (&json!("people"), &json!("people")));
    nobody_of(&world, &["ada", "eve"], &review);
    world.api(&world.key).approve(&review).refused(403, "self_approval");

    assert!(world.dora().approve(&review).accepted());
    assert_eq!(groups(&eve), json!([]));
    assert!(world.finn().approve(&review).accepted());
    let leaf = made(&world, &review);
    assert_eq!((&leaf["step"], &leaf["part"]), (&json!("groups_given"), &json!("people")));
    assert_eq!(groups(&eve), json!(["dba"]));
    assert_eq!(world.verify().code, Some(0));
}

/// For 30 days an approver approves nothing of those who made them one.
#[test]
fn nobody_profits_from_an_approver_they_made() {
    let world = world();
    let (gus, hal) = (world.token("gus"), world.token("hal"));
    approved(&world, &waits(&propose(world.ada(), &give("eve", "dba"))), [world.dora(), world.finn()]);
    // of ada, who proposed it, of dora and finn, who approved it; not of hal, who had nothing to do with it
    for (author, own) in [(world.ada(), true), (world.dora(), true), (world.finn(), true), (&hal, false)] {
        let name = author.get("/api/v1/whoami").ok()["name"].as_str().unwrap().to_owned();
        let other = json!({"do": "add_person", "name": format!("new-{name}"), "groups": ["dba"]});
        let review = waits(&propose(author, &other));
        if own {
            nobody_of(&world, &["eve"], &review);
        } else {
            approved(&world, &review, [&world.token("eve"), &gus]);
        }
    }
    // and nothing that ada's agent asks
    let (call, review) = world.paused("UPDATE customers SET credit_limit = 931 WHERE id = 3");
    nobody_of(&world, &["eve"], &review);
    assert!(gus.approve(&review).accepted());
    call.outcome().rows();
}

/// Whoever commands the host has no author's side: what permits more is not theirs to do, what takes away is.
#[test]
fn the_host_takes_away_and_gives_nothing() {
    let world = world();
    let attempts: [&[&str]; 6] = [
        &["person", "add", "zed", "--groups", "dba"],
        &["person", "add", "zed"],
        &["person", "group", "add", "eve", "dba"],
        &["person", "link", "eve", "--provider", "github", "--subject", "77"],
        &["agent", "create", "mover", "--owner", "ada", "--groups", "dba"],
        &["agent", "group", "add", "coder", "dba"],
    ];
    for attempt in attempts {
        refused(&by_host(&world, attempt), "proposal_needed");
    }
    world.gateway.administer(&["agent", "create", "mover", "--owner", "ada"]);
    assert_eq!(world.gateway.administer(&["person", "group", "remove", "gus", "dba"]), "gus is in no groups");
    world.gateway.administer(&["person", "suspend", "hal"]);
    refused(&by_host(&world, &["person", "restore", "hal"]), "proposal_needed");
    let all = world.gateway.administer(&["--json", "person", "list"]);
    let all: Value = serde_json::from_str(&all).unwrap();
    let gus = all.as_array().unwrap().iter().find(|person| person["name"] == "gus").unwrap();
    assert_eq!(gus["groups"], json!([]));
}

/// A change is good for the person as they were when it was proposed.
#[test]
fn a_change_of_somebody_who_is_another_by_now_is_stale() {
    let world = world();
    let eve = world.token("eve");
    let dba = waits(&propose(world.ada(), &give("eve", "dba")));
    let sre = waits(&propose(world.ada(), &give("eve", "sre")));
    approved(&world, &sre, [world.dora(), world.finn()]);
    world.dora().approve(&dba).refused(409, "proposal_stale");
    assert!(world.dora().reject(&dba, "stale").accepted());
    assert_eq!(groups(&eve), json!(["sre"]));
    // also when that happens between the last vote and the change
    let again = waits(&propose(world.ada(), &give("eve", "dba")));
    world.gateway.administer(&["person", "group", "remove", "eve", "sre"]);
    world.finn().approve(&again).refused(409, "proposal_stale");
    assert_eq!(groups(&eve), json!([]));
}

/// A person, the end of a suspension, an account, an agent's groups: each waits, and comes into force once.
#[test]
fn every_way_to_more_waits() {
    let world = world();
    let (dora, finn) = (world.dora(), world.finn());
    let person = json!({"do": "add_person", "name": "zed", "email": "zed@example.org", "groups": ["sre"]});
    let review = waits(&propose(world.ada(), &person));
    assert!(review.0["statement"].as_str().unwrap().contains("zed becomes a person"), "{}", review.0);
    approved(&world, &review, [dora, finn]);
    propose(world.ada(), &person).refused(409, "name_taken");
    assert_eq!(groups(&world.token("zed")), json!(["sre"]));

    world.gateway.administer(&["person", "suspend", "gus"]);
    let restored = json!({"do": "restore_person", "person": "gus"});
    let review = waits(&propose(world.ada(), &restored));
    assert!(review.0["statement"].as_str().unwrap().contains("+ dba"), "{}", review.0);
    approved(&world, &review, [dora, finn]);
    propose(world.ada(), &restored).refused(400, "bad_request");

    let account = json!({"do": "link_account", "person": "gus", "provider": "github", "subject": "77", "label": "g"});
    let review = waits(&propose(world.ada(), &account));
    nobody_of(&world, &["gus"], &review);
    approved(&world, &review, [dora, finn]);
    propose(world.ada(), &account).refused(409, "name_taken");

    // whoever answers for the agent that gains is on the author's side too
    let agent = json!({"do": "add_agent_groups", "agent": "coder", "groups": ["sre"]});
    let review = waits(&propose(&world.token("hal"), &agent));
    nobody_of(&world, &["ada", "hal"], &review);
    approved(&world, &review, [dora, finn]);
    let list = world.gateway.administer(&["agent", "list"]);
    assert!(list.lines().any(|line| line.contains("coder") && line.contains("sre")), "{list}");
    assert_eq!(world.count_recorded(|leaf| leaf["kind"] == "gate.changed" && leaf["part"] == "people"), 4);
}

/// Who may not even ask, and what nobody can ask for.
#[test]
fn what_cannot_be_proposed() {
    let world = world();
    propose(&world.api(&world.key), &give("eve", "dba")).refused(403, "forbidden");
    let reader = world.gateway.administer(&["person", "token", "create", "dora", "--scope", "review:read"]);
    propose(&world.api(&reader), &give("eve", "dba")).refused(403, "forbidden");
    for (change, status, code) in [
        (give("eve", "owners"), 400, "bad_request"),
        (give("nobody", "dba"), 400, "bad_request"),
        (give("gus", "dba"), 400, "bad_request"),
        (json!({"do": "add_groups", "person": "eve", "groups": []}), 400, "bad_request"),
        (json!({"do": "add_agent_groups", "agent": "nobody", "groups": ["dba"]}), 400, "bad_request"),
        (json!({"do": "add_person", "name": "a b", "groups": ["dba"]}), 400, "bad_request"),
        (json!({"do": "add_person", "name": "EVE", "groups": ["dba"]}), 409, "name_taken"),
        (json!({"do": "restore_person", "person": "eve"}), 400, "bad_request"),
        (json!({"do": "link_account", "person": "eve", "provider": "", "subject": "1"}), 400, "bad_request"),
        (json!({"do": "make_admin", "person": "eve"}), 400, "bad_request"),
    ] {
        propose(world.ada(), &change).refused(status, code);
    }
    // what is taken is taken by whoever has it, or by an administrator
    let take = |group: &str| json!({"do": "remove_groups", "person": "gus", "groups": [group]});
    propose(world.ada(), &take("dba")).refused(403, "forbidden");
    let gus = world.token("gus");
    assert_eq!(propose(&gus, &take("dba")).ok()["in_force"], json!(true));
    assert_eq!(groups(&gus), json!([]));
    assert_eq!(world.dora().open_reviews().len(), 0);
}

/// On the command line and in the console, as people use them.
#[test]
fn people_are_proposed_by_the_command_line_and_the_console() {
    let world = world();
    let args = ["person", "group", "add", "eve", "dba", "--reason", "on call"];
    let told = world.gateway.as_person(world.ada().token(), &args).success("person group add").unwrap();
    for part in ["+ dba", "is open", "dba:2", "/reviews/"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let review = world.review_beyond(0);
    approved(&world, &review, [world.dora(), world.finn()]);
    let args = ["--json", "person", "group", "remove", "eve", "dba"];
    let told = world.gateway.as_person(world.token("eve").token(), &args).success("person group remove").unwrap();
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap()["in_force"], true);

    let ada = Browser::sign_in(&world, "ada");
    let page = ada.get("/people").text;
    assert!(page.contains("Propose a change") && !page.contains("Take the group away"), "{page}");
    let fields = [("change", "add_groups"), ("who", "eve"), ("group", "sre"), ("reason", "on call")];
    let proposed = ada.submit("/people", "/people/proposals", &fields);
    assert_eq!(proposed.status, 303, "{proposed:?}");
    let address = proposed.location().unwrap();
    let shown = ada.get(&address[address.find("/reviews/").unwrap()..]).text;
    assert!(shown.contains("eve") && shown.contains("What would change"), "{shown}");
    let review = world.review_beyond(0);
    for name in ["dora", "finn"] {
        let voted = Browser::sign_in(&world, name).vote(&review, "approve");
        assert_eq!(voted.status, 303, "{name}: {voted:?}");
    }
    made(&world, &review);
    assert_eq!(groups(&world.token("eve")), json!(["sre"]));
    let page = ada.submit("/people", "/people/proposals", &[("change", "make_admin"), ("who", "eve")]);
    assert_eq!(page.status, 400, "{page:?}");
}

/// What was approved is made although the gateway stopped in between, and once.
#[test]
fn an_approved_change_outlives_the_gateway() {
    let mut world = world();
    let review = waits(&propose(world.ada(), &give("eve", "dba")));
    assert!(world.dora().approve(&review).accepted());
    world.gateway.kill();
    world.gateway.start();
    assert!(world.finn().approve(&review).accepted());
    world.gateway.kill();
    world.gateway.start();
    made(&world, &review);
    let eve = world.token("eve");
    wait_until("the group", SOON, || (groups(&eve) == json!(["dba"])).then_some(())).unwrap();
    world.gateway.stop();
    world.gateway.start();
    assert_eq!(world.count_recorded(|leaf| leaf["kind"] == "gate.changed" && leaf["part"] == "people"), 1);
}

/// Where changes are taken as they are, the host gives groups, and nobody is asked.
#[test]
fn without_review_the_host_gives_and_takes() {
    let world = World::start();
    world.gateway.administer(&["person", "add", "eve"]);
    assert_eq!(world.gateway.administer(&["person", "group", "add", "eve", "dba", "sre"]), "eve is in dba, sre");
    assert_eq!(world.gateway.administer(&["person", "group", "remove", "eve", "dba"]), "eve is in sre");
    let told = world.gateway.administer(&["--json", "agent", "group", "add", "coder", "sre"]);
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap()["groups"], json!(["sre"]));
    refused(&by_host(&world, &["person", "group", "add", "eve", "owners"]), "bad_request");
    propose(world.ada(), &give("eve", "dba")).refused(409, "proposals_off");
    assert_eq!(groups(&world.token("eve")), json!(["sre"]));
}
