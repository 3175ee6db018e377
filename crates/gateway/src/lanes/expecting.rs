//! Not falling asleep when something is about to come.
//!
//! A thread that waits for events sleeps in the operating system, and so does its processor, where nothing else is to run:
//! waking both takes some 30 µs, and code and data are in no cache any more. A request alone on a lane pays that twice, for
//! its upstream's answer and for being the next on its connection. So a lane that expects something looks for events a while
//! longer before it sleeps, as event loops for networks do (DPDK, Seastar's `--idle-poll-time-us`). Other programs go first
//! at each look. Where looking did not pay several times, it is left for most of the next times; for answers and for requests
//! apart, since a client that sends one now and then has an upstream that answers soon.

use std::cell::{Cell, RefCell};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// For how long a lane looks. An answer from the same machine or the same rack comes within it.
const LOOKING_MAX: Duration = Duration::from_micros(100);
/// Requests at upstreams with which a lane still looks: with more, it is rarely without anything to do, and the processor
/// is for others.
const REQUESTS_MAX: usize = 1;
/// How often in a row looking may be in vain.
const VAIN_MAX: u32 = 16;
/// After that, one time in so many is tried.
const TRIED_EVERY: u32 = 64;

thread_local! {
    static LANE: Lane = const { Lane::new() };
}

/// What a lane expects.
struct Lane {
    /// Requests at upstreams.
    requests: Cell<usize>,
    /// Until when it looks; none while it does not.
    until: Cell<Option<Instant>>,
    /// Whether that is for an answer, or else for the next request.
    for_answer: Cell<bool>,
    answers: Hope,
    next: Hope,
    /// Who looks, while there is nothing to look for.
    looking: RefCell<Option<Waker>>,
}

/// Whether it is worth to look for something: how often that was in vain since it last paid, and since it was last tried.
struct Hope(Cell<u32>);

impl Hope {
    const fn new() -> Self {
        Self(Cell::new(0))
    }

    fn is_worth_it(&self) -> bool {
        let vain = self.0.get();
        if vain < VAIN_MAX {
            return true;
        }
        self.0.set(vain.wrapping_add(1).max(VAIN_MAX));
        vain.is_multiple_of(TRIED_EVERY)
    }

    fn paid(&self) {
        self.0.set(0);
    }

    fn was_vain(&self) {
        self.0.set(self.0.get().saturating_add(1));
    }
}

impl Lane {
    const fn new() -> Self {
        Self {
            requests: Cell::new(0),
            until: Cell::new(None),
            for_answer: Cell::new(false),
            answers: Hope::new(),
            next: Hope::new(),
            looking: RefCell::new(None),
        }
    }

    /// Something has come, or gone out: more is expected.
    fn stir(&self) {
        if self.until.take().is_some() {
            self.hope().paid(); // it came while the lane looked
        }
        self.for_answer.set(self.requests.get() > 0);
        if self.requests.get() > REQUESTS_MAX || !self.hope().is_worth_it() {
            return;
        }
        self.until.set(Some(Instant::now() + LOOKING_MAX));
        if let Some(waker) = self.looking.take() {
            waker.wake();
        }
    }

    /// Of what is looked for.
    fn hope(&self) -> &Hope {
        if self.for_answer.get() { &self.answers } else { &self.next }
    }

    /// Whether to look on.
    fn is_looking(&self) -> bool {
        let Some(until) = self.until.get() else { return false };
        if Instant::now() < until {
            return true;
        }
        self.until.set(None);
        self.hope().was_vain();
        false
    }
}

/// A request of this lane that is at its upstream.
pub struct Expecting(());

impl Expecting {
    /// From now on until it is dropped.
    pub fn begin() -> Self {
        LANE.with(|lane| {
            lane.requests.set(lane.requests.get() + 1);
            lane.stir();
        });
        Self(())
    }
}

impl Drop for Expecting {
    fn drop(&mut self) {
        LANE.with(|lane| {
            lane.requests.set(lane.requests.get().saturating_sub(1));
            lane.stir();
        });
    }
}

/// Looks whenever this lane expects something, for ever. One of these a lane.
pub(super) async fn look() {
    loop {
        let expects = |cx: &mut std::task::Context<'_>| {
            LANE.with(|lane| {
                if lane.until.get().is_some() {
                    return Poll::Ready(());
                }
                *lane.looking.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            })
        };
        std::future::poll_fn(expects).await;
        while LANE.with(Lane::is_looking) {
            std::thread::yield_now();
            tokio::task::yield_now().await; // the event loop takes what has come
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits_in_vain(lane: &Lane) {
        std::thread::sleep(2 * LOOKING_MAX);
        assert!(!lane.is_looking());
    }

    #[test]
    fn a_lane_looks_for_what_follows_a_request_and_not_for_ever() {
        let lane = Lane::new();
        assert!(!lane.is_looking(), "nothing is expected yet");
        lane.stir();
        assert!(lane.until.get().is_some());
        waits_in_vain(&lane);
        assert_eq!(lane.next.0.get(), 1);
        lane.stir();
        lane.stir();
        assert_eq!(lane.next.0.get(), 0, "it paid");
    }

    #[test]
    fn a_lane_that_has_more_to_do_does_not_look() {
        let lane = Lane::new();
        lane.stir();
        lane.requests.set(REQUESTS_MAX + 1);
        lane.stir();
        assert!(!lane.is_looking());
    }

    #[test]
    fn what_does_not_pay_is_left_for_most_times() {
        let lane = Lane::new();
        for _ in 0..VAIN_MAX {
            lane.stir();
            waits_in_vain(&lane);
        }
        let times = 2 * TRIED_EVERY;
        let mut tried = 0;
        for _ in 0..times {
            lane.stir();
            if lane.until.get().is_some() {
                tried += 1;
                waits_in_vain(&lane);
            }
        }
        assert!((1..=2).contains(&tried), "{tried} of {times}");
        lane.next.0.set(TRIED_EVERY);
        lane.stir();
        lane.stir();
        assert_eq!(lane.next.0.get(), 0, "once it pays, it is done each time again");
    }

    #[test]
    fn answers_that_come_soon_say_nothing_of_the_next_request() {
        let lane = Lane::new();
        for _ in 0..VAIN_MAX {
            lane.requests.set(1);
            lane.stir();
            lane.requests.set(0);
            lane.stir(); // the answer
            waits_in_vain(&lane);
        }
        lane.requests.set(1);
        lane.stir();
        assert!(lane.until.get().is_some(), "answers are worth it");
        lane.requests.set(0);
        lane.stir();
        assert!(lane.until.get().is_none(), "the next request is not");
    }
}
