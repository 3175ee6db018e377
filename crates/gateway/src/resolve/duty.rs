//! Speaking in the place of somebody who is away.
//!
//! A duty counts while it is in force, while its holder is in the group and not suspended, and where neither the holder nor
//! the deputy stands on the requester's side. Policy is asked about each, and sees whose place it is (`deputyFor`).

use std::collections::BTreeSet;

use countersign_core::action::{Described, PersonId};
use countersign_core::policy::Authn;
use countersign_core::review::separation::independent;
use countersign_core::review::{Deputy, DutyUse, Review};

use crate::gate::Moment;

/// Whose place a person may take for a request now, and for which groups that were asked. `any` asks for all.
pub fn deputies(
    moment: &Moment,
    request: &Described,
    person: &PersonId,
    authn: &Authn,
    asked: &BTreeSet<String>,
) -> Vec<Deputy> {
    let wanted = |group: &str| asked.contains("any") || asked.contains(group);
    let held = moment.people.duties_of(person, moment.now);
    let each = held.flat_map(|duty| duty.groups.iter().map(move |group| (&duty.of, group)));
    let each: BTreeSet<(&PersonId, &String)> = each.filter(|(_, group)| wanted(group)).collect();
    each.into_iter().filter_map(|(of, group)| deputy(moment, request, (person, of), authn, group)).collect()
}

fn deputy(
    moment: &Moment,
    request: &Described,
    (person, of): (&PersonId, &PersonId),
    authn: &Authn,
    group: &str,
) -> Option<Deputy> {
    let linked = moment.people.linked_now(request, moment.now);
    independent(person, request, &linked).ok()?;
    let holder = independent(of, request, &linked).ok()?;
    let none = BTreeSet::new();
    let circumstances = moment.with(request, &none);
    let approvable = moment.bundle.may_approve_as_deputy((person, of), authn, request, group, &circumstances).ok()?;
    let name = moment.people.people.persons.get(of).map(|facts| facts.name.clone())?;
    Deputy::new(holder, name, approvable).ok()
}

/// What of the duties that a vote used still counts for a request.
pub(super) fn standing(
    moment: &Moment,
    request: &Described,
    person: &PersonId,
    authn: &Authn,
    used: &[DutyUse],
) -> Vec<DutyUse> {
    let asked: BTreeSet<String> = used.iter().flat_map(|used| used.groups.iter().cloned()).collect();
    let now = if used.is_empty() { Vec::new() } else { deputies(moment, request, person, authn, &asked) };
    let was =
        |deputy: &Deputy| used.iter().any(|used| &used.of == deputy.of() && deputy.groups().is_subset(&used.groups));
    now.into_iter().filter(was).map(Deputy::used).collect()
}

/// In whose place a person's vote in a review speaks.
pub(super) fn named_by(review: &Review, person: &PersonId) -> Vec<PersonId> {
    let vote = review.votes().iter().find(|vote| &vote.person == person);
    let of: BTreeSet<PersonId> = vote.iter().flat_map(|vote| &vote.duties).map(|used| used.of.clone()).collect();
    of.into_iter().collect()
}

/// The names of those in whose place a vote speaks, in order.
pub fn names(used: &[DutyUse]) -> Vec<String> {
    let names: BTreeSet<&String> = used.iter().map(|used| &used.name).collect();
    names.into_iter().cloned().collect()
}
