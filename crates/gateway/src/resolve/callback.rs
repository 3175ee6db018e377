//! A vote by the callback of an event: whoever received the event hands on what a person of its place decided.
//!
//! The event carries a token, sealed by the gateway, that names the review, the card that the event showed, and the place. It opens
//! nothing by itself: the person's own credential does, and the vote is judged as any other. Of the votes that name one event, one
//! counts; which did is kept in the transaction that keeps the vote (`review.vote`), across restarts. A refused one uses
//! nothing up, so that nobody on the requester's side can spend it.

use countersign_core::action::{ActionDigest, CardDigest, ReviewId, Timestamp};
use countersign_core::review::{Method, Review, Verdict};
use serde::{Deserialize, Serialize};

use super::{Denied, VoteRequest, cast, record_denied};
use crate::codes::Code;
use crate::gate::Gate;
use crate::identity::{Caller, SignedIn};
use crate::ports::{Destination, Place, Seal, SealError};

/// What its tokens are sealed as.
const SEALED: &str = "review.callback";
/// The longest token that is looked at; the gateway's have some 600 bytes.
const TOKEN_BYTES_MAX: usize = 2_048;

/// What an event lets one person answer, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// The same for whatever tells of the same state of the review at the same place.
    pub id: String,
    /// The review.
    pub review: ReviewId,
    /// Where it was told of.
    pub place: Destination,
    /// The action that was shown.
    pub action: ActionDigest,
    /// The card that was shown.
    pub card: CardDigest,
    /// Until when.
    pub expires_at: Timestamp,
}

impl Callback {
    /// As a token.
    ///
    /// # Errors
    /// [`SealError`]; the event is not sent then.
    pub fn token(&self, seal: &dyn Seal) -> Result<String, SealError> {
        let text = serde_json::to_vec(self).map_err(|error| SealError::Unavailable(error.to_string()))?;
        seal.seal(Place { what: SEALED, id: self.review.as_str() }, &text)
    }

    fn opened(gate: &Gate, review: &ReviewId, token: &str) -> Result<Self, Denied> {
        let invalid = || Denied::new(Code::CallbackInvalid, "this is no token that an event about this review carried");
        if token.len() > TOKEN_BYTES_MAX {
            return Err(invalid());
        }
        let place = Place { what: SEALED, id: review.as_str() };
        let text = gate.seal.unseal(place, token).map_err(|error| match error {
            SealError::Unavailable(why) => Denied::new(Code::RecordUnavailable, why),
            SealError::UnknownKey(_) | SealError::Broken => invalid(),
        })?;
        let callback: Self = serde_json::from_slice(&text).map_err(|_| invalid())?;
        let stands = gate
            .config
            .webhooks
            .iter()
            .any(|webhook| (callback.place.channel(), callback.place.name()) == ("webhook", webhook.name.as_str()));
        match () {
            () if !stands || callback.review != *review => Err(invalid()),
            () if callback.expires_at <= gate.scribe.now() => {
                Err(Denied::new(Code::CallbackExpired, "the review could be decided until then, and no longer"))
            }
            () => Ok(callback),
        }
    }
}

/// Casts the vote of a person, as the callback of an event. Returns the review as it stands afterwards.
///
/// # Errors
/// [`Denied`]; the attempt is recorded, and the callback is as good as before.
pub async fn answer(
    gate: &Gate,
    id: &ReviewId,
    caller: Caller,
    token: &str,
    (verdict, reason): (Verdict, Option<String>),
) -> Result<Review, Denied> {
    let caller = by_webhook(gate, caller);
    super::find(gate, id).await?;
    let callback = match Callback::opened(gate, id, token) {
        Ok(callback) => callback,
        Err(denied) => return Err(record_denied(gate, id, &caller, None, denied).await),
    };
    let Callback { action, card, id: used, .. } = callback;
    let vote = VoteRequest { verdict, reason, action, card, pattern: None, assertion: None, callback: Some(used) };
    cast(gate, id, &caller, vote).await
}

/// The credential proves what it does; the way is the webhook's. Where people sign in with a provider, one that the host minted
/// stays one.
fn by_webhook(gate: &Gate, caller: Caller) -> Caller {
    match caller {
        Caller::Person(signed_in) if signed_in.method != Method::Local || gate.config.oidc.is_none() => {
            Caller::Person(Box::new(SignedIn { method: Method::Webhook, ..*signed_in }))
        }
        Caller::Person(_) | Caller::Agent(_) => caller,
    }
}

/// Whether a vote may still name its event.
pub(super) async fn unused(gate: &Gate, vote: &VoteRequest) -> Result<(), Denied> {
    match &vote.callback {
        Some(id) if gate.store.callback_used(id).await? => Err(Denied::new(
            Code::CallbackUsed,
            "somebody’s vote was counted by this event already; the next one has its own",
        )),
        Some(_) | None => Ok(()),
    }
}
