//! Counting people: which quorums a set of votes makes up.

use std::collections::{BTreeMap, BTreeSet};

use crate::action::PersonId;
use crate::policy::Quorum;

use super::{Verdict, Vote};

/// The most people counted for one group; policies cannot ask for more.
const QUORUM_PEOPLE_MAX: usize = 9;

/// The quorum tokens of the approving votes: for each group `g:1` up to the number of different people, and `any:n`.
///
/// A person in two groups is one person: they count once in each group they may approve for, and once in `any`.
pub fn tokens(votes: &[Vote]) -> BTreeSet<Quorum> {
    let mut people: BTreeMap<&str, BTreeSet<&PersonId>> = BTreeMap::new();
    for vote in votes.iter().filter(|vote| vote.verdict == Verdict::Approve) {
        for group in vote.groups.iter().map(String::as_str).filter(|group| *group != "any").chain(["any"]) {
            people.entry(group).or_default().insert(&vote.person);
        }
    }
    people.iter().flat_map(|(group, members)| up_to(group, members.len())).collect()
}

fn up_to(group: &str, count: usize) -> impl Iterator<Item = Quorum> {
    let top = u8::try_from(count.min(QUORUM_PEOPLE_MAX)).unwrap_or(u8::MAX);
    (1..=top).map(move |count| Quorum { group: group.to_owned(), count })
}
