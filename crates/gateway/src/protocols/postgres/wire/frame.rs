//! Frames: one kind byte, a length, a body.
//!
//! Two ways to read them. [`next_frame`] takes whole frames out of a buffer: for messages that somebody must understand.
//! [`Scanner`] looks at a buffer without copying or allocating and tells how many of its bytes can be forwarded as they are:
//! for the relay of rows and COPY data, where a frame may be 1 GiB and need not fit in memory. Every length is checked
//! against [`Limits`] as soon as the header is there, before the body is waited for.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::WireError;

/// Bytes of a frame's header: the kind and the length.
pub const HEADER_BYTES: usize = 1 + 4;

/// A whole message, not yet understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The kind's letter.
    pub kind: u8,
    /// What follows the length.
    pub body: Bytes,
}

impl Frame {
    /// Appends the frame as it was read.
    pub fn write(&self, out: &mut BytesMut) {
        out.reserve(HEADER_BYTES + self.body.len());
        out.put_u8(self.kind);
        let length = u32::try_from(self.body.len() + 4);
        out.put_u32(length.unwrap_or(u32::MAX));
        out.put_slice(&self.body);
    }

    /// Bytes of the whole frame on the wire.
    pub fn wire_bytes(&self) -> usize {
        HEADER_BYTES + self.body.len()
    }
}

/// A set of message kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindSet(u128);

impl KindSet {
    /// No kind.
    pub const EMPTY: Self = Self(0);

    /// The kinds with these letters (ASCII; others are left out).
    pub const fn of(letters: &[u8]) -> Self {
        let mut set = 0;
        let mut at = 0;
        while at < letters.len() {
            if letters[at] < 128 {
                set |= 1 << letters[at];
            }
            at += 1;
        }
        Self(set)
    }

    /// Whether this kind is in it.
    pub const fn contains(self, kind: u8) -> bool {
        kind < 128 && self.0 & (1 << kind) != 0
    }

    /// The kinds in either.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Which kinds may appear, and how long their bodies may be. A kind in no set is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    small: KindSet,
    small_body_bytes_max: u32,
    large: KindSet,
    large_body_bytes_max: u32,
    huge: KindSet,
    huge_body_bytes_max: u32,
}

/// Bound of messages that carry names or nothing, and of everything before authentication (PostgreSQL's own figure).
pub const SMALL_BODY_BYTES_MAX: u32 = 10_000;
/// Default bound of a client's statements, parameters and COPY chunks: 64 MiB.
pub const FRONTEND_BODY_BYTES_MAX: u32 = 64 << 20;
/// Bound of a server's control messages: 1 MiB.
const BACKEND_SMALL_BODY_BYTES_MAX: u32 = 1 << 20;
/// Bound of a server's errors, notices and descriptions: 64 MiB.
const BACKEND_LARGE_BODY_BYTES_MAX: u32 = 64 << 20;
/// Bound of a server's rows and COPY chunks: 1 GiB, the most PostgreSQL sends.
const BACKEND_HUGE_BODY_BYTES_MAX: u32 = 1 << 30;

impl Limits {
    /// A client that has not proved who it is: passwords and SASL messages only.
    pub const UNAUTHENTICATED: Self = Self {
        small: KindSet::of(b"p"),
        small_body_bytes_max: SMALL_BODY_BYTES_MAX,
        large: KindSet::EMPTY,
        large_body_bytes_max: 0,
        huge: KindSet::EMPTY,
        huge_body_bytes_max: 0,
    };
    /// A server before its session has started.
    pub const BACKEND_LOGIN: Self = Self {
        small: KindSet::of(b"RSKZENv"),
        small_body_bytes_max: BACKEND_SMALL_BODY_BYTES_MAX,
        large: KindSet::EMPTY,
        large_body_bytes_max: 0,
        huge: KindSet::EMPTY,
        huge_body_bytes_max: 0,
    };
    /// A server.
    pub const BACKEND: Self = Self {
        small: KindSet::of(b"RSKZC123nsIcGHWtv"),
        small_body_bytes_max: BACKEND_SMALL_BODY_BYTES_MAX,
        large: KindSet::of(b"TENA"),
        large_body_bytes_max: BACKEND_LARGE_BODY_BYTES_MAX,
        huge: KindSet::of(b"DdV"),
        huge_body_bytes_max: BACKEND_HUGE_BODY_BYTES_MAX,
    };

    /// An authenticated client; `body_bytes_max` bounds statements, parameters, function arguments and COPY chunks.
    pub const fn frontend(body_bytes_max: u32) -> Self {
        Self {
            small: KindSet::of(b"DCESHXcf"),
            small_body_bytes_max: SMALL_BODY_BYTES_MAX,
            large: KindSet::of(b"QPBFd"),
            large_body_bytes_max: body_bytes_max,
            huge: KindSet::EMPTY,
            huge_body_bytes_max: 0,
        }
    }

    /// The bound of this kind's body; `None`: the kind may not appear.
    pub const fn body_bytes_max(&self, kind: u8) -> Option<u32> {
        if self.small.contains(kind) {
            Some(self.small_body_bytes_max)
        } else if self.large.contains(kind) {
            Some(self.large_body_bytes_max)
        } else if self.huge.contains(kind) {
            Some(self.huge_body_bytes_max)
        } else {
            None
        }
    }
}

/// A frame's kind and size, known before its body has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The kind's letter.
    pub kind: u8,
    /// Bytes of the body.
    pub body_bytes: usize,
}

impl Header {
    /// Bytes of the whole frame.
    pub fn wire_bytes(self) -> usize {
        HEADER_BYTES + self.body_bytes
    }
}

/// The header at the front of a buffer; `None`: not all of it is there yet.
///
/// # Errors
/// The kind may not appear under these limits (told from the first byte on), or its length is impossible or too long.
pub fn peek_header(buf: &[u8], limits: &Limits) -> Result<Option<Header>, WireError> {
    let Some(&kind) = buf.first() else { return Ok(None) };
    let body_bytes_max = limits.body_bytes_max(kind).ok_or(WireError::UnknownKind(kind))?;
    let Some(length) = buf.get(1..HEADER_BYTES).and_then(|bytes| bytes.try_into().ok()).map(i32::from_be_bytes) else {
        return Ok(None);
    };
    let body_bytes = match u32::try_from(length) {
        Ok(length) if length >= 4 => length - 4,
        _ => return Err(WireError::BadLength(length)),
    };
    if body_bytes > body_bytes_max {
        let (body_bytes, body_bytes_max) = (body_bytes.into(), body_bytes_max.into());
        return Err(WireError::TooLong { kind, body_bytes, body_bytes_max });
    }
    Ok(Some(Header { kind, body_bytes: body_bytes as usize }))
}

/// Takes the next whole frame out of the buffer; `None`: more bytes are needed, and room for them is reserved a bounded
/// step at a time, so that a length alone makes nobody allocate.
///
/// # Errors
/// As [`peek_header`].
pub fn next_frame(buf: &mut BytesMut, limits: &Limits) -> Result<Option<Frame>, WireError> {
    let Some(header) = peek_header(buf, limits)? else { return Ok(None) };
    let missing = header.wire_bytes().saturating_sub(buf.len());
    if missing > 0 {
        buf.reserve(missing.min(RESERVE_STEP_BYTES));
        return Ok(None);
    }
    buf.advance(HEADER_BYTES);
    Ok(Some(Frame { kind: header.kind, body: buf.split_to(header.body_bytes).freeze() }))
}

/// How much room is made at once for a frame that has not arrived yet.
const RESERVE_STEP_BYTES: usize = 64 << 10;

/// A frame smaller than this is forwarded whole or not yet: the relay then stands between frames most of the time.
const PARTIAL_BYTES_MIN: usize = 16 << 10;

/// What stands at the front of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Scan<'a> {
    /// Bytes to forward as they are: whole frames of kinds that pass, or parts of a large one.
    Run(Run<'a>),
    /// One whole frame of a kind that does not pass.
    Stop(FrameRef<'a>),
    /// Nothing can be done before this many more bytes are there.
    Need(usize),
}

/// A whole frame inside a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRef<'a> {
    /// The kind's letter.
    pub kind: u8,
    /// The frame as on the wire, header included.
    pub raw: &'a [u8],
}

impl<'a> FrameRef<'a> {
    /// What follows the length.
    pub fn body(&self) -> &'a [u8] {
        &self.raw[HEADER_BYTES..]
    }

    /// The frame on its own.
    pub fn to_frame(self) -> Frame {
        Frame { kind: self.kind, body: Bytes::copy_from_slice(self.body()) }
    }
}

/// Contiguous bytes that can be forwarded as they are.
#[derive(Debug, PartialEq, Eq)]
pub struct Run<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// Frames that begin in them.
    pub frames: u64,
    /// `DataRow`s among these.
    pub rows: u64,
    continued: (u8, usize),
}

impl<'a> Run<'a> {
    /// The bodies (or the parts of bodies) of one kind in the run, in order: what a hash over a stream is taken of.
    pub fn bodies(&self, kind: u8) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (continued_kind, continued) = self.continued;
        let (head, mut rest) = self.bytes.split_at(continued);
        let head = (continued_kind == kind && continued > 0).then_some(head);
        head.into_iter().chain(std::iter::from_fn(move || {
            loop {
                let (found, body, after) = split_frame(rest)?;
                rest = after;
                if found == kind {
                    return Some(body);
                }
            }
        }))
    }
}

/// The frame at the front, whose body may be cut off by the end of the run. The header is known to be whole and valid.
fn split_frame(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let [kind, length @ ..] = *header;
    let body_bytes = (u32::from_be_bytes(length) as usize).checked_sub(4)?;
    let (body, after) = rest.split_at(body_bytes.min(rest.len()));
    Some((kind, body, after))
}

/// Reads frame headers in place, so that a relay can forward a whole read's worth of frames with one write.
///
/// The caller consumes what it is told: `run.bytes.len()` after a [`Scan::Run`], `frame.raw.len()` after a [`Scan::Stop`].
#[derive(Debug, Clone)]
pub struct Scanner {
    limits: Limits,
    unfinished: (u8, usize),
}

impl Scanner {
    /// At the beginning of a frame.
    pub fn new(limits: Limits) -> Self {
        Self { limits, unfinished: (0, 0) }
    }

    /// Whether everything forwarded so far ends with the end of a frame: only then may other frames be sent in between.
    pub fn at_boundary(&self) -> bool {
        self.unfinished.1 == 0
    }

    /// Looks at the front of the buffer; frames of the kinds in `pass` are forwarded without being looked into.
    ///
    /// # Errors
    /// As [`peek_header`], once all valid bytes before the offending header have been returned.
    pub fn scan<'a>(&mut self, buf: &'a [u8], pass: KindSet) -> Result<Scan<'a>, WireError> {
        let continued = (self.unfinished.0, self.unfinished.1.min(buf.len()));
        self.unfinished.1 -= continued.1;
        let mut run = Run { bytes: &[], frames: 0, rows: 0, continued };
        let mut end = continued.1;
        while self.unfinished.1 == 0 {
            let header = match peek_header(&buf[end..], &self.limits) {
                Ok(Some(header)) if pass.contains(header.kind) => header,
                Err(error) if end == 0 => return Err(error),
                _ => break,
            };
            let here = header.wire_bytes().min(buf.len() - end);
            let cut = header.wire_bytes() - here;
            if cut > 0 && header.wire_bytes() < PARTIAL_BYTES_MIN {
                break;
            }
            self.unfinished = (header.kind, cut);
            run.frames += 1;
            run.rows += u64::from(header.kind == b'D');
            end += here;
        }
        if end > 0 {
            run.bytes = &buf[..end];
            return Ok(Scan::Run(run));
        }
        self.stop(buf)
    }

    fn stop<'a>(&self, buf: &'a [u8]) -> Result<Scan<'a>, WireError> {
        if self.unfinished.1 > 0 {
            return Ok(Scan::Need(1));
        }
        let Some(header) = peek_header(buf, &self.limits)? else {
            return Ok(Scan::Need(HEADER_BYTES - buf.len()));
        };
        match buf.get(..header.wire_bytes()) {
            Some(raw) => Ok(Scan::Stop(FrameRef { kind: header.kind, raw })),
            None => Ok(Scan::Need(header.wire_bytes() - buf.len())),
        }
    }
}
