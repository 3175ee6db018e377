//! What every channel does while its service does not: nothing is lost, nobody is asked too often, and what is refused for good
//! is given up with an alarm, while the review waits in the console.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use xtask::process::wait_until;

use super::{Outage, each};
use crate::harness::{SOON, World};

const PAUSE_SECONDS: u32 = 4;

fn write(limit: u32) -> String {
    format!("UPDATE customers SET credit_limit = {limit} WHERE id = 3")
}

/// What is listed of a review that could not be told, once it is so.
#[track_caller]
fn undelivered(world: &World, review: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let listed = || {
        let all = world.dora().get("/api/v1/undelivered").ok()["undelivered"].clone();
        all.as_array().unwrap().iter().find(|one| one["review"] == review && is_so(one)).cloned()
    };
    wait_until(what, SOON, listed).unwrap()
}

#[test]
fn what_a_service_misses_while_it_is_away_is_told_afterwards() {
    each(|name, world, fixture| {
        assert!(fixture.outage(world, Some(Outage::Away)), "every service can be away: {name}");
        let (mut call, review) = world.paused(&write(900));
        let one = undelivered(world, review.id(), "a second attempt", |_| fixture.troubled(world) >= 2);
        assert_eq!((&one["dead"], one["error"].is_string()), (&Value::Bool(false), true), "{name}: {one}");
        assert_eq!(world.dora().review(review.id()).state(), "open", "{name}");
        assert!(!call.answered());
        fixture.outage(world, None);
        let message = fixture.until_says(world, "Waits for one of dba");
        assert!(message.to_string().contains(review.id()), "{name}: {message}");
        fixture.outage(world, Some(Outage::Away)); // also what became of it is told later
        world.dora().approve(&review).ok();
        assert_eq!(call.outcome().rows(), 1);
        undelivered(world, review.id(), "the outcome is not told", |_| true);
        fixture.outage(world, None);
        fixture.until_says(world, "Approved by dora");
    });
}

#[test]
fn a_service_that_asks_for_a_pause_gets_it() {
    each(|name, world, fixture| {
        if !fixture.outage(world, Some(Outage::Throttled(PAUSE_SECONDS))) {
            return; // its protocol knows no such answer
        }
        let (_call, review) = world.paused(&write(900));
        wait_until("the first attempt", SOON, || (fixture.troubled(world) > 0).then_some(())).unwrap();
        let began = Instant::now();
        undelivered(world, review.id(), "it waits", |one| one["dead"] == false);
        std::thread::sleep(Duration::from_millis(1_500));
        assert_eq!(fixture.troubled(world), 1, "{name} is left alone");
        fixture.outage(world, None);
        let none = || (world.dora().get("/api/v1/undelivered").ok()["undelivered"] == json!([])).then_some(());
        wait_until("it is told", SOON, none).unwrap();
        let told = fixture.until_says(world, "Waits for one of dba");
        assert!(told.to_string().contains(review.id()), "{name}: {told}");
        assert!(began.elapsed() > Duration::from_secs(u64::from(PAUSE_SECONDS) - 1), "{name}: {:?}", began.elapsed());
        assert_eq!(world.dora().review(review.id()).state(), "open");
    });
}

#[test]
fn what_a_service_refuses_for_good_is_given_up_with_an_alarm() {
    each(|name, world, fixture| {
        assert!(fixture.outage(world, Some(Outage::Refused)), "every service can refuse: {name}");
        let (mut call, review) = world.paused(&write(900));
        world.until_recorded(&format!("the alarm of {name}"), |leaf| {
            leaf["kind"] == "system.alarm" && leaf["code"] == "review_untold" && leaf.to_string().contains(review.id())
        });
        let one = undelivered(world, review.id(), "it is given up", |one| one["dead"] == true);
        let tried = fixture.troubled(world);
        std::thread::sleep(Duration::from_millis(2_500)); // a second attempt would come after one second
        assert_eq!(fixture.troubled(world), tried, "{name} is not asked again");
        assert_eq!(world.dora().review(review.id()).state(), "open", "{name}: it waits all the same");
        assert!(!call.answered());
        fixture.outage(world, None);
        let place = one["place"].as_str().unwrap();
        let again = ["channel", "retry", review.id(), place];
        world.gateway.as_person(world.dora().token(), &again).success("retry").unwrap();
        fixture.until_says(world, "Waits for one of dba");
        world.dora().approve(&review).ok();
        assert_eq!(call.outcome().rows(), 1);
    });
}
