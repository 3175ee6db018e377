//! Clicks that come too late, or two at once, in every channel that has any.

use serde_json::Value;

use super::{Click, Fixture, each, each_of};
use crate::harness::{Plan, ROW, World};

const WRITE: &str = "UPDATE customers SET credit_limit = credit_limit + 1 WHERE id = 3";

/// Clicks, if anybody can. What comes of it is in the record.
fn clicked(world: &World, fixture: &dyn Fixture, message: &Value) -> bool {
    fixture.decides(message) && fixture.click(world, message, Click::Genuine)
}

fn refusals(world: &World, review: &str, code: &str) -> usize {
    world.count_recorded(|leaf| leaf["kind"] == "review.refused" && leaf["code"] == code && leaf["review"] == review)
}

#[test]
fn a_click_that_comes_after_its_time_counts_for_nothing() {
    each_of(
        || Plan::default().short_reviews(),
        |name, world, fixture| {
            let (call, review) = world.paused(WRITE);
            let message = fixture.until_says(world, "Waits for one of dba");
            call.outcome().refused("57014");
            if !clicked(world, fixture, &message) {
                return;
            }
            world.until_recorded(&format!("the late click in {name}"), |_| {
                refusals(world, review.id(), "review_closed") == 1
            });
            let now = world.dora().review(review.id());
            assert_eq!((now.state(), now.votes()), ("expired", 0), "{name}");
            assert_eq!(world.truth(ROW), "200");
            let closed = fixture.until_says(world, "Expired");
            assert!(!fixture.decides(&closed), "{name}: {closed}");
        },
    );
}

#[test]
fn a_click_on_what_was_rejected_revives_nothing() {
    each(|name, world, fixture| {
        let (call, review) = world.paused(WRITE);
        let message = fixture.until_says(world, "Waits for one of dba");
        world.dora().reject(&review, "no").ok();
        call.outcome().refused("42501");
        if !clicked(world, fixture, &message) {
            return;
        }
        let what = format!("the click in {name}");
        world.until_recorded(&what, |_| refusals(world, review.id(), "review_closed") == 1);
        assert_eq!(world.dora().review(review.id()).state(), "rejected", "{name}");
        assert_eq!(world.truth(ROW), "200");
    });
}

/// Eight clicks of one person in the same moment are one vote, and what they approve runs once.
#[test]
fn clicks_at_the_same_moment_are_one_vote() {
    const AT_ONCE: usize = 8;
    each(|name, world, fixture| {
        let (call, review) = world.paused(WRITE);
        let message = fixture.until_says(world, "Waits for one of dba");
        if !fixture.decides(&message) {
            return;
        }
        let race = std::sync::Barrier::new(AT_ONCE);
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    race.wait();
                    super::fixture(name).click(world, &message, Click::Genuine);
                });
            }
        });
        assert_eq!(call.outcome().rows(), 1, "{name}");
        assert_eq!(world.truth(ROW), "201", "{name}: it ran once");
        world.until_recorded(&format!("every other click in {name}"), |_| {
            refusals(world, review.id(), "review_closed") == AT_ONCE - 1
        });
        let votes = world.count_recorded(|leaf| leaf["kind"] == "review.vote" && leaf["review"] == review.id());
        assert_eq!((votes, world.dora().review(review.id()).votes()), (1, 1), "{name}");
    });
}
