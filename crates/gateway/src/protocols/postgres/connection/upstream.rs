//! The server's messages: passed on as they are, looked at only where the session must know.

use bytes::{Buf, Bytes, BytesMut};
use countersign_core::record::Status;

use super::hold::DEFAULT_READ_ONLY;
use super::mask::PASS_BUT_ROWS;
use super::{Connection, End, Portal, fatal};
use crate::codes::Code;
use crate::pipeline::{self, Outcomes};
use crate::protocols::postgres::session::{Ended, Reaction};
use crate::protocols::postgres::wire::frame::{Frame, KindSet, Scan};
use crate::protocols::postgres::wire::notice::{Notice, Severity};
use crate::protocols::postgres::wire::{TransactionStatus, WireError, backend};
use crate::protocols::postgres::{refuse, settings};
use crate::refusal::Refusal;

/// The server's messages that need no look.
const PASS: KindSet = KindSet::of(b"DdNAHcV");

impl Connection {
    /// Passes on what the server sent, looking at what the session must know.
    pub(super) fn relay(&mut self) -> Result<(), End> {
        let Some(mut upstream) = self.upstream.take() else { return Ok(()) };
        let mut input = std::mem::take(&mut upstream.input);
        let result = self.relay_from(&mut input);
        upstream.input = input;
        self.upstream = Some(upstream);
        if self.cancel_waits {
            self.cancel_upstream();
        }
        result
    }

    pub(super) fn relay_from(&mut self, input: &mut BytesMut) -> Result<(), End> {
        loop {
            let pass = match self.masking.on {
                _ if self.session.own_in_front() => KindSet::EMPTY,
                true => PASS_BUT_ROWS,
                false => PASS,
            };
            let taken = match self.scanner.scan(input, pass)? {
                Scan::Run(run) => {
                    self.client.output.extend_from_slice(run.bytes);
                    run.bytes.len()
                }
                Scan::Stop(frame) => {
                    let (kind, length) = (frame.kind, frame.raw.len());
                    match self.react(kind, frame.body())? {
                        Reaction::Forward => self.client.output.extend_from_slice(&input[..length]),
                        Reaction::Swallow => {}
                        Reaction::Replace(notice) => notice.put_error(&mut self.client.output),
                        Reaction::Fatal(notice) => return Err(End::Fatal(notice)),
                    }
                    length
                }
                Scan::Need(_) if self.masking.on => return self.check_row_fits(input),
                Scan::Need(_) => return Ok(()),
            };
            input.advance(taken);
        }
    }

    pub(super) fn react(&mut self, kind: u8, body: &[u8]) -> Result<Reaction, End> {
        tracing::trace!(kind = %kind.escape_ascii(), bytes = body.len(), "upstream");
        Ok(match kind {
            b'D' if self.session.own_in_front() => {
                self.session.own_row(Bytes::copy_from_slice(body));
                Reaction::Swallow
            }
            b'N' if self.session.own_runs() => Reaction::Swallow,
            b'N' | b'A' => Reaction::Forward,
            b'1' | b'2' | b'3' => self.session.step_done(kind),
            b'T' | b'n' => return self.described(kind, body),
            b'D' => return self.row(body),
            b'C' => {
                let tag = backend::CommandTag { tag: cstr(body).to_owned() };
                let rows = tag.rows();
                self.session.command_done(&tag.tag, rows)
            }
            b'I' | b's' => self.session.command_done("", None),
            b'G' => self.session.copy_in(),
            b'E' => {
                let notice = Notice::decode(Bytes::copy_from_slice(body))?;
                self.upstream_told = matches!(notice.severity, Severity::Fatal | Severity::Panic);
                self.session.failed(notice.code.as_str())
            }
            b'Z' => return self.ready(body),
            b't' => match decoded(kind, body)? {
                backend::Message::ParameterDescription(types) => self.session.parameters(types),
                _ => Reaction::Forward,
            },
            b'S' => match decoded(kind, body)? {
                backend::Message::ParameterStatus(status) if status.name == DEFAULT_READ_ONLY => {
                    if let Some(value) = self.hold.news() {
                        backend::parameter_status(&mut self.client.output, DEFAULT_READ_ONLY, value)?;
                    }
                    Reaction::Swallow
                }
                backend::Message::ParameterStatus(status) => {
                    settings::check_reported(&status.name, &status.value).map_err(|refusal| fatal(&refusal))?;
                    Reaction::Forward
                }
                _ => Reaction::Forward,
            },
            other => {
                let message = format!("the upstream sent `{}`, which does not belong here", other.escape_ascii());
                Reaction::Fatal(Box::new(refuse::fatal(&Refusal::new(Code::ProtocolViolation, message))))
            }
        })
    }

    pub(super) fn ready(&mut self, body: &[u8]) -> Result<Reaction, End> {
        let letter = body.first().copied().ok_or(WireError::Truncated("transaction status"))?;
        let status = TransactionStatus::from_wire(letter)?;
        let query = self.session.query_in_front();
        let reaction = self.session.ready(status);
        if self.masking.on {
            self.unmask(query);
        }
        self.held_after(status);
        if status == TransactionStatus::Idle {
            self.end_portals();
        }
        // what came of an action is recorded before the client hears that it may go on
        self.record_ended().map_err(|refusal| fatal(&refusal))?;
        Ok(reaction)
    }

    /// A transaction's end closes its portals; those that are bound since belong to the next.
    fn end_portals(&mut self) {
        let ended = self.portals.extract_if(|name, _| !self.session.binding(name)).map(|(_, portal)| portal);
        let ended: Vec<Portal> = ended.collect();
        ended.into_iter().for_each(|portal| self.never_ran(portal));
    }

    pub(super) fn drop_portals(&mut self) {
        for (_, portal) in std::mem::take(&mut self.portals) {
            self.never_ran(portal);
        }
    }

    pub(super) fn never_ran(&mut self, portal: Portal) {
        if let Some(running) = portal.running {
            let outcome = Outcomes { status: Status::NotExecuted, rows: None, stream: None, micros: 0, error: None };
            self.session.ended.push(Ended { id: running.id, level: running.level, outcome });
        }
    }

    pub(super) fn record_ended(&mut self) -> Result<(), Refusal> {
        for ended in std::mem::take(&mut self.session.ended) {
            let owed = pipeline::finish(&self.gate, &ended.id, ended.level, ended.outcome)?;
            self.owe(owed);
        }
        Ok(())
    }

    /// Passes a cancel request on, if there is anything to cancel. What the gateway does for itself comes to its end first: a
    /// session in which that was cancelled is in no known state, and would have to end.
    pub(super) fn cancel_upstream(&mut self) {
        self.cancel_waits = self.session.own_runs();
        if self.cancel_waits {
            return;
        }
        let cancel = self.cancel.clone();
        match self.upstream_key.clone().filter(|_| !self.session.settled()) {
            Some(key) => {
                let target = self.target.clone();
                let before = self.cancelling.take();
                self.cancelling = Some(tokio::spawn(async move {
                    if let Some(before) = before {
                        let _ = before.await; // an earlier request is waited for with this one
                    }
                    target.cancel(&key).await;
                    cancel.answered();
                }));
            }
            None => cancel.answered(),
        }
    }

    /// Waits until a cancel request that is on its way has arrived: it is not meant for what is sent next.
    pub(super) async fn cancelled(&mut self) {
        if let Some(cancelling) = self.cancelling.take() {
            let _ = cancelling.await; // it cannot fail; if it did, nothing is on its way
        }
    }
}

fn cstr(body: &[u8]) -> &str {
    let end = body.iter().position(|byte| *byte == 0).unwrap_or(body.len());
    std::str::from_utf8(&body[..end]).unwrap_or_default()
}

fn decoded(kind: u8, body: &[u8]) -> Result<backend::Message, WireError> {
    backend::Message::decode(Frame { kind, body: Bytes::copy_from_slice(body) })
}
