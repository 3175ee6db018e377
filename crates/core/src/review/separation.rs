//! Nobody approves their own action (invariant I3): the check that compares people, and the proof it yields.
//!
//! The delegation closure of a request names everyone on the requester's side. It is frozen in the request and united
//! with the links of the moment here, so that a person linked later is caught as well. Policy's own `forbid`s say the
//! same thing a second time; neither can be lifted by configuration.

use std::collections::BTreeSet;

use crate::action::{CardDigest, Described, PersonId, Timestamp};
use crate::pattern::Choice;
use crate::policy::Approvable;

use super::{Method, PasskeyUse, Verdict, Vote};

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
        if approvable.person() != &person.person {
            return Err(AnotherPerson);
        }
        let groups = approvable.groups().clone();
        let Ballot { name, verdict, method, mfa, passkey, card, pattern, reason, at } = ballot;
        Ok(Self(Vote { person: person.person, name, verdict, method, mfa, passkey, groups, card, pattern, reason, at }))
    }

    #[cfg(test)]
    pub(super) fn of(vote: Vote) -> Self {
        Self(vote)
    }

    pub(super) fn into_vote(self) -> Vote {
        self.0
    }
}

/// The two proofs speak of different people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the proofs speak of different people")]
pub struct AnotherPerson;
