//! What a changed bundle would mean: how its text differs, what it newly permits, and whether its own tests still hold.
//!
//! A change needs nobody only where it is *shown* to permit nothing more: by its text, where it only adds forbids and takes
//! permits away, or by the solver, for every request there can be. The solver knows requests, not obligations, so a policy
//! that carries any (a passkey, a reason, masks, a deadline) must stand as it stood. Whatever is not shown, waits.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use countersign_core::action::Timestamp;
use countersign_core::card::difference;
use countersign_core::policy::prove::{Counterexample, Plan};
use countersign_core::policy::{Bundle, Difference, Differences};

use super::invariants;
use crate::config::Config;
use crate::prover::{self, Event, Limits, Verdict};

/// How long the solver may take for what is newly permitted: with the invariants 17 of a request's 30 seconds.
const NEWLY: Limits = Limits { goal: Duration::from_secs(5), run: Duration::from_secs(12) };
/// How long it may take for the invariants.
const INVARIANTS: Limits = Limits { goal: Duration::from_secs(3), run: Duration::from_secs(5) };
/// The most facts of one example that are told.
const FACTS_MAX: usize = 12;

/// What a change newly permits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Newly {
    /// Nothing, and how that is known.
    Nothing(&'static str),
    /// At least this: a kind of request, and one of it that was refused before.
    More {
        /// By kind of request.
        examples: Vec<(String, Counterexample)>,
        /// Kinds of request for which the solver gave no answer.
        open: usize,
    },
    /// Nobody knows, and why.
    NotProved(String),
}

/// How many checks of one kind held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Those that held.
    pub held: usize,
    /// The names of those that did not.
    pub broken: Vec<String>,
    /// The names of those that gave no answer.
    pub open: Vec<String>,
    /// Why none was made, if that is so.
    pub absent: Option<String>,
}

/// A change of the bundle in force, seen from all sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// How the texts differ.
    pub differences: Differences,
    /// What is newly permitted.
    pub newly: Newly,
    /// The tests in the folder's `tests/`.
    pub tests: Tally,
    /// The invariants.
    pub invariants: Tally,
    /// Whether the gate could be changed again afterwards.
    pub changeable: bool,
}

impl Effect {
    /// Looks at a change. Takes up to [`NEWLY`] and [`INVARIANTS`] together where there is a solver.
    pub async fn of(config: &Arc<Config>, old: &Arc<Bundle>, new: &Arc<Bundle>, now: Timestamp) -> Self {
        let differences = new.differences_from(old);
        let solver = prover::find(None);
        let newly = newly(&differences, old, new, solver.as_deref()).await;
        let (folder, bundle) = (config.policies.join("tests"), new.clone());
        let tests = tokio::task::spawn_blocking(move || tests(&folder, &bundle)).await.unwrap_or_default();
        let mut effect =
            Self { differences, newly, tests, invariants: Tally::default(), changeable: new.changeable(now) };
        effect.invariants = match effect.is_stricter() {
            true => Tally { absent: Some("nothing more is permitted".to_owned()), ..Tally::default() },
            false => invariants_held(config, new, solver.as_deref()).await,
        };
        effect
    }

    /// Whether it needs nobody: it permits nothing more, obliges to no less, and locks nobody out.
    pub fn is_stricter(&self) -> bool {
        matches!(self.newly, Newly::Nothing(_)) && self.differences.obligations_kept && self.changeable
    }

    /// All of it in words, for the card: what it comes to, the lines that differ, then examples and the list of checks.
    pub fn words(&self) -> String {
        let mut text = String::new();
        self.tell_newly(&mut text);
        self.tell_warnings(&mut text);
        let count = self.differences.policies.len();
        let _ = match count {
            0 => writeln!(text, "No policy's text differs."), // writing to a string does not fail
            1 => writeln!(text, "1 policy differs:"),
            _ => writeln!(text, "{count} policies differ:"),
        };
        self.differences.policies.iter().for_each(|difference| tell_difference(&mut text, difference));
        self.tell_examples(&mut text);
        text.push('\n');
        tell_tally(&mut text, "The bundle's own tests", &self.tests);
        tell_tally(&mut text, "Its invariants", &self.invariants);
        text
    }

    fn tell_newly(&self, text: &mut String) {
        match &self.newly {
            Newly::Nothing(how) => {
                let _ = writeln!(text, "Newly permits nothing: {how}.");
            }
            Newly::NotProved(why) => {
                let _ = writeln!(text, "What this newly permits is NOT PROVED: {why}.");
                let _ = writeln!(text, "Judge by the text below, and take it for more than before.");
            }
            Newly::More { examples, .. } => {
                let kinds: Vec<&str> = examples.iter().map(|(kind, _)| kind.as_str()).collect();
                let _ = writeln!(text, "This newly PERMITS, or lets people approve, what was refused before:");
                let _ = writeln!(text, "  {}", kinds.join(", "));
            }
        }
        let broken = self.tests.broken.len() + self.invariants.broken.len();
        if broken > 0 {
            let _ = writeln!(text, "{broken} of its own tests and invariants DO NOT HOLD: see the end.");
        }
    }

    fn tell_examples(&self, text: &mut String) {
        let Newly::More { examples, open } = &self.newly else { return };
        let _ = writeln!(text, "\nOf what it newly permits, for instance:");
        examples.iter().for_each(|(kind, example)| tell_example(text, kind, example));
        if *open > 0 {
            let _ = writeln!(text, "For {open} more kinds of request nothing is proved.");
        }
    }

    fn tell_warnings(&self, text: &mut String) {
        if !self.differences.obligations_kept {
            text.push_str(
                "A policy that obliges (a passkey, a reason, masks, a deadline, who is told) is changed or gone: see below.\n",
            );
        }
        if self.differences.groups {
            text.push_str("Policies may name other groups than before, or the gateway's own part is another.\n");
        }
        if !self.changeable {
            text.push_str("Afterwards NOBODY CAN CHANGE THE POLICIES through the gateway any more.\n");
        }
    }
}

fn tell_example(text: &mut String, kind: &str, example: &Counterexample) {
    let _ = writeln!(text, "  {kind}:");
    for fact in example.facts.iter().take(FACTS_MAX) {
        let _ = writeln!(text, "    {} = {}", fact.name, fact.value);
    }
    let more = example.facts.len().saturating_sub(FACTS_MAX) + example.other_facts;
    if more > 0 {
        let _ = writeln!(text, "    … {more} other facts");
    }
}

fn tell_tally(text: &mut String, what: &str, tally: &Tally) {
    let _ = match &tally.absent {
        Some(why) => writeln!(text, "{what}: not run, {why}."),
        None if tally.broken.is_empty() && tally.open.is_empty() => writeln!(text, "{what}: all {} hold.", tally.held),
        None => writeln!(text, "{what}: {} hold, {} DO NOT.", tally.held, tally.broken.len()),
    };
    for (word, names) in [("does not hold", &tally.broken), ("not proved", &tally.open)] {
        for name in names {
            let _ = writeln!(text, "  {word}: {name}");
        }
    }
}

fn tell_difference(text: &mut String, difference: &Difference) {
    let word = match (&difference.before, &difference.after) {
        (None, _) => "new",
        (_, None) => "gone",
        (Some(_), Some(_)) => "changed",
    };
    let _ = writeln!(text, "\n== {} ({word})", difference.id);
    let side = |side: &Option<String>| side.clone().unwrap_or_default();
    for line in difference::lines(&side(&difference.before), &side(&difference.after)) {
        let _ = writeln!(text, "{line}");
    }
}

async fn newly(differences: &Differences, old: &Bundle, new: &Bundle, solver: Option<&Path>) -> Newly {
    if differences.groups {
        return Newly::NotProved("the two bundles know different groups, or a different gateway".to_owned());
    }
    if differences.policies.is_empty() {
        return Newly::Nothing("no policy's text differs");
    }
    if differences.stricter_by_text {
        return Newly::Nothing("it only adds forbids and takes permits away");
    }
    let Some(solver) = solver else {
        return Newly::NotProved("the solver cvc5 is not installed beside the gateway".to_owned());
    };
    let plan = match Plan::tightening(new, old) {
        Ok(plan) => Arc::new(plan),
        Err(error) => return Newly::NotProved(error.to_string()),
    };
    let verdicts = verdicts(&plan, solver.to_owned(), NEWLY).await;
    let (mut examples, mut open) = (Vec::new(), 0);
    for (goal, verdict) in plan.goals().iter().zip(verdicts) {
        match verdict {
            Verdict::Proved => {}
            Verdict::Refuted(example) => examples.push((goal.id.clone(), *example)),
            Verdict::NotProved(_) => open += 1,
        }
    }
    match (examples.is_empty(), open) {
        (true, 0) => Newly::Nothing("proved for every request there can be"),
        (true, _) => Newly::NotProved(format!("the solver gave no answer for {open} kinds of request")),
        (false, _) => Newly::More { examples, open },
    }
}

/// One verdict a goal, in order; those that were not reached are not proved.
async fn verdicts(plan: &Arc<Plan>, solver: PathBuf, limits: Limits) -> Vec<Verdict> {
    let mut verdicts = Vec::with_capacity(plan.goals().len());
    if let Ok((mut told, _)) = prover::start(plan.clone(), solver, limits) {
        while let Some(event) = told.recv().await {
            if let Event::Finished { verdict, .. } = event {
                verdicts.push(verdict);
            }
        }
    }
    verdicts.resize(plan.goals().len(), Verdict::NotProved("it was not reached".to_owned()));
    verdicts
}

async fn invariants_held(config: &Config, bundle: &Bundle, solver: Option<&Path>) -> Tally {
    let absent = |why: String| Tally { absent: Some(why), ..Tally::default() };
    let Some(solver) = solver else { return absent("the solver cvc5 is not installed".to_owned()) };
    let invariants = match invariants(config, bundle) {
        Ok(invariants) => invariants,
        Err(error) => return absent(format!("they cannot be read: {error}")),
    };
    let plan = match Plan::new(bundle, &invariants, &[]) {
        Ok(plan) => Arc::new(plan),
        Err(error) => return absent(error.to_string()),
    };
    let mut tally = Tally::default();
    let verdicts = verdicts(&plan, solver.to_owned(), INVARIANTS).await;
    for (goal, verdict) in plan.goals().iter().zip(verdicts) {
        match verdict {
            Verdict::Proved => tally.held += 1,
            Verdict::Refuted(_) => tally.broken.push(format!("{} ({})", goal.id, goal.text)),
            Verdict::NotProved(_) => tally.open.push(goal.id.clone()),
        }
    }
    tally
}

/// Runs the tests of a folder; blocks.
fn tests(folder: &Path, bundle: &Bundle) -> Tally {
    let mut tally = Tally::default();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Tally { absent: Some("there are none".to_owned()), ..tally };
    };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).map_err(|error| error.to_string());
        match text.and_then(|text| bundle.run_tests(&text).map_err(|error| error.to_string())) {
            Err(error) => tally.broken.push(format!("{name}: {error}")),
            Ok(results) => {
                for result in results {
                    match result.failure {
                        None => tally.held += 1,
                        Some(why) => tally.broken.push(format!("{}: {why}", result.name)),
                    }
                }
            }
        }
    }
    tally
}
