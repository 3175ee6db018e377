//! Whose turn it is: requirements that wait for others (`@after`).
//!
//! A forbid with `@after("other")` takes votes only once `other` is no longer in the way. What that means is asked of Cedar
//! as ever: with the votes that stand so far, is `other` among the forbids that deny? Nothing else changes: what is needed
//! in the end is what the policies say, in whatever order it was given.

use std::collections::{BTreeMap, BTreeSet};

use crate::action::Described;

use super::bundle::{Bundle, Meta};
use super::decide::Message;
use super::vocabulary::ANY;
use super::world::Circumstances;

/// Others come first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("others decide first: {}", self.words())]
pub struct NotYet {
    /// The groups that are asked first.
    pub groups: BTreeSet<String>,
    /// The policies that ask them.
    pub policies: BTreeSet<String>,
}

impl NotYet {
    /// The groups, for people.
    pub fn words(&self) -> String {
        let name = |group: &String| if group == ANY { "any reviewer".to_owned() } else { group.clone() };
        self.groups.iter().map(name).collect::<Vec<_>>().join(", ")
    }
}

impl Bundle {
    /// Whether a vote of somebody who speaks for these groups is in its turn, with the approvals of the circumstances. It is
    /// unless all that it would serve waits for others. What cannot be decided is nobody's turn to stop.
    ///
    /// # Errors
    /// [`NotYet`].
    pub fn turn(
        &self,
        described: &Described,
        groups: &BTreeSet<String>,
        circumstances: &Circumstances<'_>,
    ) -> Result<(), NotYet> {
        if self.meta.values().all(|meta| meta.annotations.after.is_none()) {
            return Ok(());
        }
        let in_the_way = self.in_the_way(described, circumstances);
        // also what the votes of others satisfy so far: they may be taken back, and this one would have come too early
        let none = BTreeSet::new();
        let at_first = self.in_the_way(described, &Circumstances { approvals: &none, ..*circumstances });
        let served = at_first.values().chain(in_the_way.values()).filter(|meta| serves(meta, groups));
        let mut waits: BTreeSet<&String> = BTreeSet::new();
        for meta in served {
            match meta.annotations.after.as_ref().filter(|after| in_the_way.contains_key(*after)) {
                Some(first) => drop(waits.insert(first)),
                None => return Ok(()),
            }
        }
        if waits.is_empty() {
            return Ok(());
        }
        let asked = waits.iter().filter_map(|id| in_the_way.get(*id));
        let groups = asked.flat_map(|meta| &meta.quorums).map(|quorum| quorum.group.clone()).collect();
        Err(NotYet { groups, policies: waits.into_iter().cloned().collect() })
    }

    /// The forbids that deny now, of those that approvals lift.
    fn in_the_way(&self, described: &Described, circumstances: &Circumstances<'_>) -> BTreeMap<String, &Meta> {
        let Ok(entities) = self.world.for_action(described, circumstances.people) else { return BTreeMap::new() };
        let Ok(message) = Message::new(self, described, circumstances, &entities) else { return BTreeMap::new() };
        let traces = message.traces(circumstances.approvals).unwrap_or_default();
        let denying = traces.into_iter().filter(|trace| !trace.real.allow).flat_map(|trace| trace.real.reasons);
        let known = denying.filter_map(|id| self.meta.get(&id).map(|meta| (id, meta)));
        known.filter(|(_, meta)| !meta.quorums.is_empty()).collect()
    }
}

/// Whether a vote for these groups counts towards what a policy asks.
fn serves(meta: &Meta, groups: &BTreeSet<String>) -> bool {
    meta.quorums.iter().any(|quorum| quorum.group == ANY || groups.contains(&quorum.group))
}

/// What is wrong with the stages of policies: the policy, and why.
pub(super) fn problems(meta: &BTreeMap<String, Meta>) -> Vec<(String, String)> {
    let after = |id: &String| meta.get(id).and_then(|meta| meta.annotations.after.as_ref());
    let staged = meta.iter().filter_map(|(id, one)| Some((id, one, one.annotations.after.as_ref()?)));
    let mut problems = Vec::new();
    for (id, one, first) in staged {
        let found = meta.get(first);
        if one.quorums.is_empty() {
            problems.push((id.clone(), "`@after` on a policy that asks for no approval has no effect".to_owned()));
        } else if found.is_none_or(|found| found.quorums.is_empty()) {
            let message = format!("`@after(\"{first}\")` names no policy that asks for approvals");
            problems.push((id.clone(), message));
        } else if returns(id, after, meta.len()) {
            problems.push((id.clone(), format!("`@after(\"{first}\")` leads back to this policy: nobody could begin")));
        }
    }
    problems
}

/// Whether following what comes first leads back to a policy.
fn returns<'a>(id: &'a String, after: impl Fn(&'a String) -> Option<&'a String>, most: usize) -> bool {
    let mut at = id;
    for _ in 0..=most {
        match after(at) {
            None => return false,
            Some(first) if first == id => return true,
            Some(first) => at = first,
        }
    }
    false // a circle that this one only leads into; its members are told
}
