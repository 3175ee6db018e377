//! What a passkey signs, votes and the breaking of glass: the challenge a person is given, and the check of what answers it.
//!
//! A challenge is the hash of one intent: this person, this review, this verdict, these digests, this reason, until then.
//! It is written down until it is answered or its two minutes are over, and taken once, whatever comes of it.

use countersign_core::action::{ActionDigest, CardDigest, PatternDigest, ReviewId, Timestamp};
use countersign_core::review::intent::{Intent, Word};
use countersign_core::review::{Method, Review, Verdict};

use super::{
    BreakRequest, Denied, VoteRequest, Voter, already_closed, break_glass, eligible, find, have_looked, known_well,
    pattern, reason, record_denied, seen, voter,
};
use crate::codes::Code;
use crate::gate::Gate;
use crate::identity::passkeys::{Asserted, Assertion, RelyingParty, RequestOptions};
use crate::identity::{Caller, SignedIn, keys};
use crate::ports::{Once, Passkey, Versioned};

/// What challenges are kept as; which of the two they are of, their intents say.
const KIND: &str = "vote";

/// What somebody says, and must have signed for.
pub(super) struct Statement<'a> {
    word: Word,
    reason: Option<&'a str>,
    action: ActionDigest,
    card: CardDigest,
}

impl<'a> From<&'a VoteRequest> for Statement<'a> {
    fn from(vote: &'a VoteRequest) -> Self {
        Self { word: vote.verdict.into(), reason: vote.reason(), action: vote.action, card: vote.card }
    }
}

impl<'a> From<&'a BreakRequest> for Statement<'a> {
    fn from(request: &'a BreakRequest) -> Self {
        let (reason, BreakRequest { action, card, .. }) = (Some(request.reason.trim()), request);
        Self { word: Word::Break, reason, action: *action, card: *card }
    }
}

impl Statement<'_> {
    fn is_what_was_signed(&self, intent: &Intent) -> bool {
        intent.says(self.word)
            && intent.action_digest == self.action
            && intent.card_digest == self.card
            && intent.has_reason(self.reason)
    }
}

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

/// Gives a person what they must sign to break the glass; refuses whom breaking it would be refused to.
///
/// # Errors
/// [`Denied`]; the attempt is recorded.
pub async fn break_challenge(
    gate: &Gate,
    id: &ReviewId,
    caller: &Caller,
    request: &BreakRequest,
) -> Result<Asked, Denied> {
    let found = find(gate, id).await?;
    match ask_to_break(gate, &found, caller, request).await {
        Ok(asked) => Ok(asked),
        Err(denied) => Err(record_denied(gate, id, caller, Some(Method::Passkey), denied).await),
    }
}

async fn ask_to_break(
    gate: &Gate,
    found: &Versioned,
    caller: &Caller,
    request: &BreakRequest,
) -> Result<Asked, Denied> {
    let signed_in = voter(caller)?;
    let passkeys = gate.directory.passkeys(&signed_in.person.id).await?;
    let supposed = Voter { signed_in, passkey: best(&passkeys).map(Passkey::as_used) };
    break_glass::breakable(&gate.moment(), &found.review, &supposed)?;
    let Review::Open(_) = &found.review else { return Err(already_closed(&found.review)) };
    seen(&found.review, request.action, request.card)?;
    break_glass::words(&request.reason)?;
    have_looked(gate, &found.review, &signed_in.person.id).await?;
    give(gate, &found.review, (signed_in, &passkeys), &Statement::from(request), None).await
}

async fn ask(gate: &Gate, found: &Versioned, caller: &Caller, vote: &VoteRequest) -> Result<Asked, Denied> {
    let signed_in = voter(caller)?;
    relying_party(gate)?;
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
    if vote.verdict == Verdict::Approve {
        have_looked(gate, &found.review, &signed_in.person.id).await?;
    }
    let pattern = choice.and_then(|choice| pattern::digest(&found.review, &choice));
    give(gate, &found.review, (signed_in, &passkeys), &Statement::from(vote), pattern).await
}

/// Writes the intent of a statement down, and its challenge out.
async fn give(
    gate: &Gate,
    review: &Review,
    (signed_in, passkeys): (&SignedIn, &[Passkey]),
    statement: &Statement<'_>,
    pattern: Option<PatternDigest>,
) -> Result<Asked, Denied> {
    let relying_party = relying_party(gate)?;
    if passkeys.is_empty() {
        return Err(Denied::new(Code::PasskeyRequired, "you have no passkey yet; add one on your own page"));
    }
    let nonce = keys::random().map_err(|error| Denied::new(Code::RecordUnavailable, error.to_string()))?;
    let person = signed_in.person.id.clone();
    let now = gate.scribe.now();
    let intent = Intent::new(review.matter(), person, statement.word, statement.reason, now, nonce).of_pattern(pattern);
    let unwritable = |error: &dyn std::fmt::Display| Denied::new(Code::RecordUnavailable, error.to_string());
    let challenge = intent.challenge().map_err(|error| unwritable(&error))?;
    let body = serde_json::to_string(&intent).map_err(|error| unwritable(&error))?;
    let once = Once { kind: KIND, key: challenge, body, expires_at: intent.expires_at };
    gate.directory.put_once(once, now).await?;
    Ok(Asked { options: relying_party.ask(&challenge, passkeys), expires_at: intent.expires_at })
}

/// Takes the challenge that an assertion answers, and checks the assertion.
pub(super) async fn take(
    gate: &Gate,
    id: &ReviewId,
    signed_in: &SignedIn,
    statement: Statement<'_>,
    assertion: &Assertion,
) -> Result<Asserted, Denied> {
    let relying_party = relying_party(gate)?;
    let (now, person) = (gate.scribe.now(), &signed_in.person.id);
    let void = || Denied::new(Code::ChallengeVoid, "this was signed too late, twice, or not for this gateway");
    let challenge = assertion.challenge().ok_or_else(void)?;
    let body = gate.directory.take_once(KIND, &challenge, now).await?.ok_or_else(void)?;
    let intent: Intent =
        serde_json::from_str(&body).map_err(|error| Denied::new(Code::RecordUnavailable, error.to_string()))?;
    let is_this = &intent.review == id && &intent.person == person && statement.is_what_was_signed(&intent);
    if !is_this || intent.expires_at <= now {
        return Err(Denied::new(Code::ChallengeVoid, "this was signed for something else"));
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
pub(super) fn best(passkeys: &[Passkey]) -> Option<&Passkey> {
    passkeys.iter().find(|passkey| !passkey.local).or(passkeys.first())
}

fn relying_party(gate: &Gate) -> Result<RelyingParty, Denied> {
    RelyingParty::of(&gate.config.public_url).map_err(|error| Denied::new(Code::PasskeysUnavailable, error.to_string()))
}
