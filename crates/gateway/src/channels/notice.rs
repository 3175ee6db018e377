//! A review at one moment, as every channel tells of it.

use std::collections::BTreeSet;

use countersign_core::action::{CardDigest, PersonId, ReviewId, Timestamp};
use countersign_core::card::unseen::visible_line;
use countersign_core::card::{self, Card};
use countersign_core::policy::Quorum;
use countersign_core::review::attention::Attention;
use countersign_core::review::{Outcome, Review, Verdict};

use crate::gate::Moment;
use crate::resolve;

/// What is told. Whatever came from the requester is in `card` and has to be escaped by who renders it.
#[derive(Debug, Clone)]
pub(super) struct Notice {
    pub(super) review: ReviewId,
    pub(super) card: Card,
    pub(super) card_digest: CardDigest,
    /// How it ended; none while it is open.
    pub(super) outcome: Option<Outcome>,
    /// Who broke the glass.
    pub(super) broken_by: Option<String>,
    /// What was said so far: who, what, and why.
    pub(super) votes: Vec<Said>,
    /// Whose word is asked, in words.
    pub(super) asked: String,
    /// The groups it was escalated to.
    pub(super) escalated: Vec<String>,
    /// Whether the last thing that happened is that it was.
    pub(super) just_escalated: bool,
    /// When those who are asked were reminded last.
    pub(super) reminded_at: Option<Timestamp>,
    pub(super) expires_at: Timestamp,
    /// How often it had changed: what is told of the same state has the same.
    pub(super) revision: u64,
    /// Where all of it is.
    pub(super) url: String,
    /// Where all of its kind are.
    pub(super) burst_url: String,
    /// Whether a click in chat could decide it; otherwise people are led to the console.
    pub(super) clicks_decide: bool,
    /// Whether a vote has to be signed by a passkey, which no channel can do.
    pub(super) needs_passkey: bool,
    /// Whether an approval has to say why.
    pub(super) needs_reason: bool,
    /// Who stands on the requester's side by now, and decides nothing of it.
    pub(super) side: BTreeSet<PersonId>,
}

/// Something that happened to a review after it was told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Happening {
    /// What it is known by: the same thing has the same, whenever it is told.
    pub(super) key: String,
    /// What happened, in one sentence without markup.
    pub(super) text: String,
    /// Whether somebody is called to act by it.
    pub(super) calls: bool,
    /// Until when it can still be decided, where that is worth saying.
    pub(super) until: Option<Timestamp>,
}

/// One vote.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) name: String,
    pub(super) at: Timestamp,
    pub(super) verdict: Verdict,
    pub(super) reason: Option<String>,
}

impl Notice {
    /// Of a review, as it stands at a moment. `public_url` is the console's address, without a trailing slash.
    pub(super) fn new(moment: &Moment, review: &Review, attention: &Attention, public_url: &str) -> Self {
        let matter = review.matter();
        let outcome = match review {
            Review::Open(_) => None,
            Review::Closed(closed) => Some(closed.outcome()),
        };
        let said = |vote: &countersign_core::review::Vote| Said {
            name: vote.name.clone(),
            at: vote.at,
            verdict: vote.verdict,
            reason: vote.reason.clone(),
        };
        Self {
            review: matter.id.clone(),
            card: Card::new(&matter.described, matter.action, &matter.terms),
            card_digest: matter.card,
            outcome,
            broken_by: review.breaking().map(|breaking| breaking.name.clone()),
            votes: review.votes().iter().map(said).collect(),
            asked: asked(&matter.terms.suffices),
            escalated: attention.escalated.iter().map(|there| there.group.clone()).collect(),
            just_escalated: just_escalated(review, attention),
            reminded_at: attention.reminded_at,
            expires_at: matter.expires_at,
            revision: 0,
            url: format!("{public_url}/reviews/{}", matter.id),
            burst_url: format!("{public_url}/?like={}", matter.id),
            clicks_decide: resolve::chat_decides(moment, review),
            needs_passkey: matter.terms.obligations.passkey,
            needs_reason: matter.terms.obligations.justify,
            side: moment.people.linked_now(&matter.described, moment.now),
        }
    }

    /// The same as it was when nobody had said anything yet.
    pub(super) fn as_opened(&self) -> Self {
        let (votes, escalated) = (Vec::new(), Vec::new());
        let just_escalated = false;
        Self { outcome: None, broken_by: None, votes, escalated, just_escalated, reminded_at: None, ..self.clone() }
    }

    /// Whether the card that is told is, to the last character, the one that the review was opened with.
    pub(super) fn is_whole(&self) -> bool {
        self.card.digest().is_ok_and(|digest| digest == self.card_digest)
    }

    /// What happened so far, in order: votes, escalations, the last reminder, the outcome. A reminder is none any more once nothing
    /// is left to decide.
    pub(super) fn happenings(&self) -> Vec<Happening> {
        let votes = self.votes.iter().map(|said| {
            let word = if said.verdict == Verdict::Approve { "approved" } else { "rejected" };
            let why = said.reason.as_deref().map_or_else(String::new, |why| format!(": “{}”", visible_line(why)));
            let key = format!("{word} {} {}", said.at.micros(), said.name);
            Happening { key, text: format!("{} {word}{why}", visible_line(&said.name)), calls: false, until: None }
        });
        let escalated = self.escalated.iter().map(|group| {
            let text = format!("Escalated to {}, because nobody had decided", visible_line(group));
            Happening { key: format!("escalated {group}"), text, calls: true, until: None }
        });
        let reminded = self.reminded_at.filter(|_| self.outcome.is_none()).map(|at| {
            let text = format!("Reminder: still waits for {}", visible_line(&self.asked));
            Happening { key: format!("reminded {}", at.micros()), text, calls: true, until: Some(self.expires_at) }
        });
        let closed = self.outcome.map(|outcome| Happening {
            key: format!("closed {}", outcome.name()),
            text: self.standing(),
            calls: false,
            until: None,
        });
        votes.chain(escalated).chain(reminded).chain(closed).collect()
    }

    /// Votes that were told of and stand no more: their voters took them back.
    pub(super) fn taken_back(&self, told: &BTreeSet<String>) -> Vec<Happening> {
        let stands: BTreeSet<String> = self.happenings().into_iter().map(|happening| happening.key).collect();
        let gone = told.iter().filter(|key| !stands.contains(*key)).filter_map(|key| {
            let mut parts = key.splitn(3, ' ');
            let what = match parts.next()? {
                "approved" => "approval",
                "rejected" => "rejection",
                _ => return None,
            };
            let name = visible_line(parts.nth(1)?);
            let text = format!("{name} took their {what} back");
            Some(Happening { key: format!("took back {key}"), text, calls: false, until: None })
        });
        gone.collect()
    }

    /// Who wants what, on one line.
    pub(super) fn headline(&self) -> String {
        self.told(if self.outcome.is_none() { "wants" } else { "wanted" })
    }

    /// The same of all that are like it, whatever has become of them.
    pub(super) fn asks(&self) -> String {
        self.told("asks")
    }

    fn told(&self, wants: &str) -> String {
        let who = visible_line(&self.card.requester.name);
        let aim = visible_line(&self.card.aimed_at());
        if self.card.changes().is_some() {
            return format!("{who} {wants} to change {aim}");
        }
        format!("{who} {wants} to run {} on {aim}", visible_line(&card::verbs(&self.card.resource.verbs)))
    }

    /// Where it stands, on one line.
    pub(super) fn standing(&self) -> String {
        match (self.outcome, &self.broken_by) {
            (None, _) => format!("Waits for {}", self.asked),
            (Some(Outcome::GlassBroken), Some(who)) => format!("{} broke the glass", visible_line(who)),
            (Some(outcome), _) => {
                let word = outcome.name().replace('_', " ");
                let decided: Vec<String> = self.votes.iter().map(|said| visible_line(&said.name)).collect();
                let by = if decided.is_empty() { String::new() } else { format!(" by {}", decided.join(", ")) };
                let told = matches!(outcome, Outcome::Approved | Outcome::Rejected);
                format!("{}{}{}", word[..1].to_uppercase(), &word[1..], if told { by } else { String::new() })
            }
        }
    }
}

/// Whether nobody has voted since it was escalated.
fn just_escalated(review: &Review, attention: &Attention) -> bool {
    let voted = review.votes().iter().map(|vote| vote.at).max();
    attention.escalated.last().is_some_and(|last| voted.is_none_or(|at| at < last.at))
}

/// `one of dba, or 2 of sre and one of security`.
fn asked(suffices: &[BTreeSet<Quorum>]) -> String {
    let need = |quorum: &Quorum| match (quorum.group.as_str(), quorum.count) {
        ("any", 1) => "one person".to_owned(),
        ("any", count) => format!("{count} people"),
        (group, 1) => format!("one of {group}"),
        (group, count) => format!("{count} of {group}"),
    };
    let way = |set: &BTreeSet<Quorum>| set.iter().map(need).collect::<Vec<_>>().join(" and ");
    suffices.iter().map(way).collect::<Vec<_>>().join(", or ")
}
