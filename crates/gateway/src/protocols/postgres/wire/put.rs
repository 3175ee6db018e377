//! Writing a message: the kind, the length once it is known, strings with their NUL.

use bytes::{BufMut, BytesMut};

use super::WireError;

/// Appends one message whose body `fill` writes; nothing is appended if `fill` fails or the body is too long for the wire.
pub(super) fn message(
    out: &mut BytesMut,
    kind: u8,
    fill: impl FnOnce(&mut BytesMut) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let start = out.len();
    out.put_u8(kind);
    let filled = untyped(out, fill);
    if filled.is_err() {
        out.truncate(start);
    }
    filled
}

/// As [`message`], for the packets of a connection's beginning, which have no kind.
pub(super) fn untyped(
    out: &mut BytesMut,
    fill: impl FnOnce(&mut BytesMut) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let start = out.len();
    out.put_u32(0);
    let filled = fill(out).and_then(|()| length(out.len() - start));
    match filled {
        Ok(length) => {
            out[start..start + 4].copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

fn length(bytes: usize) -> Result<i32, WireError> {
    i32::try_from(bytes).map_err(|_| WireError::TooLong {
        kind: 0,
        body_bytes: bytes as u64,
        body_bytes_max: i32::MAX as u64,
    })
}

/// A string and its NUL.
pub(super) fn cstr(out: &mut BytesMut, text: &str, field: &'static str) -> Result<(), WireError> {
    if text.as_bytes().contains(&0) {
        return Err(WireError::InteriorNul(field));
    }
    out.put_slice(text.as_bytes());
    out.put_u8(0);
    Ok(())
}

/// A count as the wire's 16 bits.
pub(super) fn count(out: &mut BytesMut, count: usize, field: &'static str) -> Result<(), WireError> {
    out.put_u16(u16::try_from(count).map_err(|_| WireError::BadValue(field))?);
    Ok(())
}

/// A value with its length before it; NULL is −1.
pub(super) fn value(out: &mut BytesMut, value: Option<&[u8]>, field: &'static str) -> Result<(), WireError> {
    match value {
        None => out.put_i32(-1),
        Some(bytes) => {
            out.put_i32(i32::try_from(bytes.len()).map_err(|_| WireError::BadValue(field))?);
            out.put_slice(bytes);
        }
    }
    Ok(())
}
