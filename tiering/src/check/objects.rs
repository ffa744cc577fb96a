//! One live segment: its two objects against its row.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;

use super::{Check, CheckError, FindingKind};
use crate::bundle::{self, IndexBundle};
use crate::checksum::RunningCrc;
use crate::key::ObjectPart;
use crate::read::describes;
use crate::scan::Listing;
use crate::segment::Segment;
use crate::store::StoreError;

/// Enough for nearly every header; a longer one takes a second request.
const HEADER_BYTES: u64 = 16 << 10;
const HEADER_BYTES_MAX: u64 = 1 << 20;
const INDEX_BYTES_MAX: u64 = 256 << 20;
/// How much of a log is read at a time.
const READ_BYTES: u64 = 4 << 20;
/// Reads of bytes that are wrong.
const READS_MAX: usize = 2;

impl Check<'_> {
    pub(super) async fn segment(&self, row: &Segment, listing: &Listing) -> Result<(), CheckError> {
        let log = self.tiering.object(row, ObjectPart::Log);
        let index = self.tiering.object(row, ObjectPart::Index);
        let pair = listing.pairs.get(&row.segment_id);
        let listed = |part| match (part, pair) {
            (ObjectPart::Log, Some(pair)) => pair.log.as_ref().map(|(_, listed)| listed.size),
            (ObjectPart::Index, Some(pair)) => pair.index.as_ref().map(|(_, listed)| listed.size),
            (_, None) => None,
        };
        let log_size = self.size(&log, listed(ObjectPart::Log), Some(row.size)).await?;
        let index_size = self.size(&index, listed(ObjectPart::Index), None).await?;
        let offsets = format!("offsets {} to {}", row.base, row.end);
        let (log_size, index_size) = match (log_size, index_size) {
            (None, None) => {
                return self.find_of(row, FindingKind::MissingSegment, &log, offsets).await;
            }
            (None, Some(_)) => {
                return self.find_of(row, FindingKind::MissingLog, &log, offsets).await;
            }
            (Some(_), None) => {
                return self.find_of(row, FindingKind::MissingIndex, &index, offsets).await;
            }
            (Some(log), Some(index)) => (log, index),
        };
        if log_size != row.size {
            let detail = format!("it has {log_size} bytes, its row says {}", row.size);
            self.find_of(row, FindingKind::WrongLogSize, &log, detail).await?;
        }
        if log_size != row.size || self.watch.is_known(row.segment_id) {
            return Ok(());
        }
        if self.options.deep {
            return self.deep(row, (&log, &index), index_size).await;
        }
        if self.head(row, &index, index_size).await? {
            self.watch.checked(row, 0);
        }
        Ok(())
    }

    /// The size of an object; `None` when the store says that there is none. What a list does not
    /// show, or shows with another size, is asked for by name.
    async fn size(
        &self,
        object: &Path,
        listed: Option<u64>,
        expected: Option<u64>,
    ) -> Result<Option<u64>, CheckError> {
        if let Some(size) = listed
            && expected.is_none_or(|expected| expected == size)
        {
            return Ok(Some(size));
        }
        match self.tiering.store.head(object).await {
            Ok(found) => Ok(Some(found.size)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the head of an index is right: what it says of the segment, and how long it ought to
    /// be.
    async fn head(&self, row: &Segment, index: &Path, size: u64) -> Result<bool, CheckError> {
        // The semaphore is never closed.
        let _turn = self.objects.acquire().await;
        let mut length = size.min(HEADER_BYTES);
        let (kind, detail) = loop {
            if length == 0 {
                break (FindingKind::DamagedIndex, "it is empty".to_owned());
            }
            let read = self.tiering.store.get_range(index, size, 0..length).await;
            let Some(bytes) = self.read_of(row, index, read).await? else { return Ok(false) };
            match bundle::header_and_length(&bytes) {
                Ok((_, stated)) if stated != size => {
                    let detail = format!("it has {size} bytes, its header says {stated}");
                    break (FindingKind::WrongIndexSize, detail);
                }
                Ok((header, _)) => return self.describes(row, index, &header).await,
                Err(bundle::BundleError::Short { need, .. })
                    if need as u64 > length && (need as u64) <= size.min(HEADER_BYTES_MAX) =>
                {
                    length = need as u64;
                }
                Err(error) => break (FindingKind::DamagedIndex, error.to_string()),
            }
        };
        self.find_of(row, kind, index, detail).await?;
        Ok(false)
    }

    /// Whether a header is that of the row. Checksums of the log are compared where both have one.
    async fn describes(
        &self,
        row: &Segment,
        index: &Path,
        header: &bundle::BundleHeader,
    ) -> Result<bool, CheckError> {
        let same_crc = row.log_crc.is_none_or(|crc| crc == header.log_crc);
        if describes(header, row) && same_crc {
            return Ok(true);
        }
        let detail = "it describes another segment than its name and its row";
        self.find_of(row, FindingKind::OtherHeader, index, detail).await?;
        Ok(false)
    }

    /// Every byte of both objects.
    async fn deep(
        &self,
        row: &Segment,
        (log, index): (&Path, &Path),
        index_size: u64,
    ) -> Result<(), CheckError> {
        let _turn = self.logs.acquire().await;
        let read = self.tiering.store.get_whole(index, INDEX_BYTES_MAX).await;
        let Some(bytes) = self.read_of(row, index, read).await? else { return Ok(()) };
        let bundle = match bundle::header_and_length(&bytes) {
            Ok((_, stated)) if stated != index_size => {
                let detail = format!("it has {index_size} bytes, its header says {stated}");
                return self.find_of(row, FindingKind::WrongIndexSize, index, detail).await;
            }
            _ => match IndexBundle::decode(bytes) {
                Ok(bundle) => bundle,
                Err(error) => {
                    let (kind, detail) = (FindingKind::DamagedIndex, error.to_string());
                    return self.find_of(row, kind, index, detail).await;
                }
            },
        };
        if self.describes(row, index, &bundle.header).await? && self.log(row, log, &bundle).await? {
            self.watch.checked(row, row.size + index_size);
        }
        Ok(())
    }

    /// Whether every byte of the log is right.
    async fn log(
        &self,
        row: &Segment,
        log: &Path,
        bundle: &IndexBundle,
    ) -> Result<bool, CheckError> {
        let block = bundle.checks().block_bytes();
        let chunk = (READ_BYTES / block).max(1) * block;
        let (mut crc, mut position) = (RunningCrc::new(), 0);
        let mut inspector = self.watch.inspect(row);
        while position < row.size {
            let range = position..row.size.min(position + chunk);
            let Some(bytes) = self.chunk(row, log, bundle, &range).await? else {
                return Ok(false);
            };
            (crc, inspector) = off_thread(move || {
                crc.update(&bytes);
                if let Some(inspector) = &mut inspector {
                    inspector.bytes(&bytes);
                }
                (crc, inspector)
            })
            .await?;
            position = range.end;
        }
        if crc.finish() != bundle.header.log_crc {
            let detail = "the whole does not fit its checksum";
            self.find_of(row, FindingKind::DamagedLog, log, detail).await?;
            return Ok(false);
        }
        match inspector.and_then(|inspector| inspector.end()) {
            Some(detail) => {
                self.find_of(row, FindingKind::DamagedRecords, log, detail).await?;
                Ok(false)
            }
            None => Ok(true),
        }
    }

    /// Bytes of a log that fit their checksums. Before they are called damaged they are read again:
    /// what lies between here and the store can be at fault as well.
    async fn chunk(
        &self,
        row: &Segment,
        log: &Path,
        bundle: &IndexBundle,
        range: &Range<u64>,
    ) -> Result<Option<Bytes>, CheckError> {
        let mut wrong = String::new();
        for _ in 0..READS_MAX {
            self.tiering.config.fetch_pace.admit(range.end - range.start).await;
            let bytes = match self.tiering.store.get_range(log, row.size, range.clone()).await {
                Ok(bytes) => bytes,
                Err(error @ (StoreError::WrongBytes { .. } | StoreError::NotFound { .. })) => {
                    wrong = error.to_string();
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let (checks, start) = (Arc::clone(bundle.checks()), range.start);
            let (bytes, bad) = off_thread(move || {
                let bad = checks.first_wrong(start, &bytes);
                (bytes, bad)
            })
            .await?;
            let Some(bad) = bad else { return Ok(Some(bytes)) };
            wrong = format!("the bytes at position {bad} do not fit their checksum");
        }
        self.find_of(row, FindingKind::DamagedLog, log, wrong).await?;
        Ok(None)
    }

    /// The bytes of an index. Wrong or missing ones are a finding, any other error is no answer.
    async fn read_of(
        &self,
        row: &Segment,
        index: &Path,
        read: Result<Bytes, StoreError>,
    ) -> Result<Option<Bytes>, CheckError> {
        match read {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error @ (StoreError::WrongBytes { .. } | StoreError::NotFound { .. })) => {
                let (kind, detail) = (FindingKind::DamagedIndex, error.to_string());
                self.find_of(row, kind, index, detail).await?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CheckError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| CheckError::BrokenOff)
}
