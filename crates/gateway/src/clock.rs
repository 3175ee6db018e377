//! The gateway's clock: the system's, never going back.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use countersign_core::action::Timestamp;

use crate::ports::Clock;

/// The later of the system's time and the last time given, so that deadlines hold when the clock is set back.
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
        Timestamp::from_micros(self.last.fetch_max(micros, Ordering::Relaxed).max(micros))
    }
}
