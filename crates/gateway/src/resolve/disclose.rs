//! Looking at what a card hides: redaction must not hide the attack.
//!
//! A hidden value that is written, or decides what is touched, has to be revealed to whoever approves, or compared by them
//! with the value that they expect, before their approval counts. That is asked of each person for themselves. Whoever
//! could decide a review may look, nobody else: not the requester's side, not an auditor. The record says who looked at
//! which placeholder, never what stood behind it. A comparison answers equal or not, a bounded number of times, and only
//! an equal one stands for having looked. Rejecting needs neither.

use std::collections::BTreeSet;

use countersign_core::action::redact::{Hidden, Values};
use countersign_core::action::{PersonId, ReviewId};
use countersign_core::record::{Event, MARKS_MAX};
use countersign_core::review::{Review, separation};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{Denied, Voter, already_closed, breakable, find, known_well, record_denied, signed, speaks, voter};
use crate::codes::Code;
use crate::gate::{Gate, Moment};
use crate::identity::{Caller, SignedIn};
use crate::ports::{COMPARISONS_MAX, Look, StoreError};

/// The longest value that something is compared with, in bytes.
const EXPECTED_BYTES_MAX: usize = 16 * 1024;

/// A hidden value, shown to one person.
#[derive(Clone)]
pub struct Revealed {
    /// What the card tells of it.
    pub hidden: Hidden,
    /// The value.
    pub value: Zeroizing<String>,
}

/// Shows a person the values behind these placeholders of an open review, or behind every one where none is named.
///
/// # Errors
/// [`Denied`]; the attempt is recorded, and nothing is shown.
pub async fn reveal(
    gate: &Gate,
    id: &ReviewId,
    caller: &Caller,
    marks: &BTreeSet<String>,
) -> Result<Vec<Revealed>, Denied> {
    match try_reveal(gate, id, caller, marks).await {
        Ok(revealed) => Ok(revealed),
        Err(denied) => Err(record_denied(gate, id, caller, None, denied).await),
    }
}

/// Compares the value behind a placeholder with one that a person expects.
///
/// # Errors
/// [`Denied`]; the attempt is recorded, and nothing is answered.
pub async fn compare(gate: &Gate, id: &ReviewId, caller: &Caller, mark: &str, expected: &str) -> Result<bool, Denied> {
    match try_compare(gate, id, caller, mark, expected).await {
        Ok(equal) => Ok(equal),
        Err(denied) => Err(record_denied(gate, id, caller, None, denied).await),
    }
}

/// The hidden values that a person has to look at before they can approve a review.
///
/// # Errors
/// The store's.
pub async fn unseen(gate: &Gate, review: &Review, person: &PersonId) -> Result<Vec<Hidden>, StoreError> {
    let mut decisive = review.matter().described.shown.decisive().peekable();
    if decisive.peek().is_none() {
        return Ok(Vec::new());
    }
    let known = gate.store.disclosed(&review.matter().id, person).await?;
    Ok(decisive.filter(|hidden| !known.contains(&hidden.mark)).cloned().collect())
}

/// Whether somebody may look at what a review hides: whoever could decide it, or break the glass on it.
///
/// # Errors
/// [`Denied`], with what stands in the way.
pub fn may_look(moment: &Moment, review: &Review, voter: &Voter<'_>) -> Result<(), Denied> {
    let matter = review.matter();
    let linked = moment.people.linked_now(&matter.described, moment.now);
    separation::independent(&voter.signed_in.person.id, &matter.described, &linked)
        .map_err(|error| Denied::new(Code::SelfApproval, error.to_string()))?;
    known_well(moment, &matter.described, voter)?;
    match speaks(moment, review, voter) {
        Ok(_) => Ok(()),
        Err(denied) => breakable(moment, review, voter).map_err(|_| denied),
    }
}

/// Refuses an approval by somebody who has not looked at all they have to.
pub(super) async fn have_looked(gate: &Gate, review: &Review, person: &PersonId) -> Result<(), Denied> {
    const NAMED_MAX: usize = 5;
    let unseen = unseen(gate, review, person).await?;
    if unseen.is_empty() {
        return Ok(());
    }
    let mut named: Vec<String> = unseen.iter().take(NAMED_MAX).map(|hidden| format!("‹{}›", hidden.mark)).collect();
    if unseen.len() > NAMED_MAX {
        named.push(format!("{} more", unseen.len() - NAMED_MAX));
    }
    let message = format!(
        "look first at what is hidden and decides what this does: {}; reveal it, or compare it with what you expect",
        named.join(", ")
    );
    Err(Denied::new(Code::NotRevealed, message))
}

async fn try_reveal(
    gate: &Gate,
    id: &ReviewId,
    caller: &Caller,
    marks: &BTreeSet<String>,
) -> Result<Vec<Revealed>, Denied> {
    let (review, looker) = looking(gate, id, caller).await?;
    let values = gate.store.hidden_values(id).await?;
    let all = review.matter().described.shown.hidden.iter();
    let asked: Vec<&Hidden> = all.filter(|hidden| marks.is_empty() || marks.contains(&hidden.mark)).collect();
    if asked.is_empty() || asked.len() < marks.len() {
        return Err(Denied::new(Code::NotFound, "the card has no such placeholder"));
    }
    let revealed = asked.into_iter().map(|hidden| {
        let value = Zeroizing::new(value(&values, &hidden.mark)?.to_owned());
        Ok(Revealed { hidden: hidden.clone(), value })
    });
    let revealed: Vec<Revealed> = revealed.collect::<Result<_, Denied>>()?;
    let marks: BTreeSet<String> = revealed.iter().map(|revealed| revealed.hidden.mark.clone()).collect();
    let event = Event::ReviewRevealed {
        review: id.clone(),
        person: looker.person.id.clone(),
        method: looker.method,
        mfa: looker.mfa,
        count: marks.len() as u64,
        marks: marks.iter().take(MARKS_MAX).cloned().collect(),
    };
    note(gate, id, looker, Look::Reveal(marks), event).await?;
    Ok(revealed)
}

async fn try_compare(gate: &Gate, id: &ReviewId, caller: &Caller, mark: &str, expected: &str) -> Result<bool, Denied> {
    if expected.len() > EXPECTED_BYTES_MAX {
        let message = format!("what is compared has at most {EXPECTED_BYTES_MAX} bytes");
        return Err(Denied::new(Code::BadRequest, message));
    }
    let (_, looker) = looking(gate, id, caller).await?;
    let values = gate.store.hidden_values(id).await?;
    let equal = is_same(value(&values, mark)?, expected);
    let event = Event::ReviewCompared {
        review: id.clone(),
        person: looker.person.id.clone(),
        method: looker.method,
        mfa: looker.mfa,
        mark: mark.to_owned(),
        equal,
    };
    note(gate, id, looker, Look::Compare { mark: mark.to_owned(), equal }, event).await?;
    Ok(equal)
}

/// The open review, and the person who may look at what it hides.
async fn looking<'a>(gate: &Gate, id: &ReviewId, caller: &'a Caller) -> Result<(Review, &'a SignedIn), Denied> {
    let found = find(gate, id).await?;
    let signed_in = voter(caller)?;
    let passkeys = gate.directory.passkeys(&signed_in.person.id).await?;
    let moment = gate.moment();
    let supposed = Voter { signed_in, passkey: signed::best(&passkeys).map(|passkey| passkey.as_used()) };
    may_look(&moment, &found.review, &Voter::plain(signed_in))
        .or_else(|denied| may_look(&moment, &found.review, &supposed).map_err(|_| denied))?;
    match &found.review {
        Review::Open(_) => Ok((found.review, signed_in)),
        Review::Closed(_) => Err(already_closed(&found.review)),
    }
}

/// Recorded before it is answered.
async fn note(gate: &Gate, id: &ReviewId, looker: &SignedIn, look: Look, event: Event) -> Result<(), Denied> {
    let noted = gate.store.disclose(id, &looker.person.id, look, gate.scribe.record(event)).await;
    noted.map_err(|error| match error {
        StoreError::Conflict => {
            let message = format!("you compared this value {COMPARISONS_MAX} times; reveal it instead");
            Denied::new(Code::ComparedTooOften, message)
        }
        StoreError::NotFound(_) => Denied::new(Code::ReviewClosed, "the review was decided just now"),
        StoreError::Unavailable(_) | StoreError::NameTaken(_) => error.into(),
    })
}

fn value<'a>(values: &'a Values, mark: &str) -> Result<&'a str, Denied> {
    values.value(mark).ok_or_else(|| Denied::new(Code::NotFound, "the card has no such placeholder"))
}

/// By their hashes, so that how long it takes tells nothing of the value.
fn is_same(value: &str, expected: &str) -> bool {
    Sha256::digest(value.as_bytes()).ct_eq(&Sha256::digest(expected.as_bytes())).into()
}
