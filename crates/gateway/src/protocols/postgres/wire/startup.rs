//! The packets of a connection's beginning, which have no kind: start-up, TLS and GSS requests, cancel requests.
//!
//! What a client asks for is parsed as the server would parse it, settings hidden in `options` included, so that nothing
//! reaches the upstream's session unseen. Names of settings are lower-cased: the server compares them without case.
//!
//! Specification: <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP>.

use std::collections::BTreeMap;
use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::read::Reader;
use super::{WireError, put};

/// Bound of a packet before authentication, its length included (PostgreSQL's `MAX_STARTUP_PACKET_LENGTH`).
pub const STARTUP_BYTES_MAX: usize = 10_000;
/// Bounds of a cancel request's secret.
const CANCEL_SECRET_BYTES: std::ops::RangeInclusive<usize> = 4..=256;
/// Most protocol options that we list back.
const PROTOCOL_OPTIONS_MAX: usize = 100;

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProtocolVersion {
    /// Incompatible versions differ in it.
    pub major: u16,
    /// Additions.
    pub minor: u16,
}

impl ProtocolVersion {
    /// What everybody speaks.
    pub const V3_0: Self = Self { major: 3, minor: 0 };
    /// With cancel secrets longer than 4 bytes; the newest we speak.
    pub const V3_2: Self = Self { major: 3, minor: 2 };

    /// From the wire's number.
    pub const fn from_wire(number: u32) -> Self {
        Self { major: (number >> 16) as u16, minor: number as u16 }
    }

    /// The wire's number.
    pub const fn to_wire(self) -> u32 {
        ((self.major as u32) << 16) | self.minor as u32
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

const CANCEL_REQUEST: u32 = 1234 << 16 | 5678;
const SSL_REQUEST: u32 = 1234 << 16 | 5679;
const GSSENC_REQUEST: u32 = 1234 << 16 | 5680;

/// What names a session for a cancel request. Whoever has it can cancel the session's statements.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CancelKey {
    /// The server process.
    pub process_id: u32,
    /// The secret: 4 bytes before protocol 3.2.
    pub secret: Bytes,
}

impl fmt::Debug for CancelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelKey").field("process_id", &self.process_id).finish_non_exhaustive()
    }
}

/// The first packet of a connection, or the one after an encryption request was answered. A client may ask for each kind of
/// encryption once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// The client wants TLS: answer one byte, `S` or `N`. After `S` the buffer must be empty, or somebody injected bytes.
    Tls,
    /// The client wants GSS encryption: answer `N`.
    Gss,
    /// Cancel a session's statement; no answer.
    Cancel(CancelKey),
    /// Start a session.
    Startup(Startup),
}

/// What a client asks its session to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Startup {
    /// The version it speaks.
    pub version: ProtocolVersion,
    /// Who it says it is; never empty.
    pub user: String,
    /// The database; the user's name if none is given.
    pub database: String,
    /// It asks for a replication session.
    pub replication: bool,
    /// Every setting, from `options` and from parameters (which win, as in the server); names in lower case.
    pub settings: BTreeMap<String, String>,
    /// Names of protocol options (`_pq_.…`), none of which we know.
    pub protocol_options: Vec<String>,
}

impl Startup {
    /// What must be told to the client before authentication, if its version or options go beyond ours.
    pub fn negotiation(&self) -> Option<super::backend::Negotiation> {
        let beyond = self.version > ProtocolVersion::V3_2 || !self.protocol_options.is_empty();
        beyond.then(|| super::backend::Negotiation {
            version: self.spoken(),
            unknown_options: self.protocol_options.clone(),
        })
    }

    /// The version that the session speaks.
    pub fn spoken(&self) -> ProtocolVersion {
        self.version.min(ProtocolVersion::V3_2)
    }
}

/// Why a connection's beginning is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartupError {
    /// It is no packet.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// It speaks another protocol.
    #[error("protocol version {0} is not supported; this server speaks 3.0 to 3.2")]
    UnsupportedVersion(ProtocolVersion),
    /// It names no user.
    #[error("no user name is given")]
    NoUser,
    /// `options` has something other than settings.
    #[error("`options` has `{0}`, which is not a setting of the form `-c name=value` or `--name=value`")]
    UnsupportedOption(String),
    /// A setting has the name of something else.
    #[error("`{0}` is not a setting")]
    ReservedName(String),
}

/// Takes the next packet of a connection's beginning; `None`: more bytes are needed.
///
/// # Errors
/// [`StartupError`]; the connection must be closed.
pub fn next_opening(buf: &mut BytesMut) -> Result<Option<Opening>, StartupError> {
    let Some(length) = buf.first_chunk::<4>().copied().map(i32::from_be_bytes) else { return Ok(None) };
    let bytes = match usize::try_from(length) {
        Ok(bytes) if bytes >= 8 => bytes,
        _ => return Err(WireError::BadLength(length).into()),
    };
    if bytes > STARTUP_BYTES_MAX {
        let (body_bytes, body_bytes_max) = (bytes as u64, STARTUP_BYTES_MAX as u64);
        return Err(WireError::TooLong { kind: 0, body_bytes, body_bytes_max }.into());
    }
    if buf.len() < bytes {
        return Ok(None);
    }
    let mut packet = buf.split_to(bytes).freeze();
    packet.advance(4);
    opening(Reader::new(packet)).map(Some)
}

fn opening(mut reader: Reader) -> Result<Opening, StartupError> {
    let opening = match reader.u32("version")? {
        SSL_REQUEST => Opening::Tls,
        GSSENC_REQUEST => Opening::Gss,
        CANCEL_REQUEST => Opening::Cancel(cancel_body(&mut reader)?),
        version => Opening::Startup(startup_body(ProtocolVersion::from_wire(version), &mut reader)?),
    };
    reader.end()?;
    Ok(opening)
}

fn cancel_body(reader: &mut Reader) -> Result<CancelKey, WireError> {
    let key = CancelKey { process_id: reader.u32("process id")?, secret: reader.rest() };
    if CANCEL_SECRET_BYTES.contains(&key.secret.len()) { Ok(key) } else { Err(WireError::BadValue("cancel secret")) }
}

fn startup_body(version: ProtocolVersion, reader: &mut Reader) -> Result<Startup, StartupError> {
    if version.major != 3 {
        return Err(StartupError::UnsupportedVersion(version));
    }
    let mut given = parameters(reader)?;
    let user = given.remove("user").filter(|user| !user.is_empty()).ok_or(StartupError::NoUser)?;
    let database = given.remove("database").filter(|name| !name.is_empty()).unwrap_or_else(|| user.clone());
    let replication = given.remove("replication").is_some_and(|value| !is_false(&value));
    let mut settings = match given.remove("options") {
        Some(options) => parse_options(&options)?,
        None => BTreeMap::new(),
    };
    let (protocol_options, parameters): (Vec<_>, Vec<_>) =
        given.into_iter().partition(|(name, _)| name.starts_with("_pq_."));
    if protocol_options.len() > PROTOCOL_OPTIONS_MAX {
        return Err(WireError::BadValue("options").into());
    }
    settings.extend(lower_cased(parameters)?);
    if let Some(name) = settings.keys().find(|name| is_reserved(name)) {
        return Err(StartupError::ReservedName(name.clone()));
    }
    let protocol_options = protocol_options.into_iter().map(|(name, _)| name).collect();
    Ok(Startup { version, user, database, replication, settings, protocol_options })
}

fn parameters(reader: &mut Reader) -> Result<BTreeMap<String, String>, WireError> {
    let mut given = BTreeMap::new();
    loop {
        let name = reader.cstr("parameter")?;
        if name.is_empty() {
            return Ok(given);
        }
        let value = reader.cstr("parameter value")?;
        if given.insert(name.clone(), value).is_some() {
            return Err(WireError::Duplicate(name));
        }
    }
}

fn lower_cased(parameters: Vec<(String, String)>) -> Result<BTreeMap<String, String>, WireError> {
    let mut settings = BTreeMap::new();
    for (name, value) in parameters {
        let name = name.to_ascii_lowercase();
        if settings.insert(name.clone(), value).is_some() {
            return Err(WireError::Duplicate(name));
        }
    }
    Ok(settings)
}

/// Whether a name means something else than a setting in a start-up packet, in whatever case it was written: passed on
/// as a setting it would change who logs in where.
pub fn is_reserved(name: &str) -> bool {
    matches!(name, "user" | "database" | "options" | "replication") || name.starts_with("_pq_.")
}

/// The spellings of false that PostgreSQL's `parse_bool` takes. Anything else, nonsense included, is not false.
fn is_false(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    let prefix_of = |word: &str, least: usize| value.len() >= least && word.starts_with(&value);
    prefix_of("false", 1) || prefix_of("no", 1) || prefix_of("off", 2) || value == "0"
}

/// The settings that an `options` string (`PGOPTIONS`) makes, as the server reads it: words are split at white space, a
/// backslash takes the next character as it is, and the last of several values for one setting holds.
///
/// # Errors
/// [`StartupError::UnsupportedOption`] for anything but `-c name=value`, `-cname=value` and `--name=value`.
pub fn parse_options(options: &str) -> Result<BTreeMap<String, String>, StartupError> {
    let mut settings = BTreeMap::new();
    let mut words = split_options(options).into_iter();
    while let Some(word) = words.next() {
        let setting = match word.as_bytes() {
            b"-c" => words.next().ok_or_else(|| StartupError::UnsupportedOption(word.clone()))?,
            [b'-', b'c', ..] | [b'-', b'-', _, ..] => word[2..].to_owned(),
            _ => return Err(StartupError::UnsupportedOption(word)),
        };
        let (name, value) = setting.split_once('=').ok_or_else(|| StartupError::UnsupportedOption(word.clone()))?;
        if name.is_empty() {
            return Err(StartupError::UnsupportedOption(word));
        }
        // The server's ParseLongOption takes a dash in a name for an underscore.
        settings.insert(name.replace('-', "_").to_ascii_lowercase(), value.to_owned());
    }
    Ok(settings)
}

/// PostgreSQL's `pg_split_opts`.
fn split_options(options: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut escaped = false;
    for c in options.chars() {
        match c {
            ' ' | '\t'..='\r' if !escaped => words.extend(word.take()),
            '\\' if !escaped => {
                escaped = true;
                word.get_or_insert_default();
            }
            _ => {
                escaped = false;
                word.get_or_insert_default().push(c);
            }
        }
    }
    words.extend(word);
    words
}

/// Appends the packet that starts a session, protocol 3.0.
///
/// # Errors
/// A string has a NUL inside, or a name is empty.
pub fn startup(out: &mut BytesMut, parameters: &BTreeMap<&str, &str>) -> Result<(), WireError> {
    put::untyped(out, |out| {
        out.put_u32(ProtocolVersion::V3_0.to_wire());
        for (name, value) in parameters {
            if name.is_empty() {
                return Err(WireError::BadValue("parameter"));
            }
            put::cstr(out, name, "parameter")?;
            put::cstr(out, value, "parameter value")?;
        }
        out.put_u8(0);
        Ok(())
    })
}

/// Appends the packet that asks for TLS.
pub fn ssl_request(out: &mut BytesMut) {
    out.put_u32(8);
    out.put_u32(SSL_REQUEST);
}

/// Appends a cancel request.
///
/// # Errors
/// The secret's length is none that a server gives.
pub fn cancel_request(out: &mut BytesMut, key: &CancelKey) -> Result<(), WireError> {
    if !CANCEL_SECRET_BYTES.contains(&key.secret.len()) {
        return Err(WireError::BadValue("cancel secret"));
    }
    put::untyped(out, |out| {
        out.put_u32(CANCEL_REQUEST);
        out.put_u32(key.process_id);
        out.put_slice(&key.secret);
        Ok(())
    })
}
