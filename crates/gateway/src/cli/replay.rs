//! `countersign policy replay`: what was decided before, decided again by the policy files as they are now.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use countersign_core::action::{AgentId, Described, PersonId, Requester, Timestamp};
use countersign_core::policy::{AgentFacts, Bundle, Circumstances, Decision, Outcome, People, PersonFacts, PolicyNote};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::output::{self, Paint};
use super::{Context, identity};
use crate::admin::{ATTEMPTS_MAX, Request};
use crate::codes::Code;
use crate::config::Config;
use crate::policies;
use crate::ports::{Attempt, Person};

/// Actions asked for at once.
const PAGE: u32 = 200;
/// How often a long replay says how far it is.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// Differences shown one by one; `--json` has all.
const SHOWN_MAX: usize = 100;

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// How many actions, the newest first
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(ATTEMPTS_MAX)))]
    limit: u32,
}

/// An action that would be decided differently.
#[derive(Debug, Serialize)]
struct Difference {
    id: String,
    at: Timestamp,
    requester: String,
    target: String,
    action: String,
    before: Outcome,
    now: Outcome,
    /// The policies that determine the answer now.
    policies: Vec<String>,
}

#[derive(Debug, Default, Serialize)]
struct Replay {
    decided: usize,
    same: usize,
    /// Refused for reasons that are not policy's.
    not_decided: usize,
    /// By people or agents that are known no more: taken as members of no group.
    unknown_parties: usize,
    /// `permit_to_review` and so on, with how many there are.
    counts: BTreeMap<String, usize>,
    differences: Vec<Difference>,
}

pub(super) async fn run(context: &Context, config: &Config, args: ReplayArgs) -> anyhow::Result<ExitCode> {
    let bundle = policies::load(config)?;
    let people = people(config).await?;
    let attempts = attempts(context, config, args.limit).await?;
    let mut replay = Replay::default();
    for attempt in &attempts {
        replay.add(attempt, &bundle, &people, config.utc_offset_minutes);
    }
    if context.json {
        let mut value = serde_json::to_value(&replay)?;
        value["bundle"] = json!(bundle.digest());
        output::json(&value)?;
    } else {
        print(&replay, &bundle);
    }
    Ok(ExitCode::SUCCESS)
}

impl Replay {
    fn add(&mut self, attempt: &Attempt, bundle: &Bundle, people: &People, utc_offset_minutes: i32) {
        let Some(before) = before(attempt) else {
            self.not_decided += 1;
            return;
        };
        let described = &attempt.described;
        let (people, known) = with_parties(people, described);
        self.unknown_parties += usize::from(!known);
        let none = BTreeSet::new();
        let circumstances = Circumstances {
            now: described.at,
            utc_offset_minutes,
            approvals: &none,
            break_glass: false,
            incident: false,
            people: &people,
        };
        let (now, notes) = answer(bundle.decide(described, &circumstances));
        self.decided += 1;
        if now == before {
            self.same += 1;
            return;
        }
        *self.counts.entry(format!("{}_to_{}", word(before), word(now))).or_insert(0) += 1;
        self.differences.push(Difference {
            id: attempt.id.as_str().to_owned(),
            at: described.at,
            requester: described.requester.name().to_owned(),
            target: described.target.name.clone(),
            action: described.facts.action(),
            before,
            now,
            policies: notes.into_iter().map(|note| note.id).collect(),
        });
    }
}

/// What was decided before anybody approved, told by what became of it. None where policy was not what decided.
fn before(attempt: &Attempt) -> Option<Outcome> {
    if attempt.status != "refused" {
        return Some(if attempt.grant.is_some() { Outcome::Review } else { Outcome::Permit });
    }
    let code = Code::ALL.iter().find(|code| Some(code.name()) == attempt.code.as_deref())?;
    match code {
        Code::PolicyDenied | Code::NoPermit | Code::PolicyError => Some(Outcome::Deny),
        Code::ReviewRejected
        | Code::ReviewExpired
        | Code::ReviewWithdrawn
        | Code::HoldEnded
        | Code::RejectedRecently
        | Code::TooManyReviews
        | Code::ApprovalVoid => Some(Outcome::Review),
        _ => None, // not a decision: the text, a name, a setting or a connection was what refused
    }
}

fn answer(decision: Decision) -> (Outcome, Vec<PolicyNote>) {
    match decision {
        Decision::Permit(permitted) => (Outcome::Permit, permitted.policies().to_vec()),
        Decision::Review(terms) => (Outcome::Review, terms.policies),
        Decision::Deny(denial) => (Outcome::Deny, denial.policies),
    }
}

/// The people and agents of today, with those of the action that are gone as members of no group; and whether none is.
fn with_parties(people: &People, described: &Described) -> (People, bool) {
    let mut people = people.clone();
    let mut known = true;
    for person in [&*described.on_behalf_of, described.requester.owner()] {
        people.persons.entry(person.id.clone()).or_insert_with(|| {
            known = false;
            PersonFacts { name: person.name.clone(), ..PersonFacts::default() }
        });
    }
    if let Requester::Agent { id, .. } = &*described.requester {
        people.agents.entry(id.clone()).or_insert_with(|| {
            known = false;
            AgentFacts::default()
        });
    }
    (people, known)
}

/// Everybody there is, revoked agents included: they asked when they were not.
async fn people(config: &Config) -> anyhow::Result<People> {
    #[derive(Deserialize)]
    struct ListedAgent {
        id: AgentId,
        groups: BTreeSet<String>,
    }
    let persons: Vec<Person> = serde_json::from_value(identity::administer(config, Request::PersonList).await?)?;
    let agents: Vec<ListedAgent> = serde_json::from_value(identity::administer(config, Request::AgentList).await?)?;
    let persons = persons.into_iter().map(|person| {
        let facts = PersonFacts { name: person.name, groups: person.groups, suspended: person.suspended };
        (person.id, facts)
    });
    let agents = agents.into_iter().map(|agent| (agent.id, AgentFacts { groups: agent.groups }));
    Ok(People { persons: persons.collect::<BTreeMap<PersonId, _>>(), agents: agents.collect() })
}

/// The newest actions, page by page. What begins meanwhile shifts the pages: an action is taken once.
async fn attempts(context: &Context, config: &Config, limit: u32) -> anyhow::Result<Vec<Attempt>> {
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut told = Instant::now();
    let mut skip = 0;
    while skip < limit {
        let page = PAGE.min(limit - skip);
        let found: Value = identity::administer(config, Request::Attempts { skip, limit: page }).await?;
        let found: Vec<Attempt> = serde_json::from_value(found).context("the server's actions cannot be read")?;
        let last = found.len() < page as usize;
        attempts.extend(found.into_iter().filter(|attempt| seen.insert(attempt.id.clone())));
        if !context.json && output::told_on_terminal() && told.elapsed() >= REPORT_EVERY {
            told = Instant::now();
            output::aside(&format!("{} of at most {limit} actions read", attempts.len()));
        }
        if last {
            break;
        }
        skip += page;
    }
    Ok(attempts)
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Permit => "permit",
        Outcome::Review => "review",
        Outcome::Deny => "deny",
    }
}

fn print(replay: &Replay, bundle: &Bundle) {
    let rows = replay.differences.iter().take(SHOWN_MAX).map(|difference| {
        let change = format!("{} → {}", word(difference.before), word(difference.now));
        let Difference { id, at, requester, target, action, policies, .. } = difference;
        let by = if policies.is_empty() { "no permit".to_owned() } else { policies.join(", ") };
        [change, at.to_string(), requester.clone(), target.clone(), action.clone(), by, id.clone()]
            .map(|cell| output::safe(&cell))
            .to_vec()
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if !rows.is_empty() {
        output::table(&["CHANGE", "AT", "REQUESTER", "TARGET", "ACTION", "BY", "ID"], &rows);
    }
    let hidden = replay.differences.len().saturating_sub(SHOWN_MAX);
    if hidden > 0 {
        output::line(&format!("and {hidden} more; --json shows all"));
    }
    let Replay { decided, same, not_decided, unknown_parties, counts, differences } = replay;
    let counts: Vec<String> =
        counts.iter().map(|(change, count)| format!("{count} {}", change.replace("_to_", " → "))).collect();
    let detail = if counts.is_empty() { String::new() } else { format!(" ({})", counts.join(", ")) };
    output::line(&format!(
        "{decided} actions decided again: {same} the same, {} differently{detail}",
        differences.len()
    ));
    if *not_decided > 0 {
        output::line(&format!("{not_decided} more were refused before policy had a say, or cancelled"));
    }
    if *unknown_parties > 0 {
        output::line(&format!("{unknown_parties} of people or agents who are known no more: taken as in no group"));
    }
    output::line(&output::painted(Paint::Quiet, &format!("bundle {}", bundle.digest())));
}
