//! Chooses steps. Nobody in here looks at the world: a vote is as likely from the side as from anybody else.

use super::facts::{AGENTS, GROUPS, PEOPLE};
use super::step::{Origin, Step, What};
use crate::rng::Rng;

/// Sessions at once.
pub(super) const SLOTS: usize = 4;

/// Makes steps.
#[derive(Debug)]
pub(super) struct Generator {
    rng: Rng,
    /// What was asked last: often asked again, so that what was approved is used.
    asked: Option<Step>,
}

impl Generator {
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed), asked: None }
    }

    pub(super) fn next(&mut self) -> Step {
        match self.rng.below(100) {
            0..6 => self.log_in(),
            6..22 => self.ask(),
            22..62 => self.vote(),
            62..65 => Step::TakeBack { who: self.who(), back: self.back() },
            65..71 => Step::Break { who: self.who(), back: self.back() },
            71..75 => Step::FollowUp { who: self.who(), back: self.back() },
            75..80 => Step::Give { of: self.who(), deputy: self.who(), seconds: self.seconds(4_000) },
            80..82 => Step::EndDuty { back: self.rng.below(4) },
            82..84 => Step::Make { by: self.who(), whom: self.who(), group: self.group() },
            84..87 => Step::Own { agent: self.rng.below(AGENTS), who: self.who() },
            87..90 => Step::Suspend { who: self.who(), suspended: self.rng.percent(30) },
            90..93 => Step::Leave { who: self.who(), group: self.group() },
            _ => self.tick(),
        }
    }

    fn who(&mut self) -> usize {
        self.rng.below(PEOPLE)
    }

    fn group(&mut self) -> &'static str {
        self.rng.pick(&GROUPS).unwrap_or("dba")
    }

    /// Mostly the latest review.
    fn back(&mut self) -> usize {
        if self.rng.percent(80) { 0 } else { self.rng.below(6) }
    }

    fn seconds(&mut self, end: usize) -> i64 {
        i64::try_from(self.rng.below(end)).unwrap_or(0)
    }

    fn log_in(&mut self) -> Step {
        let slot = self.rng.below(SLOTS);
        if self.rng.percent(20) {
            return Step::LogIn { slot, origin: Origin::Person(self.who()) };
        }
        let on_behalf_of = self.rng.percent(25).then(|| self.who());
        let through = self.rng.percent(30).then(|| self.who());
        Step::LogIn { slot, origin: Origin::Agent { agent: self.rng.below(AGENTS), on_behalf_of, through } }
    }

    fn ask(&mut self) -> Step {
        if let Some(asked) = self.asked.clone().filter(|_| self.rng.percent(65)) {
            return self.again(asked);
        }
        let what = match self.rng.below(20) {
            0 => What::Read,
            1..11 => What::Write,
            11..17 => What::Ddl,
            _ => What::Opaque,
        };
        let value = self.seconds(3) + if self.rng.percent(5) { 20 } else { 0 };
        let step = Step::Ask { slot: self.rng.below(SLOTS), what, value };
        self.asked = Some(step.clone());
        step
    }

    /// The same once more; at times from another session, or with another value.
    fn again(&mut self, asked: Step) -> Step {
        let Step::Ask { slot, what, value } = asked else { return asked };
        let slot = if self.rng.percent(40) { self.rng.below(SLOTS) } else { slot };
        let value = if self.rng.percent(25) { self.seconds(3) } else { value };
        Step::Ask { slot, what, value }
    }

    fn vote(&mut self) -> Step {
        let (approve, pattern) = (self.rng.percent(95), self.rng.percent(50));
        Step::Vote { who: self.who(), back: self.back(), approve, pattern }
    }

    /// Mostly seconds; at times enough for reviews, grants, duties and patterns to end.
    fn tick(&mut self) -> Step {
        let seconds = match self.rng.below(10) {
            0..6 => self.seconds(60),
            6..9 => self.seconds(900),
            _ => self.seconds(3_000),
        };
        Step::Tick { seconds }
    }
}
