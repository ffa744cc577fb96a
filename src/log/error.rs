//! How log operations fail.

use std::io;
use std::sync::Arc;

use super::checkpoint::CheckpointError;
use super::producers::ProducerError;
use crate::model::Offset;

/// A batch was not appended, or its append cannot be made durable. Cheap to clone: one failed sync
/// answers many.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The producer's epoch or sequence does not fit.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// Offsets of one partition end at `i64::MAX`.
    #[error("the partition has no offsets left")]
    OffsetsExhausted,
    /// The disk has too little room for producers; nothing was tried.
    #[error(
        "the disk is full: {free} bytes are free, and what is below {low} is not for producers. They are \
         let in again when {high} are free: make room, lower local.retention.*, or let uploaded segments \
         go by tiering.disk.full.policy"
    )]
    DiskFull {
        /// Free bytes, by the last look.
        free: u64,
        /// The low watermark.
        low: u64,
        /// The high watermark.
        high: u64,
    },
    /// The disk refused the write; the log is as before and may take the next one.
    #[error("the log cannot be written: {0}")]
    Write(Arc<io::Error>),
    /// A sync failed. What the kernel dropped cannot be synced again, so nothing more is
    /// acknowledged until the log is opened anew and has recovered.
    #[error("the log failed and takes no appends until a restart: {0}")]
    Failed(Arc<io::Error>),
}

/// Records cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Below the log start or above the log end.
    #[error("offset {offset} is not within {log_start} to {log_end}")]
    OutOfRange {
        /// What was asked for.
        offset: Offset,
        /// The first offset that is there.
        log_start: Offset,
        /// The offset after the last.
        log_end: Offset,
    },
    /// Below what lies on the local disk: the remote tier has it.
    #[error("offset {offset} lies below the local log start {local_log_start}")]
    BelowLocal {
        /// What was asked for.
        offset: Offset,
        /// The first local offset.
        local_log_start: Offset,
    },
    /// The disk failed.
    #[error("the log cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The remote tier failed.
    #[error(transparent)]
    Remote(#[from] icecore_tiering::ReadError),
}

impl ReadError {
    /// Whether an object of the remote tier is gone.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Remote(icecore_tiering::ReadError::Gone { .. }))
    }
}

/// A log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenLogError {
    /// The disk failed.
    #[error("log folder {folder}: {source}")]
    Io {
        /// The partition's folder.
        folder: String,
        /// What the disk says.
        source: io::Error,
    },
    /// A checkpoint file is damaged.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}
