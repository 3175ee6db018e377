//! Runs: a seed becomes steps, steps become a world, and the first broken invariant ends it. Replay and shrinking too.

use std::collections::BTreeMap;

use countersign_core::action::Timestamp;
use countersign_core::policy::LoadError;
use serde::{Deserialize, Serialize};

use crate::check::{Checker, Violation};
use crate::generate::Generator;
use crate::mutation::Mutation;
use crate::step::Step;
use crate::truth::Bundles;
use crate::world::World;

/// How many shorter logs are tried before the shortest so far is taken.
const SHRINK_RUNS_MAX: usize = 600;

/// One line of an event log: a step, and what it led to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// Its place, from 0.
    pub n: usize,
    /// The world's clock after it.
    pub at: Timestamp,
    /// The step; all that a replay needs.
    #[serde(flatten)]
    pub step: Step,
    /// What happened, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub happened: Vec<String>,
}

/// What a run, or many, went through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Steps by kind.
    pub steps: BTreeMap<String, u64>,
    /// What they led to.
    pub events: BTreeMap<String, u64>,
    /// Records by kind.
    pub records: BTreeMap<String, u64>,
}

impl Counts {
    /// Adds those of another run.
    pub fn add(&mut self, other: &Counts) {
        let pairs =
            [(&mut self.steps, &other.steps), (&mut self.events, &other.events), (&mut self.records, &other.records)];
        for (sum, more) in pairs {
            for (name, count) in more {
                *sum.entry(name.clone()).or_default() += count;
            }
        }
    }

    fn step(&mut self, step: &Step, seen: &[String]) {
        *self.steps.entry(step.kind().to_owned()).or_default() += 1;
        for what in seen {
            *self.events.entry(what.clone()).or_default() += 1;
        }
    }

    fn world(&mut self, world: &World<'_>) {
        *self.events.entry("conflict in the store".to_owned()).or_default() += world.store.conflicts;
        for record in &world.store.log {
            let kind = serde_json::to_value(&record.event).ok();
            let kind = kind.as_ref().and_then(|event| event.get("kind")?.as_str()).unwrap_or("?");
            *self.records.entry(kind.to_owned()).or_default() += 1;
        }
    }
}

/// How a run went.
#[derive(Debug, Clone)]
pub struct Report {
    /// What happened, in order; up to the violation, when there is one.
    pub log: Vec<Line>,
    /// What it went through.
    pub counts: Counts,
    /// The invariant that broke.
    pub violation: Option<Violation>,
}

/// The simulator, with its policy bundles loaded.
#[derive(Debug)]
pub struct Simulator {
    bundles: Bundles,
    mutation: Mutation,
}

impl Simulator {
    /// Loads the bundles.
    ///
    /// # Errors
    /// A bundle is not valid.
    pub fn new(mutation: Mutation) -> Result<Self, LoadError> {
        Ok(Self { bundles: Bundles::load()?, mutation })
    }

    /// The same bundles with another planted defect.
    #[must_use]
    pub fn with(self, mutation: Mutation) -> Self {
        Self { mutation, ..self }
    }

    /// Runs so many steps of a seed.
    pub fn run(&self, seed: u64, steps: usize) -> Report {
        let mut generator = Generator::new(seed);
        let mut left = steps;
        self.drive(|world| {
            left = left.checked_sub(1)?;
            Some(generator.next(world))
        })
    }

    /// Runs these steps.
    pub fn replay(&self, steps: &[Step]) -> Report {
        let mut steps = steps.iter().cloned();
        self.drive(|_| steps.next())
    }

    fn drive(&self, mut next: impl FnMut(&World<'_>) -> Option<Step>) -> Report {
        let mut world = World::new(&self.bundles, self.mutation);
        let mut checker = Checker::default();
        let mut report = Report { log: Vec::new(), counts: Counts::default(), violation: None };
        while let Some(step) = next(&world) {
            world.apply(&step);
            report.counts.step(&step, &world.seen);
            let (n, at, happened) = (report.log.len(), world.now, world.seen.clone());
            report.log.push(Line { n, at, step, happened });
            if let Err(violation) = checker.after_step(&world) {
                report.violation = Some(violation);
                break;
            }
        }
        report.counts.world(&world);
        report
    }

    /// The shortest log found that breaks the same invariant: steps are dropped as long as it still does.
    #[must_use]
    pub fn shrink(&self, report: Report) -> Report {
        let Some(wanted) = report.violation.as_ref().map(|violation| violation.invariant) else { return report };
        let mut best = report;
        let (mut runs, mut chunk) = (0, best.log.len().div_ceil(2));
        while chunk > 0 && runs < SHRINK_RUNS_MAX {
            let mut at = 0;
            while at < best.log.len() && runs < SHRINK_RUNS_MAX {
                runs += 1;
                let shorter = self.replay(&without(&best.log, at, chunk));
                match shorter.violation.as_ref().is_some_and(|violation| violation.invariant == wanted) {
                    true => best = shorter,
                    false => at += chunk,
                }
            }
            chunk /= 2;
        }
        best
    }
}

fn without(log: &[Line], at: usize, chunk: usize) -> Vec<Step> {
    let kept = log.iter().enumerate().filter(|(n, _)| !(at..at + chunk).contains(n));
    kept.map(|(_, line)| line.step.clone()).collect()
}
