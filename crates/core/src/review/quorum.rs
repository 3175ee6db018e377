//! Counting people: which quorums a set of votes makes up.

use std::collections::{BTreeMap, BTreeSet};

use crate::action::PersonId;
use crate::policy::Quorum;

use super::{Verdict, Vote};

/// The most people counted for one group; policies cannot ask for more.
const QUORUM_PEOPLE_MAX: usize = 9;
const ANY: &str = "any";

/// Whose votes count for each group.
type Members<'a> = BTreeMap<&'a str, BTreeSet<&'a PersonId>>;

/// The quorum tokens of the approving votes: for each group `g:1` up to the number of different people, and `any:n`.
///
/// A person in two groups is one person: they count once in each group they may approve for, and once in `any`. Somebody
/// who speaks in the place of a member counts as that member, so that a member and their deputy are one; and a deputy of
/// several members is one of them.
pub fn tokens(votes: &[Vote]) -> BTreeSet<Quorum> {
    let mut people: Members<'_> = BTreeMap::new();
    let approving = || votes.iter().filter(|vote| vote.verdict == Verdict::Approve);
    for vote in approving().filter(|vote| !vote.groups.is_empty()) {
        for group in vote.groups.iter().map(String::as_str).filter(|group| *group != ANY).chain([ANY]) {
            people.entry(group).or_default().insert(&vote.person);
        }
    }
    for vote in approving() {
        count_duties(&mut people, vote);
    }
    people.iter().flat_map(|(group, members)| up_to(group, members.len())).collect()
}

/// In each group that the voter is not in, in the place of one member who is not counted yet.
fn count_duties<'a>(people: &mut Members<'a>, vote: &'a Vote) {
    let mut of_group: BTreeMap<&str, BTreeSet<&PersonId>> = BTreeMap::new();
    for duty in &vote.duties {
        let any = Some(ANY).filter(|_| vote.groups.is_empty());
        let groups = duty.groups.iter().map(String::as_str).filter(|group| !vote.groups.contains(*group));
        for group in groups.chain(any) {
            of_group.entry(group).or_default().insert(&duty.of);
        }
    }
    for (group, members) in of_group {
        let counted = people.entry(group).or_default();
        if let Some(free) = members.into_iter().find(|member| !counted.contains(member)) {
            counted.insert(free);
        }
    }
}

fn up_to(group: &str, count: usize) -> impl Iterator<Item = Quorum> {
    let top = u8::try_from(count.min(QUORUM_PEOPLE_MAX)).unwrap_or(u8::MAX);
    (1..=top).map(move |count| Quorum { group: group.to_owned(), count })
}
