//! Where a person stands towards a review: what a place says before anybody decides there.
//!
//! It asks the same questions as [`cast`](super::cast), so that no place offers what would be refused; it decides nothing,
//! and a place that is wrong here only earns its reader a refusal.

use std::collections::BTreeSet;

use countersign_core::action::PersonId;
use countersign_core::policy::{Approvable, ApproveCode};
use countersign_core::review::attention::Attention;
use countersign_core::review::separation::independent;
use countersign_core::review::{PasskeyUse, Review, Verdict};

use super::{Voter, asked_groups, duty, known_well, turn_of};
use crate::codes::Code;
use crate::gate::Moment;
use crate::identity::SignedIn;
use crate::ports::Scope;

/// Where the person who looks stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Their vote would count for these groups.
    Decides(BTreeSet<String>),
    /// They voted already.
    Voted(Verdict),
    /// They are on the requester's side.
    OwnSide,
    /// None of their groups was asked.
    NotAsked,
    /// Others decide first.
    Later(String),
    /// Policy does not let them, and says why.
    Barred(String),
    /// Their session may only read.
    ReadOnly,
    /// Nothing is left to decide.
    Closed,
}

/// What is said of one standing.
pub struct Words {
    /// A short label for lists.
    pub label: String,
    /// A sentence for the review's own page.
    pub sentence: String,
}

impl Standing {
    /// Of a person towards a review. Where a vote must be signed, as if they did.
    pub fn of(moment: &Moment, review: &Review, who: &SignedIn) -> Self {
        let signs = PasskeyUse { id: String::new(), synced: false, local: false };
        let passkey = Some(signs).filter(|_| review.matter().terms.obligations.passkey);
        Self::of_voter(moment, review, &Voter { signed_in: who, passkey })
    }

    /// Of a person with, or without, a passkey.
    pub fn of_voter(moment: &Moment, review: &Review, voter: &Voter<'_>) -> Self {
        let who = voter.signed_in;
        let person = &who.person.id;
        if matches!(review, Review::Closed(_)) {
            return Standing::Closed;
        }
        if let Some(vote) = review.votes().iter().find(|vote| &vote.person == person) {
            return Standing::Voted(vote.verdict);
        }
        if is_own_side(moment, review, person) {
            return Standing::OwnSide;
        }
        if who.scope < Scope::ReviewVote {
            return Standing::ReadOnly;
        }
        match known_well(moment, &review.matter().described, voter) {
            Ok(()) => asked(moment, review, voter),
            Err(denied) => Standing::Barred(denied.message),
        }
    }

    /// A guess from groups alone, for sorting long lists before asking policy about what is shown.
    pub fn could_decide(moment: &Moment, review: &Review, who: &SignedIn) -> bool {
        let voted = review.votes().iter().any(|vote| vote.person == who.person.id);
        let groups = asked_groups(&review.matter().terms.suffices);
        !voted && !is_own_side(moment, review, &who.person.id) && in_one_of(&groups, &held(moment, who))
    }

    /// The same, as far as they are asked by now: a group that comes later by escalation is not, one that it was escalated to
    /// is, even where it could only break the glass.
    pub fn is_asked(moment: &Moment, review: &Review, attention: &Attention, who: &SignedIn) -> bool {
        let voted = review.votes().iter().any(|vote| vote.person == who.person.id);
        let groups = attention.asked(review.matter());
        !voted && !is_own_side(moment, review, &who.person.id) && in_one_of(&groups, &held(moment, who))
    }

    /// Whether their vote would count now.
    pub fn decides(&self) -> bool {
        matches!(self, Standing::Decides(_))
    }

    /// In words.
    pub fn words(&self) -> Words {
        let (label, sentence) = match self {
            Standing::Decides(groups) => {
                let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
                ("You can decide".to_owned(), format!("You decide for {}.", groups.join(", ")))
            }
            Standing::Voted(Verdict::Approve) => {
                ("You approved".to_owned(), "You approved this. It waits for more people.".to_owned())
            }
            Standing::Voted(Verdict::Reject) => ("You rejected".to_owned(), "You rejected this.".to_owned()),
            Standing::OwnSide => (
                "Your own side asks".to_owned(),
                "You cannot decide this: it was asked by you, or by an agent you answer for. Nobody approves their own action."
                    .to_owned(),
            ),
            Standing::NotAsked => (
                "Others were asked".to_owned(),
                "You cannot decide this: none of your groups was asked.".to_owned(),
            ),
            Standing::Later(why) => ("Not yet your turn".to_owned(), format!("You cannot decide this yet: {why}.")),
            Standing::Barred(why) => ("Policy bars you".to_owned(), format!("You cannot decide this: {why}.")),
            Standing::ReadOnly => {
                ("You can only read".to_owned(), "Your session may read reviews, not vote on them.".to_owned())
            }
            Standing::Closed => ("Closed".to_owned(), "Nothing is left to decide.".to_owned()),
        };
        Words { label, sentence }
    }
}

fn asked(moment: &Moment, review: &Review, voter: &Voter<'_>) -> Standing {
    let matter = review.matter();
    if matter.terms.obligations.passkey && !voter.steps_up() {
        return Standing::Barred("the policy asks for a vote that is signed by a passkey".to_owned());
    }
    let authn = voter.authn();
    let none = BTreeSet::new();
    let any = moment.bundle.may_approve(
        &voter.signed_in.person.id,
        &authn,
        &matter.described,
        "any",
        &moment.with(&matter.described, &none),
    );
    let groups = asked_groups(&matter.terms.suffices);
    let standing = match any.as_ref().map(Approvable::groups) {
        Ok(own) if groups.contains("any") => Standing::Decides(own.clone()),
        Ok(own) => match own.intersection(&groups).cloned().collect::<BTreeSet<_>>() {
            both if both.is_empty() => Standing::NotAsked,
            both => Standing::Decides(both),
        },
        Err(denial) => match denial.code {
            ApproveCode::SelfApproval => Standing::OwnSide,
            ApproveCode::NotAReviewer | ApproveCode::UnknownPerson => Standing::NotAsked,
            ApproveCode::Suspended | ApproveCode::PolicyError | ApproveCode::PolicyDenied => {
                Standing::Barred(denial.text.clone())
            }
        },
    };
    let standing = match standing {
        Standing::NotAsked => in_the_place_of_others(moment, review, voter, &groups),
        other => other,
    };
    match turn_of(moment, review, voter) {
        Err(denied) if standing.decides() && denied.code == Code::NotYourTurn => Standing::Later(denied.message),
        _ => standing,
    }
}

/// Whether somebody who is away has given them their duty.
fn in_the_place_of_others(moment: &Moment, review: &Review, voter: &Voter<'_>, asked: &BTreeSet<String>) -> Standing {
    let (request, person) = (&review.matter().described, &voter.signed_in.person.id);
    let deputies = duty::deputies(moment, request, person, &voter.authn(), asked);
    let each = deputies.iter().flat_map(|deputy| deputy.groups().iter().map(move |group| (group, deputy.name())));
    let each: BTreeSet<String> = each.map(|(group, of)| format!("{group} in the place of {of}")).collect();
    if each.is_empty() { Standing::NotAsked } else { Standing::Decides(each) }
}

/// Whether a person is on the requester's side, by any of their accounts.
pub fn is_own_side(moment: &Moment, review: &Review, person: &PersonId) -> bool {
    let request = &review.matter().described;
    independent(person, request, &moment.people.linked_now(request, moment.now)).is_err()
}

/// The groups that a person is in, or speaks for while somebody is away.
fn held(moment: &Moment, who: &SignedIn) -> BTreeSet<String> {
    let given = moment.people.duties_of(&who.person.id, moment.now).flat_map(|duty| duty.groups.iter());
    who.person.groups.iter().chain(given).cloned().collect()
}

fn in_one_of(asked: &BTreeSet<String>, own: &BTreeSet<String>) -> bool {
    asked.contains("any") || !asked.is_disjoint(own)
}
