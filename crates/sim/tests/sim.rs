//! The seeds of every test run, the planted defects, and replay.

use std::collections::BTreeMap;

use countersign_sim::{Counts, Defect, Line, Mutation, Report, Sides, SidesReport, Simulator, Step};

const STEPS: usize = 400;
const SEEDS: u64 = 40;

fn simulator(mutation: Mutation) -> Simulator {
    Simulator::new(mutation).expect("the bundles are valid")
}

/// Runs seeds on two threads, until `stop` says so; the reports in the order of their seeds.
fn seeds(simulator: &Simulator, seeds: std::ops::Range<u64>) -> Vec<(u64, Report)> {
    let half = |first: u64| {
        let mine = seeds.clone().filter(move |seed| seed % 2 == first);
        mine.map(|seed| (seed, simulator.run(seed, STEPS))).collect::<Vec<_>>()
    };
    let mut all = std::thread::scope(|scope| {
        let odd = scope.spawn(|| half(1));
        let mut even = half(0);
        even.extend(odd.join().expect("the other half ran"));
        even
    });
    all.sort_by_key(|(seed, _)| *seed);
    all
}

#[test]
fn every_invariant_holds_and_everything_was_exercised() {
    let simulator = simulator(Mutation::None);
    let mut counts = Counts::default();
    for (seed, report) in seeds(&simulator, 0..SEEDS) {
        counts.add(&report.counts);
        assert_eq!(report.violation, None, "seed {seed}; shrink it with the binary");
    }
    let happened = |what: &str| counts.events.get(what).copied().unwrap_or_default();
    for what in [
        "executed: sql:write",
        "executed: sql:ddl",
        "executed: sql:opaque",
        "review joined",
        "review now approved",
        "review now rejected",
        "review now expired",
        "review now withdrawn",
        "grant revoked: an approver may no longer approve",
        "grant revoked: policy now refuses it",
        "grant revoked: policy now asks for more",
        "client left while it waited",
        "crash: between execution and outcome",
        "restart: intents closed as unknown",
        "conflict in the store",
        "vote looks again after a conflict",
        "vote refused: self_approval",
        "vote refused: voted_already",
        "vote refused: review_closed",
        "vote refused: digest_mismatch",
        "refused: hold_ended",
        "refused: approval_void",
        "refused: record_unavailable",
        "refused: review_expired",
        "refused: review_rejected",
        "refused: rejected_recently",
    ] {
        assert!(happened(what) > 0, "`{what}` never happened in {SEEDS} seeds: {:?}", counts.events);
    }
    assert!(counts.records.get("grant.consumed").is_some_and(|grants| *grants > SEEDS / 2), "{:?}", counts.records);
}

/// The seeds that are tried for a planted defect, from one that is known to reach it: most need no luck, one needs some.
fn tried(mutation: Mutation) -> std::ops::Range<u64> {
    let first = match mutation {
        Mutation::RunnersSideForgotten => 63,
        _ => 0,
    };
    first..first + 300
}

/// The first seed whose run breaks an invariant.
fn noticed(simulator: &Simulator, mut seeds: std::ops::Range<u64>) -> Option<(u64, Report)> {
    seeds.find_map(|seed| Some((seed, simulator.run(seed, STEPS))).filter(|(_, report)| report.violation.is_some()))
}

#[test]
fn every_planted_defect_is_noticed() {
    let mut simulator = simulator(Mutation::None);
    let mut missed = Vec::new();
    for mutation in Mutation::ALL {
        simulator = simulator.with(mutation);
        match noticed(&simulator, tried(mutation)) {
            Some((seed, report)) => {
                let violation = report.violation.expect("found by it");
                println!("{mutation:?}: seed {seed}, step {}: {violation}", report.log.len());
            }
            None => missed.push(mutation),
        }
    }
    assert!(missed.is_empty(), "not noticed: {missed:?}");
}

#[test]
fn a_log_replays_to_the_same_end() {
    let simulator = simulator(Mutation::GrantConsumedAgain);
    let (seed, report) = noticed(&simulator, 0..300).expect("the defect is noticed");
    let text: Vec<String> =
        report.log.iter().map(|line| serde_json::to_string(line).expect("a line is JSON")).collect();
    let steps: Vec<Step> = text.iter().map(|line| serde_json::from_str(line).expect("a line is a step")).collect();
    let lines: Result<Vec<Line>, _> = text.iter().map(|line| serde_json::from_str(line)).collect();
    assert_eq!(lines.expect("a line reads back").len(), text.len());
    let again = simulator.replay(&steps);
    assert_eq!(again.violation, report.violation, "seed {seed}");
    assert_eq!(again.counts, report.counts);
    let same: Vec<String> = again.log.iter().map(|line| serde_json::to_string(line).expect("a line is JSON")).collect();
    assert_eq!(same, text);
}

#[test]
fn shrinking_keeps_the_violation_and_drops_steps() {
    let simulator = simulator(Mutation::IntentNotWritten);
    let (_, report) = noticed(&simulator, 0..300).expect("the defect is noticed");
    let (length, violation) = (report.log.len(), report.violation.clone().expect("noticed"));
    let shrunk = simulator.shrink(report);
    assert_eq!(shrunk.violation.map(|v| v.invariant), Some(violation.invariant));
    assert!(shrunk.log.len() <= length.min(8), "{} steps", shrunk.log.len());
}

/// How many seeds of sides a test run tries, unless `COUNTERSIGN_SIM_SEEDS` says how many.
const SIDES_SEEDS: u64 = 60;
const SIDES_STEPS: usize = 120;

fn sides(defect: Defect) -> Sides {
    Sides::new(defect).expect("the policies are valid")
}

fn sides_seeds() -> u64 {
    let given = std::env::var("COUNTERSIGN_SIM_SEEDS").ok();
    given.map_or(SIDES_SEEDS, |given| given.parse().expect("COUNTERSIGN_SIM_SEEDS is a number"))
}

#[test]
fn nobodys_side_lets_anything_run_whatever_way_it_tries() {
    let (simulator, seeds) = (sides(Defect::None), sides_seeds());
    let half = |first: u64| (first..seeds).step_by(2).map(|seed| (seed, simulator.run(seed, SIDES_STEPS))).collect();
    let reports: Vec<(u64, SidesReport)> = std::thread::scope(|scope| {
        let odd = scope.spawn(|| half(1));
        let even: Vec<_> = half(0);
        even.into_iter().chain(odd.join().expect("the other half ran")).collect()
    });
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for (seed, report) in reports {
        assert_eq!(report.violation, None, "seed {seed}: {:#?}", report.log);
        for (what, count) in report.counts {
            *counts.entry(what).or_default() += count;
        }
    }
    for what in [
        "approved",
        "approved a pattern",
        "voted by a duty",
        "glass broken",
        "ran by a grant",
        "ran under a pattern",
        "ran through broken glass",
        "a follow-up signed off",
        "an approval voided",
        "a pattern ended: an approver may no longer approve",
        "a grant revoked: an approver may no longer approve",
        "refused: self_approval",
        "refused: not_your_turn",
    ] {
        assert!(counts.get(what).is_some_and(|count| *count > 0), "`{what}` never happened: {counts:#?}");
    }
}

/// From which seed on a defect is tried: one that is known to reach it soon.
fn tried_sides(defect: Defect) -> std::ops::Range<u64> {
    let first = match defect {
        Defect::HolderNotAsked => 30,
        Defect::NothingFrozen => 20,
        Defect::DutiesNeverEnd => 18,
        Defect::UsesNotCounted => 64,
        Defect::RunnersSideForgotten => 218,
        Defect::BreakerCountsTwice => 505,
        _ => 0,
    };
    first..first + 300
}

#[test]
fn every_rule_that_is_left_out_is_noticed() {
    let mut simulator = sides(Defect::None);
    let mut missed = Vec::new();
    for defect in Defect::ALL {
        simulator = simulator.with(defect);
        let found = tried_sides(defect)
            .find_map(|seed| Some((seed, simulator.run(seed, SIDES_STEPS))).filter(|(_, r)| r.violation.is_some()));
        match found {
            Some((seed, report)) => {
                let violation = report.violation.expect("found by it");
                println!("{defect:?}: seed {seed}, {} steps: {violation}", report.log.len());
            }
            None => missed.push(defect),
        }
    }
    assert!(missed.is_empty(), "not noticed: {missed:?}");
}

#[test]
fn a_seed_of_sides_names_one_run() {
    let simulator = sides(Defect::ElevationsForgotten);
    let run = || {
        let report = simulator.run(11, SIDES_STEPS);
        (report.log, report.counts, report.violation)
    };
    assert_eq!(run(), run());
}
