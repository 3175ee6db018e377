//! What a client sends: decoded exactly, and encoded for the messages we send to an upstream ourselves.
//!
//! Decoding a frame either accounts for every byte of it or fails. Encoders append to a buffer and append nothing when they
//! fail. Passwords and SASL messages have decoders of their own: they may appear only before `AuthenticationOk`.

use bytes::{BufMut, Bytes, BytesMut};
use secrecy::SecretString;

use super::read::Reader;
use super::{Format, Frame, WireError, put};

/// A message of an authenticated client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Run this text (simple protocol).
    Query(Query),
    /// Prepare a statement.
    Parse(Parse),
    /// Make a portal of a statement and values.
    Bind(Bind),
    /// Ask what a statement or portal yields.
    Describe(Target),
    /// Forget a statement or portal.
    Close(Target),
    /// Run a portal.
    Execute(Execute),
    /// End of an extended-protocol message: errors before it skip to it.
    Sync,
    /// Send what there is.
    Flush,
    /// A chunk of a COPY stream.
    CopyData(Bytes),
    /// The COPY stream is complete.
    CopyDone,
    /// The COPY stream is to be dropped.
    CopyFail(String),
    /// Goodbye.
    Terminate,
    /// Call a function by its oid.
    FunctionCall(FunctionCall),
}

/// `Query`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The text, exactly.
    pub sql: String,
}

/// `Parse`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parse {
    /// The statement's name; empty for the unnamed one.
    pub name: String,
    /// The text, exactly.
    pub sql: String,
    /// Oids of the parameters' types; 0 where the server is to find out.
    pub types: Vec<u32>,
}

/// `Bind`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// The portal's name; empty for the unnamed one.
    pub portal: String,
    /// The statement's name; empty for the unnamed one.
    pub statement: String,
    /// None: all text; one: all of that format; else one a value.
    pub formats: Vec<Format>,
    /// The values; `None` is NULL.
    pub values: Vec<Option<Bytes>>,
    /// The same for the columns of the result.
    pub result_formats: Vec<Format>,
    /// Everything after the two names, as sent: what [`bind`] takes to send the same values under other names.
    pub tail: Bytes,
}

impl Bind {
    /// The format of the value at `index`.
    pub fn format(&self, index: usize) -> Format {
        match self.formats.as_slice() {
            [] => Format::Text,
            [all] => *all,
            each => each.get(index).copied().unwrap_or(Format::Text),
        }
    }
}

/// What a `Describe` or `Close` is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A prepared statement.
    Statement(String),
    /// A portal.
    Portal(String),
}

/// `Execute`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execute {
    /// The portal's name; empty for the unnamed one.
    pub portal: String,
    /// Suspend after this many rows; 0: never.
    pub max_rows: u32,
}

/// `FunctionCall`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionCall {
    /// The function's oid.
    pub function: u32,
    /// As in [`Bind`].
    pub formats: Vec<Format>,
    /// The arguments; `None` is NULL.
    pub arguments: Vec<Option<Bytes>>,
    /// The result's format.
    pub result_format: Format,
}

impl Message {
    /// Decodes a frame of an authenticated client.
    ///
    /// # Errors
    /// [`WireError`]: the frame is not exactly one known message. The connection cannot be trusted after it.
    pub fn decode(frame: Frame) -> Result<Self, WireError> {
        let mut reader = Reader::new(frame.body);
        let message = match frame.kind {
            b'Q' => Self::Query(Query { sql: reader.cstr("query")? }),
            b'P' => Self::Parse(parse_body(&mut reader)?),
            b'B' => Self::Bind(bind_body(&mut reader)?),
            b'D' => Self::Describe(target(&mut reader)?),
            b'C' => Self::Close(target(&mut reader)?),
            b'E' => Self::Execute(execute_body(&mut reader)?),
            b'S' => Self::Sync,
            b'H' => Self::Flush,
            b'd' => Self::CopyData(reader.rest()),
            b'c' => Self::CopyDone,
            b'f' => Self::CopyFail(reader.cstr("reason")?),
            b'X' => Self::Terminate,
            b'F' => Self::FunctionCall(function_call_body(&mut reader)?),
            unknown => return Err(WireError::UnknownKind(unknown)),
        };
        reader.end()?;
        Ok(message)
    }
}

fn parse_body(reader: &mut Reader) -> Result<Parse, WireError> {
    let name = reader.cstr("statement")?;
    let sql = reader.cstr("query")?;
    let count = usize::from(reader.u16("parameter types")?);
    need(reader, count * 4, "parameter types")?;
    let types = (0..count).map(|_| reader.u32("parameter types")).collect::<Result<_, _>>()?;
    Ok(Parse { name, sql, types })
}

fn bind_body(reader: &mut Reader) -> Result<Bind, WireError> {
    let portal = reader.cstr("portal")?;
    let statement = reader.cstr("statement")?;
    let tail = reader.peek_rest();
    let formats = formats(reader)?;
    let values = values(reader, &formats)?;
    let result_formats = self::formats(reader)?;
    Ok(Bind { portal, statement, formats, values, result_formats, tail })
}

fn execute_body(reader: &mut Reader) -> Result<Execute, WireError> {
    let portal = reader.cstr("portal")?;
    // The server takes a negative limit for none.
    let max_rows = u32::try_from(reader.i32("row limit")?).unwrap_or(0);
    Ok(Execute { portal, max_rows })
}

fn function_call_body(reader: &mut Reader) -> Result<FunctionCall, WireError> {
    let function = reader.u32("function")?;
    let formats = formats(reader)?;
    let arguments = values(reader, &formats)?;
    let result_format = Format::from_wire(reader.u16("result format")?)?;
    Ok(FunctionCall { function, formats, arguments, result_format })
}

fn target(reader: &mut Reader) -> Result<Target, WireError> {
    match reader.u8("target")? {
        b'S' => Ok(Target::Statement(reader.cstr("statement")?)),
        b'P' => Ok(Target::Portal(reader.cstr("portal")?)),
        _ => Err(WireError::BadValue("target")),
    }
}

fn formats(reader: &mut Reader) -> Result<Vec<Format>, WireError> {
    let count = usize::from(reader.u16("formats")?);
    need(reader, count * 2, "formats")?;
    (0..count).map(|_| Format::from_wire(reader.u16("formats")?)).collect()
}

fn values(reader: &mut Reader, formats: &[Format]) -> Result<Vec<Option<Bytes>>, WireError> {
    let count = usize::from(reader.u16("values")?);
    if formats.len() > 1 && formats.len() != count {
        return Err(WireError::BadValue("formats"));
    }
    need(reader, count * 4, "values")?;
    (0..count).map(|_| reader.value("values")).collect()
}

/// A count must be backed by bytes before room is made for it.
fn need(reader: &Reader, bytes: usize, field: &'static str) -> Result<(), WireError> {
    if reader.remaining() < bytes { Err(WireError::Truncated(field)) } else { Ok(()) }
}

/// What a client answers to `AuthenticationSASL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaslInitial {
    /// The mechanism it chose.
    pub mechanism: String,
    /// Its first message, if it sent one.
    pub data: Option<Bytes>,
}

/// Decodes the answer to `AuthenticationSASL`.
///
/// # Errors
/// [`WireError`], another kind of message included.
pub fn decode_sasl_initial(frame: Frame) -> Result<SaslInitial, WireError> {
    let mut reader = Reader::new(credential(frame)?);
    let mechanism = reader.cstr("mechanism")?;
    let data = reader.value("SASL data")?;
    reader.end()?;
    Ok(SaslInitial { mechanism, data })
}

/// Decodes the answer to `AuthenticationSASLContinue`.
///
/// # Errors
/// [`WireError`], another kind of message included.
pub fn decode_sasl_response(frame: Frame) -> Result<Bytes, WireError> {
    credential(frame)
}

/// Decodes the answer to `AuthenticationCleartextPassword`.
///
/// # Errors
/// [`WireError`], another kind of message included.
pub fn decode_password(frame: Frame) -> Result<SecretString, WireError> {
    let mut reader = Reader::new(credential(frame)?);
    let password = reader.cstr("password").map(SecretString::from)?;
    reader.end()?;
    Ok(password)
}

fn credential(frame: Frame) -> Result<Bytes, WireError> {
    if frame.kind == b'p' { Ok(frame.body) } else { Err(WireError::UnknownKind(frame.kind)) }
}

/// Appends `Query`.
///
/// # Errors
/// The text has a NUL inside.
pub fn query(out: &mut BytesMut, sql: &str) -> Result<(), WireError> {
    put::message(out, b'Q', |out| put::cstr(out, sql, "query"))
}

/// Appends `Parse`.
///
/// # Errors
/// A string has a NUL inside, or there are more than 65,535 types.
pub fn parse(out: &mut BytesMut, parse: &Parse) -> Result<(), WireError> {
    put::message(out, b'P', |out| {
        put::cstr(out, &parse.name, "statement")?;
        put::cstr(out, &parse.sql, "query")?;
        put::count(out, parse.types.len(), "parameter types")?;
        parse.types.iter().for_each(|oid| out.put_u32(*oid));
        Ok(())
    })
}

/// The two names of a `Bind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindNames<'a> {
    /// The portal to make.
    pub portal: &'a str,
    /// The statement to make it of.
    pub statement: &'a str,
}

/// Appends `Bind` with values as another `Bind` had them ([`Bind::tail`]) or as [`bind_tail`] made them.
///
/// # Errors
/// A name has a NUL inside.
pub fn bind(out: &mut BytesMut, names: BindNames<'_>, tail: &[u8]) -> Result<(), WireError> {
    put::message(out, b'B', |out| {
        put::cstr(out, names.portal, "portal")?;
        put::cstr(out, names.statement, "statement")?;
        out.put_slice(tail);
        Ok(())
    })
}

/// The part of a `Bind` after its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindValues<'a> {
    /// As in [`Bind`].
    pub formats: &'a [Format],
    /// As in [`Bind`].
    pub values: &'a [Option<&'a [u8]>],
    /// As in [`Bind`].
    pub result_formats: &'a [Format],
}

/// The bytes of a `Bind` after its names, for [`bind`].
///
/// # Errors
/// More than 65,535 of something, or a value that is too long.
pub fn bind_tail(values: BindValues<'_>) -> Result<Bytes, WireError> {
    let mut out = BytesMut::new();
    put_formats(&mut out, values.formats)?;
    put::count(&mut out, values.values.len(), "values")?;
    for value in values.values {
        put::value(&mut out, *value, "values")?;
    }
    put_formats(&mut out, values.result_formats)?;
    Ok(out.freeze())
}

fn put_formats(out: &mut BytesMut, formats: &[Format]) -> Result<(), WireError> {
    put::count(out, formats.len(), "formats")?;
    formats.iter().for_each(|format| out.put_u16(format.to_wire()));
    Ok(())
}

/// Appends `Describe`.
///
/// # Errors
/// The name has a NUL inside.
pub fn describe(out: &mut BytesMut, target: &Target) -> Result<(), WireError> {
    put_target(out, b'D', target)
}

/// Appends `Close`.
///
/// # Errors
/// The name has a NUL inside.
pub fn close(out: &mut BytesMut, target: &Target) -> Result<(), WireError> {
    put_target(out, b'C', target)
}

fn put_target(out: &mut BytesMut, kind: u8, target: &Target) -> Result<(), WireError> {
    put::message(out, kind, |out| {
        let (letter, name) = match target {
            Target::Statement(name) => (b'S', name),
            Target::Portal(name) => (b'P', name),
        };
        out.put_u8(letter);
        put::cstr(out, name, "target")
    })
}

/// Appends `Execute`.
///
/// # Errors
/// The name has a NUL inside, or the limit exceeds the wire's.
pub fn execute(out: &mut BytesMut, execute: &Execute) -> Result<(), WireError> {
    put::message(out, b'E', |out| {
        put::cstr(out, &execute.portal, "portal")?;
        out.put_i32(i32::try_from(execute.max_rows).map_err(|_| WireError::BadValue("row limit"))?);
        Ok(())
    })
}

/// Appends `Sync`.
pub fn sync(out: &mut BytesMut) {
    put_empty(out, b'S');
}

/// Appends `Flush`.
pub fn flush(out: &mut BytesMut) {
    put_empty(out, b'H');
}

/// Appends `CopyDone`.
pub fn copy_done(out: &mut BytesMut) {
    put_empty(out, b'c');
}

/// Appends `Terminate`.
pub fn terminate(out: &mut BytesMut) {
    put_empty(out, b'X');
}

fn put_empty(out: &mut BytesMut, kind: u8) {
    out.put_slice(&[kind, 0, 0, 0, 4]);
}

/// Appends `CopyData`.
///
/// # Errors
/// The chunk is too long for the wire.
pub fn copy_data(out: &mut BytesMut, chunk: &[u8]) -> Result<(), WireError> {
    put::message(out, b'd', |out| {
        out.put_slice(chunk);
        Ok(())
    })
}

/// Appends `CopyFail`.
///
/// # Errors
/// The reason has a NUL inside.
pub fn copy_fail(out: &mut BytesMut, reason: &str) -> Result<(), WireError> {
    put::message(out, b'f', |out| put::cstr(out, reason, "reason"))
}

/// Appends `FunctionCall`.
///
/// # Errors
/// More than 65,535 of something, or a value that is too long.
pub fn function_call(out: &mut BytesMut, call: &FunctionCall) -> Result<(), WireError> {
    put::message(out, b'F', |out| {
        out.put_u32(call.function);
        put_formats(out, &call.formats)?;
        put::count(out, call.arguments.len(), "values")?;
        for argument in &call.arguments {
            put::value(out, argument.as_deref(), "values")?;
        }
        out.put_u16(call.result_format.to_wire());
        Ok(())
    })
}

/// Appends a `FunctionCall` whose body is at hand.
///
/// # Errors
/// It is too long for the wire.
pub fn function_call_sealed(out: &mut BytesMut, body: &[u8]) -> Result<(), WireError> {
    put::message(out, b'F', |out| {
        out.put_slice(body);
        Ok(())
    })
}

/// Appends `SASLInitialResponse`.
///
/// # Errors
/// The mechanism has a NUL inside.
pub fn sasl_initial(out: &mut BytesMut, mechanism: &str, data: &[u8]) -> Result<(), WireError> {
    put::message(out, b'p', |out| {
        put::cstr(out, mechanism, "mechanism")?;
        put::value(out, Some(data), "SASL data")
    })
}

/// Appends `SASLResponse`.
///
/// # Errors
/// The data is too long for the wire.
pub fn sasl_response(out: &mut BytesMut, data: &[u8]) -> Result<(), WireError> {
    put::message(out, b'p', |out| {
        out.put_slice(data);
        Ok(())
    })
}

/// Appends `PasswordMessage`.
///
/// # Errors
/// The password has a NUL inside.
pub fn password(out: &mut BytesMut, password: &str) -> Result<(), WireError> {
    put::message(out, b'p', |out| put::cstr(out, password, "password"))
}
