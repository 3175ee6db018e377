//! `countersign policy …`: check, test, explain, replay, prove and format policies without a running gateway.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use countersign_core::action::{AgentId, Described, Environment, Facts, Job, PersonId, PersonRef, Sensitivity, Target};
use countersign_core::policy::prove::Invariant;
use countersign_core::policy::{AgentFacts, Bundle, Circumstances, Explanation, Outcome, People, PersonFacts, Quorum};

use super::output::{self, Coded, FAILED, Paint};
use super::propose;
use super::prove::{self, ProveArgs};
use super::replay::{self, ReplayArgs};
use super::{Context, identity};
use crate::admin::Request;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::policies::{self, hypothesis::Hypothesis};
use crate::ports::Clock as _;
use crate::protocols::postgres::describe::{NoSession, describe};

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Check the policies that the configuration names: every problem with its file, line and column
    Check,
    /// Run policy tests, in the shape of Cedar's own
    Test {
        /// Test files; the configured folder's `tests/*.json` when none is given
        files: Vec<PathBuf>,
    },
    /// Say what policy answers for a statement, and why
    Explain(ExplainArgs),
    /// Decide again what was decided before, by the policy files as they are now
    Replay(ReplayArgs),
    /// Prove claims about the policies for every request there can be, with the solver cvc5
    Prove(ProveArgs),
    /// Propose the files in the gateway's policies folder (COUNTERSIGN_URL, COUNTERSIGN_TOKEN)
    Propose {
        /// Why; reviewers read it as your own words
        #[arg(long)]
        reason: Option<String>,
    },
    /// List proposed changes of the policies (COUNTERSIGN_URL, COUNTERSIGN_TOKEN)
    Proposals,
    /// Format policy files in place
    Format {
        /// The files; the configured folder's when none is given
        files: Vec<PathBuf>,
        /// Change nothing; fail if a file is not formatted
        #[arg(long)]
        check: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The statement
    #[arg(long)]
    sql: String,
    /// The target, as configured; without it a sensitive production database
    #[arg(long)]
    target: Option<String>,
    /// An agent, as enrolled; without it an agent that belongs to no group
    #[arg(long)]
    agent: Option<String>,
    /// A job that logged in as the agent, by its attributes, such as issuer=github,subject=x,ref=refs/heads/main
    #[arg(long, value_delimiter = ',', value_parser = attribute)]
    job: Vec<(String, String)>,
    /// Quorums taken as reached, such as dba:1, separated by commas
    #[arg(long, value_delimiter = ',')]
    approvals: Vec<String>,
    /// As if the glass were broken
    #[arg(long)]
    break_glass: bool,
    /// As if an incident were declared, by somebody outside the requester's side
    #[arg(long)]
    incident: bool,
}

pub(super) async fn run(context: &Context, command: PolicyCommand) -> anyhow::Result<ExitCode> {
    let load = || context.load();
    match command {
        PolicyCommand::Propose { reason } => propose::propose(context, reason).await,
        PolicyCommand::Proposals => propose::list(context).await,
        PolicyCommand::Check => check(context, &load()?),
        PolicyCommand::Test { files } => test(context, &load()?, files),
        PolicyCommand::Explain(args) => explain(context, &load()?, args).await,
        PolicyCommand::Replay(args) => replay::run(context, &load()?, args).await,
        PolicyCommand::Prove(args) => prove::run(context, &load()?, args).await,
        PolicyCommand::Format { files, check } => format(&load()?, files, check),
    }
}

fn check(context: &Context, config: &Config) -> anyhow::Result<ExitCode> {
    let bundle = policies::load(config)?;
    let invariants = policies::invariants(config, &bundle)?;
    let ids: Vec<&str> = bundle.policy_ids().collect();
    let changeable = bundle.changeable(SystemClock::default().now());
    if context.json {
        let invariants: Vec<&str> = invariants.iter().map(Invariant::id).collect();
        let digest = bundle.digest();
        let answer = serde_json::json!({"valid": true, "bundle": digest, "policies": ids, "invariants": invariants,
            "changeable": changeable});
        output::json(&answer)?;
    } else {
        let (policies, invariants) = (ids.len(), invariants.len());
        output::line(&format!(
            "{} {policies} policies, {invariants} invariants, bundle {}",
            good("valid:"),
            bundle.digest()
        ));
        if !changeable {
            output::line(&format!("{} {UNCHANGEABLE}", output::painted(Paint::Waiting, "warning:")));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What is said of policies under which no change of them can be approved.
const UNCHANGEABLE: &str = "with `changes = \"review\"` nobody could change these policies through the gateway: none of them \
                            lets people approve `gate:change`; see the starter policies";

fn good(text: &str) -> String {
    output::painted(Paint::Good, text)
}

fn files_in(folder: &std::path::Path, extension: &str) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &std::path::Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
}

fn test(context: &Context, config: &Config, files: Vec<PathBuf>) -> anyhow::Result<ExitCode> {
    let bundle = policies::load(config)?;
    let files = if files.is_empty() { files_in(&config.policies.join("tests"), "json")? } else { files };
    let (mut passed, mut failed) = (0_usize, Vec::new());
    for file in files {
        let results = bundle.run_tests(&read(&file)?).with_context(|| file.display().to_string())?;
        for result in results {
            match result.failure {
                None => passed += 1,
                Some(failure) => failed.push((file.display().to_string(), result.name, failure)),
            }
        }
    }
    if passed + failed.len() == 0 {
        anyhow::bail!("there is no test; put them in `{}`", config.policies.join("tests").display());
    }
    if context.json {
        let failures =
            failed.iter().map(|(file, name, why)| serde_json::json!({"file": file, "name": name, "why": why}));
        output::json(&serde_json::json!({"passed": passed, "failed": failures.collect::<Vec<_>>()}))?;
    } else {
        for (file, name, why) in &failed {
            output::line(&format!("{} {file}: {name}\n  {why}", output::painted(Paint::Bad, "FAILED")));
        }
        output::line(&format!("{passed} passed, {} failed", failed.len()));
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn format(config: &Config, files: Vec<PathBuf>, check: bool) -> anyhow::Result<ExitCode> {
    let files = if files.is_empty() { files_in(&config.policies, "cedar")? } else { files };
    let mut differing = Vec::new();
    for file in files {
        let text = read(&file)?;
        let formatted = Bundle::format(&text).with_context(|| file.display().to_string())?;
        if formatted != text {
            differing.push(file.display().to_string());
            if !check {
                std::fs::write(&file, formatted).with_context(|| format!("cannot write `{}`", file.display()))?;
            }
        }
    }
    if check && !differing.is_empty() {
        let message = format!("not formatted: {}; run `countersign policy format`", differing.join(", "));
        return Err(Coded { exit: FAILED, code: "not_formatted".to_owned(), message }.into());
    }
    output::line(&format!("{} {}", good("formatted:"), differing.len()));
    Ok(ExitCode::SUCCESS)
}

async fn explain(context: &Context, config: &Config, args: ExplainArgs) -> anyhow::Result<ExitCode> {
    let bundle = policies::load(config)?;
    let approvals: Result<BTreeSet<Quorum>, _> = args.approvals.iter().map(|q| Quorum::try_from(q.clone())).collect();
    let approvals = approvals?;
    let (described, people) = hypothetical(config, &args).await?;
    let circumstances = Circumstances {
        now: described.at,
        utc_offset_minutes: config.utc_offset_minutes,
        approvals: &approvals,
        break_glass: args.break_glass,
        incident: args.incident,
        people: &people,
    };
    let explanation = bundle.explain(&described, &circumstances);
    if context.json {
        output::json(&explanation)?;
    } else {
        print(&explanation);
    }
    Ok(match explanation.outcome {
        Outcome::Deny => ExitCode::from(output::REFUSED),
        Outcome::Permit | Outcome::Review => ExitCode::SUCCESS,
    })
}

/// The action as it would be asked for, and who there would be.
async fn hypothetical(config: &Config, args: &ExplainArgs) -> anyhow::Result<(Described, People)> {
    let (id, name, owner, groups) = match &args.agent {
        Some(agent) => enrolled(config, agent).await?,
        None => ("agent".to_owned(), "agent".to_owned(), "owner".to_owned(), BTreeSet::new()),
    };
    let owner = PersonRef { id: PersonId::new(owner.clone()), name: owner };
    let people = People {
        persons: BTreeMap::from([(owner.id.clone(), PersonFacts { name: owner.name.clone(), ..Default::default() })]),
        agents: BTreeMap::from([(AgentId::new(id.clone()), AgentFacts { groups })]),
    };
    let hypothesis = Hypothesis {
        agent: (AgentId::new(id), name),
        owner,
        job: job(&args.job)?,
        target: target(config, args.target.as_deref())?,
        text: &args.sql,
        facts: Facts::Sql(describe(&args.sql, &NoSession).facts),
        at: SystemClock::default().now(),
    };
    Ok((hypothesis.described(), people))
}

fn attribute(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not NAME=VALUE"))?;
    if ["issuer", "subject"].iter().chain(&Job::ATTRIBUTES).any(|known| *known == name) {
        return Ok((name.to_owned(), value.to_owned()));
    }
    Err(format!("a job has no attribute `{name}`; there are issuer, subject, {}", Job::ATTRIBUTES.join(", ")))
}

fn job(attributes: &[(String, String)]) -> anyhow::Result<Option<Box<Job>>> {
    if attributes.is_empty() {
        return Ok(None);
    }
    let job = Job::new(&attributes.iter().cloned().collect());
    Ok(Some(Box::new(job.context("a job has at least an issuer and a subject")?)))
}

type EnrolledAgent = (String, String, String, BTreeSet<String>);

async fn enrolled(config: &Config, name: &str) -> anyhow::Result<EnrolledAgent> {
    let agents = identity::administer(config, Request::AgentList).await?;
    let agents = agents.as_array().cloned().unwrap_or_default();
    let found = agents.iter().find(|agent| agent["name"] == name && agent["revoked_at"].is_null());
    let agent = found.with_context(|| format!("there is no agent `{name}`"))?;
    let text = |key: &str| agent[key].as_str().unwrap_or_default().to_owned();
    let groups = agent["groups"].as_array().into_iter().flatten().filter_map(|g| g.as_str().map(str::to_owned));
    Ok((text("id"), text("name"), text("owner"), groups.collect()))
}

fn target(config: &Config, name: Option<&str>) -> anyhow::Result<Target> {
    let (name, environment, sensitivity) = match name {
        Some(name) => {
            let target = config.target(name).with_context(|| format!("there is no target `{name}`"))?;
            (target.name.clone(), target.environment, target.sensitivity)
        }
        None => ("database".to_owned(), Environment::default(), Sensitivity::default()),
    };
    Ok(Target { name, environment, sensitivity, generation: String::new() })
}

fn print(explanation: &Explanation) {
    let (paint, word) = match explanation.outcome {
        Outcome::Permit => (Paint::Good, "PERMIT"),
        Outcome::Review => (Paint::Waiting, "REVIEW"),
        Outcome::Deny => (Paint::Bad, "DENY"),
    };
    let code = explanation.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
    output::line(&format!("{}{code}", output::painted(paint, word)));
    for note in &explanation.policies {
        let text = if note.text.is_empty() { String::new() } else { format!(": {}", output::safe(&note.text)) };
        output::line(&format!("  policy {}{text}", note.id));
    }
    for set in &explanation.suffices {
        let names: Vec<String> = set.iter().map(ToString::to_string).collect();
        output::line(&format!("  suffices: {}", names.join(" and ")));
    }
    output::line(&output::painted(Paint::Quiet, &format!("  bundle {}", explanation.bundle)));
}
