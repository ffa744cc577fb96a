//! The records of a fetched partition: in memory, or named so that the socket writer can send
//! them from where they lie.

use std::borrow::Cow;

use super::decoder::Decoder;
use super::encoder::Encoder;
use super::error::{DecodeError, EncodeError};

/// Record batches in a response, one after another.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Records<'a> {
    /// No value.
    #[default]
    Null,
    /// The bytes themselves. What decoding gives, borrowed from the frame.
    Inline(Cow<'a, [u8]>),
    /// Bytes that the encoder leaves out: it writes their length and notes a [`super::Cut`].
    External {
        /// The caller's name for the bytes.
        index: u32,
        /// How many bytes they are.
        len: u32,
    },
}

impl Records<'_> {
    /// No records, but a value.
    pub const EMPTY: Self = Self::Inline(Cow::Borrowed(&[]));

    /// Bytes on the wire, 0 for null.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Inline(bytes) => bytes.len(),
            Self::External { len, .. } => *len as usize,
        }
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> Records<'a> {
    pub(super) fn read(from: &mut Decoder<'a>, null_allowed: bool) -> Result<Self, DecodeError> {
        let bytes = from.nullable_bytes(null_allowed)?;
        Ok(bytes.map_or(Self::Null, |bytes| Self::Inline(Cow::Borrowed(bytes))))
    }

    pub(super) fn write(
        &self,
        to: &mut Encoder,
        null_allowed: bool,
        field: &'static str,
    ) -> Result<(), EncodeError> {
        match self {
            Self::Null => to.nullable_bytes(None, null_allowed, field),
            Self::Inline(bytes) => to.bytes(bytes),
            Self::External { index, len } => to.external(*index, *len),
        }
    }
}
