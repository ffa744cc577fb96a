//! Why a question to the manifest, or a change of it, failed.

use std::path::PathBuf;
use std::sync::Arc;

use super::transition::IllegalChange;
use crate::ids::{Offset, SegmentId};

/// An error of the manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file cannot be opened or set up.
    #[error("cannot open the manifest {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The schema cannot be brought up to date; also when the file was written by a newer version.
    #[error(
        "the manifest {} does not fit this version: {source}. If a later version of icecore wrote \
         it, start that version; or move the file away, and it is made anew from the store",
        path.display()
    )]
    Migrate {
        /// The file.
        path: PathBuf,
        /// What the migration says.
        source: Box<refinery::Error>,
    },
    /// A thread cannot be started.
    #[error("cannot start the manifest's writer: {0}")]
    Thread(std::io::Error),
    /// A statement failed.
    #[error("the manifest cannot be read or written: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The group of changes that this one was in could not be made durable.
    #[error("the manifest could not make a change durable: {0}")]
    Commit(Arc<rusqlite::Error>),
    /// The manifest was closed.
    #[error("the manifest is closed")]
    Closed,
    /// No such row.
    #[error("no row for {partition} at offset {base}")]
    NoRow {
        /// The partition.
        partition: String,
        /// The base offset that was asked for.
        base: Offset,
    },
    /// The row belongs to another upload attempt than the caller's.
    #[error("{partition} at offset {base}: upload attempt {wanted} was replaced by {found}")]
    OtherAttempt {
        /// The partition.
        partition: String,
        /// The row.
        base: Offset,
        /// The caller's attempt.
        wanted: SegmentId,
        /// The row's attempt.
        found: SegmentId,
    },
    /// The local copy of this very segment was given up before: its file was about to be unlinked.
    #[error("{partition} at offset {base}: the local copy was given up, its file may be unlinked")]
    GivenUp {
        /// The partition.
        partition: String,
        /// The row.
        base: Offset,
    },
    /// The change is not a legal one.
    #[error("{partition} at offset {base}: {change}")]
    Illegal {
        /// The partition.
        partition: String,
        /// The row.
        base: Offset,
        /// What was tried.
        change: IllegalChange,
    },
    /// Two live rows would answer for one offset.
    #[error("{partition}: offsets {base} to {end} overlap the live segment at offset {other}")]
    Overlap {
        /// The partition.
        partition: String,
        /// The row's first offset.
        base: Offset,
        /// The row's last offset.
        end: Offset,
        /// The live row that is in the way.
        other: Offset,
    },
    /// A segment that no row can describe.
    #[error("not a segment: {0}")]
    NotASegment(&'static str),
}
