//! When an open review is brought to people's attention again: the groups it is escalated to, and reminders.
//!
//! The times follow from the review alone: `@escalate` counts from its opening; reminders come when half of its time has
//! passed and when a tenth is left. What was done is kept beside the review, so that a restart neither forgets nor repeats
//! it. Nothing here lets anybody approve: an escalation asks more people to look, and policy's quorums stay what they are.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::action::Timestamp;
use crate::policy::Quorum;

use super::Matter;

/// A group that was asked too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// Which.
    pub group: String,
    /// When.
    pub at: Timestamp,
}

/// What was done so far to have a review looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attention {
    /// The groups it was escalated to, in order.
    pub escalated: Vec<Escalation>,
    /// When people were last reminded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reminded_at: Option<Timestamp>,
    /// Everything due up to here is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_until: Option<Timestamp>,
}

impl Attention {
    /// When there is something to do next; none when nothing is left before the review closes by itself.
    pub fn next_at(&self, matter: &Matter) -> Option<Timestamp> {
        let left = |at: &Timestamp| self.done_until.is_none_or(|done| *at > done);
        escalations(matter).map(|(at, _)| at).chain(reminders(matter)).filter(left).min()
    }

    /// Does what is due now: what was done afterwards, of which the groups that were not asked before are told apart.
    #[must_use]
    pub fn attend(&self, matter: &Matter, now: Timestamp) -> (Self, Vec<Escalation>) {
        let due = |at: &Timestamp| *at <= now && self.done_until.is_none_or(|done| *at > done);
        let mut next = self.clone();
        let mut fresh = Vec::new();
        for (_, group) in escalations(matter).filter(|(at, _)| due(at)) {
            if next.escalated.iter().any(|there| there.group == group) {
                continue;
            }
            let escalation = Escalation { group: group.to_owned(), at: now };
            next.escalated.push(escalation.clone());
            fresh.push(escalation);
        }
        if reminders(matter).iter().any(due) {
            next.reminded_at = Some(now);
        }
        next.done_until = Some(now);
        (next, fresh)
    }

    /// The next group it will be escalated to, and when.
    pub fn next_escalation(&self, matter: &Matter) -> Option<Escalation> {
        let pending = escalations(matter).filter(|(_, group)| !self.has_asked(group));
        pending.min_by_key(|(at, _)| *at).map(|(at, group)| Escalation { group: group.to_owned(), at })
    }

    /// Whether it was escalated to a group.
    pub fn has_asked(&self, group: &str) -> bool {
        self.escalated.iter().any(|there| there.group == group)
    }

    /// The groups that are asked by now. A group that comes later by escalation is not yet, unless nobody else could decide.
    pub fn asked(&self, matter: &Matter) -> BTreeSet<String> {
        let later = |quorum: &Quorum| {
            escalations(matter).any(|(_, group)| group == quorum.group) && !self.has_asked(&quorum.group)
        };
        let sets = &matter.terms.suffices;
        let now: Vec<&BTreeSet<Quorum>> = sets.iter().filter(|set| !set.iter().any(later)).collect();
        let asked = if now.is_empty() { sets.iter().collect() } else { now };
        let groups = asked.into_iter().flatten().map(|quorum| quorum.group.clone());
        groups.chain(self.escalated.iter().map(|there| there.group.clone())).collect()
    }
}

/// Every escalation that comes before the review closes by itself.
fn escalations(matter: &Matter) -> impl Iterator<Item = (Timestamp, &str)> {
    let all = matter.terms.obligations.escalate.iter();
    all.map(|(after, group)| (matter.opened_at.plus_seconds(i64::from(*after)), group.as_str()))
        .filter(|(at, _)| *at < matter.expires_at)
}

/// At half of a review's time, and when a tenth is left.
fn reminders(matter: &Matter) -> [Timestamp; 2] {
    let seconds = matter.expires_at.seconds_since(matter.opened_at);
    [matter.opened_at.plus_seconds(seconds / 2), matter.expires_at.plus_seconds(-(seconds / 10))]
}

#[cfg(test)]
mod tests {
    use super::super::tests::matter;
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    /// Open for 1,000 seconds, escalated after 100 and 600, and after 2,000, which never comes.
    fn escalating() -> Matter {
        let mut matter = matter();
        matter.expires_at = at(1_000);
        let groups = [(100, "sre"), (600, "leads"), (2_000, "board")];
        matter.terms.obligations.escalate = groups.map(|(after, group)| (after, group.to_owned())).into();
        matter
    }

    fn groups(escalations: &[Escalation]) -> Vec<&str> {
        escalations.iter().map(|escalation| escalation.group.as_str()).collect()
    }

    #[test]
    fn everything_comes_once_in_its_time() {
        let (matter, mut attention) = (escalating(), Attention::default());
        let mut seen = Vec::new();
        while let Some(next) = attention.next_at(&matter) {
            let (after, fresh) = attention.attend(&matter, next);
            seen.push((next, groups(&fresh).join(","), after.reminded_at == Some(next)));
            attention = after;
        }
        let expected = [(100, "sre", false), (500, "", true), (600, "leads", false), (900, "", true)];
        assert_eq!(seen, expected.map(|(seconds, group, reminded)| (at(seconds), group.to_owned(), reminded)));
        assert_eq!(attention.next_escalation(&matter), None);
    }

    #[test]
    fn what_was_missed_is_made_up_for_at_once_and_not_twice() {
        let matter = escalating();
        let (attention, fresh) = Attention::default().attend(&matter, at(700));
        assert_eq!((groups(&fresh), attention.reminded_at), (vec!["sre", "leads"], Some(at(700))));
        let (again, fresh) = attention.attend(&matter, at(701));
        assert_eq!((groups(&fresh), again.escalated.len(), again.reminded_at), (vec![], 2, Some(at(700))));
        assert_eq!(again.next_at(&matter), Some(at(900)));
    }

    #[test]
    fn a_group_that_comes_later_is_not_asked_before_unless_nobody_else_is() {
        let mut matter = escalating();
        let quorum = |text: &str| Quorum::try_from(text.to_owned()).expect("well formed");
        matter.terms.suffices = vec![[quorum("dba:1")].into(), [quorum("sre:1")].into()];
        let none = Attention::default();
        assert_eq!(none.asked(&matter), ["dba".to_owned()].into());
        assert_eq!(none.next_escalation(&matter).map(|next| next.group), Some("sre".to_owned()));
        let (after, _) = none.attend(&matter, at(100));
        assert_eq!(after.asked(&matter), ["dba".to_owned(), "sre".to_owned()].into());
        matter.terms.suffices = vec![[quorum("sre:1")].into()];
        assert_eq!(none.asked(&matter), ["sre".to_owned()].into());
    }
}
