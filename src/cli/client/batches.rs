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
