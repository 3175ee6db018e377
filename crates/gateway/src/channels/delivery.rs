//! Brings what stands at each place up to date, until the future is dropped.
//!
//! What is due is in the store, so that a crash loses nothing; a message may then be posted twice, never not at all. A place
//! that fails is tried again, ever more seldom, and given up at last; a review that no place could be told of raises an alarm
//! and waits in the console as before. Whoever fails holds up nobody else.

use std::collections::BTreeMap;
use std::time::Duration;

use countersign_core::record::{Event, Record};
use countersign_core::review::Review;
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::{Failure, Notice, Registry};
use crate::gate::Gate;
use crate::ports::{Due, Posting, StoreError};

/// How long a posting that is due waits to be looked at, should nothing have told of it.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Postings that are looked at in one go.
const DUE_MAX: u32 = 64;
/// Messages on their way at once.
const AT_ONCE_MAX: usize = 8;
/// The longest pause between two attempts: 5 minutes.
const PAUSE_SECONDS_MAX: i64 = 5 * 60;
/// After so many failures in a row a posting is given up: about two hours.
const FAILED_MAX: u32 = 30;
/// After so many a place counts as one that cannot be told: some seven seconds.
const FAILED_UNTOLD: u32 = 4;

/// Delivers what is due.
pub async fn deliver_all(gate: &Gate, registry: &Registry) {
    let mut changes = gate.changes.listen();
    loop {
        match deliver_due(gate, registry).await {
            Ok(handled) if handled == DUE_MAX as usize => continue, // more may be due
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "the outbox cannot be read or written; trying again"),
        }
        let _ = timeout(LOOK_EVERY, changes.recv()).await; // told, behind, or nothing told: look again
    }
}

/// Returns how many postings were looked at.
async fn deliver_due(gate: &Gate, registry: &Registry) -> Result<usize, StoreError> {
    let due = gate.store.postings_due(gate.scribe.now(), DUE_MAX).await?;
    let count = due.len();
    // one message at a time for each place: services bound how often one may be written to
    let mut places: BTreeMap<String, Vec<Due>> = BTreeMap::new();
    for one in due {
        places.entry(one.posting.place.to_string()).or_default().push(one);
    }
    let deliveries = futures::stream::iter(places.into_values().map(|all| async move {
        for one in all {
            if !deliver(gate, registry, one).await? {
                break; // the rest of this place is due still
            }
        }
        Ok::<(), StoreError>(())
    }));
    let done: Vec<Result<(), StoreError>> = deliveries.buffer_unordered(AT_ONCE_MAX).collect().await;
    done.into_iter().collect::<Result<(), StoreError>>()?;
    Ok(count)
}

/// Delivers one. Returns whether its place could be reached.
async fn deliver(gate: &Gate, registry: &Registry, due: Due) -> Result<bool, StoreError> {
    let Due { posting, version, review, attention } = due;
    if posting.message.is_none() && matches!(review, Review::Closed(_)) {
        // nobody was told of it, and there is nothing left to ask
        let posting = Posting { failed: 0, error: None, ..posting };
        return gate.store.attempted(&posting, version, None, Vec::new()).await.map(|()| true);
    }
    let Some(channel) = registry.named(posting.place.channel()) else {
        let why = format!("no channel `{}` is configured", posting.place.channel());
        return failed(gate, posting, version, Failure::Never(why)).await;
    };
    let notice = Notice::new(&review, &attention, &gate.config.public_url);
    let body = channel.render(&notice);
    let shown = hex::encode(Sha256::digest(body.to_string()));
    if posting.shown.as_deref() == Some(&shown) {
        return gate.store.attempted(&posting, version, None, Vec::new()).await.map(|()| true);
    }
    match channel.tell(posting.place.name(), posting.message.as_deref(), &body).await {
        Ok(message) => {
            let (message, shown) = (Some(message), Some(shown));
            let posting = Posting { message, shown, failed: 0, error: None, ..posting };
            gate.store.attempted(&posting, version, None, Vec::new()).await.map(|()| true)
        }
        Err(failure) => failed(gate, posting, version, failure).await,
    }
}

/// Keeps that an attempt failed, and when it is tried again.
async fn failed(gate: &Gate, posting: Posting, version: u64, failure: Failure) -> Result<bool, StoreError> {
    let failed = posting.failed.saturating_add(1);
    let dead = matches!(failure, Failure::Never(_)) || failed >= FAILED_MAX;
    tracing::warn!(review = %posting.review, place = %posting.place, failed, dead, "a message was not delivered: {failure}");
    let pause = (1_i64 << (failed - 1).min(16)).min(PAUSE_SECONDS_MAX);
    let pause = match &failure {
        Failure::Later { after: Some(after), .. } => pause.max(i64::try_from(after.as_secs()).unwrap_or(i64::MAX)),
        Failure::Later { .. } | Failure::Never(_) => pause,
    };
    let next = (!dead).then(|| gate.scribe.now().plus_seconds(pause));
    let posting = Posting { failed, dead, error: Some(failure.to_string()), ..posting };
    let records = untold(gate, &posting).await?;
    gate.store.attempted(&posting, version, next, records).await.map(|()| false)
}

/// The alarm that nobody could be told of a review, at the moment that the last of its places counts as failed.
async fn untold(gate: &Gate, posting: &Posting) -> Result<Vec<Record>, StoreError> {
    let silent = |posting: &Posting| posting.message.is_none() && (posting.dead || posting.failed >= FAILED_UNTOLD);
    let now_silent = posting.failed == FAILED_UNTOLD || (posting.dead && posting.failed < FAILED_UNTOLD);
    if !now_silent || !silent(posting) {
        return Ok(Vec::new());
    }
    let others = gate.store.postings(&posting.review).await?;
    if !others.iter().filter(|other| other.place != posting.place).all(silent) {
        return Ok(Vec::new());
    }
    let detail = format!("nobody could be told of review {} by any channel; it waits in the console", posting.review);
    tracing::error!("{detail}");
    Ok(vec![gate.scribe.record(Event::SystemAlarm { code: "review_untold".to_owned(), detail })])
}
