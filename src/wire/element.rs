//! What can stand in a message: primitives here, structs in the generated files.

use std::borrow::Cow;

use bytes::BufMut as _;

use super::decoder::Decoder;
use super::encoder::Encoder;
use super::error::{DecodeError, EncodeError};
use crate::model::TopicId;

/// A value with one wire form per version of the message that holds it.
pub trait Element<'a>: Sized {
    /// The fewest bytes that any version writes; at least 1, so that a count is bounded by the
    /// bytes that remain.
    const MIN_BYTES: usize;

    /// Reads one value.
    ///
    /// # Errors
    /// What [`DecodeError`] names.
    fn read(from: &mut Decoder<'a>, version: i16) -> Result<Self, DecodeError>;

    /// Writes one value.
    ///
    /// # Errors
    /// What [`EncodeError`] names.
    fn write(&self, to: &mut Encoder, version: i16) -> Result<(), EncodeError>;
}

macro_rules! fixed_width {
    ($($type:ty),*) => {$(
        impl<'a> Element<'a> for $type {
            const MIN_BYTES: usize = size_of::<$type>();

            #[inline]
            fn read(from: &mut Decoder<'a>, _version: i16) -> Result<Self, DecodeError> {
                from.fixed().map(Self::from_be_bytes)
            }

            #[inline]
            fn write(&self, to: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
                to.buf.put_slice(&self.to_be_bytes());
                Ok(())
            }
        }
    )*};
}

fixed_width!(i8, i16, u16, i32, i64, f64);

impl<'a> Element<'a> for bool {
    const MIN_BYTES: usize = 1;

    fn read(from: &mut Decoder<'a>, _version: i16) -> Result<Self, DecodeError> {
        from.fixed::<1>().map(|[byte]| byte != 0)
    }

    fn write(&self, to: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        to.buf.put_u8(u8::from(*self));
        Ok(())
    }
}

impl<'a> Element<'a> for [u8; 16] {
    const MIN_BYTES: usize = 16;

    fn read(from: &mut Decoder<'a>, _version: i16) -> Result<Self, DecodeError> {
        from.fixed()
    }

    fn write(&self, to: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        to.buf.put_slice(self);
        Ok(())
    }
}

impl<'a> Element<'a> for TopicId {
    const MIN_BYTES: usize = 16;

    fn read(from: &mut Decoder<'a>, _version: i16) -> Result<Self, DecodeError> {
        from.fixed().map(Self::from_bytes)
    }

    fn write(&self, to: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        to.buf.put_slice(self.as_bytes());
        Ok(())
    }
}

impl<'a> Element<'a> for Cow<'a, str> {
    const MIN_BYTES: usize = 1;

    fn read(from: &mut Decoder<'a>, _version: i16) -> Result<Self, DecodeError> {
        from.string()
    }

    fn write(&self, to: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        to.string(self)
    }
}

impl<'a> Element<'a> for Cow<'a, [u8]> {
    const MIN_BYTES: usize = 1;

    fn read(from: &mut Decoder<'a>, _version: i16) -> Result<Self, DecodeError> {
        from.bytes().map(Cow::Borrowed)
    }

    fn write(&self, to: &mut Encoder, _version: i16) -> Result<(), EncodeError> {
        to.bytes(self)
    }
}
