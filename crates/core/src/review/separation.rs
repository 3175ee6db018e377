//! Nobody approves their own action (invariant I3): the check that compares people, and the proof it yields.
//!
//! The delegation closure of a request names everyone on the requester's side. It is frozen in the request and united
//! with the links of the moment here, so that a person linked later is caught as well. Policy's own `forbid`s say the
//! same thing a second time; neither can be lifted by configuration.

use std::collections::BTreeSet;

use crate::action::{CardDigest, Described, PersonId, Timestamp};
use crate::pattern::Choice;
use crate::policy::Approvable;

use super::{DutyUse, Method, PasskeyUse, Verdict, Vote};

/// Proof that a person stands outside an action's delegation closure. Only [`independent`] makes one.
///
/// ```compile_fail
/// use countersign_core::review::separation::Independent;
/// fn forge(person: countersign_core::action::PersonId) -> Independent {
///     Independent { person } // private field
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Independent {
    person: PersonId,
}

impl Independent {
    /// Who.
    pub fn person(&self) -> &PersonId {
        &self.person
    }
}

/// The person is on the requester's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody approves their own action: this person asked for it, answers for the agent that did, or acts for them")]
pub struct OwnAction;

/// Checks that a person stands outside the closure of a request, as frozen then and as linked now.
///
/// # Errors
/// [`OwnAction`] for every member of either.
pub fn independent(
    person: &PersonId,
    request: &Described,
    linked_now: &BTreeSet<PersonId>,
) -> Result<Independent, OwnAction> {
    let own = request.closure.contains(person)
        || linked_now.contains(person)
        || &request.on_behalf_of.id == person
        || &request.requester.owner().id == person;
    if own { Err(OwnAction) } else { Ok(Independent { person: person.clone() }) }
}

/// How the voter was authenticated, and what they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ballot {
    /// Their name.
    pub name: String,
    /// What they say.
    pub verdict: Verdict,
    /// By which way.
    pub method: Method,
    /// Whether a second factor was fresh.
    pub mfa: bool,
    /// The passkey that signed it.
    pub passkey: Option<PasskeyUse>,
    /// The card they saw.
    pub card: CardDigest,
    /// What they let vary, if they approve the like of it too.
    pub pattern: Option<Choice>,
    /// Their reason.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// A vote that separation of duties and policy both let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EligibleVote(Vote);

impl EligibleVote {
    /// Joins the two proofs: the person is independent, and policy lets them speak for these groups.
    ///
    /// # Errors
    /// [`AnotherPerson`] when the proofs speak of different people.
    pub fn new(person: Independent, approvable: &Approvable, ballot: Ballot) -> Result<Self, AnotherPerson> {
        Self::with_duties(person, Some(approvable), Vec::new(), ballot)
    }

    /// The same for somebody who speaks in the place of others, besides what they may say in their own, if anything.
    ///
    /// # Errors
    /// [`AnotherPerson`] when the proofs speak of different people, or there is none.
    pub fn with_duties(
        person: Independent,
        own: Option<&Approvable>,
        deputies: Vec<Deputy>,
        ballot: Ballot,
    ) -> Result<Self, AnotherPerson> {
        let theirs = |one: &Approvable| one.person() == &person.person;
        let own_fits = own.is_none_or(|own| theirs(own) && own.deputy_for().is_none());
        if !own_fits || !deputies.iter().all(|one| theirs(&one.approvable)) || (own.is_none() && deputies.is_empty()) {
            return Err(AnotherPerson);
        }
        let groups = own.map(|own| own.groups().clone()).unwrap_or_default();
        let duties = deputies.into_iter().map(Deputy::used).collect();
        let Ballot { name, verdict, method, mfa, passkey, card, pattern, reason, at } = ballot;
        let person = person.person;
        Ok(Self(Vote { person, name, verdict, method, mfa, passkey, groups, duties, card, pattern, reason, at }))
    }

    #[cfg(test)]
    pub(super) fn of(vote: Vote) -> Self {
        Self(vote)
    }

    pub(super) fn into_vote(self) -> Vote {
        self.0
    }
}

/// Proof that somebody may speak for a group in the place of one of its members, who stands outside the requester's side
/// too: the duty of anyone on it counts for nothing, whoever does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deputy {
    of: Independent,
    name: String,
    approvable: Approvable,
}

impl Deputy {
    /// Joins the two proofs.
    ///
    /// # Errors
    /// [`AnotherPerson`] when they speak of different people.
    pub fn new(of: Independent, name: String, approvable: Approvable) -> Result<Self, AnotherPerson> {
        match approvable.deputy_for() == Some(&of.person) {
            true => Ok(Self { of, name, approvable }),
            false => Err(AnotherPerson),
        }
    }

    /// Whose duty it is.
    pub fn of(&self) -> &PersonId {
        self.of.person()
    }

    /// Their name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For which groups.
    pub fn groups(&self) -> &BTreeSet<String> {
        self.approvable.groups()
    }

    /// As votes keep it.
    #[must_use]
    pub fn used(self) -> DutyUse {
        DutyUse { groups: self.approvable.groups().clone(), of: self.of.person, name: self.name }
    }
}

/// The two proofs speak of different people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the proofs speak of different people")]
pub struct AnotherPerson;
