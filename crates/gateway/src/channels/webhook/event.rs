//! A review as a CloudEvent.

use countersign_core::action::{ReviewId, Timestamp};
use countersign_core::review::Outcome;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::super::Notice;
use crate::ports::Destination;
use crate::resolve::Callback;

/// The event, but for its id and time.
pub(super) fn of(notice: &Notice, source: &str) -> Value {
    let kind = match (notice.outcome, notice.votes.is_empty()) {
        (None, _) if notice.just_escalated => "dev.countersign.review.escalated",
        (None, true) => "dev.countersign.review.opened",
        (None, false) => "dev.countersign.review.changed",
        (Some(_), _) => "dev.countersign.review.closed",
    };
    let votes = notice
        .votes
        .iter()
        .map(|said| json!({"name": said.name, "verdict": said.verdict.name(), "reason": said.reason}));
    json!({
        "specversion": "1.0",
        "type": kind,
        "source": source,
        "subject": notice.review.as_str(),
        "datacontenttype": "application/json",
        "data": {
            "review": notice.review.as_str(),
            "state": notice.outcome.map_or("open", Outcome::name),
            "headline": notice.headline(),
            "card": notice.card,
            "action_digest": notice.card.action_digest,
            "card_digest": notice.card_digest,
            "votes": votes.collect::<Vec<_>>(),
            "glass_broken_by": notice.broken_by,
            "escalated": notice.escalated,
            "needs_passkey": notice.needs_passkey,
            "needs_reason": notice.needs_reason,
            "expires_at": notice.expires_at.to_string(),
            "url": notice.url,
            "vote_url": format!("{source}/api/v1/reviews/{}/votes", notice.review),
            "decision": notice.outcome.is_none().then(|| decision(notice, source)),
        },
    })
}

/// How it is answered, but for the token; the revision says which state of the review it tells of.
fn decision(notice: &Notice, source: &str) -> Value {
    json!({
        "url": format!("{source}/api/v1/reviews/{}/decision", notice.review),
        "revision": notice.revision,
        "expires_at": notice.expires_at.to_string(),
    })
}

/// What the event lets one person answer, at its place.
pub(super) fn callback(event: &Value, id: &str, place: Destination) -> Option<Callback> {
    let data = &event["data"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Some(Callback {
        id: format!("{id}@{place}"),
        review: ReviewId::new(text(&data["review"])?),
        action: data["action_digest"].as_str()?.parse().ok()?,
        card: data["card_digest"].as_str()?.parse().ok()?,
        expires_at: serde_json::from_value(data["decision"]["expires_at"].clone()).ok()?,
        place,
    })
}

/// With its id, which is the same whenever it says the same, and its time.
pub(super) fn stamped(event: &Value, now: Timestamp) -> (String, Value) {
    let id = format!("evt_{}", &hex::encode(Sha256::digest(event.to_string()))[..32]);
    let mut event = event.clone();
    event["id"] = json!(id);
    event["time"] = json!(now.to_string());
    (id, event)
}
