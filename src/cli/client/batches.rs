//! The batches that a fetch brought, one by one, checked.

use bytes::Bytes;

use super::error::ClientError;
use crate::record::{BatchHeader, HEADER_LEN, Record, Records};

/// What a packed batch may unpack to.
const UNPACKED_BYTES_MAX: usize = 256 << 20;

/// Whole batches in order; a cut one at the end is left out, as it is fetched again.
pub(crate) struct Batches<'a> {
    partition: &'a str,
    bytes: Bytes,
    first: bool,
}

/// One whole batch whose checksum fits.
pub(crate) struct FetchedBatch {
    pub(crate) header: BatchHeader,
    bytes: Bytes,
}

impl<'a> Batches<'a> {
    /// Walks what was fetched of `partition`, which errors name.
    pub(crate) fn new(partition: &'a str, bytes: Bytes) -> Self {
        Self { partition, bytes, first: true }
    }

    fn bad(&self, problem: String) -> ClientError {
        ClientError::BadRecords { partition: self.partition.to_owned(), problem }
    }

    fn read(&mut self) -> Result<Option<FetchedBatch>, ClientError> {
        let first = std::mem::replace(&mut self.first, false);
        let whole = self.bytes.first_chunk().map(BatchHeader::read).and_then(|header| {
            let len = usize::try_from(header.batch_len()).ok()?;
            (HEADER_LEN..=self.bytes.len()).contains(&len).then_some((header, len))
        });
        let Some((header, len)) = whole else {
            // Without one whole batch at the front the next fetch would bring the same again.
            return match first {
                true => Err(self.bad("the broker sent no whole batch".into())),
                false => Ok(None),
            };
        };
        let bytes = self.bytes.split_to(len);
        if header.magic != 2 || header.checksum(&bytes[HEADER_LEN..]) != header.crc {
            let offset = header.base_offset;
            return Err(self.bad(format!("the batch at offset {offset} does not fit its checksum")));
        }
        Ok(Some(FetchedBatch { header, bytes }))
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<FetchedBatch, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read();
        if !matches!(read, Ok(Some(_))) {
            self.bytes.clear();
        }
        read.transpose()
    }
}

impl FetchedBatch {
    /// Its records; none for the markers of a transaction.
    pub(crate) fn records(
        &self,
        partition: &str,
    ) -> impl Iterator<Item = Result<Record, ClientError>> {
        let bad = |error: crate::record::RecordError| ClientError::BadRecords {
            partition: partition.to_owned(),
            problem: error.to_string(),
        };
        let control = self.header.is_control();
        let records = if control {
            None
        } else {
            Some(Records::of_batch(&self.bytes, UNPACKED_BYTES_MAX).map_err(bad))
        };
        let (records, failed) = match records {
            None => (None, None),
            Some(Ok(records)) => (Some(records), None),
            Some(Err(error)) => (None, Some(Err(error))),
        };
        failed
            .into_iter()
            .chain(records.into_iter().flatten().map(move |record| record.map_err(bad)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Offset;
    use crate::record::{BatchBuilder, Codec, NewRecord};

    const CONTROL_BIT: i16 = 1 << 5;

    /// A batch of two records as a broker sends it.
    fn batch(base: i64, codec: Codec, flags: i16) -> Vec<u8> {
        let mut builder = BatchBuilder::new(codec);
        for value in ["one", "two"] {
            let value = Some(value.as_bytes());
            builder.push(&NewRecord { timestamp_ms: 7, value, ..NewRecord::default() });
        }
        let built = builder.build().expect("build");
        let mut header = *built.header();
        header.base_offset = Offset::new(base);
        header.attributes |= flags;
        header.crc = header.checksum(built.body());
        [&header.write()[..], built.body()].concat()
    }

    fn offsets(bytes: Vec<u8>) -> Result<Vec<i64>, ClientError> {
        let mut offsets = Vec::new();
        for batch in Batches::new("t-0", bytes.into()) {
            for record in batch?.records("t-0") {
                offsets.push(record?.offset.get());
            }
        }
        Ok(offsets)
    }

    #[test]
    fn every_codec_is_unpacked_and_markers_are_passed_over() {
        let bytes = [
            batch(0, Codec::None, 0),
            batch(2, Codec::Gzip, 0),
            batch(4, Codec::Snappy, 0),
            batch(6, Codec::None, CONTROL_BIT),
            batch(8, Codec::Lz4, 0),
            batch(10, Codec::Zstd, 0),
        ];
        let read = offsets(bytes.concat()).expect("read");
        assert_eq!(read, [0, 1, 2, 3, 4, 5, 8, 9, 10, 11]);
    }

    #[test]
    fn a_cut_batch_at_the_end_is_left_for_the_next_fetch() {
        let (first, second) = (batch(0, Codec::None, 0), batch(2, Codec::Zstd, 0));
        for len in first.len()..first.len() + second.len() {
            let mut bytes = [first.clone(), second.clone()].concat();
            bytes.truncate(len);
            assert_eq!(offsets(bytes).expect("read"), [0, 1], "{len}");
        }
        assert!(offsets(first[..20].to_vec()).is_err(), "nothing whole would come for ever");
    }

    #[test]
    fn a_changed_byte_is_an_error() {
        let right = batch(0, Codec::None, 0);
        for at in 16..right.len() {
            let mut wrong = right.clone();
            wrong[at] ^= 1;
            assert!(offsets(wrong).is_err(), "byte {at}");
        }
    }
}
