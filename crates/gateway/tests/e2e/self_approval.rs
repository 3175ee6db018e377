//! Nobody approves their own action, by any route; and no vote counts twice, late, or for something else.
//!
//! Every attempt here is refused *and* recorded, and the statement it was about does not run.

use serde_json::{Value, json};

use crate::harness::api::{Answer, Api, Review};
use crate::harness::clients::Call;
use crate::harness::console::Browser;
use crate::harness::{Plan, ROW, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";
/// Needs two DBAs.
const DDL: &str = "ALTER TABLE customers ADD COLUMN note text";
const HAS_NOTE: &str =
    "SELECT count(*) FROM information_schema.columns WHERE table_name = 'customers' AND column_name = 'note'";

/// The attempt was refused with this code, is in the record, and left the statement waiting.
#[track_caller]
fn refused_and_recorded(world: &World, call: &mut Call, review: &Review, attempt: &Answer, status: u16, code: &str) {
    attempt.refused(status, code);
    world.until_vote_refused(review.id(), code);
    assert_eq!(world.dora().review(review.id()).votes(), 0);
    assert!(!call.answered(), "the statement still waits");
    assert_eq!(world.truth(ROW), "200");
}

#[test]
fn the_owner_by_token() {
    let world = World::start();
    let (mut call, review) = world.paused(WRITE);
    let attempt = world.ada().approve(&review);
    refused_and_recorded(&world, &mut call, &review, &attempt, 403, "self_approval");
}

#[test]
fn the_owner_by_another_token() {
    let world = World::start();
    let (mut call, review) = world.paused(WRITE);
    let attempt = world.token("ada").approve(&review);
    refused_and_recorded(&world, &mut call, &review, &attempt, 403, "self_approval");
}

#[test]
fn the_owner_by_the_command_line() {
    let world = World::start();
    let (mut call, review) = world.paused(WRITE);
    let said = world.gateway.as_person(world.ada().token(), &["review", "approve", review.id()]);
    assert!(!said.ok() && said.stderr.contains("self_approval"), "{said:?}");
    world.until_vote_refused(review.id(), "self_approval");
    assert!(!call.answered());
}

#[test]
fn the_owner_by_the_console() {
    let world = World::start();
    let (mut call, review) = world.paused(WRITE);
    let browser = Browser::sign_in(&world, "ada");
    let page = browser.vote(&review, "approve");
    assert_eq!(page.status, 403, "{}", page.text);
    world.until_vote_refused(review.id(), "self_approval");
    assert_eq!(world.dora().review(review.id()).state(), "open");
    assert!(!call.answered());
}

/// What the owner was refused works for a colleague, but only from the page itself.
#[test]
fn a_colleague_by_the_console() {
    let world = World::start();
    let (mut call, review) = world.paused(WRITE);
    let browser = Browser::sign_in(&world, "dora");
    let forged = browser.vote_with(&review, "approve", "0000");
    assert_eq!(forged.status, 403, "{}", forged.text);
    assert_eq!(browser.get(&format!("/reviews/{}/vote", review.id())).status, 405, "no GET changes anything");
    assert!(!call.answered() && world.dora().review(review.id()).state() == "open");
    let page = browser.vote(&review, "approve");
    assert_eq!(page.status, 303, "{}", page.text);
    assert_eq!(call.outcome().rows(), 1);
    assert_eq!(world.truth(ROW), "900");
}

#[test]
fn the_agent_by_its_key() {
    let world = World::start();
    let (mut call, review) = world.paused(WRITE);
    let attempt = world.api(&world.key).approve(&review);
    refused_and_recorded(&world, &mut call, &review, &attempt, 403, "self_approval");
}

#[test]
fn nobody_without_a_token() {
    let world = World::start();
    let (mut call, review) = world.paused(WRITE);
    world.api("").approve(&review).refused(401, "unauthenticated");
    world.api("csk_not_a_token").approve(&review).refused(401, "unauthenticated");
    assert!(!call.answered());
}

#[test]
fn a_colleague_outside_the_quorum() {
    let world = World::start();
    world.gateway.administer(&["person", "add", "gil", "--email", "gil@example.org", "--groups", "sre"]);
    let (mut call, review) = world.paused(WRITE);
    let attempt = world.token("gil").approve(&review);
    refused_and_recorded(&world, &mut call, &review, &attempt, 403, "not_a_reviewer");
}

#[test]
fn a_vote_for_something_else() {
    let world = World::start();
    let (mut call, review) = world.paused(WRITE);
    for key in ["action_digest", "card_digest"] {
        let mut other = review.clone();
        let swapped: String = digest(&review, key).chars().rev().collect();
        other.0[key] = Value::String(swapped);
        let attempt = world.dora().approve(&other);
        assert!([400, 409].contains(&attempt.status), "{attempt:?}");
    }
    let mut other = review.clone();
    other.0["card_digest"] = review.0["action_digest"].clone();
    let attempt = world.dora().approve(&other);
    refused_and_recorded(&world, &mut call, &review, &attempt, 409, "digest_mismatch");
}

fn digest<'a>(review: &'a Review, key: &str) -> &'a str {
    review.0[key].as_str().unwrap()
}

#[test]
fn a_replayed_vote() {
    let world = World::start();
    let (mut call, review) = world.paused(DDL);
    assert_eq!(world.dora().approve(&review).ok()["state"], "open");
    world.dora().approve(&review).refused(409, "voted_already");
    world.token("dora").approve(&review).refused(409, "voted_already");
    world.until_vote_refused(review.id(), "voted_already");
    assert_eq!(world.dora().review(review.id()).votes(), 1);
    assert!(!call.answered());
    assert_eq!(world.truth(HAS_NOTE), "0");
    assert_eq!(world.finn().approve(&review).ok()["state"], "approved");
    call.outcome().rows();
    assert_eq!(world.truth(HAS_NOTE), "1");
}

#[test]
fn a_vote_after_withdrawal() {
    let world = World::start();
    let (call, review) = world.paused(WRITE);
    world.dora().withdraw(&review).refused(403, "forbidden");
    assert_eq!(world.ada().withdraw(&review).ok()["state"], "withdrawn");
    call.outcome().refused("42501");
    world.dora().approve(&review).refused(409, "review_closed");
    world.until_vote_refused(review.id(), "review_closed");
    assert_eq!(world.truth(ROW), "200");
}

#[test]
fn a_vote_after_expiry() {
    let world = Plan::default().short_reviews().start();
    let (call, review) = world.paused(WRITE);
    call.outcome().refused("57014");
    world.dora().approve(&review).refused(409, "review_closed");
    world.until_vote_refused(review.id(), "review_closed");
    assert_eq!(world.truth(ROW), "200");
}

#[test]
fn a_vote_after_the_decision() {
    let world = World::start();
    let (call, review) = world.paused(WRITE);
    world.dora().approve(&review).ok();
    call.outcome().rows();
    world.finn().reject(&review, "too late").refused(409, "review_closed");
    world.until_vote_refused(review.id(), "review_closed");
    assert_eq!(world.dora().review(review.id()).state(), "approved");
}

/// Approve and reject at the same moment: one of them decides, and what it decided is what happens.
#[test]
fn two_votes_racing() {
    let world = World::start();
    let (call, review) = world.paused(WRITE);
    let (dora, finn) = (world.token("dora"), world.token("finn"));
    let [approved, rejected] =
        at_once([&dora, &finn], |api, first| if first { api.approve(&review) } else { api.reject(&review, "no") });
    assert!(approved.accepted() != rejected.accepted(), "{approved:?} {rejected:?}");
    world.until_vote_refused(review.id(), "review_closed");
    let state = world.dora().review(review.id()).state().to_owned();
    if approved.accepted() {
        assert_eq!((state.as_str(), call.outcome().rows()), ("approved", &json!(1)));
        assert_eq!(world.truth(ROW), "900");
    } else {
        assert_eq!(state, "rejected");
        call.outcome().refused("42501");
        assert_eq!(world.truth(ROW), "200");
    }
}

/// One person with two tokens, at the same moment, is still one person.
#[test]
fn one_person_racing_themselves() {
    let world = World::start();
    let (mut call, review) = world.paused(DDL);
    let (one, other) = (world.token("dora"), world.token("dora"));
    let answers = at_once([&one, &other], |api, _| api.approve(&review));
    let accepted = answers.iter().filter(|answer| answer.accepted()).count();
    assert_eq!(accepted, 1, "{answers:?}");
    world.until_vote_refused(review.id(), "voted_already");
    assert_eq!((world.dora().review(review.id()).state(), call.answered()), ("open", false));
    assert_eq!(world.truth(HAS_NOTE), "0");
}

fn at_once(apis: [&Api; 2], vote: impl Fn(&Api, bool) -> Answer + Sync) -> [Answer; 2] {
    let gate = std::sync::Barrier::new(2);
    let voting = |index: usize| {
        gate.wait();
        vote(apis[index], index == 0)
    };
    std::thread::scope(|scope| {
        let voting = &voting;
        let other = scope.spawn(move || voting(1));
        [voting(0), other.join().unwrap()]
    })
}

#[test]
fn a_vote_taken_back_does_not_count() {
    let world = World::start();
    let (mut call, review) = world.paused(DDL);
    assert!(world.dora().approve(&review).accepted());
    world.finn().retract(&review).refused(404, "not_found");
    world.api(&world.key).retract(&review).refused(403, "forbidden");
    assert!(world.dora().retract(&review).accepted());
    assert_eq!(world.dora().review(review.id()).votes(), 0);
    assert!(world.finn().approve(&review).accepted());
    assert!(!call.answered(), "one vote is left of the two that it needs");
    assert!(world.dora().approve(&review).accepted(), "she may vote again");
    assert_eq!(call.ended().matches("error").count(), 0);
    assert_eq!(world.truth(HAS_NOTE), "1");
    world.dora().retract(&review).refused(409, "review_closed");
    world.until_recorded("the retraction", |leaf| leaf["kind"] == "review.retracted");
}

/// The client left before anybody decided: the approval waits for it, and can still be taken back.
#[test]
fn an_approval_taken_back_before_it_is_used_is_void() {
    let world = World::start();
    let (call, review) = world.paused(WRITE);
    call.leave();
    assert!(world.dora().approve(&review).accepted());
    world.finn().retract(&review).refused(409, "review_closed");
    let page = Browser::sign_in(&world, "dora");
    let id = review.id().to_owned();
    assert!(page.get(&format!("/reviews/{id}")).text.contains("Take your vote back"));
    assert_eq!(page.submit(&format!("/reviews/{id}"), &format!("/reviews/{id}/retract"), &[]).status, 303);
    world.until_recorded("the voided approval", |leaf| leaf["kind"] == "grant.revoked");
    let (mut again, other) = world.paused(WRITE);
    assert_ne!(other.id(), id, "it has to be asked for anew");
    assert!(!again.answered());
    assert_eq!(world.truth(ROW), "200");
}

/// One page, several reviews: each has its own digests and its own vote, and what is not one's to decide is refused by itself.
#[test]
fn several_are_decided_together_each_by_itself() {
    let world = World::start();
    let (first, one) = world.paused(WRITE);
    let (second, two) = world.paused("UPDATE customers SET credit_limit = 700 WHERE id = 2");
    let (mut third, three) = world.paused("UPDATE customers SET credit_limit = 600 WHERE id = 1");
    let dora = Browser::sign_in(&world, "dora");
    assert!(dora.get("/").text.contains("/reviews/batch"));
    let page = dora.get("/reviews/batch").text;
    let seen = |review: &Review| {
        format!("{} {} {}", review.id(), digest(review, "action_digest"), digest(review, "card_digest"))
    };
    assert!([&one, &two, &three].iter().all(|review| page.contains(&seen(review))), "{page}");

    let (good, also) = (seen(&one), seen(&two));
    let swapped = format!("{} {} {}", three.id(), digest(&one, "action_digest"), digest(&one, "card_digest"));
    let fields = [("verdict", "approve"), ("seen", &good), ("seen", &also), ("seen", &swapped)];
    let owner = Browser::sign_in(&world, "ada").submit("/me", "/reviews/batch", &fields);
    assert_eq!(owner.text.matches("self_approval").count(), 3, "{}", owner.text);
    let page = dora.submit("/me", "/reviews/batch", &fields);
    assert_eq!(page.text.matches("it is approved now").count(), 2, "{}", page.text);
    assert!(page.text.contains("digest_mismatch"), "{}", page.text);
    assert_eq!(first.outcome().rows(), 1);
    assert_eq!(second.outcome().rows(), 1);
    assert!(!third.answered());
    assert_eq!(dora.submit("/me", "/reviews/batch", &[("verdict", "approve"), ("seen", "nonsense")]).status, 400);
}
