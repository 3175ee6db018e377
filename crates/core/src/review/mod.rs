//! A review: people asked to countersign one action, and the machine that turns their votes into an outcome.
//!
//! ```text
//!            approve, terms met        reject          expires_at reached     requester's side withdraws
//! Open ───▶ Approved                  Rejected         Expired                Withdrawn      (all four terminal)
//! Open ───▶ Open (approve, terms not yet met; a vote taken back)
//! Open ───▶ GlassBroken (one person, where policy has made that exception; terminal)
//! ```
//!
//! One vote a person; the first rejection closes. A vote enters only as an [`EligibleVote`], which the separation of
//! duties ([`separation`]) and policy have both let through. Whether approvals meet the terms is policy's question, so
//! the caller asks it and hands in the answer; the machine keeps who said what and refuses every transition that is not
//! in the table.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::action::{ActionDigest, CardDigest, Described, PersonId, ReviewId, Timestamp};
use crate::pattern::{Choice, Offer};
use crate::policy::{Permitted, Terms};

pub mod attention;
mod breaking;
pub mod burst;
pub mod intent;
mod quorum;
pub mod separation;
#[cfg(test)]
mod tests;

pub use breaking::{Breaking, EligibleBreaking, Judgement, STRONG_SECONDS_MAX, SignOff, is_strong};
pub use intent::PasskeyUse;
pub use quorum::tokens;
pub use separation::{Deputy, EligibleVote};

/// How long a review stays open unless policy says otherwise: 30 minutes.
pub const EXPIRY_SECONDS_DEFAULT: u32 = 30 * 60;
/// How long a live call waits unless policy says otherwise: 5 minutes.
pub const HOLD_SECONDS_DEFAULT: u32 = 5 * 60;
/// How long a live call waits inside an open transaction, which holds locks: 30 seconds.
pub const HOLD_IN_TRANSACTION_SECONDS_DEFAULT: u32 = 30;
/// The longest reason a vote may carry, in bytes.
pub const REASON_BYTES_MAX: usize = 2_000;

/// What a reviewer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Let it run.
    Approve,
    /// Stop it.
    Reject,
}

impl Verdict {
    /// The name used in JSON and cards.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Approve => "approve",
            Verdict::Reject => "reject",
        }
    }
}

/// By which way a vote came, and so how it was authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Signed by a passkey.
    Passkey,
    /// The web console, signed in by the identity provider.
    Console,
    /// The API, by a person's own token.
    Api,
    /// The command line.
    Cli,
    /// A click in chat.
    Chat,
    /// The callback of a webhook's event, by a person's own token.
    Webhook,
    /// A credential minted on the gateway's own host: a first run's, before an identity provider is configured.
    Local,
}

impl Method {
    /// The name used in JSON, policies and cards.
    pub fn name(self) -> &'static str {
        match self {
            Method::Passkey => "passkey",
            Method::Console => "console",
            Method::Api => "api",
            Method::Cli => "cli",
            Method::Chat => "chat",
            Method::Webhook => "webhook",
            Method::Local => "local",
        }
    }
}

/// One person's vote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Who.
    pub person: PersonId,
    /// Their name when they voted.
    pub name: String,
    /// What they said.
    pub verdict: Verdict,
    /// How they were authenticated, frozen here.
    pub method: Method,
    /// Whether a second factor was fresh when they voted.
    pub mfa: bool,
    /// The passkey that signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passkey: Option<PasskeyUse>,
    /// The groups for which policy let them approve.
    pub groups: BTreeSet<String>,
    /// In whose place they spoke for other groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub duties: Vec<DutyUse>,
    /// The card they saw.
    pub card: CardDigest,
    /// What they let vary, if they approved the like of it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Choice>,
    /// Their reason.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// A person's duty as their deputy's vote used it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DutyUse {
    /// Whose duty it is.
    pub of: PersonId,
    /// Their name when it was used.
    pub name: String,
    /// For which of their groups.
    pub groups: BTreeSet<String>,
}

/// What every review carries, whatever its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matter {
    /// Its handle.
    pub id: ReviewId,
    /// The action under review, by meaning.
    pub action: ActionDigest,
    /// The card, by content.
    pub card: CardDigest,
    /// The action, described; enough to decide again.
    pub described: Described,
    /// What policy asked for when it opened.
    pub terms: Terms,
    /// What could be approved besides this action itself, where policy lets people approve a pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<Offer>,
    /// When it opened.
    pub opened_at: Timestamp,
    /// When it closes by itself.
    pub expires_at: Timestamp,
}

/// A review that takes votes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    matter: Matter,
    votes: Vec<Vote>,
}

/// How a review ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The terms were met.
    Approved,
    /// A reviewer said no.
    Rejected,
    /// Its time ran out.
    Expired,
    /// The requester's side took it back.
    Withdrawn,
    /// One person broke the glass: it may run without those who had been asked.
    #[serde(rename = "glass_broken")]
    GlassBroken,
}

impl Outcome {
    /// The name used in JSON and cards.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Approved => "approved",
            Outcome::Rejected => "rejected",
            Outcome::Expired => "expired",
            Outcome::Withdrawn => "withdrawn",
            Outcome::GlassBroken => "glass_broken",
        }
    }

    /// Whether the action may run once: a grant is issued.
    pub fn grants(self) -> bool {
        match self {
            Outcome::Approved | Outcome::GlassBroken => true,
            Outcome::Rejected | Outcome::Expired | Outcome::Withdrawn => false,
        }
    }
}

/// A review that is over. There is no way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    matter: Matter,
    votes: Vec<Vote>,
    outcome: Outcome,
    closed_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    breaking: Option<Box<Breaking>>,
}

/// A review as stored and read back: open, or closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Review {
    /// Takes votes.
    Open(Open),
    /// Over.
    Closed(Closed),
}

/// Why a transition is not in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The person has voted already.
    #[error("this person has voted already")]
    VotedAlready,
    /// The person has no vote to take back.
    #[error("this person has no vote here")]
    NotVoted,
    /// Its time has run out.
    #[error("the review has expired")]
    Expired,
    /// Its time has not run out.
    #[error("the review has not expired yet")]
    NotYetExpired,
    /// Only the requester's side may withdraw.
    #[error("only the requester or their owner may withdraw a review")]
    NotYours,
    /// Policy's permit is for another action.
    #[error("policy was asked about another action")]
    AnotherAction,
}

impl Open {
    /// Opens a review.
    pub fn new(matter: Matter) -> Self {
        Self { matter, votes: Vec::new() }
    }

    /// Adds a vote. `satisfied` answers, for all votes including this one, whether the terms are met; it leaves out those
    /// whose voters may no longer approve.
    ///
    /// # Errors
    /// [`Error::Expired`] at or after the deadline, [`Error::VotedAlready`] on a second vote; the review is unchanged.
    pub fn vote(
        &self,
        vote: EligibleVote,
        now: Timestamp,
        satisfied: impl FnOnce(&[Vote]) -> bool,
    ) -> Result<Review, Error> {
        if now >= self.matter.expires_at {
            return Err(Error::Expired);
        }
        let vote = vote.into_vote();
        if self.votes.iter().any(|earlier| earlier.person == vote.person) {
            return Err(Error::VotedAlready);
        }
        let verdict = vote.verdict;
        let mut next = self.clone();
        next.votes.push(vote);
        Ok(match verdict {
            Verdict::Reject => Review::Closed(next.close(Outcome::Rejected, now)),
            Verdict::Approve if satisfied(&next.votes) => Review::Closed(next.close(Outcome::Approved, now)),
            Verdict::Approve => Review::Open(next),
        })
    }

    /// Takes one's own vote back; the person may vote again.
    ///
    /// # Errors
    /// [`Error::NotVoted`] for somebody whose vote it does not have; the review is unchanged.
    pub fn retract(&self, person: &PersonId) -> Result<Self, Error> {
        let mut next = self.clone();
        next.votes.retain(|vote| &vote.person != person);
        if next.votes.len() == self.votes.len() { Err(Error::NotVoted) } else { Ok(next) }
    }

    /// Ends it when its time has run out.
    ///
    /// # Errors
    /// [`Error::NotYetExpired`] before the deadline.
    pub fn expire(self, now: Timestamp) -> Result<Closed, Error> {
        if now < self.matter.expires_at {
            return Err(Error::NotYetExpired);
        }
        Ok(self.close(Outcome::Expired, now))
    }

    /// Takes it back; only the requester's side may.
    ///
    /// # Errors
    /// [`Error::NotYours`] for anyone else.
    pub fn withdraw(self, by: &PersonId, now: Timestamp) -> Result<Closed, Error> {
        if !self.matter.described.closure.contains(by) {
            return Err(Error::NotYours);
        }
        Ok(self.close(Outcome::Withdrawn, now))
    }

    /// Breaks the glass: ends it as one person's decision. `permitted` is policy's answer with the glass broken.
    ///
    /// # Errors
    /// [`Error::Expired`] at or after the deadline, [`Error::AnotherAction`] when the permit is not for this action; the
    /// review is unchanged.
    pub fn break_glass(
        &self,
        breaking: EligibleBreaking,
        permitted: &Permitted,
        now: Timestamp,
    ) -> Result<Closed, Error> {
        if now >= self.matter.expires_at {
            return Err(Error::Expired);
        }
        if permitted.action() != self.matter.action {
            return Err(Error::AnotherAction);
        }
        let breaking = Some(Box::new(breaking.into_breaking()));
        Ok(Closed { breaking, ..self.clone().close(Outcome::GlassBroken, now) })
    }

    fn close(self, outcome: Outcome, closed_at: Timestamp) -> Closed {
        Closed { matter: self.matter, votes: self.votes, outcome, closed_at, breaking: None }
    }
}

impl Closed {
    /// How it ended.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// When it ended.
    pub fn closed_at(&self) -> Timestamp {
        self.closed_at
    }

    /// Who broke the glass, if that is how it ended.
    pub fn breaking(&self) -> Option<&Breaking> {
        self.breaking.as_deref()
    }
}

impl Review {
    /// What it is about.
    pub fn matter(&self) -> &Matter {
        match self {
            Review::Open(open) => &open.matter,
            Review::Closed(closed) => &closed.matter,
        }
    }

    /// The votes, in order.
    pub fn votes(&self) -> &[Vote] {
        match self {
            Review::Open(open) => &open.votes,
            Review::Closed(closed) => &closed.votes,
        }
    }

    /// Who broke the glass, if that is how it ended.
    pub fn breaking(&self) -> Option<&Breaking> {
        match self {
            Review::Open(_) => None,
            Review::Closed(closed) => closed.breaking(),
        }
    }

    /// `open`, or how it ended.
    pub fn state(&self) -> &'static str {
        match self {
            Review::Open(_) => "open",
            Review::Closed(closed) => closed.outcome.name(),
        }
    }
}
