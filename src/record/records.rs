//! Reads the records of a batch, unpacking them within a bound.

use bytes::Bytes;

use super::codec::{Codec, CodecError};
use super::header::{BatchHeader, HEADER_LEN, TimestampType};
use super::varint::{read_int, read_long};
use crate::model::Offset;

/// A name and an optional value beside a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// UTF-8 by the protocol; kept as bytes, since nobody checked.
    pub name: Bytes,
    /// May be absent.
    pub value: Option<Bytes>,
}

/// One record, sharing the bytes of its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the partition.
    pub offset: Offset,
    /// In milliseconds.
    pub timestamp_ms: i64,
    /// May be absent.
    pub key: Option<Bytes>,
    /// Absent: a tombstone.
    pub value: Option<Bytes>,
    /// In their order.
    pub headers: Vec<RecordHeader>,
}

/// Records that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Fewer bytes than the header tells.
    #[error("the batch at offset {0} is cut")]
    Cut(Offset),
    /// No codec has this number.
    #[error("the batch at offset {0} names no codec")]
    UnknownCodec(Offset),
    /// The records do not unpack.
    #[error("the batch at offset {offset}: {source}")]
    Codec {
        /// Which batch.
        offset: Offset,
        /// Why not.
        source: CodecError,
    },
    /// A record's lengths do not add up.
    #[error("record {index} of the batch at offset {offset} is malformed")]
    Malformed {
        /// Which batch.
        offset: Offset,
        /// Which record of it.
        index: i32,
    },
}

/// The records of one batch, in order.
#[derive(Clone, Debug)]
pub struct Records {
    header: BatchHeader,
    body: Bytes,
    next: i32,
}

impl Records {
    /// Reads the batch that `bytes` begin with; packed records may unpack to `limit` bytes.
    ///
    /// # Errors
    /// When the batch is cut or does not unpack.
    pub fn of_batch(bytes: &Bytes, limit: usize) -> Result<Self, RecordError> {
        let header = bytes.first_chunk().map(BatchHeader::read);
        let header = header.ok_or(RecordError::Cut(Offset::new(-1)))?;
        let offset = header.base_offset;
        let len = usize::try_from(header.batch_len()).map_err(|_| RecordError::Cut(offset))?;
        if len < HEADER_LEN || len > bytes.len() {
            return Err(RecordError::Cut(offset));
        }
        let body = bytes.slice(HEADER_LEN..len);
        let body = match header.codec() {
            None => return Err(RecordError::UnknownCodec(offset)),
            Some(Codec::None) => body,
            Some(codec) => codec
                .unpack(&body, limit)
                .map_err(|source| RecordError::Codec { offset, source })?
                .into(),
        };
        Ok(Self { header, body, next: 0 })
    }

    fn read(&mut self) -> Option<Record> {
        let mut from = &self.body[..];
        let length = usize::try_from(read_int(&mut from)?).ok()?;
        let start = self.body.len() - from.len();
        let whole =
            self.body.get(start..start.checked_add(length)?).map(|_| start..start + length)?;
        let record = self.body.slice(whole.clone());
        self.body = self.body.slice(whole.end..);
        parse(&self.header, &record)
    }
}

impl Iterator for Records {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.header.count {
            return None;
        }
        let index = self.next;
        self.next += 1;
        let read = self.read();
        if read.is_none() {
            self.next = self.header.count;
        }
        Some(read.ok_or(RecordError::Malformed { offset: self.header.base_offset, index }))
    }
}

fn parse(header: &BatchHeader, record: &Bytes) -> Option<Record> {
    let mut from = record.get(1..)?;
    let timestamp_delta = read_long(&mut from)?;
    let offset_delta = read_int(&mut from)?;
    let key = nullable(record, &mut from)?;
    let value = nullable(record, &mut from)?;
    let count = usize::try_from(read_int(&mut from)?).ok()?;
    // A header takes at least two bytes: nothing is reserved for a count that lies.
    let mut headers = Vec::with_capacity(count.min(from.len() / 2));
    for _ in 0..count {
        let name = nullable(record, &mut from)??;
        headers.push(RecordHeader { name, value: nullable(record, &mut from)? });
    }
    let timestamp_ms = match header.timestamp_type() {
        TimestampType::CreateTime => header.base_timestamp.checked_add(timestamp_delta)?,
        TimestampType::LogAppendTime => header.max_timestamp,
    };
    let offset = header.base_offset + i64::from(offset_delta);
    from.is_empty().then_some(Record { offset, timestamp_ms, key, value, headers })
}

/// The outer `None` is malformed, the inner one is null.
#[allow(clippy::option_option)]
fn nullable(record: &Bytes, from: &mut &[u8]) -> Option<Option<Bytes>> {
    match read_int(from)? {
        -1 => Some(None),
        length => {
            let (value, rest) = from.split_at_checked(usize::try_from(length).ok()?)?;
            *from = rest;
            Some(Some(record.slice_ref(value)))
        }
    }
}
