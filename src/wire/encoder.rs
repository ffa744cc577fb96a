//! Writes Kafka's primitive types into one growing buffer, with cuts where a response's records
//! are not in memory.
//!
//! Invariant: the bytes that go to the socket are `buf` with the content of each cut inserted at
//! its position; every length in `buf` counts them already. Cut positions never decrease.

use bytes::{BufMut as _, BytesMut};

use super::element::Element;
use super::error::EncodeError;
use super::error_codes::ErrorCodes;

/// A place in an encoder's buffer where bytes from elsewhere (a range of a file) belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Bytes of the buffer that come before the inserted ones.
    pub position: usize,
    /// Which of the caller's external values it is.
    pub index: u32,
    /// How many bytes the external value has; never 0.
    pub len: u32,
}

/// A buffer that a message is written into.
#[derive(Debug, Default)]
pub struct Encoder {
    /// What was written so far.
    pub buf: BytesMut,
    /// Where external bytes belong, in order of position.
    pub cuts: Vec<Cut>,
    error_codes: ErrorCodes,
    message: &'static str,
    version: i16,
    flexible: bool,
}

impl Encoder {
    /// An empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty buffer with room for `capacity_bytes`.
    #[must_use]
    pub fn with_capacity(capacity_bytes: usize) -> Self {
        Self { buf: BytesMut::with_capacity(capacity_bytes), ..Self::default() }
    }

    /// The bytes that will go over the wire: the buffer and every external value.
    #[must_use]
    pub fn total_len(&self) -> usize {
        self.buf.len() + self.cuts.iter().map(|cut| cut.len as usize).sum::<usize>()
    }

    /// The error codes that were written so far.
    #[must_use]
    pub const fn error_codes(&self) -> &ErrorCodes {
        &self.error_codes
    }

    /// The buffer and its cuts.
    #[must_use]
    pub fn into_parts(self) -> (BytesMut, Vec<Cut>) {
        (self.buf, self.cuts)
    }

    /// Names the message for errors and chooses between the compact forms with tagged fields
    /// (KIP-482) and the older ones.
    pub(super) const fn begin(&mut self, message: &'static str, version: i16, flexible: bool) {
        self.message = message;
        self.version = version;
        self.flexible = flexible;
    }

    pub(super) const fn is_flexible(&self) -> bool {
        self.flexible
    }

    /// An unsigned variable-length integer: seven bits a byte, lowest first.
    pub(super) fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.buf.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.buf.put_u8(value as u8);
    }

    /// An error code: it is counted as well.
    pub(super) fn error_code(&mut self, code: i16) -> Result<(), EncodeError> {
        self.error_codes.add(code);
        self.buf.put_i16(code);
        Ok(())
    }

    /// Answers for a field that this version lacks and that may not be dropped silently.
    pub(super) const fn absent(
        &self,
        field: &'static str,
        is_default: bool,
    ) -> Result<(), EncodeError> {
        if is_default {
            return Ok(());
        }
        let Self { message, version, .. } = *self;
        Err(EncodeError::FieldAbsent { message, field, version })
    }

    const fn null_refused(&self, field: &'static str) -> EncodeError {
        EncodeError::NullNotAllowed { message: self.message, field, version: self.version }
    }

    const fn too_long(&self, length: usize, limit: usize) -> EncodeError {
        EncodeError::TooLong { message: self.message, version: self.version, length, limit }
    }

    fn compact_length(&mut self, length: usize) -> Result<(), EncodeError> {
        let limit = i32::MAX as usize - 1;
        if length > limit {
            return Err(self.too_long(length, limit));
        }
        self.unsigned_varint(length as u32 + 1);
        Ok(())
    }

    /// The length of bytes and records, the count of an array.
    fn long_length(&mut self, length: usize) -> Result<(), EncodeError> {
        if self.flexible {
            return self.compact_length(length);
        }
        match i32::try_from(length) {
            Ok(length) => self.buf.put_i32(length),
            Err(_) => return Err(self.too_long(length, i32::MAX as usize)),
        }
        Ok(())
    }

    fn null_length(&mut self) {
        if self.flexible { self.unsigned_varint(0) } else { self.buf.put_i32(-1) }
    }

    pub(super) fn string(&mut self, text: &str) -> Result<(), EncodeError> {
        if !self.flexible {
            return self.short_string(text);
        }
        self.compact_length(text.len())?;
        self.buf.put_slice(text.as_bytes());
        Ok(())
    }

    fn short_string(&mut self, text: &str) -> Result<(), EncodeError> {
        match i16::try_from(text.len()) {
            Ok(length) => self.buf.put_i16(length),
            Err(_) => return Err(self.too_long(text.len(), i16::MAX as usize)),
        }
        self.buf.put_slice(text.as_bytes());
        Ok(())
    }

    /// A string or null whose length takes two bytes in flexible versions too.
    pub(super) fn nullable_short_string(&mut self, text: Option<&str>) -> Result<(), EncodeError> {
        match text {
            Some(text) => return self.short_string(text),
            None => self.buf.put_i16(-1),
        }
        Ok(())
    }

    pub(super) fn nullable_string(
        &mut self,
        text: Option<&str>,
        allowed: bool,
        field: &'static str,
    ) -> Result<(), EncodeError> {
        match text {
            Some(text) => return self.string(text),
            None if !allowed => return Err(self.null_refused(field)),
            None if self.flexible => self.unsigned_varint(0),
            None => self.buf.put_i16(-1),
        }
        Ok(())
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.long_length(bytes.len())?;
        self.buf.put_slice(bytes);
        Ok(())
    }

    pub(super) fn nullable_bytes(
        &mut self,
        bytes: Option<&[u8]>,
        allowed: bool,
        field: &'static str,
    ) -> Result<(), EncodeError> {
        match bytes {
            Some(bytes) => return self.bytes(bytes),
            None if !allowed => return Err(self.null_refused(field)),
            None => self.null_length(),
        }
        Ok(())
    }

    /// The length of an external value, and a cut where its bytes belong.
    pub(super) fn external(&mut self, index: u32, len: u32) -> Result<(), EncodeError> {
        self.long_length(len as usize)?;
        if len > 0 {
            self.cuts.push(Cut { position: self.buf.len(), index, len });
        }
        Ok(())
    }

    pub(super) fn array<'a, T: Element<'a>>(
        &mut self,
        elements: &[T],
        version: i16,
    ) -> Result<(), EncodeError> {
        self.long_length(elements.len())?;
        elements.iter().try_for_each(|element| element.write(self, version))
    }

    pub(super) fn nullable_array<'a, T: Element<'a>>(
        &mut self,
        elements: Option<&[T]>,
        version: i16,
        allowed: bool,
        field: &'static str,
    ) -> Result<(), EncodeError> {
        match elements {
            Some(elements) => return self.array(elements, version),
            None if !allowed => return Err(self.null_refused(field)),
            None => self.null_length(),
        }
        Ok(())
    }

    /// A struct behind a presence byte: 1, or -1 for null.
    pub(super) fn nullable_struct<'a, T: Element<'a>>(
        &mut self,
        value: Option<&T>,
        version: i16,
        allowed: bool,
        field: &'static str,
    ) -> Result<(), EncodeError> {
        match value {
            Some(value) => {
                self.buf.put_i8(1);
                return value.write(self, version);
            }
            None if !allowed => return Err(self.null_refused(field)),
            None => self.buf.put_i8(-1),
        }
        Ok(())
    }

    /// The empty tagged-field section of a struct that has nothing to say in it.
    pub(super) fn no_tagged_fields(&mut self) {
        if self.flexible {
            self.unsigned_varint(0);
        }
    }

    /// How many of a struct's known tagged fields follow.
    pub(super) fn tagged_count(&mut self, set: &[bool]) {
        self.unsigned_varint(set.iter().filter(|is_set| **is_set).count() as u32);
    }

    /// One tagged field. Its size comes before it and is known only after it was written, so the
    /// value moves up by the size's own one to five bytes; such values are small.
    pub(super) fn tagged_field(
        &mut self,
        tag: u32,
        write: impl FnOnce(&mut Self) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.unsigned_varint(tag);
        let start = self.buf.len();
        write(self)?;
        debug_assert!(self.cuts.last().is_none_or(|cut| cut.position < start));
        let size = self.buf.len() - start;
        let Ok(size_u32) = u32::try_from(size) else {
            return Err(self.too_long(size, u32::MAX as usize));
        };
        self.unsigned_varint(size_u32);
        self.buf[start..].rotate_left(size);
        Ok(())
    }
}
