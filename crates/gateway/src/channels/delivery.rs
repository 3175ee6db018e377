//! Brings what stands at each place up to date, until the future is dropped.
//!
//! What is due is in the store, so that a crash loses nothing; a message may then be posted twice, never not at all. A place
//! that fails is tried again, ever more seldom, and given up at last; a review that no place could be told of raises an alarm
//! and waits in the console as before. What fails at one place holds up no other, and is asked once for all that is due there.
//!
//! A burst is folded: from the fourth review on that is alike and waits at the same place, one message tells of all further ones
//! and how many of them wait still.

use std::collections::BTreeMap;
use std::time::Duration;

use countersign_core::action::ReviewId;
use countersign_core::record::{Event, Record};
use countersign_core::review::Review;
use countersign_core::review::burst::{self, BURST_MIN};
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::{Channel, Failure, Notice, Registry, Who, called, is_owners, owner};
use crate::gate::{Gate, Moment};
use crate::ports::{Due, Posting, ReviewFilter, StoreError};

/// How long a posting that is due waits to be looked at, should nothing have told of it.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Postings that are looked at in one go.
const DUE_MAX: u32 = 64;
/// Open reviews among which the like of one is looked for, the oldest first.
const OPEN_MAX: u32 = 1_000;
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
    if count == 0 {
        return Ok(0);
    }
    let open = gate.store.reviews(ReviewFilter::Open, OPEN_MAX).await?;
    // one message at a time for each place: services bound how often one may be written to
    let mut places: BTreeMap<String, Vec<Due>> = BTreeMap::new();
    for one in due {
        places.entry(one.posting.place.to_string()).or_default().push(one);
    }
    let open = &open;
    let deliveries = futures::stream::iter(places.into_values().map(|all| async move {
        let (mut told, mut out) = (BTreeMap::new(), None);
        for one in all {
            match &out {
                None => out = deliver(gate, registry, one, open, &mut told).await?,
                // it was asked a moment ago: while it is away, all that is due there has failed
                Some(failure) => failed(gate, one.posting, one.version, Failure::clone(failure)).await?,
            }
        }
        Ok::<(), StoreError>(())
    }));
    let done: Vec<Result<(), StoreError>> = deliveries.buffer_unordered(AT_ONCE_MAX).collect().await;
    done.into_iter().collect::<Result<(), StoreError>>()?;
    Ok(count)
}

/// Delivers one. Returns why its place cannot be told at all just now. `told` is what stands in messages that were changed in
/// this go.
async fn deliver(
    gate: &Gate,
    registry: &Registry,
    due: Due,
    open: &[Review],
    told: &mut BTreeMap<String, String>,
) -> Result<Option<Failure>, StoreError> {
    let Due { mut posting, version, review, attention } = due;
    let owners = is_owners(&posting.place);
    let late = posting.message.is_none() && matches!(review, Review::Closed(_)) && !owners;
    let channel = registry.named(posting.place.channel());
    if late && !channel.is_some_and(Channel::tells_all) {
        // nobody was told of it, and there is nothing left to ask
        keep(gate, Posting { failed: 0, error: None, ..posting }, version).await?;
        return Ok(None);
    }
    let Some(channel) = channel else {
        let why = format!("no channel `{}` is configured", posting.place.channel());
        failed(gate, posting, version, Failure::Never(why)).await?;
        return Ok(None);
    };
    let moment = gate.moment();
    let to = match addressed(gate, channel, &moment, &posting, &review).await? {
        Addressed::There(to) => to,
        Addressed::Done(message) => {
            keep(gate, Posting { message: message.or(posting.message), failed: 0, error: None, ..posting }, version)
                .await?;
            return Ok(None);
        }
        Addressed::Nobody(why) => return out(gate, posting, version, Failure::Never(why)).await,
    };
    let notice = Notice::new(&moment, &review, &attention, &gate.config.public_url);
    let notice = Notice { revision: version, ..notice };
    if late {
        // that it is over is worth nothing to whoever never heard that it was opened
        match channel.tell(&to, None, &channel.render(&notice.as_opened())).await {
            Ok(message) => posting.message = Some(message),
            Err(failure) => return out(gate, posting, version, failure).await,
        }
    }
    let folds = if channel.folds() && !owners { fold(gate, &posting, &review, open).await? } else { None };
    let body = match &folds {
        Some(folds) => channel.render_burst(&notice, folds.waiting),
        None => channel.render(&notice),
    };
    let shown = hex::encode(Sha256::digest(body.to_string()));
    let message = folds.as_ref().map_or(posting.message.clone(), |folds| folds.message.clone());
    let stands = message.as_ref().and_then(|message| told.get(message)).or(posting.shown.as_ref());
    let told_first = posting.message.is_none();
    let folded = folds.is_some();
    let message = if let (Some(message), true) = (&message, stands == Some(&shown)) {
        message.clone()
    } else {
        match channel.tell(&to, message.as_deref(), &body).await {
            Ok(message) => message,
            Err(failure) => return out(gate, posting, version, failure).await,
        }
    };
    told.insert(message.clone(), shown.clone());
    let (message, shown) = (Some(message), Some(shown));
    let mut posting = Posting { message, shown, folded, ..posting };
    if told_first {
        posting.replied = notice.happenings().into_iter().map(|happening| happening.key).collect(); // the message says so
    }
    match reply(channel, &notice, &mut posting).await {
        Ok(()) => {
            keep(gate, Posting { failed: 0, error: None, ..posting }, version).await?;
            Ok(None)
        }
        Err(failure) => out(gate, posting, version, failure).await,
    }
}

/// Where a posting is told.
enum Addressed {
    /// At this place of its channel.
    There(String),
    /// Nowhere now: nothing is to be told here yet, or each of those whom it stands for has a place of their own. Then the message
    /// is called so.
    Done(Option<String>),
    /// Nobody whom it stands for can be told there.
    Nobody(String),
}

/// Finds whom a place stands for, where it stands for people.
async fn addressed(
    gate: &Gate,
    channel: &dyn Channel,
    moment: &Moment,
    posting: &Posting,
    review: &Review,
) -> Result<Addressed, StoreError> {
    let is_open = matches!(review, Review::Open(_));
    match Who::of(&posting.place) {
        Who::Whoever => Ok(Addressed::There(posting.place.name().to_owned())),
        Who::Owner if is_open => Ok(Addressed::Done(None)),
        // nobody has to have an account: who has none reads what became of it in the console
        Who::Owner => Ok(owner(gate, channel, review).await?.map_or(Addressed::Done(None), Addressed::There)),
        Who::Called(group) if is_open => {
            let places = called(gate, channel, (moment, review), group).await?;
            if places.is_empty() && posting.message.is_none() {
                return Ok(Addressed::Nobody(format!("nobody who could decide has an account in {}", channel.name())));
            }
            gate.store.tell_at(&posting.review, places).await?;
            Ok(Addressed::Done(Some("each".to_owned())))
        }
        Who::Called(_) => Ok(Addressed::Done(None)),
    }
}

/// Tells beneath the message what was not told there yet, as far as it can be. One that is refused for good is left out: the
/// message itself says where the review stands.
async fn reply(channel: &dyn Channel, notice: &Notice, posting: &mut Posting) -> Result<(), Failure> {
    let Some(message) = posting.message.clone().filter(|_| channel.threads() && !posting.folded) else { return Ok(()) };
    for happening in notice.happenings().into_iter().chain(notice.taken_back(&posting.replied)) {
        if posting.replied.contains(&happening.key) {
            continue;
        }
        match channel.reply(posting.place.name(), &message, notice, &happening).await {
            Ok(()) => {}
            Err(Failure::Never(why)) => tracing::warn!(place = %posting.place, why, "a reply was not taken"),
            Err(failure) => return Err(failure),
        }
        posting.replied.insert(happening.key);
    }
    Ok(())
}

/// An attempt failed. Returns why its place cannot be told at all just now.
async fn out(gate: &Gate, posting: Posting, version: u64, failure: Failure) -> Result<Option<Failure>, StoreError> {
    failed(gate, posting, version, failure.clone()).await?;
    Ok(Some(failure).filter(|failure| matches!(failure, Failure::Away { .. })))
}

/// What stands at its place is up to date.
async fn keep(gate: &Gate, posting: Posting, version: u64) -> Result<(), StoreError> {
    gate.store.attempted(&posting, version, None, Vec::new()).await
}

/// The one message that tells of a burst at a place.
struct Folds {
    message: Option<String>,
    /// How many of the reviews that it tells of are open.
    waiting: usize,
}

/// Whether a review is told of together with others: from the [`BURST_MIN`]th on that are alike and wait at the same place.
async fn fold(gate: &Gate, posting: &Posting, review: &Review, open: &[Review]) -> Result<Option<Folds>, StoreError> {
    if posting.message.is_some() && !posting.folded {
        return Ok(None);
    }
    let others = burst::like(review, open).into_iter().filter(|other| other.matter().id != posting.review);
    let others: Vec<ReviewId> = others.map(|other| other.matter().id.clone()).collect();
    if !posting.folded && others.len() < BURST_MIN - 1 {
        return Ok(None);
    }
    let all = gate.store.postings(others).await?;
    let here: Vec<&Posting> =
        all.iter().filter(|other| other.place == posting.place && other.message.is_some()).collect();
    if !posting.folded && here.iter().filter(|other| !other.folded).count() < BURST_MIN - 1 {
        return Ok(None);
    }
    let message = posting.message.clone().or_else(|| here.iter().find(|other| other.folded)?.message.clone());
    let with = |other: &&&Posting| other.folded && other.message == message;
    let waiting = here.iter().filter(with).count() + usize::from(matches!(review, Review::Open(_)));
    Ok(Some(Folds { message, waiting }))
}

/// Keeps that an attempt failed, and when it is tried again.
async fn failed(gate: &Gate, posting: Posting, version: u64, failure: Failure) -> Result<(), StoreError> {
    let failed = posting.failed.saturating_add(1);
    let dead = matches!(failure, Failure::Never(_)) || failed >= FAILED_MAX;
    tracing::warn!(review = %posting.review, place = %posting.place, failed, dead, "a message was not delivered: {failure}");
    let pause = (1_i64 << (failed - 1).min(16)).min(PAUSE_SECONDS_MAX);
    let pause = match &failure {
        Failure::Away { after: Some(after), .. } | Failure::Busy { after, .. } => {
            pause.max(i64::try_from(after.as_secs()).unwrap_or(i64::MAX))
        }
        Failure::Away { .. } | Failure::Later(_) | Failure::Never(_) => pause,
    };
    let next = (!dead).then(|| gate.scribe.now().plus_seconds(pause));
    let posting = Posting { failed, dead, error: Some(failure.to_string()), ..posting };
    let records = untold(gate, &posting).await?;
    gate.store.attempted(&posting, version, next, records).await
}

/// The alarm that nobody could be told of a review, at the moment that the last of its places counts as failed.
async fn untold(gate: &Gate, posting: &Posting) -> Result<Vec<Record>, StoreError> {
    let silent = |posting: &Posting| posting.message.is_none() && (posting.dead || posting.failed >= FAILED_UNTOLD);
    let now_silent = posting.failed == FAILED_UNTOLD || (posting.dead && posting.failed < FAILED_UNTOLD);
    if !now_silent || !silent(posting) {
        return Ok(Vec::new());
    }
    let others = gate.store.postings(vec![posting.review.clone()]).await?;
    // an owner's place asks nobody, and one that stands for people has asked each at theirs
    let asks_nobody = |posting: &Posting| match Who::of(&posting.place) {
        Who::Owner => true,
        Who::Called(_) => posting.message.is_some(),
        Who::Whoever => false,
    };
    let asks = |other: &&Posting| other.place != posting.place && !asks_nobody(other);
    if asks_nobody(posting) || !others.iter().filter(asks).all(silent) {
        return Ok(Vec::new());
    }
    let detail = format!("nobody could be told of review {} by any channel; it waits in the console", posting.review);
    tracing::error!("{detail}");
    Ok(vec![gate.scribe.record(Event::SystemAlarm { code: "review_untold".to_owned(), detail })])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::World;
    use crate::ports::Outbox as _;

    const MANY: usize = 200;

    async fn deliver_all_due(world: &World, registry: &Registry) -> usize {
        let mut handled = 0;
        loop {
            match deliver_due(&world.gate, registry).await.expect("the store answers") {
                0 => return handled,
                some => handled += some,
            }
        }
    }

    /// Nobody can be told of anything, for as long as it takes to be given up.
    #[tokio::test]
    async fn an_outage_loses_nothing_and_ends_by_itself() {
        let world = World::new().await;
        let registry = Registry::new(&world.gate).expect("clients can be made");
        for n in 0..MANY {
            world.ask("coder", &format!("UPDATE orders SET paid = true WHERE id = {n}")).await;
        }
        assert_eq!(deliver_all_due(&world, &registry).await, MANY);
        let all = world.store.undelivered(5_000).await.expect("lists");
        assert!(all.len() == MANY && all.iter().all(|posting| posting.failed == 1 && !posting.dead), "{all:?}");
        assert_eq!(deliver_all_due(&world, &registry).await, 0, "each waits before it is tried again");
        let mut alarms = 0;
        for attempt in 2..=FAILED_MAX {
            world.clock.advance(PAUSE_SECONDS_MAX);
            assert_eq!(deliver_all_due(&world, &registry).await, MANY, "attempt {attempt}");
            if attempt == FAILED_UNTOLD {
                alarms = world.recorded("system.alarm").await;
            }
        }
        let all = world.store.undelivered(5_000).await.expect("lists");
        assert!(all.len() == MANY && all.iter().all(|posting| posting.dead), "kept, and given up");
        assert_eq!((alarms, world.recorded("system.alarm").await), (MANY, MANY), "one alarm a review");
        world.clock.advance(24 * 60 * 60);
        assert_eq!(deliver_all_due(&world, &registry).await, 0);
        let one = &all[0];
        world.store.retry(&one.review, &one.place).await.expect("is tried again");
        assert_eq!(deliver_all_due(&world, &registry).await, 1);
    }
}
