//! Everyone on the requester's side, by every way to vote: each attempt is refused, each refusal is in the record, and what was
//! asked for still waits.

use serde_json::{Value, json};

use crate::harness::api::{Answer, Api, Review};
use crate::harness::clients::Call;
use crate::harness::console::Browser;
use crate::harness::slack::Interaction;
use crate::harness::teams::{CHANNEL, text};
use crate::harness::{Plan, ROW, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";

/// A person of the provider, who has given a browser and a script of theirs a session and a token.
struct Member {
    why: &'static str,
    name: &'static str,
    browser: Browser,
    script: Api,
}

/// An agent that meg made for ann, ann gave to bob, and bob accepted. Bob has two accounts.
struct Cast {
    world: World,
    key: String,
    side: Vec<Member>,
    gil: Member,
}

fn cast() -> Cast {
    let person =
        |groups: &[&str], employee: u32| json!({"groups": groups, "amr": ["mfa"], "employee": employee.to_string()});
    let people = json!({
        "meg": person(&["admins", "db-approvers"], 1), "ann": person(&["db-approvers"], 2),
        "bob": person(&["db-approvers"], 3), "bob-admin": person(&["admins", "db-approvers"], 3),
        "gil": person(&["db-approvers"], 4),
    });
    let settings = "admins = [\"admins\"]\nperson_claim = \"employee\"";
    let mut world = Plan::default().identity_provider(people, settings).slack().teams().sensitivity_low().start();
    world.slack_mut().start();
    world.teams().start();
    let member = |name: &'static str, why: &'static str| {
        let mut browser = Browser::new(&world);
        assert_eq!(browser.sign_in_with_provider(name).status, 200);
        let made =
            browser.submit("/me", "/me/tokens", &[("label", name), ("scope", "review:vote"), ("days", "1")]).text;
        let token = made[made.find("cst_").unwrap_or_else(|| panic!("{made}"))..].split('<').next().unwrap().to_owned();
        Member { why, name, script: world.api(&token), browser }
    };
    let (meg, ann) = (member("meg", "made the agent"), member("ann", "owned it until a moment ago"));
    let bob = member("bob", "answers for it");
    let bob_too = member("bob-admin", "answers for it, by another account and as an administrator");
    let gil = member("gil", "has nothing to do with it");
    let made = meg.script.post("/api/v1/agents", &json!({"name": "deployer", "owner": "ann"})).ok();
    assert_eq!(ann.browser.submit("/me", "/me/agents/deployer/accept", &[]).status, 303);
    assert_eq!(ann.script.put("/api/v1/agents/deployer/owner", &json!({"owner": "bob"})).status, 204);
    assert_eq!(bob.script.post("/api/v1/agents/deployer/accept", &Value::Null).status, 204);
    let key = made["key"].as_str().unwrap().to_owned();
    for (account, person) in [("meg", "meg"), ("ann", "ann"), ("bob", "bob"), ("bob-admin", "bob"), ("gil", "gil")] {
        world.slack().link_to(&world, account, person);
        world.teams().link_to(&world, account, person);
    }
    Cast { key, side: vec![meg, ann, bob, bob_too], gil, world }
}

/// Whether nothing has come of the attempts: the review is open, without a vote, and the statement waits.
#[track_caller]
fn untouched(cast: &Cast, call: &mut Call, review: &Review) {
    let now = cast.gil.script.review(review.id());
    assert_eq!((now.state(), now.votes()), ("open", 0));
    assert!(!call.answered(), "the statement still waits");
    assert_eq!(cast.world.truth(ROW), "200");
}

fn refusals(world: &World, review: &Review) -> usize {
    world.count_recorded(|leaf| leaf["kind"] == "review.refused" && leaf["review"] == review.id())
}

#[test]
fn nobody_of_the_requesters_side_decides_by_any_way() {
    let cast = cast();
    let (mut call, review) = cast.world.paused_as(("deployer", &cast.key), WRITE);
    let message = cast.world.slack().until_says("approvals", "Waits for one of dba");
    let card = cast.world.teams().until_says(CHANNEL, "Waits for one of dba");
    let in_teams = |name: &str, verdict: &str| {
        let (status, said) =
            cast.world.teams().send(&cast.world.teams().click(name, &card, verdict, json!({"reason": "in Teams"})));
        assert_eq!(status, 200, "{said}");
        text(&said["value"])
    };
    let mut attempts = 0;
    for Member { why, name, browser, script } in &cast.side {
        for verdict in ["approve", "reject"] {
            script.vote(&review, verdict, "by a script").refused(403, "self_approval");
            let page = browser.vote_with(&review, verdict, &browser.csrf("/me"));
            assert!(page.status == 403 && page.text.contains("self_approval"), "{name}, who {why}: {}", page.text);
            let reason: &[&str] = if verdict == "reject" { &["--reason", "by the command line"] } else { &[] };
            let args = [&["review", verdict, review.id()], reason].concat();
            let said = cast.world.gateway.as_person(script.token(), &args);
            assert!(!said.ok() && said.stderr.contains("self_approval"), "{name}, who {why}: {said:?}");
            let click = cast.world.slack().click(name, &message, verdict);
            assert_eq!(Interaction::new(&click).send(&cast.world).0, 200);
            let said = in_teams(name, verdict);
            // what the host linked counts for nothing here, before anybody asks whose side it is
            assert!(said.contains("local_credential"), "{name}, who {why}: {said}");
            attempts += 5;
        }
        untouched(&cast, &mut call, &review);
    }
    let own: Answer = cast.world.api(&cast.key).approve(&review);
    own.refused(403, "self_approval");
    cast.world.until_recorded("the last attempt", |_| refusals(&cast.world, &review) == attempts + 1);

    // where people sign in with a provider, what the host linked decides nothing in production either
    let click = cast.world.slack().click(cast.gil.name, &message, "approve");
    assert_eq!(Interaction::new(&click).send(&cast.world).0, 200);
    cast.world
        .until_recorded("gil's click", |leaf| leaf["kind"] == "review.refused" && leaf["code"] == "local_credential");
    let said = in_teams(cast.gil.name, "approve");
    assert!(said.contains("local_credential"), "{said}");
    untouched(&cast, &mut call, &review);
    assert_eq!(cast.gil.browser.vote(&review, "approve").status, 303, "{}", cast.gil.why);
    assert_eq!(call.outcome().rows(), 1);
    assert_eq!(cast.world.truth(ROW), "900");
}

#[test]
fn an_agent_that_is_given_away_stops_until_it_is_accepted() {
    let cast = cast();
    let bob = &cast.side[2].script;
    bob.put("/api/v1/agents/deployer/owner", &json!({"owner": "bob"})).refused(400, "bad_request");
    cast.gil.script.put("/api/v1/agents/deployer/owner", &json!({"owner": "gil"})).refused(404, "not_found");
    cast.world.api(&cast.key).put("/api/v1/agents/deployer/owner", &json!({"owner": "gil"})).refused(403, "forbidden");
    assert_eq!(bob.put("/api/v1/agents/deployer/owner", &json!({"owner": "gil"})).status, 204);
    let login = ("deployer", cast.key.as_str());
    let said = cast.world.send_as(login, crate::harness::clients::Client::Psql, "read").ended();
    assert!(said.contains("has not accepted"), "{said}");
    bob.post("/api/v1/agents/deployer/accept", &Value::Null).refused(404, "not_found");
}
