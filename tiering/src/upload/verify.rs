//! Whether the store has what was written. Nothing counts as uploaded before.

use crate::bundle::IndexBundle;
use crate::checksum::{RunningCrc, crc32c};
use crate::key::ObjectPart;
use crate::read::describes;
use crate::segment::Segment;
use crate::store::{Store, StoreError, Verify, WrongBytes};
use crate::tiering::Tiering;

/// What the objects must hold.
pub(crate) struct Written {
    /// What was sent as the `.index` object; `None` when they are not known any more, and it is enough
    /// that the object decodes and describes the segment.
    pub(crate) index: Option<WrittenIndex>,
    /// The checksum of the log.
    pub(crate) log_crc: u32,
}

/// An `.index` object that was sent. Its bytes are not kept: an upload may take long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WrittenIndex {
    /// Its bytes.
    pub(crate) len: u64,
    /// Their checksum.
    pub(crate) crc: u32,
}

const INDEX_BYTES_MAX: u64 = 256 << 20;

impl Tiering {
    pub(crate) async fn verify_written(
        &self,
        row: &Segment,
        written: Written,
    ) -> Result<(), StoreError> {
        let log = self.object(row, ObjectPart::Log);
        let index = self.object(row, ObjectPart::Index);
        check_size(&self.store, &log, row.size).await?;
        match &written.index {
            Some(sent) if self.store.verify() == Verify::Size => {
                check_size(&self.store, &index, sent.len).await?;
                return Ok(());
            }
            _ => self.check_index(row, &index, &written).await?,
        }
        self.check_log(row, &log, written.log_crc).await
    }

    async fn check_index(
        &self,
        row: &Segment,
        name: &object_store::path::Path,
        written: &Written,
    ) -> Result<(), StoreError> {
        let found = self.store.get_whole(name, INDEX_BYTES_MAX).await?;
        if let Some(sent) = &written.index {
            let received = found.len() as u64;
            if received != sent.len {
                let wrong = WrongBytes::Length { expected: sent.len, received };
                return Err(self.wrong(name, wrong));
            }
            let (expected, found) = (sent.crc, crc32c(&found));
            if expected != found {
                return Err(self.wrong(name, WrongBytes::Whole { expected, found }));
            }
        }
        match IndexBundle::decode(found) {
            Ok(bundle) if describes(&bundle.header, row) => Ok(()),
            Ok(_) => Err(self.wrong(name, WrongBytes::OtherSegment)),
            Err(error) => Err(self.wrong(name, WrongBytes::Bundle(error))),
        }
    }

    async fn check_log(
        &self,
        row: &Segment,
        name: &object_store::path::Path,
        expected: u32,
    ) -> Result<(), StoreError> {
        let mut crc = RunningCrc::new();
        let mut position = 0;
        while position < row.size {
            let end = row.size.min(position + self.config.part_bytes);
            crc.update(&self.store.get_range(name, row.size, position..end).await?);
            position = end;
        }
        match crc.finish() {
            found if found == expected => Ok(()),
            found => Err(self.wrong(name, WrongBytes::Whole { expected, found })),
        }
    }

    fn wrong(&self, name: &object_store::path::Path, wrong: WrongBytes) -> StoreError {
        self.tally().wrong_bytes.bump();
        StoreError::wrong_bytes(name, wrong)
    }
}

async fn check_size(
    store: &Store,
    name: &object_store::path::Path,
    expected: u64,
) -> Result<(), StoreError> {
    let received = store.head(name).await?.size;
    if received == expected {
        return Ok(());
    }
    store.counters().wrong_bytes.bump();
    Err(StoreError::wrong_bytes(name, WrongBytes::Length { expected, received }))
}
