//! Commands of the gateway's own in the client's session: in their place of the stream, and unknown to the client.
//!
//! They go by the extended protocol under names that no client can know, so that the client's unnamed statement and portal
//! stay what they are. None of them may fail: if one does, the session can no longer be followed and ends.

use bytes::Bytes;

use super::{Connection, End, fatal};
use crate::codes::Code;
use crate::protocols::postgres::catalog;
use crate::protocols::postgres::session::{Expected, OwnStep};
use crate::protocols::postgres::wire::frame::Frame;
use crate::protocols::postgres::wire::frontend::{self, BindNames, BindValues, Execute, Parse, Target};
use crate::protocols::postgres::wire::{TransactionStatus, WireError, backend};
use crate::refusal::Refusal;

/// Keeps the server from compiling the next question, which would take longer than answering it.
const NO_JIT: &str = "SELECT pg_catalog.set_config('jit', 'off', true)";

impl Connection {
    /// Puts a command in the stream, ended by a `Sync` of our own unless a batch is open.
    pub(super) fn own(&mut self, sql: &str) -> Result<(), WireError> {
        self.own_step(sql, &[])?;
        self.own_sync();
        Ok(())
    }

    /// Asks the session itself; everything before is settled first. If something of that failed, the server would not
    /// answer, or with an error: the inner error is for a message that will not be done either.
    pub(super) async fn own_ask(&mut self, sql: &str, values: &[&str]) -> Result<Result<String, Refusal>, End> {
        self.settle().await?;
        if self.session.skipping || self.session.status() == TransactionStatus::Failed {
            return Ok(Err(catalog::unresolved(&"an earlier statement failed")));
        }
        self.cancelled().await;
        self.own_step(NO_JIT, &[])?;
        self.own_step(sql, values)?;
        match self.session.batch_open {
            true => {
                if let Some(upstream) = &mut self.upstream {
                    frontend::flush(&mut upstream.output);
                }
            }
            false => self.own_sync(),
        }
        self.settle().await?;
        let told = self.session.take_own_row().as_ref().and_then(first_column);
        told.map(Ok).ok_or_else(|| fatal(&catalog::unresolved(&"an empty answer")))
    }

    /// The same for a command that ends a transaction: its failure is the client's to hear.
    pub(super) fn own_end(&mut self, sql: &str) -> Result<(), WireError> {
        self.own_steps(sql, &[], OwnStep::End)?;
        self.own_sync();
        Ok(())
    }

    fn own_step(&mut self, sql: &str, values: &[&str]) -> Result<(), WireError> {
        self.own_steps(sql, values, OwnStep::Execute)
    }

    fn own_steps(&mut self, sql: &str, values: &[&str], execute: OwnStep) -> Result<(), WireError> {
        let Some(upstream) = &mut self.upstream else { return Err(WireError::BadValue("upstream")) };
        let (out, name) = (&mut upstream.output, &self.own_name);
        let values: Vec<Option<&[u8]>> = values.iter().map(|value| Some(value.as_bytes())).collect();
        let tail = frontend::bind_tail(BindValues { formats: &[], values: &values, result_formats: &[] })?;
        frontend::parse(out, &Parse { name: name.clone(), sql: sql.to_owned(), types: Vec::new() })?;
        frontend::bind(out, BindNames { portal: name, statement: name }, &tail)?;
        frontend::execute(out, &Execute { portal: name.clone(), max_rows: 0 })?;
        frontend::close(out, &Target::Portal(name.clone()))?;
        frontend::close(out, &Target::Statement(name.clone()))?;
        for step in [OwnStep::Parse, OwnStep::Bind, execute, OwnStep::Close, OwnStep::Close] {
            self.session.sent(Expected::Own(step));
        }
        Ok(())
    }

    fn own_sync(&mut self) {
        if let Some(upstream) = self.upstream.as_mut().filter(|_| !self.session.batch_open) {
            frontend::sync(&mut upstream.output);
            self.session.sent(Expected::OwnSync);
        }
    }
}

/// The first column of a `DataRow`, as text.
fn first_column(body: &Bytes) -> Option<String> {
    let backend::Message::DataRow(row) = backend::Message::decode(Frame { kind: b'D', body: body.clone() }).ok()?
    else {
        return None;
    };
    String::from_utf8(row.into_iter().next()??.to_vec()).ok()
}

/// A session that cannot be asked has no names.
pub(super) fn nobody() -> Refusal {
    Refusal::new(Code::NamesUnresolved, "the session cannot be asked what names refer to")
}
