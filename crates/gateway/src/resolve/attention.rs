//! Brings open reviews to people's attention in time: escalates them to further groups, and reminds those who are asked.
//!
//! Called by the timer that closes reviews. An escalation is recorded, both are kept beside the review, open pages show it at
//! once, and the outbox tells of it. Nobody may do more because of it.

use countersign_core::action::ReviewId;
use countersign_core::record::Event;
use countersign_core::review::attention::Attention;

use crate::gate::{Change, Gate};
use crate::ports::StoreError;

/// Escalates and reminds whatever is due.
///
/// # Errors
/// The store's; the timer tries again.
pub async fn attend_due(gate: &Gate) -> Result<(), StoreError> {
    let now = gate.scribe.now();
    for (review, before) in gate.store.attentions_due(now).await? {
        let matter = review.matter();
        let (after, fresh) = before.attend(matter, now);
        let places = fresh.iter().flat_map(|escalation| gate.config.places_of(&escalation.group)).collect();
        let records = fresh.into_iter().map(|escalation| {
            let event = Event::ReviewEscalated { review: matter.id.clone(), group: escalation.group };
            gate.scribe.record(event)
        });
        match gate.store.attend(&review, &before, &after, places, records.collect()).await {
            Ok(()) => gate.changes.tell(Change::Review),
            Err(StoreError::Conflict) => {} // it closed in between
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What was done so far for one review.
///
/// # Errors
/// The store's.
pub async fn attention(gate: &Gate, id: &ReviewId) -> Result<Attention, StoreError> {
    Ok(gate.store.attentions(vec![id.clone()]).await?.remove(id).unwrap_or_default())
}
