//! What stands around the bytes of an object below `meta/`.
//!
//! ```text
//! "ICE-META" | version u16 | kind: u16 length, bytes | number u64 | written at i64 | nonce 16
//! | length of the payload u64 | CRC-32C of the payload u32 | CRC-32C of all bytes before it u32
//! | payload
//! ```
//! All numbers are big-endian. Every byte is under a checksum, and kind and number are those of the
//! object's name: a copy under another name does not read as right.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::MetaKind;
use crate::checksum::crc32c;

const MAGIC: &[u8; 8] = b"ICE-META";
const VERSION: u16 = 1;

/// Tells one write from another: fresh for each.
pub(super) type Nonce = [u8; 16];

/// Why bytes are not a right object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// It does not start as one.
    #[error("it does not start as one of icecore's metadata objects")]
    Magic,
    /// Written by a later version.
    #[error("written in format version {0}, this version reads {VERSION}")]
    Version(u16),
    /// Bytes are missing or too many.
    #[error("it is cut short, or has bytes behind its end")]
    Length,
    /// A checksum does not fit.
    #[error("its bytes do not fit their checksum")]
    Checksum,
    /// It is another object than its name says.
    #[error("it is another object than its name says")]
    OtherObject,
}

impl EnvelopeError {
    /// Whether a later version wrote the object.
    pub(super) fn is_later(self) -> bool {
        matches!(self, Self::Version(version) if version > VERSION)
    }
}

/// What an object holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) number: u64,
    pub(super) written_ms: i64,
    pub(super) nonce: Nonce,
    pub(super) payload: Bytes,
}

impl Envelope {
    /// The object's bytes.
    pub(super) fn encode(&self, kind: MetaKind) -> Bytes {
        let mut bytes = BytesMut::with_capacity(128 + self.payload.len());
        bytes.put_slice(MAGIC);
        bytes.put_u16(VERSION);
        bytes.put_u16(kind.name().len() as u16);
        bytes.put_slice(kind.name().as_bytes());
        bytes.put_u64(self.number);
        bytes.put_i64(self.written_ms);
        bytes.put_slice(&self.nonce);
        bytes.put_u64(self.payload.len() as u64);
        bytes.put_u32(crc32c(&self.payload));
        let crc = crc32c(&bytes);
        bytes.put_u32(crc);
        bytes.put_slice(&self.payload);
        bytes.freeze()
    }

    /// Reads an object that is named by `kind` and `number`.
    pub(super) fn decode(bytes: &Bytes, kind: &str, number: u64) -> Result<Self, EnvelopeError> {
        let mut rest = bytes.as_ref();
        if take(&mut rest)? != *MAGIC {
            return Err(EnvelopeError::Magic);
        }
        let version = u16::from_be_bytes(take(&mut rest)?);
        if version != VERSION {
            return Err(EnvelopeError::Version(version));
        }
        let length = usize::from(u16::from_be_bytes(take(&mut rest)?));
        let shown = rest.split_off(..length).ok_or(EnvelopeError::Length)?;
        let found = u64::from_be_bytes(take(&mut rest)?);
        let written_ms = i64::from_be_bytes(take(&mut rest)?);
        let nonce = take(&mut rest)?;
        let length = u64::from_be_bytes(take(&mut rest)?);
        let payload_crc = u32::from_be_bytes(take(&mut rest)?);
        let header = &bytes[..bytes.len() - rest.len()];
        if u32::from_be_bytes(take(&mut rest)?) != crc32c(header) {
            return Err(EnvelopeError::Checksum);
        }
        if length != rest.len() as u64 {
            return Err(EnvelopeError::Length);
        }
        let payload = bytes.slice_ref(rest);
        if crc32c(&payload) != payload_crc {
            return Err(EnvelopeError::Checksum);
        }
        if shown != kind.as_bytes() || found != number {
            return Err(EnvelopeError::OtherObject);
        }
        Ok(Self { number, written_ms, nonce, payload })
    }
}

fn take<const N: usize>(from: &mut &[u8]) -> Result<[u8; N], EnvelopeError> {
    let (taken, rest) = from.split_first_chunk().ok_or(EnvelopeError::Length)?;
    *from = rest;
    Ok(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: MetaKind = MetaKind::new("things");

    fn envelope() -> Envelope {
        let payload = Bytes::from_static(b"what it is about");
        Envelope { number: 7, written_ms: 1_700_000_000_000, nonce: [9; 16], payload }
    }

    #[test]
    fn an_object_reads_back_and_no_changed_or_missing_byte_goes_unseen() {
        let bytes = envelope().encode(KIND);
        assert_eq!(Envelope::decode(&bytes, KIND.name(), 7), Ok(envelope()));
        for at in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 0x20;
            assert!(Envelope::decode(&damaged.into(), KIND.name(), 7).is_err(), "byte {at}");
            assert!(Envelope::decode(&bytes.slice(..at), KIND.name(), 7).is_err(), "cut at {at}");
        }
        let longer = [&bytes[..], b"x"].concat();
        assert_eq!(Envelope::decode(&longer.into(), KIND.name(), 7), Err(EnvelopeError::Length));
    }

    #[test]
    fn an_object_under_another_name_is_not_taken() {
        let bytes = envelope().encode(KIND);
        assert_eq!(Envelope::decode(&bytes, KIND.name(), 8), Err(EnvelopeError::OtherObject));
        assert_eq!(Envelope::decode(&bytes, "others", 7), Err(EnvelopeError::OtherObject));
    }
}
