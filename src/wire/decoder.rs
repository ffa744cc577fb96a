//! Reads Kafka's primitive types out of one frame that is wholly in memory.
//!
//! Invariants: no length or count is believed before it is compared with the bytes that remain,
//! and nothing is reserved that the memory budget does not cover. So no input can panic, recurse
//! without bound, or take more memory than `budget` beyond the frame itself. Strings, bytes and
//! records are borrowed from the frame, never copied.

use std::borrow::Cow;

use super::element::Element;
use super::error::DecodeError;

/// A budget never falls below this, so that small frames of small elements always decode.
const BUDGET_FLOOR_BYTES: usize = 64 * 1024;
/// Decoded structs are larger than their wire form by about this factor at worst in messages that
/// real clients send: a two-letter name takes 4 bytes on the wire and 40 in memory.
const BUDGET_PER_FRAME_BYTE: usize = 16;
/// No request of a real client comes near: half a million partitions in a fetch take 45 MB.
const BUDGET_CEILING_BYTES: usize = 64 * 1024 * 1024;
/// A tagged field takes at least its tag and its size.
const MIN_TAGGED_FIELD_BYTES: usize = 2;

/// A cursor over one frame.
#[derive(Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
    budget_bytes: usize,
    flexible: bool,
}

impl<'a> Decoder<'a> {
    /// Reads `frame` (without its length prefix) and lets the decoded arrays take at most
    /// `budget_bytes` of memory in sum.
    #[must_use]
    pub const fn new(frame: &'a [u8], budget_bytes: usize) -> Self {
        Self { rest: frame, budget_bytes, flexible: false }
    }

    /// Reads `frame` with [`Decoder::default_budget`].
    #[must_use]
    pub fn over(frame: &'a [u8]) -> Self {
        Self::new(frame, Self::default_budget(frame.len()))
    }

    /// The memory, in bytes, that a frame may take decoded: 16 times its length, at least 64 KiB,
    /// at most 64 MiB.
    #[must_use]
    pub fn default_budget(frame_bytes: usize) -> usize {
        frame_bytes
            .saturating_mul(BUDGET_PER_FRAME_BYTE)
            .clamp(BUDGET_FLOOR_BYTES, BUDGET_CEILING_BYTES)
    }

    /// The bytes that were not read yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How many bytes were not read yet.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Says that the message must end here.
    ///
    /// # Errors
    /// [`DecodeError::TrailingBytes`] when it does not.
    pub const fn finish(&self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            remaining => Err(DecodeError::TrailingBytes { remaining }),
        }
    }

    /// Chooses between the compact forms with tagged fields (KIP-482) and the older ones.
    pub(super) const fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedEnd`] when fewer remain.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(DecodeError::UnexpectedEnd { needed: count, remaining: self.rest.len() });
        };
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(DecodeError::UnexpectedEnd { needed: N, remaining: self.rest.len() });
        };
        self.rest = rest;
        Ok(*taken)
    }

    /// An unsigned variable-length integer: seven bits a byte, lowest first, at most five bytes.
    pub(super) fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.fixed::<1>()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0x0f {
                return Err(DecodeError::VarintTooLong);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::VarintTooLong)
    }

    /// A compact length is stored plus one, zero standing for null.
    fn compact_length(&mut self) -> Result<Option<usize>, DecodeError> {
        Ok(self.unsigned_varint()?.checked_sub(1).map(|length| length as usize))
    }

    fn string_length(&mut self) -> Result<Option<usize>, DecodeError> {
        if self.flexible { self.compact_length() } else { self.short_length() }
    }

    fn short_length(&mut self) -> Result<Option<usize>, DecodeError> {
        signed_length(i64::from(i16::from_be_bytes(self.fixed()?)))
    }

    /// The length of bytes and records, the count of an array.
    fn long_length(&mut self) -> Result<Option<usize>, DecodeError> {
        if self.flexible {
            return self.compact_length();
        }
        signed_length(i64::from(i32::from_be_bytes(self.fixed()?)))
    }

    /// A string, or null where the version allows it.
    pub(super) fn nullable_string(
        &mut self,
        allowed: bool,
    ) -> Result<Option<Cow<'a, str>>, DecodeError> {
        let length = self.string_length()?;
        non_null(length, allowed, "string")?.map(|length| self.text(length)).transpose()
    }

    /// A string or null whose length takes two bytes in flexible versions too.
    pub(super) fn nullable_short_string(&mut self) -> Result<Option<Cow<'a, str>>, DecodeError> {
        self.short_length()?.map(|length| self.text(length)).transpose()
    }

    fn text(&mut self, length: usize) -> Result<Cow<'a, str>, DecodeError> {
        std::str::from_utf8(self.take(length)?)
            .map(Cow::Borrowed)
            .map_err(|error| DecodeError::InvalidUtf8 { at: error.valid_up_to() })
    }

    /// A string that is never null.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        Ok(self.nullable_string(false)?.unwrap_or_default())
    }

    /// Bytes, or null where the version allows it.
    pub(super) fn nullable_bytes(
        &mut self,
        allowed: bool,
    ) -> Result<Option<&'a [u8]>, DecodeError> {
        let length = self.long_length()?;
        match non_null(length, allowed, "bytes")? {
            Some(length) => self.take(length).map(Some),
            None => Ok(None),
        }
    }

    /// Bytes that are never null.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        Ok(self.nullable_bytes(false)?.unwrap_or_default())
    }

    /// An array, or null where the version allows it.
    pub(super) fn nullable_array<T: Element<'a>>(
        &mut self,
        version: i16,
        allowed: bool,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let count = self.long_length()?;
        let Some(count) = non_null(count, allowed, "array")? else { return Ok(None) };
        self.charge(count, T::MIN_BYTES, size_of::<T>())?;
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(T::read(self, version)?);
        }
        Ok(Some(elements))
    }

    /// An array that is never null.
    pub(super) fn array<T: Element<'a>>(&mut self, version: i16) -> Result<Vec<T>, DecodeError> {
        Ok(self.nullable_array(version, false)?.unwrap_or_default())
    }

    /// A struct behind a presence byte: below zero stands for null.
    pub(super) fn nullable_struct<T: Element<'a>>(
        &mut self,
        version: i16,
        allowed: bool,
    ) -> Result<Option<T>, DecodeError> {
        let [presence] = self.fixed::<1>()?;
        let present = (presence.cast_signed() >= 0).then_some(());
        match non_null(present, allowed, "struct")? {
            Some(()) => T::read(self, version).map(Some),
            None => Ok(None),
        }
    }

    /// Refuses a count that the rest of the frame cannot hold, then takes the memory it will need
    /// from the budget.
    fn charge(&mut self, count: usize, wire: usize, memory: usize) -> Result<(), DecodeError> {
        if count.saturating_mul(wire) > self.rest.len() {
            return Err(DecodeError::CountBeyondFrame { count, remaining: self.rest.len() });
        }
        let needed = count.saturating_mul(memory);
        let left = self.budget_bytes;
        self.budget_bytes =
            left.checked_sub(needed).ok_or(DecodeError::OverBudget { needed, left })?;
        Ok(())
    }

    /// Hands each tagged field to `known`, which reads it and says true, or says false to have it
    /// skipped. A no-op in versions without tagged fields.
    pub(super) fn tagged_fields(
        &mut self,
        known: &mut dyn FnMut(u32, &mut Self) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        if !self.flexible {
            return Ok(());
        }
        let count = self.unsigned_varint()? as usize;
        self.charge(count, MIN_TAGGED_FIELD_BYTES, 0)?;
        for _ in 0..count {
            let tag = self.unsigned_varint()?;
            let size = self.unsigned_varint()? as usize;
            let value = self.take(size)?;
            let after = std::mem::replace(&mut self.rest, value);
            if known(tag, self)? && !self.rest.is_empty() {
                return Err(DecodeError::TagSize { tag, unread: self.rest.len() });
            }
            self.rest = after;
        }
        Ok(())
    }

    /// Skips the tagged fields of a struct that knows none.
    pub(super) fn skip_tagged_fields(&mut self) -> Result<(), DecodeError> {
        self.tagged_fields(&mut |_, _| Ok(false))
    }
}

fn signed_length(length: i64) -> Result<Option<usize>, DecodeError> {
    if length == -1 {
        return Ok(None);
    }
    usize::try_from(length).map(Some).map_err(|_| DecodeError::NegativeLength { length })
}

fn non_null<T>(
    value: Option<T>,
    allowed: bool,
    kind: &'static str,
) -> Result<Option<T>, DecodeError> {
    if value.is_none() && !allowed { Err(DecodeError::UnexpectedNull { kind }) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn varint(bytes: &[u8]) -> Result<u32, DecodeError> {
        Decoder::over(bytes).unsigned_varint()
    }

    #[test]
    fn a_variable_length_integer_has_at_most_32_bits() {
        assert_eq!(varint(&[0x7f]), Ok(127));
        assert_eq!(varint(&[0x80, 0x01]), Ok(128));
        assert_eq!(varint(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ok(u32::MAX));
        assert_eq!(varint(&[0xff, 0xff, 0xff, 0xff, 0x1f]), Err(DecodeError::VarintTooLong));
        assert_eq!(varint(&[0x80; 6]), Err(DecodeError::VarintTooLong));
        assert_eq!(varint(&[0x80]), Err(DecodeError::UnexpectedEnd { needed: 1, remaining: 0 }));
    }

    #[test]
    fn only_minus_one_stands_for_null() {
        let null = [0xff; 2];
        assert_eq!(Decoder::over(&null).nullable_string(true), Ok(None));
        let refused = Decoder::over(&null).string();
        assert_eq!(refused, Err(DecodeError::UnexpectedNull { kind: "string" }));
        let negative = Decoder::over(&[0xff, 0xfe]).nullable_string(true);
        assert_eq!(negative, Err(DecodeError::NegativeLength { length: -2 }));
    }

    #[test]
    fn text_must_be_utf8() {
        let found = Decoder::over(&[0, 3, b'a', b'b', 0xff]).string();
        assert_eq!(found, Err(DecodeError::InvalidUtf8 { at: 2 }));
    }

    #[test]
    fn arrays_in_sum_stay_within_the_budget() {
        let bytes = [0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 9];
        let mut from = Decoder::new(&bytes, 8);
        assert_eq!(from.array::<i32>(0), Ok(vec![7, 8]));
        assert_eq!(from.array::<i32>(0), Err(DecodeError::OverBudget { needed: 4, left: 0 }));
    }

    #[test]
    fn a_known_tagged_field_fills_its_declared_size() {
        let mut from = Decoder::over(&[1, 5, 3, 0, 9, 9]);
        from.set_flexible(true);
        let read = from.tagged_fields(&mut |_, from| i16::read(from, 0).map(|_| true));
        assert_eq!(read, Err(DecodeError::TagSize { tag: 5, unread: 1 }));
    }

    #[test]
    fn the_default_budget_has_a_floor_and_a_ceiling() {
        assert_eq!(Decoder::default_budget(0), 64 << 10);
        assert_eq!(Decoder::default_budget(1 << 20), 16 << 20);
        assert_eq!(Decoder::default_budget(usize::MAX), 64 << 20);
    }
}
