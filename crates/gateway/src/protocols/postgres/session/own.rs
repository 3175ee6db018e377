//! Commands of the gateway's own, and ends of statements that are kept back until it has looked at them.

use bytes::Bytes;

use super::{Expected, Kept, OwnStep, Reaction, Session};

impl Session {
    /// Whether something on its way may change what names refer to: until it is answered, none is certain.
    pub(in super::super) fn moves_pending(&self) -> bool {
        self.expected.iter().any(|expected| match expected {
            Expected::Execute { prepared, disturbance, .. } => prepared.is_none() || disturbance.any(),
            Expected::Query { .. } => true,
            _ => false,
        })
    }

    /// Whether what the server sends now answers a command of our own.
    pub(in super::super) fn own_in_front(&self) -> bool {
        matches!(self.expected.front(), Some(Expected::Own(_)))
    }

    /// Whether what the server does now is for ourselves alone: its notices are not the client's to hear, and it is not the
    /// client's to cancel. The end of a transaction is no such thing, since it runs what the client left for it, such as
    /// deferred triggers.
    pub(in super::super) fn own_runs(&self) -> bool {
        matches!(self.expected.front(), Some(Expected::Own(step)) if *step != OwnStep::End)
    }

    /// Whether the message in front has failed.
    pub(in super::super) fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    /// What is sent next runs in a transaction of the gateway's own: what came of it is known only once that ends.
    pub(in super::super) fn is_around(&mut self) {
        self.around = true;
    }

    /// The end of what is sent next is kept back.
    pub(in super::super) fn keep_end(&mut self) {
        self.kept = Some(Kept::default());
    }

    /// What was kept back, once it is settled.
    pub(in super::super) fn take_kept(&mut self) -> Kept {
        self.kept.take().unwrap_or_default()
    }

    pub(super) fn keep(&mut self, tag: &str, rows: Option<u64>, reaction: Reaction) -> Reaction {
        match (&mut self.kept, &reaction) {
            (Some(kept), Reaction::Forward) if !tag.is_empty() => {
                *kept = Kept { tag: Some(tag.to_owned()), rows };
                Reaction::Swallow
            }
            _ => reaction,
        }
    }

    /// A row for ourselves.
    pub(in super::super) fn own_row(&mut self, body: Bytes) {
        self.own_row = Some(body);
    }

    /// The last row of our own commands, once they are answered.
    pub(in super::super) fn take_own_row(&mut self) -> Option<Bytes> {
        self.own_row.take()
    }
}
