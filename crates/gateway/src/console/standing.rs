//! How far a review has come on each way to an approval, and who could still be asked.

use std::collections::{BTreeMap, BTreeSet};

use countersign_core::action::PersonId;
use countersign_core::policy::Quorum;
use countersign_core::review::{Review, Vote, tokens};

use crate::gate::Moment;
use crate::resolve::{self, is_own_side};

/// One of the things that would suffice: every need in it must be met.
pub(super) struct Path {
    pub(super) needs: Vec<Need>,
}

/// So many people of a group.
pub(super) struct Need {
    pub(super) group: String,
    pub(super) count: u8,
    pub(super) have: u8,
    /// Who could still be one of them, by name.
    pub(super) people: Vec<String>,
}

impl Need {
    /// `one dba`, `2 of dba`, `one more person`.
    pub(super) fn words(&self) -> String {
        match (self.group.as_str(), self.count) {
            ("any", 1) => "One person of any group".to_owned(),
            ("any", count) => format!("{count} people of any group"),
            (group, 1) => format!("One person of {group}"),
            (group, count) => format!("{count} people of {group}"),
        }
    }

    pub(super) fn is_met(&self) -> bool {
        self.have >= self.count
    }

    /// One entry for each person needed: whether they are there.
    pub(super) fn marks(&self) -> impl Iterator<Item = bool> {
        let have = self.have;
        (0..self.count).map(move |at| at < have)
    }
}

/// How far a review has come on each way to an approval. Votes that no longer count are not counted.
pub(super) fn paths(moment: &Moment, review: &Review) -> Vec<Path> {
    let request = &review.matter().described;
    let counting: Vec<Vote> =
        review.votes().iter().filter_map(|vote| resolve::standing(moment, request, vote)).collect();
    let reached = tokens(&counting);
    let need = |quorum: &Quorum| Need {
        group: quorum.group.clone(),
        count: quorum.count,
        have: reached.iter().filter(|r| r.group == quorum.group).map(|r| r.count).max().unwrap_or(0).min(quorum.count),
        people: candidates(moment, review, &quorum.group),
    };
    review.matter().terms.suffices.iter().map(|set| Path { needs: set.iter().map(need).collect() }).collect()
}

/// Who is in a group, live, not on the requester's side, and has not voted, and the deputies of such; in the order of their
/// names.
fn candidates(moment: &Moment, review: &Review, group: &str) -> Vec<String> {
    let voted: BTreeSet<&PersonId> = review.votes().iter().map(|vote| &vote.person).collect();
    let persons = &moment.people.people.persons;
    let free = |id: &PersonId| !voted.contains(id) && !is_own_side(moment, review, id);
    let live = persons.iter().filter(|(_, facts)| !facts.suspended);
    let (mut names, of) = (BTreeSet::new(), |groups: &BTreeSet<String>| group == "any" || groups.contains(group));
    for (id, facts) in live.filter(|(id, facts)| of(&facts.groups) && free(id)) {
        names.insert(facts.name.clone());
        let given = moment.people.duties_from(id, moment.now).filter(|duty| of(&duty.groups) && free(&duty.deputy));
        let deputies = given.filter_map(|duty| persons.get(&duty.deputy)).filter(|deputy| !deputy.suspended);
        names.extend(deputies.map(|deputy| format!("{} in the place of {}", deputy.name, facts.name)));
    }
    names.into_iter().collect()
}

/// Names of people by their handles.
pub(super) fn names(moment: &Moment) -> BTreeMap<PersonId, String> {
    moment.people.people.persons.iter().map(|(id, facts)| (id.clone(), facts.name.clone())).collect()
}
