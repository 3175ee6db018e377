//! The outbox: at which places each review is told of, and whether what stands there is what it has come to.
//!
//! It keeps a wish, not a list of messages: one posting a review and place, which is due whenever the review has changed.
//! However often it changes while a place cannot be reached, one message then shows where it stands.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use countersign_core::action::{ReviewId, Timestamp};
use countersign_core::record::Record;
use countersign_core::review::Review;
use countersign_core::review::attention::Attention;
use serde::{Deserialize, Serialize};

use super::StoreError;

/// Where reviews are told of: `slack:#prod-approvals`, of the channel `slack`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Destination(String);

impl Destination {
    /// A place of a channel.
    pub fn new(channel: &str, name: &str) -> Self {
        Self(format!("{channel}:{name}"))
    }

    /// The channel.
    pub fn channel(&self) -> &str {
        self.0.split_once(':').map_or("", |(channel, _)| channel)
    }

    /// What the channel calls it.
    pub fn name(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, name)| name)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Destination> for String {
    fn from(place: Destination) -> Self {
        place.0
    }
}

impl TryFrom<String> for Destination {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((channel, name)) if !channel.is_empty() && !name.is_empty() => Ok(Self(text.to_owned())),
            Some(_) | None => Err(format!("`{text}` is no place; write `channel:name`, as in `slack:#approvals`")),
        }
    }
}

/// One review at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    /// Which review.
    pub review: ReviewId,
    /// Where.
    pub place: Destination,
    /// The message, in the channel's own words; none before the first one stood there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether that message tells of a burst, of which the review is one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub folded: bool,
    /// The SHA-256 of what stands there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<String>,
    /// What was told beneath the message already, by the keys of what happened.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub replied: BTreeSet<String>,
    /// Attempts that failed since the last that did not.
    #[serde(default)]
    pub failed: u32,
    /// Why the last one failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Given up: nothing is tried any more until somebody asks for it.
    #[serde(default)]
    pub dead: bool,
}

impl Posting {
    /// One that nothing was done for.
    pub fn new(review: ReviewId, place: Destination) -> Self {
        let replied = BTreeSet::new();
        Self { review, place, message: None, folded: false, shown: None, replied, failed: 0, error: None, dead: false }
    }
}

/// A posting that is to be brought up to date.
#[derive(Debug, Clone)]
pub struct Due {
    /// The posting.
    pub posting: Posting,
    /// Its version; a review that changes in the meantime makes it another.
    pub version: u64,
    /// The review as it is.
    pub review: Review,
    /// What was done to have it looked at.
    pub attention: Attention,
}

/// Postings. They come to be in the transaction that opens or escalates their review, and are due from each that changes it.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Those that are due, the longest due first, at most `limit`.
    async fn postings_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Due>, StoreError>;
    /// Keeps what became of an attempt. It is due again at `next`, or at once when its review has changed since `version`.
    async fn attempted(
        &self,
        posting: &Posting,
        version: u64,
        next: Option<Timestamp>,
        records: Vec<Record>,
    ) -> Result<(), StoreError>;
    /// All postings of some reviews.
    async fn postings(&self, reviews: Vec<ReviewId>) -> Result<Vec<Posting>, StoreError>;
    /// Tells of a review at further places; at those where it stands already nothing changes.
    async fn tell_at(&self, review: &ReviewId, places: BTreeSet<Destination>) -> Result<(), StoreError>;
    /// The postings that fail or were given up, the newest reviews first, at most `limit`.
    async fn undelivered(&self, limit: u32) -> Result<Vec<Posting>, StoreError>;
    /// Tries a posting anew that was given up or waits to be tried again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    async fn retry(&self, review: &ReviewId, place: &Destination) -> Result<(), StoreError>;
}
