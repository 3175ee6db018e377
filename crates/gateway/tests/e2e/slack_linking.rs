//! People link their own accounts in Slack by signing in there; nobody links anybody else's, nor to anybody else.

use serde_json::{Value, json};

use crate::harness::console::{Browser, Page};
use crate::harness::slack::Interaction;
use crate::harness::{Plan, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";

fn claims(name: &str) -> Value {
    json!({"email": format!("{name}@example.org"), "email_verified": true, "groups": ["db-approvers"], "amr": ["pwd", "mfa"]})
}

/// A world whose provider stands for Slack too: there everybody has the account of their name.
fn world(settings: &'static str) -> World {
    let people = json!({"ada": claims("ada"), "dora": claims("dora"), "gil": claims("gil")});
    let mut world = Plan::default().sensitivity_low().identity_provider(people, "").slack_sign_in(settings).start();
    world.slack_mut().start();
    for name in ["ada", "dora", "gil"] {
        let (team, user) = world.slack().ids(name);
        told(&mut world, name, &team, &user);
    }
    world
}

/// What Slack's token says of somebody.
fn told(world: &mut World, name: &str, team: &str, user: &str) {
    let mut claims = claims(name);
    claims["https://slack.com/team_id"] = json!(team);
    claims["https://slack.com/user_id"] = json!(user);
    world.idp().person(name, claims);
}

fn signed_in(world: &World, who: &str) -> Browser {
    let mut browser = Browser::new(world);
    assert_eq!(browser.sign_in_with_provider(who).status, 200);
    browser
}

fn click(world: &World, who: &str, message: &Value) -> u16 {
    Interaction::new(&world.slack().click(who, message, "approve")).send(world).0
}

fn slack_accounts(browser: &Browser) -> usize {
    browser.get("/me").text.matches("</bdi></strong> at <bdi>slack</bdi>").count()
}

#[track_caller]
fn refused(page: &Page, status: u16, words: &str) {
    assert!(page.status == status && page.text.contains(words), "{}: {}", page.status, page.text);
}

/// Such a link is the service's word, not the host's: a click counts for production, and the person takes it back.
#[test]
fn a_click_by_an_account_that_its_person_linked_counts() {
    let world = world("");
    let (call, _) = world.paused(WRITE);
    let message = world.slack().until_says("approvals", "Waits for one of dba");
    assert_eq!(click(&world, "dora", &message), 200);
    world.slack().until_whispers("link it on your own page");
    let mut dora = signed_in(&world, "dora");
    assert!(dora.get("/me").text.contains("Link your Slack account"));
    let linked = dora.link_slack("dora");
    assert_eq!((linked.status, slack_accounts(&dora)), (303, 1), "{}", linked.text);
    assert!(dora.get("/me").text.contains("proved by signing in to Slack"));
    world.until_recorded("the link", |leaf| {
        leaf["kind"] == "identity.enrolled" && leaf["id"] == "slack" && leaf["change"] == "linked"
    });
    assert_eq!(click(&world, "dora", &message), 200);
    assert_eq!(call.outcome().rows(), 1);
    let vote = world.until_recorded("the vote", |leaf| leaf["kind"] == "review.vote");
    assert_eq!((&vote["method"], &vote["mfa"]), (&json!("chat"), &json!(false)));

    let (team, user) = world.slack().ids("dora");
    let subject = format!("{team}/{user}");
    let other = signed_in(&world, "gil");
    refused(&other.submit("/me", "/me/accounts/slack/remove", &[("subject", &subject)]), 404, "no such account");
    assert_eq!(dora.submit("/me", "/me/accounts/slack/remove", &[("subject", &subject)]).status, 303);
    assert_eq!(slack_accounts(&dora), 0);
    let (mut next, again) = world.paused("UPDATE customers SET credit_limit = 901 WHERE id = 3");
    let message = world.slack().until_says("approvals", again.id());
    assert_eq!(click(&world, "dora", &message), 200);
    world.until_recorded("the click of nobody", |leaf| {
        leaf["kind"] == "identity.refused" && leaf["what"] == "slack" && leaf["code"] == "account_unlinked"
    });
    assert!(!next.answered());
}

/// What is begun in one session ends there: neither an address that somebody is sent nor a code that somebody obtained links
/// anything anywhere else, and reading a page links nothing.
#[test]
fn a_link_cannot_be_handed_to_somebody_else() {
    let world = world("");
    let (mut ada, mut dora) = (signed_in(&world, "ada"), signed_in(&world, "dora"));
    let foreign = "does not belong to what you began here";

    let of_ada = ada.answer_of_slack("ada");
    let (page, _) = dora.bring(&of_ada);
    refused(&page, 403, foreign);
    let of_dora = dora.answer_of_slack("dora");
    refused(&dora.bring(&of_ada).0, 403, foreign);
    let (page, address) = dora.bring(&of_dora);
    assert!(page.text.contains("Link your Slack account to"), "{}", page.text);
    let url = reqwest::Url::parse(&format!("{}{address}", world.gateway.url())).unwrap();
    let part = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
    let (code, state) = (part("code"), part("state"));
    let answer = [("code", code.as_str()), ("state", state.as_str())];
    assert_eq!((slack_accounts(&dora), slack_accounts(&ada)), (0, 0), "pages that are read link nothing");
    refused(&ada.submit("/me", "/me/accounts/slack", &answer), 403, foreign);
    assert_eq!(dora.post("/me/accounts/slack", &answer).status, 403, "without the form's token");
    let mut stranger = Browser::new(&world);
    assert_eq!(stranger.bring(&of_dora).0.status, 401);

    let mut shared = dora.copied(&world);
    shared.forget_elsewhere(&world);
    assert_eq!(shared.sign_in_with_provider("gil").status, 200);
    let mut after = shared; // somebody else signed in afterwards, in the browser that it began in
    refused(&after.bring(&of_dora).0, 403, foreign);
    refused(&after.submit("/me", "/me/accounts/slack", &answer), 403, foreign);
    assert_eq!(slack_accounts(&after), 0);

    let mut again = signed_in(&world, "dora");
    let copy = { again.answer_of_slack("dora") };
    let before = again.copied(&world);
    let (_, address) = again.bring(&copy);
    let url = reqwest::Url::parse(&format!("{}{address}", world.gateway.url())).unwrap();
    let part = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
    let (code, state) = (part("code"), part("state"));
    let answer = [("code", code.as_str()), ("state", state.as_str())];
    assert_eq!(again.submit("/me", "/me/accounts/slack", &answer).status, 303);
    refused(&before.submit("/me", "/me/accounts/slack", &answer), 403, foreign);
    assert_eq!(slack_accounts(&again), 1);
}

/// An account is one person's; the host's sessions prove nobody; and what Slack does not say as it should links nothing.
#[test]
fn only_what_is_proved_is_linked() {
    let mut world = world("team = \"T0000OTHER\"");
    let mut gil = signed_in(&world, "gil");
    refused(&gil.link_slack("gil"), 403, "another Slack workspace");
    told(&mut world, "gil", "T0000OTHER", "U 1");
    refused(&gil.link_slack("gil"), 403, "names no Slack account");
    told(&mut world, "gil", "T0000OTHER", "U0000GIL");
    for way in ["issuer", "audience", "expired", "nonce", "signature", "unsigned"] {
        world.idp().tell("spoil", json!(way));
        refused(&gil.link_slack("gil"), 403, "answer is not valid");
    }
    world.idp().tell("spoil", Value::Null);
    world.until_recorded("the refusals", |leaf| leaf["kind"] == "identity.refused" && leaf["what"] == "linking");
    world.gateway.administer(&["person", "link", "finn", "--provider", "slack", "--subject", "T0000OTHER/U0000GIL"]);
    refused(&gil.link_slack("gil"), 403, "linked to somebody else");
    world.gateway.administer(&["person", "unlink", "finn", "--provider", "slack", "--subject", "T0000OTHER/U0000GIL"]);
    assert_eq!(gil.link_slack("gil").status, 303);
    assert_eq!(gil.link_slack("gil").status, 303, "theirs already");
    assert_eq!(slack_accounts(&gil), 1);

    let local = Browser::sign_in(&world, "dora");
    refused(&local.get("/me/accounts/slack/begin"), 403, "own host began links nothing");
    assert_eq!(slack_accounts(&local), 0);
}

/// Whoever asked is on their own side by whatever account.
#[test]
fn a_linked_account_is_its_person() {
    let world = world("");
    let (mut call, review) = world.paused(WRITE);
    let message = world.slack().until_says("approvals", "Waits for one of dba");
    let mut ada = signed_in(&world, "ada");
    assert_eq!(ada.link_slack("ada").status, 303);
    assert_eq!(click(&world, "ada", &message), 200);
    world.until_vote_refused(review.id(), "self_approval");
    assert!(!call.answered());
}
