//! The solver: a process of its own that answers what [`countersign_core::policy::prove`] asks.
//!
//! Policies are compiled to formulas in a thread of its own, whose runtime holds the process; the process is killed when
//! its goal takes too long, when nobody listens any more, and at the end. What is no clear answer is *not proved*: an
//! error, a time-out, a counterexample that Cedar's own evaluator does not confirm. Decisions never wait for a solver.
//! cvc5: <https://cvc5.github.io>.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cedar_policy_symcc::err::Error as SymbolicError;
use cedar_policy_symcc::solver::{LocalSolver, SolverError};
use cedar_policy_symcc::{CedarSymCompiler, CompiledPolicy, CompiledPolicySet, Env};
use countersign_core::policy::prove::{Check, Counterexample, Environment, Goal, Plan, Question, SetId};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::timeout_at;

/// The variable that names the solver, as Cedar's own tools know it.
const VARIABLE: &str = "CVC5";
/// Its name on the `PATH`.
const PROGRAM: &str = "cvc5";
/// The stack of the thread: policies are compiled by recursion, a chain of operators as deep as it is long.
const STACK_BYTES: usize = 256 * 1024 * 1024;
/// What is said of a goal whose time ran out.
const TOO_LONG: &str = "the time for it ran out";
/// What is told to a listener that does not keep up: it waits.
const EVENTS_WAITING_MAX: usize = 64;

/// How long may be tried.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Each goal.
    pub goal: Duration,
    /// All of them.
    pub run: Duration,
}

/// What came of a goal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It holds for every request there can be.
    Proved,
    /// It does not hold for this one.
    Refuted(Box<Counterexample>),
    /// Neither was shown, and why.
    NotProved(String),
}

/// What is told while it runs.
#[derive(Debug)]
pub enum Event {
    /// Another question of a goal was answered.
    Asked {
        /// The goal's number.
        goal: usize,
        /// Questions answered.
        answered: usize,
    },
    /// A goal is finished.
    Finished {
        /// The goal's number.
        goal: usize,
        /// What came of it.
        verdict: Verdict,
        /// Questions answered.
        answered: usize,
        /// How long it took.
        took: Duration,
    },
}

/// The solver's program: the one given, else the variable's, else the one on the `PATH`.
pub fn find(given: Option<PathBuf>) -> Option<PathBuf> {
    let named = given.or_else(|| std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from));
    match named {
        Some(program) if program.components().count() > 1 => program.is_file().then_some(program),
        Some(program) => on_path(&program),
        None => on_path(Path::new(PROGRAM)),
    }
}

fn on_path(program: &Path) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|found| found.is_file())
}

/// Proves a plan in the background. The receiver is told of every goal, in order; dropping it ends the work, and the
/// solver with it.
///
/// # Errors
/// The thread cannot be started.
pub fn start(
    plan: Arc<Plan>,
    solver: PathBuf,
    limits: Limits,
) -> std::io::Result<(mpsc::Receiver<Event>, std::thread::JoinHandle<()>)> {
    let (tell, told) = mpsc::channel(EVENTS_WAITING_MAX);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name("prover".to_owned()).stack_size(STACK_BYTES);
    let thread = thread.spawn(move || {
        let mut prover = Prover { plan, program: solver, limits, compiler: None, compiled: HashMap::new(), tell };
        runtime.block_on(prover.run());
    })?;
    Ok((told, thread))
}

type Compiler = CedarSymCompiler<LocalSolver>;

struct Prover {
    plan: Arc<Plan>,
    program: PathBuf,
    limits: Limits,
    /// The running solver.
    compiler: Option<Compiler>,
    /// Policy sets compiled for an environment.
    compiled: HashMap<(SetId, Environment), Arc<CompiledPolicySet>>,
    tell: mpsc::Sender<Event>,
}

/// Nobody listens any more.
struct Unheard;

impl Prover {
    async fn run(&mut self) {
        let end = Instant::now() + self.limits.run;
        let listening = self.tell.clone();
        let plan = self.plan.clone();
        tokio::select! {
            () = listening.closed() => {}
            () = self.goals(&plan, end) => {}
        }
        self.stop().await;
    }

    async fn goals(&mut self, plan: &Plan, end: Instant) {
        for (number, goal) in plan.goals().iter().enumerate() {
            let begun = Instant::now();
            let mut answered = 0;
            let deadline = end.min(begun + self.limits.goal);
            let Ok(verdict) = self.goal(plan, number, goal, deadline, &mut answered).await else { return };
            let finished = Event::Finished { goal: number, verdict, answered, took: begun.elapsed() };
            if self.tell.send(finished).await.is_err() {
                return;
            }
        }
    }

    async fn goal(
        &mut self,
        plan: &Plan,
        number: usize,
        goal: &Goal,
        deadline: Instant,
        answered: &mut usize,
    ) -> Result<Verdict, Unheard> {
        if let Some(obstacle) = &goal.obstacle {
            return Ok(Verdict::NotProved(obstacle.clone()));
        }
        for check in &goal.checks {
            match self.check(plan, check, deadline).await {
                Ok(None) => *answered += 1,
                Ok(Some(found)) => return Ok(refuted(plan, check, &found)),
                Err(why) => return Ok(Verdict::NotProved(why)),
            }
            self.tell.send(Event::Asked { goal: number, answered: *answered }).await.map_err(|_| Unheard)?;
        }
        let Some(about) = goal.about else { return Ok(Verdict::Proved) };
        for check in &goal.checks {
            match self.occurs(plan, about, check, deadline).await {
                Ok(true) => return Ok(Verdict::Proved),
                Ok(false) => {}
                Err(why) => return Ok(Verdict::NotProved(why)),
            }
        }
        Ok(Verdict::NotProved("it speaks of no situation that can occur".to_owned()))
    }

    /// What answers the question, if anything does.
    async fn check(&mut self, plan: &Plan, check: &Check, deadline: Instant) -> Result<Option<Env>, String> {
        if plan.is_settled(check) {
            return Ok(None);
        }
        let environment = &check.environment;
        match check.question {
            Question::AllowedByBoth(one, other) => {
                let (one, other) = (self.compiled(plan, one, check)?, self.compiled(plan, other, check)?);
                let ask =
                    async |compiler: &mut Compiler| compiler.check_disjoint_with_counterexample_opt(&one, &other).await;
                self.ask(deadline, ask).await
            }
            Question::AllowedByFirstOnly(first, second) => {
                let (first, second) = (self.compiled(plan, first, check)?, self.compiled(plan, second, check)?);
                let ask = async |compiler: &mut Compiler| {
                    compiler.check_implies_with_counterexample_opt(&first, &second).await
                };
                self.ask(deadline, ask).await
            }
            Question::Fails(policy) => {
                let policy = CompiledPolicy::compile(plan.policy(policy), environment, plan.schema());
                let policy = policy.map_err(words)?;
                let ask =
                    async |compiler: &mut Compiler| compiler.check_never_errors_with_counterexample_opt(&policy).await;
                self.ask(deadline, ask).await
            }
        }
    }

    /// Whether the situations of a set can occur in the environment of a check.
    async fn occurs(&mut self, plan: &Plan, set: SetId, check: &Check, deadline: Instant) -> Result<bool, String> {
        let set = self.compiled(plan, set, check)?;
        let never = self.ask(deadline, async |compiler: &mut Compiler| compiler.check_always_denies_opt(&set).await);
        never.await.map(|never| !never)
    }

    /// Asks the solver, which is started if none runs. One that did not answer properly is not asked again.
    async fn ask<T>(
        &mut self,
        deadline: Instant,
        ask: impl AsyncFnOnce(&mut Compiler) -> Result<T, SymbolicError>,
    ) -> Result<T, String> {
        if Instant::now() >= deadline {
            return Err(TOO_LONG.to_owned());
        }
        if self.compiler.is_none() {
            self.compiler = Some(self.launch()?);
        }
        let Some(compiler) = self.compiler.as_mut() else { return Err("the solver is gone".to_owned()) };
        let answer = match timeout_at(deadline.into(), ask(compiler)).await {
            Ok(answer) => answer.map_err(words),
            Err(_) => Err(TOO_LONG.to_owned()),
        };
        if answer.is_err() {
            self.stop().await;
        }
        answer
    }

    /// Ends the solver and waits until it is gone.
    async fn stop(&mut self) {
        if let Some(mut compiler) = self.compiler.take() {
            let _ = compiler.solver_mut().clean_up().await; // it may be gone already
        }
    }

    /// Starts a solver that gives up by itself a little later than it would be killed, should this process be killed first.
    fn launch(&self) -> Result<Compiler, String> {
        let milliseconds = self.limits.goal.as_millis() + 1_000;
        let mut command = Command::new(&self.program);
        command.args(["--lang", "smt"]).arg(format!("--tlimit-per={milliseconds}")).kill_on_drop(true);
        let solver = LocalSolver::from_command(&mut command).map_err(|error| words(error.into()))?;
        CedarSymCompiler::new(solver).map_err(words)
    }

    /// A policy set for an environment, compiled once.
    fn compiled(&mut self, plan: &Plan, set: SetId, check: &Check) -> Result<Arc<CompiledPolicySet>, String> {
        let key = (set, check.environment.clone());
        if let Some(compiled) = self.compiled.get(&key) {
            return Ok(compiled.clone());
        }
        let compiled = CompiledPolicySet::compile(plan.set(set), &check.environment, plan.schema()).map_err(words)?;
        Ok(self.compiled.entry(key).or_insert(Arc::new(compiled)).clone())
    }
}

fn refuted(plan: &Plan, check: &Check, found: &Env) -> Verdict {
    match plan.confirm(check, &found.request, &found.entities) {
        Ok(counterexample) => Verdict::Refuted(Box::new(counterexample)),
        Err(error) => Verdict::NotProved(error.to_string()),
    }
}

/// The error with its cause, in one line.
fn words(error: SymbolicError) -> String {
    match error {
        SymbolicError::SolverError(SolverError::Io(error)) => format!("the solver cannot be used: {error}"),
        SymbolicError::SolverUnknown => "the solver does not know".to_owned(),
        other => other.to_string(),
    }
}
