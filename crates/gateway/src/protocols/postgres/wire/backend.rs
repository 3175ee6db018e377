//! What a server sends: encoded for our clients, decoded for the relay and for our own questions to an upstream.
//!
//! Encoders append to a buffer. Those that take text from outside can fail and then append nothing. Errors and notices are
//! in [`super::notice`].

use bytes::{BufMut, Bytes, BytesMut};

use super::notice::Notice;
use super::read::Reader;
use super::startup::{CancelKey, ProtocolVersion};
use super::{Format, Frame, TransactionStatus, WireError, put};

/// A message of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A step of authentication.
    Authentication(Authentication),
    /// A setting's value, at the start and whenever it changes.
    ParameterStatus(ParameterStatus),
    /// What a cancel request must show.
    BackendKeyData(CancelKey),
    /// The next message may come.
    ReadyForQuery(TransactionStatus),
    /// A statement is done.
    CommandComplete(CommandTag),
    /// A statement failed.
    Error(Notice),
    /// Something to know.
    Notice(Notice),
    /// The server waits for a COPY stream.
    CopyIn(CopyFormats),
    /// A COPY stream follows.
    CopyOut(CopyFormats),
    /// COPY streams both ways (replication).
    CopyBoth(CopyFormats),
    /// A chunk of a COPY stream.
    CopyData(Bytes),
    /// The COPY stream is complete.
    CopyDone,
    /// A statement is prepared.
    ParseComplete,
    /// A portal is made.
    BindComplete,
    /// A statement or portal is forgotten.
    CloseComplete,
    /// A portal reached its row limit.
    PortalSuspended,
    /// What was described yields no rows.
    NoData,
    /// The text was empty.
    EmptyQuery,
    /// The types of a statement's parameters.
    ParameterDescription(Vec<u32>),
    /// The columns that follow.
    RowDescription(Vec<Column>),
    /// A row's values; `None` is NULL.
    DataRow(Vec<Option<Bytes>>),
    /// A `NOTIFY` of another session.
    Notification(Notification),
    /// A function's result; `None` is NULL.
    FunctionCallResponse(Option<Bytes>),
    /// The server speaks an older minor version, or does not know some options.
    NegotiateProtocolVersion(Negotiation),
}

/// A step of authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authentication {
    /// Done.
    Ok,
    /// The password itself is asked for.
    CleartextPassword,
    /// Its MD5 hash with this salt is asked for.
    Md5Password([u8; 4]),
    /// A SASL exchange by one of these mechanisms is asked for.
    Sasl(Vec<String>),
    /// The exchange goes on.
    SaslContinue(Bytes),
    /// The exchange ends.
    SaslFinal(Bytes),
    /// A way that we do not know (Kerberos, SSPI, …), by its number.
    Unsupported(u32),
}

/// `ParameterStatus`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterStatus {
    /// The setting.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// What a finished statement did: `INSERT 0 3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandTag {
    /// As the server says it.
    pub tag: String,
}

impl CommandTag {
    /// How many rows it returned or changed, if it says so.
    pub fn rows(&self) -> Option<u64> {
        let (_, last) = self.tag.rsplit_once(' ')?;
        last.parse().ok()
    }
}

/// How a COPY stream is encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyFormats {
    /// Of the whole stream.
    pub overall: Format,
    /// Of each column.
    pub columns: Vec<Format>,
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The table it comes from, or 0.
    pub table: u32,
    /// Its number in that table, or 0.
    pub attribute: i16,
    /// Its type.
    pub type_oid: u32,
    /// The type's size; negative if it varies.
    pub type_size: i16,
    /// The type's modifier.
    pub type_modifier: i32,
    /// The format its values have.
    pub format: Format,
}

/// `NotificationResponse`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The notifying session's process.
    pub process_id: u32,
    /// The channel.
    pub channel: String,
    /// The text.
    pub payload: String,
}

/// `NegotiateProtocolVersion`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiation {
    /// The newest version the server speaks.
    pub version: ProtocolVersion,
    /// The options it does not know.
    pub unknown_options: Vec<String>,
}

impl Message {
    /// Decodes a frame of a server.
    ///
    /// # Errors
    /// [`WireError`]: the frame is not exactly one known message.
    pub fn decode(frame: Frame) -> Result<Self, WireError> {
        let (b'E' | b'N') = frame.kind else { return Self::decode_ordinary(frame) };
        let notice = Notice::decode(frame.body)?;
        Ok(if frame.kind == b'E' { Self::Error(notice) } else { Self::Notice(notice) })
    }

    fn decode_ordinary(frame: Frame) -> Result<Self, WireError> {
        let mut reader = Reader::new(frame.body);
        let message = match frame.kind {
            b'R' => Self::Authentication(authentication_body(&mut reader)?),
            b'S' => Self::ParameterStatus(ParameterStatus { name: reader.cstr("name")?, value: reader.cstr("value")? }),
            b'K' => Self::BackendKeyData(CancelKey { process_id: reader.u32("process id")?, secret: reader.rest() }),
            b'Z' => Self::ReadyForQuery(TransactionStatus::from_wire(reader.u8("transaction status")?)?),
            b'C' => Self::CommandComplete(CommandTag { tag: reader.cstr("command tag")? }),
            b'G' => Self::CopyIn(copy_formats(&mut reader)?),
            b'H' => Self::CopyOut(copy_formats(&mut reader)?),
            b'W' => Self::CopyBoth(copy_formats(&mut reader)?),
            b'd' => Self::CopyData(reader.rest()),
            b'c' => Self::CopyDone,
            b'1' => Self::ParseComplete,
            b'2' => Self::BindComplete,
            b'3' => Self::CloseComplete,
            b's' => Self::PortalSuspended,
            b'n' => Self::NoData,
            b'I' => Self::EmptyQuery,
            b't' => Self::ParameterDescription(list(&mut reader, "parameter types", |reader| reader.u32("type"))?),
            b'T' => Self::RowDescription(list(&mut reader, "columns", column)?),
            b'D' => Self::DataRow(list(&mut reader, "values", |reader| reader.value("value"))?),
            b'A' => Self::Notification(notification(&mut reader)?),
            b'V' => Self::FunctionCallResponse(reader.value("value")?),
            b'v' => Self::NegotiateProtocolVersion(negotiation(&mut reader)?),
            unknown => return Err(WireError::UnknownKind(unknown)),
        };
        reader.end()?;
        Ok(message)
    }
}

fn authentication_body(reader: &mut Reader) -> Result<Authentication, WireError> {
    Ok(match reader.u32("authentication")? {
        0 => Authentication::Ok,
        3 => Authentication::CleartextPassword,
        5 => Authentication::Md5Password(reader.u32("salt")?.to_be_bytes()),
        10 => Authentication::Sasl(mechanisms(reader)?),
        11 => Authentication::SaslContinue(reader.rest()),
        12 => Authentication::SaslFinal(reader.rest()),
        other => {
            reader.rest();
            Authentication::Unsupported(other)
        }
    })
}

/// Most SASL mechanisms read of one message.
const MECHANISMS_MAX: usize = 64;

fn mechanisms(reader: &mut Reader) -> Result<Vec<String>, WireError> {
    let mut all = Vec::new();
    while all.len() < MECHANISMS_MAX {
        match reader.cstr("mechanism")? {
            end if end.is_empty() => return Ok(all),
            mechanism => all.push(mechanism),
        }
    }
    Err(WireError::BadValue("mechanisms"))
}

fn copy_formats(reader: &mut Reader) -> Result<CopyFormats, WireError> {
    let overall = Format::from_wire(reader.u8("format")?.into())?;
    let columns = list(reader, "formats", |reader| Format::from_wire(reader.u16("format")?))?;
    Ok(CopyFormats { overall, columns })
}

fn column(reader: &mut Reader) -> Result<Column, WireError> {
    Ok(Column {
        name: reader.cstr("column")?,
        table: reader.u32("table")?,
        attribute: reader.i16("attribute")?,
        type_oid: reader.u32("type")?,
        type_size: reader.i16("type size")?,
        type_modifier: reader.i32("type modifier")?,
        format: Format::from_wire(reader.u16("format")?)?,
    })
}

fn notification(reader: &mut Reader) -> Result<Notification, WireError> {
    Ok(Notification {
        process_id: reader.u32("process id")?,
        channel: reader.cstr("channel")?,
        payload: reader.cstr("payload")?,
    })
}

fn negotiation(reader: &mut Reader) -> Result<Negotiation, WireError> {
    let version = ProtocolVersion::from_wire(reader.u32("version")?);
    let count = reader.u32("options")?;
    let mut unknown_options = Vec::new();
    for _ in 0..count {
        unknown_options.push(reader.cstr("option")?);
    }
    Ok(Negotiation { version, unknown_options })
}

/// A 16-bit count and that many items; each takes bytes, so a count alone makes nobody allocate.
fn list<T>(
    reader: &mut Reader,
    field: &'static str,
    item: impl Fn(&mut Reader) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    let count = reader.u16(field)?;
    (0..count).map(|_| item(reader)).collect()
}

/// Appends `AuthenticationOk`.
pub fn authentication_ok(out: &mut BytesMut) {
    out.put_slice(&[b'R', 0, 0, 0, 8, 0, 0, 0, 0]);
}

/// Appends `AuthenticationSASL`.
///
/// # Errors
/// A mechanism has a NUL inside.
pub fn authentication_sasl(out: &mut BytesMut, mechanisms: &[&str]) -> Result<(), WireError> {
    put::message(out, b'R', |out| {
        out.put_u32(10);
        for mechanism in mechanisms {
            put::cstr(out, mechanism, "mechanism")?;
        }
        out.put_u8(0);
        Ok(())
    })
}

/// Appends `AuthenticationSASLContinue`.
///
/// # Errors
/// The data is too long for the wire.
pub fn authentication_sasl_continue(out: &mut BytesMut, data: &[u8]) -> Result<(), WireError> {
    put_authentication(out, 11, data)
}

/// Appends `AuthenticationSASLFinal`.
///
/// # Errors
/// The data is too long for the wire.
pub fn authentication_sasl_final(out: &mut BytesMut, data: &[u8]) -> Result<(), WireError> {
    put_authentication(out, 12, data)
}

fn put_authentication(out: &mut BytesMut, code: u32, data: &[u8]) -> Result<(), WireError> {
    put::message(out, b'R', |out| {
        out.put_u32(code);
        out.put_slice(data);
        Ok(())
    })
}

/// Appends `ParameterStatus`.
///
/// # Errors
/// A string has a NUL inside.
pub fn parameter_status(out: &mut BytesMut, name: &str, value: &str) -> Result<(), WireError> {
    put::message(out, b'S', |out| {
        put::cstr(out, name, "name")?;
        put::cstr(out, value, "value")
    })
}

/// Appends `BackendKeyData`.
///
/// # Errors
/// The secret is too long for the wire.
pub fn backend_key_data(out: &mut BytesMut, key: &CancelKey) -> Result<(), WireError> {
    put::message(out, b'K', |out| {
        out.put_u32(key.process_id);
        out.put_slice(&key.secret);
        Ok(())
    })
}

/// Appends `ReadyForQuery`.
pub fn ready_for_query(out: &mut BytesMut, status: TransactionStatus) {
    out.put_slice(&[b'Z', 0, 0, 0, 5, status.to_wire()]);
}

/// Appends `NegotiateProtocolVersion`.
///
/// # Errors
/// An option has a NUL inside, or there are too many.
pub fn negotiate_protocol_version(out: &mut BytesMut, negotiation: &Negotiation) -> Result<(), WireError> {
    put::message(out, b'v', |out| {
        out.put_u32(negotiation.version.to_wire());
        let count = u32::try_from(negotiation.unknown_options.len());
        out.put_u32(count.map_err(|_| WireError::BadValue("options"))?);
        negotiation.unknown_options.iter().try_for_each(|option| put::cstr(out, option, "option"))
    })
}

/// Appends `CommandComplete`.
///
/// # Errors
/// The tag has a NUL inside.
pub fn command_complete(out: &mut BytesMut, tag: &str) -> Result<(), WireError> {
    put::message(out, b'C', |out| put::cstr(out, tag, "command tag"))
}

/// Appends `RowDescription`.
///
/// # Errors
/// A name has a NUL inside, or there are more than 65,535 columns.
pub fn row_description(out: &mut BytesMut, columns: &[Column]) -> Result<(), WireError> {
    put::message(out, b'T', |out| {
        put::count(out, columns.len(), "columns")?;
        for column in columns {
            put::cstr(out, &column.name, "column")?;
            out.put_u32(column.table);
            out.put_i16(column.attribute);
            out.put_u32(column.type_oid);
            out.put_i16(column.type_size);
            out.put_i32(column.type_modifier);
            out.put_u16(column.format.to_wire());
        }
        Ok(())
    })
}

/// Appends `DataRow`.
///
/// # Errors
/// More than 65,535 values, or one that is too long.
pub fn data_row(out: &mut BytesMut, values: &[Option<&[u8]>]) -> Result<(), WireError> {
    put::message(out, b'D', |out| {
        put::count(out, values.len(), "values")?;
        values.iter().try_for_each(|value| put::value(out, *value, "values"))
    })
}

/// Appends `CopyInResponse`.
///
/// # Errors
/// More than 65,535 columns.
pub fn copy_in(out: &mut BytesMut, formats: &CopyFormats) -> Result<(), WireError> {
    put::message(out, b'G', |out| {
        out.put_u8(if formats.overall == Format::Binary { 1 } else { 0 });
        put::count(out, formats.columns.len(), "formats")?;
        formats.columns.iter().for_each(|format| out.put_u16(format.to_wire()));
        Ok(())
    })
}

/// Appends `ParameterDescription`.
///
/// # Errors
/// More than 65,535 types.
pub fn parameter_description(out: &mut BytesMut, types: &[u32]) -> Result<(), WireError> {
    put::message(out, b't', |out| {
        put::count(out, types.len(), "parameter types")?;
        types.iter().for_each(|oid| out.put_u32(*oid));
        Ok(())
    })
}

/// A message without a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Empty {
    /// `ParseComplete`.
    ParseComplete,
    /// `BindComplete`.
    BindComplete,
    /// `CloseComplete`.
    CloseComplete,
    /// `PortalSuspended`.
    PortalSuspended,
    /// `NoData`.
    NoData,
    /// `EmptyQueryResponse`.
    EmptyQuery,
    /// `CopyDone`.
    CopyDone,
}

/// Appends a message without a body.
pub fn empty(out: &mut BytesMut, message: Empty) {
    let kind = match message {
        Empty::ParseComplete => b'1',
        Empty::BindComplete => b'2',
        Empty::CloseComplete => b'3',
        Empty::PortalSuspended => b's',
        Empty::NoData => b'n',
        Empty::EmptyQuery => b'I',
        Empty::CopyDone => b'c',
    };
    out.put_slice(&[kind, 0, 0, 0, 4]);
}
