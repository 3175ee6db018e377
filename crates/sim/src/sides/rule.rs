//! Who is on a side, as the gateway works it out: at a login, frozen in the session; and once more at each question.
//!
//! Mirrors the gateway's `identity::closure` and `identity::people`, defects aside.

use std::collections::BTreeSet;

use countersign_core::action::{Described, PersonId, Requester, Timestamp};

use super::defect::Defect;
use super::facts::{Agent, Facts, Who, agent_id, id, who};

/// 30 days.
const LOOK_BACK_SECONDS: i64 = 30 * 24 * 60 * 60;

/// Everyone who answers for what an agent does.
pub(super) fn of_agent(
    agent: &Agent,
    others: impl IntoIterator<Item = Who>,
    now: Timestamp,
    defect: Defect,
) -> BTreeSet<Who> {
    let since = now.plus_seconds(-LOOK_BACK_SECONDS);
    let forgotten = defect == Defect::FormerOwnersForgotten;
    let former = agent.former.iter().filter(|(_, until)| *until >= since && !forgotten).map(|(who, _)| *who);
    std::iter::once(agent.owner).chain(former).chain(agent.creator).chain(others).collect()
}

/// Everyone on a request's side as of now.
pub(super) fn linked_now(facts: &Facts, request: &Described, now: Timestamp, defect: Defect) -> BTreeSet<PersonId> {
    let mut side: BTreeSet<Who> = request.closure.iter().filter_map(who).collect();
    side.extend(who(&request.on_behalf_of.id));
    side.extend(who(&request.requester.owner().id));
    if let Requester::Agent { id, .. } = &*request.requester
        && defect != Defect::NewOwnerForgotten
    {
        let same = facts.agents.iter().enumerate().find(|(place, _)| &agent_id(*place) == id);
        side.extend(same.into_iter().flat_map(|(_, agent)| of_agent(agent, [], now, defect)));
    }
    with_elevated(facts, side, now, defect).into_iter().map(id).collect()
}

/// Adds whom the side made approvers, and whom those made ones.
fn with_elevated(facts: &Facts, mut side: BTreeSet<Who>, now: Timestamp, defect: Defect) -> BTreeSet<Who> {
    if defect == Defect::ElevationsForgotten {
        return side;
    }
    let since = now.plus_seconds(-LOOK_BACK_SECONDS);
    loop {
        let found = facts.made.iter().filter(|made| made.at >= since && side.contains(&made.by));
        let found: BTreeSet<Who> = found.map(|made| made.whom).filter(|whom| !side.contains(whom)).collect();
        if found.is_empty() {
            return side;
        }
        side.extend(found);
        if defect == Defect::ElevationsFollowedOnce {
            return side;
        }
    }
}

/// Whether one of two people made the other an approver, directly or through others.
pub(super) fn linked(facts: &Facts, one: Who, other: Who, now: Timestamp) -> bool {
    let made_by = |by| with_elevated(facts, BTreeSet::from([by]), now, Defect::None);
    made_by(one).contains(&other) || made_by(other).contains(&one)
}

/// The duties that a person does at a moment.
pub(super) fn duties_of(facts: &Facts, deputy: Who, now: Timestamp, defect: Defect) -> Vec<(Who, String)> {
    let ended = |until| now >= until && defect != Defect::DutiesNeverEnd;
    let held = facts.duties.iter().filter(|duty| duty.deputy == deputy && duty.from <= now && !ended(duty.until));
    let each = held.flat_map(|duty| duty.groups.iter().map(move |group| (duty.of, group.clone())));
    let each: BTreeSet<(Who, String)> = each.collect();
    each.into_iter().collect()
}
