//! Where a person stands towards a review, and how far it has come: what a page says before anybody clicks.
//!
//! It asks the same questions as [`crate::resolve`], so that a page does not offer what would be refused; it decides
//! nothing, and a page that is wrong here only earns its reader a refusal.

use std::collections::{BTreeMap, BTreeSet};

use countersign_core::action::PersonId;
use countersign_core::policy::{Approvable, ApproveCode, Quorum};
use countersign_core::review::attention::Attention;
use countersign_core::review::separation::independent;
use countersign_core::review::{PasskeyUse, Review, Verdict, Vote, tokens};

use crate::codes::Code;
use crate::gate::Moment;
use crate::identity::SignedIn;
use crate::ports::Scope;
use crate::resolve::{self, Voter};

/// Where the person who looks stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
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

/// What a page says of one standing.
pub(super) struct Words {
    /// A short label for lists.
    pub(super) label: String,
    /// A sentence for the review's own page.
    pub(super) sentence: String,
}

impl Standing {
    /// Of a person towards a review. Where a vote must be signed, as if they did.
    pub(super) fn of(moment: &Moment, review: &Review, who: &SignedIn) -> Self {
        let signs = PasskeyUse { id: String::new(), synced: false, local: false };
        let passkey = Some(signs).filter(|_| review.matter().terms.obligations.passkey);
        Self::of_voter(moment, review, &Voter { signed_in: who, passkey })
    }

    /// Of a person with, or without, a passkey.
    pub(super) fn of_voter(moment: &Moment, review: &Review, voter: &Voter<'_>) -> Self {
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
        match resolve::known_well(moment, &review.matter().described, voter) {
            Ok(()) => asked(moment, review, voter),
            Err(denied) => Standing::Barred(denied.message),
        }
    }

    /// A guess from groups alone, for sorting long lists before asking policy about what is shown.
    pub(super) fn could_decide(moment: &Moment, review: &Review, who: &SignedIn) -> bool {
        let voted = review.votes().iter().any(|vote| vote.person == who.person.id);
        let groups = resolve::asked_groups(&review.matter().terms.suffices);
        !voted && !is_own_side(moment, review, &who.person.id) && in_one_of(&groups, &held(moment, who))
    }

    /// The same, as far as they are asked by now: a group that comes later by escalation is not, one that it was escalated to
    /// is, even where it could only break the glass.
    pub(super) fn is_asked(moment: &Moment, review: &Review, attention: &Attention, who: &SignedIn) -> bool {
        let voted = review.votes().iter().any(|vote| vote.person == who.person.id);
        let groups = attention.asked(review.matter());
        !voted && !is_own_side(moment, review, &who.person.id) && in_one_of(&groups, &held(moment, who))
    }

    pub(super) fn decides(&self) -> bool {
        matches!(self, Standing::Decides(_))
    }

    /// In words.
    pub(super) fn words(&self) -> Words {
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
    let groups = resolve::asked_groups(&matter.terms.suffices);
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
    match resolve::turn_of(moment, review, voter) {
        Err(denied) if standing.decides() && denied.code == Code::NotYourTurn => Standing::Later(denied.message),
        _ => standing,
    }
}

/// Whether somebody who is away has given them their duty.
fn in_the_place_of_others(moment: &Moment, review: &Review, voter: &Voter<'_>, asked: &BTreeSet<String>) -> Standing {
    let (request, person) = (&review.matter().described, &voter.signed_in.person.id);
    let deputies = resolve::duty::deputies(moment, request, person, &voter.authn(), asked);
    let each = deputies.iter().flat_map(|deputy| deputy.groups().iter().map(move |group| (group, deputy.name())));
    let each: BTreeSet<String> = each.map(|(group, of)| format!("{group} in the place of {of}")).collect();
    if each.is_empty() { Standing::NotAsked } else { Standing::Decides(each) }
}

fn is_own_side(moment: &Moment, review: &Review, person: &PersonId) -> bool {
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
