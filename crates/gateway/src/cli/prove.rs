//! `countersign policy prove`: claims about the policies, proved for every request there can be or refuted by one.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use countersign_core::policy::prove::{Counterexample, Goal, Origin, Plan};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::Context;
use super::output::{self, FAILED, Paint};
use crate::config::Config;
use crate::policies;
use crate::prover::{self, Event, Limits, Verdict};

/// The longest a whole run may take: 15 minutes.
const RUN_TIME_MAX: Duration = Duration::from_secs(15 * 60);
/// How long the work may take to notice that it is to end.
const LEAVE_TIME_MAX: Duration = Duration::from_secs(2);
/// How often a goal that takes long is reported.
const REPORT_EVERY: Duration = Duration::from_secs(5);

const NO_SOLVER: &str = "there is no solver: install cvc5, or name it with --solver or the variable CVC5";

#[derive(Debug, Args)]
pub(super) struct ProveArgs {
    /// Compare instead: what these policies permit that those of another folder refuse
    #[arg(long, value_name = "DIR", conflicts_with_all = ["without", "only"])]
    against: Option<PathBuf>,
    /// Take a policy as absent, to see what it is there for
    #[arg(long, value_name = "ID")]
    without: Vec<String>,
    /// Prove one claim alone
    #[arg(long, value_name = "ID")]
    only: Option<String>,
    /// The solver, cvc5; without it `CVC5` or the one on the PATH
    #[arg(long, value_name = "PATH")]
    solver: Option<PathBuf>,
    /// How many seconds each goal may take
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
}

/// A goal and what came of it.
struct Finding {
    verdict: Verdict,
    answered: usize,
    took: Duration,
}

impl Finding {
    fn not_proved(why: &str) -> Self {
        Self { verdict: Verdict::NotProved(why.to_owned()), answered: 0, took: Duration::ZERO }
    }

    fn word(&self) -> (Paint, &'static str) {
        match self.verdict {
            Verdict::Proved => (Paint::Good, "PROVED"),
            Verdict::Refuted(_) => (Paint::Bad, "REFUTED"),
            Verdict::NotProved(_) => (Paint::Waiting, "NOT PROVED"),
        }
    }
}

pub(super) async fn run(context: &Context, config: &Config, args: ProveArgs) -> anyhow::Result<ExitCode> {
    let plan = Arc::new(plan(config, &args)?);
    let findings = match prover::find(args.solver.clone()) {
        Some(solver) => prove(context, &plan, solver, args.timeout).await?,
        None => {
            let why = NO_SOLVER;
            plan.goals()
                .iter()
                .map(|goal| (goal, Finding::not_proved(why)))
                .map(|(goal, finding)| {
                    show(context, &plan, goal, &finding);
                    finding
                })
                .collect()
        }
    };
    let comparison = args.against.is_some();
    if context.json {
        output::json(&summary(&plan, &findings, comparison))?;
    } else {
        conclude(&plan, &findings, comparison);
    }
    Ok(exit(&findings, comparison))
}

/// A comparison that was made is a success, whatever it found.
fn exit(findings: &[Finding], comparison: bool) -> ExitCode {
    let good = |finding: &Finding| match finding.verdict {
        Verdict::Proved => true,
        Verdict::Refuted(_) => comparison,
        Verdict::NotProved(_) => false,
    };
    if findings.iter().all(good) { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

fn plan(config: &Config, args: &ProveArgs) -> anyhow::Result<Plan> {
    let bundle = policies::load(config)?;
    if let Some(folder) = &args.against {
        let other = policies::load_from(config, folder).with_context(|| folder.display().to_string())?;
        return Ok(Plan::against(&bundle, &other)?);
    }
    let invariants = policies::invariants(config, &bundle)?;
    let plan = Plan::new(&bundle, &invariants, &args.without)?;
    match &args.only {
        Some(id) => plan.only(id).with_context(|| format!("there is no claim `{id}`")),
        None => Ok(plan),
    }
}

/// Lets the solver run, and shows each goal as it is finished. Interrupted, it leaves no solver behind.
async fn prove(context: &Context, plan: &Arc<Plan>, solver: PathBuf, seconds: u64) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::with_capacity(plan.goals().len());
    let limits = Limits { goal: Duration::from_secs(seconds), run: RUN_TIME_MAX };
    let (mut told, work) = prover::start(plan.clone(), solver, limits).context("the prover cannot be started")?;
    let mut ended = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    let late = tokio::time::sleep(RUN_TIME_MAX + LEAVE_TIME_MAX);
    tokio::pin!(late);
    let mut progress = Progress::new(context);
    let stopped = loop {
        tokio::select! {
            event = told.recv() => match event {
                Some(Event::Asked { goal, answered }) => progress.tell(&plan.goals()[goal], answered),
                Some(Event::Finished { goal, verdict, answered, took }) => {
                    let finding = Finding { verdict, answered, took };
                    show(context, plan, &plan.goals()[goal], &finding);
                    findings.push(finding);
                    progress = Progress::new(context);
                }
                None => break None,
            },
            () = &mut late => break Some("the time for the whole run ran out"),
            _ = ended.recv() => break Some("interrupted"),
            _ = interrupted.recv() => break Some("interrupted"),
            _ = hung_up.recv() => break Some("interrupted"),
        }
    };
    drop(told);
    leave(work).await;
    for goal in &plan.goals()[findings.len()..] {
        let finding = Finding::not_proved(stopped.unwrap_or("the prover failed"));
        show(context, plan, goal, &finding);
        findings.push(finding);
    }
    Ok(findings)
}

/// Waits until the solver is gone; a thread that is busy compiling holds an idle one, which ends with this process.
async fn leave(work: std::thread::JoinHandle<()>) {
    let begun = Instant::now();
    while !work.is_finished() && begun.elapsed() < LEAVE_TIME_MAX {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Tells on a terminal, every few seconds, how far a long goal is.
struct Progress {
    wanted: bool,
    told: Instant,
}

impl Progress {
    fn new(context: &Context) -> Self {
        Self { wanted: !context.json && output::told_on_terminal(), told: Instant::now() }
    }

    fn tell(&mut self, goal: &Goal, answered: usize) {
        if self.wanted && self.told.elapsed() >= REPORT_EVERY {
            self.told = Instant::now();
            output::aside(&format!("{}: {answered} of {} questions answered", goal.id, goal.checks.len()));
        }
    }
}

fn show(context: &Context, plan: &Plan, goal: &Goal, finding: &Finding) {
    if context.json {
        return;
    }
    let width = plan.goals().iter().map(|goal| goal.id.chars().count()).max().unwrap_or(0);
    let (paint, word) = match (&goal.origin, finding.word()) {
        (Origin::Comparison, (_, "PROVED")) => (Paint::Quiet, "NOTHING NEW"),
        (Origin::Comparison, (_, "REFUTED")) => (Paint::Waiting, "PERMITS MORE"),
        (_, told) => told,
    };
    let word = output::painted(paint, &format!("{word:<12}"));
    let took = format!("{:>6} ms", finding.took.as_millis());
    let text = if goal.origin == Origin::Comparison { "" } else { &goal.text };
    output::line(format!("{word}  {:<width$}  {took}  {}", goal.id, output::safe(text)).trim_end());
    match &finding.verdict {
        Verdict::Proved => {}
        Verdict::Refuted(counterexample) => show_counterexample(counterexample),
        Verdict::NotProved(why) if why == NO_SOLVER => {} // told once, at the end
        Verdict::NotProved(why) => output::line(&format!("    {}", output::safe(why))),
    }
}

fn show_counterexample(found: &Counterexample) {
    let row = |name: &str, value: &str| output::line(&format!("    {name:<28} {}", output::safe(value)));
    row("principal", &found.principal);
    row("action", &found.action);
    row("resource", &found.resource);
    for fact in &found.facts {
        row(&output::safe(&fact.name), &fact.value);
    }
    if found.other_facts > 0 {
        row("…", &format!("{} other facts, whatever they are", found.other_facts));
    }
    if !found.allowed_by.is_empty() {
        row("allowed by", &found.allowed_by.join(", "));
    }
    for error in &found.errors {
        row("fails", error);
    }
}

fn conclude(plan: &Plan, findings: &[Finding], comparison: bool) {
    let count = |word: &str| findings.iter().filter(|finding| finding.word().1 == word).count();
    let (proved, refuted, open) = (count("PROVED"), count("REFUTED"), count("NOT PROVED"));
    let text = match (comparison, refuted, open) {
        (false, ..) => format!("{proved} proved, {refuted} refuted, {open} not proved"),
        (true, _, 1..) => format!("the comparison is not complete: {open} kinds of request are open"),
        (true, 0, 0) => "these policies permit nothing that the others refuse".to_owned(),
        (true, more, 0) => format!("these policies PERMIT MORE than the others, for {more} kinds of request"),
    };
    let no_solver = Verdict::NotProved(NO_SOLVER.to_owned());
    if findings.iter().any(|finding| finding.verdict == no_solver) {
        output::line(NO_SOLVER);
    }
    output::line(&text);
    output::line(&output::painted(Paint::Quiet, &format!("bundle {}", plan.bundle())));
}

fn summary(plan: &Plan, findings: &[Finding], comparison: bool) -> Value {
    let goals = plan.goals().iter().zip(findings).map(|(goal, finding)| {
        let verdict = finding.word().1.to_lowercase().replace(' ', "_");
        let (why, counterexample) = match &finding.verdict {
            Verdict::Proved => (None, None),
            Verdict::Refuted(counterexample) => (None, Some(counterexample)),
            Verdict::NotProved(why) => (Some(why), None),
        };
        json!({
            "id": goal.id, "claim": goal.text, "origin": goal.origin, "verdict": verdict, "why": why,
            "counterexample": counterexample, "questions": goal.checks.len(), "answered": finding.answered,
            "milliseconds": u64::try_from(finding.took.as_millis()).unwrap_or(u64::MAX),
        })
    });
    let proved = findings.iter().all(|finding| finding.verdict == Verdict::Proved);
    let answer = if comparison { "permits_nothing_more" } else { "proved" };
    json!({"bundle": plan.bundle(), answer: proved, "goals": goals.collect::<Vec<_>>()})
}
