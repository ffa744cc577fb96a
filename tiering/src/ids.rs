//! The names of things that both tiers share: offsets, epochs, topic and segment ids.
//!
//! Each is a type of its own, so that an offset is never taken for a position or a length.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The place of a record in its partition. Real offsets are never negative; `Offset` can hold the
/// protocol's negative markers so that decoding is total, and callers check where it matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(i64);

impl Offset {
    /// The first offset of every partition.
    pub const ZERO: Self = Self(0);
    /// Larger than any real offset.
    pub const MAX: Self = Self(i64::MAX);

    /// Wraps a raw offset.
    #[must_use]
    pub const fn new(value: i64) -> Self {
        Self(value)
    }

    /// The raw number, as it stands in the protocol and in file names.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The offset after this one. Saturates at [`Offset::MAX`].
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The offset before this one. Saturates at `i64::MIN`.
    #[must_use]
    pub const fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl Add<i64> for Offset {
    type Output = Self;
    /// Saturating, since the operand can come from a client.
    fn add(self, delta: i64) -> Self {
        Self(self.0.saturating_add(delta))
    }
}

impl Sub for Offset {
    type Output = i64;
    fn sub(self, other: Self) -> i64 {
        self.0.saturating_sub(other.0)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Counts the leaders that a partition has had. Written into every batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaderEpoch(i32);

impl LeaderEpoch {
    /// The epoch of a partition's first leader.
    pub const ZERO: Self = Self(0);
    /// The protocol's "no epoch".
    pub const NONE: Self = Self(-1);

    /// Wraps a raw epoch.
    #[must_use]
    pub const fn new(value: i32) -> Self {
        Self(value)
    }

    /// The raw number.
    #[must_use]
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl fmt::Display for LeaderEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A text that is not an id of the expected form.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id: {text:?} ({expected})")]
pub struct ParseIdError {
    text: String,
    expected: &'static str,
}

/// A topic's identity: it survives a rename of nothing and a re-creation of the name never.
/// Shown as Kafka shows it, 22 characters of base64url (KIP-516).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId([u8; 16]);

impl TopicId {
    /// The protocol's "no id".
    pub const ZERO: Self = Self([0; 16]);

    /// A fresh random id; never [`TopicId::ZERO`], and never one whose text starts with `-`, which
    /// command lines would take for a flag.
    #[must_use]
    pub fn random() -> Self {
        loop {
            let id = Self(*uuid::Uuid::new_v4().as_bytes());
            if !id.to_string().starts_with('-') {
                return id;
            }
        }
    }

    /// From the 16 bytes of the protocol.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes of the protocol.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// 32 lower-case hex digits: the form in object names, safe where case is folded.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }

    /// Reads [`TopicId::to_hex`]'s form.
    ///
    /// # Errors
    /// When `text` is not exactly 32 lower-case hex digits.
    pub fn from_hex(text: &str) -> Result<Self, ParseIdError> {
        parse_hex(text).map(Self)
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TopicId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let not = || ParseIdError { text: text.to_owned(), expected: "22 characters of base64url" };
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| not())?;
        Ok(Self(bytes.try_into().map_err(|_| not())?))
    }
}

/// One sealed segment's identity, fresh for every seal, so that no two objects share a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId([u8; 16]);

impl SegmentId {
    /// A fresh random id.
    #[must_use]
    pub fn random() -> Self {
        Self(*uuid::Uuid::new_v4().as_bytes())
    }

    /// From 16 stored bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes to store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for SegmentId {
    /// 32 lower-case hex digits: the form in object names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SegmentId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        parse_hex(text).map(Self)
    }
}

fn hex(bytes: &[u8; 16]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(32), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn parse_hex(text: &str) -> Result<[u8; 16], ParseIdError> {
    let not = || ParseIdError { text: text.to_owned(), expected: "32 lower-case hex digits" };
    let digits = text.as_bytes();
    if digits.len() != 32 || !digits.iter().all(|d| matches!(d, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(not());
    }
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| not())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| not())?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_id_reads_back_from_both_of_its_texts() {
        for _ in 0..100 {
            let id = TopicId::random();
            assert_eq!(id.to_string().len(), 22);
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(TopicId::from_hex(&id.to_hex()), Ok(id));
        }
    }

    #[test]
    fn a_segment_id_refuses_other_lengths_cases_and_letters() {
        let id = SegmentId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in [
            "",
            "00",
            &id.to_string().to_uppercase().replace(|c: char| c.is_ascii_digit(), "A"),
            &"g".repeat(32),
        ] {
            assert!(text.parse::<SegmentId>().is_err(), "{text}");
        }
    }

    #[test]
    fn offset_arithmetic_saturates_where_a_client_could_overflow_it() {
        assert_eq!(Offset::MAX + 1, Offset::MAX);
        assert_eq!(Offset::new(i64::MIN) - Offset::new(1), i64::MIN);
    }
}
