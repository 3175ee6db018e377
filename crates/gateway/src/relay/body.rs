//! Bodies on their way: to the upstream with a hash of what streams through, and to the client with the outcome recorded
//! before the end is told.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use sha2::{Digest as _, Sha256};

use super::link::Arriving;
use super::outcome::{CUT_OFF, Recording};
use super::tenure::Tenure;
use crate::spool::Spool;

/// An answer of up to this known length comes to its end, whoever asked for it: 64 KiB.
const SHORT_BYTES_MAX: u64 = 64 * 1024;

/// Why a body ends before its end.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Length and hash of what has streamed through.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen(Arc<Mutex<(u64, Sha256)>>);

impl Seen {
    fn push(&self, bytes: &[u8]) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner); // valid after any panic
        seen.0 += bytes.len() as u64;
        seen.1.update(bytes);
    }

    /// How many bytes, and their SHA-256 in hexadecimal digits.
    pub(super) fn told(&self) -> (u64, String) {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (seen.0, hex::encode(seen.1.clone().finalize()))
    }
}

/// A body for the upstream.
pub(super) enum Sending {
    /// All of it is here.
    Whole(Option<Bytes>),
    /// It comes from the client.
    Stream { begun: Option<Bytes>, rest: Box<Incoming>, seen: Seen },
    /// It comes from the disk.
    Spool(Spooled),
}

/// A spooled body, a chunk at a time.
pub(super) struct Spooled {
    left: u64,
    reading: Chunk,
}

impl Spooled {
    /// Begins where the spool stands.
    pub(super) fn new(spool: Box<Spool>) -> Self {
        Self { left: spool.digest().bytes, reading: chunk(spool) }
    }
}

type Chunk = Pin<Box<dyn Future<Output = (Result<Option<Bytes>, crate::spool::Error>, Box<Spool>)> + Send>>;

fn chunk(mut spool: Box<Spool>) -> Chunk {
    Box::pin(async move {
        let mut bytes = BytesMut::new();
        let read = spool.next(&mut bytes).await;
        (read.map(|more| more.then(|| bytes.freeze())), spool)
    })
}

impl Body for Sending {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut *self {
            Sending::Whole(bytes) => {
                let bytes = bytes.take().filter(|bytes| !bytes.is_empty());
                Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
            Sending::Stream { begun, rest, seen } => {
                if let Some(bytes) = begun.take().filter(|bytes| !bytes.is_empty()) {
                    seen.push(&bytes);
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                loop {
                    return match ready!(Pin::new(&mut **rest).poll_frame(cx)) {
                        Some(Ok(frame)) => match frame.into_data() {
                            Ok(bytes) => {
                                seen.push(&bytes);
                                Poll::Ready(Some(Ok(Frame::data(bytes))))
                            }
                            Err(_trailers) => continue, // a request's have no meaning here
                        },
                        Some(Err(error)) => Poll::Ready(Some(Err(error.into()))),
                        None => Poll::Ready(None),
                    };
                }
            }
            Sending::Spool(spooled) => {
                let (read, spool) = ready!(spooled.reading.as_mut().poll(cx));
                spooled.reading = chunk(spool);
                match read {
                    Ok(Some(bytes)) => {
                        spooled.left = spooled.left.saturating_sub(bytes.len() as u64);
                        Poll::Ready(Some(Ok(Frame::data(bytes))))
                    }
                    Ok(None) => Poll::Ready(None),
                    Err(error) => Poll::Ready(Some(Err(error.into()))),
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Sending::Whole(bytes) if bytes.as_ref().is_none_or(Bytes::is_empty))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Sending::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Sending::Stream { begun, rest, .. } => {
                let begun = begun.as_ref().map_or(0, |bytes| bytes.len() as u64);
                match rest.size_hint().exact() {
                    Some(exact) => SizeHint::with_exact(begun + exact),
                    None => SizeHint::default(),
                }
            }
            Sending::Spool(spooled) => SizeHint::with_exact(spooled.left),
        }
    }
}

type Over = Pin<Box<dyn Future<Output = ()> + Send>>;
type Paying = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// A body for the client.
pub enum Answering {
    /// All of it is here.
    Whole(Option<Bytes>),
    /// It comes from the upstream. Where something is to be recorded, the client learns that it is complete once it is.
    Upstream(Box<Passing>),
}

/// An answer that comes from the upstream.
pub struct Passing {
    body: Arriving,
    /// How much of a body of known length is still to come.
    left: Option<u64>,
    recording: Option<Recording>,
    /// What is passed on once the outcome is recorded.
    last: Option<Frame<Bytes>>,
    paying: Option<Paying>,
    tenure: Option<Tenure>,
    /// Ready once the requester may not go on; asked only of what is not there at once.
    over: Option<Over>,
}

impl Answering {
    /// An answer of the gateway's own.
    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        Answering::Whole(Some(bytes.into()))
    }

    /// The upstream's, with what has to be recorded of it, and whose it is.
    pub(super) fn passing(body: Arriving, recording: Option<Recording>, tenure: impl FnOnce() -> Tenure) -> Self {
        let left = body.size_hint().exact();
        let tenure = left.is_none_or(|left| left > SHORT_BYTES_MAX).then(tenure);
        Answering::Upstream(Box::new(Passing { body, left, recording, last: None, paying: None, tenure, over: None }))
    }
}

impl Passing {
    /// The end is reached, and nothing tells the client so before the outcome is recorded.
    fn finish(&mut self, broken: bool) {
        if let Some(recording) = self.recording.take() {
            self.paying = Some(Box::pin(recording.finish(broken)));
        }
    }

    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        self.over.as_mut().is_some_and(|over| over.as_mut().poll(cx).is_ready())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            if let Some(paying) = &mut self.paying {
                let paid = ready!(paying.as_mut().poll(cx));
                self.paying = None;
                if let Err(error) = paid {
                    self.last = None;
                    return Poll::Ready(Some(Err(error)));
                }
            }
            if let Some(last) = self.last.take() {
                return Poll::Ready(Some(Ok(last)));
            }
            if self.is_over(cx) {
                match self.recording.take() {
                    Some(recording) => self.paying = Some(Box::pin(async { Err(recording.cut_off().await) })),
                    None => return Poll::Ready(Some(Err(CUT_OFF.into()))),
                }
                continue;
            }
            let polled = Pin::new(&mut self.body).poll_frame(cx);
            if polled.is_pending()
                && let Some(tenure) = self.tenure.take()
            {
                self.over = Some(Box::pin(tenure.over()));
                continue; // it has to be asked once, to be heard of
            }
            match ready!(polled) {
                Some(Ok(frame)) => {
                    if let (Some(left), Some(bytes)) = (&mut self.left, frame.data_ref()) {
                        *left = left.saturating_sub(bytes.len() as u64);
                    }
                    let is_last = frame.is_trailers() || self.left == Some(0);
                    if !is_last || self.recording.is_none() {
                        return Poll::Ready(Some(Ok(frame)));
                    }
                    self.last = Some(frame);
                    self.finish(false);
                }
                Some(Err(error)) => {
                    self.finish(true);
                    if self.paying.is_none() {
                        return Poll::Ready(Some(Err(error.into())));
                    }
                }
                None if self.recording.is_some() => self.finish(false),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl Body for Answering {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut *self {
            Answering::Whole(bytes) => {
                let bytes = bytes.take().filter(|bytes| !bytes.is_empty());
                Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
            Answering::Upstream(passing) => passing.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Answering::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Answering::Upstream(passing) => {
                passing.recording.is_none()
                    && passing.paying.is_none()
                    && passing.last.is_none()
                    && passing.body.is_end_stream()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Answering::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Answering::Upstream(passing) => passing.body.size_hint(),
        }
    }
}
