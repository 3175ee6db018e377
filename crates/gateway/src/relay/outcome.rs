//! What came of a request that may have had an effect: recorded once, when it is known, whoever is still there to hear it.

use std::sync::Arc;
use std::time::Instant;

use countersign_core::action::ActionId;
use countersign_core::grant::RecordLevel;
use countersign_core::record::Status;
use http::StatusCode;

use super::body::{Error, Seen};
use crate::gate::Gate;
use crate::pipeline::{self, Outcomes};
use crate::refusal::Refusal;

/// Why an answer ends before its end.
pub(super) const CUT_OFF: &str = "the requester may do nothing any more";

/// The outcome that is still to be recorded. Dropped before it is, it records that the outcome is not known beyond what
/// the upstream had said by then.
pub(super) struct Recording {
    gate: Arc<Gate>,
    action: ActionId,
    started: Instant,
    /// What streamed through on the way up.
    pub(super) seen: Option<Seen>,
    /// What the upstream answered.
    pub(super) answered: Option<StatusCode>,
    done: bool,
}

impl Recording {
    /// For an action whose outcome is recorded; reads have none.
    pub(super) fn begin(gate: &Arc<Gate>, action: ActionId, level: RecordLevel) -> Option<Self> {
        (level == RecordLevel::Durable).then(|| Self {
            gate: gate.clone(),
            action,
            started: Instant::now(),
            seen: None,
            answered: None,
            done: false,
        })
    }

    fn outcome(&self, status: Status, error: Option<String>) -> Outcomes {
        let micros = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        Outcomes { status, rows: None, stream: self.seen.as_ref().map(Seen::told), micros, error }
    }

    fn known(&self, broken: bool) -> Outcomes {
        match self.answered {
            None => self.outcome(Status::Unknown, Some("no_answer".to_owned())),
            Some(status) if status.is_client_error() => {
                self.outcome(Status::Failed, Some(format!("http_{}", status.as_u16())))
            }
            // a server that failed may have done all of it, or half (RFC 9110 §15.6)
            Some(status) if status.is_server_error() => {
                self.outcome(Status::Unknown, Some(format!("http_{}", status.as_u16())))
            }
            Some(_) if broken => self.outcome(Status::Unknown, Some("answer_broken".to_owned())),
            Some(_) => self.outcome(Status::Succeeded, None),
        }
    }

    /// The answer is there to its end, or broke off. Returns once the client may be told.
    ///
    /// # Errors
    /// It cannot be recorded.
    pub(super) async fn finish(mut self, broken: bool) -> Result<(), Error> {
        let outcome = self.known(broken);
        self.record(outcome).await.map_err(|refusal| refusal.message)?;
        if broken { Err("the upstream's answer broke off".into()) } else { Ok(()) }
    }

    /// The gateway ended it: its requester may do nothing any more. Returns once that is recorded.
    pub(super) async fn cut_off(mut self) -> Error {
        let outcome = self.outcome(Status::Unknown, Some("requester_gone".to_owned()));
        match self.record(outcome).await {
            Ok(()) => CUT_OFF.into(),
            Err(refusal) => refusal.message.into(),
        }
    }

    /// Nothing of it reached the upstream.
    ///
    /// # Errors
    /// [`Refusal`]: it cannot be recorded.
    pub(super) async fn not_executed(mut self, why: &str) -> Result<(), Refusal> {
        let outcome = self.outcome(Status::NotExecuted, Some(why.to_owned()));
        self.record(outcome).await
    }

    /// It may have reached the upstream, which said nothing.
    ///
    /// # Errors
    /// [`Refusal`]: it cannot be recorded.
    pub(super) async fn unknown(mut self, why: &str) -> Result<(), Refusal> {
        let outcome = self.outcome(Status::Unknown, Some(why.to_owned()));
        self.record(outcome).await
    }

    async fn record(&mut self, outcome: Outcomes) -> Result<(), Refusal> {
        self.done = true;
        match pipeline::finish(&self.gate, &self.action, RecordLevel::Durable, outcome)? {
            Some(owed) => pipeline::pay(&self.gate, owed).await,
            None => Ok(()),
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        // the client left before the end of an answer, whose beginning said what came of it
        let outcome = self.known(false);
        if let Err(refusal) = pipeline::finish(&self.gate, &self.action, RecordLevel::Durable, outcome) {
            tracing::error!(%refusal.message, "an outcome could not be recorded");
        }
    }
}
