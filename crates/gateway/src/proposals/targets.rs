//! The targets as a part of the gate: proposed is what the configuration says of one, by its digest.

use std::collections::BTreeSet;

use countersign_core::action::gate::{GateFacts, GatePart, GateStep, GateSubject};

use super::Prepared;
use super::release::{Approved, void};
use crate::codes::Code;
use crate::config::Target;
use crate::gate::Gate;
use crate::pipeline;
use crate::refusal::Refusal;
use crate::targets::{self, NotActivated};

/// What a target of the configuration would mean, as it was looked at.
pub(super) fn prepare(gate: &Gate, name: &str, seen: &str) -> Result<Prepared, Refusal> {
    if gate.config.target(name).is_none() {
        return Err(Refusal::new(Code::UnknownTarget, format!("the configuration has no target `{name}`")));
    }
    let Some(waiting) = gate.targets.waiting(name) else {
        return Err(Refusal::new(Code::BadRequest, format!("the target `{name}` is in force as it is configured")));
    };
    let digests = targets::digest(name, waiting.before.as_ref()).zip(targets::digest(name, Some(&waiting.after)));
    let (from, to) = digests.ok_or_else(|| void("the target has no digest"))?;
    if to != seen {
        let message = "the configuration says something else of the target by now; look at it again";
        return Err(Refusal::new(Code::DigestMismatch, message));
    }
    let payload = serde_json::to_string(&waiting.after).map_err(pipeline::unrecorded)?;
    let (step, names) = (waiting.step(), BTreeSet::from([name.to_owned()]));
    let (added, changed) = match step {
        GateStep::TargetAdded => (names, BTreeSet::new()),
        _ => (BTreeSet::new(), names),
    };
    let (part, subject) = (GatePart::Targets, GateSubject::Target(name.to_owned()));
    let facts = GateFacts { part, step, subject, from, to, added, changed, removed: BTreeSet::new() };
    Ok(Prepared { facts, text: waiting.words(), payload, gainers: BTreeSet::new() })
}

/// Puts in force what was approved, for sessions that begin from now on.
pub(super) async fn make(gate: &Gate, approved: &Approved<'_>) -> Result<(), Refusal> {
    let target: Target = serde_json::from_slice(approved.payload).map_err(|error| void(error.to_string()))?;
    let name = target.name.clone();
    let facts = approved.facts;
    if facts.subject != GateSubject::Target(name.clone())
        || targets::digest(&name, Some(&target)).as_ref() != Some(&facts.to)
    {
        return Err(void("the target is another than was approved"));
    }
    let by = Some((approved.author.clone(), approved.review.clone()));
    let event = {
        let in_force = gate.targets.current();
        targets::changed((&name, in_force.get(&name), Some(&target)), "approved", by)
    };
    let records = vec![gate.scribe.record(event)];
    gate.targets.activate(&facts.from, target, records).await.map_err(|error| match error {
        NotActivated::Stale => Refusal::new(Code::ProposalStale, error.to_string()),
        NotActivated::Store(error) => pipeline::unrecorded(error),
    })
}
