//! A cancel request on its way to the session it names.

use std::time::Duration;

use tokio::sync::{Notify, watch};

/// Raised by whoever shows the session's key, taken by the session.
#[derive(Debug)]
pub(super) struct Cancel {
    raised: Notify,
    /// How many were dealt with.
    answered: watch::Sender<u64>,
}

impl Default for Cancel {
    fn default() -> Self {
        Self { raised: Notify::new(), answered: watch::Sender::new(0) }
    }
}

impl Cancel {
    /// Asks the session, and waits until it has dealt with it. A session that is busy finds the request when it is done.
    pub(super) async fn raise(&self, time_max: Duration) {
        let mut answered = self.answered.subscribe();
        self.raised.notify_one();
        let _ = tokio::time::timeout(time_max, answered.changed()).await; // the session may have ended
    }

    /// Until there is a request.
    pub(super) async fn raised(&self) {
        self.raised.notified().await;
    }

    /// The request was passed on, or nothing was there to cancel.
    pub(super) fn answered(&self) {
        self.answered.send_modify(|count| *count += 1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn a_request_while_the_session_is_busy_is_not_lost() {
        let cancel = Arc::new(Cancel::default());
        let asks = tokio::spawn({
            let cancel = cancel.clone();
            async move { cancel.raise(Duration::from_secs(60)).await }
        });
        tokio::task::yield_now().await; // raised, and nobody waits for it yet
        cancel.raised().await;
        assert!(!asks.is_finished());
        cancel.answered();
        asks.await.unwrap();
    }
}
