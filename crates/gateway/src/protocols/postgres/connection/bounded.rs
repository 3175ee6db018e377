//! What was approved for at most so many rows changes no more: its end is kept back until the rows are counted, and a
//! transaction that changed too many is rolled back.

use super::{Connection, End};
use crate::codes::Code;
use crate::protocols::postgres::refuse;
use crate::protocols::postgres::session::{DECOY_QUERY, Expected, Kept};
use crate::protocols::postgres::wire::frontend::{self, BindNames, BindValues};
use crate::protocols::postgres::wire::notice::Notice;
use crate::protocols::postgres::wire::{TransactionStatus, WireError, backend};
use crate::refusal::Refusal;

const BEGIN: &str = "BEGIN READ WRITE";
const COMMIT: &str = "COMMIT";
const ROLLBACK: &str = "ROLLBACK";

impl Connection {
    /// Before a simple query with a bound is sent: a transaction that can still be rolled back when it has run. True when
    /// it is the gateway's own.
    pub(super) fn begin_bounded(&mut self) -> Result<bool, WireError> {
        let own = !self.session.in_block();
        if own {
            self.own(BEGIN)?;
            self.session.is_around();
        }
        self.session.keep_end();
        Ok(own)
    }

    /// After it was sent: counts, and commits or rolls back.
    pub(super) async fn end_bounded_query(&mut self, own: bool, rows_max: u64) -> Result<(), End> {
        while !self.session.settled() {
            self.next_event().await?;
        }
        let kept = self.session.take_kept();
        let over = exceeded(&kept, rows_max);
        match (own, &over) {
            (true, None) if kept.tag.is_some() => self.own_end(COMMIT)?,
            (true, _) => self.own_end(ROLLBACK)?,
            (false, Some(_)) => {
                if let Some(upstream) = &mut self.upstream {
                    frontend::query(&mut upstream.output, DECOY_QUERY)?;
                    self.session.sent(Expected::Decoy { notice: None, simple: true });
                    self.session.keep_end(); // its `ReadyForQuery`
                }
            }
            (false, None) => {}
        }
        let committed = self.settle_commit().await?;
        self.session.take_kept();
        match over {
            Some(notice) => notice.put_error(&mut self.client.output),
            None if committed => self.tell_end(&kept)?,
            None => {} // the client has heard why
        }
        backend::ready_for_query(&mut self.client.output, self.session.status());
        Ok(())
    }

    /// After `Execute` of a portal with a bound: counts, and fails the batch when it was too much.
    pub(super) async fn end_bounded_portal(&mut self, rows_max: u64) -> Result<(), End> {
        self.settle().await?;
        let kept = self.session.take_kept();
        if self.session.skipping {
            return Ok(());
        }
        let Some(notice) = exceeded(&kept, rows_max) else { return Ok(self.tell_end(&kept)?) };
        notice.put_error(&mut self.client.output);
        if let Some(upstream) = &mut self.upstream {
            let none = BindValues { formats: &[], values: &[], result_formats: &[] };
            let names = BindNames { portal: "", statement: &self.decoy };
            frontend::bind(&mut upstream.output, names, &frontend::bind_tail(none)?)?;
            self.session.sent(Expected::Decoy { notice: None, simple: false });
        }
        self.settle().await
    }

    /// Waits for the end of the transaction; false when it could not be committed.
    async fn settle_commit(&mut self) -> Result<bool, End> {
        let failed_before = self.session.status() == TransactionStatus::Failed;
        let mut committed = true;
        while !self.session.settled() {
            self.next_event().await?;
            committed &= !self.session.has_failed();
        }
        Ok(committed && !failed_before)
    }

    fn tell_end(&mut self, kept: &Kept) -> Result<(), WireError> {
        match &kept.tag {
            Some(tag) => backend::command_complete(&mut self.client.output, tag),
            None => Ok(()), // it failed, or goes on; the client has heard
        }
    }
}

fn exceeded(kept: &Kept, rows_max: u64) -> Option<Notice> {
    let rows = kept.rows.filter(|rows| *rows > rows_max)?;
    let message = format!("it changed {rows} rows, and was approved for at most {rows_max}: it is rolled back");
    let refusal = Refusal::new(Code::BoundExceeded, message)
        .hint("make it touch fewer rows, or send it again: the next review shows a new estimate");
    Some(refuse::notice(&refusal))
}
