//! How long what goes on for long may go on: a stream or a tunnel ends when its requester may ask for nothing any more.
//!
//! Of a session of PostgreSQL every statement is decided anew; what streams was decided once. Deliberately absent: asking policy
//! again while something streams.

use std::sync::Arc;

use super::subject::{Doorman, Subject};
use crate::gate::Gate;

/// The right of a requester to go on.
pub(super) struct Tenure {
    pub(super) gate: Arc<Gate>,
    pub(super) doorman: Arc<Doorman>,
    pub(super) subject: Subject,
}

impl Tenure {
    /// Returns once it is over. May be dropped at any time.
    pub(super) async fn over(self) {
        self.doorman.gone(&self.gate, &self.subject).await;
    }
}
