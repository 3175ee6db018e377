//! The seeds of every test run, the planted defects, and replay.

use countersign_sim::{Counts, Line, Mutation, Report, Simulator, Step};

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
