//! How long what goes on for long may go on: a stream or a tunnel ends when its requester may ask for nothing any more.
//!
//! Of a session of PostgreSQL every statement is decided anew; what streams was decided once. Deliberately absent: asking policy
//! again while something streams.

use std::sync::Arc;

use super::serve::Relay;
use super::subject::Subject;

/// The right of a requester to go on.
pub(super) struct Tenure {
    pub(super) relay: Arc<Relay>,
    pub(super) subject: Subject,
}

impl Tenure {
    /// Returns once it is over. May be dropped at any time.
    pub(super) async fn over(self) {
        self.relay.doorman.gone(&self.relay.gate, &self.subject).await;
    }
}
