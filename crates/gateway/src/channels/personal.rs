//! Places that stand for people: whoever is called, and the person on whose behalf something was asked.
//!
//! `slack:@sre` and `slack:@on-duty` become one place for each person who could decide when they are asked, as far as they
//! have an account there: each is told, and updated, like any other place. `@owner` is told once, when it is over: what became of what
//! was asked on their behalf. Who that is follows from the directory alone, by ids; nothing in a request names it.

use std::collections::BTreeSet;

use countersign_core::action::PersonId;
use countersign_core::review::Review;

use super::Channel;
use crate::gate::{Gate, Moment};
use crate::ports::{Account, Destination, Person, StoreError};
use crate::resolve;

/// The person on whose behalf something was asked.
const OWNER: &str = "@owner";
/// Everybody who could decide.
const ON_DUTY: &str = "@on-duty";
/// The most people who are told one by one.
const CALLED_MAX: usize = 50;

/// Whom a place stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who<'a> {
    /// Nobody in particular.
    Whoever,
    /// The person on whose behalf it was asked.
    Owner,
    /// Those who could decide: of this group, or in the place of somebody of it; all of them without one.
    Called(Option<&'a str>),
}

impl<'a> Who<'a> {
    /// By what the place is called.
    pub(super) fn of(place: &'a Destination) -> Self {
        match place.name() {
            OWNER => Who::Owner,
            ON_DUTY => Who::Called(None),
            name => name.strip_prefix('@').map_or(Who::Whoever, |group| Who::Called(Some(group))),
        }
    }
}

/// Whether a place is the owner's: nobody can decide there.
pub(super) fn is_owners(place: &Destination) -> bool {
    Who::of(place) == Who::Owner
}

/// Where the person is told on whose behalf a review was asked; nowhere if they are suspended or have no account there.
pub(super) async fn owner(gate: &Gate, channel: &dyn Channel, review: &Review) -> Result<Option<String>, StoreError> {
    let owner = review.matter().described.on_behalf_of.id.clone();
    Ok(places(gate, channel, &BTreeSet::from([owner])).await?.pop())
}

/// Where those are told who are called.
pub(super) async fn called(
    gate: &Gate,
    channel: &dyn Channel,
    (moment, review): (&Moment, &Review),
    group: Option<&str>,
) -> Result<BTreeSet<Destination>, StoreError> {
    let speaks = |person: &PersonId, groups: &BTreeSet<String>| {
        let Some(group) = group else { return true };
        groups.contains(group) || moment.people.duties_of(person, moment.now).any(|duty| duty.groups.contains(group))
    };
    let all = moment.people.people.persons.iter();
    let asked = all.filter(|(person, facts)| {
        !facts.suspended && speaks(person, &facts.groups) && resolve::waits_for(moment, review, person)
    });
    let asked: BTreeSet<PersonId> = asked.map(|(person, _)| person.clone()).take(CALLED_MAX).collect();
    let names = places(gate, channel, &asked).await?;
    Ok(names.iter().map(|name| Destination::new(channel.name(), name)).collect())
}

/// Where people are told who are not suspended and have an account there.
async fn places(gate: &Gate, channel: &dyn Channel, persons: &BTreeSet<PersonId>) -> Result<Vec<String>, StoreError> {
    let accounts = if persons.is_empty() { Vec::new() } else { gate.directory.accounts().await? };
    let mut places = Vec::new();
    for id in persons {
        let Some(person) = gate.directory.person(id).await?.filter(|person: &Person| !person.suspended) else {
            continue;
        };
        let own: Vec<&Account> = accounts.iter().filter(|account| account.person == *id).collect();
        places.extend(channel.personal(&person, &own));
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_says_whom_it_stands_for() {
        let check = |name: &str, who: Who<'_>| assert_eq!(Who::of(&Destination::new("slack", name)), who);
        check("#approvals", Who::Whoever);
        check("U0123", Who::Whoever);
        check("dba@example.org", Who::Whoever);
        check("@owner", Who::Owner);
        check("@on-duty", Who::Called(None));
        check("@sre", Who::Called(Some("sre")));
    }
}
