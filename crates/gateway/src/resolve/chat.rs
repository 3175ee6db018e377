//! Whether a click in chat could decide a review at all, so that channels offer no button that would be refused.

use std::collections::BTreeSet;

use countersign_core::action::PersonId;
use countersign_core::policy::Authn;
use countersign_core::review::{Method, Review, separation};

use super::{asked_groups, duty};
use crate::gate::Moment;

/// The most members whose clicks policy is asked about; beyond them a button is offered on suspicion.
const MEMBERS_MAX: usize = 50;

/// Whether policy would take a click of anybody who was asked and stands outside the requester's side.
pub fn chat_decides(moment: &Moment, review: &Review) -> bool {
    let matter = review.matter();
    if matter.described.shown.decisive().next().is_some() {
        return false; // what is hidden and decides has to be looked at first, which no click does
    }
    if matter.terms.obligations.passkey || !moment.counts(Method::Chat, &matter.described) {
        return false;
    }
    let (asked, linked) =
        (asked_groups(&matter.terms.suffices), moment.people.linked_now(&matter.described, moment.now));
    let authn = Authn { mfa: false, age_seconds: 0, method: Method::Chat, passkey: None };
    let none = BTreeSet::new();
    let circumstances = moment.with(&matter.described, &none);
    let persons = moment.people.people.persons.iter().filter(|(person, facts)| {
        let named = asked.contains("any") || !asked.is_disjoint(&facts.groups);
        named && !facts.suspended && separation::independent(person, &matter.described, &linked).is_ok()
    });
    let may = |person| {
        let may = |group: &String| {
            moment.bundle.may_approve(person, &authn, &matter.described, group, &circumstances).is_ok()
        };
        asked.iter().any(may)
    };
    let mut seen = 0;
    for (person, _) in persons {
        seen += 1;
        if seen > MEMBERS_MAX || may(person) {
            return true;
        }
    }
    false
}

/// Whether an open review waits for somebody who has not voted on it: whether policy would let them speak, by the best that they
/// could prove, for a group that is asked, for themselves or in another's place.
pub fn waits_for(moment: &Moment, review: &Review, person: &PersonId) -> bool {
    let matter = review.matter();
    let voted = review.votes().iter().any(|vote| vote.person == *person);
    let linked = moment.people.linked_now(&matter.described, moment.now);
    let outside = separation::independent(person, &matter.described, &linked).is_ok();
    if voted || !outside || !matches!(review, Review::Open(_)) {
        return false;
    }
    let (asked, none) = (asked_groups(&matter.terms.suffices), BTreeSet::new());
    let best = Authn { mfa: true, age_seconds: 0, method: Method::Console, passkey: None };
    let circumstances = moment.with(&matter.described, &none);
    let may =
        |group: &String| moment.bundle.may_approve(person, &best, &matter.described, group, &circumstances).is_ok();
    asked.iter().any(may) || !duty::deputies(moment, &matter.described, person, &best, &asked).is_empty()
}
