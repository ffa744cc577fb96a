//! Builds batches: for coordinators, for our own tools and for tests.

use bytes::Bytes;

use super::batch::Batch;
use super::codec::{Codec, CodecError};
use super::header::{BatchHeader, HEADER_LEN, LENGTH_END, TimestampType};
use super::varint;
use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};

/// A name and an optional value beside a record.
pub type Header<'a> = (&'a str, Option<&'a [u8]>);

/// A record to be put into a batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewRecord<'a> {
    /// In milliseconds.
    pub timestamp_ms: i64,
    /// May be absent, but not in a compacted topic.
    pub key: Option<&'a [u8]>,
    /// Absent: a tombstone.
    pub value: Option<&'a [u8]>,
    /// In their order; names may repeat.
    pub headers: &'a [Header<'a>],
}

/// Collects records into one batch.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    codec: Codec,
    producer: (ProducerId, ProducerEpoch, Sequence),
    base_timestamp: i64,
    max_timestamp: i64,
    count: i32,
    body: Vec<u8>,
    record: Vec<u8>,
}

impl BatchBuilder {
    /// An empty batch.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            producer: (ProducerId::NONE, ProducerEpoch::NONE, Sequence::NONE),
            base_timestamp: -1,
            max_timestamp: -1,
            count: 0,
            body: Vec::new(),
            record: Vec::new(),
        }
    }

    /// Numbers the records as an idempotent producer does.
    #[must_use]
    pub fn idempotent(mut self, id: ProducerId, epoch: ProducerEpoch, first: Sequence) -> Self {
        self.producer = (id, epoch, first);
        self
    }

    /// Adds a record.
    pub fn push(&mut self, record: &NewRecord<'_>) {
        if self.count == 0 {
            self.base_timestamp = record.timestamp_ms;
        }
        self.max_timestamp = self.max_timestamp.max(record.timestamp_ms);
        let to = &mut self.record;
        to.clear();
        to.push(0);
        varint::write(to, record.timestamp_ms - self.base_timestamp);
        varint::write(to, i64::from(self.count));
        write_nullable(to, record.key);
        write_nullable(to, record.value);
        varint::write(to, record.headers.len() as i64);
        for (name, value) in record.headers {
            write_nullable(to, Some(name.as_bytes()));
            write_nullable(to, *value);
        }
        varint::write(&mut self.body, self.record.len() as i64);
        self.body.append(&mut self.record);
        self.count += 1;
    }

    /// Records so far.
    #[must_use]
    pub fn count(&self) -> i32 {
        self.count
    }

    /// Bytes of records so far, before packing.
    #[must_use]
    pub fn body_len(&self) -> usize {
        self.body.len()
    }

    /// The batch.
    ///
    /// # Errors
    /// When the records cannot be packed.
    ///
    /// # Panics
    /// When no record was added: an empty batch is none.
    pub fn build(&self) -> Result<Batch, CodecError> {
        assert!(self.count > 0, "a batch has at least one record");
        let body = match self.codec {
            Codec::None => self.body.clone(),
            codec => codec.pack(&self.body)?,
        };
        let (producer_id, producer_epoch, base_sequence) = self.producer;
        let mut header = BatchHeader {
            base_offset: Offset::ZERO,
            length: (HEADER_LEN - LENGTH_END + body.len()) as i32,
            leader_epoch: LeaderEpoch::NONE,
            magic: 2,
            crc: 0,
            attributes: BatchHeader::attributes_of(self.codec, TimestampType::CreateTime),
            last_offset_delta: self.count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id,
            producer_epoch,
            base_sequence,
            count: self.count,
        };
        header.crc = header.checksum(&body);
        let mut bytes = Vec::with_capacity(HEADER_LEN + body.len());
        bytes.extend_from_slice(&header.write());
        bytes.extend_from_slice(&body);
        Ok(Batch::trusted(Bytes::from(bytes)))
    }
}

fn write_nullable(to: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        None => varint::write(to, -1),
        Some(bytes) => {
            varint::write(to, bytes.len() as i64);
            to.extend_from_slice(bytes);
        }
    }
}
