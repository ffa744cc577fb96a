//! Offload: a sealed segment goes to the store.
//!
//! ```text
//! 1  the log is read through: length, CRC32C of the whole and of each block
//! 2  row: uploading, under a fresh id                                        durable
//! 3  .index object                                                           step IndexWritten
//! 4  .log object, in parts when it is large; its completion is the commit    step LogWritten
//! 5  both verified: size, and the bytes read back where the store checked nothing
//! 6  row: live                                                               durable
//! ```
//! What a crash leaves, and who resolves it:
//! - after 2, 3 or in 4: a row `uploading`, perhaps objects of its id. The next attempt takes a
//!   fresh id, so that a late write of this one can overwrite nothing, and deletes these objects;
//!   garbage collection does the same when no attempt follows, and aborts unfinished uploads.
//! - after 4 or 5: both objects whole, row `uploading`. Garbage collection verifies them and makes
//!   the row live, or a new attempt replaces them.
//! - after 6: nothing is left to do.
//!
//! An error is treated as a crash: whether the write happened is not known, so nothing is undone in
//! a hurry. The local file stays until the row is live, whatever happens here.

mod body;
mod turn;
mod verify;

use std::future::ready;
use std::io;
use std::path::PathBuf;

use bytes::Bytes;

use crate::bundle::{BundleHeader, BundleParts, encode};
use crate::checksum::crc32c;
use crate::config::Unpaced;
use crate::ids::{Offset, SegmentId};
use crate::key::ObjectPart;
use crate::manifest::{Change, ManifestError};
use crate::segment::{RemoteState, Segment};
use crate::steps::{Step, Stopped};
use crate::store::StoreError;
use crate::tiering::Tiering;
use body::LogFile;
pub use turn::UploadTurn;
pub(crate) use verify::{Written, WrittenIndex};

/// The byte parts of a sealed segment.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The sealed log file. It must not change or go while the offload runs.
    pub log: PathBuf,
    /// The offset index.
    pub offset_index: Bytes,
    /// The time index.
    pub time_index: Bytes,
    /// The transaction index; may be empty.
    pub txn_index: Bytes,
    /// The producer snapshot at the offset after the segment.
    pub producer_snapshot: Bytes,
    /// The leader-epoch checkpoint up to the end of the segment.
    pub leader_epochs: Bytes,
}

/// Why a segment was not uploaded. Its local copy is untouched, and a new attempt may be made.
#[derive(Debug, thiserror::Error)]
pub enum OffloadError {
    /// The local log file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The local log file is not what was sealed, or changed while it was read.
    #[error("{} is not the sealed segment at offset {base}: {reason}", path.display())]
    NotTheSegment {
        /// The file.
        path: PathBuf,
        /// The segment.
        base: Offset,
        /// How it differs.
        reason: &'static str,
    },
    /// The manifest refused or failed; also when another attempt or a deletion came first.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The owner stopped it.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl OffloadError {
    /// Whether a later attempt may work with nobody doing anything.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Store(error) => error.may_pass() || error.is_not_found(),
            Self::Manifest(ManifestError::OtherAttempt { .. }) | Self::Stopped(_) => true,
            Self::Log { .. } | Self::NotTheSegment { .. } | Self::Manifest(_) => false,
        }
    }

    /// Whether nothing was sent, because the store is left alone for a while.
    #[must_use]
    pub fn is_left_alone(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_left_alone())
    }
}

impl Tiering {
    /// Uploads a sealed segment, and returns when it is verified and its row is live.
    ///
    /// Its row must be there ([`Tiering::record_sealed`]) and wholly committed data: nothing is
    /// checked here against the high watermark. A live segment is no work.
    ///
    /// # Errors
    /// [`OffloadError`]; every one leaves the local copy the only one that counts.
    pub async fn offload(&self, segment: &Segment, parts: Parts) -> Result<(), OffloadError> {
        let turn = self.upload_turn(&Unpaced).await?;
        self.offload_in(turn, segment, parts).await
    }

    /// The same in a turn of [`Tiering::upload_turn`], at the rate that the upload has of its own.
    ///
    /// # Errors
    /// As [`Tiering::offload`].
    pub async fn offload_in(
        &self,
        turn: UploadTurn<'_>,
        segment: &Segment,
        parts: Parts,
    ) -> Result<(), OffloadError> {
        let done = self.try_offload(turn, segment, parts).await;
        if done.is_err() {
            self.tally().upload_errors.bump();
        }
        done
    }

    async fn try_offload(
        &self,
        mut turn: UploadTurn<'_>,
        segment: &Segment,
        parts: Parts,
    ) -> Result<(), OffloadError> {
        let log = LogFile::survey(&parts.log, segment).await?;
        let attempt = SegmentId::random();
        let _flying = self.in_flight.enter(attempt);

        let Some(row) = self.begin(segment, attempt, log.crc).await? else { return Ok(()) };
        self.reached(Step::IntentWritten)?;

        let index = self.put_index(&mut turn, &row, &log, parts).await?;
        self.reached(Step::IndexWritten)?;

        self.put_log(&mut turn, &row, &log).await?;
        self.reached(Step::LogWritten)?;

        self.verify_written(&row, Written { index: Some(index), log_crc: log.crc }).await?;
        self.reached(Step::Verified)?;

        let (partition, base) = (&row.partition, row.base);
        self.manifest.change(partition, base, Some(attempt), Change::GoLive).await?;
        self.tally().uploads.bump();
        self.tally().upload_bytes.add(row.size);
        self.reached(Step::MarkedLive)?;
        Ok(())
    }

    /// Writes the intent and clears what an earlier attempt left. `None` when the row is live.
    async fn begin(
        &self,
        segment: &Segment,
        attempt: SegmentId,
        log_crc: u32,
    ) -> Result<Option<Segment>, OffloadError> {
        let (partition, base) = (&segment.partition, segment.base);
        let begin = Change::BeginUpload { attempt, log_crc };
        let before = match self.manifest.change(partition, base, None, begin).await {
            Err(error @ ManifestError::Illegal { .. }) => {
                let known = self.manifest.find(partition, base).await?;
                let live = known.is_some_and(|row| row.base == base && row.end == segment.end);
                return if live { Ok(None) } else { Err(error.into()) };
            }
            before => before?,
        };
        if before.remote == RemoteState::Uploading && !self.in_flight.has(before.segment_id) {
            let left = [ObjectPart::Log, ObjectPart::Index];
            let left = left.map(|part| self.object(&before, part)).to_vec();
            if let Err(error) = self.store.delete(left).await {
                tracing::warn!(%error, "objects of an earlier upload stay for garbage collection");
            }
        }
        let (segment_id, log_crc) = (attempt, Some(log_crc));
        let remote = RemoteState::Uploading;
        Ok(Some(Segment { segment_id, log_crc, remote, ..before }))
    }

    async fn put_index(
        &self,
        turn: &mut UploadTurn<'_>,
        row: &Segment,
        log: &LogFile,
        parts: Parts,
    ) -> Result<WrittenIndex, OffloadError> {
        let header = BundleHeader::of(row, log.crc);
        let parts = BundleParts {
            offset_index: parts.offset_index,
            time_index: parts.time_index,
            txn_index: parts.txn_index,
            producer_snapshot: parts.producer_snapshot,
            leader_epochs: parts.leader_epochs,
            block_checksums: log.block_checksums.clone(),
        };
        let index = encode(&header, &parts);
        let written = WrittenIndex { len: index.len() as u64, crc: crc32c(&index) };
        turn.admit(written.len, ready(Ok(()))).await?;
        self.config.pace.admit(written.len).await;
        self.store.put(&self.object(row, ObjectPart::Index), index).await?;
        Ok(written)
    }
}
