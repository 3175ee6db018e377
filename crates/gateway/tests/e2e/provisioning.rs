//! An identity provider provisions people by SCIM and withdraws them, and what that is worth at once: their sessions, their
//! votes, their agents.

use serde_json::{Value, json};

use crate::harness::api::Api;
use crate::harness::clients::Client;
use crate::harness::console::{Browser, encode};
use crate::harness::{Plan, SCIM_TOKEN, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";
/// Needs two DBAs.
const DDL: &str = "ALTER TABLE customers ADD COLUMN note text";
const USERS: &str = "/scim/v2/Users";
const GROUPS: &str = "/scim/v2/Groups";

/// A provider whose sign-ins tell no groups: those that count are provisioned.
fn world() -> World {
    let person = |name: &str| json!({"email": format!("{name}@example.org"), "email_verified": true, "amr": ["mfa"]});
    let people = ["ada", "gil", "hal", "ivy"].map(|name| (name.to_owned(), person(name)));
    Plan::default().identity_provider(Value::Object(people.into_iter().collect()), "").provisioning().start()
}

/// The provisioning client.
struct Scim(Api);

impl Scim {
    fn of(world: &World) -> Self {
        Self(world.api(SCIM_TOKEN))
    }

    /// Provisions somebody as Okta does. Returns their id.
    fn add(&self, name: &str) -> String {
        let email = format!("{name}@example.org");
        let user = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": email, "externalId": name,
            "name": {"givenName": name, "familyName": "Example"}, "active": true, "password": "never-kept",
            "emails": [{"primary": true, "value": email, "type": "work"}], "groups": [],
        });
        let made = self.0.post(USERS, &user).ok();
        assert!(made.get("password").is_none(), "{made}");
        made["id"].as_str().unwrap().to_owned()
    }

    /// Makes the group that the configuration maps to `dba`. Returns its id.
    fn dbas(&self, ids: &[&str]) -> String {
        let members: Vec<Value> = ids.iter().map(|id| json!({"value": id})).collect();
        let made = self.0.post(GROUPS, &json!({"displayName": "db-approvers", "members": members})).ok();
        made["id"].as_str().unwrap().to_owned()
    }

    fn patch(&self, path: &str, operations: Value) -> u16 {
        self.0.patch(path, &json!({"Operations": operations})).status
    }

    fn find(&self, of: &str, filter: &str) -> Vec<Value> {
        let found = self.0.get(&format!("{of}?filter={}", encode(filter))).ok();
        found["Resources"].as_array().unwrap().clone()
    }
}

fn signed_in(world: &World, who: &str) -> Browser {
    let mut browser = Browser::new(world);
    let page = browser.sign_in_with_provider(who);
    assert_eq!(page.status, 200, "{}", page.text);
    browser
}

#[test]
fn who_is_provisioned_signs_in_as_that_person_until_withdrawn() {
    let world = world();
    let scim = Scim::of(&world);
    let gil = scim.add("gil");
    assert_eq!(scim.find(USERS, "userName eq \"GIL@example.org\"")[0]["id"], gil.as_str());
    assert_eq!(scim.find(USERS, "externalId eq \"gil\"").len(), 1);
    scim.dbas(&[&gil]);
    assert_eq!(scim.find(GROUPS, "displayName eq \"db-approvers\"")[0]["members"][0]["value"], gil.as_str());

    let mut browser = signed_in(&world, "gil");
    let me = browser.get("/me").text;
    assert!(me.contains("gil@example.org") && me.contains("dba") && me.contains("told by the provider"), "{me}");
    let (call, review) = world.paused(WRITE);
    assert_eq!(browser.vote(&review, "approve").status, 303);
    assert_eq!(call.outcome().rows(), 1);

    let user = format!("{USERS}/{gil}");
    assert_eq!(scim.patch(&user, json!([{"op": "Replace", "path": "active", "value": "False"}])), 200);
    assert_eq!(browser.get("/me").status, 401, "the session ended with the answer");
    let answer = Browser::new(&world).answer_of_provider("gil");
    assert!(answer.contains("code="), "the provider still lets them in");
    assert_ne!(browser.sign_in_with_provider("gil").status, 200, "the gateway does not");
    assert_eq!(scim.patch(&user, json!([{"op": "replace", "value": {"active": true}}])), 200);
    assert_eq!(browser.sign_in_with_provider("gil").status, 200);

    assert_eq!(scim.0.delete(&user).status, 204);
    assert_eq!(browser.get("/me").status, 401);
    assert_eq!((scim.0.get(&user).status, scim.0.delete(&user).status), (404, 404));
    assert!(scim.find(USERS, "userName pr").is_empty());
    assert!(scim.find(GROUPS, "displayName pr")[0].get("members").is_none());
    assert_eq!(scim.add("gil"), gil, "the same person, restored");
    let me = signed_in(&world, "gil").get("/me").text;
    assert!(!me.contains("dba"), "without the groups of before: {me}");
    for (what, change) in
        [("scim_user", "removed"), ("person", "suspended"), ("person", "restored"), ("person", "groups")]
    {
        world.until_recorded(change, |leaf| leaf["what"] == what && leaf["change"] == change && leaf["local"] == false);
    }
    assert!(world.verify().ok());
}

#[test]
fn the_vote_of_somebody_withdrawn_stops_counting() {
    let world = world();
    let scim = Scim::of(&world);
    let ids = ["gil", "hal", "ivy"].map(|name| scim.add(name));
    scim.dbas(&ids.each_ref().map(String::as_str));
    let [gil, hal, ivy] = ["gil", "hal", "ivy"].map(|name| signed_in(&world, name));

    let (mut call, review) = world.paused(DDL);
    assert_eq!(gil.vote(&review, "approve").status, 303);
    assert_eq!(scim.0.delete(&format!("{USERS}/{}", ids[0])).status, 204);
    assert_eq!(hal.vote(&review, "approve").status, 303);
    assert_eq!(world.dora().review(review.id()).state(), "open", "one of the two votes is void");
    assert!(!call.answered());
    call.leave();

    // approved by two, and not used yet
    assert_eq!(ivy.vote(&review, "approve").status, 303);
    assert_eq!(world.dora().review(review.id()).state(), "approved");
    assert_eq!(scim.patch(&format!("{USERS}/{}", ids[2]), json!([{"op": "replace", "value": {"active": false}}])), 200);
    let (mut again, second) = world.paused(DDL);
    assert_ne!(second.id(), review.id(), "the approval is void: it is asked anew");
    assert!(!again.answered());
    let column = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'customers'::regclass AND attname = 'note'";
    assert_eq!(world.truth(column), "0");
}

#[test]
fn who_leaves_a_group_reviews_for_it_no_longer_and_a_sign_in_changes_nothing() {
    let mut world = world();
    let scim = Scim::of(&world);
    let (gil, hal) = (scim.add("gil"), scim.add("hal"));
    let group = format!("{GROUPS}/{}", scim.dbas(&[&gil, &hal]));
    let (mut call, review) = world.paused(WRITE);
    let mut browser = signed_in(&world, "gil");
    assert_eq!(scim.patch(&group, json!([{"op": "remove", "path": format!("members[value eq \"{gil}\"]")}])), 204);
    let page = browser.vote_with(&review, "approve", &browser.csrf("/me"));
    assert_eq!(page.status, 403, "{}", page.text);
    world.until_vote_refused(review.id(), "not_a_reviewer");

    // the token says more than the directory: the directory's word counts
    world.idp().person("gil", json!({"email": "gil@example.org", "groups": ["db-approvers"], "amr": ["mfa"]}));
    assert_eq!(browser.sign_in_with_provider("gil").status, 200);
    assert_eq!(browser.vote_with(&review, "approve", &browser.csrf("/me")).status, 403);
    assert!(!call.answered());
    assert_eq!(scim.patch(&group, json!([{"op": "Add", "path": "members", "value": [{"value": gil}]}])), 204);
    assert_eq!(browser.vote(&review, "approve").status, 303);
    assert_eq!(call.outcome().rows(), 1);
}

/// Ada was added on the host, and her agent asks: provisioned by her address she is the same person, not a second one.
#[test]
fn somebody_added_before_is_the_same_person_and_takes_the_agents_along() {
    let world = world();
    let scim = Scim::of(&world);
    let ada = scim.add("ada");
    scim.dbas(&[&ada]);
    let (call, review) = world.paused(WRITE);
    assert_eq!(signed_in(&world, "ada").vote(&review, "approve").status, 403);
    world.until_vote_refused(review.id(), "self_approval");
    call.leave();
    assert_eq!(scim.0.delete(&format!("{USERS}/{ada}")).status, 204);
    let said = world.send(Client::Psql, "read", Some("SELECT 1")).ended();
    assert!(
        !said.contains("\"ok\": true") && !said.contains("\"ok\":true"),
        "an agent without its owner stops: {said}"
    );
}

#[test]
fn only_the_provisioning_clients_own_token_opens_it() {
    let world = world();
    let person = world.token("dora");
    let wrong = format!("{SCIM_TOKEN}x");
    let paths =
        [USERS, GROUPS, "/scim/v2/ServiceProviderConfig", "/scim/v2/Schemas", "/scim/v2/ResourceTypes", "/scim/v2/x"];
    for token in [person.token(), &world.key, &wrong, &SCIM_TOKEN[1..], ""] {
        let api = world.api(token);
        for path in paths {
            let answer = api.get(path);
            assert_eq!((answer.status, &answer.body["status"]), (401, &json!("401")), "{path}: {}", answer.body);
        }
        assert_eq!(api.post(USERS, &json!({"userName": "mallory"})).status, 401);
    }
    let scim = Scim::of(&world);
    assert!(scim.find(USERS, "userName pr").is_empty(), "nothing came of it");
    world.api(SCIM_TOKEN).get("/api/v1/whoami").refused(401, "unauthenticated");
    for path in &paths[..5] {
        assert_eq!(scim.0.get(path).status, 200, "{path}");
    }
    let gil = scim.add("gil");
    for (status, answer) in [
        (409, scim.0.post(USERS, &json!({"userName": "Gil@example.org", "externalId": "other"}))),
        (400, scim.0.post(USERS, &json!({"externalId": "other"}))),
        (400, scim.0.post(GROUPS, &json!({"displayName": "x", "members": [{"value": "p_unknown"}]}))),
        (
            400,
            scim.0.patch(
                &format!("{USERS}/{gil}"),
                &json!({"Operations":
            [{"op": "replace", "path": "externalId", "value": "hal"}]}),
            ),
        ),
        (404, scim.0.get("/scim/v2/Users/p_unknown")),
        (404, scim.0.get("/scim/v2/x")),
        (405, scim.0.delete(USERS)),
    ] {
        assert_eq!(answer.status, status, "{}", answer.body);
        assert_eq!(answer.body["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:Error"]));
    }
}
