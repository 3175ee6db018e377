//! People and agents as a part of the gate: who speaks and acts for which groups.
//!
//! What gives somebody more is proposed, named by the standing of the person or agent it was made for, and made by
//! compare-and-swap. Whoever gains stands on the author's side. What takes something away asks nobody.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use countersign_core::action::gate::{GateFacts, GatePart, GateStep};
use countersign_core::policy::Bundle;
use countersign_core::record::{Event, Record};
use serde::{Deserialize, Serialize};

use super::Prepared;
use super::release::{Approved, void};
use crate::codes::Code;
use crate::gate::Gate;
use crate::identity::changes::{Change, Planned, Planner};
use crate::identity::stewardship::{Error, Maker, Steward};
use crate::pipeline;
use crate::ports::{Person, StoreError};
use crate::refusal::Refusal;

/// How many policies are named that a group may approve for; the rest are counted.
const NAMED_MAX: usize = 20;
/// How often a change is made again when only what does not matter to it is another, a sign-in say.
const TRIES_MAX: usize = 4;

/// A change that permits less.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Take {
    /// Takes groups from a person.
    Groups {
        /// Who.
        person: String,
        /// Which.
        groups: BTreeSet<String>,
    },
    /// Takes groups from an agent.
    AgentGroups {
        /// Which.
        agent: String,
        /// Which groups.
        groups: BTreeSet<String>,
    },
}

/// Takes groups away: from oneself, from an agent of one's own, or as an administrator.
pub(super) async fn take(gate: &Gate, by: &Person, take: &Take) -> Result<(), Refusal> {
    let steward = Steward::new(&*gate.directory, &gate.scribe);
    let taken = match take {
        Take::Groups { person, groups } => steward.take_groups(Maker::Person(by), person, groups).await.map(drop),
        Take::AgentGroups { agent, groups } => {
            steward.take_agent_groups(Maker::Person(by), agent, groups).await.map(drop)
        }
    };
    taken.map_err(refusal)?;
    gate.roster.refresh().await.map_err(pipeline::unrecorded)
}

/// What a change would come to.
pub(super) async fn prepare(gate: &Gate, change: &Change) -> Result<Prepared, Refusal> {
    let planned = plan(gate, change).await?;
    let payload = serde_json::to_string(change).map_err(pipeline::unrecorded)?;
    let text = words(&planned, &gate.policies.current());
    let gainers = planned.gainers();
    let facts = GateFacts {
        part: GatePart::People,
        step: planned.step,
        subject: planned.subject,
        from: planned.from,
        to: planned.to,
        added: planned.gained,
        changed: BTreeSet::from([planned.name]),
        removed: BTreeSet::new(),
    };
    Ok(Prepared { facts, text, payload, gainers })
}

async fn plan(gate: &Gate, change: &Change) -> Result<Planned, Refusal> {
    let planner = Planner { directory: &*gate.directory, groups: &gate.config.groups, now: gate.scribe.now() };
    planner.plan(change).await.map_err(refusal)
}

/// Makes what was approved, unless who it is about is another by now.
pub(super) async fn make(gate: &Gate, approved: &Approved<'_>) -> Result<(), Refusal> {
    let change: Change = serde_json::from_slice(approved.payload).map_err(|error| void(error.to_string()))?;
    let stale = || Refusal::new(Code::ProposalStale, "who it is about is another than it was");
    for _ in 0..TRIES_MAX {
        let planned = plan(gate, &change).await.map_err(|refusal| match refusal.code {
            Code::RecordUnavailable => refusal,
            _ => stale(), // there is no such person any more, or they have it already
        })?;
        let facts = approved.facts;
        if (&planned.subject, &planned.from, &planned.to) != (&facts.subject, &facts.from, &facts.to) {
            return Err(stale());
        }
        let records = records(gate, &planned, approved);
        match planned.make(&*gate.directory, &approved.responsible, gate.scribe.now(), records).await {
            Ok(()) => return gate.roster.refresh().await.map_err(pipeline::unrecorded),
            Err(StoreError::Conflict) => {} // something about them changed just now: look whether it matters
            Err(StoreError::NameTaken(_) | StoreError::NotFound(_)) => return Err(stale()),
            Err(error @ StoreError::Unavailable(_)) => return Err(pipeline::unrecorded(error)),
        }
    }
    Err(stale())
}

fn records(gate: &Gate, planned: &Planned, approved: &Approved<'_>) -> Vec<Record> {
    let (what, person, change) = planned.enrolled();
    let enrolled = Event::IdentityEnrolled {
        what: what.to_owned(),
        id: planned.details().1.map_or_else(|| planned.handle(), |account| account.provider.clone()),
        person,
        change: change.to_owned(),
        local: false,
        passkey: None,
    };
    let changed = Event::GateChanged {
        part: GatePart::People.name().to_owned(),
        step: planned.step.name().to_owned(),
        subject: planned.handle(),
        from: planned.from.clone(),
        to: planned.to.clone(),
        why: "approved".to_owned(),
        by: Some(approved.author.clone()),
        review: Some(approved.review.clone()),
    };
    [enrolled, changed].into_iter().map(|event| gate.scribe.record(event)).collect()
}

fn refusal(error: Error) -> Refusal {
    let code = match &error {
        Error::Store(StoreError::NameTaken(_)) => Code::NameTaken,
        Error::Store(_) | Error::Randomness(_) => return pipeline::unrecorded(error),
        Error::NotYours(_) => Code::NotFound,
        Error::Invalid(_) => Code::BadRequest,
        Error::Forbidden(_) => Code::Forbidden,
    };
    Refusal::new(code, error.to_string())
}

/// What a reviewer reads: who gains what, and what it lets them do.
fn words(planned: &Planned, bundle: &Bundle) -> String {
    let mut text = lead(planned);
    let _ = writeln!(text, "\n\n{}: groups", planned.name); // writing to a string cannot fail
    for group in planned.groups() {
        let mark = if restored(planned) && planned.gained.contains(group) { '+' } else { ' ' };
        let _ = writeln!(text, "{mark} {group}");
    }
    for group in planned.gained.difference(planned.groups()) {
        let _ = writeln!(text, "+ {group}");
    }
    if planned.groups().is_empty() && planned.gained.is_empty() {
        let _ = writeln!(text, "  (none)");
    }
    if planned.step != GateStep::AgentGroupsGiven {
        approves(&mut text, planned, bundle);
    }
    text
}

/// Whether somebody would speak for groups that the person has as it is.
fn restored(planned: &Planned) -> bool {
    matches!(planned.step, GateStep::PersonRestored | GateStep::AccountLinked)
}

fn lead(planned: &Planned) -> String {
    let (name, (email, account)) = (&planned.name, planned.details());
    match planned.step {
        GateStep::PersonAdded => match email {
            Some(email) => format!("{name} becomes a person who signs in and decides; their address is {email}"),
            None => format!("{name} becomes a person who signs in and decides"),
        },
        GateStep::PersonRestored => format!("{name} is suspended, and would sign in and decide again"),
        GateStep::AccountLinked => {
            let account = account.map(|account| match account.label.as_str() {
                "" => format!("{} at {}", account.subject, account.provider),
                label => format!("{} ({label}) at {}", account.subject, account.provider),
            });
            format!("Whoever holds the account {} speaks as {name}", account.unwrap_or_default())
        }
        GateStep::AgentGroupsGiven => format!("The agent {name} acts as a member of more groups"),
        GateStep::GroupsGiven | GateStep::Policies | GateStep::TargetAdded | GateStep::TargetChanged => {
            format!("{name} speaks for more groups")
        }
    }
}

/// Which policies ask the groups that would be gained, as the reviewers of their actions read it.
fn approves(text: &mut String, planned: &Planned, bundle: &Bundle) {
    let anybody = !matches!(planned.step, GateStep::GroupsGiven); // those who are there already count among anybody
    let any = "any".to_owned();
    for group in planned.gained.iter().chain(anybody.then_some(&any)) {
        let mut notes = bundle.asking(group).peekable();
        if notes.peek().is_none() {
            let _ = writeln!(text, "\nNo policy asks `{group}` to approve.");
            continue;
        }
        let _ = writeln!(text, "\nCounts where a policy asks `{group}`:");
        for note in notes.by_ref().take(NAMED_MAX) {
            let _ = writeln!(text, "  {}: {}", note.id, if note.text.is_empty() { "(no text)" } else { &note.text });
        }
        let more = notes.count();
        if more > 0 {
            let _ = writeln!(text, "  and {more} more");
        }
    }
}
