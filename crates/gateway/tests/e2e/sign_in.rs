//! People sign in with a real identity provider (the certified `oidc-provider`), and what is refused on the way.

use serde_json::{Value, json};
use xtask::process::wait_until;

use crate::harness::console::Browser;
use crate::harness::{Plan, ROW, SOON, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";

/// A person of the provider who is a DBA and used two factors.
fn dba(name: &str) -> Value {
    json!({"email": format!("{name}@example.org"), "email_verified": true, "groups": ["db-approvers"], "amr": ["pwd", "mfa"]})
}

fn world(settings: &'static str) -> World {
    Plan::default()
        .identity_provider(json!({"ada": dba("ada"), "dora": dba("dora"), "gil": dba("gil")}), settings)
        .start()
}

/// A browser in which somebody has signed in.
fn signed_in(world: &World, who: &str) -> Browser {
    let mut browser = Browser::new(world);
    let page = browser.sign_in_with_provider(who);
    assert_eq!(page.status, 200, "{}", page.text);
    browser
}

/// The sign-in was refused, and so was everything afterwards; it is in the record when it got as far as a token.
#[track_caller]
fn refused(world: &World, browser: &mut Browser, answer: String, recorded: bool) -> String {
    let page = browser.follow(answer);
    assert_eq!(page.status, 403, "{}", page.text);
    assert!(page.text.contains("sign_in_failed"), "{}", page.text);
    assert_eq!(browser.get("/me").status, 401, "nobody is signed in");
    if recorded {
        world.until_recorded("a refused sign-in", |leaf| {
            leaf["kind"] == "identity.refused" && leaf["what"] == "sign_in"
        });
    }
    page.text
}

#[test]
fn people_sign_in_and_decide() {
    let world = world("");
    let (mut call, review) = world.paused(WRITE);
    let ada = signed_in(&world, "ada");
    assert_eq!(ada.vote(&review, "approve").status, 403, "the owner, found by her verified address");
    world.until_vote_refused(review.id(), "self_approval");
    assert!(!call.answered());

    let gil = signed_in(&world, "gil");
    let me = gil.get("/me").text;
    assert!(me.contains("gil") && me.contains("dba") && me.contains("console"), "{me}");
    let page = gil.vote(&review, "approve");
    assert_eq!(page.status, 303, "{}", page.text);
    assert_eq!(call.outcome().rows(), 1);
    assert_eq!(world.truth(ROW), "900");
    let vote = world.until_recorded("the vote", |leaf| leaf["kind"] == "review.vote");
    assert_eq!((&vote["method"], &vote["mfa"]), (&json!("console"), &json!(true)));
    assert!(world.verify().ok());
}

#[test]
fn what_the_host_mints_does_not_count_for_production() {
    let world = world("");
    let (mut call, review) = world.paused(WRITE);
    world.dora().approve(&review).refused(403, "local_credential");
    let page = Browser::sign_in(&world, "finn").vote_with(&review, "approve", "0");
    assert_eq!(page.status, 403);
    assert!(!call.answered());
    world.until_vote_refused(review.id(), "local_credential");
    let told = signed_in(&world, "dora").get("/").text;
    assert!(told.contains("A token was made in your name"), "{told}");
}

#[test]
fn without_a_second_factor_policy_says_no() {
    let mut world = world("");
    let (_call, review) = world.paused(WRITE);
    world.idp().person("gil", json!({"email": "gil@example.org", "groups": ["db-approvers"], "amr": ["pwd"]}));
    let page = signed_in(&world, "gil").vote(&review, "approve");
    assert!(page.status == 403 && page.text.contains("second factor"), "{}", page.text);
    world.until_vote_refused(review.id(), "forbidden");
}

#[test]
fn a_token_that_is_not_what_was_asked_for_signs_nobody_in() {
    let mut world = world("");
    for way in ["issuer", "audience", "expired", "nonce", "signature", "unsigned", "confused", "future"] {
        world.idp().tell("spoil", json!(way));
        let mut browser = Browser::new(&world);
        let answer = browser.answer_of_provider("gil");
        refused(&world, &mut browser, answer, true);
    }
    world.idp().tell("spoil", Value::Null);
    signed_in(&world, "gil");
}

#[test]
fn an_answer_is_good_once_and_in_its_own_browser() {
    let world = world("");
    let mut browser = Browser::new(&world);
    let answer = browser.answer_of_provider("gil");
    let stolen = refused(&world, &mut Browser::new(&world), answer.clone(), false);
    assert!(stolen.contains("did not begin in this browser"), "{stolen}");
    let mut other = Browser::new(&world);
    other.answer_of_provider("dora");
    refused(&world, &mut other, answer.clone(), false);

    let mut before = browser.copied(&world);
    assert_eq!(browser.follow(answer.clone()).status, 200);
    let page = browser.follow(answer.clone());
    assert_eq!(page.status, 403, "it was used already");
    refused(&world, &mut before, answer, true); // by the provider, and were it not by that one, by us

    let elsewhere =
        other.answer_of_provider("dora").replace("iss=http%3A%2F%2F127.0.0.1", "iss=http%3A%2F%2F127.0.0.2");
    refused(&world, &mut other, elsewhere, true);
    let denied = other.answer_of_provider("dora").replace("code=", "error=access_denied&was=");
    let text = refused(&world, &mut other, denied, true);
    assert!(text.contains("access_denied"), "{text}");
}

/// Anybody may begin a sign-in, and bring an answer that is none.
#[test]
fn strangers_fill_neither_the_store_nor_the_record() {
    let world = world("");
    let mut stranger = Browser::new(&world);
    for _ in 0..150 {
        let begun = stranger.visit(&format!("{}/login/oidc", world.gateway.url()), None);
        let state = begun.location().and_then(|url| Some(url.split_once("state=")?.1.split('&').next()?.to_owned()));
        let answer = format!("{}/login/oidc/callback?error=no&state={}", world.gateway.url(), state.unwrap());
        assert_eq!(stranger.visit(&answer, None).status, 403);
    }
    let recorded = || world.leaves().iter().filter(|leaf| leaf["kind"] == "identity.refused").count();
    wait_until("the first refusals are recorded", SOON, || (recorded() >= 60).then_some(())).unwrap();
    signed_in(&world, "dora");
    assert!(recorded() < 120, "{}", recorded());
}

#[test]
fn groups_are_those_of_now() {
    let mut world = world("groups_max_age_seconds = 10");
    let (mut call, review) = world.paused(WRITE);
    let mut gil = signed_in(&world, "gil");
    std::thread::sleep(std::time::Duration::from_secs(11)); // the age is what is tested
    let page = gil.vote_with(&review, "approve", &gil.csrf("/me"));
    assert!(page.status == 403 && page.text.contains("sign_in_again"), "{}", page.text);
    world.until_vote_refused(review.id(), "sign_in_again");

    world.idp().person("gil", json!({"email": "gil@example.org", "groups": [], "amr": ["mfa"]}));
    assert_eq!(gil.sign_in_with_provider("gil").status, 200);
    let page = gil.vote_with(&review, "approve", &gil.csrf("/me"));
    assert_eq!(page.status, 403, "{}", page.text);
    world.until_vote_refused(review.id(), "not_a_reviewer");
    assert!(!call.answered());
}

#[test]
fn two_accounts_of_one_human_are_one_person() {
    let mut world = world("person_claim = \"employee\"");
    let employee = |name: &str, number: &str| {
        let mut person = dba(name);
        person["employee"] = json!(number);
        person
    };
    world.idp().person("ada", employee("ada", "7"));
    world.idp().person("ada-admin", employee("ada-admin", "7"));
    world.idp().person("nobody", dba("nobody"));
    let (mut call, review) = world.paused(WRITE);
    signed_in(&world, "ada");
    let page = signed_in(&world, "ada-admin").vote(&review, "approve");
    assert_eq!(page.status, 403, "{}", page.text);
    world.until_vote_refused(review.id(), "self_approval");
    assert!(!call.answered());

    let mut browser = Browser::new(&world);
    let answer = browser.answer_of_provider("nobody");
    let text = refused(&world, &mut browser, answer, true);
    assert!(text.contains("person_claim"), "{text}");
}

#[test]
fn an_address_links_only_when_it_is_verified_and_only_once() {
    let mut world = world("");
    world
        .idp()
        .person("mallory", json!({"email": "dora@example.org", "email_verified": false, "groups": ["db-approvers"]}));
    let me = signed_in(&world, "mallory").get("/me").text;
    assert!(me.contains("mallory") && !me.contains("dora"), "{me}");
    signed_in(&world, "dora");
    world.idp().person("mallet", dba("dora"));
    let mut browser = Browser::new(&world);
    let answer = browser.answer_of_provider("mallet");
    refused(&world, &mut browser, answer, true);
}

#[test]
fn groups_that_a_token_has_no_room_for_are_asked_for() {
    let mut world = world("groups = { g-7 = \"dba\" }");
    let many = json!({"email": "gil@example.org", "amr": ["mfa"], "_claim_names": {"groups": "src1"},
        "_claim_sources": {"src1": {"endpoint": "http://127.0.0.1:1/evil"}}});
    world.idp().person("gil", many);
    world.idp().tell("graph", json!([["g-1", "g-2"], ["g-7"]]));
    let me = signed_in(&world, "gil").get("/me").text;
    assert!(me.contains("dba"), "{me}");
    world.idp().tell("graph_next", json!("http://127.0.0.1:1/evil"));
    let mut browser = Browser::new(&world);
    let answer = browser.answer_of_provider("gil");
    let text = refused(&world, &mut browser, answer, true);
    assert!(text.contains("another host"), "{text}");
}

#[test]
fn keys_may_change_and_a_provider_may_be_away() {
    let mut world = world("");
    signed_in(&world, "gil");
    world.idp().stop();
    let page = Browser::new(&world).get("/login");
    assert!(page.status == 200 && page.text.contains("Sign in with"), "{}", page.text);
    world.idp().run();
    // keys are asked for anew at most every few seconds
    let in_again = || (Browser::new(&world).sign_in_with_provider("gil").status == 200).then_some(());
    wait_until("a sign-in by the new keys", SOON, in_again).unwrap();
}

#[test]
fn a_session_does_not_move_to_another_browser_nor_outlive_its_person() {
    let world = world("");
    let mut gil = signed_in(&world, "gil");
    gil.call_itself("Thief/1");
    assert_eq!(gil.get("/me").status, 401);
    gil.call_itself("Test/1");
    assert_eq!(gil.get("/me").status, 200);
    world.gateway.administer(&["person", "suspend", "gil"]);
    assert_eq!(gil.get("/me").status, 401);
    let mut browser = Browser::new(&world);
    let answer = browser.answer_of_provider("gil");
    let text = refused(&world, &mut browser, answer, true);
    assert!(text.contains("suspended"), "{text}");
}

pub(crate) const LOGOUT: &str = "/api/v1/sign-in/logout";

#[test]
fn a_session_ends_with_the_one_at_the_provider() {
    let mut world = world("");
    let (mut gil, dora) = (signed_in(&world, "gil"), signed_in(&world, "dora"));
    let end = format!("{}/session/end", world.idp().issuer());
    let asks = gil.visit(&end, None).text;
    let xsrf = asks.split("name=\"xsrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    gil.visit(&format!("{end}/confirm"), Some(&format!("xsrf={xsrf}&logout=yes")));
    wait_until("the session to end", SOON, || (gil.get("/me").status == 401).then_some(())).unwrap();
    assert_eq!(dora.get("/me").status, 200, "hers goes on");
    world
        .until_recorded("the end", |leaf| leaf["kind"] == "identity.enrolled" && leaf["change"] == "ended_by_provider");
}

/// The claims of a logout token that is right.
fn logout_claims() -> Value {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let events = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    json!({"iat": now, "exp": now + 60, "jti": "one", "sub": "gil", "events": events})
}

/// Where the provider gives out logout tokens that are wrong in one thing, by what is wrong.
pub(crate) fn spoilt_logouts(world: &mut World) -> Vec<(&'static str, String)> {
    let good = logout_claims();
    let now = good["iat"].as_u64().unwrap();
    let typ = json!({"typ": "logout+jwt"});
    let but = |key: &str, value: Value| {
        let mut claims = good.clone();
        claims[key] = value;
        claims
    };
    let bad = [
        ("with a nonce", typ.clone(), but("nonce", json!("n"))),
        ("without the event", typ.clone(), but("events", json!({}))),
        ("for somebody else", typ.clone(), but("aud", json!("somebody-else"))),
        ("of another issuer", typ.clone(), but("iss", json!("http://127.0.0.1:1"))),
        ("of an hour ago", typ.clone(), but("iat", json!(now - 3_600))),
        ("expired", typ.clone(), but("exp", json!(now - 600))),
        ("without an id", typ.clone(), but("jti", Value::Null)),
        ("without a subject", typ, but("sub", Value::Null)),
        ("an access token", json!({"typ": "at+jwt"}), good.clone()),
        ("by an unknown key", json!({"typ": "logout+jwt", "kid": "another"}), good.clone()),
    ];
    bad.into_iter().map(|(what, header, claims)| (what, world.idp().signed(&header, &claims))).collect()
}

#[test]
fn only_a_logout_token_of_now_ends_sessions_and_only_once() {
    let mut world = world("");
    let mut gil = signed_in(&world, "gil");
    let send = |gil: &mut Browser, url: String| {
        let token = gil.visit(&url, None).text;
        gil.post(LOGOUT, &[("logout_token", &token)]).status
    };
    for (what, url) in spoilt_logouts(&mut world) {
        assert_eq!(send(&mut gil, url), 400, "{what}");
    }
    assert_eq!(gil.get("/me").status, 200, "none of them ended anything");
    let url = world.idp().signed(&json!({"typ": "logout+jwt"}), &logout_claims());
    assert_eq!(send(&mut gil, url.clone()), 200);
    assert_eq!(gil.get("/me").status, 401);
    assert_eq!(send(&mut gil, url), 400, "it counts once");
}

#[test]
fn without_a_group_people_see_their_own_side_only() {
    let mut world = world("");
    world.idp().person("eve", json!({"email": "eve@example.org"}));
    world.idp().person("ann", json!({"email": "ann@example.org", "groups": ["audit"], "amr": ["mfa"]}));
    let (_call, review) = world.paused(WRITE);
    let page = format!("/reviews/{}", review.id());
    let eve = signed_in(&world, "eve");
    assert_eq!(eve.get(&page).status, 404);
    assert!(!eve.get("/").text.contains(review.id()) && !eve.get("/activity").text.contains("customers"));
    let own = ["/people", "/policies", "/record", "/targets", "/api/v1/agents", "/api/v1/events"];
    let new = ["/agents", "/evidence", "/evidence/reviews.csv", "/start", "/targets/orders/health"];
    for place in own.into_iter().chain(new) {
        assert_eq!(eve.get(place).status, 403, "{place}");
    }
    assert!(
        !eve.get("/settings").text.contains("review.open_max")
            && !eve.get("/activity").text.contains("How reviews ended")
    );
    assert_eq!(eve.get(&format!("/api/v1{page}")).status, 404);
    world.idp().person("ada", json!({"email": "ada@example.org", "email_verified": true}));
    assert_eq!(signed_in(&world, "ada").get(&page).status, 200, "her own agent's");
}

#[test]
fn an_auditor_reads_everything_and_decides_nothing() {
    let mut world = world("auditors = [\"audit\"]");
    world.idp().person("ann", json!({"email": "ann@example.org", "groups": ["audit", "db-approvers"], "amr": ["mfa"]}));
    let (_call, review) = world.paused(WRITE);
    let ann = signed_in(&world, "ann");
    assert_eq!(ann.get("/record").status, 200);
    let page = ann.vote_with(&review, "approve", &ann.csrf("/me"));
    assert!(page.status == 403 && page.text.contains("auditor"), "{}", page.text);
    world.until_vote_refused(review.id(), "forbidden");
}
