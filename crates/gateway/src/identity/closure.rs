//! The delegation closure of a request: everyone on the requester's side, none of whom may approve.
//!
//! It is computed once, when an agent logs in, and frozen in each request. At a vote it is united with the links of that
//! moment ([`Snapshot::linked_now`](super::people::Snapshot::linked_now)), so that nobody slips out of it in between, and
//! with everyone whom a member of it made an approver within the last 30 days: nobody manufactures an approver.

use std::collections::BTreeSet;

use countersign_core::action::{PersonId, Timestamp};

use crate::ports::{Agent, Delegation, Elevation};

/// How far back former owners, and those who enrolled or elevated an approver, are looked for: 30 days.
pub const LOOK_BACK_SECONDS: i64 = 30 * 24 * 60 * 60;

/// Everyone who answers for what an agent does: its owner, those who owned it within the look-back, its creator, and
/// whoever a key of it acts for or came through.
pub fn of_agent(agent: &Agent, delegation: &Delegation, now: Timestamp) -> BTreeSet<PersonId> {
    let since = now.plus_seconds(-LOOK_BACK_SECONDS);
    let former = agent.former_owners.iter().filter(|former| former.until >= since).map(|former| &former.person);
    let others = agent.created_by.iter().chain(&delegation.on_behalf_of).chain(&delegation.through);
    std::iter::once(&agent.owner).chain(former).chain(others).cloned().collect()
}

/// Adds everyone who was enrolled or elevated within the look-back by somebody on the side already, until nobody is left.
pub fn with_elevated<'a>(
    side: BTreeSet<PersonId>,
    people: impl Iterator<Item = (&'a PersonId, &'a [Elevation])> + Clone,
    now: Timestamp,
) -> BTreeSet<PersonId> {
    let since = now.plus_seconds(-LOOK_BACK_SECONDS);
    let mut side = side;
    loop {
        let by_the_side = |elevation: &Elevation| elevation.at >= since && side.contains(&elevation.by);
        let found =
            people.clone().filter(|(person, elevations)| !side.contains(*person) && elevations.iter().any(by_the_side));
        let found: Vec<PersonId> = found.map(|(person, _)| person.clone()).collect();
        if found.is_empty() {
            return side;
        }
        side.extend(found);
    }
}

#[cfg(test)]
mod tests {
    use countersign_core::action::AgentId;

    use super::*;
    use crate::ports::FormerOwner;

    const NOW: Timestamp = Timestamp::from_micros(4_000_000_000_000_000);

    fn ids(names: &[&str]) -> BTreeSet<PersonId> {
        names.iter().map(|name| PersonId::new(*name)).collect()
    }

    fn days_ago(days: i64) -> Timestamp {
        NOW.plus_seconds(-days * 24 * 60 * 60)
    }

    fn agent() -> Agent {
        let former = |name: &str, days| FormerOwner { person: PersonId::new(name), until: days_ago(days) };
        Agent {
            id: AgentId::new("a_1"),
            name: "coder".to_owned(),
            owner: PersonId::new("owner"),
            groups: BTreeSet::new(),
            created_by: Some(PersonId::new("creator")),
            former_owners: vec![former("last", 29), former("long gone", 31)],
            accepted_at: Some(NOW),
            created_at: days_ago(300),
            revoked_at: None,
        }
    }

    #[test]
    fn everyone_who_answers_for_an_agent_is_on_its_side() {
        let delegation = Delegation {
            on_behalf_of: Some(PersonId::new("principal")),
            through: ids(&["actor", "author"]),
            ..Delegation::default()
        };
        let side = of_agent(&agent(), &delegation, NOW);
        assert_eq!(side, ids(&["owner", "creator", "last", "principal", "actor", "author"]));
    }

    #[test]
    fn approvers_made_by_the_side_are_on_it_at_any_distance() {
        let elevated =
            |by: &str, days| vec![Elevation { by: PersonId::new(by), what: "dba".into(), at: days_ago(days) }];
        let people = [
            ("puppet", elevated("owner", 3)),
            ("puppets puppet", elevated("puppet", 2)),
            ("colleague", elevated("somebody", 1)),
            ("old friend", elevated("owner", 31)),
        ]
        .map(|(name, elevations)| (PersonId::new(name), elevations));
        let people = people.iter().map(|(person, elevations)| (person, elevations.as_slice()));
        let side = with_elevated(ids(&["owner"]), people, NOW);
        assert_eq!(side, ids(&["owner", "puppet", "puppets puppet"]));
    }
}
