//! A cursor over a message's body. Every read is checked; [`Reader::end`] proves that nothing is left.

use std::ffi::CStr;

use bytes::{Buf, Bytes};

use super::WireError;

pub(super) struct Reader {
    body: Bytes,
}

impl Reader {
    pub(super) fn new(body: Bytes) -> Self {
        Self { body }
    }

    pub(super) fn remaining(&self) -> usize {
        self.body.len()
    }

    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8, WireError> {
        self.body.try_get_u8().map_err(|_| WireError::Truncated(field))
    }

    pub(super) fn u16(&mut self, field: &'static str) -> Result<u16, WireError> {
        self.body.try_get_u16().map_err(|_| WireError::Truncated(field))
    }

    pub(super) fn i16(&mut self, field: &'static str) -> Result<i16, WireError> {
        self.body.try_get_i16().map_err(|_| WireError::Truncated(field))
    }

    pub(super) fn u32(&mut self, field: &'static str) -> Result<u32, WireError> {
        self.body.try_get_u32().map_err(|_| WireError::Truncated(field))
    }

    pub(super) fn i32(&mut self, field: &'static str) -> Result<i32, WireError> {
        self.body.try_get_i32().map_err(|_| WireError::Truncated(field))
    }

    pub(super) fn bytes(&mut self, count: usize, field: &'static str) -> Result<Bytes, WireError> {
        if count > self.body.len() {
            return Err(WireError::Truncated(field));
        }
        Ok(self.body.split_to(count))
    }

    /// The bytes up to the next NUL; the NUL is consumed.
    pub(super) fn cstr_bytes(&mut self, field: &'static str) -> Result<Bytes, WireError> {
        let len = CStr::from_bytes_until_nul(&self.body).map_err(|_| WireError::Truncated(field))?.count_bytes();
        let text = self.body.split_to(len);
        self.body.advance(1);
        Ok(text)
    }

    /// A NUL-terminated string that is UTF-8.
    pub(super) fn cstr(&mut self, field: &'static str) -> Result<String, WireError> {
        let bytes = self.cstr_bytes(field)?;
        String::from_utf8(Vec::from(bytes)).map_err(|_| WireError::NotUtf8(field))
    }

    /// A NUL-terminated string, each invalid sequence shown as U+FFFD: for reading what a server says, not for deciding.
    pub(super) fn cstr_lossy(&mut self, field: &'static str) -> Result<String, WireError> {
        Ok(String::from_utf8_lossy(&self.cstr_bytes(field)?).into_owned())
    }

    /// A value with a length before it; −1 is NULL.
    pub(super) fn value(&mut self, field: &'static str) -> Result<Option<Bytes>, WireError> {
        match self.i32(field)? {
            -1 => Ok(None),
            len => {
                let len = usize::try_from(len).map_err(|_| WireError::BadValue(field))?;
                self.bytes(len, field).map(Some)
            }
        }
    }

    /// Everything that is left.
    pub(super) fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.body)
    }

    /// What is left, without consuming it.
    pub(super) fn peek_rest(&self) -> Bytes {
        self.body.clone()
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), WireError> {
        match self.body.len() {
            0 => Ok(()),
            left => Err(WireError::Trailing(left)),
        }
    }
}
