//! Bytes ↔ messages of PostgreSQL's frontend/backend protocol 3.x.
//!
//! A gate must read exactly what the server will read, so this codec is strict: text is the bytes as sent, invalid UTF-8
//! and interior NULs are errors, counts and lengths must add up, trailing bytes are errors, unknown kinds are errors. Every
//! length is bounded before a byte is buffered. Nothing here does I/O, and nothing here knows what a message means.
//!
//! - [`frame`]: kind, length, body; the owned [`frame::next_frame`] and the copy-free [`frame::Scanner`] of the relay.
//! - [`startup`]: the untyped packets of a connection's beginning.
//! - [`frontend`] and [`backend`]: the messages of either side; [`notice`]: what errors and notices carry.
//!
//! Specification: <https://www.postgresql.org/docs/current/protocol-message-formats.html>.

pub mod backend;
pub mod frame;
pub mod frontend;
pub mod notice;
pub mod startup;

mod put;
mod read;
#[cfg(test)]
mod tests;

pub use frame::{Frame, KindSet, Limits};

/// Why bytes are not a message. Which side is to blame follows from whose bytes they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A message kind that does not exist, or not in this direction, or not at this point.
    #[error("message kind `{}` is not known here", .0.escape_ascii())]
    UnknownKind(u8),
    /// The length field is below the smallest possible.
    #[error("a message length of {0} is impossible")]
    BadLength(i32),
    /// The message is longer than its kind may be here.
    #[error("a message `{}` of {body_bytes} bytes exceeds the limit of {body_bytes_max}", kind.escape_ascii())]
    TooLong {
        /// The message's kind; 0 for startup packets.
        kind: u8,
        /// Its body's length.
        body_bytes: u64,
        /// The bound.
        body_bytes_max: u64,
    },
    /// The body ends before the field does.
    #[error("the message ends inside `{0}`")]
    Truncated(&'static str),
    /// The body goes on after the last field.
    #[error("the message has {0} bytes after its end")]
    Trailing(usize),
    /// A string is not UTF-8.
    #[error("`{0}` is not valid UTF-8")]
    NotUtf8(&'static str),
    /// A string to be sent has a NUL inside.
    #[error("`{0}` has a NUL inside")]
    InteriorNul(&'static str),
    /// A field has a value that means nothing.
    #[error("`{0}` has an impossible value")]
    BadValue(&'static str),
    /// Something that may appear once appears again.
    #[error("`{0}` is given twice")]
    Duplicate(String),
}

/// The state of the server's transaction, as `ReadyForQuery` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    /// Outside a transaction block.
    Idle,
    /// Inside one.
    InTransaction,
    /// Inside one that failed: everything but its end is refused.
    Failed,
}

impl TransactionStatus {
    /// From the wire's letter.
    ///
    /// # Errors
    /// [`WireError::BadValue`] for any other letter.
    pub fn from_wire(letter: u8) -> Result<Self, WireError> {
        match letter {
            b'I' => Ok(Self::Idle),
            b'T' => Ok(Self::InTransaction),
            b'E' => Ok(Self::Failed),
            _ => Err(WireError::BadValue("transaction status")),
        }
    }

    /// The wire's letter.
    pub fn to_wire(self) -> u8 {
        match self {
            Self::Idle => b'I',
            Self::InTransaction => b'T',
            Self::Failed => b'E',
        }
    }
}

/// Format of a value: text or binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The type's text form, in the client's encoding.
    Text,
    /// The type's binary form.
    Binary,
}

impl Format {
    fn from_wire(code: u16) -> Result<Self, WireError> {
        match code {
            0 => Ok(Self::Text),
            1 => Ok(Self::Binary),
            _ => Err(WireError::BadValue("format code")),
        }
    }

    fn to_wire(self) -> u16 {
        match self {
            Self::Text => 0,
            Self::Binary => 1,
        }
    }
}
