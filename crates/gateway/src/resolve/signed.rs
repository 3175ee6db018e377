//! Votes that a passkey signs: the challenge a person is given, and the check of what answers it.
//!
//! A challenge is the hash of one intent: this person, this review, this verdict, these digests, this reason, until then.
//! It is written down until it is answered or its two minutes are over, and taken once, whatever comes of it.

use countersign_core::action::{ReviewId, Timestamp};
use countersign_core::review::intent::Intent;
use countersign_core::review::{Method, Review};

use super::{
    Denied, VoteRequest, Voter, already_closed, eligible, find, known_well, pattern, reason, record_denied, seen, voter,
};
use crate::codes::Code;
use crate::gate::Gate;
use crate::identity::passkeys::{Asserted, Assertion, RelyingParty, RequestOptions};
use crate::identity::{Caller, SignedIn, keys};
use crate::ports::{Once, Passkey, Versioned};

/// What challenges of votes are kept as.
const KIND: &str = "vote";

/// What a person is asked to sign.
#[derive(Debug)]
pub struct Asked {
    /// For their browser.
    pub options: RequestOptions,
    /// Until when the signed vote must have arrived.
    pub expires_at: Timestamp,
}

/// Gives a person what they must sign for a vote; refuses whom the vote would be refused to.
///
/// # Errors
/// [`Denied`]; the attempt is recorded.
pub async fn challenge(gate: &Gate, id: &ReviewId, caller: &Caller, vote: &VoteRequest) -> Result<Asked, Denied> {
    let found = find(gate, id).await?;
    match ask(gate, &found, caller, vote).await {
        Ok(asked) => Ok(asked),
        Err(denied) => Err(record_denied(gate, id, caller, Some(Method::Passkey), denied).await),
    }
}

async fn ask(gate: &Gate, found: &Versioned, caller: &Caller, vote: &VoteRequest) -> Result<Asked, Denied> {
    let signed_in = voter(caller)?;
    let relying_party = relying_party(gate)?;
    let passkeys = gate.directory.passkeys(&signed_in.person.id).await?;
    let supposed = Voter { signed_in, passkey: best(&passkeys).map(Passkey::as_used) };
    let moment = gate.moment();
    known_well(&moment, &found.review.matter().described, &supposed)?;
    eligible(&moment, &found.review, &supposed, vote)?;
    let choice = pattern::chosen(&moment, &found.review, vote)?;
    let Review::Open(_) = &found.review else { return Err(already_closed(&found.review)) };
    if found.review.votes().iter().any(|earlier| earlier.person == signed_in.person.id) {
        return Err(Denied::new(Code::VotedAlready, "this person has voted already"));
    }
    seen(&found.review, vote.action, vote.card)?;
    reason(&super::newer::obligations(&moment, &found.review), vote)?;
    if passkeys.is_empty() {
        return Err(Denied::new(Code::PasskeyRequired, "you have no passkey yet; add one on your own page"));
    }
    let nonce = keys::random().map_err(|error| Denied::new(Code::RecordUnavailable, error.to_string()))?;
    let person = signed_in.person.id.clone();
    let intent = Intent::new(found.review.matter(), person, vote.verdict, vote.reason(), moment.now, nonce)
        .of_pattern(choice.and_then(|choice| pattern::digest(&found.review, &choice)));
    let unwritable = |error: &dyn std::fmt::Display| Denied::new(Code::RecordUnavailable, error.to_string());
    let challenge = intent.challenge().map_err(|error| unwritable(&error))?;
    let body = serde_json::to_string(&intent).map_err(|error| unwritable(&error))?;
    let once = Once { kind: KIND, key: challenge, body, expires_at: intent.expires_at };
    gate.directory.put_once(once, moment.now).await?;
    Ok(Asked { options: relying_party.ask(&challenge, &passkeys), expires_at: intent.expires_at })
}

/// Takes the challenge that an assertion answers, and checks the assertion.
pub(super) async fn take(
    gate: &Gate,
    id: &ReviewId,
    signed_in: &SignedIn,
    vote: &VoteRequest,
    assertion: &Assertion,
) -> Result<Asserted, Denied> {
    let relying_party = relying_party(gate)?;
    let (now, person) = (gate.scribe.now(), &signed_in.person.id);
    let void = || Denied::new(Code::ChallengeVoid, "this was signed too late, twice, or not for this gateway");
    let challenge = assertion.challenge().ok_or_else(void)?;
    let body = gate.directory.take_once(KIND, &challenge, now).await?.ok_or_else(void)?;
    let intent: Intent =
        serde_json::from_str(&body).map_err(|error| Denied::new(Code::RecordUnavailable, error.to_string()))?;
    let is_this_vote = &intent.review == id
        && &intent.person == person
        && intent.verdict == vote.verdict
        && intent.action_digest == vote.action
        && intent.card_digest == vote.card
        && intent.has_reason(vote.reason());
    if !is_this_vote || intent.expires_at <= now {
        return Err(Denied::new(Code::ChallengeVoid, "this was signed for another vote"));
    }
    let passkeys = gate.directory.passkeys(person).await?;
    let refused = |words: String| Denied::new(Code::PasskeyRefused, words);
    let asserted = relying_party.verify(person, &passkeys, intent, assertion);
    let asserted = asserted.map_err(|error| refused(error.to_string()))?;
    let Passkey { id, counter, synced, .. } = asserted.passkey();
    if !gate.directory.use_passkey(id, *counter, *synced, now).await? {
        return Err(refused("the passkey was removed, or its counter went back".to_owned()));
    }
    Ok(asserted)
}

/// The strongest of a person's passkeys.
fn best(passkeys: &[Passkey]) -> Option<&Passkey> {
    passkeys.iter().find(|passkey| !passkey.local).or(passkeys.first())
}

fn relying_party(gate: &Gate) -> Result<RelyingParty, Denied> {
    RelyingParty::of(&gate.config.public_url).map_err(|error| Denied::new(Code::PasskeysUnavailable, error.to_string()))
}
