//! `countersign-sim`: runs seeds, or replays an event log; exits 1 when an invariant breaks and 2 on wrong usage.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use countersign_sim::{Counts, Defect, Line, Mutation, Report, Sides, Simulator, Step, Violation};

/// The most lines of an event log that are read.
const LINES_MAX: usize = 1_000_000;

/// Runs the simulated world and holds its invariants after every step.
#[derive(Debug, Parser)]
#[command(name = "countersign-sim")]
struct Options {
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many seeds to run, counting up.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Steps per seed.
    #[arg(long, default_value_t = 400)]
    steps: usize,
    /// Write the event log of the last run, or of the violation, as JSON lines.
    #[arg(long)]
    log: Option<PathBuf>,
    /// Run the steps of an event log instead of seeds.
    #[arg(long)]
    replay: Option<PathBuf>,
    /// Plant a defect, by its name in snake case, to see it noticed.
    #[arg(long, value_parser = mutation, default_value = "none")]
    mutation: Mutation,
    /// Run the world of sides: who lets what run, held against an oracle.
    #[arg(long, conflicts_with_all = ["replay", "log", "mutation"])]
    sides: bool,
    /// Plant a defect in that world, by its name in snake case.
    #[arg(long, value_parser = defect, default_value = "none", requires = "sides")]
    defect: Defect,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
}

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("a policy bundle is not valid")]
    Policies(#[source] countersign_core::policy::LoadError),
    #[error("cannot use the event log `{path}`")]
    Log { path: PathBuf, source: std::io::Error },
    #[error("line {line} of the event log is not a step")]
    Line { line: usize, source: serde_json::Error },
    #[error("the event log has more than {LINES_MAX} lines")]
    TooLong,
    #[error("cannot print")]
    Print(#[source] std::io::Error),
}

fn main() -> ExitCode {
    let options = Options::parse();
    match if options.sides { run_sides(&options) } else { run(&options) } {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            eprintln!("countersign-sim: {error}{source}");
            ExitCode::from(2)
        }
    }
}

/// Whether every invariant held.
fn run(options: &Options) -> Result<bool, Error> {
    let simulator = Simulator::new(options.mutation).map_err(Error::Policies)?;
    let mut counts = Counts::default();
    let mut last = None;
    if let Some(path) = &options.replay {
        let report = simulator.replay(&read(path)?);
        counts.add(&report.counts);
        last = Some((None, report));
    } else {
        for seed in options.seed..options.seed.saturating_add(options.seeds) {
            let report = simulator.run(seed, options.steps);
            counts.add(&report.counts);
            let broken = report.violation.is_some();
            last = Some((Some(seed), report));
            if broken {
                break;
            }
        }
    }
    let Some((seed, report)) = last else { return Ok(true) };
    let report = if report.violation.is_some() { simulator.shrink(report) } else { report };
    if let Some(path) = &options.log {
        write(path, &report.log)?;
    }
    print(options, &counts, seed, &report).map_err(Error::Print)?;
    Ok(report.violation.is_none())
}

/// Whether nobody of a side let anything run.
fn run_sides(options: &Options) -> Result<bool, Error> {
    let simulator = Sides::new(options.defect).map_err(Error::Policies)?;
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for seed in options.seed..options.seed.saturating_add(options.seeds) {
        let report = simulator.run_and_shrink(seed, options.steps);
        if let Some(violation) = report.violation {
            let told = print_sides(options, &counts, Some((seed, &violation, &report.log)));
            return told.map(|()| false).map_err(Error::Print);
        }
        for (what, count) in report.counts {
            *counts.entry(what).or_default() += count;
        }
    }
    print_sides(options, &counts, None).map(|()| true).map_err(Error::Print)
}

fn print_sides(
    options: &Options,
    counts: &BTreeMap<String, u64>,
    broken: Option<(u64, &Violation, &Vec<String>)>,
) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if options.json {
        let violation = broken.map(|(seed, violation, log)| {
            serde_json::json!({
                "invariant": violation.invariant, "detail": violation.detail, "seed": seed, "log": log,
            })
        });
        return writeln!(out, "{}", serde_json::json!({ "counts": counts, "violation": violation }));
    }
    counts.iter().try_for_each(|(what, count)| writeln!(out, "{count:>10}  {what}"))?;
    let Some((seed, violation, log)) = broken else { return writeln!(out, "every invariant held") };
    writeln!(out, "BROKEN by seed {seed}: {violation}\nthe shortest run found, {} steps:", log.len())?;
    log.iter().try_for_each(|line| writeln!(out, "{line}"))
}

fn defect(name: &str) -> Result<Defect, String> {
    serde_json::from_value(serde_json::Value::String(name.to_owned())).map_err(|_| {
        let names = Defect::ALL.iter().filter_map(|defect| serde_json::to_value(defect).ok());
        let names = names.filter_map(|name| Some(name.as_str()?.to_owned()));
        format!("no such defect; there are {}", names.collect::<Vec<_>>().join(", "))
    })
}

fn read(path: &Path) -> Result<Vec<Step>, Error> {
    let fail = |source| Error::Log { path: path.to_owned(), source };
    let mut steps = Vec::new();
    for (at, line) in BufReader::new(std::fs::File::open(path).map_err(fail)?).lines().enumerate() {
        let step = serde_json::from_str(&line.map_err(fail)?).map_err(|source| Error::Line { line: at + 1, source })?;
        if at >= LINES_MAX {
            return Err(Error::TooLong);
        }
        steps.push(step);
    }
    Ok(steps)
}

fn write(path: &Path, log: &[Line]) -> Result<(), Error> {
    let fail = |source| Error::Log { path: path.to_owned(), source };
    let mut file = std::fs::File::create(path).map_err(fail)?;
    print_log(&mut file, log).map_err(fail)
}

fn print_log(out: &mut impl Write, log: &[Line]) -> std::io::Result<()> {
    log.iter().try_for_each(|line| writeln!(out, "{}", serde_json::to_string(line)?))
}

fn print(options: &Options, counts: &Counts, seed: Option<u64>, report: &Report) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if options.json {
        let violation = report.violation.as_ref().map(|violation| {
            serde_json::json!({
                "invariant": violation.invariant, "detail": violation.detail, "seed": seed, "log": report.log,
            })
        });
        let summary = serde_json::json!({ "counts": counts, "violation": violation });
        return writeln!(out, "{summary}");
    }
    for (title, counts) in [("steps", &counts.steps), ("events", &counts.events), ("records", &counts.records)] {
        writeln!(out, "{title}")?;
        counts.iter().try_for_each(|(name, count)| writeln!(out, "  {count:>8}  {name}"))?;
    }
    let Some(violation) = &report.violation else { return writeln!(out, "every invariant held") };
    let whence = seed.map_or_else(|| "the replayed log".to_owned(), |seed| format!("seed {seed}"));
    writeln!(out, "BROKEN by {whence}: {violation}\nthe shortest log found, {} steps:", report.log.len())?;
    print_log(&mut out, &report.log)
}

fn mutation(name: &str) -> Result<Mutation, String> {
    let known = |mutation: &Mutation| serde_json::to_value(mutation).ok();
    serde_json::from_value(serde_json::Value::String(name.to_owned())).map_err(|_| {
        let names = Mutation::ALL.iter().filter_map(|m| Some(known(m)?.as_str()?.to_owned()));
        format!("no such defect; there are {}", names.collect::<Vec<_>>().join(", "))
    })
}
