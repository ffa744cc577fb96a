//! Why a remote read failed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::share::KeepError;
use crate::store::{StoreError, WrongBytes};

/// A remote read that failed. Cheap to clone: every waiter of one download gets it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The segment is not live: it has no objects that may be read.
    #[error("the segment at offset {base} of {partition} is not live in the store")]
    NotLive {
        /// The partition.
        partition: String,
        /// The segment.
        base: i64,
    },
    /// The range is empty or reaches past the end of the log.
    #[error("bytes {start} to {end} are not in a log of {size} bytes")]
    Range {
        /// Its first byte.
        start: u64,
        /// The byte after its last.
        end: u64,
        /// The length of the log.
        size: u64,
    },
    /// The object is gone from the store. Right after an expiry or a deletion this is a race;
    /// otherwise somebody else deleted it.
    #[error("the object {object} is gone from the store")]
    Gone {
        /// Its name.
        object: String,
    },
    /// The bytes are wrong, and were wrong again when fetched a second time.
    #[error("the object {object} is damaged in the store: {wrong}")]
    Damaged {
        /// Its name.
        object: String,
        /// What is wrong.
        wrong: WrongBytes,
    },
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
    /// The bytes could not be kept on, or read from, this machine's disk.
    #[error("the read cache failed: {0}")]
    Disk(Arc<io::Error>),
    /// Every slot of the cache is being sent to somebody.
    #[error("every slot of the read cache is in use: raise cache.bytes, or read less at a time")]
    CacheFull,
    /// The store did not deliver in time. The download goes on; a later read may find it done.
    #[error("the store did not deliver within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The download ended without an answer: the process is stopping.
    #[error("the download was stopped")]
    Stopped,
}

impl ReadError {
    /// Whether the same read may work later with nobody doing anything.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Store(error) => error.may_pass(),
            Self::CacheFull | Self::TimedOut(_) | Self::Stopped | Self::Disk(_) => true,
            Self::NotLive { .. }
            | Self::Range { .. }
            | Self::Gone { .. }
            | Self::Damaged { .. } => false,
        }
    }

    /// Whether nothing was sent, because the store is left alone for a while.
    #[must_use]
    pub fn is_left_alone(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_left_alone())
    }

    pub(super) fn from_store(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { object } => Self::Gone { object },
            StoreError::WrongBytes { object, wrong } => Self::Damaged { object, wrong },
            error => Self::Store(error),
        }
    }

    pub(super) fn disk(error: io::Error) -> Self {
        Self::Disk(Arc::new(error))
    }
}

impl From<KeepError> for ReadError {
    fn from(error: KeepError) -> Self {
        match error {
            KeepError::Full(_) => Self::CacheFull,
            KeepError::Disk(error) => Self::disk(error),
        }
    }
}
