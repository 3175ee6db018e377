//! The gateway's clock: the system's, not going back.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use countersign_core::action::Timestamp;

use crate::ports::Clock;

/// How far behind the last time given what is kept of it may be: what all threads write, they wait for.
const STEP_MICROS: i64 = 1_000;

/// The later of the system's time and the last time given, so that deadlines hold when the clock is set back: it then stands still, at
/// most a millisecond before the last time given.
#[derive(Debug, Default)]
pub struct SystemClock {
    last: AtomicI64,
}

impl SystemClock {
    /// Starts no earlier than `floor`: the time of the last record.
    pub fn starting_at(floor: Timestamp) -> Self {
        Self { last: AtomicI64::new(floor.micros()) }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        let last = self.last.load(Ordering::Relaxed);
        if micros.saturating_sub(last) >= STEP_MICROS {
            self.last.fetch_max(micros, Ordering::Relaxed);
        }
        Timestamp::from_micros(micros.max(last))
    }
}
