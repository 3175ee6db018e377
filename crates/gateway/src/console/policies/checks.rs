//! What holds for every action: the tests in the policies folder, run on the bundle in force, and the claims that the solver
//! proves about it. Proving is begun by a button, one run at a time, and its findings are kept until the policies change.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use countersign_core::action::BundleDigest;
use countersign_core::policy::Bundle;
use countersign_core::policy::prove::Plan;

use crate::config::Config;
use crate::console::Console;
use crate::console::page::{Failure, Frame, render};
use crate::console::session::Session;
use crate::console::show::{Html, block, line};
use crate::policies;
use crate::prover::{self, Event, Limits, Verdict};

/// How long one claim, and all of them, may take.
const LIMITS: Limits = Limits { goal: Duration::from_secs(30), run: Duration::from_secs(5 * 60) };
/// Failed tests on the page; the rest is counted.
const FAILED_MAX: usize = 50;
/// How often the page is read again while the solver runs, in seconds.
const AGAIN_SECONDS: &str = "2";
const NO_SOLVER: &str =
    "The solver cvc5 is not installed on the gateway's host; install it, or name it in the variable CVC5.";

/// What was proved last.
#[derive(Default)]
pub(in crate::console) struct Checks(Mutex<Proofs>);

#[derive(Default, Clone)]
struct Proofs {
    /// The bundle that the findings are about.
    bundle: Option<BundleDigest>,
    running: bool,
    findings: Vec<Finding>,
    /// Why there are none.
    problem: Option<String>,
}

#[derive(Clone)]
struct Finding {
    id: String,
    text: String,
    word: &'static str,
    tone: &'static str,
    detail: Vec<String>,
    millis: u128,
}

#[derive(Template)]
#[template(path = "policy_checks.html")]
struct ChecksPage {
    frame: Frame,
    digest: String,
    passed: usize,
    failed: Vec<FailedTest>,
    failed_more: usize,
    /// Why the tests could not be run.
    tests_problem: Option<Html>,
    running: bool,
    /// Proved about these policies, or about others that were in force before.
    proved: bool,
    findings: Vec<FindingView>,
    problem: Option<Html>,
}

struct FailedTest {
    file: Html,
    name: Html,
    why: Html,
}

struct FindingView {
    id: Html,
    text: Html,
    word: &'static str,
    tone: &'static str,
    detail: Vec<Html>,
    millis: u128,
}

impl Checks {
    fn current(&self, bundle: BundleDigest) -> Proofs {
        let proofs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match proofs.running || proofs.bundle == Some(bundle) {
            true => proofs.clone(),
            false => Proofs::default(),
        }
    }

    /// Begins a run; false while one goes on.
    fn begin(&self, bundle: BundleDigest) -> bool {
        let mut proofs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = !proofs.running;
        if begins {
            *proofs = Proofs { bundle: Some(bundle), running: true, ..Proofs::default() };
        }
        begins
    }

    fn found(&self, finding: Finding) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).findings.push(finding);
    }

    fn end(&self, problem: Option<String>) {
        let mut proofs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (proofs.running, proofs.problem) = (false, problem);
    }
}

/// The page.
pub(in crate::console) async fn page(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
) -> Result<Response, Failure> {
    let bundle = console.gate.policies.current();
    let (config, tested) = (console.gate.config.clone(), bundle.clone());
    let tests = tokio::task::spawn_blocking(move || run_tests(&config, &tested)).await.map_err(Failure::unavailable)?;
    let (passed, mut failed, tests_problem) = match tests {
        Ok((passed, failed)) => (passed, failed, None),
        Err(problem) => (0, Vec::new(), Some(line(&problem))),
    };
    let failed_more = failed.len().saturating_sub(FAILED_MAX);
    failed.truncate(FAILED_MAX);
    let proofs = console.checks.current(bundle.digest());
    let view = |finding: Finding| FindingView {
        id: line(&finding.id),
        text: line(&finding.text),
        word: finding.word,
        tone: finding.tone,
        detail: finding.detail.iter().map(|detail| block(detail)).collect(),
        millis: finding.millis,
    };
    let page = ChecksPage {
        frame: Frame::new("Tests and proofs", "/policies", &session),
        digest: bundle.digest().to_string(),
        passed,
        failed,
        failed_more,
        tests_problem,
        running: proofs.running,
        proved: proofs.bundle.is_some(),
        findings: proofs.findings.into_iter().map(view).collect(),
        problem: proofs.problem.as_deref().map(line),
    };
    let running = page.running;
    let mut response = render(StatusCode::OK, &page);
    if running {
        response.headers_mut().insert(header::REFRESH, header::HeaderValue::from_static(AGAIN_SECONDS));
    }
    Ok(response)
}

/// The tests of the configured folder, on the bundle in force.
fn run_tests(config: &Config, bundle: &Bundle) -> Result<(usize, Vec<FailedTest>), String> {
    let folder = config.policies.join("tests");
    let Ok(entries) = std::fs::read_dir(&folder) else { return Ok((0, Vec::new())) };
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let (mut passed, mut failed) = (0, Vec::new());
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).map_err(|error| format!("cannot read `{name}`: {error}"))?;
        for result in bundle.run_tests(&text).map_err(|error| format!("`{name}`: {error}"))? {
            match result.failure {
                None => passed += 1,
                Some(why) => failed.push(FailedTest { file: line(&name), name: line(&result.name), why: line(&why) }),
            }
        }
    }
    Ok((passed, failed))
}

/// Begins to prove, if no run goes on.
pub(in crate::console) async fn prove(State(console): State<Console>) -> Response {
    let bundle = console.gate.policies.current();
    if console.checks.begin(bundle.digest()) {
        let (config, checks) = (console.gate.config.clone(), Arc::clone(&console.checks));
        tokio::spawn(async move {
            let problem = run_proofs(&config, bundle, &checks).await.err();
            checks.end(problem);
        });
    }
    Redirect::to("/policies/checks#proofs").into_response()
}

async fn run_proofs(config: &Arc<Config>, bundle: Arc<Bundle>, checks: &Checks) -> Result<(), String> {
    let solver = prover::find(None).ok_or(NO_SOLVER)?;
    let config = Arc::clone(config);
    let plan =
        tokio::task::spawn_blocking(move || plan(&config, &bundle)).await.map_err(|error| error.to_string())??;
    let plan = Arc::new(plan);
    let (mut told, _thread) = prover::start(plan.clone(), solver, LIMITS).map_err(|error| error.to_string())?;
    while let Some(event) = told.recv().await {
        let Event::Finished { goal, verdict, took, .. } = event else { continue };
        let Some(goal) = plan.goals().get(goal) else { continue };
        let (word, tone, detail) = words(verdict);
        let (id, text) = (goal.id.clone(), goal.text.clone());
        checks.found(Finding { id, text, word, tone, detail, millis: took.as_millis() });
    }
    Ok(())
}

fn plan(config: &Config, bundle: &Bundle) -> Result<Plan, String> {
    let invariants = policies::invariants(config, bundle).map_err(|error| error.to_string())?;
    Plan::new(bundle, &invariants, &[]).map_err(|error| error.to_string())
}

fn words(verdict: Verdict) -> (&'static str, &'static str, Vec<String>) {
    match verdict {
        Verdict::Proved => ("proved", "approved", Vec::new()),
        Verdict::NotProved(why) => ("not proved", "open", vec![why]),
        Verdict::Refuted(example) => {
            let mut detail = vec![format!("{} {} {}", example.principal, example.action, example.resource)];
            detail.extend(example.facts.iter().map(|fact| format!("{} = {}", fact.name, fact.value)));
            if !example.allowed_by.is_empty() {
                detail.push(format!("permitted by {}", example.allowed_by.join(", ")));
            }
            ("refuted", "rejected", detail)
        }
    }
}
