//! Refusals at doors that are open to anybody: recorded, but not without bound, as anybody could fill the record.
//!
//! After a burst, one refusal a second has a record of its own, which counts those that had none.

use std::time::Duration;

use countersign_core::record::Event;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::codes::Code;
use crate::ports::{Scribe, Store, StoreError};

/// Refusals that are recorded at once before the rest must wait.
const BURST: u32 = 60;
/// How long until there is room for another.
const ROOM_EVERY: Duration = Duration::from_secs(1);

/// Refusals at one door, as far as there is room for them in the record.
#[derive(Default)]
pub struct Refusals(Mutex<Room>);

impl Refusals {
    /// Records one, or counts it for the next that is recorded. `issuer` is whose token was refused, by its name in the
    /// configuration.
    ///
    /// # Errors
    /// The store's.
    pub async fn record(
        &self,
        store: &dyn Store,
        scribe: &Scribe,
        what: &'static str,
        code: Code,
        issuer: Option<String>,
    ) -> Result<(), StoreError> {
        let Some(skipped) = self.0.lock().await.take(Instant::now()) else { return Ok(()) };
        let more = (skipped > 0).then_some(skipped);
        let event = Event::IdentityRefused { what: what.to_owned(), code: code.name().to_owned(), issuer, more };
        store.append(vec![scribe.record(event)]).await
    }
}

#[derive(Default)]
struct Room {
    used: u32,
    since: Option<Instant>,
    skipped: u64,
}

impl Room {
    /// Takes a place. Returns how many had none since the last, or `None` when there is none now either.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let since = *self.since.get_or_insert(now);
        let freed = u32::try_from(now.duration_since(since).as_millis() / ROOM_EVERY.as_millis()).unwrap_or(u32::MAX);
        if freed > 0 {
            (self.used, self.since) = (self.used.saturating_sub(freed), Some(now));
        }
        if self.used >= BURST {
            self.skipped += 1;
            return None;
        }
        self.used += 1;
        Some(std::mem::take(&mut self.skipped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_is_not_anybodys_to_fill() {
        let (mut room, start) = (Room::default(), Instant::now());
        for _ in 0..BURST {
            assert_eq!(room.take(start), Some(0));
        }
        assert_eq!((room.take(start), room.take(start)), (None, None));
        assert_eq!(room.take(start + ROOM_EVERY), Some(2));
        assert_eq!(room.take(start + ROOM_EVERY), None);
    }
}
