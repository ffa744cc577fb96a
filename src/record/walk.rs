//! A look at every record of a batch without keeping any: lengths add up, offsets count from 0,
//! keys are there where they must be.

use super::varint::{read_int, read_long};

/// Most records without a key that one refusal names: a client can make millions.
const KEYLESS_MAX: usize = 1000;

/// What a walk found wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalkError {
    /// A length points outside its record, or a number is cut.
    #[error("record {index} is malformed")]
    Malformed {
        /// Its number in the batch.
        index: i32,
    },
    /// Offsets in a batch count 0, 1, 2, ...
    #[error("record {index} has offset delta {delta}")]
    OffsetDelta {
        /// Its number in the batch.
        index: i32,
        /// What it says.
        delta: i32,
    },
    /// A compacted topic needs a key in every record.
    #[error("record {} has no key, and the topic is compacted", .indices[0])]
    NoKey {
        /// The numbers of such records in the batch, the first thousand of them; never empty.
        indices: Vec<i32>,
    },
    /// Bytes after the last record.
    #[error("{bytes} bytes follow the last record")]
    Surplus {
        /// How many.
        bytes: usize,
    },
}

/// Walks `count` records in `body`.
pub(super) fn walk(mut body: &[u8], count: i32, key_required: bool) -> Result<(), WalkError> {
    let mut keyless = Vec::new();
    for index in 0..count {
        let malformed = || WalkError::Malformed { index };
        let length = read_int(&mut body).and_then(|length| usize::try_from(length).ok());
        let (record, rest) =
            length.and_then(|length| body.split_at_checked(length)).ok_or_else(malformed)?;
        body = rest;
        let (delta, has_key) = inside(record).ok_or_else(malformed)?;
        if delta != index {
            return Err(WalkError::OffsetDelta { index, delta });
        }
        if key_required && !has_key && keyless.len() < KEYLESS_MAX {
            keyless.push(index);
        }
    }
    if !body.is_empty() {
        return Err(WalkError::Surplus { bytes: body.len() });
    }
    if keyless.is_empty() { Ok(()) } else { Err(WalkError::NoKey { indices: keyless }) }
}

/// The offset delta of a record, and whether it has a key; `None` when it is malformed.
fn inside(record: &[u8]) -> Option<(i32, bool)> {
    let mut from = record.get(1..)?; // attributes, unused
    read_long(&mut from)?; // timestamp delta
    let delta = read_int(&mut from)?;
    let has_key = skip_nullable(&mut from)?;
    skip_nullable(&mut from)?;
    for _ in 0..usize::try_from(read_int(&mut from)?).ok()? {
        if !skip_nullable(&mut from)? {
            return None; // a header's name is never null
        }
        skip_nullable(&mut from)?;
    }
    from.is_empty().then_some((delta, has_key))
}

/// Skips a length and so many bytes; whether there was a value.
fn skip_nullable(from: &mut &[u8]) -> Option<bool> {
    match read_int(from)? {
        -1 => Some(false),
        length => {
            *from = from.get(usize::try_from(length).ok()?..)?;
            Some(true)
        }
    }
}
