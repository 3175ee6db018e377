//! What `ErrorResponse` and `NoticeResponse` carry: a severity, a SQLSTATE, a message, and what helps to understand it.
//!
//! Reading is lossy on purpose: before the encodings are agreed a server may send any bytes, and nothing is decided by a
//! message's text. The relay forwards the frame itself. Writing cannot fail: an error must reach its client.
//!
//! Specification: <https://www.postgresql.org/docs/current/protocol-error-fields.html>.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::read::Reader;
use super::{WireError, put};

/// Most bytes of one field that we write; what is cut is counted in the text.
const FIELD_BYTES_MAX: usize = 1 << 20;
/// Most fields read of one message.
const FIELDS_MAX: usize = 64;

/// A five-character error code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SqlState([u8; 5]);

impl SqlState {
    /// `00000`: no error.
    pub const SUCCESSFUL: Self = Self(*b"00000");
    /// `08P01`: the peer broke the protocol.
    pub const PROTOCOL_VIOLATION: Self = Self(*b"08P01");
    /// `0A000`: understood, and not supported.
    pub const FEATURE_NOT_SUPPORTED: Self = Self(*b"0A000");
    /// `22021`: text that is not valid in its encoding.
    pub const CHARACTER_NOT_IN_REPERTOIRE: Self = Self(*b"22021");
    /// `28000`: no way to log in like this.
    pub const INVALID_AUTHORIZATION: Self = Self(*b"28000");
    /// `28P01`: name and key do not fit.
    pub const INVALID_PASSWORD: Self = Self(*b"28P01");
    /// `3D000`: no such database.
    pub const INVALID_CATALOG_NAME: Self = Self(*b"3D000");
    /// `42501`: refused.
    pub const INSUFFICIENT_PRIVILEGE: Self = Self(*b"42501");
    /// `53300`: too many connections.
    pub const TOO_MANY_CONNECTIONS: Self = Self(*b"53300");
    /// `54000`: a limit of the program is exceeded.
    pub const PROGRAM_LIMIT_EXCEEDED: Self = Self(*b"54000");
    /// `57014`: canceled, or waited too long.
    pub const QUERY_CANCELED: Self = Self(*b"57014");
    /// `57P01`: the server is being stopped.
    pub const ADMIN_SHUTDOWN: Self = Self(*b"57P01");
    /// `08006`: the connection to the upstream failed.
    pub const CONNECTION_FAILURE: Self = Self(*b"08006");
    /// `08001`: the upstream cannot be reached.
    pub const UNABLE_TO_CONNECT: Self = Self(*b"08001");
    /// `XX000`: a fault of ours.
    pub const INTERNAL_ERROR: Self = Self(*b"XX000");

    /// From five digits and upper-case letters.
    pub fn new(code: &str) -> Option<Self> {
        let code: [u8; 5] = code.as_bytes().try_into().ok()?;
        code.iter().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase()).then_some(Self(code))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XX000")
    }

    /// The first two characters.
    pub fn class(&self) -> &str {
        &self.as_str()[..2]
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How serious it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed.
    Error,
    /// The session ends.
    Fatal,
    /// All sessions end.
    Panic,
    /// Worth attention.
    Warning,
    /// Worth knowing.
    Notice,
    /// For developers.
    Debug,
    /// Asked for by the user.
    Info,
    /// For the server's log.
    Log,
}

impl Severity {
    /// The wire's word, as field `V` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
            Self::Panic => "PANIC",
            Self::Warning => "WARNING",
            Self::Notice => "NOTICE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Log => "LOG",
        }
    }

    fn from_wire(word: &str) -> Option<Self> {
        let all =
            [Self::Error, Self::Fatal, Self::Panic, Self::Warning, Self::Notice, Self::Debug, Self::Info, Self::Log];
        all.into_iter().find(|severity| severity.as_str() == word)
    }
}

/// An error or a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// How serious it is (field `V`).
    pub severity: Severity,
    /// The code (field `C`).
    pub code: SqlState,
    /// What happened (field `M`).
    pub message: String,
    /// More about it (field `D`).
    pub detail: Option<String>,
    /// What to do (field `H`).
    pub hint: Option<String>,
    /// Where in the statement, in characters from 1 (field `P`).
    pub position: Option<u32>,
    /// Every other field, by its letter, in order.
    pub others: Vec<(u8, String)>,
}

impl Notice {
    /// With nothing but the three that are always there.
    pub fn new(severity: Severity, code: SqlState, message: impl Into<String>) -> Self {
        Self { severity, code, message: message.into(), detail: None, hint: None, position: None, others: Vec::new() }
    }

    /// An `ERROR`.
    pub fn error(code: SqlState, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    /// A `FATAL`: the connection is closed after it.
    pub fn fatal(code: SqlState, message: impl Into<String>) -> Self {
        Self::new(Severity::Fatal, code, message)
    }

    /// The same with a detail.
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same with a hint.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Reads the body of an `ErrorResponse` or `NoticeResponse`.
    ///
    /// # Errors
    /// Severity, code or message is missing or impossible, or the fields do not end.
    pub fn decode(body: Bytes) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let mut seen = Fields::default();
        for _ in 0..FIELDS_MAX {
            match reader.u8("notice field")? {
                0 => {
                    reader.end()?;
                    return seen.finish();
                }
                letter => seen.add(letter, reader.cstr_lossy("notice field")?),
            }
        }
        Err(WireError::BadValue("notice fields"))
    }

    /// Appends it as an `ErrorResponse`.
    pub fn put_error(&self, out: &mut BytesMut) {
        self.put(out, b'E');
    }

    /// Appends it as a `NoticeResponse`.
    pub fn put_notice(&self, out: &mut BytesMut) {
        self.put(out, b'N');
    }

    fn put(&self, out: &mut BytesMut, kind: u8) {
        let written = put::message(out, kind, |out| {
            field(out, b'S', self.severity.as_str());
            field(out, b'V', self.severity.as_str());
            field(out, b'C', self.code.as_str());
            field(out, b'M', &self.message);
            let position = self.position.map(|position| position.to_string());
            for (letter, text) in [(b'D', &self.detail), (b'H', &self.hint), (b'P', &position)] {
                if let Some(text) = text {
                    field(out, letter, text);
                }
            }
            for (letter, text) in self.others.iter().take(FIELDS_MAX) {
                field(out, *letter, text);
            }
            out.put_u8(0);
            Ok(())
        });
        debug_assert!(written.is_ok(), "at most 71 fields of at most 1 MiB fit a message");
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.severity.as_str(), self.message, self.code)
    }
}

/// One field; a NUL inside is shown as U+FFFD, and text past the bound is cut and counted.
fn field(out: &mut BytesMut, letter: u8, text: &str) {
    out.put_u8(letter);
    let kept = &text[..text.floor_char_boundary(FIELD_BYTES_MAX)];
    for (at, part) in kept.split('\0').enumerate() {
        if at > 0 {
            out.put_slice("\u{FFFD}".as_bytes());
        }
        out.put_slice(part.as_bytes());
    }
    if kept.len() < text.len() {
        out.put_slice(format!("… ({} bytes cut)", text.len() - kept.len()).as_bytes());
    }
    out.put_u8(0);
}

#[derive(Default)]
struct Fields {
    localized: Option<String>,
    severity: Option<String>,
    code: Option<String>,
    message: Option<String>,
    detail: Option<String>,
    hint: Option<String>,
    position: Option<u32>,
    others: Vec<(u8, String)>,
}

impl Fields {
    fn add(&mut self, letter: u8, text: String) {
        match letter {
            b'S' => self.localized = Some(text),
            b'V' => self.severity = Some(text),
            b'C' => self.code = Some(text),
            b'M' => self.message = Some(text),
            b'D' => self.detail = Some(text),
            b'H' => self.hint = Some(text),
            b'P' => self.position = text.parse().ok(),
            _ => self.others.push((letter, text)),
        }
    }

    /// Servers before 9.6 and some poolers send no `V`; their `S` is then in English or nothing is known of it.
    fn finish(self) -> Result<Notice, WireError> {
        let severity = self.severity.or(self.localized).ok_or(WireError::Truncated("severity"))?;
        let code = self.code.ok_or(WireError::Truncated("code"))?;
        Ok(Notice {
            severity: Severity::from_wire(&severity).ok_or(WireError::BadValue("severity"))?,
            code: SqlState::new(&code).ok_or(WireError::BadValue("code"))?,
            message: self.message.ok_or(WireError::Truncated("message"))?,
            detail: self.detail,
            hint: self.hint,
            position: self.position,
            others: self.others,
        })
    }
}
