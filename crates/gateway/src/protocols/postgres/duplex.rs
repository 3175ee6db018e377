//! Two connections side by side: one poll moves whatever can move, in any direction.
//!
//! Reading and writing of both sides happen in the same poll, so that a peer that does not read cannot stop the other
//! direction from draining. Each buffer has a bound at which its source is no longer read.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

/// At which size of the opposite output a side is no longer read.
const BUFFER_BYTES_MAX: usize = 256 * 1024;
/// How much is read at once, at first: what waits for people keeps no more than this.
const READ_BYTES_MIN: usize = 4 * 1024;
/// How much is read at once of a side that sends much.
const READ_BYTES_MAX: usize = 32 * 1024;
/// Capacity that an emptied buffer keeps.
const IDLE_BYTES_MAX: usize = 64 * 1024;

/// A byte stream.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// One side: a stream with its buffers.
pub(super) struct Side {
    stream: Box<dyn Stream>,
    pub(super) input: BytesMut,
    pub(super) output: BytesMut,
    written: bool,
    /// How much is read at once.
    read_bytes: usize,
}

/// What happened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// There are new bytes of the client.
    Client,
    /// There are new bytes of the server.
    Upstream,
    /// The client is gone.
    ClientGone,
    /// The server is gone.
    UpstreamGone,
    /// Everything there was to write is written.
    Drained,
}

impl Side {
    pub(super) fn new(stream: Box<dyn Stream>, input: BytesMut) -> Self {
        Self { stream, input, output: BytesMut::new(), written: false, read_bytes: READ_BYTES_MIN }
    }

    /// Reads once; `Ok(false)` at the end of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.input.reserve(self.read_bytes);
        let read = pin!(self.stream.read_buf(&mut self.input)).poll(cx);
        if let Poll::Ready(Ok(bytes)) = read
            && bytes >= self.read_bytes
        {
            self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
        }
        read.map_ok(|bytes| bytes > 0)
    }

    /// Writes as much as goes.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.output.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.output)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(written) => {
                    self.output.advance(written);
                    self.written = true;
                }
                Poll::Pending => return Ok(()),
            }
        }
        if self.written {
            if let Poll::Ready(flushed) = Pin::new(&mut self.stream).poll_flush(cx) {
                flushed?;
                self.written = false;
            }
            if self.output.capacity() > IDLE_BYTES_MAX {
                self.output = BytesMut::new();
            }
        }
        Ok(())
    }

    fn drained(&self) -> bool {
        self.output.is_empty() && !self.written
    }
}

/// Waits until something happened. Cancelling loses nothing.
///
/// `input_max` bounds what is read of the client ahead of its processing. With `drain`, having written everything counts
/// as something.
pub(super) async fn pump(client: &mut Side, mut upstream: Option<&mut Side>, input_max: usize, drain: bool) -> Event {
    poll_fn(|cx| {
        if client.poll_write(cx).is_err() {
            return Poll::Ready(Event::ClientGone);
        }
        if let Some(upstream) = upstream.as_deref_mut() {
            if upstream.poll_write(cx).is_err() {
                return Poll::Ready(Event::UpstreamGone);
            }
            if client.output.len() < BUFFER_BYTES_MAX {
                match upstream.poll_read(cx) {
                    Poll::Ready(Ok(true)) => return Poll::Ready(Event::Upstream),
                    Poll::Ready(Ok(false) | Err(_)) => return Poll::Ready(Event::UpstreamGone),
                    Poll::Pending => {}
                }
            }
        }
        let room = upstream.as_deref().is_none_or(|upstream| upstream.output.len() < BUFFER_BYTES_MAX);
        let read_on = client.output.len() < BUFFER_BYTES_MAX; // who does not read is not read either
        if room && read_on && client.input.len() < input_max {
            match client.poll_read(cx) {
                Poll::Ready(Ok(true)) => return Poll::Ready(Event::Client),
                Poll::Ready(Ok(false) | Err(_)) => return Poll::Ready(Event::ClientGone),
                Poll::Pending => {}
            }
        }
        if drain && client.drained() && upstream.as_deref().is_none_or(Side::drained) {
            return Poll::Ready(Event::Drained);
        }
        Poll::Pending
    })
    .await
}
