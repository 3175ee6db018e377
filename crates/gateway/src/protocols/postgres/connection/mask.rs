//! Masks on a connection: the session's catalog is asked, results are shown with their masked columns replaced.
//!
//! Nothing of this touches a session without masks: rows are looked at only from the sending of a masked statement to the
//! `ReadyForQuery` after it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use countersign_core::policy::{Mask, MaskedColumn};

use super::{Connection, End, fatal};
use crate::codes::Code;
use crate::protocols::postgres::capture::Captured;
use crate::protocols::postgres::mask::{self, Catalog, Columns, Judged, Plan};
use crate::protocols::postgres::session::{Expected, OwnStep, Reaction};
use crate::protocols::postgres::wire::frame::{Frame, KindSet, Limits, peek_header};
use crate::protocols::postgres::wire::frontend::{self, Target};
use crate::protocols::postgres::wire::{TransactionStatus, WireError, backend};
use crate::refusal::Refusal;

/// The server's messages that need no look while rows have to be looked at.
pub(super) const PASS_BUT_ROWS: KindSet = KindSet::of(b"dNAHcV");
/// The largest row that is looked at: 64 MiB, which has to fit in memory.
const ROW_BYTES_MAX: usize = 64 << 20;
/// What is shown in place of what the server sends.
#[derive(Default)]
pub(super) struct Masking {
    /// Rows have to be looked at.
    pub(super) on: bool,
    /// The result of the simple query in front.
    simple: Option<Simple>,
    /// What the server said of a portal that the gateway asked about.
    described: Option<Vec<backend::Column>>,
}

struct Simple {
    plan: Arc<Plan>,
    columns: Option<Columns>,
}

impl Connection {
    /// Judges a message under masks, in the light of this session's own catalog.
    pub(super) async fn judge(
        &mut self,
        captured: &Captured,
        masks: &BTreeMap<MaskedColumn, Mask>,
    ) -> Result<Result<Option<Arc<Plan>>, Refusal>, End> {
        let described = captured.described().clone();
        let names = match mask::names(captured.sql(), &described, captured.description().facts.class) {
            Ok(names) if names.is_empty() => return Ok(Ok(None)),
            Ok(names) => names,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if self.session.status() == TransactionStatus::Failed {
            let message = "masked columns cannot be masked in a message that begins in a failed transaction";
            return Ok(Err(Refusal::new(Code::MaskImpossible, message).hint("send ROLLBACK alone")));
        }
        if let Err(refusal) = self.connect().await {
            return Ok(Err(refusal));
        }
        let told = self.own_ask(mask::QUESTION, &[&mask::parameter(&names)]).await?;
        let told = match told {
            Ok(told) => told,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let catalog = Catalog::read(&told, masks);
        let judged = catalog
            .map_err(|error| Refusal::new(Code::UpstreamUnavailable, error.to_string()))
            .and_then(|catalog| mask::judge(captured.sql(), &described, &catalog));
        Ok(judged.map(|judged| match judged {
            Judged::Untouched => None,
            Judged::Masked(plan) => Some(Arc::new(plan)),
        }))
    }

    /// The simple query that is about to be sent is shown by this plan, or as it is.
    pub(super) fn show_simple(&mut self, plan: Option<Arc<Plan>>) {
        self.masking.on |= plan.is_some();
        self.masking.simple = plan.map(|plan| Simple { plan, columns: None });
    }

    /// Asks the server what a portal that was just bound yields, and holds that against the plan.
    pub(super) async fn columns_of(
        &mut self,
        portal: &str,
        plan: &Plan,
    ) -> Result<Result<Option<Columns>, Refusal>, End> {
        let Some(upstream) = &mut self.upstream else { return Ok(Ok(None)) };
        frontend::describe(&mut upstream.output, &Target::Portal(portal.to_owned()))?;
        self.session.sent(Expected::Own(OwnStep::Describe));
        self.masking.described = None;
        self.settle().await?;
        if self.session.skipping {
            return Ok(Ok(None)); // the client has been told why
        }
        let described = self.masking.described.take().unwrap_or_default();
        let columns = plan.columns(&described);
        Ok(columns.map(Some).map_err(|error| Refusal::new(Code::MaskImpossible, error.to_string())))
    }

    /// `RowDescription`, or `NoData`: what the rows that follow are made of.
    pub(super) fn described(&mut self, kind: u8, body: &[u8]) -> Result<Reaction, End> {
        let own = self.session.own_in_front();
        let query = self.session.query_in_front();
        if own || (query && self.masking.simple.is_some()) {
            let columns = match decoded(kind, body)? {
                backend::Message::RowDescription(columns) => columns,
                _ => Vec::new(),
            };
            if let Some(simple) = self.masking.simple.as_mut().filter(|_| !own) {
                let checked = simple.plan.columns(&columns);
                let unproved = |error: mask::Unproved| fatal(&Refusal::new(Code::MaskImpossible, error.to_string()));
                simple.columns = Some(checked.map_err(unproved)?);
            } else {
                self.masking.described = Some(columns);
            }
        }
        Ok(self.session.columns())
    }

    /// A row: as it is, or with its masked columns replaced.
    pub(super) fn row(&mut self, body: &[u8]) -> Result<Reaction, End> {
        let front = self.session.front_mask();
        let simple = self.masking.simple.as_ref().filter(|_| self.session.query_in_front());
        let columns = match (simple, &front) {
            (Some(Simple { columns: Some(columns), .. }), _) => columns,
            (Some(Simple { columns: None, .. }), _) => {
                return Err(fatal(&Refusal::new(Code::MaskImpossible, "rows came without a description")));
            }
            (None, Some(columns)) => columns,
            (None, None) => return Ok(Reaction::Forward),
        };
        columns.write(&self.mask_key, body, &mut self.client.output)?;
        Ok(Reaction::Swallow)
    }

    /// Something is answered whole: a simple query, or what came before another `Sync`. A query that is on its way stays
    /// masked whatever ends before it.
    pub(super) fn unmask(&mut self, query: bool) {
        if query {
            self.masking.simple = None;
        }
        self.masking.on = !self.session.settled();
    }

    /// A row that has to be looked at has to fit.
    pub(super) fn check_row_fits(&self, input: &[u8]) -> Result<(), End> {
        let header = peek_header(input, &Limits::BACKEND)?;
        if header.is_some_and(|header| header.kind == b'D' && header.body_bytes > ROW_BYTES_MAX) {
            return Err(fatal(&Refusal::new(Code::TooLarge, "a row with masked columns is larger than 64 MiB")));
        }
        Ok(())
    }
}

fn decoded(kind: u8, body: &[u8]) -> Result<backend::Message, WireError> {
    backend::Message::decode(Frame { kind, body: Bytes::copy_from_slice(body) })
}
