//! Who lets what run: random directories, delegations and orders of events, and an oracle that knows who is on whose side.
//!
//! The world of `world` is about order: crashes, races, storage that fails. This one is about people, and has every way in
//! which their word lets an action run: votes in stages, votes by deputies, patterns and their uses, broken glass and its
//! follow-up, votes taken back. Around them everything changes on which a side depends: owners past and present, those who
//! act for somebody or came through somebody, people who make others approvers, suspensions, groups, time.
//!
//! Every proof, vote, count, decision and release is the core's own; [`rule`] and [`resolve`] hand it the people in the
//! order in which the gateway does. The [`oracle`] calls none of it. It reads the plain facts, closes the matrix of who made
//! whom an approver, counts seats by matching, and after each step asks: would what was let through have been let through
//! by the people outside the side alone?
//!
//! ```text
//! cargo run -p countersign-sim -- --sides --seeds 10000 --steps 400            a longer run
//! cargo run -p countersign-sim -- --sides --seed 7 --defect former_owners_forgotten
//! ```

mod defect;
mod facts;
mod generate;
mod oracle;
mod release;
mod resolve;
mod rule;
mod step;
mod world;

use std::collections::BTreeMap;

use countersign_core::policy::{Bundle, LoadError, Source, Vocabulary};

pub use defect::Defect;

use crate::check::Violation;
use generate::Generator;
use oracle::Oracle;
use step::Step;
use world::World;

/// How many shorter runs are tried before the shortest so far is taken.
const SHRINK_RUNS_MAX: usize = 2_000;

/// How a run went.
#[derive(Debug, Clone)]
pub struct SidesReport {
    /// The steps, in words; up to the violation, when there is one.
    pub log: Vec<String>,
    /// What happened, and how often.
    pub counts: BTreeMap<String, u64>,
    /// The invariant that broke.
    pub violation: Option<Violation>,
}

/// The simulator of sides, with its policies loaded.
#[derive(Debug)]
pub struct Sides {
    bundle: Bundle,
    defect: Defect,
}

impl Sides {
    /// Loads the policies.
    ///
    /// # Errors
    /// They are not valid.
    pub fn new(defect: Defect) -> Result<Self, LoadError> {
        let text = include_str!("../../policies/sides.cedar").to_owned();
        let source = Source { name: "sides.cedar".to_owned(), text };
        Ok(Self { bundle: Bundle::load(vec![source], Vocabulary::starter())?, defect })
    }

    /// The same policies with another planted defect.
    #[must_use]
    pub fn with(self, defect: Defect) -> Self {
        Self { defect, ..self }
    }

    /// Runs so many steps of a seed.
    pub fn run(&self, seed: u64, steps: usize) -> SidesReport {
        self.drive(seed, &chosen(seed, steps))
    }

    /// The same; what breaks an invariant is cut down to the fewest steps found that break it.
    pub fn run_and_shrink(&self, seed: u64, steps: usize) -> SidesReport {
        let steps = chosen(seed, steps);
        let report = self.drive(seed, &steps);
        match &report.violation {
            None => report,
            Some(violation) => self.shrink(seed, steps.get(..report.log.len()).unwrap_or(&steps), violation),
        }
    }

    fn drive(&self, seed: u64, steps: &[Step]) -> SidesReport {
        let mut world = World::new(&self.bundle, self.defect, facts::Facts::random(seed));
        let mut oracle = Oracle::default();
        let mut report = SidesReport { log: Vec::new(), counts: BTreeMap::new(), violation: None };
        for step in steps {
            world.apply(step);
            report.log.push(format!("{step:?} {:?}", world.seen));
            for what in std::mem::take(&mut world.seen) {
                *report.counts.entry(what).or_default() += 1;
            }
            if let Err(violation) = oracle.after_step(&world) {
                report.violation = Some(violation);
                break;
            }
        }
        report
    }

    /// The fewest steps found that break the same invariant.
    fn shrink(&self, seed: u64, steps: &[Step], violation: &Violation) -> SidesReport {
        let mut best = steps.to_vec();
        let (mut runs, mut chunk) = (0, best.len().div_ceil(2));
        while chunk > 0 && runs < SHRINK_RUNS_MAX {
            let mut at = 0;
            while at < best.len() && runs < SHRINK_RUNS_MAX {
                runs += 1;
                let kept = best.iter().enumerate().filter(|(n, _)| !(at..at + chunk).contains(n));
                let shorter: Vec<Step> = kept.map(|(_, step)| step.clone()).collect();
                let found = self.drive(seed, &shorter).violation;
                match found.is_some_and(|found| found.invariant == violation.invariant) {
                    true => best = shorter,
                    false => at += chunk,
                }
            }
            chunk /= 2;
        }
        self.drive(seed, &best)
    }
}

fn chosen(seed: u64, steps: usize) -> Vec<Step> {
    let mut generator = Generator::new(seed);
    (0..steps).map(|_| generator.next()).collect()
}
