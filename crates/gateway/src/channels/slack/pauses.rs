//! The pauses that Slack asks for: each is one method's, and one conversation's, so that what is over its limit holds up nothing else.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::super::Failure;

/// Pauses that are kept at once; they end within a quarter of an hour.
const PAUSES_MAX: usize = 10_000;

/// Until when which method is not called for which conversation.
#[derive(Default)]
pub(super) struct Pauses(Mutex<BTreeMap<(String, String), Instant>>);

impl Pauses {
    /// Whether a method may be called for a conversation now.
    ///
    /// # Errors
    /// [`Failure::Busy`], with what is left of the pause.
    pub(super) fn check(&self, method: &str, place: &str) -> Result<(), Failure> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, now) = ((method.to_owned(), place.to_owned()), Instant::now());
        match all.get(&key).and_then(|until| until.checked_duration_since(now)) {
            Some(left) if !left.is_zero() => Err(busy(left)),
            Some(_) | None => {
                all.remove(&key);
                Ok(())
            }
        }
    }

    /// Slack asked for a pause.
    pub(super) fn keep(&self, method: &str, place: &str, pause: Duration) -> Failure {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if all.len() >= PAUSES_MAX {
            all.retain(|_, until| *until > now);
        }
        if all.len() < PAUSES_MAX {
            all.insert((method.to_owned(), place.to_owned()), now + pause);
        }
        busy(pause)
    }
}

/// In whole seconds, rounded up: nothing is asked before the pause is over.
fn busy(left: Duration) -> Failure {
    let after = Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() > 0));
    Failure::Busy { why: "Slack asks for a pause".to_owned(), after }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_one_methods_and_one_conversations() {
        let pauses = Pauses::default();
        pauses.keep("chat.postMessage", "C1", Duration::from_secs(60));
        let held = pauses.check("chat.postMessage", "C1");
        assert!(matches!(held, Err(Failure::Busy { after, .. }) if after == Duration::from_secs(60)), "{held:?}");
        for (method, place) in [("chat.update", "C1"), ("chat.postMessage", "C2"), ("views.publish", "")] {
            assert_eq!(pauses.check(method, place), Ok(()));
        }
        pauses.keep("chat.postMessage", "C2", Duration::ZERO);
        assert_eq!(pauses.check("chat.postMessage", "C2"), Ok(()));
    }
}
