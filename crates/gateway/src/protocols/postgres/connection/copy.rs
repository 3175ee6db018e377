//! The stream of a COPY that waits for a review: taken in before, sent after.

use bytes::BytesMut;

use super::{CLIENT_LIMITS, Connection, End, INPUT_BYTES_MAX, fatal};
use crate::codes::Code;
use crate::protocols::postgres::copy::Spool;
use crate::protocols::postgres::describe::{CopyFormat, CopyIn};
use crate::protocols::postgres::wire::frame::{Frame, next_frame};
use crate::protocols::postgres::wire::frontend::Message;
use crate::protocols::postgres::wire::{Format, WireError, backend, frontend};
use crate::refusal::Refusal;
use crate::spool::Error;

/// How much is queued for the server before it has to take some.
const QUEUED_BYTES_MAX: usize = 256 * 1024;

/// What became of a stream's next message.
enum Taken {
    More,
    Done,
}

impl Connection {
    /// Asks the client for the stream, as the server would, and takes it in: rows of so many fields. Nothing reaches the server.
    pub(super) async fn take_in(&mut self, copy: CopyIn, fields: usize) -> Result<Result<Spool, Refusal>, End> {
        let formats = announced(&copy, fields);
        let mut spool = match Spool::open(&self.spools, copy).await {
            Ok(spool) => spool,
            Err(error) => return Ok(Err(refusal(&error))),
        };
        backend::copy_in(&mut self.client.output, &formats)?;
        loop {
            while let Some(frame) = next_frame(&mut self.client.input, &CLIENT_LIMITS)? {
                match self.take_chunk(frame, &mut spool).await? {
                    Ok(Taken::More) => {}
                    Ok(Taken::Done) => return Ok(Ok(spool)),
                    Err(refusal) => return Ok(Err(refusal)),
                }
            }
            let cancel = self.cancel.clone();
            tokio::select! {
                event = self.event(INPUT_BYTES_MAX, false) => self.on(event)?,
                () = cancel.raised() => {
                    cancel.answered();
                    return Ok(Err(Refusal::new(Code::Cancelled, "canceling statement due to user request")));
                }
            }
        }
    }

    /// One message of a client that streams. `Flush` and `Sync` mean nothing inside a stream.
    async fn take_chunk(&mut self, frame: Frame, spool: &mut Spool) -> Result<Result<Taken, Refusal>, End> {
        match frame.kind {
            b'd' => Ok(spool.push(&frame.body).await.map(|()| Taken::More).map_err(|error| refusal(&error))),
            b'c' => Ok(Ok(Taken::Done)),
            b'H' | b'S' => Ok(Ok(Taken::More)),
            b'X' => Err(End::Left),
            b'f' => match Message::decode(frame)? {
                Message::CopyFail(reason) => {
                    Ok(Err(Refusal::new(Code::Cancelled, format!("COPY from stdin failed: {reason}"))))
                }
                _ => Err(WireError::UnknownKind(b'f').into()),
            },
            _ => Err(fatal(&Refusal::new(Code::ProtocolViolation, "another message inside a COPY stream"))),
        }
    }

    /// Sends what was taken in as soon as the server asks for it, and waits until the message is answered.
    pub(super) async fn feed(&mut self, spool: &mut Spool) -> Result<(), End> {
        self.settle_or_stream().await?;
        let mut chunk = BytesMut::new();
        while self.session.streaming_in() {
            let more = match spool.next(&mut chunk).await {
                Ok(more) => more,
                Err(error) => {
                    self.give_up(&error)?;
                    break;
                }
            };
            let Some(upstream) = &mut self.upstream else { break };
            if !more {
                frontend::copy_done(&mut upstream.output);
                break;
            }
            frontend::copy_data(&mut upstream.output, &chunk)?;
            self.session.streamed(&chunk);
            self.make_room().await?;
        }
        while !self.session.settled() {
            self.next_event().await?;
        }
        Ok(())
    }

    /// Waits until the server has taken what is queued, or has failed.
    async fn make_room(&mut self) -> Result<(), End> {
        let cancel = self.cancel.clone();
        while self.session.streaming_in()
            && self.upstream.as_ref().is_some_and(|upstream| upstream.output.len() >= QUEUED_BYTES_MAX)
        {
            tokio::select! {
                event = self.event(INPUT_BYTES_MAX, true) => self.on(event)?,
                () = cancel.raised() => self.cancel_upstream(),
            }
        }
        Ok(())
    }

    /// The rest cannot be read back: the server drops what it has.
    fn give_up(&mut self, error: &Error) -> Result<(), End> {
        tracing::error!(%error, "COPY data that was approved could not be read back");
        if let Some(upstream) = &mut self.upstream {
            frontend::copy_fail(&mut upstream.output, "countersign: the data could not be read back")?;
        }
        Ok(())
    }
}

fn refusal(error: &Error) -> Refusal {
    match error {
        Error::TooLong(_) => Refusal::new(Code::TooLarge, error.to_string())
            .hint("send it in parts, or raise `copy_bytes_max` in `[postgres]`"),
        Error::Full(_) => Refusal::new(Code::TooLarge, error.to_string()),
        Error::File(_) | Error::Changed => Refusal::new(Code::RecordUnavailable, error.to_string()),
    }
}

/// The `CopyInResponse`: the format of the stream is in the options, the number of columns that of the statement's list or of
/// the table.
fn announced(copy: &CopyIn, fields: usize) -> backend::CopyFormats {
    let overall = match copy.format {
        CopyFormat::Text | CopyFormat::Csv => Format::Text,
        CopyFormat::Binary => Format::Binary,
    };
    backend::CopyFormats { overall, columns: vec![overall; fields] }
}
